# The function, and what its environment says. Secrets stand there as references, never as values.

locals {
  is_zip           = var.package_type == "Zip"
  partition        = data.aws_partition.current.partition
  region           = data.aws_region.current.name
  account          = data.aws_caller_identity.current.account_id
  admin_key_secret = local.keeps_admin_key ? aws_secretsmanager_secret.admin_access_key[0].arn : var.admin_access_key_secret_arn
  fragments_secret = local.keeps_fragments ? aws_secretsmanager_secret.customer_fragments[0].arn : var.customer_fragments_secret_arn
  permissions      = try(tostring(var.allowed_access_permissions), jsonencode(var.allowed_access_permissions))
  has_permissions  = try(length(local.allowed_access) > 0, false)
  # Secrets are read when a function starts. The gateway does not look at this: it is another with another version of a
  # secret, and Lambda puts new instances in the place of those that run whenever the environment is another.
  secret_versions = join(",", concat(
    aws_secretsmanager_secret_version.admin_access_key[*].version_id,
    aws_secretsmanager_secret_version.customer_fragments[*].version_id,
  ))
  given_environment = merge(
    {
      GATEWARD_STORE                = "dynamodb"
      GATEWARD_DYNAMODB_TABLE       = aws_dynamodb_table.store.name
      GATEWARD_ROOT_KEY_KMS         = aws_kms_key.root.arn
      GATEWARD_REVOCATION_QUEUE     = aws_sqs_queue.revocations.url
      GATEWARD_ADMIN_ACCESS_ID_TYPE = var.admin_access_id_type
      GATEWARD_ADMIN_ACCESS_ID      = var.admin_access_id
    },
    local.admin_key_secret == "" ? {} : { GATEWARD_ADMIN_ACCESS_KEY = "{vault://aws/${local.admin_key_secret}/}" },
    local.fragments_secret == "" ? {} : { GATEWARD_CUSTOMER_FRAGMENTS = "{vault://aws/${local.fragments_secret}/}" },
    var.default_customer_fragment == "" ? {} : { GATEWARD_DEFAULT_CUSTOMER_FRAGMENT = var.default_customer_fragment },
    local.keeps_admin_key || local.keeps_fragments ? { SECRET_VERSIONS = local.secret_versions } : {},
    length(var.admin_bound_arns) == 0 ? {} : { GATEWARD_ADMIN_BOUND_ARNS = join(",", var.admin_bound_arns) },
    length(var.admin_bound_aws_accounts) == 0 ? {} : { GATEWARD_ADMIN_BOUND_AWS_ACCOUNTS = join(",", var.admin_bound_aws_accounts) },
    var.events_bus_arn == "" ? {} : { GATEWARD_EVENTS_BUS = var.events_bus_arn },
    local.has_permissions ? { GATEWARD_ALLOWED_ACCESS_PERMISSIONS = local.permissions } : {},
    var.environment,
  )
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

resource "aws_lambda_function" "gateway" {
  function_name    = var.lambda_func_name
  description      = "Gateward"
  role             = aws_iam_role.function.arn
  package_type     = var.package_type
  filename         = local.is_zip ? var.package_file : null
  source_code_hash = local.is_zip ? filebase64sha256(var.package_file) : null
  runtime          = local.is_zip ? "provided.al2023" : null
  handler          = local.is_zip ? "bootstrap" : null
  image_uri        = local.is_zip ? null : "${aws_ecr_repository.images[0].repository_url}:${var.image_tag}"
  architectures    = [var.lambda_architecture]
  memory_size      = var.lambda_memory_size
  timeout          = var.lambda_timeout
  tags             = var.lambda_tags

  environment {
    variables = local.given_environment
  }

  logging_config {
    log_format = "Text"
    log_group  = var.cloudwatch_log_group_lambda_name
  }

  dynamic "vpc_config" {
    for_each = length(var.vpc_subnet_ids) > 0 ? [1] : []
    content {
      subnet_ids         = var.vpc_subnet_ids
      security_group_ids = var.vpc_security_group_ids
    }
  }

  # It must be able to log from its first start.
  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.logs, aws_iam_role_policy.gateway]
}

resource "aws_cloudwatch_log_group" "function" {
  count             = var.create_log_group_for_lambda ? 1 : 0
  name              = var.cloudwatch_log_group_lambda_name
  retention_in_days = var.log_retention_days
  tags              = var.lambda_tags
}

resource "aws_ecr_repository" "images" {
  count                = local.is_zip ? 0 : 1
  name                 = var.ecr_repo_name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.ecr_force_delete
  tags                 = var.ecr_tags
}
