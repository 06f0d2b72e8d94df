//! What a vault's settings do not give away: the secrets in them, and what lies around the gateway.

use http::StatusCode;
use serde_json::json;

use crate::Plane;
use crate::kong::ask;

#[tokio::test]
async fn secrets_in_settings_are_written_and_not_read() {
    let plane = Plane::new().await;
    let hcv = |token: &str| json!({"name": "hcv", "config": {"host": "vault.example", "token": token}});
    let hidden = ask(&plane, "PUT", "/vaults/team", hcv("***")).await;
    assert_eq!(hidden.json["fields"], json!({"config": {"token": "*** hides a secret; send the secret"}}));
    let put = ask(&plane, "PUT", "/vaults/team", hcv("canary-token")).await;
    assert_eq!((put.status, &put.json["config"]["token"]), (StatusCode::OK, &json!("***")));
    let read = ask(&plane, "GET", "/vaults/team", json!(null)).await;
    assert_eq!(read.json["config"]["token"], "***");
    let list = ask(&plane, "GET", "/vaults", json!(null)).await;
    assert_eq!(list.json["data"][0]["config"]["token"], "***");
    // Kept by what was read, by a change of something else, and gone with null.
    assert_eq!(ask(&plane, "PUT", "/vaults/team", hcv("***")).await.status, StatusCode::OK);
    let patched = ask(&plane, "PATCH", "/vaults/team", json!({"config": {"kv": "v2"}})).await;
    assert_eq!(
        (&patched.json["config"]["token"], &patched.json["config"]["kv"]),
        (&json!("***"), &json!("v2"))
    );
    let other = json!({"name": "conjur", "config": {"endpoint_url": "http://c.example", "account": "a", "login": "l", "api_key": "***"}});
    let other = ask(&plane, "PUT", "/vaults/team", other).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST, "a secret of another kind is another secret");
    let referring =
        ask(&plane, "PATCH", "/vaults/team", json!({"config": {"token": "{vault://env/secret}"}})).await;
    assert_eq!(referring.json["config"]["token"], "{vault://env/secret}", "a reference is no secret");
    let beside =
        ask(&plane, "PATCH", "/vaults/team", json!({"config": {"token": "canary{vault://env/secret}"}}))
            .await;
    assert_eq!(beside.json["config"]["token"], "***", "what stands beside one may be");
    let gone = ask(&plane, "PATCH", "/vaults/team", json!({"config": {"token": null}})).await;
    assert_eq!(gone.json["config"]["token"], json!(null));
}

#[tokio::test]
async fn a_directory_that_leads_to_what_no_vault_reads_is_refused() {
    let plane = Plane::new().await;
    for path in ["/proc/self", "/sys/class", "/dev/fd", "/usr/../proc/self"] {
        let files = json!({"name": "fs", "config": {"prefix": path}});
        let refused = ask(&plane, "PUT", "/vaults/files", files).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        let sentence = refused.json["fields"]["config"]["prefix"].as_str().unwrap().to_owned();
        assert!(sentence.contains("no vault reads it"), "{sentence}");
    }
    let files = json!({"name": "fs", "config": {"prefix": "/usr"}});
    assert_eq!(ask(&plane, "PUT", "/vaults/files", files).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stored_secret_does_not_follow_a_changed_address() {
    let plane = Plane::new().await;
    let whole = |host: &str, token: &str| json!({"name": "hcv", "config": {"host": host, "token": token}});
    let put = ask(&plane, "PUT", "/vaults/team", whole("vault.example", "canary-token")).await;
    assert_eq!(put.status, StatusCode::OK);
    let mut kept = ask(&plane, "GET", "/vaults/team", json!(null)).await.json;
    for config in [
        json!({"host": "evil.example"}),
        json!({"host": "evil.example", "token": "***"}),
        json!({"port": 8300}),
        json!({"protocol": "https"}),
        json!({"ssl_verify": false}),
        json!({"host": null}),
    ] {
        let field = config.as_object().unwrap().keys().next().unwrap().clone();
        let refused = ask(&plane, "PATCH", "/vaults/team", json!({"config": config})).await;
        let sentence =
            format!("config.{field} is another one, where the secret is sent only if it is given again");
        assert_eq!((refused.status, &refused.json["code"]), (StatusCode::BAD_REQUEST, &json!(2)), "{config}");
        assert_eq!(refused.json["fields"], json!({"config": {"token": sentence}}), "{config}");
    }
    let refused = ask(&plane, "PUT", "/vaults/team", whole("evil.example", "***")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&plane, "GET", "/vaults/team", json!(null)).await.json, kept, "nothing was changed");
    // What was read can be sent back, with whatever is no address.
    kept["config"]["mount"] = "other".into();
    kept["config"]["ssl_verify"] = true.into();
    assert_eq!(ask(&plane, "PUT", "/vaults/team", kept).await.status, StatusCode::OK);
    let given = json!({"config": {"host": "new.example", "token": "another"}});
    assert_eq!(ask(&plane, "PATCH", "/vaults/team", given).await.status, StatusCode::OK);
    // Who may read a reference may write it anywhere.
    let reference = json!({"config": {"token": "{vault://env/secret}"}});
    assert_eq!(ask(&plane, "PATCH", "/vaults/team", reference).await.status, StatusCode::OK);
    let moved = ask(&plane, "PATCH", "/vaults/team", json!({"config": {"host": "third.example"}})).await;
    assert_eq!(moved.json["config"]["token"], "{vault://env/secret}");
    // Each secret goes by the address that it is sent to.
    let endpoint = |endpoint: &str, secret: &str| {
        json!({"name": "hcv", "config": {
            "auth_method": "jwt", "oauth2_role_name": "r", "oauth2_client_id": "i", "oauth2_client_secret": secret,
            "oauth2_token_endpoint": endpoint,
        }})
    };
    ask(&plane, "PUT", "/vaults/jwt", endpoint("https://idp.example", "canary-secret")).await;
    let refused = ask(&plane, "PUT", "/vaults/jwt", endpoint("https://evil.example", "***")).await;
    assert!(refused.json["fields"]["config"]["oauth2_client_secret"].is_string(), "{:?}", refused.json);
    let moved = ask(&plane, "PATCH", "/vaults/jwt", json!({"config": {"host": "new.example"}})).await;
    assert_eq!(moved.status, StatusCode::OK);
}
