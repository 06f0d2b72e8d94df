output "gateward_url" {
  description = "The gateway: routes, and all its APIs."
  value       = aws_api_gateway_stage.gateway.invoke_url
}

output "akeyless_serverless_gateway_url" {
  description = "Where the gateway's console will be. There is none yet, and this answers 404: until then use gateward_url, as in `gateward auth -u URL`."
  value       = "${aws_api_gateway_stage.gateway.invoke_url}/console"
}

output "aws_api_gateway_rest_api" {
  description = "The ARN of the REST API."
  value       = aws_api_gateway_rest_api.gateway.arn
}

output "aws_lambda_function" {
  description = "The ARN of the function."
  value       = aws_lambda_function.gateway.arn
}

output "repository_url" {
  description = "Where images are pushed to; null if the package is a zip."
  value       = one(aws_ecr_repository.images[*].repository_url)
}

output "table" {
  description = "The table that everything stands in."
  value       = aws_dynamodb_table.store.name
}

output "failed_revocations_queue" {
  description = "Where messages go that could not be done five times. The schedule does their work still; a message here is a reason to look."
  value       = aws_sqs_queue.failed.url
}
