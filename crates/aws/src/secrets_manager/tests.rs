use http::Response;

use super::answer::read;
use super::*;

fn answer(status: u16, error_header: Option<&str>, body: &str) -> Result<Secret, SecretError> {
    let mut builder = Response::builder().status(status);
    if let Some(error) = error_header {
        builder = builder.header("x-amzn-errortype", error);
    }
    let (head, ()) = builder.body(()).unwrap().into_parts();
    read(&head, body.as_bytes())
}

#[test]
fn text_and_binary_secrets_are_read_and_never_printed() {
    let text = answer(200, None, r#"{"Name":"a","SecretString":"canary \"q\""}"#).unwrap();
    assert_eq!(format!("{text:?}"), "Text(***)");
    assert!(matches!(&text, Secret::Text(text) if text.expose() == "canary \"q\""));
    let binary = answer(200, None, r#"{"SecretBinary":"Y2FuYXJ5"}"#).unwrap();
    assert_eq!(format!("{binary:?}"), "Binary(***)");
    assert!(matches!(&binary, Secret::Binary(bytes) if bytes.expose() == b"canary"));
}

#[test]
fn an_answer_that_makes_no_sense_is_garbage_and_is_not_repeated() {
    for body in [
        "",
        "canary",
        "\"canary\"",
        "[\"canary\",null]",
        "{\"SecretString\":[\"canary\"]}",
        "{}",
        "{\"SecretBinary\":\"canary!\"}",
    ] {
        let error = answer(200, None, body).unwrap_err();
        assert!(matches!(error, SecretError::Garbage { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn each_error_of_aws_is_sorted_by_what_it_means() {
    let named =
        |status, name: &str| answer(status, None, &format!(r#"{{"__type":"{name}","Message":"canary"}}"#));
    let class = |result: Result<Secret, SecretError>| {
        let error = result.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
        match error {
            SecretError::NotFound(_) => "not found",
            SecretError::Throttled { .. } => "throttled",
            SecretError::Denied(_) => "denied",
            SecretError::Unavailable { .. } => "unavailable",
            SecretError::Garbage { .. } => "garbage",
            SecretError::Unreachable(_) | SecretError::Unsigned(_) => "not sent",
        }
    };
    assert_eq!(class(named(400, "ResourceNotFoundException")), "not found");
    assert_eq!(class(named(400, "com.amazonaws.secretsmanager#InvalidRequestException")), "not found");
    assert_eq!(class(named(400, "ThrottlingException")), "throttled");
    assert_eq!(class(named(400, "AccessDeniedException")), "denied");
    assert_eq!(class(named(500, "InternalServiceError")), "unavailable");
    assert_eq!(class(answer(503, None, "canary")), "unavailable");
    assert_eq!(class(answer(429, None, "canary")), "throttled");
    assert_eq!(class(answer(403, None, "canary")), "denied");
    assert_eq!(class(answer(302, None, "canary")), "garbage");
    assert_eq!(class(answer(400, Some("ResourceNotFoundException:http://x"), "canary")), "not found");
}

#[test]
fn the_name_of_an_error_cannot_carry_other_text() {
    let error = answer(418, None, r#"{"__type":"x\ny <b>{secret}"}"#).unwrap_err();
    assert_eq!(error.to_string(), "an answer that is not one of Secrets Manager's (status 418, xybsecret)");
}
