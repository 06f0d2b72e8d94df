//! The arguments of the commands that ask a running gateway, and of `vault get`, which sometimes does.

use clap::{ArgGroup, Args};
use gateward_seal::SecretValue;

use super::secret_flag::{AccessKey, SecretFlag};
use crate::client::GatewayUrl;

/// Which gateway is asked, and as whom.
#[derive(Clone, Debug, Default, Args)]
pub struct Connection {
    /// Which gateway.
    #[command(flatten)]
    pub at: At,
    /// A token that `gateward auth` printed [env: GATEWARD_TOKEN]
    #[arg(long)]
    pub token: Option<SecretValue>,
}

/// Which gateway is asked.
#[derive(Clone, Debug, Default, Args)]
pub struct At {
    /// The gateway's control address [env: GATEWARD_GATEWAY_URL] [default: http://localhost:8000]
    #[arg(short = 'u', long, value_name = "URL")]
    pub gateway_url: Option<GatewayUrl>,
    /// As whom to log in: a profile that `gateward configure` keeps
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// `vault get`.
#[derive(Clone, Debug, Args)]
pub struct VaultGet {
    /// {vault://name/secret/field}, or name/secret/field for short
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
    /// Print {"reference": ..., "value": ...} in place of the value alone
    #[arg(long)]
    pub json: bool,
    /// Which gateway knows the vault.
    #[command(flatten)]
    pub connection: Connection,
}

/// `vault list`.
#[derive(Clone, Debug, Args)]
pub struct VaultList {
    /// Print the vaults as a JSON list on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

/// `vault test`.
#[derive(Clone, Debug, Args)]
pub struct VaultTest {
    /// {vault://name/secret/field}, or name/secret/field for short
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
    /// Print the gateway's answer, as JSON on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

/// `auth`.
#[derive(Clone, Debug, Args)]
pub struct Auth {
    /// Who logs in [env: GATEWARD_ADMIN_ACCESS_ID]
    #[arg(long, value_name = "ID")]
    pub access_id: Option<String>,
    /// The access key.
    #[command(flatten)]
    pub access_key: SecretFlag<AccessKey>,
    /// How to log in: access_key (api_key is the same), or aws_iam with the AWS credentials of this machine
    #[arg(long, value_name = "TYPE", value_parser = ["access_key", "api_key", "aws_iam"], default_value = "access_key", hide_possible_values = true)]
    pub access_type: String,
    /// With aws_iam: what get-cloud-identity printed, on another machine perhaps
    #[arg(long, value_name = "CLOUD_ID")]
    pub cloud_id: Option<SecretValue>,
    /// With aws_iam: whom the login is for, where the gateway asks that (its setting aws_iam_server_id)
    #[arg(long, value_name = "ID")]
    pub server_id: Option<String>,
    /// Print {"token": ...} in place of the token alone
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub at: At,
}

impl Auth {
    /// Whether it is a login by AWS.
    pub fn is_aws(&self) -> bool {
        self.access_type == "aws_iam"
    }

    /// What does not go together.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.is_aws() {
            return self
                .access_key
                .get()
                .is_some()
                .then_some("--access-key has no meaning with --access-type aws_iam");
        }
        if self.cloud_id.is_some() || self.server_id.is_some() {
            return Some("--cloud-id and --server-id go with --access-type aws_iam");
        }
        let halves = self.access_id.is_some() != self.access_key.get().is_some();
        halves.then_some("--access-id and --access-key go together")
    }
}

/// `dynamic-secret delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteItem {
    /// The dynamic secret
    #[arg(short, long)]
    pub name: String,
    /// Print the gateway's answer, as JSON on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

/// `get-dynamic-secret-value`.
#[derive(Clone, Debug, Args)]
pub struct GetValue {
    /// The dynamic secret
    #[arg(short, long)]
    pub name: String,
    /// Input for the producer: name=value, or a JSON object; may be repeated
    #[arg(long, value_name = "INPUT", allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// A linked target's host; the gateway knows whether there is one.
    #[arg(long, hide = true)]
    pub host: Option<String>,
    /// A linked target; the gateway knows whether there is one.
    #[arg(long, hide = true)]
    pub target: Option<String>,
    /// How long the credential is to live, at most as long as the dynamic secret gives: 90s, 10m
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// The same key again gives the same credential, as long as it lives
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Seconds to wait for the credential
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Print the JSON on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

/// `dynamic-secret tmp-creds get`.
#[derive(Clone, Debug, Args)]
pub struct GetTmpCreds {
    /// The dynamic secret
    #[arg(short, long)]
    pub name: String,
    /// Print the JSON on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

/// `dynamic-secret tmp-creds delete`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct RevokeTmpCreds {
    /// The dynamic secret
    #[arg(short, long)]
    pub name: String,
    /// The credential to revoke, by the id that `tmp-creds get` lists
    #[arg(short = 'i', long, value_name = "ID", group = "which")]
    pub tmp_creds_id: Option<String>,
    /// Revoke all credentials of the dynamic secret
    #[arg(long, group = "which")]
    pub revoke_all: bool,
    /// A linked target's host; the gateway knows whether there is one.
    #[arg(long, hide = true)]
    pub host: Option<String>,
    /// Forget without revoking; the gateway knows whether it does that.
    #[arg(long, hide = true)]
    pub soft_delete: bool,
    /// Print the gateway's answer, as JSON on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

pub(super) const AFTER_HELP_VAULT_GET: &str = "\
With --gateway-url that gateway reads the reference, and whoever asks needs its permission to read values. Without it the
reference is read here, with the environment of this command: a backend such as `env` or `aws` is asked at once; any other
name is a vault's prefix, whose settings the gateway of GATEWARD_GATEWAY_URL is asked for first.

Examples:
  gateward vault get '{vault://aws/database/password}'
  gateward vault get env/db-password
  gateward vault get team/db/password --gateway-url http://localhost:8000";

pub(super) const AFTER_HELP_AUTH: &str = "\
Without --access-id it logs in by --profile, as the administrator whom GATEWARD_ADMIN_ACCESS_ID and GATEWARD_ADMIN_ACCESS_KEY
(or GATEWARD_ADMIN_ACCESS_ID_TYPE=aws_iam) name, as the one whom `gateward dev` keeps in .gateward/admin.json, or by the profile
`default`: the first that there is.

Examples:
  gateward auth --access-id p-1234 --access-key …
  gateward auth --access-id p-1234 --access-type aws_iam --json";

pub(super) const AFTER_HELP_TOKEN: &str = "\
Without a token it logs in first, as the administrator whom GATEWARD_ADMIN_ACCESS_ID and GATEWARD_ADMIN_ACCESS_KEY name,
or else as the one whom `gateward dev` keeps in .gateward/admin.json.";
