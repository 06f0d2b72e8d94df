//! Issuing a credential: INTENT, the producer's call, ACTIVE, and only then the answer.

use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::ItemName;
use gateward_store::Write;
use serde_json::{Map, Value};
use tokio::sync::OwnedRwLockReadGuard;

use super::Engine;
use crate::due::LeaseKey;
use crate::failpoint;
use crate::items::{CatalogError, OpenSecret};
use crate::lease::{Holder, Lease, LeaseId};
use crate::ledger::{LedgerError, Recorded};
use crate::producer::{CreateError, Created, Order};

/// A credential that was issued, and its lease.
#[derive(Debug)]
pub struct Issued {
    /// The lease.
    pub lease_id: LeaseId,
    /// When the credential will be revoked.
    pub expires_at: Timestamp,
    /// What the producer answered, as it came.
    pub response: Map<String, Value>,
}

/// Why no credential was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The dynamic secret is not there, or not to be opened.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The lease could not be written down; nothing was made, or what was made is being revoked.
    #[error("the lease could not be recorded: {0}")]
    Ledger(#[from] LedgerError),
    /// The producer made none, or none that can be handed out.
    #[error("{0}")]
    Producer(String),
    /// The producer took too long; what it may have made is recorded as UNKNOWN.
    #[error("{0}")]
    Timeout(String),
    /// The engine's task was ended.
    #[error("the gateway is stopping; try again")]
    Stopping,
}

impl Engine {
    /// Issues a credential of the dynamic secret `name` to `holder`, who asked with `input`.
    pub async fn issue(
        self: &Arc<Self>,
        name: &ItemName,
        holder: Holder,
        input: Map<String, Value>,
    ) -> Result<Issued, IssueError> {
        let open = self.catalog.open(name).await?;
        let engine = Arc::clone(self);
        let task = self.runtime.spawn(async move { engine.create(open, holder, input).await });
        task.await.unwrap_or(Err(IssueError::Stopping))
    }

    async fn create(
        self: Arc<Self>,
        open: OpenSecret,
        holder: Holder,
        input: Map<String, Value>,
    ) -> Result<Issued, IssueError> {
        let OpenSecret { secret, payload, unchanged, stands } = open;
        let creating = Arc::clone(&self.creating).read_owned().await;
        let timeout = Duration::from_secs(secret.timeout_sec);
        let ttl = secret.user_ttl.span();
        let now = self.clock.now();
        let lease = Lease::intent((secret.id, &secret.name), holder, ttl, now, now + timeout + GRACE);
        let order = Order {
            lease_id: lease.id.clone(),
            holder: lease.holder.clone(),
            input,
            ttl_seconds: ttl.as_secs(),
            expires_at: now + timeout + ttl,
        };
        let intent = self.ledger.open(lease, unchanged).await.map_err(|error| match error {
            // A new lease cannot be in anybody's way: it is the secret that was changed or deleted.
            LedgerError::Changed => CatalogError::Changed(secret.name.clone()).into(),
            error => IssueError::Ledger(error),
        })?;
        self.note(&intent.lease);
        failpoint::reach("intent");

        let answer = self.producers.of(&secret, payload).create(&order).await;
        failpoint::reach("created");
        match answer {
            Ok(created) => self.activate(intent, created, stands, creating).await,
            Err(CreateError::NotCreated(why)) => {
                // Should this fail, the lease becomes UNKNOWN at its deadline: too careful, and safe.
                if let Err(error) = self.ledger.withdraw(&intent).await {
                    tracing::warn!(lease = %intent.lease.id, %error, "intent not withdrawn");
                }
                self.forget_producer(intent.lease.item_id).await;
                Err(IssueError::Producer(why))
            }
            Err(CreateError::Unusable { id, reason }) => {
                self.discard(intent, id, creating);
                Err(IssueError::Producer(reason))
            }
            Err(CreateError::Lost { reason, timeout }) => {
                self.lose(&intent, &reason).await;
                Err(if timeout { IssueError::Timeout(reason) } else { IssueError::Producer(reason) })
            }
        }
    }

    /// Hands the credential out, if its secret still stands; one that was deleted meanwhile issues nothing more.
    async fn activate(
        self: Arc<Self>,
        intent: Recorded,
        created: Created,
        stands: Write,
        creating: OwnedRwLockReadGuard<()>,
    ) -> Result<Issued, IssueError> {
        let active = intent.lease.activate(created.id.clone(), self.clock.now());
        let active = active.map_err(|_| LedgerError::Changed)?;
        match self.replace_if(&intent, active, Some(stands)).await {
            Ok(active) => {
                failpoint::reach("active");
                tracing::info!(lease = %active.lease.id, item = %active.lease.item_name, "lease active");
                Ok(Issued {
                    lease_id: active.lease.id.clone(),
                    expires_at: active.lease.due().unwrap_or_default(),
                    response: created.response,
                })
            }
            Err(error) => {
                // The credential exists, and the record does not say so: nobody is to have it.
                self.discard(intent, created.id, creating);
                Err(error.into())
            }
        }
    }

    /// Records that the credential `producer_id` exists and must go. A task of its own, for which a stop waits.
    fn discard(
        self: &Arc<Self>,
        recorded: Recorded,
        producer_id: String,
        creating: OwnedRwLockReadGuard<()>,
    ) {
        let engine = Arc::clone(self);
        self.runtime.spawn(async move {
            engine.record_discarded(recorded, producer_id).await;
            drop(creating);
        });
    }

    /// Keeps trying while the store fails, for memory is all that knows the credential's name.
    async fn record_discarded(&self, mut recorded: Recorded, producer_id: String) {
        let mut wait = Duration::from_millis(50);
        loop {
            let error = match recorded.lease.discard(producer_id.clone(), self.clock.now()) {
                Ok(lease) => match self.replace(&recorded, lease).await {
                    Ok(_) => return,
                    Err(error) => error,
                },
                // Written after all, by a commit that seemed to fail: it is known, and will be revoked.
                Err(_) => return,
            };
            tracing::error!(lease = %recorded.lease.id, %error, "credential without a record");
            self.clock.sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(30));
            match self.ledger.get(&LeaseKey::of(&recorded.lease)).await {
                Ok(Some(newer)) => recorded = newer,
                // Written after all, and revoked since.
                Ok(None) => return,
                Err(_) => {}
            }
        }
    }

    /// Records that a credential may exist. Should that fail, INTENT's deadline does the same.
    async fn lose(&self, intent: &Recorded, reason: &str) {
        let lease = &intent.lease;
        let Ok(unknown) = lease.lose(reason, self.clock.now()) else {
            return;
        };
        match self.replace(intent, unknown).await {
            Ok(_) => tracing::error!(lease = %lease.id, item = %lease.item_name, "lease unknown"),
            Err(error) => tracing::warn!(lease = %lease.id, %error, "lost lease not recorded yet"),
        }
    }
}

/// Between the end of the producer's time and the moment at which INTENT counts as lost.
const GRACE: Duration = Duration::from_secs(5);
