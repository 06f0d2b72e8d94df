//! `dynamic-secret create` and `update`, of the producers that are part of the gateway: `postgresql` and `aws`.
//!
//! The flags are the vendor's. What is not said is left to the gateway: its default, or what stands.

use std::time::Duration;

use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use gateward_seal::SecretValue;
use serde_json::Value;

use super::super::gateway::AFTER_HELP_TOKEN;
use super::super::secret_flag::{AwsSecretKey, PostgresqlPassword, SecretFlag};
use super::{Body, Common, OneCall, without_default};

/// The commands below `dynamic-secret create`.
#[derive(Clone, Debug, Subcommand)]
pub enum CreateNative {
    /// Create a dynamic secret whose credentials are users of a PostgreSQL server
    #[command(after_help = AFTER_HELP_POSTGRESQL)]
    Postgresql(Box<Create<Postgresql>>),
    /// Create a dynamic secret whose credentials are sessions of roles in AWS
    #[command(after_help = AFTER_HELP_AWS)]
    Aws(Box<Create<Aws>>),
}

/// The commands below `dynamic-secret update`.
#[derive(Clone, Debug, Subcommand)]
pub enum UpdateNative {
    /// Change a dynamic secret of PostgreSQL users; what is not said stays
    #[command(after_help = AFTER_HELP_TOKEN)]
    Postgresql(Box<Update<Postgresql>>),
    /// Change a dynamic secret of AWS sessions; what is not said stays
    #[command(after_help = AFTER_HELP_TOKEN)]
    Aws(Box<Update<Aws>>),
}

/// The flags of a command that has commands below it, where none of those was said. (An optional flatten of clap's own is
/// never there if there is another flatten in it.)
#[derive(Clone, Debug)]
pub struct UnlessCommand<T>(pub Option<T>);

impl<T: FromArgMatches> FromArgMatches for UnlessCommand<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_name() {
            Some(_) => Ok(Self(None)),
            None => Ok(Self(Some(T::from_arg_matches(matches)?))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Args> Args for UnlessCommand<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        T::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        T::augment_args_for_update(command)
    }
}

/// A creation, with the flags of one kind of producer.
#[derive(Clone, Debug, Args)]
pub struct Create<K: Args> {
    /// The name of the dynamic secret, with its folders: /databases/orders
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    kind: K,
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    common: Common,
}

/// A change, with the flags of one kind of producer.
#[derive(Clone, Debug, Args)]
#[command(mut_args(without_default))]
pub struct Update<K: Args> {
    /// The dynamic secret
    #[arg(short, long)]
    name: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    new_name: Option<String>,
    #[command(flatten)]
    kind: K,
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    common: Common,
}

/// The flags of PostgreSQL users.
#[derive(Clone, Debug, Args)]
pub struct Postgresql {
    /// The server [default: 127.0.0.1]
    #[arg(long, value_name = "HOST")]
    postgresql_host: Option<String>,
    /// Its port [default: 5432]
    #[arg(long, value_name = "PORT")]
    postgresql_port: Option<u16>,
    /// The database
    #[arg(long, value_name = "NAME")]
    postgresql_db_name: Option<String>,
    /// Who makes the users
    #[arg(long, value_name = "NAME")]
    postgresql_username: Option<String>,
    #[command(flatten)]
    postgresql_password: SecretFlag<PostgresqlPassword>,
    /// Statements that make a user, with {{name}}, {{password}} and {{expiration}}
    #[arg(long, value_name = "SQL")]
    creation_statements: Option<String>,
    /// Statements that remove one, with {{name}} and {{userHost}}
    #[arg(long, value_name = "SQL")]
    revocation_statement: Option<String>,
    /// Whether the server is spoken to over TLS
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", hide_possible_values = true)]
    ssl: Option<bool>,
    /// How long passwords are [default: 24]
    #[arg(long, value_name = "NUMBER")]
    password_length: Option<u8>,
    #[arg(long, hide = true)]
    producer_encryption_key: Option<String>,
}

/// The flags of sessions in AWS.
#[derive(Clone, Debug, Args)]
pub struct Aws {
    /// Roles, separated by commas; the first is meant unless the caller names another
    #[arg(long, value_name = "ARNS")]
    aws_role_arns: Option<String>,
    /// assume_role is the only one
    #[arg(long, value_name = "MODE", hide = true)]
    access_mode: Option<String>,
    /// Who assumes the roles, if not the gateway itself
    #[arg(long, value_name = "ID")]
    aws_access_key_id: Option<String>,
    #[command(flatten)]
    aws_access_secret_key: SecretFlag<AwsSecretKey>,
    /// What the owner of the roles wants to hear, kept sealed
    #[arg(long, value_name = "ID")]
    aws_external_id: Option<SecretValue>,
    /// Whose STS is asked [default: us-east-2]
    #[arg(long)]
    region: Option<String>,
    /// Tags of the sessions: team=blue,cost=7
    #[arg(long, value_name = "TAGS")]
    session_tags: Option<String>,
    /// Which of the tags go with a role that is assumed from the session
    #[arg(long, value_name = "KEYS")]
    transitive_tag_keys: Option<String>,
    #[arg(long, hide = true)]
    producer_encryption_key_name: Option<String>,
}

/// The flags of every kind.
#[derive(Clone, Debug, Args)]
struct Shared {
    /// How long a credential lives: 90s, 60m, 1h30m [default: 60m]
    #[arg(long, value_name = "DURATION")]
    user_ttl: Option<String>,
    /// Seconds that one call may take [default: 15]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_sec: Option<u64>,
    /// How many credentials may live at once; 0 is any number
    #[arg(long, value_name = "NUMBER")]
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
    /// Do not try it out first
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", hide_possible_values = true)]
    skip_dry_run: Option<bool>,
    /// The gateway says why it has none.
    #[arg(long, hide = true)]
    target_name: Option<String>,
    #[arg(long, hide = true)]
    custom_username_template: Option<String>,
    #[arg(long, alias = "enable_admin_rotation", hide = true)]
    enable_admin_rotation: bool,
}

/// One kind of native producer, as the command line knows it.
trait Kind {
    /// The last parts of the calls' paths.
    const CREATE: &str;
    const UPDATE: &str;

    fn put(&self, body: Body) -> Body;
}

impl Kind for Postgresql {
    const CREATE: &str = "dynamic-secret-create-postgresql";
    const UPDATE: &str = "dynamic-secret-update-postgresql";

    fn put(&self, body: Body) -> Body {
        body.maybe("postgresql-host", self.postgresql_host.as_deref())
            .maybe("postgresql-port", self.postgresql_port.map(|port| port.to_string()))
            .maybe("postgresql-db-name", self.postgresql_db_name.as_deref())
            .maybe("postgresql-username", self.postgresql_username.as_deref())
            .maybe("postgresql-password", self.postgresql_password.expose())
            .maybe("creation-statements", self.creation_statements.as_deref())
            .maybe("revocation-statement", self.revocation_statement.as_deref())
            .maybe("ssl", self.ssl)
            .maybe("password-length", self.password_length.map(|length| length.to_string()))
            .maybe("producer-encryption-key", self.producer_encryption_key.as_deref())
    }
}

impl Kind for Aws {
    const CREATE: &str = "dynamic-secret-create-aws";
    const UPDATE: &str = "dynamic-secret-update-aws";

    fn put(&self, body: Body) -> Body {
        body.with("access-mode", self.access_mode.as_deref().unwrap_or("assume_role"))
            .maybe("aws-role-arns", self.aws_role_arns.as_deref())
            .maybe("aws-access-key-id", self.aws_access_key_id.as_deref())
            .maybe("aws-access-secret-key", self.aws_access_secret_key.expose())
            .maybe("aws-external-id", self.aws_external_id.as_ref().map(SecretValue::expose))
            .maybe("region", self.region.as_deref())
            .maybe("session-tags", self.session_tags.as_deref())
            .maybe("transitive-tag-keys", self.transitive_tag_keys.as_deref())
            .maybe("producer-encryption-key-name", self.producer_encryption_key_name.as_deref())
    }
}

impl Shared {
    fn put(&self, body: Body) -> Body {
        let rotation = self.enable_admin_rotation.then_some(true);
        body.maybe("user-ttl", self.user_ttl.as_deref())
            .maybe("timeout-sec", self.timeout_sec)
            .maybe("max-leases", self.max_leases)
            .list("tags", &self.tag)
            .maybe("description", self.description.as_deref())
            .maybe("delete_protection", self.delete_protection.map(|on| on.to_string()))
            .maybe("skip-dry-run", self.skip_dry_run)
            .maybe("target-name", self.target_name.as_deref())
            .maybe("custom-username-template", self.custom_username_template.as_deref())
            .maybe("enable-admin-rotation", rotation)
    }

    /// The gateway tries the producer out before it answers.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout_sec.unwrap_or(900)) * 2 + Duration::from_secs(30)
    }
}

impl<K: Args + Kind + std::fmt::Debug> OneCall for Create<K> {
    fn operation(&self) -> &'static str {
        K::CREATE
    }

    fn body(&self) -> Body {
        self.shared.put(self.kind.put(Body::about(&self.name)))
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The dynamic secret {} was created.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn patience(&self) -> Duration {
        self.shared.patience()
    }
}

impl<K: Args + Kind + std::fmt::Debug> OneCall for Update<K> {
    fn operation(&self) -> &'static str {
        K::UPDATE
    }

    fn body(&self) -> Body {
        let body = Body::about(&self.name).maybe("new-name", self.new_name.as_deref());
        self.shared.put(self.kind.put(body))
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The dynamic secret {} was changed.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn patience(&self) -> Duration {
        self.shared.patience()
    }
}

impl CreateNative {
    /// The call that was meant.
    pub(in crate::arguments) fn call(self) -> Box<dyn OneCall> {
        match self {
            Self::Postgresql(call) => call,
            Self::Aws(call) => call,
        }
    }
}

impl UpdateNative {
    /// The call that was meant.
    pub(super) fn call(self) -> Box<dyn OneCall> {
        match self {
            Self::Postgresql(call) => call,
            Self::Aws(call) => call,
        }
    }
}

const AFTER_HELP_POSTGRESQL: &str = "\
A user is made and removed again before the dynamic secret is created, to see that it works. Without statements of
yours users may read what is in the schema public.

Example:
  gateward dynamic-secret create postgresql --name /databases/orders --postgresql-host db.internal \\
    --postgresql-db-name orders --postgresql-username gateward --postgresql-password-file password.txt --ssl \\
    --creation-statements \"CREATE USER {{name}} WITH PASSWORD '{{password}}'; GRANT reader TO {{name}};\"";

const AFTER_HELP_AWS: &str = "\
Every role is assumed once before the dynamic secret is created, to see that it may be. A session lives for 15 minutes to
12 hours, and cannot be ended before.

Example:
  gateward dynamic-secret create aws --name /aws/reader --aws-role-arns arn:aws:iam::123456789012:role/reader \\
    --region eu-west-1 --user-ttl 15m";
