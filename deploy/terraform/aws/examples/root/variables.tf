variable "aws_profile" {
  description = "The profile that Terraform authenticates with."
  type        = string
  default     = "default"
}

variable "region" {
  description = "The region of the gateway."
  type        = string
  default     = "us-east-2"
}

variable "admin_access_id_type" {
  description = "How the administrator logs in: access_key or aws_iam."
  type        = string
  default     = "access_key"
}

variable "admin_access_id" {
  description = "The administrator's access id: p- and then letters and digits."
  type        = string
}

variable "admin_access_key" {
  description = "The administrator's access key, with admin_access_id_type = access_key."
  type        = string
  default     = ""
  sensitive   = true
}

variable "admin_bound_arns" {
  description = "With admin_access_id_type = aws_iam: the ARNs of administrators, each with its account's number."
  type        = list(string)
  default     = []
}

variable "admin_bound_aws_accounts" {
  description = "With admin_access_id_type = aws_iam: the AWS accounts of administrators."
  type        = list(string)
  default     = []
}

variable "allowed_access_permissions" {
  description = "Who else may do what, as a list or as a JSON string. Required with admin_access_id_type = aws_iam."
  type        = any
  default     = ""
}

variable "customer_fragments" {
  description = "Customer fragments, as gen-customer-fragment writes them. Alone they seal nothing: see default_customer_fragment."
  type        = any
  default     = {}
  sensitive   = true
}

variable "default_customer_fragment" {
  description = "The id of one of customer_fragments, which seals all that is written from then on; none for the root key alone."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Further settings of the gateway, by their names, such as GATEWARD_LOG. No secrets."
  type        = map(string)
  default     = {}
}

variable "readable_secret_arns" {
  description = "Secrets that references may name through the aws vault."
  type        = list(string)
  default     = []
}

variable "invocable_function_arns" {
  description = "Functions that routes may invoke by name."
  type        = list(string)
  default     = []
}

variable "assumable_role_arns" {
  description = "Roles that plugins, vaults and producers may assume."
  type        = list(string)
  default     = []
}

variable "lambda_timeout" {
  description = "Seconds that one event may take."
  type        = number
  default     = 60
}

variable "events_bus_arn" {
  description = "The ARN of an EventBridge bus that hears of each change of a credential's state; none for no events."
  type        = string
  default     = ""
}

variable "api_gw_authorization" {
  description = "Who may call the API before the gateway is asked: NONE or AWS_IAM."
  type        = string
  default     = "NONE"
}

variable "api_gw_allowed_cidrs" {
  description = "Address ranges that may call the API; none for all."
  type        = list(string)
  default     = []
}

variable "api_gw_vpc_endpoint_ids" {
  description = "VPC endpoints of execute-api: with them the API is private."
  type        = list(string)
  default     = []
}

variable "vpc_subnet_ids" {
  description = "Subnets to run in; none for no VPC."
  type        = list(string)
  default     = []
}

variable "vpc_security_group_ids" {
  description = "Security groups in the VPC."
  type        = list(string)
  default     = []
}

variable "api_gw_name" {
  description = "The name of the REST API."
  type        = string
  default     = "akeyless-serverless-gateway-api-gateway"
}

variable "lambda_func_name" {
  description = "The function's name. With another name Terraform makes a new, empty table, and deletes the old one where deletion_protection does not keep it: choose it once."
  type        = string
  default     = "akeyless-serverless-gateway"
}

variable "package_type" {
  description = "Zip or Image."
  type        = string
  default     = "Zip"
}

variable "package_file" {
  description = "The zip that `make lambda` writes."
  type        = string
  default     = "../../../../../target/lambda/gateward-x86_64.zip"
}

variable "image_tag" {
  description = "Which image, with package_type = Image."
  type        = string
  default     = ""
}

variable "lambda_architecture" {
  description = "x86_64 or arm64, as the package was built."
  type        = string
  default     = "x86_64"
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted."
  type        = bool
  default     = true
}
