//! `create-secret`, `get-secret-value`, `update-secret-val`, `rollback-secret`.

use clap::Args;
use serde_json::Value;

use super::super::secret_flag::{NewValue, NextValue, SecretFlag};
use super::{Body, Common, OneCall};

/// `create-secret`.
#[derive(Clone, Debug, Args)]
pub struct CreateSecret {
    /// The name of the secret, with its folders: /databases/orders/password
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    value: SecretFlag<NewValue>,
    /// What the value is: text, json, or key-value (a JSON object of texts)
    #[arg(short, long, value_parser = ["text", "json", "key-value"], default_value = "text", hide_possible_values = true)]
    format: String,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// A tag; may be repeated
    #[arg(short, long)]
    tag: Vec<String>,
    /// What seals the value besides: a customer fragment's id (cf-…), or a key that stands for one
    #[arg(short = 'k', long, alias = "protection_key", value_name = "KEY")]
    protection_key: Option<String>,
    /// How many versions are kept, from 1 to 20 [default: 20]
    #[arg(long, value_name = "NUMBER")]
    max_versions: Option<u64>,
    /// Whether deletion is refused
    #[arg(long, alias = "delete_protection", value_name = "true|false", hide_possible_values = true)]
    delete_protection: Option<bool>,
    #[command(flatten)]
    common: Common,
}

/// `get-secret-value`.
#[derive(Clone, Debug, Args)]
pub struct GetSecretValue {
    /// The secret; may be repeated
    #[arg(short, long, required = true)]
    name: Vec<String>,
    /// Which version: 0 is the newest, -3 asks for the newest three
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    version: Option<i64>,
    /// There is no cache to ignore.
    #[arg(long, value_name = "true|false", hide = true)]
    ignore_cache: Option<bool>,
    #[command(flatten)]
    common: Common,
}

/// `update-secret-val`.
#[derive(Clone, Debug, Args)]
pub struct UpdateSecretVal {
    /// The secret
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    value: SecretFlag<NextValue>,
    /// What the value is: text, json, or key-value [default: what it was]
    #[arg(short, long, value_parser = ["text", "json", "key-value"], hide_possible_values = true)]
    format: Option<String>,
    /// Whether the value before stays a version [default: true]
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    keep_prev_version: Option<bool>,
    /// What seals this value and later ones besides: a customer fragment's id (cf-…), or a key
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// Only if this is the newest version so far
    #[arg(long, value_name = "NUMBER")]
    last_version: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// `rollback-secret`.
#[derive(Clone, Debug, Args)]
pub struct RollbackSecret {
    /// The secret
    #[arg(short, long)]
    name: String,
    /// The version whose value becomes the newest, as a version of its own
    #[arg(long, value_name = "NUMBER")]
    old_version: u64,
    #[command(flatten)]
    common: Common,
}

impl OneCall for CreateSecret {
    fn operation(&self) -> &'static str {
        "create-secret"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("value", self.value.expose())
            .with("type", "generic")
            .with("format", self.format.as_str())
            .maybe("description", self.description.as_deref())
            .list("tags", &self.tag)
            .maybe("protection_key", self.protection_key.as_deref())
            .maybe("max-versions", self.max_versions.map(|versions| versions.to_string()))
            .maybe("delete_protection", self.delete_protection.map(|on| on.to_string()))
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The secret {} was created.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetSecretValue {
    fn operation(&self) -> &'static str {
        "get-secret-value"
    }

    fn body(&self) -> Body {
        Body::default().with("names", self.name.clone()).maybe("version", self.version)
    }

    /// One value is printed as it is, so that a program can take it.
    fn told(&self, answer: &Value) -> Option<String> {
        match self.name.as_slice() {
            [name] => answer[name].as_str().map(str::to_owned),
            _ => None,
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for UpdateSecretVal {
    fn operation(&self) -> &'static str {
        "update-secret-val"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("value", self.value.expose())
            .maybe("format", self.format.as_deref())
            .maybe("keep-prev-version", self.keep_prev_version.map(|keep| keep.to_string()))
            .maybe("key", self.key.as_deref())
            .maybe("last-version", self.last_version)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        Some(format!("The secret {} has a new value, version {}.", self.name, answer["version"]))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for RollbackSecret {
    fn operation(&self) -> &'static str {
        "rollback-secret"
    }

    fn body(&self) -> Body {
        Body::about(&self.name).with("old-version", self.old_version)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        let (old, new) = (self.old_version, &answer["version"]);
        Some(format!("The secret {} has the value of version {old} again, as version {new}.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}
