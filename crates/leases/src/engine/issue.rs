//! Issuing a credential: INTENT, the producer's call, ACTIVE, and only then the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::ItemName;
use serde_json::{Map, Value};
use tokio::sync::OwnedRwLockReadGuard;

use super::again::Again;
use super::{Engine, ask};
use crate::due::LeaseKey;
use crate::failpoint;
use crate::items::{CatalogError, OpenSecret};
use crate::lease::{Holder, Lease, LeaseId, LeaseState};
use crate::ledger::{Cap, Hold, LedgerError, OfItem, Recorded};
use crate::producer::{CreateError, Created, Order};

/// What is asked for, besides the item.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Handed to the producer.
    pub input: Map<String, Value>,
    /// How long the credential is to live; the item's own time to live is the most.
    pub ttl: Option<Duration>,
    /// Two wishes of one caller with the same key are given the same lease, as long as it lives.
    pub idempotency_key: Option<String>,
    /// Set when the caller waits no longer and will not ask again: what the producer makes then is revoked.
    pub given_up: Arc<AtomicBool>,
}

impl From<Map<String, Value>> for Wish {
    fn from(input: Map<String, Value>) -> Self {
        Self { input, ..Self::default() }
    }
}

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
    /// No more leases may live.
    #[error("{0}")]
    Full(Cap),
    /// The idempotency key was used before, and cannot be answered in the same way now.
    #[error("{0}")]
    Again(&'static str),
    /// The lease could not be written down; nothing was made, or what was made is being revoked.
    #[error("the lease could not be recorded: {0}")]
    Ledger(#[from] LedgerError),
    /// The producer made none, or none that can be handed out.
    #[error("{0}")]
    Producer(String),
    /// The producer took too long, and what it may have made is recorded as UNKNOWN; or there was no time to ask it.
    #[error("{0}")]
    Timeout(String),
    /// The engine's task was ended.
    #[error("the gateway is stopping; try again")]
    Stopping,
}

impl Engine {
    /// Issues a credential of the dynamic secret `name` to `holder`.
    pub async fn issue(
        self: &Arc<Self>,
        name: &ItemName,
        holder: Holder,
        wish: impl Into<Wish>,
    ) -> Result<Issued, IssueError> {
        let (engine, name, wish) = (Arc::clone(self), name.clone(), wish.into());
        let task = self.runtime.spawn(async move { engine.create(&name, holder, wish).await });
        task.await.unwrap_or(Err(IssueError::Stopping))
    }

    async fn create(
        self: Arc<Self>,
        name: &ItemName,
        holder: Holder,
        wish: Wish,
    ) -> Result<Issued, IssueError> {
        let creating = Arc::clone(&self.creating).read_owned().await;
        let mut open = self.catalog.open_lately(name).await?;
        let again = Again::of(&open.secret, &holder, &wish);
        let mut tries = 0;
        let (intent, order) = loop {
            let now = self.clock.now();
            if self.deadline(now, open.secret.timeout_sec) < now + LEAST {
                return Err(IssueError::Timeout(NO_TIME.to_owned()));
            }
            let order = order(&now, &open, &holder, &wish);
            match self.begin(&open, &order, again.as_ref()).await {
                Ok(intent) => break (intent, order),
                Err(LedgerError::Full(cap)) => return Err(IssueError::Full(cap)),
                Err(LedgerError::Changed { key }) if tries < TRIES => {
                    tries += 1;
                    match again.as_ref().filter(|again| again.is_at(&key)) {
                        Some(again) => {
                            if let Some(issued) = self.given_before(again).await? {
                                return Ok(issued);
                            }
                        }
                        // A new lease cannot be in anybody's way: it is the secret that was changed or deleted.
                        None => open = self.catalog.open_anew(name).await?,
                    }
                }
                Err(LedgerError::Changed { .. }) => return Err(CatalogError::Changed(name.clone()).into()),
                Err(error) => {
                    self.take_back(LeaseKey { item_id: open.secret.id, lease_id: order.lease_id }, creating);
                    return Err(error.into());
                }
            }
        };
        self.note(&intent.lease);
        failpoint::reach("intent");

        let deadline = intent.lease.due().unwrap_or_default();
        let producer = self.producers.of(&open.secret, open.payload.clone());
        let answer = tokio::select! {
            biased;
            answer = producer.create(&order) => answer,
            () = self.clock.sleep_until(deadline) => Err(ask::no_answer()),
        };
        failpoint::reach("created");
        match answer {
            Ok(created) if wish.given_up.load(Ordering::Acquire) => {
                self.discard(intent, created.id, creating);
                Err(IssueError::Timeout("nobody waits for the credential any more; it is revoked".to_owned()))
            }
            Ok(created) => self.activate(intent, created, &open, again.as_ref(), creating).await,
            Err(CreateError::NotCreated(why)) => {
                // Should this fail, the lease becomes UNKNOWN at its deadline: too careful, and safe.
                match self.ledger.withdraw(&intent).await {
                    Ok(()) => failpoint::reach("withdrawn"),
                    Err(error) => tracing::warn!(lease = %intent.lease.id, %error, "intent not withdrawn"),
                }
                self.forget(deadline, LeaseKey::of(&intent.lease));
                self.forget_producer(intent.lease.item_id).await;
                Err(IssueError::Producer(why))
            }
            Err(CreateError::Unusable { id, reason }) => {
                self.discard(intent, id, creating);
                Err(IssueError::Producer(reason))
            }
            Err(CreateError::Lost { reason, timeout }) => {
                self.lose(&intent, &reason).await;
                // Whoever asked is the only one who waits; that something may be left behind is not for the log alone.
                let told = format!(
                    "{reason}; a credential may have been made all the same, which nobody has: lease {} is UNKNOWN",
                    intent.lease.id
                );
                Err(if timeout { IssueError::Timeout(told) } else { IssueError::Producer(told) })
            }
        }
    }

    /// Writes INTENT down, if the secret still stands and there is room.
    async fn begin(
        &self,
        open: &OpenSecret,
        order: &Order,
        again: Option<&Again>,
    ) -> Result<Recorded, LedgerError> {
        let secret = &open.secret;
        let (now, ttl) = (self.clock.now(), order.ttl);
        let deadline = self.deadline(now, secret.timeout_sec);
        let mut lease = Lease::intent((secret.id, &secret.name), order.holder.clone(), ttl, now, deadline);
        lease.id = order.lease_id;
        let mut also = vec![open.unchanged.clone()];
        if secret.capabilities.request_id {
            lease.order_kept = true;
            let kept = ask::keep(self.catalog.sealer(), order, open);
            also.push(kept.map_err(|_| LedgerError::Unreadable(order.lease_id.to_string()))?);
        }
        if let Some(again) = again {
            lease.again = Some(again.digest().to_owned());
            also.push(again.take(&lease));
        }
        let of_item = OfItem { most: secret.max_leases, version: open.version() };
        self.ledger.open(lease, &also, of_item).await
    }

    /// Takes INTENT back that may have been written though the commit seemed to fail: no producer was called for it, and it
    /// must not look as if one had been. A task of its own, for which a stop waits.
    fn take_back(self: &Arc<Self>, key: LeaseKey, creating: OwnedRwLockReadGuard<()>) {
        let engine = Arc::clone(self);
        self.runtime.spawn(async move {
            for pause in TAKING_BACK {
                let taken = match engine.ledger.get(key).await {
                    Ok(None) => Ok(()),
                    Ok(Some(intent)) if matches!(intent.lease.state, LeaseState::Intent { .. }) => {
                        engine.ledger.withdraw(&intent).await
                    }
                    Ok(Some(_)) => break,
                    Err(error) => Err(error),
                };
                match taken {
                    Ok(()) => break,
                    Err(error) => tracing::warn!(lease = %key.lease_id, %error, "intent not taken back yet"),
                }
                engine.clock.sleep(pause).await;
            }
            drop(creating);
        });
    }

    /// When a producer that has `timeout_sec` is waited for no longer, if it is asked at `now`.
    fn deadline(&self, now: Timestamp, timeout_sec: u64) -> Timestamp {
        (now + Duration::from_secs(timeout_sec) + GRACE).min(self.call_end.get())
    }

    /// Hands the credential out, if its secret still stands; one that was deleted meanwhile issues nothing more.
    async fn activate(
        self: Arc<Self>,
        intent: Recorded,
        created: Created,
        open: &OpenSecret,
        again: Option<&Again>,
        creating: OwnedRwLockReadGuard<()>,
    ) -> Result<Issued, IssueError> {
        let Created { id, response } = created;
        let active = intent.lease.activate(id.clone(), self.clock.now());
        let error = match active {
            Err(_) => LedgerError::Changed { key: open.stands.key.clone() },
            Ok(active) => {
                let mut also = vec![open.stands.clone()];
                also.extend(again.and_then(|_| self.keep_answer(open, &active, &response)));
                match self.replace_with(&intent, active, Hold::Join, &also).await {
                    Ok(Recorded { lease, .. }) => {
                        failpoint::reach("active");
                        tracing::info!(lease = %lease.id, item = %lease.item_name, "lease active");
                        let expires_at = lease.due().unwrap_or_default();
                        return Ok(Issued { lease_id: lease.id, expires_at, response });
                    }
                    Err(error) => error,
                }
            }
        };
        // The credential exists, and the record does not say so: nobody is to have it.
        self.discard(intent, id, creating);
        Err(error.into())
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
    pub(super) async fn record_discarded(&self, mut recorded: Recorded, producer_id: String) {
        let mut wait = Duration::from_millis(50);
        loop {
            let error = match recorded.lease.discard(producer_id.clone(), self.clock.now()) {
                Ok(lease) => match self.replace(&recorded, lease, Hold::JoinToRevoke).await {
                    Ok(recorded) => {
                        failpoint::reach("discarded");
                        let lease = &recorded.lease;
                        tracing::info!(lease = %lease.id, item = %lease.item_name, "credential that nobody has must go");
                        return;
                    }
                    Err(error) => error,
                },
                // Written after all, by a commit that seemed to fail: it is known, and nobody has it.
                Err(_) => {
                    self.revoke_unheard(&recorded).await;
                    return;
                }
            };
            tracing::error!(lease = %recorded.lease.id, %error, "credential without a record");
            if !matches!(error, LedgerError::Changed { .. }) {
                self.clock.sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(30));
            }
            match self.ledger.get(LeaseKey::of(&recorded.lease)).await {
                Ok(Some(newer)) => recorded = newer,
                // Written after all, and revoked since; or somebody has settled it, who did not know of this answer.
                Ok(None) => {
                    let lease = recorded.lease.found(producer_id.clone(), self.clock.now());
                    match self.ledger.find(&lease).await {
                        Ok(found) => return self.note(&found.lease),
                        Err(error) => tracing::error!(%error, "credential without a record"),
                    }
                }
                Err(error) => tracing::error!(lease = %recorded.lease.id, %error, "lease not read"),
            }
        }
    }

    /// ACTIVE was written though the commit seemed to fail, and its caller was told that there is nothing.
    async fn revoke_unheard(&self, recorded: &Recorded) {
        let LeaseState::Active { .. } = recorded.lease.state else { return };
        // Whoever asked again with the same key may have been given it meanwhile.
        if recorded.lease.again.is_some() {
            return;
        }
        let Ok(revoking) = recorded.lease.revoke(self.clock.now()) else { return };
        if let Err(error) = self.replace(recorded, revoking, Hold::Keep).await {
            // Then it goes when its time is over.
            tracing::warn!(lease = %recorded.lease.id, %error, "credential that nobody has waits for its time");
        }
    }

    /// Records that a credential may exist. Should that fail, INTENT's deadline does the same.
    async fn lose(&self, intent: &Recorded, reason: &str) {
        let lease = &intent.lease;
        let Ok(unknown) = lease.lose(reason, self.clock.now(), lease.order_kept) else {
            return;
        };
        match self.replace(intent, unknown, Hold::Keep).await {
            Ok(_) => {
                failpoint::reach("unknown");
                tracing::error!(lease = %lease.id, item = %lease.item_name, "lease unknown");
            }
            Err(error) => tracing::warn!(lease = %lease.id, %error, "lost lease not recorded yet"),
        }
    }
}

/// What the producer is asked for.
fn order(now: &Timestamp, open: &OpenSecret, holder: &Holder, wish: &Wish) -> Order {
    let most = open.secret.user_ttl.span();
    let ttl = wish.ttl.map_or(most, |wished| wished.min(most));
    Order {
        lease_id: LeaseId::random(),
        holder: holder.clone(),
        input: wish.input.clone(),
        ttl,
        expires_at: *now + Duration::from_secs(open.secret.timeout_sec) + ttl,
    }
}

/// Between the end of the producer's time and the moment at which INTENT counts as lost.
const GRACE: Duration = Duration::from_secs(5);

/// With less time than this a producer is not asked.
pub(super) const LEAST: Duration = Duration::from_millis(500);

const NO_TIME: &str = "there is no time left to ask the producer; nothing was made, so try again";

/// How long is waited after each try to take INTENT back. Then it counts as UNKNOWN at its deadline.
const TAKING_BACK: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(2)];

/// How often something is looked at anew that others have changed.
const TRIES: usize = 3;
