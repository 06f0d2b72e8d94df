# What can be said about the deployment. Names and defaults are those of the vendor's module where it has them.

locals {
  # Each a list, which may have been given as JSON; what is neither is refused below, by words that say it again: what
  # looks at a variable first cannot be named there.
  allowed_access     = try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions)
  told_fragments     = try(jsondecode(var.customer_fragments), var.customer_fragments)
  customer_fragments = try(local.told_fragments.customer_fragments, local.told_fragments)
  # Whatever was given and is not plainly nothing: to take something for nothing would be to seal without fragments.
  has_fragments = !contains(["\"\"", "[]", "{}"], jsonencode(local.told_fragments))
  secret_arn    = "^arn:[^:]+:secretsmanager:[^:]+:[0-9]+:secret:.+$"
  # As the gateway decodes it: padded, and the bits that nothing stands in are 0.
  base64    = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
  access_id = "^p-[A-Za-z0-9_-]{1,64}$"
  # As crates/access/src/allowed.rs reads an entry.
  access_fields = ["access_id", "case_insensitive", "description", "name", "permissions", "sub_claims", "sub_claims_case_insensitive"]
  permission_names = [
    "acme", "admin", "automatic_migration", "caching", "classic_keys", "defaults", "dynamic_secret", "event_forwarding",
    "general", "hsm", "k8s_auth", "kerberos_auth", "kmip", "ldap_auth", "log_forwarding", "rotate_secret_value",
    "rotated_secret", "sdr", "sra_config", "static_secret", "targets", "vault_values", "zero_knowledge_encryption",
  ]
}

# --- who administers the gateway -----------------------------------------------------------------------------------

variable "admin_access_id_type" {
  description = "How the administrator logs in: access_key or aws_iam."
  type        = string
  default     = "access_key"
  nullable    = false

  validation {
    condition     = contains(["access_key", "aws_iam"], var.admin_access_id_type)
    error_message = "admin_access_id_type is access_key or aws_iam."
  }
}

variable "admin_access_id" {
  description = "The administrator's access id: p- and then letters and digits."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^p-[A-Za-z0-9_-]{1,64}$", var.admin_access_id))
    error_message = "admin_access_id is p- and then 1 to 64 letters, digits, - or _."
  }
}

variable "admin_access_key" {
  description = "The administrator's access key. It goes to a secret of its own, and never into the state. Only with admin_access_id_type = access_key."
  type        = string
  default     = ""
  nullable    = false
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
  description = "The ARN of a secret that holds the access key, in place of admin_access_key. Its versions are not watched: see environment."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.admin_access_key_secret_arn == "" || can(regex(local.secret_arn, var.admin_access_key_secret_arn))
    error_message = "admin_access_key_secret_arn is the ARN of a secret in Secrets Manager."
  }
  validation {
    condition     = var.admin_access_key_secret_arn == "" || var.admin_access_id_type == "access_key"
    error_message = "admin_access_key_secret_arn has no meaning with admin_access_id_type = aws_iam: leave it out."
  }
}

variable "admin_bound_arns" {
  description = "With admin_access_id_type = aws_iam: the ARNs of administrators, as STS tells them, with * and ?. Each names its account, unless admin_bound_aws_accounts is given too."
  type        = list(string)
  default     = []
  nullable    = false

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
  nullable    = false

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
  description = "Who else may do what: a list of {name, access_id, sub_claims, permissions}, of which name and sub_claims may be left out, or the same as a JSON string. Required with admin_access_id_type = aws_iam."
  type        = any
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for entries in [try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions)] :
      can(regex("^(\"\"$|\\[\\{|\\[\\]$)", jsonencode(entries)))
    ])
    error_message = "allowed_access_permissions is a list of {name, access_id, sub_claims, permissions = [\"admin\"]}, of which name and sub_claims may be left out, or the same as a JSON string."
  }
  # What a message names, it has to look for again.
  validation {
    # As in the vendor's own example, the access id may also be a key, with nothing for its value.
    condition = try(alltrue([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) :
      try(length([for name, value in entry : name if can(regex(local.access_id, name == "access_id" ? value : value == "" ? name : ""))]), 0) == 1
    ]), true)
    error_message = "Each entry of allowed_access_permissions says whom it is about, by one access_id = \"p-...\"; not so number ${join(", ", try([
      for place, entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) : place + 1
      if try(length([for name, value in entry : name if can(regex(local.access_id, name == "access_id" ? value : value == "" ? name : ""))]), 0) != 1
    ], []))}."
  }
  validation {
    condition = try(length(flatten([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) : [
        for name, value in entry : name if !contains(local.access_fields, name) && !(value == "" && can(regex(local.access_id, name)))
      ]
    ])) == 0, true)
    error_message = "allowed_access_permissions: an entry has no field ${join(", ", try(distinct(flatten([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) : [
        for name, value in entry : name if !contains(local.access_fields, name) && !(value == "" && can(regex(local.access_id, name)))
      ]
    ])), []))}; there are ${join(", ", local.access_fields)}."
  }
  validation {
    # What begins with a quotation mark in JSON is a text.
    condition = try(alltrue(flatten([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) : [
        [for name in ["name", "description"] : can(regex("^(null$|\")", jsonencode(lookup(entry, name, ""))))],
        [for name in ["case_insensitive", "sub_claims_case_insensitive"] : can(regex("^(true|false)$", jsonencode(lookup(entry, name, false))))],
        can(regex("^[\"\\[]", jsonencode(try(entry.permissions, [])))),
        can(regex("^(null$|\\{)", jsonencode(try(entry.sub_claims, {})))),
        [
          for name in try(keys(entry.sub_claims), []) : try(
            length(compact([for value in try(split(",", tostring(entry.sub_claims[name])), entry.sub_claims[name]) : trimspace(value)])) > 0 &&
            can(regex("^(\"|\\[(\"([^\"\\\\]|\\\\.)*\",?)+\\]$)", jsonencode(entry.sub_claims[name]))),
            false
          )
        ],
      ]
    ])), false) || !can(regex("^\\[\\{", jsonencode(try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions))))
    error_message = "In an entry of allowed_access_permissions name and description are texts, permissions is a list of names, sub_claims has of each name a list of texts that is not empty, such as {group = [\"dba\"]}, and case_insensitive is true or false."
  }
  validation {
    # Permissions are a list, or one text with commas.
    condition = try(alltrue([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) :
      try(length(compact([for name in try(split(",", entry.permissions), entry.permissions) : trimspace(name)])), 0) > 0
    ]), true)
    error_message = "Each entry of allowed_access_permissions has permissions, such as [\"admin\"]; not so number ${join(", ", try([
      for place, entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) : place + 1
      if try(length(compact([for name in try(split(",", entry.permissions), entry.permissions) : trimspace(name)])), 0) == 0
    ], []))}."
  }
  validation {
    condition = try(length(setsubtract(compact(flatten([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) :
      [for name in try(split(",", entry.permissions), entry.permissions, []) : trimspace(name)]
    ])), local.permission_names)) == 0, true)
    error_message = "allowed_access_permissions: there is no permission ${join(", ", try(setsubtract(compact(flatten([
      for entry in try(jsondecode(var.allowed_access_permissions), var.allowed_access_permissions) :
      [for name in try(split(",", entry.permissions), entry.permissions, []) : trimspace(name)]
    ])), local.permission_names), []))}; there are ${join(", ", local.permission_names)}."
  }
  validation {
    condition     = var.admin_access_id_type != "aws_iam" || try(length(jsondecode(var.allowed_access_permissions)), length(var.allowed_access_permissions), 0) > 0
    error_message = "admin_access_id_type = aws_iam wants allowed_access_permissions: else nobody could change the gateway's configuration."
  }
}

variable "customer_fragments" {
  description = "Customer fragments, as gen-customer-fragment writes them: {customer_fragments = [{id, value, name, description}]}, or the list alone, or either as JSON. They go to a secret of their own, and never into the state. Alone they seal nothing: they are there for what is asked to be sealed with them, item by item. default_customer_fragment names the one that seals everything."
  type        = any
  default     = {}
  nullable    = false
  sensitive   = true

  validation {
    # Nothing, a list with something in it, or a table of nothing but such a list.
    condition = alltrue([
      for told in [try(jsondecode(var.customer_fragments), var.customer_fragments)] :
      can(regex("^(\"\"|\\[\\]|\\{\\})$", jsonencode(told))) ||
      startswith(jsonencode(try(told.customer_fragments, told)), "[{") && try(length(keys(told)), 1) == 1
    ])
    error_message = "customer_fragments is {customer_fragments = [{id, value, name, description}]} and nothing else, or the list alone, or either as a JSON string."
  }
  validation {
    condition = alltrue([
      for told in [try(jsondecode(var.customer_fragments), var.customer_fragments)] : try(alltrue([
        for fragment in try(told.customer_fragments, told) :
        can(regex("^cf-[A-Za-z0-9_-]{1,64}$", fragment.id)) && can(regex(local.base64, trimspace(fragment.value))) && try(
          floor(length(trimspace(fragment.value)) / 4) * 3 - length(regexall("=", fragment.value)) >= 32 &&
          floor(length(trimspace(fragment.value)) / 4) * 3 - length(regexall("=", fragment.value)) <= 1024,
          false
        )
      ]), true)
    ])
    error_message = "A customer fragment has an id that begins with cf-, and a value of at least 32 bytes in base64 (with its = at the end) and at most 1024."
  }
  validation {
    condition = alltrue([
      for told in [try(jsondecode(var.customer_fragments), var.customer_fragments)] : try(alltrue(flatten([
        for fragment in try(told.customer_fragments, told) :
        [for name in ["name", "description"] : can(regex("^(null$|\")", jsonencode(lookup(fragment, name, ""))))]
      ])), true)
    ])
    error_message = "The name and the description of a customer fragment are texts."
  }
  validation {
    condition = alltrue([
      for told in [try(jsondecode(var.customer_fragments), var.customer_fragments)] : try(length(distinct(try(told.customer_fragments, told)[*].id)) == length(try(told.customer_fragments, told)), true)
    ])
    error_message = "There are two customer fragments with one id: keep the one that secrets were sealed with."
  }
  validation {
    condition     = var.customer_fragments_secret_arn == "" || try(length(jsondecode(var.customer_fragments)), length(var.customer_fragments)) == 0
    error_message = "customer_fragments and customer_fragments_secret_arn are both given: keep one."
  }
}

variable "customer_fragments_secret_arn" {
  description = "The ARN of a secret that holds the customer fragments, in place of customer_fragments. Its versions are not watched: see environment."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.customer_fragments_secret_arn == "" || can(regex(local.secret_arn, var.customer_fragments_secret_arn))
    error_message = "customer_fragments_secret_arn is the ARN of a secret in Secrets Manager."
  }
}

variable "default_customer_fragment" {
  description = "The id of the customer fragment that seals all that is written from then on: one of customer_fragments, or of those in customer_fragments_secret_arn. Without it nothing is sealed with a fragment, but for items that ask for one. Keep a fragment in the list when another takes its place: what it has sealed opens only with it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.default_customer_fragment == "" || can(regex("^cf-[A-Za-z0-9_-]{1,64}$", var.default_customer_fragment))
    error_message = "default_customer_fragment is the id of a customer fragment: cf- and then 1 to 64 letters, digits, - or _."
  }
  validation {
    condition = (
      var.default_customer_fragment == "" || var.customer_fragments_secret_arn != "" ||
      contains(try([for fragment in local.customer_fragments : fragment.id], []), var.default_customer_fragment)
    )
    error_message = "default_customer_fragment is none of customer_fragments: give one of their ids."
  }
}

# --- the function --------------------------------------------------------------------------------------------------

variable "lambda_func_name" {
  description = "The function's name. Other names that are not given begin with it: the table's, the queues' and the secrets'. Choose it once: with another name Terraform makes a new, empty table and deletes the old one with all that stands in it, live leases too, which nothing revokes any more. deletion_protection keeps the old table, but the function then runs on the new one."
  type        = string
  default     = "akeyless-serverless-gateway"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,48}$", var.lambda_func_name))
    error_message = "lambda_func_name is 1 to 48 letters, digits, - or _."
  }
}

variable "package_type" {
  description = "Zip, or Image for a container image in a repository that this module makes."
  type        = string
  default     = "Zip"
  nullable    = false

  validation {
    condition     = contains(["Zip", "Image"], var.package_type)
    error_message = "package_type is Zip or Image."
  }
}

variable "package_file" {
  description = "The zip that `make lambda` writes. Required with package_type = Zip."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.package_type != "Zip" || can(filebase64sha256(var.package_file))
    error_message = "package_file is not there; `make lambda` writes target/lambda/gateward-<architecture>.zip."
  }
}

variable "image_tag" {
  description = "Which image of the repository. Required with package_type = Image."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.package_type != "Image" || can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag))
    error_message = "image_tag names an image that was pushed to the repository, such as 0.1.0."
  }
}

variable "lambda_architecture" {
  description = "x86_64 or arm64, as the package was built."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.lambda_architecture)
    error_message = "lambda_architecture is x86_64 or arm64."
  }
}

variable "lambda_memory_size" {
  description = "MiB of memory. The processor's share goes with it."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.lambda_memory_size >= 128 && var.lambda_memory_size <= 10240 && floor(var.lambda_memory_size) == var.lambda_memory_size
    error_message = "lambda_memory_size is a whole number from 128 to 10240."
  }
}

variable "lambda_timeout" {
  description = "Seconds that one event may take. API Gateway itself waits for 29 s; revocations may take longer."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.lambda_timeout >= 30 && var.lambda_timeout <= 900 && floor(var.lambda_timeout) == var.lambda_timeout
    error_message = "lambda_timeout is a whole number from 30 to 900 seconds."
  }
}

variable "lambda_role_name" {
  description = "The name of the function's role."
  type        = string
  default     = "iam-role-for-serverless-akeyless-gateway-lambda"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.lambda_role_name))
    error_message = "lambda_role_name is 1 to 64 letters, digits, or + = , . @ _ -."
  }
}

variable "func_logging_policy_name" {
  description = "The name of the role's policy for logs."
  type        = string
  default     = "function-logging-policy"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,128}$", var.func_logging_policy_name))
    error_message = "func_logging_policy_name is 1 to 128 letters, digits, or + = , . @ _ -."
  }
}

variable "lambda_tags" {
  description = "Tags of the function and of what it needs."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vpc_subnet_ids" {
  description = "Subnets to run in; none for no VPC."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.vpc_subnet_ids : can(regex("^subnet-[0-9a-z]+$", id))])
    error_message = "Each of vpc_subnet_ids is a subnet's id, such as subnet-0a1b2c3d."
  }
}

variable "vpc_security_group_ids" {
  description = "Security groups in the VPC. Required with vpc_subnet_ids."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = (length(var.vpc_subnet_ids) == 0) == (length(var.vpc_security_group_ids) == 0)
    error_message = "vpc_subnet_ids and vpc_security_group_ids are given together, or neither is."
  }
  validation {
    condition     = alltrue([for id in var.vpc_security_group_ids : can(regex("^sg-[0-9a-z]+$", id))])
    error_message = "Each of vpc_security_group_ids is a security group's id, such as sg-0a1b2c3d."
  }
}

variable "environment" {
  description = "Further settings, by their names: GATEWARD_LOG, GATEWARD_VAULT_AWS_REGION and so on. No secrets: whoever reads the function's configuration reads them. A name that does not begin with GATEWARD_ means nothing to the gateway, and its change puts new instances in the place of those that run: the version of a secret that was given by its ARN, say."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z][A-Za-z0-9_]*$", name))])
    error_message = "Each name in environment begins with a letter, and has letters, digits and _."
  }
  validation {
    condition = length(setintersection(keys(var.environment), [
      "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
      "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
      "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN",
      "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
    ])) == 0
    error_message = "environment has a name that Lambda keeps for itself, such as AWS_REGION: the region and the credentials are the function's own."
  }
  validation {
    condition = length(setintersection(keys(var.environment), [
      "CUSTOMER_FRAGMENTS", "GATEWARD_ADMIN_ACCESS_ID", "GATEWARD_ADMIN_ACCESS_ID_TYPE", "GATEWARD_ADMIN_ACCESS_KEY",
      "GATEWARD_ADMIN_BOUND_ARNS", "GATEWARD_ADMIN_BOUND_AWS_ACCOUNTS", "GATEWARD_ALLOWED_ACCESS_PERMISSIONS",
      "GATEWARD_CUSTOMER_FRAGMENTS", "GATEWARD_CUSTOMER_FRAGMENTS_FILE", "GATEWARD_DEFAULT_CUSTOMER_FRAGMENT", "GATEWARD_DYNAMODB_TABLE", "GATEWARD_EVENTS_BUS", "GATEWARD_REVOCATION_QUEUE",
      "GATEWARD_ROOT_KEY", "GATEWARD_ROOT_KEY_FILE", "GATEWARD_ROOT_KEY_KMS", "GATEWARD_STORE",
      "SECRET_VERSIONS",
    ])) == 0
    error_message = "environment has a setting that this module makes of its own variables (admin_access_key, customer_fragments, events_bus_arn, ...): give that variable, which keeps secrets out of the environment."
  }
}

variable "readable_secret_arns" {
  description = "Secrets that references may name through the aws vault."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.readable_secret_arns : can(regex(local.secret_arn, arn))])
    error_message = "Each of readable_secret_arns is the ARN of a secret, such as arn:aws:secretsmanager:us-east-2:123456789012:secret:database-*."
  }
}

variable "secret_kms_key_arns" {
  description = "The KMS keys of your own under which Secrets Manager keeps what the function reads: admin_access_key_secret_arn, customer_fragments_secret_arn, readable_secret_arns. What is kept under aws/secretsmanager needs none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.secret_kms_key_arns : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]+:key/.+$", arn))])
    error_message = "Each of secret_kms_key_arns is the ARN of a KMS key, such as arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab: an alias does not do."
  }
}

variable "invocable_function_arns" {
  description = "Functions that routes may invoke by name."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.invocable_function_arns : can(regex("^arn:[^:]+:lambda:[^:]+:[0-9]{12}:function:[^:]+$", arn))])
    error_message = "Each of invocable_function_arns is the ARN of a function without a version, such as arn:aws:lambda:us-east-2:123456789012:function:orders."
  }
}

variable "assumable_role_arns" {
  description = "Roles that plugins, vaults and producers may assume."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.assumable_role_arns : can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "Each of assumable_role_arns is the ARN of a role, such as arn:aws:iam::123456789012:role/reader."
  }
}

variable "events_bus_arn" {
  description = "The ARN of an EventBridge bus that hears of each change of a credential's state and of a producer's; none for no events."
  type        = string
  default     = ""
  nullable    = false

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
  nullable    = false
}

variable "cloudwatch_log_group_lambda_name" {
  description = "The log group that the function writes to."
  type        = string
  default     = "akeyless-serverless-gateway-lambda-log-group"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_/.#-]{1,512}$", var.cloudwatch_log_group_lambda_name))
    error_message = "cloudwatch_log_group_lambda_name is letters, digits, or _ / . # -."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept; 0 for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days is one of what CloudWatch has: 0 (for ever), 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

# --- the API -------------------------------------------------------------------------------------------------------

variable "api_gw_name" {
  description = "The name of the REST API."
  type        = string
  default     = "akeyless-serverless-gateway-api-gateway"
  nullable    = false
}

variable "api_gw_desc" {
  description = "What the REST API is, for people."
  type        = string
  default     = "The API of the serverless gateway"
  nullable    = false
}

variable "api_gw_tags" {
  description = "Tags of the REST API."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "api_gw_deploy_stage_name" {
  description = "The name of the stage, with which every path of the URL begins."
  type        = string
  default     = "default"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.api_gw_deploy_stage_name))
    error_message = "api_gw_deploy_stage_name is letters, digits, - and _."
  }
}

variable "api_gw_authorization" {
  description = "Who may call the API before the gateway is asked: NONE (the gateway authenticates), or AWS_IAM (only calls that are signed with credentials of this account)."
  type        = string
  default     = "NONE"
  nullable    = false

  validation {
    condition     = contains(["NONE", "AWS_IAM"], var.api_gw_authorization)
    error_message = "api_gw_authorization is NONE or AWS_IAM."
  }
}

variable "api_gw_allowed_cidrs" {
  description = "Address ranges that may call the API; none for all."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for range in var.api_gw_allowed_cidrs : can(cidrhost(range, 0))])
    error_message = "api_gw_allowed_cidrs are address ranges such as 203.0.113.0/24."
  }
}

variable "api_gw_vpc_endpoint_ids" {
  description = "VPC endpoints of execute-api: with them the API is private, and can be called through them only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.api_gw_vpc_endpoint_ids : can(regex("^vpce-[0-9a-z]+$", id))])
    error_message = "Each of api_gw_vpc_endpoint_ids is the id of an endpoint, such as vpce-0a1b2c3d."
  }
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
  nullable    = false
}

variable "cloudwatch_event_rule_description" {
  description = "What the schedule is, for people."
  type        = string
  default     = "Revokes each credential whose time is over"
  nullable    = false
}

variable "cloudwatch_event_rule_schedule" {
  description = "How often it is looked for what is due. Less often than a minute, and credentials are revoked later than promised."
  type        = string
  default     = "rate(1 minute)"
  nullable    = false

  validation {
    condition     = can(regex("^(rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)|cron\\([^()]+\\))$", var.cloudwatch_event_rule_schedule))
    error_message = "cloudwatch_event_rule_schedule is rate(1 minute), rate(5 minutes) or cron(...), as EventBridge writes them."
  }
}

# --- what lasts ----------------------------------------------------------------------------------------------------

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted. Switch it off, and apply, before `terraform destroy`."
  type        = bool
  default     = true
  nullable    = false
}

variable "key_deletion_window_days" {
  description = "Days between the destruction of the key and its end, in which it can be brought back."
  type        = number
  default     = 30
  nullable    = false

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
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.ecr_repo_name)) && length(var.ecr_repo_name) > 1
    error_message = "ecr_repo_name is lower case letters and digits, with . _ / - between them."
  }
}

variable "ecr_tags" {
  description = "Tags of the repository."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "ecr_force_delete" {
  description = "Whether the repository is deleted with the images in it."
  type        = bool
  default     = false
  nullable    = false
}
