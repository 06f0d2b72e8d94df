# The URL: a REST API that hands every path to the function, which authenticates whoever calls.

locals {
  is_private = length(var.api_gw_vpc_endpoint_ids) > 0
  has_policy = local.is_private || length(var.api_gw_allowed_cidrs) > 0

  # Every body may be bytes; the gateway says which are.
  binary_media_types = ["*/*"]
}

resource "aws_api_gateway_rest_api" "gateway" {
  name               = var.api_gw_name
  description        = var.api_gw_desc
  binary_media_types = local.binary_media_types
  policy             = local.has_policy ? data.aws_iam_policy_document.callers.json : null
  tags               = var.api_gw_tags

  endpoint_configuration {
    types            = [local.is_private ? "PRIVATE" : "REGIONAL"]
    vpc_endpoint_ids = local.is_private ? var.api_gw_vpc_endpoint_ids : null
  }
}

data "aws_iam_policy_document" "callers" {
  statement {
    actions   = ["execute-api:Invoke"]
    resources = ["execute-api:/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    dynamic "condition" {
      for_each = local.is_private ? [1] : []
      content {
        test     = "StringEquals"
        variable = "aws:SourceVpce"
        values   = var.api_gw_vpc_endpoint_ids
      }
    }

    dynamic "condition" {
      for_each = length(var.api_gw_allowed_cidrs) > 0 ? [1] : []
      content {
        test     = "IpAddress"
        variable = "aws:SourceIp"
        values   = var.api_gw_allowed_cidrs
      }
    }
  }
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
      local.has_policy ? data.aws_iam_policy_document.callers.json : "",
      aws_api_gateway_resource.everything.path_part,
      [for place in ["root", "everything"] : aws_api_gateway_method.any[place].authorization],
      [for place in ["root", "everything"] : aws_api_gateway_integration.function[place].uri],
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_api_gateway_integration.function]
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
