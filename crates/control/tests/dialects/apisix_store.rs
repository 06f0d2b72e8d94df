//! What the Admin API asks of the store: little for a write, however much stands there; what it makes of writes that
//! come at the same time; and what it finds after a restart.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use gateward_store::{Call, Key, MemoryStore, Store, Watched};
use http::StatusCode;

use crate::Plane;
use crate::apisix::ask;

/// A store that lets others go first each time that it is asked.
fn courteous() -> Arc<Watched> {
    Watched::new(Arc::new(MemoryStore::new()), |_| Ok(()))
}

#[tokio::test]
async fn a_write_reads_no_more_than_it_refers_to() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lists);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        counted.fetch_add(usize::from(call == Call::List), Ordering::Relaxed);
        Ok(())
    });
    let plane = Plane::on(store, None).await;
    // The configuration reads everything once, when it starts.
    ask(&plane, "PUT", "/upstreams/u", r#"{"nodes": {"a:1": 1}}"#).await;
    let before = lists.load(Ordering::Relaxed);
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
    assert_eq!(lists.load(Ordering::Relaxed), before);
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

#[tokio::test]
async fn writes_at_the_same_time_all_happen_one_after_the_other() {
    let plane = Plane::on(courteous(), None).await;
    ask(&plane, "PUT", "/routes/1", r#"{"uri": "/a", "plugins": {}}"#).await;
    let patches: Vec<String> = (0..6).map(|at| format!(r#"{{"labels": {{"l{at}": "x"}}}}"#)).collect();
    let patched = join_all(patches.iter().map(|patch| ask(&plane, "PATCH", "/routes/1", patch))).await;
    assert!(patched.iter().all(|answer| answer.status == StatusCode::OK), "{patched:?}");
    let read = ask(&plane, "GET", "/routes/1", "").await;
    assert_eq!(read.json["value"]["labels"].as_object().unwrap().len(), 6);

    let route = r#"{"uri": "/b", "plugins": {}}"#;
    let put = join_all((0..6).map(|_| ask(&plane, "PUT", "/routes/2", route))).await;
    let created = put.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert!(created == 1 && put.iter().all(|answer| answer.status.is_success()), "{put:?}");
    let posted = join_all((0..6).map(|_| ask(&plane, "POST", "/routes", route))).await;
    assert!(posted.iter().all(|answer| answer.status == StatusCode::CREATED), "{posted:?}");
    assert_eq!(ask(&plane, "GET", "/routes", "").await.json["total"], 8);
}

#[tokio::test]
async fn of_two_consumers_written_at_once_one_gets_the_key() {
    let plane = Plane::on(courteous(), None).await;
    let consumer =
        |at: usize| format!(r#"{{"username": "c{at}", "plugins": {{"key-auth": {{"key": "canary"}}}}}}"#);
    let bodies: Vec<String> = (0..6).map(consumer).collect();
    let answers = join_all(bodies.iter().map(|body| ask(&plane, "PUT", "/consumers", body))).await;
    let created = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(created, 1, "{answers:?}");
    assert_eq!(ask(&plane, "GET", "/consumers", "").await.json["total"], 1);
}

#[tokio::test]
async fn a_write_that_is_overtaken_is_looked_at_anew() {
    let plane = Plane::on(courteous(), None).await;
    for at in 0..8 {
        ask(&plane, "PUT", "/upstreams/u", r#"{"nodes": {"a:1": 1}}"#).await;
        let path = format!("/routes/{at}");
        let (written, _) = tokio::join!(
            ask(&plane, "PUT", &path, r#"{"uri": "/a", "upstream_id": "u"}"#),
            ask(&plane, "PUT", "/upstreams/u", r#"{"nodes": {"b:1": 1}}"#),
        );
        assert_eq!(written.status, StatusCode::CREATED, "{written:?}");
        let (written, deleted) = tokio::join!(
            ask(&plane, "PUT", &path, r#"{"uri": "/b", "upstream_id": "u"}"#),
            ask(&plane, "DELETE", "/upstreams/u?force=true", ""),
        );
        assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
        assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&written.status), "{written:?}");
    }
}

#[tokio::test]
async fn of_a_deletion_and_a_new_reference_at_once_only_one_happens() {
    let plane = Plane::on(courteous(), None).await;
    let cases = [
        ("/upstreams/x", r#"{"nodes": {"a:1": 1}}"#, "/routes/1", r#"{"uri": "/a", "upstream_id": "x"}"#),
        ("/upstreams/x", r#"{"nodes": {"a:1": 1}}"#, "/services/1", r#"{"upstream_id": "x"}"#),
        ("/services/x", r#"{"plugins": {}}"#, "/routes/1", r#"{"uri": "/a", "service_id": "x"}"#),
        ("/plugin_configs/x", r#"{"plugins": {}}"#, "/routes/1", r#"{"uri": "/a", "plugin_config_id": "x"}"#),
        (
            "/consumer_groups/x",
            r#"{"plugins": {}}"#,
            "/consumers/ann",
            r#"{"username": "ann", "group_id": "x"}"#,
        ),
    ];
    let later = async |steps: usize| {
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
    };
    for (referred, what, referring, refers) in cases {
        // One begins at every step of the other.
        for (write_after, delete_after) in (0..16).map(|at| (at, 0)).chain((1..16).map(|at| (0, at))) {
            ask(&plane, "PUT", referred, what).await;
            let (written, deleted) = tokio::join!(
                async {
                    later(write_after).await;
                    ask(&plane, "PUT", referring, refers).await
                },
                async {
                    later(delete_after).await;
                    ask(&plane, "DELETE", referred, "").await
                },
            );
            let happened = (written.status.is_success(), deleted.status.is_success());
            let at = format!("{referring} after {write_after}, deletion of {referred} after {delete_after}");
            assert!(happened.0 != happened.1, "{at}: {written:?} {deleted:?}");
            ask(&plane, "DELETE", referring, "").await;
            ask(&plane, "DELETE", referred, "").await;
        }
    }
    let left = plane.store.list("references", (Bound::Unbounded, Bound::Unbounded), 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn no_credential_outlives_its_consumer() {
    let plane = Plane::on(courteous(), None).await;
    // The deletion begins at every step of the write.
    for at in 0..16 {
        ask(&plane, "PUT", "/consumers", r#"{"username": "ann"}"#).await;
        let shows = format!(r#"{{"plugins": {{"key-auth": {{"key": "canary-{at}"}}}}}}"#);
        let (_, deleted) = tokio::join!(ask(&plane, "PUT", "/consumers/ann/credentials/1", &shows), async {
            for _ in 0..at {
                tokio::task::yield_now().await;
            }
            ask(&plane, "DELETE", "/consumers/ann", "").await
        },);
        assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
        for partition in ["credentials", "consumer_keys"] {
            let left = plane.store.list(partition, (Bound::Unbounded, Bound::Unbounded), 10).await.unwrap();
            assert!(left.is_empty(), "{partition}: {left:?}");
        }
    }
}
