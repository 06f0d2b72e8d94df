//! Asking a producer again, under the same `request_id`, what it has made when its answer was lost.
//!
//! Only of producers that have declared that they answer such a call with the same credential: any other would make a
//! second one, and the first would look settled. Whatever is learned is revoked: its caller has long been told that
//! there is nothing. Only a name settles it; a refusal may be about the call, and not about the credential.

use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::DynamicSecret;
use gateward_seal::{OpenError, Sealer, SecretValue};
use gateward_store::{Change, Precondition, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Engine;
use super::lane::Outcome;
use crate::due::LeaseKey;
use crate::failpoint;
use crate::items::OpenSecret;
use crate::ledger::{Hold, LedgerError, Recorded, sealed};
use crate::producer::{CreateError, Created, NO_ANSWER, Order};

/// What is kept of an order besides the lease.
#[derive(Serialize, Deserialize)]
struct Kept {
    input: Map<String, Value>,
    ttl_millis: u64,
    expires_at: Timestamp,
}

/// Keeps `order` to the producer of `open`, sealed as its payload is.
pub(super) fn keep(sealer: &Sealer, order: &Order, open: &OpenSecret) -> Result<Write, OpenError> {
    let key = sealed::order_key(LeaseKey { item_id: open.secret.id, lease_id: order.lease_id });
    let kept = Kept {
        input: order.input.clone(),
        ttl_millis: u64::try_from(order.ttl.as_millis()).unwrap_or(u64::MAX),
        expires_at: order.expires_at,
    };
    let plaintext = Zeroizing::new(serde_json::to_vec(&kept).unwrap_or_default());
    let value = sealer.seal_at_with(open.fragment.as_ref(), PURPOSE, &key, 1, &plaintext)?;
    Ok(Write { key, precondition: Precondition::Absent, change: Change::Put(value) })
}

/// What is said of a producer that has not answered at all.
pub(super) fn no_answer() -> CreateError {
    CreateError::Lost { reason: NO_ANSWER.to_owned(), timeout: true }
}

impl Engine {
    /// Asks the producer for the name of what it may have made for `claimed`.
    pub(super) async fn ask(
        &self,
        secret: &DynamicSecret,
        payload: SecretValue,
        claimed: Recorded,
        until: Timestamp,
    ) -> Outcome {
        let order = match self.kept(&claimed).await {
            Ok(order) => order,
            Err(why) => {
                self.ask_later(&claimed, &why).await;
                return Outcome::NotCalled;
            }
        };
        let producer = self.producers.of(secret, payload);
        let answer = tokio::select! {
            biased;
            answer = producer.create(&order) => answer,
            () = self.clock.sleep_until(until.min(self.call_end.get())) => Err(no_answer()),
        };
        failpoint::reach("asked-again");
        match answer {
            Ok(Created { id, .. }) | Err(CreateError::Unusable { id, .. }) => {
                // Somebody may have settled it meanwhile, who did not know of this answer.
                self.record_discarded(claimed, id).await;
                Outcome::Answered
            }
            Err(CreateError::NotCreated(why)) => {
                self.ask_later(&claimed, &why).await;
                Outcome::Answered
            }
            Err(CreateError::Lost { reason, .. }) => {
                self.ask_later(&claimed, &reason).await;
                Outcome::Failed
            }
        }
    }

    async fn ask_later(&self, claimed: &Recorded, why: &str) {
        let later = claimed.lease.ask_later(why, self.clock.now(), &mut fastrand::Rng::new());
        let Ok(later) = later else { return };
        if let Err(error) = self.replace(claimed, later, Hold::Keep).await {
            tracing::warn!(lease = %claimed.lease.id, %error, "outcome of a question not recorded");
            if !matches!(error, LedgerError::Changed { .. }) {
                self.note_soon(LeaseKey::of(&claimed.lease));
            }
        }
    }

    async fn kept(&self, recorded: &Recorded) -> Result<Order, String> {
        let lease = &recorded.lease;
        let key = sealed::order_key(LeaseKey::of(lease));
        let entry = self.ledger.store().get(&key).await.map_err(|error| error.to_string())?;
        let entry = entry.ok_or("what the producer was asked with is not there any more")?;
        let plaintext =
            self.catalog.sealer().open_entry(PURPOSE, &entry).map_err(|error| error.to_string())?;
        let Kept { input, ttl_millis, expires_at } = serde_json::from_slice(&plaintext)
            .map_err(|_| "what the producer was asked with is unreadable")?;
        let ttl = Duration::from_millis(ttl_millis);
        Ok(Order { lease_id: lease.id, holder: lease.holder.clone(), input, ttl, expires_at })
    }
}

const PURPOSE: &str = "order to a producer";
