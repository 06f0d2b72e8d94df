# A serverless gateway, whole: set the values in terraform.tfvars, then `terraform init` and `terraform apply`.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7"
    }
  }
}

provider "aws" {
  profile = var.aws_profile
  region  = var.region
}

module "gateway" {
  source = "../.."

  admin_access_id_type       = var.admin_access_id_type
  admin_access_id            = var.admin_access_id
  admin_access_key           = var.admin_access_key
  admin_bound_arns           = var.admin_bound_arns
  admin_bound_aws_accounts   = var.admin_bound_aws_accounts
  allowed_access_permissions = var.allowed_access_permissions
  customer_fragments         = var.customer_fragments
  default_customer_fragment  = var.default_customer_fragment
  environment                = var.environment
  readable_secret_arns       = var.readable_secret_arns
  invocable_function_arns    = var.invocable_function_arns
  assumable_role_arns        = var.assumable_role_arns
  lambda_timeout             = var.lambda_timeout
  events_bus_arn             = var.events_bus_arn
  api_gw_authorization       = var.api_gw_authorization
  api_gw_allowed_cidrs       = var.api_gw_allowed_cidrs
  api_gw_vpc_endpoint_ids    = var.api_gw_vpc_endpoint_ids
  vpc_subnet_ids             = var.vpc_subnet_ids
  vpc_security_group_ids     = var.vpc_security_group_ids
  api_gw_name                = var.api_gw_name
  lambda_func_name           = var.lambda_func_name
  package_type               = var.package_type
  package_file               = var.package_file
  image_tag                  = var.image_tag
  lambda_architecture        = var.lambda_architecture
  deletion_protection        = var.deletion_protection
}
