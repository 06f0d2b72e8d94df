//! What settings are taken, and what is said of the others.

use serde_json::{Value, json};

use super::KIND;
use crate::testing::Bench;
use crate::{Built, Site};

/// Builds the plugin, which needs a runtime to be built in.
fn build(settings: &Value) -> Built {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _inside = runtime.enter();
    let bench = Bench::new();
    (KIND.build)(settings, &Site { owner: "route/1", metadata: None, shared: &bench.shared })
}

/// A function in us-east-1, with `more` settings.
fn function(more: &Value) -> Value {
    let mut settings = json!({"function_name": "orders", "aws_region": "us-east-1"});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

#[test]
fn everything_that_kongs_tools_write_out_is_taken() {
    let settings = json!({
        "aws_assume_role_arn": null, "aws_role_session_name": "kong", "aws_imds_protocol_version": "v1", "aws_key": null, "aws_region": "us-east-1",
        "aws_secret": null, "aws_sts_endpoint_url": null, "awsgateway_compatible": false,
        "awsgateway_compatible_payload_version": "1.0", "base64_encode_body": true, "disable_https": false,
        "empty_arrays_mode": "legacy", "forward_request_body": false, "forward_request_headers": false,
        "forward_request_method": false, "forward_request_uri": false, "function_name": "orders", "host": null,
        "invocation_type": "RequestResponse", "is_proxy_integration": false, "keepalive": 60000, "log_type": "Tail",
        "port": 443, "preserve_lambda_api_error_code": false, "proxy_url": null, "qualifier": null,
        "skip_large_bodies": true, "ssl_verify": true, "timeout": 60000, "unhandled_status": null,
    });
    (KIND.check)(&settings).unwrap();
    build(&settings).unwrap();
}

#[test]
fn where_a_function_is_called_comes_from_its_arn_its_region_or_its_host() {
    for (more, called) in [
        (json!({}), "lambda.us-east-1.amazonaws.com/2015-03-31/functions/orders/invocations"),
        (
            json!({"aws_region": "cn-north-1"}),
            "lambda.cn-north-1.amazonaws.com.cn/2015-03-31/functions/orders/invocations",
        ),
        (
            json!({"aws_region": null, "function_name": "arn:aws:lambda:eu-west-1:123456789012:function:f"}),
            "lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af/invocations",
        ),
        (
            json!({"host": "vpce-1.lambda.us-east-1.vpce.amazonaws.com", "port": 8443}),
            "vpce-1.lambda.us-east-1.vpce.amazonaws.com:8443/2015-03-31/functions/orders/invocations",
        ),
        (json!({"host": "::1", "port": 3001}), "[::1]:3001/2015-03-31/functions/orders/invocations"),
    ] {
        let plugin = build(&function(&more)).unwrap();
        assert_eq!(format!("{plugin:?}"), format!("AwsLambda({called})"));
    }
}

const ROLE: &str = "arn:aws:iam::123456789012:role/gateway";

#[test]
fn a_region_must_come_from_somewhere() {
    let error = build(&json!({"function_name": "orders"})).unwrap_err();
    assert_eq!(error.field, "aws_region");
}

#[test]
fn what_is_wrong_is_named_and_what_was_written_is_not() {
    let wrong = [
        json!({"function_name": "can ary"}),
        json!({"function_name": "arn:aws:lambda:eu-west-1:123456789012:function:canary"}),
        json!({"qualifier": "can ary"}),
        json!({"invocation_type": "canary"}),
        json!({"invoke_mode": "canary"}),
        json!({"invoke_mode": "RESPONSE_STREAM", "invocation_type": "Event"}),
        json!({"log_type": "canary"}),
        json!({"aws_key": "canary"}),
        json!({"aws_secret": "canary"}),
        json!({"aws_session_token": "canary"}),
        json!({"aws_key": "canary", "aws_secret": ""}),
        json!({"aws_region": "canary 1"}),
        json!({"aws_assume_role_arn": "canary"}),
        json!({"aws_assume_role_arn": ROLE, "aws_role_session_name": "can ary"}),
        json!({"aws_assume_role_arn": ROLE, "aws_role_external_id": "can ary"}),
        json!({"aws_assume_role_arn": ROLE, "aws_sts_endpoint_url": "canary"}),
        json!({"aws_role_external_id": "canary"}),
        json!({"host": "https://canary/"}),
        json!({"host": "canary:80"}),
        json!({"host": ""}),
        json!({"port": 0}),
        json!({"port": 70_000}),
        json!({"proxy_url": "https://canary:3128"}),
        json!({"proxy_url": "http://user:canary@proxy:3128/path"}),
        json!({"timeout": 0}),
        json!({"keepalive": true}),
        json!({"keepalive": 1000, "keepalive_timeout": 1000}),
        json!({"concurrency": 0}),
        json!({"payload_version": "3.0"}),
        json!({"payload_version": "2.0", "awsgateway_compatible": false}),
        json!({"payload_version": "2.0", "awsgateway_compatible_payload_version": "1.0"}),
        json!({"unhandled_status": 200}),
        json!({"authorization": {"apikey": "canary"}}),
    ];
    let problems = wrong.map(|more| {
        let settings = function(&more);
        let error = (KIND.check)(&settings).unwrap_err();
        assert!(build(&settings).is_err(), "{settings}");
        let message = error.to_string();
        assert!(!message.contains("canary"), "{message}");
        message
    });
    insta::assert_snapshot!(problems.join("\n"), @r#"
    property "function_name": must be a function's name, such as orders, ACCOUNT:function:orders, or its ARN, perhaps with :QUALIFIER behind it
    property "aws_region": is not the region that the function's ARN names; drop it
    property "qualifier": must be a version, an alias or $LATEST
    property "invocation_type": expected one of `RequestResponse`, `Event`, `DryRun`
    property "invoke_mode": expected `BUFFERED` or `RESPONSE_STREAM`
    property "invoke_mode": nothing is streamed by a call that waits for no answer
    property "log_type": expected `None` or `Tail`
    property "aws_secret": is required beside aws_key; without either, the process's own credentials are used
    property "aws_key": is required beside aws_secret; without either, the process's own credentials are used
    property "aws_key": is required beside aws_session_token; without either, the process's own credentials are used
    property "aws_secret": must not be empty
    property "aws_region": must be lower-case letters, digits and hyphens, such as us-east-1 or execute-api
    property "aws_assume_role_arn": must be a role's, such as arn:aws:iam::123456789012:role/NAME
    property "aws_role_session_name": must be 2 to 64 letters, digits and _ + = , . @ -
    property "aws_role_external_id": must be 2 to 1224 letters, digits and _ + = , . @ : / -
    property "aws_sts_endpoint_url": a complete URL is needed, such as https://host:port
    property "aws_role_external_id": is of no use without aws_assume_role_arn
    property "host": must be a host name or an address, without scheme, port and path
    property "host": must be a host name or an address, without scheme, port and path
    property "host": must be a host name or an address, without scheme, port and path
    property "port": must be at least 1
    property "port": expected a whole number from 0 to 65535
    property "proxy_url": must be http://[user:password@]host[:port], without a path
    property "proxy_url": must be http://[user:password@]host[:port], without a path
    property "timeout": must be at least 1
    property "keepalive": expected a whole number from 0 on, not true or false
    property "keepalive": is another name of keepalive_timeout, which is set too; drop one
    property "concurrency": must be at least 1
    property "payload_version": expected `1.0` or `2.0`
    property "payload_version": is of no use while awsgateway_compatible is false; drop one
    property "payload_version": is another name of awsgateway_compatible_payload_version, which says otherwise; drop one
    property "unhandled_status": must be a status from 400 to 599
    property "authorization": unknown field `authorization`, expected one of `function_name`, `qualifier`, `invocation_type`, `invoke_mode`, `log_type`, `forward_log_result`, `aws_key`, `aws_secret`, `aws_session_token`, `aws_region`, `aws_assume_role_arn`, `aws_role_session_name`, `aws_role_external_id`, `aws_sts_endpoint_url`, `host`, `port`, `disable_https`, `ssl_verify`, `proxy_url`, `timeout`, `keepalive`, `keepalive_pool`, `keepalive_timeout`, `concurrency`, `max_req_body_size`, `forward_request_method`, `forward_request_uri`, `forward_request_headers`, `forward_request_body`, `awsgateway_compatible`, `awsgateway_compatible_payload_version`, `payload_version`, `base64_encode_body`, `is_proxy_integration`, `unhandled_status`, `preserve_lambda_api_error_code`, `skip_large_bodies`, `empty_arrays_mode`, `aws_imds_protocol_version`
    "#);
}

#[test]
fn a_reference_may_stand_for_any_text_until_it_has_to_be_one() {
    let settings = json!({
        "function_name": "{vault://env/function}", "qualifier": "{vault://env/alias}",
        "aws_key": "{vault://env/key}", "aws_secret": "{vault://env/secret}",
        "aws_session_token": "{vault://env/token}", "aws_region": "{vault://env/region}",
        "host": "{vault://env/host}", "aws_assume_role_arn": "{vault://env/role}",
        "aws_role_session_name": "{vault://env/session}", "aws_role_external_id": "{vault://env/id}",
        "aws_sts_endpoint_url": "{vault://env/sts}",
    });
    (KIND.check)(&settings).unwrap();
    assert!(build(&settings).is_err());
}
