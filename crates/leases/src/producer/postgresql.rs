//! Users of a PostgreSQL server, made by statements and removed by statements.
//!
//! A user's name is made of the dynamic secret's number and the lease's id. So the same order again finds the user that
//! the first one made, which settles a lease whose answer was lost, and all users of a dynamic secret can be listed.
//! Names and passwords have alphabets in which nothing needs quoting. The password itself is never sent: what stands for
//! it in the statements is what the server would keep of it, so that no log of the server can have it.
//!
//! All of a creation is one transaction; the server is told when the password ends (`VALID UNTIL`), as a second line
//! behind revocation, and it ends the statements of a gateway that has gone.

mod password;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, Timestamp};
use gateward_model::PostgresqlSettings;
use gateward_net::{Connector, Peer, Scheme};
use gateward_seal::SecretValue;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use super::native::{NativeParts, Work};
use super::{
    Capabilities, CreateError, Created, Listing, Order, Producer, RevokeAnswer, RevokeCallError,
    RevokeFailure,
};
use tls::Tls;

/// Users of one server, for one dynamic secret.
pub(super) struct Postgresql {
    settings: PostgresqlSettings,
    /// The administrator's password.
    password: SecretValue,
    work: Work,
    connector: Arc<Connector>,
    clock: Arc<dyn Clock>,
}

/// A user's name: letters of hexadecimal digits and `_`, which nothing in a statement can take for more.
struct User(String);

/// Why the server did not do it.
enum Failure {
    /// It was not asked: there is no connection.
    Unreached { words: String, misconfigured: bool },
    /// It has refused, and done nothing.
    Refused(String),
    /// It may have done it.
    Unknown(String),
}

impl Postgresql {
    pub(super) fn new(
        settings: PostgresqlSettings,
        password: SecretValue,
        work: Work,
        parts: &NativeParts,
    ) -> Self {
        let (connector, clock) = (Arc::clone(&parts.connector), Arc::clone(&parts.clock));
        Self { settings, password, work, connector, clock }
    }
}

#[async_trait]
impl Producer for Postgresql {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        let user = self.user(order.lease_id.to_string().trim_start_matches("l-"));
        let password = password::random(self.settings.password_length)
            .ok_or_else(|| CreateError::NotCreated("the system gives no random numbers".to_owned()))?;
        let made = timeout(self.work.timeout, self.make(&user, &password, order.expires_at)).await;
        made.unwrap_or_else(|_elapsed| Err(Failure::Unknown(TOO_SLOW.to_owned()))).map_err(|failure| {
            match failure {
                Failure::Unreached { words, .. } | Failure::Refused(words) => CreateError::NotCreated(words),
                Failure::Unknown(reason) => CreateError::Lost { timeout: reason == TOO_SLOW, reason },
            }
        })?;
        let minutes = order.ttl.as_secs().div_ceil(60).to_string();
        let told = [("id", user.0.as_str()), ("user", user.0.as_str()), ("password", password.expose())];
        let told = told.into_iter().chain([("ttl_in_minutes", minutes.as_str())]);
        let response = told.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>();
        Ok(Created { id: user.0, response })
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        let mut gone = Vec::with_capacity(ids.len());
        let removed = timeout(self.work.timeout, self.remove_all(ids, &mut gone)).await;
        match removed.unwrap_or_else(|_elapsed| Err(Failure::Unknown(TOO_SLOW.to_owned()))) {
            Ok(message) => Ok(RevokeAnswer { gone, message }),
            Err(failure) if gone.is_empty() => Err(failure.into()),
            Err(failure) => Ok(RevokeAnswer { gone, message: Some(failure.words()) }),
        }
    }

    async fn extend(&self, id: &str, expires_at: Timestamp) -> Result<(), RevokeCallError> {
        let valid = async {
            let user = self.known(id)?;
            let client = self.connect().await?;
            run(&client, &valid_until(&user, expires_at)).await
        };
        let valid = timeout(self.work.timeout, valid).await;
        Ok(valid.unwrap_or_else(|_elapsed| Err(Failure::Unknown(TOO_SLOW.to_owned())))?)
    }

    /// Makes a user and removes it again.
    async fn dry_run(&self) -> Result<Capabilities, String> {
        let user = self.user(&format!("{:032x}", fastrand::u128(..)));
        let password = password::random(self.settings.password_length).ok_or("no random numbers")?;
        let until = self.clock.now() + self.work.timeout + self.work.ttl;
        let made = timeout(self.work.timeout, self.make(&user, &password, until)).await;
        let made = made.unwrap_or_else(|_elapsed| Err(Failure::Unknown(TOO_SLOW.to_owned())));
        if let Err(Failure::Unreached { words, .. } | Failure::Refused(words)) = made {
            return Err(words);
        }
        let removed = self.revoke(std::slice::from_ref(&user.0)).await.map_err(|error| error.to_string())?;
        made.map_err(|failure| failure.words())?;
        if !removed.gone.contains(&user.0) {
            let why = removed.message.unwrap_or_default();
            return Err(format!(
                "the user {} was made for the dry run and could not be removed: {why}",
                user.0
            ));
        }
        Ok(Capabilities { request_id: true, list: true, max_batch: None })
    }

    async fn list(&self, page: Option<&str>) -> Result<Option<Listing>, RevokeCallError> {
        let after = page.map(|page| self.known(page)).transpose()?.map_or_else(String::new, |user| user.0);
        let (first, last) = (self.user("").0, self.user("g").0);
        let query = format!(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname COLLATE \"C\" BETWEEN '{first}' AND '{last}' \
             AND rolname COLLATE \"C\" > '{after}' ORDER BY rolname COLLATE \"C\" LIMIT {PAGE}"
        );
        let listed = timeout(self.work.timeout, async { rows(&self.connect().await?, &query).await }).await;
        let ids = listed.unwrap_or_else(|_elapsed| Err(Failure::Unknown(TOO_SLOW.to_owned())))?;
        let next = ids.last().filter(|_| ids.len() == PAGE).cloned();
        Ok(Some(Listing { ids, next }))
    }
}

impl Postgresql {
    fn user(&self, end: &str) -> User {
        User(format!("gw_{:x}_{end}", self.work.item_id))
    }

    /// The user that `id` names, if it may be one of this dynamic secret.
    fn known(&self, id: &str) -> Result<User, Failure> {
        let digits = id.strip_prefix(&self.user("").0).filter(|digits| digits.len() == 32);
        digits
            .filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
            .map(|digits| self.user(digits))
            .ok_or_else(|| Failure::Refused("that is no user of this dynamic secret".to_owned()))
    }

    async fn connect(&self) -> Result<Client, Failure> {
        let PostgresqlSettings { host, port, database, username, tls, .. } = &self.settings;
        let unreached = |why: String, misconfigured| Failure::Unreached {
            words: format!("PostgreSQL at {host}:{port} cannot be used: {why}"),
            misconfigured,
        };
        let peer = Peer::new(Scheme::Http, host, *port, true);
        let stream = self.connector.connect(&peer).await.map_err(|error| unreached(chain(&error), false))?;
        let mut config = Config::new();
        config.user(username).password(self.password.expose()).dbname(database).application_name("gateward");
        config.ssl_mode(if *tls { SslMode::Require } else { SslMode::Disable });
        let tls = Tls { connector: Arc::clone(&self.connector), peer };
        let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| {
            let misconfigured = error.code().is_some_and(|code| MISCONFIGURED.contains(code));
            unreached(words_of(&error), misconfigured)
        })?;
        // It ends when the client is dropped.
        Handle::current().spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL has ended");
            }
        });
        // The server is not to go on for a gateway that has given up, or has gone.
        let millis = self.work.timeout.as_millis();
        let bounds = format!(
            "SET statement_timeout = {millis}; SET idle_in_transaction_session_timeout = {millis}; \
             SET standard_conforming_strings = on"
        );
        match run(&client, &bounds).await {
            Ok(()) => Ok(client),
            Err(failure) => Err(unreached(failure.words(), false)),
        }
    }

    /// Makes `user`, or gives the one that there is a new password.
    async fn make(&self, user: &User, password: &SecretValue, expires_at: Timestamp) -> Result<(), Failure> {
        let client = self.connect().await?;
        let kept = password::as_kept(password)
            .ok_or_else(|| Failure::Refused("the system gives no random numbers".to_owned()))?;
        let statements = if exists(&client, user).await.map_err(Failure::before)? {
            format!("ALTER ROLE \"{}\" WITH LOGIN PASSWORD '{kept}'", user.0)
        } else {
            self.filled(self.settings.creation(), user, &kept, expires_at)
        };
        let made = async {
            run(&client, &format!("BEGIN; {ONE_AT_A_TIME}")).await.map_err(Failure::before)?;
            run(&client, &statements).await?;
            run(&client, &valid_until(user, expires_at)).await?;
            run(&client, "COMMIT").await
        };
        match made.await.map_err(|failure| failure.without(&kept)) {
            Err(Failure::Refused(words)) => {
                // A transaction that has failed; unless the statements have ended it by themselves.
                run(&client, "ROLLBACK").await.map_err(|_| Failure::Unknown(words.clone()))?;
                self.remove(&client, user).await.map_err(|_| Failure::Unknown(words.clone()))?;
                Err(Failure::Refused(words))
            }
            made => made,
        }
    }

    /// Removes users, and notes which are gone; gives the first reason why one is not.
    async fn remove_all(&self, ids: &[String], gone: &mut Vec<String>) -> Result<Option<String>, Failure> {
        let client = self.connect().await?;
        let mut first = None;
        for id in ids {
            match self.known(id) {
                Ok(user) => match self.remove(&client, &user).await {
                    Ok(()) => gone.push(id.clone()),
                    Err(Failure::Refused(why)) => first = first.or(Some(why)),
                    Err(failure) => return Err(failure),
                },
                Err(failure) => first = first.or(Some(failure.words())),
            }
        }
        Ok(first)
    }

    /// Removes one user, unless it is gone already; its sessions end.
    async fn remove(&self, client: &Client, user: &User) -> Result<(), Failure> {
        if !exists(client, user).await? {
            return Ok(());
        }
        let tried = async {
            // No new session may begin while the others are ended.
            run(client, &format!("ALTER ROLE \"{}\" NOLOGIN", user.0)).await?;
            let sessions = format!("FROM pg_catalog.pg_stat_activity WHERE usename = '{}'", user.0);
            run(client, &format!("SELECT pg_catalog.pg_terminate_backend(pid) {sessions}")).await?;
            let revocation = self.filled(self.settings.revocation(), user, "", Timestamp::default());
            // One query of several statements is one transaction.
            run(client, &format!("{ONE_AT_A_TIME}; {revocation}")).await
        };
        let tried = tried.await;
        // Somebody else may have removed it meanwhile.
        if !exists(client, user).await? {
            return Ok(());
        }
        tried?;
        Err(Failure::Refused("the revocation statement has left the user there".to_owned()))
    }

    fn filled(&self, statements: &str, user: &User, password: &str, expires_at: Timestamp) -> String {
        let administrator = format!("\"{}\"", self.settings.username.replace('"', "\"\""));
        statements
            .replace("{{name}}", &user.0)
            .replace("{{username}}", &user.0)
            .replace("{{password}}", password)
            .replace("{{expiration}}", &(expires_at + MARGIN).rfc3339())
            .replace("{{userHost}}", &administrator)
    }
}

/// Tells the server when the password ends.
fn valid_until(user: &User, expires_at: Timestamp) -> String {
    format!("ALTER ROLE \"{}\" VALID UNTIL '{}'", user.0, (expires_at + MARGIN).rfc3339())
}

async fn exists(client: &Client, user: &User) -> Result<bool, Failure> {
    let query = format!("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = '{}'", user.0);
    Ok(!rows(client, &query).await?.is_empty())
}

/// Has statements done, however many.
async fn run(client: &Client, statements: &str) -> Result<(), Failure> {
    client.batch_execute(statements).await.map_err(|error| Failure::of(&error))
}

/// The first column of what a query finds.
async fn rows(client: &Client, query: &str) -> Result<Vec<String>, Failure> {
    let found = client.simple_query(query).await.map_err(|error| Failure::of(&error))?;
    let first = |message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    Ok(found.into_iter().filter_map(first).collect())
}

impl Failure {
    fn of(error: &tokio_postgres::Error) -> Self {
        let words = words_of(error);
        if error.as_db_error().is_some() { Self::Refused(words) } else { Self::Unknown(words) }
    }

    /// The same of a call after which nothing has begun yet.
    fn before(self) -> Self {
        Self::Refused(self.words())
    }

    fn words(&self) -> String {
        match self {
            Self::Unreached { words, .. } | Self::Refused(words) | Self::Unknown(words) => words.clone(),
        }
    }

    /// The same words without what a server may repeat of a statement.
    fn without(self, kept: &str) -> Self {
        let clean = |words: String| words.replace(kept, "***");
        match self {
            Self::Refused(words) => Self::Refused(clean(words)),
            Self::Unknown(words) => Self::Unknown(clean(words)),
            unreached @ Self::Unreached { .. } => unreached,
        }
    }
}

impl From<Failure> for RevokeCallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreached { words, misconfigured: true } => {
                Self { failure: RevokeFailure::Misconfigured, words }
            }
            failure => Self::transient(failure.words()),
        }
    }
}

/// What the server says, or why it says nothing.
fn words_of(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => match refusal.detail() {
            Some(detail) => format!("{}: {detail}", refusal.message()),
            None => refusal.message().to_owned(),
        },
        None => chain(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// Somebody must put right who the administrator is, or which database is meant.
const MISCONFIGURED: &[SqlState] = &[
    SqlState::INVALID_PASSWORD,
    SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    SqlState::INVALID_CATALOG_NAME,
];

/// Two transactions that grant at the same object, or take back, do not wait for each other in PostgreSQL: one fails ("tuple
/// concurrently updated"). So those of gateways do wait, until the transaction ends, in one database.
const ONE_AT_A_TIME: &str = "SELECT pg_catalog.pg_advisory_xact_lock(7441235879)";

/// By how much the server lets a password live longer than its lease: its clock may be ahead.
const MARGIN: Duration = Duration::from_secs(60);

/// How many users are listed at once.
const PAGE: usize = 1000;

const TOO_SLOW: &str = "PostgreSQL did not answer in time";

#[cfg(test)]
mod tests;
