use serde_json::json;

use super::*;

#[test]
fn the_published_create_request_is_read() {
    let request: CreateRequest = serde_json::from_str(
        r#"{"payload": "secret data", "input": {"user": "input"},
            "client_info": {"access_id": "p-1234", "sub_claims": {"claim1": ["value1"]}}}"#,
    )
    .unwrap();
    assert_eq!(request.payload.expose(), "secret data");
    assert_eq!(request.input["user"], "input");
    assert_eq!(request.client_info.sub_claims["claim1"], ["value1"]);
    assert!(!request.is_dry_run());
    assert_eq!(request.request_id, None);
}

#[test]
fn input_may_be_an_empty_text_null_or_missing_but_no_other_text() {
    for body in [r#"{"input": ""}"#, r#"{"input": null}"#, "{}"] {
        assert!(serde_json::from_str::<CreateRequest>(body).unwrap().input.is_empty(), "{body}");
    }
    assert!(serde_json::from_str::<CreateRequest>(r#"{"input": "user"}"#).is_err());
}

#[test]
fn the_added_fields_are_read() {
    let expires_at = "2026-11-21T00:53:27Z";
    let body = json!({"request_id": "r1", "lease_id": "l1", "ttl": 60, "expires_at": expires_at, "new": 1});
    let request: CreateRequest = serde_json::from_value(body).unwrap();
    assert_eq!(request.request_id.as_deref(), Some("r1"));
    assert_eq!(request.lease_id.as_deref(), Some("l1"));
    assert_eq!((request.ttl, request.expires_at.as_deref()), (Some(60), Some(expires_at)));
}

#[test]
fn the_access_id_p_custom_is_a_dry_run() {
    let body = json!({"payload": "x", "input": {}, "client_info": {"access_id": "p-custom"}});
    assert!(serde_json::from_value::<CreateRequest>(body).unwrap().is_dry_run());
}

#[test]
fn a_revocation_without_ids_is_no_revocation() {
    assert!(serde_json::from_str::<RevokeRequest>(r#"{"payload": "x"}"#).is_err());
}

#[test]
fn answers_hold_the_published_fields_and_the_added_one_only_when_it_says_something() {
    let all = RevokeResponse::all(vec!["a".to_owned()]);
    assert_eq!(serde_json::to_value(&all).unwrap(), json!({"revoked": ["a"]}));
    let part =
        RevokeResponse { not_found: vec!["b".to_owned()], message: Some("b is gone".to_owned()), ..all };
    assert_eq!(
        serde_json::to_value(&part).unwrap(),
        json!({"revoked": ["a"], "not_found": ["b"], "message": "b is gone"})
    );
    let rotated = RotateResponse { payload: Payload::new("new".to_owned()) };
    assert_eq!(serde_json::to_value(&rotated).unwrap(), json!({"payload": "new"}));
}

#[test]
fn a_payload_and_a_credential_are_not_shown() {
    let request: CreateRequest = serde_json::from_value(json!({"payload": "canary"})).unwrap();
    assert!(!format!("{request:?}").contains("canary"));
    assert!(!format!("{:?}", CreateResponse::new("id", json!({"password": "canary"}))).contains("canary"));
    assert_eq!(CreateResponse::new("id", "text").response, *json!({"value": "text"}).as_object().unwrap());
}

#[test]
fn the_operation_is_the_last_part_of_the_path() {
    assert_eq!(Operation::from_path("/sync/create"), Some(Operation::Create));
    assert_eq!(Operation::from_path("/team/a/revoke/"), Some(Operation::Revoke));
    assert_eq!(Operation::from_path("/rotate"), Some(Operation::Rotate));
    assert_eq!(Operation::from_path("/sync/list"), Some(Operation::List));
    assert_eq!(Operation::from_path("/recreate"), None);
    assert_eq!(Operation::from_path("/"), None);
}

#[test]
fn the_same_request_has_the_same_name_and_a_request_without_a_name_a_fresh_one() {
    let request =
        |id: Option<&str>| CreateRequest { request_id: id.map(str::to_owned), ..CreateRequest::default() };
    assert_eq!(request(Some("l-0123abc")).unique_name("user-"), "user-l-0123abc");
    for strange in ["", "Drop Table", "../../etc", &"a".repeat(41)] {
        let (name, again) = (request(Some(strange)).unique_name(""), request(Some(strange)).unique_name(""));
        assert!(is_plain(&name) && name == again, "{strange}: {name}");
    }
    assert_ne!(request(None).unique_name("user-"), request(None).unique_name("user-"));
}

#[test]
fn passwords_have_their_length_and_need_no_quoting() {
    let password = random_password(24);
    assert!(password.len() == 24 && password.bytes().all(|byte| PLAIN.contains(&byte)));
    assert_ne!(password, random_password(24));
}

#[test]
fn of_each_id_it_is_told_whether_it_was_there_or_why_it_still_is() {
    let ids = ["here", "gone", "stuck", "locked"].map(str::to_owned).to_vec();
    let answer = RevokeResponse::each(ids, |id| match id {
        "here" => Ok(true),
        "gone" => Ok(false),
        _ => Err("it is busy"),
    });
    assert_eq!((answer.revoked, answer.not_found), (vec!["here".to_owned()], vec!["gone".to_owned()]));
    let message = answer.message.unwrap();
    assert_eq!(message, "stuck is not revoked: it is busy; locked is not revoked: it is busy");
}
