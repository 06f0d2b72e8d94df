output "akeyless_serverless_gateway_url" {
  description = "Where the gateway's console will be. There is none yet, and this answers 404: until then use gateward_url, as in `gateward auth -u URL`."
  value       = module.gateway.akeyless_serverless_gateway_url
}

output "gateward_url" {
  description = "The gateway: routes, and all its APIs."
  value       = module.gateway.gateward_url
}

output "aws_api_gateway_rest_api" {
  description = "The ARN of the REST API."
  value       = module.gateway.aws_api_gateway_rest_api
}

output "aws_lambda_function" {
  description = "The ARN of the function."
  value       = module.gateway.aws_lambda_function
}

output "repository_url" {
  description = "Where images are pushed to; null if the package is a zip."
  value       = module.gateway.repository_url
}

output "table" {
  description = "The table that everything stands in."
  value       = module.gateway.table
}

output "failed_revocations_queue" {
  description = "Where messages go that could not be done five times. The schedule does their work still; a message here is a reason to look."
  value       = module.gateway.failed_revocations_queue
}
