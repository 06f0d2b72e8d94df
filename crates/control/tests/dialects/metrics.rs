//! Who may ask for metrics, and that Prometheus can read them.

use gateward_control::Surface;
use http::StatusCode;

use crate::Plane;

#[tokio::test]
async fn metrics_are_for_whoever_has_a_key_or_a_token() {
    let plane = Plane::guarded().await;
    let token = plane.token().await;
    let bearer = format!("Bearer {token}");
    let ask = async |headers: &[(&str, &str)], query: &str| {
        plane.ask(Surface::All, "GET", &format!("/metrics{query}"), headers, "").await.status
    };
    assert_eq!(ask(&[], "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&[("x-api-key", "wrong")], "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&[("x-api-key", "canary-viewer")], "").await, StatusCode::OK);
    assert_eq!(ask(&[], "?api_key=canary-viewer").await, StatusCode::OK);
    assert_eq!(ask(&[("authorization", &bearer)], "").await, StatusCode::OK);
    let open = Plane::new().await;
    assert_eq!(open.ask(Surface::All, "GET", "/metrics", &[], "").await.status, StatusCode::OK);
}
