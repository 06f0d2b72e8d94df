//! Dynamic secrets whose producer is part of the gateway: PostgreSQL users, and sessions of roles in AWS.
//!
//! The fields are the vendor's. What of them the gateway does not do is refused where leaving it out would change what
//! somebody gets, and ignored where it would not.

use gateward_leases::{CatalogError, DynamicSecretChange, NewDynamicSecret};
use gateward_model::{
    AwsSettings, DynamicSecret, GoDuration, Invalid, ItemName, PostgresqlSettings, ProducerCapabilities,
    ProducerSettings, ProducerUrl,
};
use gateward_seal::SecretValue;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dynamic_secret::{KEY_FIELD, permitted, tried, wrapped};
use super::terms::Terms;
use super::{Answer, ApiError, Call, fields, protection};

/// Which producer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Postgresql,
    Aws,
}

/// What every kind has.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Common {
    name: ItemName,
    #[serde(default)]
    new_name: Option<ItemName>,
    #[serde(default, deserialize_with = "fields::maybe_duration")]
    user_ttl: Option<GoDuration>,
    /// Ours: how long one call may take.
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    timeout_sec: Option<u64>,
    /// Ours: how many credentials may live at once; 0 is no bound.
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    max_leases: Option<u64>,
    #[serde(default, deserialize_with = "fields::maybe_texts")]
    tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    delete_protection: Option<bool>,
    #[serde(default, deserialize_with = "fields::flag")]
    skip_dry_run: bool,
    #[serde(default, deserialize_with = "fields::text")]
    target_name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    custom_username_template: Option<String>,
    #[serde(
        default,
        alias = "producer-encryption-key",
        alias = "protection-key",
        alias = "key",
        deserialize_with = "fields::text"
    )]
    producer_encryption_key_name: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    enable_admin_rotation: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Postgresql {
    #[serde(default, deserialize_with = "fields::text")]
    postgresql_host: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    postgresql_port: Option<u64>,
    #[serde(default, deserialize_with = "fields::text")]
    postgresql_db_name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    postgresql_username: Option<String>,
    #[serde(default)]
    postgresql_password: Option<SecretValue>,
    #[serde(default, deserialize_with = "fields::text")]
    creation_statements: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    revocation_statement: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    password_length: Option<u64>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    ssl: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Aws {
    #[serde(default, deserialize_with = "fields::text")]
    access_mode: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    aws_access_key_id: Option<String>,
    #[serde(default)]
    aws_access_secret_key: Option<SecretValue>,
    #[serde(default)]
    aws_external_id: Option<SecretValue>,
    #[serde(default, deserialize_with = "fields::text")]
    aws_role_arns: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    region: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    session_tags: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    transitive_tag_keys: Option<String>,
}

/// `/dynamic-secret-create-postgresql`, `-aws`, and the older `/gateway-create-producer-…`.
pub(super) async fn create(call: Call, kind: Kind, wrapper: &str) -> Answer {
    let sent: Common = call.fields()?;
    let (producer, sealed) = kind.read(&call, None)?;
    let secret = sent.applied_to(None, producer)?;
    allowed(&call, None, &secret.producer)?;
    let name = secret.name.clone();
    if call.parts.catalog.exists(&name).await? {
        return Err(CatalogError::Exists(name).into());
    }
    let protection = protection::chosen(&call, KEY_FIELD, sent.key()).await?;
    let mut new = NewDynamicSecret {
        protection,
        description: sent.description.clone(),
        tags: sent.tags.clone().unwrap_or_default(),
        delete_protection: sent.delete_protection.unwrap_or_default(),
        ..NewDynamicSecret::new(secret, sealed.unwrap_or_default())
    };
    new.secret.capabilities =
        tried(&call, sent.skip_dry_run, &new.secret, &new.payload, "created").await?.unwrap_or(kind.can());
    call.parts.catalog.create(&new).await?;
    wrapped(&call, &name, wrapper).await
}

/// `/dynamic-secret-update-postgresql`, `-aws`, and the older `/gateway-update-producer-…`.
pub(super) async fn update(call: Call, kind: Kind, wrapper: &str) -> Answer {
    let sent: Common = call.fields()?;
    let before = call.parts.catalog.get(&sent.name).await?;
    let (producer, sealed) = kind.read(&call, Some(&before.producer))?;
    let standing = before.producer.clone();
    let secret = sent.applied_to(Some(before), producer)?;
    allowed(&call, Some(&standing), &secret.producer)?;
    let found = standing;
    let standing = call.parts.catalog.producer(secret.id).await?.map(|(_, payload)| payload);
    let sealed = sealed.map(|sent| kind.on_top(sent, standing.as_ref()));
    let payload = sealed.clone().or(standing).unwrap_or_default();
    tried(&call, sent.skip_dry_run, &secret, &payload, "changed").await?;
    let protection = protection::chosen(&call, KEY_FIELD, sent.key()).await?;
    let change = DynamicSecretChange {
        protection,
        payload: sealed,
        description: sent.description.clone(),
        tags: sent.tags.clone(),
        delete_protection: sent.delete_protection,
        every: None,
        found,
        secret,
    };
    call.parts.catalog.update(&sent.name, &change).await?;
    wrapped(&call, &change.secret.name, wrapper).await
}

impl Kind {
    /// What a producer of this kind can, as its dry run would say.
    fn can(self) -> ProducerCapabilities {
        let list = matches!(self, Self::Postgresql);
        ProducerCapabilities { request_id: true, list, max_batch: None }
    }

    /// What is to be sealed, where something is already: of several values those that were not sent stay.
    fn on_top(self, sent: SecretValue, standing: Option<&SecretValue>) -> SecretValue {
        let read = |sealed: &SecretValue| serde_json::from_str::<Map<String, Value>>(sealed.expose()).ok();
        match (self, standing.and_then(read), read(&sent)) {
            (Self::Aws, Some(mut fields), Some(new)) => {
                fields.extend(new);
                let mut fields = Value::Object(fields);
                let both = SecretValue::new(fields.to_string());
                gateward_seal::wipe(&mut fields);
                both
            }
            _ => sent,
        }
    }

    /// The settings that were sent, on top of those that stand, and what is to be sealed, if that was sent.
    fn read(
        self,
        call: &Call,
        before: Option<&ProducerSettings>,
    ) -> Result<(ProducerSettings, Option<SecretValue>), ApiError> {
        match (self, before) {
            (Self::Postgresql, None) => postgresql(call.fields()?, None),
            (Self::Postgresql, Some(ProducerSettings::Postgresql(before))) => {
                postgresql(call.fields()?, Some(before))
            }
            (Self::Aws, None) => aws(call.fields()?, None),
            (Self::Aws, Some(ProducerSettings::Aws(before))) => aws(call.fields()?, Some(before)),
            (_, Some(other)) => {
                let problem = format!("has a producer of another type: {}", other.kind());
                Err(Invalid::new("name", problem).into())
            }
        }
    }
}

fn postgresql(
    sent: Postgresql,
    before: Option<&PostgresqlSettings>,
) -> Result<(ProducerSettings, Option<SecretValue>), ApiError> {
    let port = sent.postgresql_port.map(u16::try_from).transpose();
    let port = port.map_err(|_| Invalid::new("postgresql-port", "is a port, from 1 to 65535"))?;
    // One that is too large is as wrong as one that is just over the bound.
    let length = sent.password_length.map(|length| u8::try_from(length).unwrap_or(u8::MAX));
    let password = sent.postgresql_password.filter(|password| !password.is_empty());
    let settings = match before {
        None => PostgresqlSettings {
            host: sent.postgresql_host.unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: port.unwrap_or(5432),
            database: sent.postgresql_db_name.unwrap_or_default(),
            username: sent.postgresql_username.unwrap_or_default(),
            tls: sent.ssl.unwrap_or_default(),
            creation_statements: sent.creation_statements,
            revocation_statement: sent.revocation_statement,
            password_length: length.unwrap_or(24),
        },
        Some(before) => {
            let host = sent.postgresql_host.unwrap_or_else(|| before.host.clone());
            let port = port.unwrap_or(before.port);
            let tls = sent.ssl.unwrap_or(before.tls);
            let is_exposed = (&host, port) != (&before.host, before.port) || before.tls && !tls;
            if password.is_none() && is_exposed {
                // Whoever may change the address must not be able to have the password sent to it, or sent in the clear.
                let problem =
                    "is missing; another server, or one without TLS, is told it only if it is given again";
                return Err(Invalid::new("postgresql-password", problem).into());
            }
            PostgresqlSettings {
                host,
                port,
                database: sent.postgresql_db_name.unwrap_or_else(|| before.database.clone()),
                username: sent.postgresql_username.unwrap_or_else(|| before.username.clone()),
                tls,
                creation_statements: sent.creation_statements.or_else(|| before.creation_statements.clone()),
                revocation_statement: sent
                    .revocation_statement
                    .or_else(|| before.revocation_statement.clone()),
                password_length: length.unwrap_or(before.password_length),
            }
        }
    };
    settings.check()?;
    Ok((ProducerSettings::Postgresql(settings), password))
}

fn aws(sent: Aws, before: Option<&AwsSettings>) -> Result<(ProducerSettings, Option<SecretValue>), ApiError> {
    if sent.access_mode.as_deref().is_some_and(|mode| mode != "assume_role")
        || sent.access_mode.is_none() && before.is_none()
    {
        let problem = "must be assume_role; users of IAM are not made";
        return Err(Invalid::new("access-mode", problem).into());
    }
    if sent.aws_access_key_id.is_some() != sent.aws_access_secret_key.is_some() {
        let problem = "goes with aws-access-key-id: both, or neither for the gateway's own credentials";
        return Err(Invalid::new("aws-access-secret-key", problem).into());
    }
    let listed = |text: String, separators: &[char]| {
        let words = text.split(separators).map(str::trim).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let tags = sent.session_tags.map(|text| tags(&text)).transpose()?;
    let roles = sent.aws_role_arns.map(|text| listed(text, &[',']));
    let transitive = sent.transitive_tag_keys.map(|text| listed(text, &[',', ' ']));
    let standing = before.cloned();
    let standing = standing.as_ref();
    let settings = AwsSettings {
        access_key_id: sent.aws_access_key_id.or_else(|| standing?.access_key_id.clone()),
        role_arns: roles.or_else(|| Some(standing?.role_arns.clone())).unwrap_or_default(),
        region: sent
            .region
            .or_else(|| Some(standing?.region.clone()))
            .unwrap_or_else(|| "us-east-2".to_owned()),
        session_tags: tags.or_else(|| Some(standing?.session_tags.clone())).unwrap_or_default(),
        transitive_tag_keys: transitive
            .or_else(|| Some(standing?.transitive_tag_keys.clone()))
            .unwrap_or_default(),
    };
    settings.check()?;
    let sealed = [("secret_access_key", sent.aws_access_secret_key), ("external_id", sent.aws_external_id)];
    let sealed: Map<String, Value> = sealed
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?.expose()))))
        .collect();
    let mut sealed = Value::Object(sealed);
    let payload = sealed.as_object().filter(|fields| !fields.is_empty());
    let payload = payload.map(|_| SecretValue::new(sealed.to_string()));
    gateward_seal::wipe(&mut sealed);
    Ok((ProducerSettings::Aws(settings), payload))
}

/// `team=blue,cost=7`.
fn tags(text: &str) -> Result<Vec<(String, String)>, Invalid> {
    let wrong = || Invalid::new("session-tags", "is name=value, separated by commas");
    text.split(',')
        .map(|tag| {
            let (name, value) = tag.split_once('=').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), value.to_owned())) }
        })
        .collect()
}

impl Common {
    /// What it is to be sealed with.
    fn key(&self) -> Option<&str> {
        self.producer_encryption_key_name.as_deref()
    }

    fn applied_to(
        &self,
        before: Option<DynamicSecret>,
        producer: ProducerSettings,
    ) -> Result<DynamicSecret, Invalid> {
        for (field, said, problem) in [
            ("target-name", self.target_name.is_some(), "give the server and the administrator here"),
            (
                "custom-username-template",
                self.custom_username_template.is_some(),
                "names hold the lease's id, so that none is ever lost; leave it out",
            ),
            (
                "enable-admin-rotation",
                self.enable_admin_rotation,
                "administrators are not rotated; leave it out",
            ),
        ] {
            if said {
                return Err(Invalid::new(field, problem));
            }
        }
        let terms = Terms {
            name: &self.name,
            new_name: self.new_name.as_ref(),
            timeout: self.timeout_sec,
            usual_timeout: 15,
            user_ttl: self.user_ttl.as_ref(),
            max_leases: self.max_leases,
        };
        let secret = terms.applied_to(before, producer)?;
        let seconds = secret.user_ttl.span().as_secs();
        if matches!(secret.producer, ProducerSettings::Aws(_)) && !(15 * 60..=12 * 60 * 60).contains(&seconds)
        {
            return Err(Invalid::new("user-ttl", "AWS gives sessions of 15 minutes to 12 hours"));
        }
        Ok(secret)
    }
}

/// Refuses a server where the administrator lets no producer stand, and the gateway's own identity to whoever is no
/// administrator: its roles are not given to those who only look after dynamic secrets.
fn allowed(
    call: &Call,
    before: Option<&ProducerSettings>,
    producer: &ProducerSettings,
) -> Result<(), ApiError> {
    if let ProducerSettings::Aws(aws) = producer
        && aws.access_key_id.is_none()
        && before != Some(producer)
        && !call.is_by_an_admin()
    {
        let problem = "sessions by the gateway's own identity are set up by administrators; give aws-access-key-id and \
                       aws-access-secret-key";
        return Err(ApiError::new(StatusCode::FORBIDDEN, problem));
    }
    let ProducerSettings::Postgresql(PostgresqlSettings { host, port, .. }) = producer else {
        return Ok(());
    };
    // The list knows hosts and ports by the URLs that they have.
    let wrong =
        |_| Invalid::new("postgresql-host", "is a name or an address alone; the port is postgresql-port");
    let url = ProducerUrl::parse(&format!("http://{host}:{port}/")).map_err(wrong)?;
    Ok(permitted(&call.parts, "postgresql-host", &url)?)
}

/// Refuses an argument that a producer of the gateway's own would leave aside: what is got would be something else than was
/// asked for. What others know, they say themselves.
pub(super) fn check_input(producer: &ProducerSettings, input: &Map<String, Value>) -> Result<(), Invalid> {
    let (known, there_is): (&[&str], &str) = match producer {
        ProducerSettings::Custom(_) => return Ok(()),
        ProducerSettings::Postgresql(_) => (&[], "a producer of PostgreSQL takes none"),
        ProducerSettings::Aws(_) => (&["role_arn", "role-arn"], "a producer of AWS takes role_arn alone"),
    };
    if let Some(other) = input.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Invalid::new("args", format!("{other:?} is no argument: {there_is}")));
    }
    if input.len() > 1 {
        return Err(Invalid::new("args", "role_arn is given twice"));
    }
    Ok(())
}

/// What may be seen of a producer, in the vendor's words.
pub(super) fn described(producer: &ProducerSettings) -> Value {
    match producer {
        ProducerSettings::Custom(custom) => json!({
            "create_sync_url": custom.create_sync_url,
            "revoke_sync_url": custom.revoke_sync_url,
            "rotate_sync_url": custom.rotate_sync_url.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        ProducerSettings::Postgresql(postgresql) => json!({
            "db_host_name": postgresql.host,
            "db_port": postgresql.port.to_string(),
            "db_name": postgresql.database,
            "db_user_name": postgresql.username,
            "ssl_connection_mode": postgresql.tls,
            "postgres_creation_statements": postgresql.creation(),
            "postgres_revocation_statements": postgresql.revocation(),
            "password_length": postgresql.password_length,
            "revocation": "on demand",
        }),
        ProducerSettings::Aws(aws) => json!({
            "aws_access_mode": "assume_role",
            "aws_access_key_id": aws.access_key_id.as_deref().unwrap_or_default(),
            "aws_role_arns": aws.role_arns.join(","),
            "aws_region": aws.region,
            "aws_session_tags":
                aws.session_tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
            "aws_transitive_tag_keys": aws.transitive_tag_keys.join(" "),
            // A session ends by itself, and not before.
            "revocation": "by expiry alone",
        }),
    }
}
