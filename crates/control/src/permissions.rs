//! What each call takes of whoever makes it: the one place where that is said.
//!
//! A call of the Akeyless API that is not named here is the administrator's, and a test fails until it is named: whoever
//! adds one decides who else may make it. Routes and vaults are the administrator's as well, to read and to write: whoever writes a route can send any secret
//! that a reference names to a place of his own.

use gateward_access::{Need, Permission};

/// What routes, upstreams, vaults and the like take.
pub(crate) const RESOURCES: Need = Need::Admin;
/// What metrics take.
pub(crate) const METRICS: Need = Need::Any(&[Permission::General]);
/// What it takes to see how it stands with references.
pub(crate) const REFERENCES: Need = Need::Any(&[Permission::VaultValues, Permission::General]);
/// What it takes to read the value of a reference.
pub(crate) const VAULT_VALUES: Need = Need::Any(&[Permission::VaultValues]);

/// What a call of the Akeyless API takes, and what it does.
pub(crate) fn of_call(call: &str) -> (Need, Does) {
    line(call).unwrap_or((Need::Admin, Does::Change))
}

fn line(call: &str) -> Option<(Need, Does)> {
    use Does::{Change, Look, Reveal};
    let dynamic = Need::Any(&[Permission::DynamicSecret]);
    let rotated = Need::Any(&[Permission::RotatedSecret]);
    let fixed = Need::Any(&[Permission::StaticSecret]);
    let targets = Need::Any(&[Permission::Targets]);
    Some(match call {
        "dynamic-secret-create-custom"
        | "gateway-create-producer-custom"
        | "dynamic-secret-update-custom"
        | "gateway-update-producer-custom"
        | "dynamic-secret-create-postgresql"
        | "gateway-create-producer-postgresql"
        | "dynamic-secret-update-postgresql"
        | "gateway-update-producer-postgresql"
        // By the gateway's own identity they are the administrator's: `akeyless::native` looks.
        | "dynamic-secret-create-aws"
        | "gateway-create-producer-aws"
        | "dynamic-secret-update-aws"
        | "gateway-update-producer-aws"
        | "gateway-start-producer"
        | "gateway-stop-producer"
        | "dynamic-secret-delete"
        | "gateway-delete-producer"
        | "dynamic-secret-tmp-creds-delete"
        | "dynamic-secret-tmp-creds-update"
        | "gateway-update-producer-tmp-creds"
        | "gateway-revoke-producer-tmp-creds" => (dynamic, Change),
        "get-dynamic-secret-value" | "dynamic-secret-get-value" => (dynamic, Reveal),
        "dynamic-secret-get"
        | "gateway-get-producer"
        | "dynamic-secret-list"
        | "gateway-list-producers"
        | "dynamic-secret-tmp-creds-get"
        | "gateway-get-producer-tmp-creds" => (dynamic, Look),
        "create-secret" | "update-secret-val" | "rollback-secret" => (fixed, Change),
        "get-secret-value" => (fixed, Reveal),
        "list-items" | "describe-item" | "get-tags" => (Need::Any(ITEMS), Look),
        // They take items of all kinds.
        "delete-item" | "update-item" | "set-item-state" | "move-objects" => (Need::All(ITEMS), Change),
        "target-create-web" | "create-web-target" | "target-update-web" | "update-web-target"
        | "target-delete" | "delete-target" => (targets, Change),
        "target-get-details" | "get-target-details" => (targets, Reveal),
        "target-get" | "get-target" | "target-list" | "list-targets" => (targets, Look),
        "rotated-secret-create-custom" | "rotated-secret-update-custom" | "rotated-secret-delete" => {
            (rotated, Change)
        }
        "rotated-secret-get-value" | "get-rotated-secret-value" => (rotated, Reveal),
        "rotated-secret-list" => (rotated, Look),
        "gateway-rotate-secret" | "rotate-secret" => {
            (Need::Any(&[Permission::RotateSecretValue, Permission::RotatedSecret]), Change)
        }
        "gateway-get-config" => (Need::Any(&[Permission::General]), Look),
        "gateway-list-customer-fragments" => (Need::Any(&[Permission::ZeroKnowledgeEncryption]), Look),
        "create-dfc-key" => (Need::Any(&[Permission::ZeroKnowledgeEncryption]), Change),
        "describe-permissions" | "describe-sub-claims" => (Need::Login, Look),
        "lease-report"
        | "gateway-get-allowed-access"
        | "auth-method-get"
        | "get-auth-method"
        | "auth-method-list"
        | "list-auth-methods" => (Need::Admin, Look),
        "auth-method-create-api-key" | "create-auth-method" | "reset-access-key" => (Need::Admin, Reveal),
        "auth-method-create-aws-iam"
        | "create-auth-method-aws-iam"
        | "auth-method-delete"
        | "delete-auth-method"
        | "gateway-create-allowed-access"
        | "gateway-update-allowed-access"
        | "gateway-delete-allowed-access"
        | "lease-abandon"
        | "lease-settle"
        | "lease-let-go" => (Need::Admin, Change),
        // Refused to everybody, and noted all the same.
        "gateway-download-customer-fragments" | "gen-customer-fragment" => {
            (Need::Any(&[Permission::ZeroKnowledgeEncryption]), Reveal)
        }
        _ => return None,
    })
}

/// What a call does, as far as an auditor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// It shows what is no secret.
    Look,
    /// It shows a secret.
    Reveal,
    /// It changes something.
    Change,
}

/// The kinds of items.
pub(crate) const ITEMS: &[Permission] =
    &[Permission::StaticSecret, Permission::DynamicSecret, Permission::RotatedSecret, Permission::Targets];

#[cfg(test)]
mod tests;
