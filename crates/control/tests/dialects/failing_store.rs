//! A store that cannot be written any more: who looks is told, and what was half done can be finished.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gateward_control::Surface;
use gateward_store::{Changes, CommitError, Entry, Key, MemoryStore, Revision, Store, StoreError, Write};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, Plane};

/// A store that does so many commits more, and then says that it has failed.
struct Failing {
    inner: MemoryStore,
    commits_left: AtomicUsize,
}

impl Failing {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: MemoryStore::new(), commits_left: AtomicUsize::new(usize::MAX) })
    }

    fn fail_after(&self, commits: usize) {
        self.commits_left.store(commits, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for Failing {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
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
        let left = &self.commits_left;
        let takes = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match takes {
            Ok(_) => self.inner.commit(writes).await,
            Err(_) => Err(StoreError::Engine("no space left".into()).into()),
        }
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.inner.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }

    fn failure(&self) -> Option<String> {
        (self.commits_left.load(Ordering::Relaxed) == 0).then(|| "no space left".to_owned())
    }
}

async fn post(plane: &Plane, token: &str, operation: &str, mut body: Value) -> Answer {
    body["token"] = token.into();
    plane.ask(Surface::Akeyless, "POST", &format!("/{operation}"), &[], &body.to_string()).await
}

async fn names(plane: &Plane, token: &str) -> Vec<String> {
    let listed = post(plane, token, "list-items", json!({})).await.json;
    let items = listed["items"].as_array().unwrap();
    items.iter().map(|item| item["item_name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_store_that_cannot_be_written_any_more_is_told_by_ready_and_to_prometheus() {
    let store = Failing::new();
    let plane = Plane::on(store.clone(), None).await;
    let token = plane.token().await;
    let secret = json!({"name": "/a", "value": "canary"});
    assert_eq!(post(&plane, &token, "create-secret", secret).await.status, StatusCode::OK);
    let ready = async || {
        let is_ready = async {
            loop {
                let answer = plane.ask(Surface::All, "GET", "/ready", &[], "").await;
                if answer.status == StatusCode::OK {
                    return answer.json;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), is_ready).await.unwrap()
    };
    let metrics = async || {
        let told = plane.ask(Surface::All, "GET", "/metrics", &[], "").await;
        told.json
            .as_str()
            .unwrap()
            .lines()
            .find(|line| line.starts_with("gateward_store_failed"))
            .unwrap()
            .to_owned()
    };
    assert_eq!((ready().await.get("store"), metrics().await.as_str()), (None, "gateward_store_failed 0"));
    store.fail_after(0);
    let refused = post(&plane, &token, "create-secret", json!({"name": "/b", "value": "canary"})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.json["error"].as_str().unwrap().contains("no space left"), "{refused:?}");
    let why = ready().await["store"].clone();
    assert_eq!(why, "nothing can be written until a restart: no space left");
    assert_eq!(metrics().await, "gateward_store_failed 1");
    assert_eq!(names(&plane, &token).await, ["/a"], "what is there can be read");
}

#[tokio::test]
async fn a_move_that_stops_half_way_is_told_and_the_same_call_again_moves_the_rest() {
    let store = Failing::new();
    let plane = Plane::on(store.clone(), None).await;
    let token = plane.token().await;
    for name in ["/x/a", "/x/b", "/x/c"] {
        let secret = json!({"name": name, "value": "canary"});
        assert_eq!(post(&plane, &token, "create-secret", secret).await.status, StatusCode::OK);
    }
    let moving = json!({"source": "/x", "target": "/y"});
    store.fail_after(1);
    let stopped = post(&plane, &token, "move-objects", moving.clone()).await;
    assert_eq!(stopped.status, StatusCode::SERVICE_UNAVAILABLE);
    let sentence = stopped.json["error"].as_str().unwrap();
    assert!(sentence.contains("1 of 3 items are moved, and the same call again"), "{sentence}");
    assert_eq!(names(&plane, &token).await, ["/x/b", "/x/c", "/y/a"], "each has one name");
    store.fail_after(usize::MAX);
    assert_eq!(post(&plane, &token, "move-objects", moving).await.status, StatusCode::OK);
    assert_eq!(names(&plane, &token).await, ["/y/a", "/y/b", "/y/c"]);
}
