//! Gateway permissions: what an identity may do with the parts of a gateway.

use serde::{Deserialize, Serialize};

/// A permission, as the vendor's gateways name them; `vault_values` and `static_secret` are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the parts of a gateway")]
pub enum Permission {
    Acme,
    /// Everything.
    Admin,
    AutomaticMigration,
    Caching,
    ClassicKeys,
    /// The same as `general`.
    Defaults,
    DynamicSecret,
    EventForwarding,
    General,
    Hsm,
    K8sAuth,
    KerberosAuth,
    Kmip,
    LdapAuth,
    LogForwarding,
    RotateSecretValue,
    RotatedSecret,
    Sdr,
    SraConfig,
    StaticSecret,
    Targets,
    /// To read through the gateway, in the clear, what any reference to a vault stands for.
    VaultValues,
    ZeroKnowledgeEncryption,
}

/// What a call needs of whoever makes it. The administrator, and whoever has [`Permission::Admin`], may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To be somebody whom the gateway knows.
    Login,
    /// One of these.
    Any(&'static [Permission]),
    /// Each of these.
    All(&'static [Permission]),
    /// To administer.
    Admin,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Acme,
        Self::Admin,
        Self::AutomaticMigration,
        Self::Caching,
        Self::ClassicKeys,
        Self::Defaults,
        Self::DynamicSecret,
        Self::EventForwarding,
        Self::General,
        Self::Hsm,
        Self::K8sAuth,
        Self::KerberosAuth,
        Self::Kmip,
        Self::LdapAuth,
        Self::LogForwarding,
        Self::RotateSecretValue,
        Self::RotatedSecret,
        Self::Sdr,
        Self::SraConfig,
        Self::StaticSecret,
        Self::Targets,
        Self::VaultValues,
        Self::ZeroKnowledgeEncryption,
    ];

    /// Its name, as it is written in lists of permissions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Admin => "admin",
            Self::AutomaticMigration => "automatic_migration",
            Self::Caching => "caching",
            Self::ClassicKeys => "classic_keys",
            Self::Defaults => "defaults",
            Self::DynamicSecret => "dynamic_secret",
            Self::EventForwarding => "event_forwarding",
            Self::General => "general",
            Self::Hsm => "hsm",
            Self::K8sAuth => "k8s_auth",
            Self::KerberosAuth => "kerberos_auth",
            Self::Kmip => "kmip",
            Self::LdapAuth => "ldap_auth",
            Self::LogForwarding => "log_forwarding",
            Self::RotateSecretValue => "rotate_secret_value",
            Self::RotatedSecret => "rotated_secret",
            Self::Sdr => "sdr",
            Self::SraConfig => "sra_config",
            Self::StaticSecret => "static_secret",
            Self::Targets => "targets",
            Self::VaultValues => "vault_values",
            Self::ZeroKnowledgeEncryption => "zero_knowledge_encryption",
        }
    }

    /// The permission of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Whether whoever has `self` has `wanted`.
    pub fn gives(self, wanted: Self) -> bool {
        let is_general = |permission| matches!(permission, Self::General | Self::Defaults);
        self == Self::Admin || self == wanted || is_general(self) && is_general(wanted)
    }
}

impl Need {
    /// Whether those permissions are enough.
    pub fn is_met_by(self, has: impl Fn(Permission) -> bool) -> bool {
        match self {
            Self::Login => true,
            Self::Any(wanted) => has(Permission::Admin) || wanted.iter().any(|wanted| has(*wanted)),
            Self::All(wanted) => {
                has(Permission::Admin) || !wanted.is_empty() && wanted.iter().all(|wanted| has(*wanted))
            }
            Self::Admin => has(Permission::Admin),
        }
    }
}
