//! `dynamic-secret update`, `get` and `list`, and `tmp-creds update`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::super::secret_flag::{Payload, SecretFlag};
use super::native::{UnlessCommand, UpdateNative};
use super::{Body, Common, OneCall};

/// `dynamic-secret update`, of any kind of producer.
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub struct SpokenUpdate {
    // Ahead of the commands: reading those takes them away.
    #[command(flatten)]
    custom: UnlessCommand<UpdateSecret>,
    #[command(subcommand)]
    native: Option<UpdateNative>,
}

/// `dynamic-secret update custom`.
#[derive(Clone, Debug, Args)]
pub struct UpdateSecret {
    /// `custom`, which may be left out
    #[arg(value_parser = ["custom"], hide_possible_values = true)]
    kind: Option<String>,
    /// The dynamic secret
    #[arg(short, long)]
    name: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    new_name: Option<String>,
    /// Called for each credential
    #[arg(long, value_name = "URL")]
    create_sync_url: Option<String>,
    /// Called when credentials must go
    #[arg(long, value_name = "URL")]
    revoke_sync_url: Option<String>,
    /// Called to replace the payload
    #[arg(long, value_name = "URL")]
    rotate_sync_url: Option<String>,
    #[command(flatten)]
    payload: SecretFlag<Payload>,
    /// Seconds that one call of the producer may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_sec: Option<u64>,
    /// How long a credential lives: 90s, 60m, 1h30m
    #[arg(long, value_name = "DURATION")]
    user_ttl: Option<String>,
    /// How many of its credentials may live at once; 0 is no bound
    #[arg(long, alias = "max_leases", value_name = "NUMBER")]
    max_leases: Option<u64>,
    /// The tags, in place of those that it has; may be repeated
    #[arg(short, long)]
    tag: Vec<String>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// Whether deletion is refused
    #[arg(long, alias = "delete_protection", value_name = "true|false", hide_possible_values = true)]
    delete_protection: Option<bool>,
    /// Whether the payload is rotated by itself
    #[arg(long, alias = "enable_admin_rotation", value_name = "true|false", num_args = 0..=1, default_missing_value = "true", hide_possible_values = true)]
    enable_admin_rotation: Option<bool>,
    /// How often it is, from 1 to 365
    #[arg(long, alias = "admin_rotation_interval_days", value_name = "DAYS")]
    admin_rotation_interval_days: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// `dynamic-secret get`.
#[derive(Clone, Debug, Args)]
pub struct GetSecret {
    /// The dynamic secret
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `dynamic-secret list`.
#[derive(Clone, Debug, Args)]
pub struct ListSecrets {
    #[command(flatten)]
    common: Common,
}

/// `dynamic-secret tmp-creds update`.
#[derive(Clone, Debug, Args)]
pub struct RenewTmpCreds {
    /// The dynamic secret
    #[arg(short, long)]
    name: String,
    /// The credential, by the id that `tmp-creds get` lists
    #[arg(short = 'i', long, value_name = "ID")]
    tmp_creds_id: String,
    /// Minutes from now on; at most what the dynamic secret gives
    #[arg(short = 't', long, value_name = "MINUTES")]
    new_ttl_min: u64,
    /// A linked target's host; the gateway knows whether there is one.
    #[arg(long, hide = true)]
    host: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl SpokenUpdate {
    /// The call that was meant.
    pub(super) fn call(self) -> Option<Box<dyn OneCall>> {
        match (self.native, self.custom.0) {
            (Some(native), _) => Some(native.call()),
            (None, custom) => custom.map(|custom| Box::new(custom) as Box<dyn OneCall>),
        }
    }
}

impl OneCall for UpdateSecret {
    fn operation(&self) -> &'static str {
        "dynamic-secret-update-custom"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("new-name", self.new_name.as_deref())
            .maybe("create-sync-url", self.create_sync_url.as_deref())
            .maybe("revoke-sync-url", self.revoke_sync_url.as_deref())
            .maybe("rotate-sync-url", self.rotate_sync_url.as_deref())
            .maybe("payload", self.payload.expose())
            .maybe("timeout-sec", self.timeout_sec)
            .maybe("user-ttl", self.user_ttl.as_deref())
            .maybe("max-leases", self.max_leases)
            .list("tags", &self.tag)
            .maybe("description", self.description.as_deref())
            .maybe("delete_protection", self.delete_protection.map(|on| on.to_string()))
            .maybe("enable-admin-rotation", self.enable_admin_rotation)
            .maybe("admin-rotation-interval-days", self.admin_rotation_interval_days)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The dynamic secret {} was changed.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }

    /// The gateway calls the producer twice before it answers, each time for as long as it may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout_sec.unwrap_or(900)) * 2 + Duration::from_secs(30)
    }
}

impl OneCall for GetSecret {
    fn operation(&self) -> &'static str {
        "dynamic-secret-get"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for ListSecrets {
    fn operation(&self) -> &'static str {
        "dynamic-secret-list"
    }

    fn body(&self) -> Body {
        Body::default()
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for RenewTmpCreds {
    fn operation(&self) -> &'static str {
        "dynamic-secret-tmp-creds-update"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .with("tmp-creds-id", self.tmp_creds_id.as_str())
            .with("new-ttl-min", self.new_ttl_min)
            .with("host", self.host.as_deref().unwrap_or_default())
    }

    fn told(&self, answer: &Value) -> Option<String> {
        let until = answer["expires_at"].as_str()?;
        Some(format!("The credential {} of {} lives until {until}.", self.tmp_creds_id, self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}
