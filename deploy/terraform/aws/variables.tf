# What can be said about the deployment. Names and defaults are those of the vendor's module where it has them.

# --- who administers the gateway -----------------------------------------------------------------------------------

variable "admin_access_id_type" {
  description = "How the administrator logs in: access_key or aws_iam."
  type        = string
  default     = "access_key"

  validation {
    condition     = contains(["access_key", "aws_iam"], var.admin_access_id_type)
    error_message = "admin_access_id_type is access_key or aws_iam."
  }
}

variable "admin_access_id" {
  description = "The administrator's access id: p- and then letters and digits."
  type        = string

  validation {
    condition     = can(regex("^p-[A-Za-z0-9_-]{1,64}$", var.admin_access_id))
    error_message = "admin_access_id is p- and then 1 to 64 letters, digits, - or _."
  }
}

variable "admin_access_key" {
  description = "The administrator's access key. It goes to a secret of its own, and never into the state. Only with admin_access_id_type = access_key."
  type        = string
  default     = ""
  sensitive   = true

  validation {
    condition     = var.admin_access_key == "" || var.admin_access_id_type == "access_key"
    error_message = "admin_access_key has no meaning with admin_access_id_type = aws_iam: leave it out."
  }
  validation {
    condition     = var.admin_access_key == "" || var.admin_access_key_secret_arn == ""
    error_message = "admin_access_key and admin_access_key_secret_arn are both given: keep one."
  }
  validation {
    condition     = var.admin_access_id_type != "access_key" || var.admin_access_key != "" || var.admin_access_key_secret_arn != ""
    error_message = "admin_access_id_type = access_key wants admin_access_key, or admin_access_key_secret_arn."
  }
}

variable "admin_access_key_secret_arn" {
  description = "The ARN of a secret that holds the access key, in place of admin_access_key."
  type        = string
  default     = ""

  validation {
    condition     = var.admin_access_key_secret_arn == "" || can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]+:secret:.+$", var.admin_access_key_secret_arn))
    error_message = "admin_access_key_secret_arn is the ARN of a secret in Secrets Manager."
  }
}

variable "admin_bound_arns" {
  description = "With admin_access_id_type = aws_iam: the ARNs of administrators, as STS tells them, with * and ?. Each names its account, unless admin_bound_aws_accounts is given too."
  type        = list(string)
  default     = []

  validation {
    condition     = var.admin_access_id_type != "aws_iam" || length(var.admin_bound_arns) + length(var.admin_bound_aws_accounts) > 0
    error_message = "admin_access_id_type = aws_iam wants admin_bound_arns (such as arn:aws:sts::123456789012:assumed-role/operators/*), or admin_bound_aws_accounts: else nobody could log in as the administrator."
  }
  validation {
    condition     = length(var.admin_bound_arns) == 0 || var.admin_access_id_type == "aws_iam"
    error_message = "admin_bound_arns has no meaning with admin_access_id_type = access_key: leave it out."
  }
  validation {
    condition = length(var.admin_bound_aws_accounts) > 0 || alltrue([
      for arn in var.admin_bound_arns : can(regex("^[^:]*:[^:]*:[^:]*:[^:]*:[0-9]{12}:.", arn))
    ])
    error_message = "Each of admin_bound_arns names its account by its 12 digits, or admin_bound_aws_accounts is given too: else everybody's AWS account could make an administrator."
  }
  validation {
    condition     = alltrue([for arn in var.admin_bound_arns : can(regex("^[^, ]+$", arn))])
    error_message = "Each of admin_bound_arns is one ARN, without commas and spaces."
  }
}

variable "admin_bound_aws_accounts" {
  description = "With admin_access_id_type = aws_iam: the AWS accounts of administrators. Alone, everybody in them is one: give admin_bound_arns too."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for account in var.admin_bound_aws_accounts : can(regex("^[0-9]{12}$", account))])
    error_message = "Each of admin_bound_aws_accounts is an account's number, 12 digits."
  }
  validation {
    condition     = length(var.admin_bound_aws_accounts) == 0 || var.admin_access_id_type == "aws_iam"
    error_message = "admin_bound_aws_accounts has no meaning with admin_access_id_type = access_key: leave it out."
  }
}

variable "allowed_access_permissions" {
  description = "Who else may do what: a list of {name, access_id, sub_claims, permissions}, or the same as a JSON string. Required with admin_access_id_type = aws_iam."
  type        = any
  default     = []

  validation {
    condition = alltrue([
      for entry in try(tolist(jsondecode(var.allowed_access_permissions)), tolist(var.allowed_access_permissions), [null]) :
      entry != null && can(length(entry.permissions) > 0)
    ]) || var.allowed_access_permissions == ""
    error_message = "allowed_access_permissions is a list of {name, access_id, permissions = [\"admin\"]}, or the same as a JSON string."
  }
  validation {
    condition     = var.admin_access_id_type != "aws_iam" || !contains(["", "[]"], try(tostring(var.allowed_access_permissions), jsonencode(var.allowed_access_permissions)))
    error_message = "admin_access_id_type = aws_iam wants allowed_access_permissions: else nobody could change the gateway's configuration."
  }
}

variable "customer_fragments" {
  description = "Customer fragments, as gen-customer-fragment writes them: {customer_fragments = [{id, value, name, description}]}. They go to a secret of their own, and never into the state."
  type        = any
  default     = {}
  sensitive   = true

  validation {
    condition = alltrue([
      for fragment in try(tolist(var.customer_fragments.customer_fragments), tolist(var.customer_fragments), []) :
      can(regex("^cf-", fragment.id)) && can(regex("^[A-Za-z0-9+/]{43,}={0,2}$", fragment.value))
    ])
    error_message = "A customer fragment has an id that begins with cf-, and a value of at least 32 bytes in base64."
  }
  validation {
    condition     = length(try(tolist(var.customer_fragments.customer_fragments), tolist(var.customer_fragments), [])) == 0 || var.customer_fragments_secret_arn == ""
    error_message = "customer_fragments and customer_fragments_secret_arn are both given: keep one."
  }
}

variable "customer_fragments_secret_arn" {
  description = "The ARN of a secret that holds the customer fragments, in place of customer_fragments."
  type        = string
  default     = ""

  validation {
    condition     = var.customer_fragments_secret_arn == "" || can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]+:secret:.+$", var.customer_fragments_secret_arn))
    error_message = "customer_fragments_secret_arn is the ARN of a secret in Secrets Manager."
  }
}

# --- the function --------------------------------------------------------------------------------------------------

variable "lambda_func_name" {
  description = "The function's name. Other names that are not given begin with it."
  type        = string
  default     = "akeyless-serverless-gateway"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,48}$", var.lambda_func_name))
    error_message = "lambda_func_name is 1 to 48 letters, digits, - or _."
  }
}

variable "package_type" {
  description = "Zip, or Image for a container image in a repository that this module makes."
  type        = string
  default     = "Zip"

  validation {
    condition     = contains(["Zip", "Image"], var.package_type)
    error_message = "package_type is Zip or Image."
  }
}

variable "package_file" {
  description = "The zip that `make lambda` writes. Required with package_type = Zip."
  type        = string
  default     = ""

  validation {
    condition     = var.package_type != "Zip" || can(filebase64sha256(var.package_file))
    error_message = "package_file is not there; `make lambda` writes target/lambda/gateward-<architecture>.zip."
  }
}

variable "image_tag" {
  description = "Which image of the repository. Required with package_type = Image."
  type        = string
  default     = ""

  validation {
    condition     = var.package_type != "Image" || can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag))
    error_message = "image_tag names an image that was pushed to the repository, such as 0.1.0."
  }
}

variable "lambda_architecture" {
  description = "x86_64 or arm64, as the package was built."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.lambda_architecture)
    error_message = "lambda_architecture is x86_64 or arm64."
  }
}

variable "lambda_memory_size" {
  description = "MiB of memory. The processor's share goes with it."
  type        = number
  default     = 512

  validation {
    condition     = var.lambda_memory_size >= 128 && var.lambda_memory_size <= 10240
    error_message = "lambda_memory_size is from 128 to 10240."
  }
}

variable "lambda_timeout" {
  description = "Seconds that one event may take. API Gateway itself waits for 29 s; revocations may take longer."
  type        = number
  default     = 60

  validation {
    condition     = var.lambda_timeout >= 30 && var.lambda_timeout <= 900
    error_message = "lambda_timeout is from 30 to 900 seconds."
  }
}

variable "lambda_role_name" {
  description = "The name of the function's role."
  type        = string
  default     = "iam-role-for-serverless-akeyless-gateway-lambda"
}

variable "func_logging_policy_name" {
  description = "The name of the role's policy for logs."
  type        = string
  default     = "function-logging-policy"
}

variable "lambda_tags" {
  description = "Tags of the function and of what it needs."
  type        = map(string)
  default     = {}
}

variable "vpc_subnet_ids" {
  description = "Subnets to run in; none for no VPC."
  type        = list(string)
  default     = []
}

variable "vpc_security_group_ids" {
  description = "Security groups in the VPC. Required with vpc_subnet_ids."
  type        = list(string)
  default     = []

  validation {
    condition     = (length(var.vpc_subnet_ids) == 0) == (length(var.vpc_security_group_ids) == 0)
    error_message = "vpc_subnet_ids and vpc_security_group_ids are given together, or neither is."
  }
}

variable "environment" {
  description = "Further settings, by their names: GATEWARD_LOG, GATEWARD_VAULT_AWS_REGION and so on. No secrets: whoever reads the function's configuration reads them."
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

variable "events_bus_arn" {
  description = "The ARN of an EventBridge bus that hears of each change of a credential's state and of a producer's; none for no events."
  type        = string
  default     = ""

  validation {
    condition     = var.events_bus_arn == "" || can(regex("^arn:[^:]+:events:[^:]+:[0-9]{12}:event-bus/[A-Za-z0-9._/-]+$", var.events_bus_arn))
    error_message = "events_bus_arn is the ARN of an event bus, such as arn:aws:events:us-east-2:123456789012:event-bus/default."
  }
}

# --- logs ----------------------------------------------------------------------------------------------------------

variable "create_log_group_for_lambda" {
  description = "Whether the log group is made here. Else it must be there."
  type        = bool
  default     = true
}

variable "cloudwatch_log_group_lambda_name" {
  description = "The log group that the function writes to."
  type        = string
  default     = "akeyless-serverless-gateway-lambda-log-group"
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
}

# --- the API -------------------------------------------------------------------------------------------------------

variable "api_gw_name" {
  description = "The name of the REST API."
  type        = string
  default     = "akeyless-serverless-gateway-api-gateway"
}

variable "api_gw_desc" {
  description = "What the REST API is, for people."
  type        = string
  default     = "The API of the serverless gateway"
}

variable "api_gw_tags" {
  description = "Tags of the REST API."
  type        = map(string)
  default     = {}
}

variable "api_gw_deploy_stage_name" {
  description = "The name of the stage, with which every path of the URL begins."
  type        = string
  default     = "default"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.api_gw_deploy_stage_name))
    error_message = "api_gw_deploy_stage_name is letters, digits, - and _."
  }
}

variable "api_gw_authorization" {
  description = "Who may call the API before the gateway is asked: NONE (the gateway authenticates), or AWS_IAM (signed calls only)."
  type        = string
  default     = "NONE"

  validation {
    condition     = contains(["NONE", "AWS_IAM"], var.api_gw_authorization)
    error_message = "api_gw_authorization is NONE or AWS_IAM."
  }
}

variable "api_gw_allowed_cidrs" {
  description = "Address ranges that may call the API; none for all."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.api_gw_allowed_cidrs : can(cidrhost(range, 0))])
    error_message = "api_gw_allowed_cidrs are address ranges such as 203.0.113.0/24."
  }
}

variable "api_gw_vpc_endpoint_ids" {
  description = "VPC endpoints of execute-api: with them the API is private, and can be called through them only."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.api_gw_vpc_endpoint_ids) == 0 || length(var.api_gw_allowed_cidrs) == 0
    error_message = "A private API (api_gw_vpc_endpoint_ids) has no public addresses: leave out api_gw_allowed_cidrs."
  }
}

# --- the schedule --------------------------------------------------------------------------------------------------

variable "cloudwatch_event_rule_name" {
  description = "The name of the schedule that looks for what is due."
  type        = string
  default     = "akeyless-serverless-gateway-keepalive"
}

variable "cloudwatch_event_rule_description" {
  description = "What the schedule is, for people."
  type        = string
  default     = "Revokes each credential whose time is over"
}

variable "cloudwatch_event_rule_schedule" {
  description = "How often it is looked for what is due. Less often than a minute, and credentials are revoked later than promised."
  type        = string
  default     = "rate(1 minute)"
}

# --- what lasts ----------------------------------------------------------------------------------------------------

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted. Switch it off, and apply, before `terraform destroy`."
  type        = bool
  default     = true
}

variable "key_deletion_window_days" {
  description = "Days between the destruction of the key and its end, in which it can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.key_deletion_window_days >= 7 && var.key_deletion_window_days <= 30
    error_message = "key_deletion_window_days is from 7 to 30."
  }
}

# --- container images ----------------------------------------------------------------------------------------------

variable "ecr_repo_name" {
  description = "The name of the repository for images."
  type        = string
  default     = "akeyless-serverless-gateway-repo-for-lambda"
}

variable "ecr_tags" {
  description = "Tags of the repository."
  type        = map(string)
  default     = {}
}

variable "ecr_force_delete" {
  description = "Whether the repository is deleted with the images in it."
  type        = bool
  default     = false
}
