//! What has changed, for those who did not change it.
//!
//! The *head* (`#head`) has the newest revision, the tag of the commit that made it and what that commit wrote. Each
//! commit also leaves the same in the *log* (`#log`), at the remainder of its revision: a ring, so that nothing has to
//! be deleted, and whoever is more than a round behind reads everything again.
//!
//! Of a transaction of DynamoDB, single reads may see one item before and another after it. So that nobody is told of a
//! commit and then reads what was there before it, its keys are first read in a transaction of our own, which waits for
//! any other that is still at them.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::attempt::Answered;
use super::wire::{self, Item, Range, Tag};
use super::{DEADLINE, DynamoError, Failure, Table, engine};
use crate::{Key, Revision, StoreError};

/// A commit that is in the log.
struct Logged {
    revision: Revision,
    keys: Vec<Key>,
}

/// Whether a commit is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is.
    Ours,
    /// It is not, and its revision is another's or still to come.
    NotOurs,
    /// The ring has gone round since.
    Overwritten,
}

impl Table {
    /// Reads the head for the first time: whether there is a table, and where it stands.
    pub(super) async fn start(&self) -> Result<(), StoreError> {
        let request = json!({ "TableName": self.name, "Key": head_key(), "ConsistentRead": true });
        let Answered { result, .. } = self.ask("GetItem", &request, Instant::now() + START_DEADLINE).await;
        let answer = result.map_err(|failure| match failure {
            // A table with another key refuses the question itself.
            Failure::Refused(refusal) if refusal.error == "ValidationException" => {
                engine(DynamoError::NotOurs { table: self.name.clone() })
            }
            failure => self.failed(failure),
        })?;
        let Some(head) = wire::item(&answer)? else { return Ok(()) };
        let head = logged(&head)?;
        self.settle(&head.keys).await?;
        self.history.start_over(head.revision);
        Ok(())
    }

    /// Reads the head, has followers told of what is new, and returns the newest revision.
    pub(super) async fn look(&self) -> Result<Revision, StoreError> {
        let mut looked = self.looked.lock().await;
        self.look_now(&mut looked).await
    }

    /// Waits until it is time to look, and looks, unless somebody else just has. Where nobody looks unasked it never is.
    pub(super) async fn look_in_time(&self) -> Result<(), StoreError> {
        let Some(period) = self.pace.period else { return std::future::pending().await };
        let due = *self.looked.lock().await + period;
        tokio::time::sleep_until(due).await;
        let mut looked = self.looked.lock().await;
        if *looked + period <= Instant::now() {
            self.look_now(&mut looked).await?;
        }
        Ok(())
    }

    async fn look_now(&self, looked: &mut Instant) -> Result<Revision, StoreError> {
        let started = Instant::now();
        let head = self.read_item(&head_key()).await?;
        let head = head.as_ref().map(logged).transpose()?;
        let head = head.unwrap_or(Logged { revision: Revision(0), keys: Vec::new() });
        let revision = head.revision;
        self.catch_up(head).await?;
        *looked = started;
        Ok(revision)
    }

    /// Has followers told of a commit of our own.
    pub(super) async fn learn(&self, revision: Revision, keys: Vec<Key>) -> Result<(), StoreError> {
        // Only who holds it moves the history on.
        let _looked = self.looked.lock().await;
        if self.history.newest() < revision {
            self.catch_up(Logged { revision, keys }).await?;
        }
        Ok(())
    }

    /// Moves the history on to `head`.
    async fn catch_up(&self, head: Logged) -> Result<(), StoreError> {
        let (known, newest) = (self.history.newest(), head.revision);
        if newest == known {
            return Ok(());
        }
        if newest.0 == known.0 + 1 {
            return self.record(vec![head]).await;
        }
        if newest > known
            && let Some(commits) = self.logged_between(known, newest).await?
        {
            return self.record(commits).await;
        }
        // The ring has gone round, or the table was put back to an earlier state.
        self.settle(&head.keys).await?;
        self.history.start_over(newest);
        Ok(())
    }

    /// Has followers told of `commits`, some at a time: what was told stays told if whoever looks must go.
    async fn record(&self, commits: Vec<Logged>) -> Result<(), StoreError> {
        let mut commits = commits.into_iter().peekable();
        while commits.peek().is_some() {
            let (mut some, mut keys) = (Vec::new(), BTreeSet::new());
            while let Some(commit) = commits.next_if(|_| keys.len() < ENOUGH_AT_ONCE) {
                keys.extend(commit.keys.iter().cloned());
                some.push(commit);
            }
            self.settle(&Vec::from_iter(keys)).await?;
            for Logged { revision, keys } in some {
                self.history.record(revision, keys.into_iter().map(|key| (revision, key)));
            }
        }
        Ok(())
    }

    /// The commits after `known` up to `newest`; `None` if the ring has gone round.
    async fn logged_between(
        &self,
        known: Revision,
        newest: Revision,
    ) -> Result<Option<Vec<Logged>>, StoreError> {
        let ring = self.pace.ring;
        if newest.0 - known.0 > ring {
            return Ok(None);
        }
        let (first, last) = ((known.0 + 1) % ring, newest.0 % ring);
        let ranges = if first <= last { vec![(first, last)] } else { vec![(first, ring - 1), (0, last)] };
        let mut commits = Vec::new();
        for (first, last) in ranges {
            let range = (Bound::Included(slot_sort(first)), Bound::Included(slot_sort(last)));
            commits.extend(self.log_range(&Range(range)).await?);
        }
        // One that is not what it was expected to be was overwritten while we read.
        let expected = known.0 + 1..=newest.0;
        let complete = commits.iter().map(|commit| commit.revision.0).eq(expected);
        Ok(complete.then_some(commits))
    }

    async fn log_range(&self, range: &Range) -> Result<Vec<Logged>, StoreError> {
        let mut commits = Vec::new();
        let mut start = None;
        loop {
            let mut request = wire::query(&self.name, "", range, usize::MAX, start.as_ref());
            request["ExpressionAttributeValues"][":p"] = json!({ "S": LOG });
            request["ProjectionExpression"] = "r, c, k".into();
            let Answered { result, .. } = self.ask("Query", &request, Instant::now() + DEADLINE).await;
            let page = wire::page(&result.map_err(|failure| self.failed(failure))?)?;
            for item in &page.items {
                commits.push(logged(item)?);
            }
            match page.next {
                Some(next) => start = Some(next),
                None => return Ok(commits),
            }
        }
    }

    /// Returns when no transaction is at work on `keys` any more that was so before.
    async fn settle(&self, keys: &[Key]) -> Result<(), StoreError> {
        let mut readings = Vec::new();
        for some in keys.chunks(MOST_READ) {
            readings.push(self.read_in_transaction(some));
        }
        try_join_all(readings).await.map(drop)
    }

    async fn read_in_transaction(&self, keys: &[Key]) -> Result<(), StoreError> {
        let gets = keys.iter().map(|key| {
            json!({ "Get": { "TableName": self.name, "Key": wire::key(key), "ProjectionExpression": "v" } })
        });
        let request = json!({ "TransactItems": gets.collect::<Vec<_>>() });
        let deadline = Instant::now() + DEADLINE;
        let Answered { result, .. } = self.ask("TransactGetItems", &request, deadline).await;
        result.map(drop).map_err(|failure| self.failed(failure))
    }

    /// Whether the commit of `revision` is the one with `tag`.
    pub(super) async fn find(&self, revision: Revision, tag: &Tag) -> Result<Found, StoreError> {
        let Some(slot) = self.read_item(&self.slot_key(revision)).await? else { return Ok(Found::NotOurs) };
        Ok(match wire::count(&slot, "r") {
            Some(found) if found == revision.0 && tag.is_of(&slot) => Found::Ours,
            Some(found) if found > revision.0 => Found::Overwritten,
            _ => Found::NotOurs,
        })
    }

    /// The parts of a transaction that move the head from `before` to the next revision, and log what is written.
    pub(super) fn log_parts(&self, before: Revision, keys: &[&Key], tag: &Tag) -> [Value; 2] {
        let next = Revision(before.0 + 1);
        let keys: Vec<Value> =
            keys.iter().map(|key| json!({ "L": [{ "S": key.partition }, { "S": key.sort }] })).collect();
        let at = |mut item: Value| {
            item["r"] = wire::number(next.0);
            item["c"] = json!({ "S": tag.as_str() });
            item["k"] = json!({ "L": keys });
            item
        };
        let mut head = json!({
            "TableName": self.name,
            "Item": at(head_key()),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        });
        if before == Revision(0) {
            head["ConditionExpression"] = "attribute_not_exists(p)".into();
        } else {
            head["ConditionExpression"] = "r = :before".into();
            head["ExpressionAttributeValues"] = json!({ ":before": wire::number(before.0) });
        }
        let slot = json!({ "TableName": self.name, "Item": at(self.slot_key(next)) });
        [json!({ "Put": head }), json!({ "Put": slot })]
    }

    fn slot_key(&self, revision: Revision) -> Value {
        wire::own_key("log", &slot_sort(revision.0 % self.pace.ring))
    }
}

/// The revision that `item`, a head, has.
pub(super) fn revision_of(item: &Item) -> Option<Revision> {
    wire::count(item, "r").map(Revision)
}

fn logged(item: &Item) -> Result<Logged, StoreError> {
    let revision = revision_of(item).ok_or_else(|| wire::garbage("a log without a revision"))?;
    let keys = item.get("k").and_then(|keys| keys["L"].as_array());
    let keys = keys.ok_or_else(|| wire::garbage("a log without keys"))?;
    let key = |key: &Value| {
        let part = |at: usize| key["L"][at]["S"].as_str().map(str::to_owned);
        let key = part(0).zip(part(1)).map(|(partition, sort)| Key { partition, sort });
        key.ok_or_else(|| wire::garbage("a log with a key that is none"))
    };
    Ok(Logged { revision, keys: keys.iter().map(key).collect::<Result<_, _>>()? })
}

fn head_key() -> Value {
    wire::own_key("head", "")
}

fn slot_sort(slot: u64) -> String {
    format!("{slot:06}")
}

const LOG: &str = "#log";

/// A process that cannot start says so soon.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// A transaction reads four megabytes at most, and a value has almost 400 kilobytes.
const MOST_READ: usize = 10;

/// How many keys are read side by side, give or take a commit's.
const ENOUGH_AT_ONCE: usize = 80;
