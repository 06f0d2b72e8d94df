//! The arguments of `dynamic-secret create`, and what is made of those that people paste from elsewhere.

use std::str::FromStr;

use clap::Args;
use gateward_model::ProducerUrl;
use gateward_seal::SecretValue;

use super::Connection;
use super::items::{CreateNative, UnlessCommand};
use super::secret_flag::{Payload, SecretFlag};

/// `dynamic-secret create`, of any kind of producer, as it was said.
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(super) struct SpokenCreate {
    // Ahead of the commands: reading those takes them away.
    #[command(flatten)]
    pub(super) custom: UnlessCommand<SpokenCustom>,
    #[command(subcommand)]
    pub(super) native: Option<CreateNative>,
}

/// `dynamic-secret create custom`, as it was said.
#[derive(Clone, Debug, Args)]
pub(super) struct SpokenCustom {
    /// `custom`, which may be left out
    #[arg(value_parser = ["custom"], hide_possible_values = true)]
    kind: Option<String>,
    /// The name of the dynamic secret, with its folders: /databases/orders
    #[arg(short, long)]
    name: String,
    /// Called for each credential
    #[arg(long, value_name = "URL", required = true)]
    create_sync_url: SyncUrl,
    /// Called when credentials must go
    #[arg(long, value_name = "URL", required = true)]
    revoke_sync_url: Vec<SyncUrl>,
    /// Called to replace the payload
    #[arg(long, value_name = "URL")]
    rotate_sync_url: Option<SyncUrl>,
    #[command(flatten)]
    payload: SecretFlag<Payload>,
    /// Seconds that one call of the producer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_sec: u64,
    /// How long a credential lives: 90s, 60m, 1h30m
    #[arg(long, value_name = "DURATION", default_value = "60m")]
    user_ttl: String,
    /// How many of its credentials may live at once; 0 is no bound
    #[arg(long, alias = "max_leases", value_name = "NUMBER")]
    max_leases: Option<u64>,
    /// A tag; may be repeated
    #[arg(short, long)]
    tag: Vec<String>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// Whether deletion is refused
    #[arg(long, alias = "delete_protection", value_name = "true|false", hide_possible_values = true)]
    delete_protection: Option<bool>,
    #[command(flatten)]
    akeyless: Akeyless,
    /// Print the gateway's answer, as JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What commands written for Akeyless may say besides. It goes to the gateway as it is, which knows what it can do.
#[derive(Clone, Debug, Default, Args)]
pub struct Akeyless {
    /// What seals the payload besides: a customer fragment's id (cf-…), or a key that stands for one
    #[arg(long, value_name = "KEY")]
    pub producer_encryption_key_name: Option<String>,
    /// Have the payload rotated by itself
    #[arg(
        long = "enable_admin_rotation",
        alias = "enable-admin-rotation",
        value_name = "true|false",
        num_args = 0..=1,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    pub enable_admin_rotation: Option<bool>,
    /// How often it is, from 1 to 365
    #[arg(
        long = "admin_rotation_interval_days",
        alias = "admin-rotation-interval-days",
        value_name = "DAYS"
    )]
    pub admin_rotation_interval_days: Option<u64>,
}

/// `dynamic-secret create`.
#[derive(Clone, Debug)]
pub struct Create {
    /// The dynamic secret's name.
    pub name: String,
    /// Called for each credential.
    pub create_sync_url: String,
    /// Called when credentials must go.
    pub revoke_sync_url: String,
    /// Called to replace the payload.
    pub rotate_sync_url: Option<String>,
    /// What the producer gets with every call.
    pub payload: Option<SecretValue>,
    /// How long one call may take.
    pub timeout_sec: u64,
    /// How long a credential lives, as Go writes it.
    pub user_ttl: String,
    /// How many credentials may live at once.
    pub max_leases: Option<u64>,
    /// For people.
    pub tags: Vec<String>,
    /// For people.
    pub description: Option<String>,
    /// Whether deletion is refused.
    pub delete_protection: Option<bool>,
    /// What only some gateways can do.
    pub akeyless: Akeyless,
    /// Whether to print the gateway's answer.
    pub json: bool,
    /// Which gateway.
    pub connection: Connection,
}

/// A producer's URL: the text as it was written, unless it had to be put right.
#[derive(Clone, Debug)]
struct SyncUrl {
    text: String,
    /// The text that was put right: it had its port after its path.
    put_right: Option<String>,
}

impl SpokenCustom {
    /// What was meant, and what of it is a guess; or what is wrong with it.
    pub(super) fn understand(self) -> Result<(Create, Vec<String>), String> {
        let mut warnings = Vec::new();
        let mut revoke_urls = self.revoke_sync_url.into_iter();
        let revoke = revoke_urls.next().ok_or("--revoke-sync-url is missing")?;
        let rotate = match (revoke_urls.next(), self.rotate_sync_url) {
            (Some(_), Some(_)) => {
                return Err("--revoke-sync-url is given twice, and --rotate-sync-url too".to_owned());
            }
            (Some(second), None) => {
                warnings.push(
                    "--revoke-sync-url is given twice; the second is taken for --rotate-sync-url".to_owned(),
                );
                Some(second)
            }
            (None, rotate) => rotate,
        };
        if revoke_urls.next().is_some() {
            return Err("--revoke-sync-url is given more than twice".to_owned());
        }
        for url in [Some(&self.create_sync_url), Some(&revoke), rotate.as_ref()].into_iter().flatten() {
            if let Some(written) = &url.put_right {
                warnings.push(format!(
                    "the port stands after the path in {written}; it is taken for {}",
                    url.text
                ));
            }
        }
        let create = Create {
            name: self.name,
            create_sync_url: self.create_sync_url.text,
            revoke_sync_url: revoke.text,
            rotate_sync_url: rotate.map(|url| url.text),
            payload: self.payload.get().cloned(),
            timeout_sec: self.timeout_sec,
            user_ttl: self.user_ttl,
            max_leases: self.max_leases,
            tags: self.tag,
            description: self.description,
            delete_protection: self.delete_protection,
            akeyless: self.akeyless,
            json: self.json,
            connection: self.connection,
        };
        Ok((create, warnings))
    }
}

impl FromStr for SyncUrl {
    type Err = gateward_model::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let understood = ProducerUrl::parse(text)?;
        let as_written = url::Url::parse(text).ok();
        // A URL keeps its path unless its port was found there.
        let was_put_right = as_written.is_some_and(|written| written.path() != understood.url().path());
        Ok(if was_put_right {
            Self { text: understood.to_string(), put_right: Some(text.to_owned()) }
        } else {
            Self { text: text.to_owned(), put_right: None }
        })
    }
}

pub(super) const AFTER_HELP: &str = "\
The word `custom` may be left out; `postgresql` and `aws` have flags of their own, which their --help lists. The producer
is called twice before the dynamic secret is created, for a credential and to revoke it, to see that it works.

Example:
  gateward dynamic-secret create --name /databases/orders \\
    --create-sync-url http://localhost:7070/sync/create --revoke-sync-url http://localhost:7070/sync/revoke

Without a token it logs in first, as the administrator whom GATEWARD_ADMIN_ACCESS_ID and GATEWARD_ADMIN_ACCESS_KEY name,
or else as the one whom `gateward dev` keeps in .gateward/admin.json.";
