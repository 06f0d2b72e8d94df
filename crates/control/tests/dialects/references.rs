//! How it stands with references, and who may have their values.

use gateward_control::Surface;
use http::StatusCode;
use serde_json::json;

use crate::{JSON, Plane};

#[tokio::test]
async fn each_reference_is_listed_and_told_by_ready_and_counted_for_prometheus() {
    let plane = Plane::guarded().await;
    let key = [("x-api-key", "canary-admin"), JSON];
    for (id, name) in [("1", "secret"), ("2", "absent")] {
        let route = json!({"uri": "/a", "plugins": {"proxy-rewrite": {"headers": {"set": {
            "X-A": format!("Bearer {{vault://env/{name}}}")}}}}, "upstream": {"nodes": {"a.example:80": 1}}});
        let path = format!("/apisix/admin/routes/{id}");
        let put = plane.ask(Surface::Apisix, "PUT", &path, &key, &route.to_string()).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let told = plane.ask(Surface::All, "GET", "/ready", &[], "").await.json["references"].clone();
    assert_eq!((&told["total"], &told["by_state"]["missing"]), (&json!(2), &json!(1)));
    assert!(told["not_fresh"].is_null(), "names are for those with a token: {told}");
    let token = format!("Bearer {}", plane.token().await);
    let ready = plane.ask(Surface::All, "GET", "/ready", &[("authorization", &token)], "").await;
    let references = &ready.json["references"];
    assert_eq!(references["total"], 2);
    assert_eq!(references["by_state"], json!({"asking": 0, "fresh": 1, "gone": 0, "missing": 1, "stale": 0}));
    let named = &references["not_fresh"][0];
    assert_eq!(
        (&named["reference"], &named["vault"], &named["state"], &named["kind"]),
        (&json!("{vault://env/absent}"), &json!("env"), &json!("missing"), &json!("not_found"))
    );
    assert_eq!(references["not_fresh"].as_array().unwrap().len(), 1);

    let list = async |query: &str| {
        plane
            .ask(Surface::All, "GET", &format!("/v1/references{query}"), &[("authorization", &token)], "")
            .await
    };
    let all = list("").await;
    assert_eq!((&all.json["total"], &all.json["next_offset"]), (&json!(2), &json!(null)));
    let first = list("?size=1").await;
    assert_eq!(
        (&first.json["data"][0]["reference"], &first.json["next_offset"]),
        (&json!("{vault://env/absent}"), &json!(1))
    );
    assert_eq!(list("?size=1&offset=1").await.json["data"][0]["reference"], "{vault://env/secret}");
    assert_eq!(list("?state=fresh").await.json["total"], 1);
    assert_eq!(list("?vault=other").await.json["total"], 0);
    for wrong in ["?size=0", "?size=1001", "?state=canary", "?size=x"] {
        assert_eq!(list(wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }

    let metrics = plane.ask(Surface::All, "GET", "/metrics", &[("x-api-key", "canary-viewer")], "").await;
    let metrics = metrics.json.as_str().unwrap().to_owned();
    for line in [
        "gateward_references{state=\"fresh\"} 1",
        "gateward_references{state=\"missing\"} 1",
        "gateward_vault_refreshes_total{vault=\"env\",backend=\"env\"} 1",
        "gateward_vault_stale_values{vault=\"env\",backend=\"env\"} 0",
        "gateward_vault_errors_total{vault=\"env\",backend=\"env\",reason=\"not_found\"} 1",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("absent"), "no secret is named in metrics");
}

#[tokio::test]
async fn a_value_is_given_to_whoever_may_have_it_and_never_by_the_open_port() {
    let plane = Plane::new().await;
    let token = format!("Bearer {}", plane.token().await);
    let ask = async |body: &str| {
        let headers = [("authorization", token.as_str()), JSON];
        plane.ask(Surface::All, "POST", "/v1/references/value", &headers, body).await
    };
    let given = ask(r#"{"reference": "{vault://env/plain}"}"#).await;
    assert_eq!(given.json, json!({"reference": "{vault://env/plain}", "value": "the plain value"}));
    let absent = ask(r#"{"reference": "{vault://env/absent}"}"#).await;
    assert_eq!((absent.status, &absent.json["kind"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    for wrong in ["", "{}", r#"{"reference": "canary"}"#, r#"{"reference": "{vault://env}"}"#, "canary"] {
        assert_eq!(ask(wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let open = plane.ask(Surface::KongOpen, "POST", "/v1/references/value", &[JSON], "{}").await;
    assert_eq!(open.status, StatusCode::NOT_FOUND);
}
