# Secrets that were given to this module: each in Secrets Manager, written by an argument that the state does not keep.
#
# What the state does keep of a value is a number made of its hash, so that a new value is noticed.

locals {
  keeps_fragments = nonsensitive(local.has_fragments)
  fragments_json  = jsonencode({ customer_fragments = local.customer_fragments })
  keeps_admin_key = nonsensitive(var.admin_access_key != "")
}

resource "aws_secretsmanager_secret" "admin_access_key" {
  count       = local.keeps_admin_key ? 1 : 0
  name_prefix = "${var.lambda_func_name}-admin-access-key-"
  description = "The access key of the gateway's administrator"
  tags        = var.lambda_tags
}

resource "aws_secretsmanager_secret_version" "admin_access_key" {
  count                    = local.keeps_admin_key ? 1 : 0
  secret_id                = aws_secretsmanager_secret.admin_access_key[0].id
  secret_string_wo         = var.admin_access_key
  secret_string_wo_version = nonsensitive(parseint(substr(sha256(var.admin_access_key), 0, 7), 16))
}

resource "aws_secretsmanager_secret" "customer_fragments" {
  count       = local.keeps_fragments ? 1 : 0
  name_prefix = "${var.lambda_func_name}-customer-fragments-"
  description = "The customer fragments of the gateway"
  tags        = var.lambda_tags
}

resource "aws_secretsmanager_secret_version" "customer_fragments" {
  count                    = local.keeps_fragments ? 1 : 0
  secret_id                = aws_secretsmanager_secret.customer_fragments[0].id
  secret_string_wo         = local.fragments_json
  secret_string_wo_version = nonsensitive(parseint(substr(sha256(local.fragments_json), 0, 7), 16))
}
