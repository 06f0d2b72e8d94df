//! Resources whose time is over, one of which cannot be deleted: it keeps no other, neither on a server nor in a function.

use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use gateward_clock::Clock;
use gateward_store::{Changes, CommitError, Entry, Key, MemoryStore, Revision, Store, StoreError, Write};

use crate::Plane;
use crate::apisix::ask;

/// What becomes of whoever reads the route `stuck`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stuck {
    Not,
    Fails,
    Hangs,
}

struct Sticky {
    inner: MemoryStore,
    stuck: Mutex<Stuck>,
}

impl Sticky {
    fn set(&self, stuck: Stuck) {
        *self.stuck.lock().unwrap() = stuck;
    }
}

#[async_trait]
impl Store for Sticky {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let stuck = *self.stuck.lock().unwrap();
        if key.partition == "routes" && key.sort == "stuck" && stuck != Stuck::Not {
            tokio::task::yield_now().await;
            match stuck {
                Stuck::Hangs => std::future::pending().await,
                _ => return Err(StoreError::Engine("the disk is on fire".into())),
            }
        }
        self.inner.get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.list(partition, range, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        self.inner.commit(writes).await
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.inner.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }
}

/// Two routes whose time ends one after the other: `stuck`, and `other`.
async fn expiring() -> (Arc<Sticky>, Plane) {
    let store = Arc::new(Sticky { inner: MemoryStore::new(), stuck: Mutex::new(Stuck::Not) });
    let plane = Plane::on(store.clone(), None).await;
    for path in ["/routes/stuck?ttl=60", "/routes/other?ttl=61"] {
        let answer = ask(&plane, "PUT", path, r#"{"uri": "/a", "plugins": {}}"#).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
    (store, plane)
}

#[tokio::test]
async fn what_cannot_be_deleted_keeps_no_other_and_is_tried_again() {
    let (store, plane) = expiring().await;
    store.set(Stuck::Fails);
    plane.clock.advance(Duration::from_secs(61));
    plane.gone("routes", "other").await;
    store.set(Stuck::Not);
    plane.clock.advance(Duration::from_secs(1));
    plane.gone("routes", "stuck").await;
}

#[tokio::test]
async fn in_a_function_too_and_a_store_that_hangs_ends_with_the_time_of_the_tick() {
    let (store, plane) = expiring().await;
    // The one that waits for the time by itself gets no farther than this.
    store.set(Stuck::Hangs);
    plane.clock.advance(Duration::from_secs(61));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let until = plane.clock.now() + Duration::from_secs(10);
    let time = async {
        tokio::task::yield_now().await;
        plane.clock.advance(Duration::from_secs(10));
    };
    join(plane.control.expire_due(until), time).await;
    let other = Key { partition: "routes".to_owned(), sort: "other".to_owned() };
    assert!(store.get(&other).await.unwrap().is_some());
    store.set(Stuck::Fails);
    plane.control.expire_due(until + Duration::from_secs(60)).await;
    assert!(store.get(&other).await.unwrap().is_none());
}
