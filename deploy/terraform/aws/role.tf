# What the function may do: no more than it does.

locals {
  log_group = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${var.cloudwatch_log_group_lambda_name}"
  # By its name: the function itself is made after its role.
  function_arn = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.lambda_func_name}"
  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
  network_resources = length(var.vpc_subnet_ids) > 0 ? ["*"] : []
}

resource "aws_iam_role" "function" {
  name               = var.lambda_role_name
  assume_role_policy = data.aws_iam_policy_document.assumed_by_lambda.json
  tags               = var.lambda_tags
}

data "aws_iam_policy_document" "assumed_by_lambda" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "logs" {
  name   = var.func_logging_policy_name
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.logs.json
}

data "aws_iam_policy_document" "logs" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.log_group}:*"]
  }
}

# Written out, and not as a data source, which could not be read while a resource that it names is about to change.
resource "aws_iam_role_policy" "gateway" {
  name = "gateway"
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.statements : merge({ Effect = "Allow" }, statement) if length(statement.Resource) > 0]
  })
}

locals {
  statements = [
    {
      Sid = "Store"
      Action = [
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
      ]
      Resource = [aws_dynamodb_table.store.arn]
    },
    {
      Sid       = "RootKey"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [aws_kms_key.root.arn]
      Condition = { StringEquals = { "kms:EncryptionContext:gateward" = "root key" } }
    },
    {
      # The table is encrypted with the same key, and DynamoDB uses it in the name of whoever reads and writes.
      Sid       = "TableKey"
      Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Resource  = [aws_kms_key.root.arn]
      Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${local.region}.amazonaws.com" } }
    },
    {
      Sid      = "Revocations"
      Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
      Resource = [aws_sqs_queue.revocations.arn]
    },
    {
      Sid      = "Secrets"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = concat(compact([local.admin_key_secret, local.fragments_secret]), var.readable_secret_arns)
    },
    {
      # Secrets Manager opens what it keeps under a key of yours in the name of whoever reads it.
      Sid       = "SecretKeys"
      Action    = ["kms:Decrypt"]
      Resource  = var.secret_kms_key_arns
      Condition = { StringLike = { "kms:ViaService" = "secretsmanager.*.amazonaws.com" } }
    },
    {
      Sid      = "Events"
      Action   = ["events:PutEvents"]
      Resource = compact([var.events_bus_arn])
    },
    {
      Sid      = "Functions"
      Action   = ["lambda:InvokeFunction"]
      Resource = flatten([for arn in var.invocable_function_arns : [arn, "${arn}:*"]])
    },
    {
      Sid      = "Roles"
      Action   = ["sts:AssumeRole"]
      Resource = var.assumable_role_arns
    },
    {
      # Lambda makes the network interfaces of a function in a VPC, in the name of its role. They have no ARN that could be
      # named before.
      Sid      = "Network"
      Action   = local.network_actions
      Resource = local.network_resources
    },
    {
      # What runs in the function has the same role, and no business with them. Only its requests carry this key.
      Sid       = "NetworkNotFromWithin"
      Effect    = "Deny"
      Action    = concat(local.network_actions, ["ec2:DetachNetworkInterface"])
      Resource  = local.network_resources
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
    },
  ]
}
