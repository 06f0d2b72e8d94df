# What lasts: the table that everything stands in, the key that seals it, and what revokes credentials on time.

resource "aws_kms_key" "root" {
  description             = "Seals what the gateway ${var.lambda_func_name} keeps"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_window_days
  tags                    = var.lambda_tags
}

resource "aws_kms_alias" "root" {
  name          = "alias/${var.lambda_func_name}"
  target_key_id = aws_kms_key.root.key_id
}

resource "aws_dynamodb_table" "store" {
  name                        = "${var.lambda_func_name}-store"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "p"
  range_key                   = "s"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.lambda_tags

  attribute {
    name = "p"
    type = "S"
  }

  attribute {
    name = "s"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.root.arn
  }
}

# A lease that falls due within a quarter of an hour is queued for that moment. The schedule finds whatever was lost.
#
# Lambda wants a message hidden for six of the function's timeouts. It lasts for all of its tries, after the quarter of an hour
# that it may wait for its moment and with half an hour to spare: the queue forgets an older one before its last try, and
# nothing would come to the dead letters.
locals {
  revocation_tries   = 5
  revocation_try_s   = var.lambda_timeout * 6
  revocation_lasts_s = local.revocation_tries * local.revocation_try_s + 900 + 1800
}

resource "aws_sqs_queue" "revocations" {
  name                       = "${var.lambda_func_name}-revocations"
  visibility_timeout_seconds = local.revocation_try_s
  message_retention_seconds  = local.revocation_lasts_s
  sqs_managed_sse_enabled    = true
  tags                       = var.lambda_tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.failed.arn
    maxReceiveCount     = local.revocation_tries
  })
}

resource "aws_sqs_queue" "failed" {
  name                      = "${var.lambda_func_name}-revocations-failed"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.lambda_tags
}

resource "aws_lambda_event_source_mapping" "revocations" {
  event_source_arn        = aws_sqs_queue.revocations.arn
  function_name           = aws_lambda_function.gateway.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}

resource "aws_cloudwatch_event_rule" "tick" {
  name                = var.cloudwatch_event_rule_name
  description         = var.cloudwatch_event_rule_description
  schedule_expression = var.cloudwatch_event_rule_schedule
  tags                = var.lambda_tags
}

resource "aws_cloudwatch_event_target" "tick" {
  rule = aws_cloudwatch_event_rule.tick.name
  arn  = aws_lambda_function.gateway.arn

  # Of the way to Lambda's own queue. A tick that cannot be brought there is the next one's.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 0
  }
}

# Of the way from that queue to the function. The next tick does what this one could not: one that failed is not repeated
# (Lambda would, twice), and one that found no instance free is not kept for longer than until then (it would be, for 6 hours).
resource "aws_lambda_function_event_invoke_config" "tick" {
  function_name                = aws_lambda_function.gateway.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_lambda_permission" "tick" {
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.gateway.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.tick.arn
}
