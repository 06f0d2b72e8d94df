# Write-only arguments, which keep secrets out of the state, came with Terraform 1.11 and the provider's 5.88.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7"
    }
  }
}
