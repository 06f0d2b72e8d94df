//! What the Admin API asks of the store: little for a write, however much stands there; and what it finds after a
//! restart.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gateward_store::{Changes, CommitError, Entry, Key, MemoryStore, Revision, Store, StoreError, Write};
use http::StatusCode;

use crate::Plane;
use crate::apisix::ask;

/// A store that counts how often it is asked for more than one entry.
struct Counting {
    inner: MemoryStore,
    lists: AtomicUsize,
}

#[async_trait]
impl Store for Counting {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
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

#[tokio::test]
async fn a_write_reads_no_more_than_it_refers_to() {
    let store = Arc::new(Counting { inner: MemoryStore::new(), lists: AtomicUsize::new(0) });
    let plane = Plane::on(store.clone(), None).await;
    // The configuration reads everything once, when it starts.
    ask(&plane, "PUT", "/upstreams/u", r#"{"nodes": {"a:1": 1}}"#).await;
    let before = store.lists.load(Ordering::Relaxed);
    for (method, path, body) in [
        ("PUT", "/routes/1", r#"{"uri": "/a", "upstream_id": "u"}"#),
        ("POST", "/routes", r#"{"uri": "/a", "upstream_id": "u"}"#),
        ("PATCH", "/routes/1", r#"{"desc": "d"}"#),
        ("PUT", "/routes/1?ttl=60", r#"{"uri": "/a", "upstream_id": "u"}"#),
        ("PUT", "/consumers", r#"{"username": "ann", "plugins": {"key-auth": {"key": "canary"}}}"#),
        ("PUT", "/consumers/ann/credentials/1", r#"{"plugins": {"key-auth": {"key": "canary-1"}}}"#),
        ("DELETE", "/consumers/ann/credentials/1", ""),
        ("DELETE", "/routes/1", ""),
    ] {
        let answer = ask(&plane, method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
    }
    assert_eq!(store.lists.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn a_restart_forgets_no_ttl() {
    let store = Arc::new(MemoryStore::new());
    let plane = Plane::on(store.clone(), None).await;
    let route = r#"{"uri": "/a", "plugins": {}}"#;
    ask(&plane, "PUT", "/routes/1?ttl=60", route).await;
    let key = Key { partition: "routes".to_owned(), sort: "1".to_owned() };
    let sealed = store.get(&key).await.unwrap().unwrap();
    drop(plane);
    let plane = Plane::on(store.clone(), None).await;
    assert_eq!(store.get(&key).await.unwrap().unwrap(), sealed);
    plane.clock.advance(Duration::from_secs(60));
    plane.gone("routes", "1").await;
    assert_eq!(ask(&plane, "GET", "/routes/1", "").await.status, StatusCode::NOT_FOUND);
}
