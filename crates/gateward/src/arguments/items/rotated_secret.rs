//! `rotated-secret create custom`, `update custom`, `get-value`, `list` and `delete`, and `gateway-rotate-secret`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::super::secret_flag::{FirstPayload, NextPayload, SecretFlag};
use super::{Body, Common, OneCall, without_default};

/// `rotated-secret create`.
#[derive(Clone, Debug, Args)]
pub struct CreateRotated {
    /// The kind of rotator; `custom` is the only one
    #[arg(value_parser = ["custom"], hide_possible_values = true)]
    kind: Option<String>,
    /// The name of the secret, with its folders
    #[arg(short, long)]
    name: String,
    /// The web target at which it is rotated
    #[arg(long, value_name = "TARGET")]
    target_name: String,
    /// What seals the values besides: a customer fragment's id (cf-…), or a key that stands for one
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    custom_payload: SecretFlag<FirstPayload>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// A tag; may be repeated
    #[arg(short, long)]
    tag: Vec<String>,
    #[command(flatten)]
    schedule: Schedule,
    #[command(flatten)]
    common: Common,
}

/// `rotated-secret update`.
#[derive(Clone, Debug, Args)]
#[command(mut_args(without_default))]
pub struct UpdateRotated {
    /// The kind of rotator; `custom` is the only one
    #[arg(value_parser = ["custom"], hide_possible_values = true)]
    kind: Option<String>,
    /// The rotated secret
    #[arg(short, long)]
    name: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    new_name: Option<String>,
    #[command(flatten)]
    custom_payload: SecretFlag<NextPayload>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// A tag that comes; may be repeated
    #[arg(long, value_name = "TAG")]
    add_tag: Vec<String>,
    /// A tag that goes; may be repeated
    #[arg(long, value_name = "TAG")]
    rm_tag: Vec<String>,
    #[command(flatten)]
    schedule: Schedule,
    #[command(flatten)]
    common: Common,
}

/// What a rotated secret is created with and changed to alike.
#[derive(Clone, Debug, Args)]
struct Schedule {
    /// Whether it is rotated by itself
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", hide_possible_values = true)]
    auto_rotate: Option<bool>,
    /// How often it is, in minutes
    #[arg(long, value_name = "MINUTES")]
    rotation_interval: Option<u64>,
    /// At which hour of the day (UTC), for whole days
    #[arg(long, value_name = "HOUR", value_parser = clap::value_parser!(u8).range(0..=23))]
    rotation_hour: Option<u8>,
    /// Seconds that one call may take [default: 40]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_sec: Option<u64>,
    /// How many versions are kept, from 1 to 20 [default: 20]
    #[arg(long, value_name = "NUMBER")]
    max_versions: Option<u64>,
    /// Whether deletion is refused
    #[arg(long, alias = "delete_protection", value_name = "true|false", hide_possible_values = true)]
    delete_protection: Option<bool>,
}

/// `rotated-secret get-value`, and `get-rotated-secret-value`.
#[derive(Clone, Debug, Args)]
pub struct GetRotatedValue {
    /// The rotated secret
    #[arg(short, long)]
    name: String,
    /// Which version; 0 is the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    version: u64,
    /// There is no cache to ignore.
    #[arg(long, value_name = "true|false", hide = true)]
    ignore_cache: Option<bool>,
    #[command(flatten)]
    common: Common,
}

/// `rotated-secret list`.
#[derive(Clone, Debug, Args)]
pub struct ListRotated {
    #[command(flatten)]
    common: Common,
}

/// `rotated-secret delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteRotated {
    /// The rotated secret
    #[arg(short, long)]
    name: String,
    /// Only this version; -1 is the secret with all of them
    #[arg(long, value_name = "NUMBER", default_value_t = -1, allow_hyphen_values = true)]
    version: i64,
    #[command(flatten)]
    common: Common,
}

/// `gateway-rotate-secret`.
#[derive(Clone, Debug, Args)]
pub struct Rotate {
    /// The rotated secret, or the dynamic secret whose payload is to be rotated
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

impl Schedule {
    fn put(&self, body: Body) -> Body {
        body.maybe("auto-rotate", self.auto_rotate.map(|on| on.to_string()))
            .maybe("rotation-interval", self.rotation_interval.map(|minutes| minutes.to_string()))
            .maybe("rotation-hour", self.rotation_hour)
            .maybe("timeout-sec", self.timeout_sec)
            .maybe("max-versions", self.max_versions.map(|versions| versions.to_string()))
            .maybe("delete_protection", self.delete_protection.map(|on| on.to_string()))
    }
}

impl OneCall for CreateRotated {
    fn operation(&self) -> &'static str {
        "rotated-secret-create-custom"
    }

    fn body(&self) -> Body {
        let body = Body::about(&self.name)
            .with("target-name", self.target_name.as_str())
            .with("authentication-credentials", "use-user-creds")
            .maybe("key", self.key.as_deref())
            .maybe("custom-payload", self.custom_payload.expose())
            .maybe("description", self.description.as_deref())
            .list("tags", &self.tag);
        self.schedule.put(body)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The rotated secret {} was created.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for UpdateRotated {
    fn operation(&self) -> &'static str {
        "rotated-secret-update-custom"
    }

    fn body(&self) -> Body {
        let body = Body::about(&self.name)
            .maybe("new-name", self.new_name.as_deref())
            .maybe("custom-payload", self.custom_payload.expose())
            .maybe("description", self.description.as_deref())
            .list("add-tag", &self.add_tag)
            .list("rm-tag", &self.rm_tag);
        self.schedule.put(body)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The rotated secret {} was changed.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetRotatedValue {
    fn operation(&self) -> &'static str {
        "get-rotated-secret-value"
    }

    fn body(&self) -> Body {
        Body::default().with("names", self.name.as_str()).with("version", self.version)
    }

    /// The value as it is, so that a program can take it.
    fn told(&self, answer: &Value) -> Option<String> {
        answer["value"]["payload"].as_str().map(str::to_owned)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for ListRotated {
    fn operation(&self) -> &'static str {
        "rotated-secret-list"
    }

    fn body(&self) -> Body {
        Body::default()
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DeleteRotated {
    fn operation(&self) -> &'static str {
        "rotated-secret-delete"
    }

    fn body(&self) -> Body {
        Body::about(&self.name).with("version", self.version)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        Some(match answer["version_deleted"].as_i64().unwrap_or(self.version) {
            -1 if self.version != -1 => {
                format!("The rotated secret {} was deleted with its only version.", self.name)
            }
            -1 => format!("The rotated secret {} was deleted.", self.name),
            version => format!("Version {version} of the rotated secret {} was deleted.", self.name),
        })
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for Rotate {
    fn operation(&self) -> &'static str {
        "gateway-rotate-secret"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("{} was rotated.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(930)
    }
}
