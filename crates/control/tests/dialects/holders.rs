//! Whose a lease is: that of one identity behind an access id, and of administrators.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use gateward_control::Surface;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::{Answer, JSON, Plane};

/// A producer that numbers its users and revokes each that it is asked to.
async fn producer() -> String {
    async fn create(State(made): State<Arc<AtomicU64>>) -> String {
        let user = format!("user-{}", made.fetch_add(1, Ordering::Relaxed));
        json!({"id": user, "response": {"user": user}}).to_string()
    }
    async fn revoke(body: Bytes) -> String {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        json!({"revoked": asked["ids"]}).to_string()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Router::new()
        .route("/create", post(create))
        .route("/revoke", post(revoke))
        .with_state(Arc::default());
    Handle::current().spawn(async move { axum::serve(listener, calls).await });
    url
}

/// A plane with a dynamic secret, the administrator, and others.
struct Scene {
    plane: Plane,
    admin: String,
}

impl Scene {
    async fn new() -> Self {
        let plane = Plane::guarded().await;
        let admin = plane.token().await;
        let scene = Self { plane, admin };
        let url = producer().await;
        let made = json!({
            "name": "/x", "create-sync-url": format!("{url}/create"), "revoke-sync-url": format!("{url}/revoke"),
            "payload": "p", "skip-dry-run": true,
        });
        assert_eq!(
            scene.post("/dynamic-secret-create-custom", &scene.admin, made).await.status,
            StatusCode::OK
        );
        scene
    }

    async fn post(&self, path: &str, token: &str, mut body: Value) -> Answer {
        body["token"] = token.into();
        self.plane.ask(Surface::All, "POST", path, &[JSON], &body.to_string()).await
    }

    /// An auth method whose callers have these permissions; its access id.
    async fn method(&self, name: &str, permissions: &str) -> String {
        let made = self.post("/auth-method-create-api-key", &self.admin, json!({"name": name})).await;
        let id = made.json["access_id"].as_str().unwrap().to_owned();
        let entry = json!({"name": name, "access-id": id, "permissions": permissions});
        let allowed = self.post("/gateway-create-allowed-access", &self.admin, entry).await;
        assert_eq!(allowed.status, StatusCode::OK, "{allowed:?}");
        id
    }

    /// A token of `user`, as whom AWS knows a caller with that access id.
    fn token(&self, access_id: &str, user: Option<&str>) -> String {
        let claims: BTreeMap<_, _> =
            user.iter().map(|user| ("user_name".to_owned(), vec![(*user).to_owned()])).collect();
        let token = self.plane.access_tokens.issue_with(&access_id.parse().unwrap(), &claims);
        token.text.expose().to_owned()
    }

    /// A credential, and its lease.
    async fn value(&self, token: &str, key: Option<&str>) -> (Value, String) {
        let answer = self
            .post("/get-dynamic-secret-value", token, json!({"name": "/x", "idempotency-key": key}))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let lease = answer.headers["x-gateward-lease-id"].to_str().unwrap().to_owned();
        (answer.json, lease)
    }

    async fn renew(&self, token: &str, lease: &str) -> StatusCode {
        let body = json!({"name": "/x", "tmp-creds-id": lease, "new-ttl-min": 5, "host": ""});
        self.post("/dynamic-secret-tmp-creds-update", token, body).await.status
    }

    async fn revoke(&self, token: &str, which: Value) -> Answer {
        let mut body = which;
        body["name"] = "/x".into();
        self.post("/dynamic-secret-tmp-creds-delete", token, body).await
    }

    async fn leases(&self) -> usize {
        let answer = self.post("/dynamic-secret-tmp-creds-get", &self.admin, json!({"name": "/x"})).await;
        answer.json.as_array().unwrap().len()
    }
}

#[tokio::test]
async fn two_identities_of_one_access_id_share_neither_keys_nor_leases() {
    let scene = Scene::new().await;
    let id = scene.method("aws", "dynamic_secret").await;
    let (ann, bob) = (scene.token(&id, Some("ann")), scene.token(&id, Some("bob")));
    let (anns, lease) = scene.value(&ann, Some("deploy-7")).await;
    assert_eq!(
        scene.value(&ann, Some("deploy-7")).await,
        (anns.clone(), lease.clone()),
        "her key, her lease"
    );
    let (bobs, his) = scene.value(&bob, Some("deploy-7")).await;
    assert!(bobs != anns && his != lease, "{bobs} is what ann was given");
    assert_eq!(scene.value(&bob, Some("deploy-7")).await, (bobs, his.clone()));
    assert_eq!(scene.renew(&bob, &lease).await, StatusCode::FORBIDDEN);
    let refused = scene.revoke(&bob, json!({"tmp-creds-id": lease})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert!(refused.json["error"].as_str().unwrap().contains("somebody else's"), "{refused:?}");
    // Nor one of whom nothing but the access id is known.
    assert_eq!(scene.renew(&scene.token(&id, None), &lease).await, StatusCode::FORBIDDEN);
    assert_eq!(scene.leases().await, 2);
    // A later login of hers is hers.
    let ann = scene.token(&id, Some("ann"));
    assert_eq!(scene.renew(&ann, &lease).await, StatusCode::OK);
    assert_eq!(scene.revoke(&ann, json!({"tmp-creds-id": lease})).await.status, StatusCode::OK);
    assert_eq!(scene.leases().await, 1);
}

#[tokio::test]
async fn whoever_has_the_permission_admin_renews_and_revokes_any_lease() {
    let scene = Scene::new().await;
    let ann = scene.token(&scene.method("ann", "dynamic_secret").await, None);
    let operator = scene.token(&scene.method("operator", "admin").await, None);
    let (_, lease) = scene.value(&ann, None).await;
    for token in [&operator, &scene.admin] {
        assert_eq!(scene.renew(token, &lease).await, StatusCode::OK);
    }
    assert_eq!(scene.revoke(&operator, json!({"tmp-creds-id": lease})).await.status, StatusCode::OK);
    assert_eq!(scene.leases().await, 0);
}

#[tokio::test]
async fn all_leases_of_an_item_go_for_whoever_could_delete_it() {
    let scene = Scene::new().await;
    let ann = scene.token(&scene.method("ann", "dynamic_secret").await, None);
    let bob = scene.token(&scene.method("bob", "dynamic_secret").await, None);
    let reader = scene.token(&scene.method("reader", "static_secret").await, None);
    scene.value(&ann, None).await;
    let all = json!({"revoke-all": true});
    assert_eq!(scene.revoke(&reader, all.clone()).await.status, StatusCode::FORBIDDEN);
    let edit = json!({"name": "/x", "delete_protection": "true", "skip-dry-run": true});
    assert_eq!(scene.post("/dynamic-secret-update-custom", &scene.admin, edit).await.status, StatusCode::OK);
    let refused = scene.revoke(&bob, all.clone()).await;
    assert_eq!((refused.status, scene.leases().await), (StatusCode::FORBIDDEN, 1), "{refused:?}");
    assert!(refused.json["error"].as_str().unwrap().contains("delete_protection"), "{refused:?}");
    assert_eq!(scene.revoke(&scene.admin, all.clone()).await.status, StatusCode::OK);
    assert_eq!(scene.leases().await, 0);
    let edit = json!({"name": "/x", "delete_protection": "false", "skip-dry-run": true});
    scene.post("/dynamic-secret-update-custom", &scene.admin, edit).await;
    scene.value(&ann, None).await;
    assert_eq!(scene.revoke(&bob, all).await.status, StatusCode::OK);
    assert_eq!(scene.leases().await, 0);
}
