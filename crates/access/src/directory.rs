//! The auth methods and the entries of allowed access that were made while the gateway ran.
//!
//! They stand together in one sealed record, which is read anew every two seconds at most: so a call is judged without
//! waiting, and a method that was deleted on one instance is gone on all of them two seconds later.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gateward_aws::sts::Identity as CallerIdentity;
use gateward_clock::{Clock, Timestamp};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Store, StoreError, Write};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::admin::{AccessId, AdminIdentity};
use crate::allowed::AllowedAccess;
use crate::aws_iam::AwsBounds;

/// A way to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthMethod {
    /// What it is called.
    pub name: String,
    /// Who logs in by it.
    pub access_id: AccessId,
    /// How.
    pub kind: MethodKind,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// From when on nobody logs in by it, in seconds since 1970; 0 is never.
    #[serde(default)]
    pub access_expires: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Tokens from before this time, in milliseconds since 1970, are not taken.
    pub since: u64,
}

/// How one logs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// With an access key, of which only the hash is kept.
    ApiKey {
        /// Of the key's text.
        sha256: Vec<u8>,
    },
    /// As somebody whom AWS knows.
    AwsIam {
        /// Whom.
        bounds: AwsBounds,
    },
}

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The ways to log in.
    pub methods: Vec<AuthMethod>,
    /// Who may do what.
    pub allowed: Vec<AllowedAccess>,
}

/// Keeps them.
pub struct Directory {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    read: RwLock<Reading>,
}

/// What was read last, and when.
struct Reading {
    kept: Result<Arc<Kept>, OutOfReach>,
    at: Option<Timestamp>,
}

/// It could not be read the last time, so that who is unknown may be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store does not say at the moment who may do what; try again")]
pub struct OutOfReach;

/// Why something cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is none of that name.
    #[error("there is no {kind} {name:?}")]
    Missing {
        /// What is looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one of that name.
    #[error("the name {name:?} is taken by another {kind}; take another name, or delete that first")]
    Exists {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It is nobody who logs in with a key.
    #[error("the auth method {name:?} has no access key: whoever it lets in shows who they are to AWS")]
    NoKey {
        /// Its name.
        name: String,
    },
    /// It belongs to the deployment.
    #[error("{name:?} is set by the deployment, and is changed there")]
    Deployed {
        /// Its name.
        name: String,
    },
    /// Too many of them.
    #[error("there are {MOST} auth methods and entries of allowed access already; delete some first")]
    Full,
    /// Somebody else changed it at the same time, again and again.
    #[error("others change the auth methods at the same time; try again")]
    Busy,
    /// It does not open.
    #[error("the auth methods cannot be read: {0}")]
    Sealed(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthMethod {
    /// Whether somebody may log in by it, and be known by it, at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.access_expires == 0 || now.secs() < self.access_expires
    }

    /// Whether `key` is its access key. Takes the same time whatever it is.
    pub(crate) fn has_key(&self, key: &SecretValue) -> bool {
        match &self.kind {
            MethodKind::ApiKey { sha256 } => hash(key)[..].ct_eq(sha256).into(),
            MethodKind::AwsIam { .. } => false,
        }
    }

    /// Whether `caller` may log in by it.
    pub(crate) fn admits(&self, caller: &CallerIdentity) -> bool {
        match &self.kind {
            MethodKind::AwsIam { bounds } => bounds.admit(caller),
            MethodKind::ApiKey { .. } => false,
        }
    }
}

impl MethodKind {
    /// One with a new access key, and that key.
    pub fn api_key() -> (Self, SecretValue) {
        let key = AdminIdentity::generate_key();
        (Self::ApiKey { sha256: hash(&key) }, key)
    }
}

impl Directory {
    /// The one that stands in `store`.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        let nothing = Reading { kept: Ok(Arc::default()), at: None };
        Self { store, sealer, clock, read: RwLock::new(nothing) }
    }

    /// What was read last.
    pub fn current(&self) -> Result<Arc<Kept>, OutOfReach> {
        self.read.read().unwrap_or_else(PoisonError::into_inner).kept.clone()
    }

    /// Reads it anew if the last time is two seconds ago.
    pub async fn refresh(&self) {
        let now = self.clock.now();
        let last = self.read.read().unwrap_or_else(PoisonError::into_inner).at;
        if last.is_some_and(|last| last <= now && now.saturating_since(last) < FRESH) {
            return;
        }
        let kept = match tokio::time::timeout(PATIENCE, self.load()).await {
            Ok(Ok((kept, _))) => Ok(kept),
            Ok(Err(error)) => {
                tracing::error!(%error, "only the administrator and the deployment's entries are known");
                Err(OutOfReach)
            }
            Err(_elapsed) => {
                tracing::error!(
                    "the store does not answer; only the administrator and the deployment's entries are known"
                );
                Err(OutOfReach)
            }
        };
        self.remember(kept);
    }

    /// Changes it; `change` may be asked several times.
    pub async fn edit<T>(
        &self,
        change: impl Fn(&mut Kept) -> Result<T, DirectoryError> + Send + Sync,
    ) -> Result<T, DirectoryError> {
        for _ in 0..TRIES {
            let (mut kept, version) = self.load().await?;
            let made = change(&mut kept)?;
            if kept.methods.len() + kept.allowed.len() > MOST {
                return Err(DirectoryError::Full);
            }
            let key = place();
            let json =
                serde_json::to_vec(&kept).map_err(|error| DirectoryError::Sealed(error.to_string()))?;
            let sealed = self.sealer.seal_at(PURPOSE, &key, version.unwrap_or(0) + 1, &json);
            let precondition = version.map_or(Precondition::Absent, Precondition::Version);
            match self.store.commit(vec![Write { key, precondition, change: Change::Put(sealed) }]).await {
                Ok(_) => {
                    self.remember(Ok(kept));
                    return Ok(made);
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Err(DirectoryError::Busy)
    }

    /// Notes that a signature was used; whether nobody has used it before, on any instance.
    pub(crate) async fn is_first_use(&self, signature: &str, signed: Timestamp) -> Result<bool, StoreError> {
        let range = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let oldest = self.store.list(USED, range, SWEPT).await?;
        let bound = self.clock.now().secs().saturating_sub(KEPT_SECONDS);
        let is_old = |entry: &Entry| {
            entry
                .key
                .sort
                .split_once('/')
                .and_then(|(secs, _)| secs.parse().ok())
                .is_some_and(|secs: u64| secs < bound)
        };
        let old = oldest.into_iter().filter(is_old).map(|entry| Write {
            key: entry.key,
            precondition: Precondition::Any,
            change: Change::Delete,
        });
        let key = Key { partition: USED.to_owned(), sort: format!("{:020}/{signature}", signed.secs()) };
        let used = Change::Put(Vec::new().into());
        let note = Write { key, precondition: Precondition::Absent, change: used };
        match self.store.commit(std::iter::once(note).chain(old).collect()).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    async fn load(&self) -> Result<(Kept, Option<u64>), DirectoryError> {
        let Some(entry) = self.store.get(&place()).await? else { return Ok((Kept::default(), None)) };
        let opened = self.sealer.open_entry(PURPOSE, &entry);
        let opened = opened.map_err(|error| DirectoryError::Sealed(error.to_string()))?;
        let kept = serde_json::from_slice(&opened);
        let kept =
            kept.map_err(|_| DirectoryError::Sealed("it is of another version of Gateward".to_owned()))?;
        Ok((kept, Some(entry.version)))
    }

    fn remember(&self, kept: Result<Kept, OutOfReach>) {
        let reading = Reading { kept: kept.map(Arc::new), at: Some(self.clock.now()) };
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Directory").finish_non_exhaustive()
    }
}

fn hash(key: &SecretValue) -> Vec<u8> {
    digest(&SHA256, key.expose().as_bytes()).as_ref().to_vec()
}

fn place() -> Key {
    Key { partition: "access".to_owned(), sort: "directory".to_owned() }
}

const PURPOSE: &str = "auth methods";
/// Signatures that were used; nobody follows what is written there.
const USED: &str = "~used-cloud-ids";
/// Beyond the time for which a signature is taken, on either side.
const KEPT_SECONDS: u64 = 4 * crate::cloud_id::FRESH_SECONDS;
const SWEPT: usize = 20;
const FRESH: Duration = Duration::from_secs(2);
/// How long a call waits for the store to say who there is.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 8;
/// What one value of the store holds with certainty.
const MOST: usize = 400;
