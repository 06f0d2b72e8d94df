//! What configurations are taken, and what is said of the others.

use serde_json::{Value, json};

use super::KIND;
use crate::testing::Bench;
use crate::{Built, Site};

/// Builds the plugin, which needs a runtime to be built in.
fn build(config: &Value) -> Built {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _inside = runtime.enter();
    let bench = Bench::new();
    (KIND.build)(config, &Site { owner: "route/1", metadata: None, shared: &bench.shared })
}

fn problem(config: &Value) -> String {
    let error = (KIND.check)(config).unwrap_err();
    assert_eq!(build(config).unwrap_err(), error, "{config}");
    let message = error.to_string();
    assert!(!message.contains("canary"), "{message}");
    message
}

#[test]
fn the_placeholders_of_the_documents_are_taken_as_they_stand() {
    let iam = json!({"accesskey": "<access key>", "secretkey": "<access key secret>"});
    let config = json!({"function_uri": "https://x/", "authorization": {"iam": iam}});
    assert!(build(&config).is_ok());
}

#[test]
fn everything_that_apisix_knows_is_taken() {
    let config = json!({
        "function_uri": "https://x.execute-api.us-east-1.amazonaws.com/prod/fn",
        "authorization": {
            "apikey": "k",
            "iam": {"accesskey": "AKID", "secretkey": "s", "aws_region": "us-east-1", "service": "execute-api"}
        },
        "timeout": 100, "ssl_verify": false, "keepalive": true, "keepalive_pool": 1, "keepalive_timeout": 1000,
        "max_req_body_size": 1,
    });
    (KIND.check)(&config).unwrap();
    build(&config).unwrap();
}

#[test]
fn the_secret_key_has_two_names() {
    for name in ["secretkey", "secret_key"] {
        let config =
            json!({"function_uri": "http://x/", "authorization": {"iam": {"accesskey": "A", name: "s"}}});
        (KIND.check)(&config).unwrap();
        build(&config).unwrap();
    }
}

#[test]
fn what_is_wrong_is_named_and_what_was_written_is_not() {
    let iam = |more: Value| {
        let mut iam = json!({"accesskey": "AKID", "secretkey": "canary"});
        for (name, value) in more.as_object().unwrap() {
            iam[name] = value.clone();
        }
        json!({"function_uri": "http://x/", "authorization": {"iam": iam}})
    };
    insta::assert_snapshot!([
        json!({}),
        json!("canary"),
        json!({"function_uri": 1}),
        json!({"function_uri": "canary"}),
        json!({"function_uri": "ftp://canary/"}),
        json!({"function_uri": "https://"}),
        json!({"function_uri": "https://x:99999/"}),
        json!({"function_uri": "https://user:canary@x/"}),
        json!({"function_uri": "https://x/a b"}),
        json!({"function_uri": "http://x/", "functionuri": "canary"}),
        json!({"function_uri": "http://x/", "timeout": 99}),
        json!({"function_uri": "http://x/", "timeout": "canary"}),
        json!({"function_uri": "http://x/", "ssl_verify": "canary"}),
        json!({"function_uri": "http://x/", "keepalive_pool": 0}),
        json!({"function_uri": "http://x/", "keepalive_timeout": 999}),
        json!({"function_uri": "http://x/", "max_req_body_size": 0}),
        json!({"function_uri": "http://x/", "authorization": {"api_key": "canary"}}),
        json!({"function_uri": "http://x/", "authorization": "canary"}),
        json!({"function_uri": "http://x/", "authorization": {"apikey": ""}}),
        json!({"function_uri": "http://x/", "authorization": {"apikey": "canary\r\nx: y"}}),
        json!({"function_uri": "http://x/", "authorization": {"iam": {"accesskey": "canary"}}}),
        iam(json!({"secretkey": ""})),
        iam(json!({"secret_key": "canary"})),
        iam(json!({"accesskey": "canary/1"})),
        iam(json!({"aws_region": "canary 1"})),
        iam(json!({"service": "Canary"})),
        iam(json!({"session_token": ""})),
        iam(json!({"sessiontoken": "canary"})),
        json!({"function_uri": "http://x/", "authorization": {"iam": {"session_token": "canary"}}}),
        json!({"function_uri": "http://x/", "concurrency": 0}),
        json!({"function_uri": "http://x/", "function_name": "canary"}),
    ].map(|config| problem(&config)).join("\n"), @r#"
    property "function_uri": is required, or function_name: a function is called by its URL or by its name
    must be an object
    property "function_uri": expected text, not a whole number
    property "function_uri": must be an absolute http or https address, such as https://HOST/path
    property "function_uri": must be an absolute http or https address, such as https://HOST/path
    property "function_uri": must be an absolute http or https address, such as https://HOST/path
    property "function_uri": must be an absolute http or https address, such as https://HOST/path
    property "function_uri": must not hold a user name or password; set authorization in their place
    property "function_uri": must be an absolute http or https address, such as https://HOST/path
    property "functionuri": unknown field `functionuri`, expected one of `function_uri`, `authorization`, `timeout`, `ssl_verify`, `keepalive`, `keepalive_pool`, `keepalive_timeout`, `concurrency`, `max_req_body_size`
    property "timeout": must be at least 100
    property "timeout": expected a whole number from 0 on, not text
    property "ssl_verify": expected true or false, not text
    property "keepalive_pool": must be at least 1
    property "keepalive_timeout": must be at least 1000
    property "max_req_body_size": must be at least 1
    property "authorization.api_key": unknown field `api_key`, expected `apikey` or `iam`
    property "authorization": expected an object, not text
    property "authorization.apikey": must not be empty
    property "authorization.apikey": holds characters that cannot stand in a header
    property "authorization.iam.secretkey": is required beside authorization.iam.accesskey; without either, the process's own credentials are used
    property "authorization.iam.secretkey": must not be empty
    property "authorization.iam.secret_key": is another name of secretkey, which is set too; drop one
    property "authorization.iam.accesskey": must be printable ASCII without commas and slashes, as AWS makes them
    property "authorization.iam.aws_region": must be lower-case letters, digits and hyphens, such as us-east-1 or execute-api
    property "authorization.iam.service": must be lower-case letters, digits and hyphens, such as us-east-1 or execute-api
    property "authorization.iam.session_token": must not be empty
    property "authorization.iam.sessiontoken": unknown field `sessiontoken`, expected one of `accesskey`, `secret_key`, `secretkey`, `session_token`, `assume_role_arn`, `role_session_name`, `role_external_id`, `sts_endpoint_url`, `aws_region`, `service`
    property "authorization.iam.accesskey": is required beside authorization.iam.session_token; without either, the process's own credentials are used
    property "concurrency": must be at least 1
    property "function_name": a function has either function_uri or function_name
    "#);
}

#[test]
fn a_reference_may_stand_for_any_text_until_it_has_to_be_one() {
    let config = json!({
        "function_uri": "{vault://env/function-uri}",
        "authorization": {
            "apikey": "{vault://aws/key}",
            "iam": {
                "accesskey": "{vault://aws/lambda/accesskey}",
                "secretkey": "{vault://aws/lambda/secretkey}",
                "aws_region": "{vault://env/region}",
                "service": "{vault://env/service}"
            }
        }
    });
    (KIND.check)(&config).unwrap();
    // The text of a reference is never used as the value.
    assert!(build(&config).is_err());
}

#[test]
fn nothing_secret_is_printed() {
    let plugin = build(&json!({
        "function_uri": "https://x.example/fn?code=canary",
        "authorization": {"apikey": "canary", "iam": {"accesskey": "AKID", "secretkey": "canary"}}
    }))
    .unwrap();
    assert_eq!(format!("{plugin:?}"), "AwsLambda(x.example)");
}

#[test]
fn a_kind_is_found_by_its_name() {
    assert_eq!(crate::kind("aws-lambda").map(|kind| kind.priority), Some(-1899));
    assert!(crate::kind("aws_lambda").is_none());
}
