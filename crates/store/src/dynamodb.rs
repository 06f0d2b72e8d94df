//! The store for functions and for any scale: one table of DynamoDB, shared by as many processes as there are.
//!
//! Every entry is one item; a commit is one transaction, whose conditions are the commit's preconditions. What DynamoDB
//! has no notion of is the order of commits. So a commit that writes in a followed partition also moves the *head*, an
//! item with the newest revision, and leaves what it wrote in a *log*, a ring of items: that is what other processes
//! read every two seconds to learn what has changed. Commits in quiet partitions, which leases are kept in, do neither,
//! and so no item stands in the way of all of them. See `commit.rs` and `log.rs`.
//!
//! An answer that is lost does not become a conflict: a commit is asked for again under the same token, which DynamoDB
//! does once, and it leaves its tag in what it wrote, by which it knows itself. See `attempt.rs`.
//!
//! The engine calls DynamoDB through [`Api`], so that it knows nothing of signatures, and tests can stand in between.

mod api;
mod attempt;
mod commit;
mod log;
mod wire;

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use crate::history::{self, History};
use crate::{Changes, CommitError, Entry, Key, Revision, Store, StoreError, Write, acceptable};
pub use api::{Api, Failure, Refusal};
use attempt::Answered;
use commit::Order;
use wire::Range;

/// Why the table does not serve as a store.
#[derive(Debug, thiserror::Error)]
pub enum DynamoError {
    /// It is not there.
    #[error(
        "DynamoDB has no table \"{table}\" here; create it as docs/serverless.md shows, or correct dynamodb_table, the \
         region or the account"
    )]
    NoTable {
        /// Its name.
        table: String,
    },
    /// It is somebody else's.
    #[error(
        "the table \"{table}\" is no store: its key must be p (a string) and s (a string); see docs/serverless.md"
    )]
    NotOurs {
        /// Its name.
        table: String,
    },
    /// These credentials may not use it.
    #[error(
        "AWS refuses the use of the table \"{table}\"; see docs/serverless.md for what a role must be allowed"
    )]
    Denied {
        /// Its name.
        table: String,
        /// What AWS says.
        #[source]
        refusal: Refusal,
    },
    /// DynamoDB did not do it.
    #[error("DynamoDB does not do what it is asked")]
    Failed(#[source] Failure),
    /// It may have been done, and nobody can tell any more.
    #[error("DynamoDB has not said whether the commit happened")]
    Uncertain,
    /// Others were always faster.
    #[error("too many processes write at once; none of {DEADLINE:?} was enough")]
    Crowded,
    /// The answer, or what stands in the table, is nothing that we know.
    #[error("DynamoDB's answer is not understood: {0}")]
    Garbage(&'static str),
}

/// A store in a table of DynamoDB.
pub struct DynamoStore {
    table: Arc<Table>,
    runtime: Handle,
    /// Commits in followed partitions go one after the other, in the order in which they were asked for. Unbounded,
    /// because every sender waits for its answer.
    orders: mpsc::UnboundedSender<Order>,
}

/// The table, as one process knows it.
struct Table {
    api: Arc<dyn Api>,
    name: String,
    history: History,
    pace: Pace,
    /// When the head was last read. Whoever holds it is the one who moves the history on.
    looked: Mutex<Instant>,
}

/// How a process hears of what others have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// The table is looked at every two seconds.
    Often,
    /// It is looked at when the revision is asked for, and never else: for a process that is frozen between two events,
    /// and whose calls would break off then.
    WhenAsked,
}

/// How often the head is read, if it is read unasked; and how far back the log reaches.
#[derive(Clone, Copy, Debug)]
struct Pace {
    period: Option<Duration>,
    ring: u64,
    remembered: usize,
}

impl DynamoStore {
    /// The store in the table `name`, which must be there; its tasks run on `runtime`.
    pub async fn open(
        api: Arc<dyn Api>,
        name: &str,
        runtime: Handle,
        looks: Looks,
    ) -> Result<Arc<Self>, StoreError> {
        let period = match looks {
            Looks::Often => USUAL_PACE.period,
            Looks::WhenAsked => None,
        };
        Self::open_at(api, name, runtime, Pace { period, ..USUAL_PACE }).await
    }

    async fn open_at(
        api: Arc<dyn Api>,
        name: &str,
        runtime: Handle,
        pace: Pace,
    ) -> Result<Arc<Self>, StoreError> {
        let history = History::remembering(pace.remembered);
        let looked = Mutex::new(Instant::now());
        let table = Arc::new(Table { api, name: name.to_owned(), history, pace, looked });
        table.start().await?;
        let (orders, waiting) = mpsc::unbounded_channel();
        runtime.spawn(Arc::clone(&table).commit_in_turn(waiting));
        Ok(Arc::new(Self { table, runtime, orders }))
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        acceptable::key(key)?;
        self.table.get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        acceptable::partition(partition)?;
        self.table.list(partition, &Range(range), limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        acceptable::writes(&writes)?;
        let (answer, answered) = oneshot::channel();
        let order = Order { writes, answer };
        // In tasks of their own, because what was asked for is done also if whoever asked has gone.
        if order.is_followed() {
            self.orders.send(order).map_err(|_| StoreError::Closed)?;
        } else {
            let table = Arc::clone(&self.table);
            self.runtime.spawn(async move { table.commit_apart(order).await });
        }
        answered.await.map_err(|_| StoreError::Closed)?
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        let table = &self.table;
        if since > table.history.newest() {
            // Another process may have told of it.
            table.look().await?;
        }
        loop {
            tokio::select! {
                biased;
                changes = table.history.changes(since) => return changes,
                looked = table.look_in_time() => looked?,
            }
        }
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.table.look().await
    }
}

impl Table {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let answer = self.read_item(&wire::key(key)).await?;
        answer.map_or(Ok(None), |item| wire::entry(key.clone(), &item))
    }

    /// The item at `key`, as it stands.
    async fn read_item(&self, key: &serde_json::Value) -> Result<Option<wire::Item>, StoreError> {
        let request = json!({ "TableName": self.name, "Key": key, "ConsistentRead": true });
        let Answered { result, .. } = self.ask("GetItem", &request, Instant::now() + DEADLINE).await;
        wire::item(&result.map_err(|failure| self.failed(failure))?)
    }

    async fn list(&self, partition: &str, range: &Range, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let mut listed = Vec::new();
        if range.ends_before_it_starts() {
            return Ok(listed);
        }
        let mut start = None;
        while listed.len() < limit {
            let request = wire::query(&self.name, partition, range, limit - listed.len(), start.as_ref());
            let Answered { result, .. } = self.ask("Query", &request, Instant::now() + DEADLINE).await;
            let page = wire::page(&result.map_err(|failure| self.failed(failure))?)?;
            for item in page.items {
                let entry = wire::entry(wire::key_of(partition, &item)?, &item)?;
                if let Some(entry) = entry.filter(|entry| range.contains(&entry.key.sort)) {
                    listed.push(entry);
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        listed.truncate(limit);
        Ok(listed)
    }

    /// What went wrong, in the words of somebody who has to put it right.
    fn failed(&self, failure: Failure) -> StoreError {
        let table = self.name.clone();
        let error = match failure {
            Failure::Refused(refusal) => match (refusal.error.as_str(), refusal.status) {
                ("ResourceNotFoundException", _) => DynamoError::NoTable { table },
                (
                    "AccessDeniedException"
                    | "UnrecognizedClientException"
                    | "InvalidSignatureException"
                    | "ExpiredTokenException"
                    | "MissingAuthenticationTokenException",
                    _,
                )
                | (_, 401 | 403) => DynamoError::Denied { table, refusal },
                _ => DynamoError::Failed(Failure::Refused(refusal)),
            },
            failure => DynamoError::Failed(failure),
        };
        engine(error)
    }
}

fn engine(error: DynamoError) -> StoreError {
    StoreError::Engine(Box::new(error))
}

/// How long anything may take, attempts and pauses together.
const DEADLINE: Duration = Duration::from_secs(10);

/// Configuration is to reach everybody within five seconds. What the log of one process does not remember any more, the
/// table's ring still does.
const USUAL_PACE: Pace =
    Pace { period: Some(Duration::from_secs(2)), ring: 1024, remembered: history::CAPACITY };

#[cfg(test)]
mod tests;
