//! A store that cannot be written any more: who looks is told, and what was half done can be finished.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use gateward_control::Surface;
use gateward_store::{Call, MemoryStore, Watched};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, Plane};

/// A store that does so many commits more as the number says, and then none.
fn failing() -> (Arc<Watched>, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let commits = Arc::clone(&left);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        let takes = |left: usize| left.checked_sub(1);
        let is_done = call != Call::Commit || commits.fetch_update(Relaxed, Relaxed, takes).is_ok();
        is_done.then_some(()).ok_or_else(|| "no space left".to_owned())
    });
    (store, left)
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
    let (store, commits_left) = failing();
    let plane = Plane::on(store, None).await;
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
    commits_left.store(0, Relaxed);
    let refused = post(&plane, &token, "create-secret", json!({"name": "/b", "value": "canary"})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.json["error"].as_str().unwrap().contains("no space left"), "{refused:?}");
    let why = ready().await["store"].clone();
    assert_eq!(why, "no space left");
    assert_eq!(metrics().await, "gateward_store_failed 1");
    assert_eq!(names(&plane, &token).await, ["/a"], "what is there can be read");
}

#[tokio::test]
async fn a_move_that_stops_half_way_is_told_and_the_same_call_again_moves_the_rest() {
    let (store, commits_left) = failing();
    let plane = Plane::on(store, None).await;
    let token = plane.token().await;
    for name in ["/x/a", "/x/b", "/x/c"] {
        let secret = json!({"name": name, "value": "canary"});
        assert_eq!(post(&plane, &token, "create-secret", secret).await.status, StatusCode::OK);
    }
    let moving = json!({"source": "/x", "target": "/y"});
    commits_left.store(1, Relaxed);
    let stopped = post(&plane, &token, "move-objects", moving.clone()).await;
    assert_eq!(stopped.status, StatusCode::SERVICE_UNAVAILABLE);
    let sentence = stopped.json["error"].as_str().unwrap();
    assert!(sentence.contains("1 of 3 items are moved, and the same call again"), "{sentence}");
    assert_eq!(names(&plane, &token).await, ["/x/b", "/x/c", "/y/a"], "each has one name");
    commits_left.store(usize::MAX, Relaxed);
    assert_eq!(post(&plane, &token, "move-objects", moving).await.status, StatusCode::OK);
    assert_eq!(names(&plane, &token).await, ["/y/a", "/y/b", "/y/c"]);
}
