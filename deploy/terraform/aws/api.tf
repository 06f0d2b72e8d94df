# The URL: a REST API that hands every path to the function, which authenticates whoever calls.

locals {
  is_private = length(var.api_gw_vpc_endpoint_ids) > 0

  # Every body may be bytes; the gateway says which are.
  binary_media_types = ["*/*"]
}

resource "aws_api_gateway_rest_api" "gateway" {
  name               = var.api_gw_name
  description        = var.api_gw_desc
  binary_media_types = local.binary_media_types
  tags               = var.api_gw_tags

  endpoint_configuration {
    types            = [local.is_private ? "PRIVATE" : "REGIONAL"]
    vpc_endpoint_ids = local.is_private ? var.api_gw_vpc_endpoint_ids : null
  }
}

# Always there, also where it closes nothing to anybody: an API without a policy of its own keeps the one that it had, and a
# policy is destroyed only after the deployment has copied it.
resource "aws_api_gateway_rest_api_policy" "callers" {
  rest_api_id = aws_api_gateway_rest_api.gateway.id
  policy      = local.callers
}

locals {
  every_call = "${aws_api_gateway_rest_api.gateway.execution_arn}/*"
  # With AWS_IAM, everybody would be every account of AWS. The own one leaves it to its policies who may call.
  principal = { AWS = var.api_gw_authorization == "AWS_IAM" ? "arn:${local.partition}:iam::${local.account}:root" : "*" }
  # Whoever calls from elsewhere is denied, and not only left out: a policy of the account's own may allow them.
  callers = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Effect = "Allow", Principal = local.principal, Action = "execute-api:Invoke", Resource = local.every_call }],
      [for condition in [
        { given = local.is_private, StringNotEquals = { "aws:SourceVpce" = var.api_gw_vpc_endpoint_ids } },
        { given = length(var.api_gw_allowed_cidrs) > 0, NotIpAddress = { "aws:SourceIp" = var.api_gw_allowed_cidrs } },
        ] : {
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "execute-api:Invoke"
        Resource  = local.every_call
        Condition = { for operator, keys in condition : operator => keys if operator != "given" }
      } if condition.given],
    )
  })
}

resource "aws_api_gateway_resource" "everything" {
  rest_api_id = aws_api_gateway_rest_api.gateway.id
  parent_id   = aws_api_gateway_rest_api.gateway.root_resource_id
  path_part   = "{proxy+}"
}

locals {
  # The root is no {proxy+} of anything.
  places = {
    root       = aws_api_gateway_rest_api.gateway.root_resource_id
    everything = aws_api_gateway_resource.everything.id
  }
}

resource "aws_api_gateway_method" "any" {
  for_each      = local.places
  rest_api_id   = aws_api_gateway_rest_api.gateway.id
  resource_id   = each.value
  http_method   = "ANY"
  authorization = var.api_gw_authorization
}

resource "aws_api_gateway_integration" "function" {
  for_each                = local.places
  rest_api_id             = aws_api_gateway_rest_api.gateway.id
  resource_id             = each.value
  http_method             = aws_api_gateway_method.any[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.gateway.invoke_arn
}

resource "aws_api_gateway_deployment" "gateway" {
  rest_api_id = aws_api_gateway_rest_api.gateway.id

  # A deployment is a copy: it must be made anew whenever what it copies has changed.
  triggers = {
    api = sha1(jsonencode([
      local.binary_media_types,
      var.api_gw_vpc_endpoint_ids,
      local.callers,
      aws_api_gateway_resource.everything.path_part,
      [for place in ["root", "everything"] : aws_api_gateway_method.any[place].authorization],
      [for place in ["root", "everything"] : aws_api_gateway_integration.function[place].uri],
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_api_gateway_integration.function, aws_api_gateway_rest_api_policy.callers]
}

resource "aws_api_gateway_stage" "gateway" {
  rest_api_id   = aws_api_gateway_rest_api.gateway.id
  deployment_id = aws_api_gateway_deployment.gateway.id
  stage_name    = var.api_gw_deploy_stage_name
  tags          = var.api_gw_tags
}

resource "aws_lambda_permission" "api" {
  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.gateway.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.gateway.execution_arn}/*"
}
