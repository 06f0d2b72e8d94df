//! Commits: one transaction each, or one conditional write where that is enough.
//!
//! A commit in followed partitions takes the revision after the newest that this process knows of, on the condition
//! that the head is still there; whoever finds that another process was faster takes the next. Within one process they
//! wait for each other, as they would only be in each other's way. Commits in quiet partitions do not, and DynamoDB
//! judges them by their own keys alone.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::attempt::Answered;
use super::log::{Found, revision_of};
use super::wire::{self, Reason, Tag};
use super::{DEADLINE, DynamoError, Failure, Table, engine};
use crate::{Change, CommitError, Key, Precondition, Revision, Write, is_quiet};

/// A commit that was asked for.
pub(super) struct Order {
    pub writes: Vec<Write>,
    pub answer: oneshot::Sender<Result<Revision, CommitError>>,
}

impl Order {
    /// Whether there is something to tell those who follow changes.
    pub(super) fn is_followed(&self) -> bool {
        self.writes.iter().any(is_followed)
    }
}

/// What came of a transaction.
enum Transacted {
    Done,
    /// Nothing of it was done, for these reasons, one for each part.
    Canceled(Vec<Reason>),
}

/// A transaction that was sent, and what is known of it.
struct Sent {
    result: Result<Transacted, Failure>,
    /// Whether it may have been done in spite of its result.
    in_doubt: bool,
}

impl Table {
    /// Does commits in followed partitions, one after the other, until nobody is left who could ask for one.
    pub(super) async fn commit_in_turn(self: Arc<Self>, mut waiting: mpsc::UnboundedReceiver<Order>) {
        while let Some(Order { writes, answer }) = waiting.recv().await {
            // Whoever asked may have gone; what they asked for is done all the same.
            let _ = answer.send(self.commit_followed(&writes).await);
        }
    }

    /// Does a commit that nobody is told of.
    pub(super) async fn commit_apart(&self, Order { writes, answer }: Order) {
        let done = match writes.as_slice() {
            writes if writes.iter().all(|write| matches!(write.change, Change::Check)) => {
                self.check(writes).await
            }
            [write] if is_compare_and_set(write) => self.compare_and_set(write).await,
            writes => self.commit_quiet(writes).await,
        };
        let _ = answer.send(done);
    }

    async fn commit_followed(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let tag = Tag::random();
        let deadline = Instant::now() + DEADLINE;
        let (parts, written) = self.parts(writes, &tag);
        let followed: Vec<&Key> =
            writes.iter().filter(|write| is_followed(write)).map(|write| &write.key).collect();
        let mut before = self.history.newest();
        while Instant::now() < deadline {
            let next = Revision(before.0 + 1);
            let mut all = parts.clone();
            all.extend(self.log_parts(before, &followed, &tag));
            let Sent { result, in_doubt } = self.transact(all, deadline).await;
            if let Ok(Transacted::Done) = result {
                self.tell(next, &followed).await;
                return Ok(next);
            }
            if in_doubt {
                match self.find(next, &tag).await {
                    Ok(Found::Ours) => {
                        self.tell(next, &followed).await;
                        return Ok(next);
                    }
                    Ok(Found::NotOurs) => {}
                    Ok(Found::Overwritten) | Err(_) => return Err(engine(DynamoError::Uncertain).into()),
                }
            }
            let reasons = match result {
                Ok(Transacted::Canceled(reasons)) => reasons,
                Ok(Transacted::Done) => return Ok(next),
                // It may still be done.
                Err(_) if in_doubt => return Err(engine(DynamoError::Uncertain).into()),
                Err(failure) => return Err(self.failed(failure).into()),
            };
            if let Some(key) = first_failed(&reasons, &written) {
                return Err(CommitError::Conflict { key: key.clone() });
            }
            // Another process was faster. What it has left there comes with the reason, unless it is nothing.
            let head = reasons.get(parts.len()).filter(|reason| reason.is_failed_condition());
            let Some(head) = head else {
                return Err(engine(DynamoError::Garbage("a transaction canceled for no reason")).into());
            };
            before = head.item.as_ref().and_then(revision_of).unwrap_or_default();
        }
        Err(engine(DynamoError::Crowded).into())
    }

    /// Has those who follow told of a commit that was done. That they cannot be is no failure of the commit: they hear of
    /// it when the head is read.
    async fn tell(&self, revision: Revision, followed: &[&Key]) {
        let keys = followed.iter().map(|key| (*key).clone()).collect();
        if let Err(error) = self.learn(revision, keys).await {
            tracing::warn!(%error, "a commit is told of later");
        }
    }

    async fn commit_quiet(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let tag = Tag::random();
        let (parts, written) = self.parts(writes, &tag);
        let Sent { result, in_doubt } = self.transact(parts, Instant::now() + DEADLINE).await;
        match result {
            Ok(Transacted::Done) => Ok(self.history.newest()),
            Ok(Transacted::Canceled(reasons)) => {
                let ours = |reason: &Reason| reason.item.as_ref().is_some_and(|item| tag.is_of(item));
                if in_doubt && reasons.iter().any(ours) {
                    return Ok(self.history.newest());
                }
                match first_failed(&reasons, &written) {
                    Some(key) => Err(CommitError::Conflict { key: key.clone() }),
                    None => Err(engine(DynamoError::Garbage("a transaction canceled for no reason")).into()),
                }
            }
            Err(_) if in_doubt => Err(engine(DynamoError::Uncertain).into()),
            Err(failure) => Err(self.failed(failure).into()),
        }
    }

    /// Whether the preconditions hold, all at the same time.
    async fn check(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let (parts, written) = self.parts(writes, &Tag::random());
        if !parts.is_empty() {
            match self.transact(parts, Instant::now() + DEADLINE).await.result {
                Ok(Transacted::Done) => {}
                Ok(Transacted::Canceled(reasons)) => {
                    return match first_failed(&reasons, &written) {
                        Some(key) => Err(CommitError::Conflict { key: key.clone() }),
                        None => {
                            Err(engine(DynamoError::Garbage("a transaction canceled for no reason")).into())
                        }
                    };
                }
                Err(failure) => return Err(self.failed(failure).into()),
            }
        }
        Ok(self.look().await?)
    }

    /// One write, whose precondition says which version it replaces: at half the price of a transaction. What it does not
    /// have is a token; but it may come twice, as the second time its precondition fails, and the item says why.
    async fn compare_and_set(&self, write: &Write) -> Result<Revision, CommitError> {
        let tag = Tag::random();
        let request =
            wire::part(&self.name, write, &tag).and_then(|mut part| part.get_mut("Put").map(Value::take));
        let Some(request) = request else {
            return Err(engine(DynamoError::Garbage("a write that is none")).into());
        };
        let Answered { result, in_doubt } = self.ask("PutItem", &request, Instant::now() + DEADLINE).await;
        match result {
            Ok(_) => Ok(self.history.newest()),
            Err(Failure::Refused(refusal)) if refusal.error == "ConditionalCheckFailedException" => {
                let standing = wire::item(&refusal.answer)?;
                if !in_doubt {
                    return Err(CommitError::Conflict { key: write.key.clone() });
                }
                if standing.is_some_and(|item| tag.is_of(&item)) {
                    return Ok(self.history.newest());
                }
                // Another has written since: over what we wrote, or in place of it.
                Err(engine(DynamoError::Uncertain).into())
            }
            Err(_) if in_doubt => Err(engine(DynamoError::Uncertain).into()),
            Err(failure) => Err(self.failed(failure).into()),
        }
    }

    /// What a transaction is made of, and the key that each part is about.
    fn parts<'writes>(&self, writes: &'writes [Write], tag: &Tag) -> (Vec<Value>, Vec<&'writes Key>) {
        let parts = writes.iter().filter_map(|write| Some((wire::part(&self.name, write, tag)?, &write.key)));
        parts.unzip()
    }

    /// Sends a transaction, under a token by which DynamoDB knows it when it comes again.
    async fn transact(&self, parts: Vec<Value>, deadline: Instant) -> Sent {
        let request = json!({ "TransactItems": parts, "ClientRequestToken": Tag::random().as_str() });
        let Answered { result, in_doubt } = self.ask("TransactWriteItems", &request, deadline).await;
        let result = match result {
            Ok(_) => Ok(Transacted::Done),
            Err(Failure::Refused(refusal)) => match canceled(&refusal.error, &refusal.answer) {
                Some(reasons) => Ok(Transacted::Canceled(reasons)),
                None => Err(Failure::Refused(refusal)),
            },
            Err(failure) => Err(failure),
        };
        Sent { result, in_doubt }
    }
}

/// Why a transaction was canceled, if one of its conditions is why.
fn canceled(error: &str, answer: &[u8]) -> Option<Vec<Reason>> {
    if error != "TransactionCanceledException" {
        return None;
    }
    let reasons = wire::reasons(answer).ok()?;
    reasons.iter().any(Reason::is_failed_condition).then_some(reasons)
}

/// The first key whose precondition failed.
fn first_failed<'writes>(reasons: &[Reason], written: &[&'writes Key]) -> Option<&'writes Key> {
    let mut failed = reasons.iter().zip(written).filter(|(reason, _)| reason.is_failed_condition());
    failed.next().map(|(_, key)| *key)
}

fn is_followed(write: &Write) -> bool {
    !is_quiet(&write.key.partition) && !matches!(write.change, Change::Check)
}

/// Whether to do it twice is to do it once.
fn is_compare_and_set(write: &Write) -> bool {
    matches!(write.change, Change::Put(_)) && !matches!(write.precondition, Precondition::Any)
}
