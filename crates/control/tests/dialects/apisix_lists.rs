//! Lists in APISIX's dialect: order, pages, filters.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::Plane;
use crate::apisix::ask;

fn ids(list: &Value) -> Vec<&str> {
    list["list"].as_array().unwrap().iter().map(|entry| entry["value"]["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_cut_from_the_list_in_the_order_of_creation() {
    let plane = Plane::new().await;
    for id in (10..33).rev() {
        ask(&plane, "PUT", &format!("/routes/{id}"), r#"{"uri": "/a", "plugins": {}}"#).await;
        plane.clock.advance(Duration::from_secs(1));
    }
    let page = ask(&plane, "GET", "/routes?page=2&page_size=10", "").await;
    assert_eq!(page.json["total"], 23);
    assert_eq!(ids(&page.json), ["22", "21", "20", "19", "18", "17", "16", "15", "14", "13"]);
    assert_eq!(ids(&ask(&plane, "GET", "/routes?page=3&page_size=10", "").await.json), ["12", "11", "10"]);
    for page in ["-1", "0", "1"] {
        let page = ask(&plane, "GET", &format!("/routes?page={page}&page_size=10"), "").await;
        assert_eq!(ids(&page.json)[0], "32");
    }
    assert!(ids(&ask(&plane, "GET", "/routes?page=4&page_size=10", "").await.json).is_empty());
    for all in ["page=2", "page_size=10", "page=x&page_size=10", "page=1&page_size=x"] {
        assert_eq!(ids(&ask(&plane, "GET", &format!("/routes?{all}"), "").await.json).len(), 23, "{all}");
    }
    for size in ["9", "501", "0", "-10"] {
        let refused = ask(&plane, "GET", &format!("/routes?page=1&page_size={size}"), "").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json, json!("page_size must be between 10 and 500"));
    }
}

#[tokio::test]
async fn filters_hold_together_and_total_counts_what_is_left() {
    let plane = Plane::new().await;
    ask(&plane, "PUT", "/services/s", r#"{"plugins": {}}"#).await;
    ask(&plane, "PUT", "/services/7", r#"{"plugins": {}}"#).await;
    for (id, route) in [
        ("1", json!({"uri": "/orders/*", "name": "orders", "labels": {"env": "prod"}, "service_id": "s"})),
        (
            "2",
            json!({"uris": ["/a", "/orders"], "name": "more orders", "labels": {"env": "dev"}, "service_id": 7}),
        ),
        ("3", json!({"uri": "/b", "plugins": {}})),
    ] {
        let written = ask(&plane, "PUT", &format!("/routes/{id}"), &route.to_string()).await;
        assert_eq!(written.status, StatusCode::CREATED, "{written:?}");
    }
    for (query, expected) in [
        ("name=orders", &["1", "2"][..]),
        ("name=^orders", &["1"]),
        ("uri=orders", &["1", "2"]),
        ("uri=orders$", &["2"]),
        ("uri=%5E/b", &["3"]),
        ("label=env", &["1", "2"]),
        ("label=prod", &[]),
        ("filter=service_id%3Ds", &["1"]),
        ("filter=service_id%3D7", &["2"]),
        ("filter=service_id%3D7%26upstream_id%3D1", &[]),
        ("name=orders&label=env&uri=/a", &["2"]),
    ] {
        let found = ask(&plane, "GET", &format!("/routes?{query}"), "").await;
        assert_eq!(ids(&found.json), expected, "{query}");
        assert_eq!(found.json["total"], expected.len(), "{query}");
    }
    for query in ["name=(", "uri=%5B", "filter=nope%3D1", "filter=x"] {
        let refused = ask(&plane, "GET", &format!("/routes?{query}"), "").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(refused.json["error_msg"].as_str().unwrap().starts_with("invalid argument"), "{refused:?}");
    }
}
