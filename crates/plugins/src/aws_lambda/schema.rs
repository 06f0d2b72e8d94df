//! The JSON schema of the settings, for people and programs that ask for it.

use serde_json::{Map, Value, json};

/// The schema of both ways to call a function.
pub(super) fn schema() -> Value {
    let parts = [of_both(), of_urls(), of_names(), of_events()];
    let properties: Map<String, Value> = parts
        .into_iter()
        .filter_map(|part| if let Value::Object(part) = part { Some(part) } else { None })
        .flatten()
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{"required": ["function_uri"]}, {"required": ["function_name"]}],
        "properties": properties,
    })
}

fn of_both() -> Value {
    json!({
            "function_uri": {"type": "string", "description": "the function's URL"},
            "function_name": {"type": "string", "description": "the function's name or ARN, in place of function_uri"},

            "timeout": {
                "type": "integer",
                "minimum": 1,
                "description": "milliseconds; 3000, and at least 100, with function_uri; 60000 with function_name",
            },
            "ssl_verify": {"type": "boolean", "default": true},
            "keepalive": {
                "anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 1}],
                "description": "with function_uri whether connections are kept, true; with function_name as keepalive_timeout",
            },
            "keepalive_pool": {"type": "integer", "minimum": 1},
            "keepalive_timeout": {"type": "integer", "minimum": 1000, "default": 60_000},
            "max_req_body_size": {"type": "integer", "minimum": 1},
            "concurrency": {"type": "integer", "minimum": 1},
    })
}

fn of_urls() -> Value {
    json!({
            "authorization": {
                "type": "object",
                "additionalProperties": false,
                "description": "with function_uri",
                "properties": {
                    "apikey": {"type": "string"},
                    "iam": {
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {
                            "accesskey": {"type": "string"},
                            "secretkey": {"type": "string"},
                            "session_token": {"type": "string"},
                            "aws_region": {"type": "string"},
                            "service": {"type": "string"},
                            "assume_role_arn": {"type": "string"},
                            "role_session_name": {"type": "string", "default": "kong"},
                            "role_external_id": {"type": "string"},
                            "sts_endpoint_url": {"type": "string"},
                        },
                    },
                },
            },
    })
}

fn of_names() -> Value {
    json!({
            "qualifier": {"type": "string", "description": "with function_name, as all that follows"},
            "invocation_type": {
                "type": "string",
                "enum": ["RequestResponse", "Event", "DryRun"],
                "default": "RequestResponse",
            },
            "invoke_mode": {"type": "string", "enum": ["BUFFERED", "RESPONSE_STREAM"], "default": "BUFFERED"},
            "log_type": {"type": "string", "enum": ["None", "Tail"], "default": "None"},
            "forward_log_result": {"type": "boolean", "default": false},
            "aws_key": {"type": "string"},
            "aws_secret": {"type": "string"},
            "aws_session_token": {"type": "string"},
            "aws_region": {"type": "string"},
            "aws_assume_role_arn": {"type": "string"},
            "aws_role_session_name": {"type": "string", "default": "kong"},
            "aws_role_external_id": {"type": "string"},
            "aws_sts_endpoint_url": {"type": "string"},
            "host": {"type": "string"},
            "port": {"type": "integer", "minimum": 1, "maximum": 65_535, "default": 443},
            "disable_https": {"type": "boolean", "default": false},
            "proxy_url": {"type": "string", "description": "http://[user:password@]host[:port], a forward proxy"},
    })
}

fn of_events() -> Value {
    json!({
            "forward_request_method": {"type": "boolean", "default": false},
            "forward_request_uri": {"type": "boolean", "default": false},
            "forward_request_headers": {"type": "boolean", "default": false},
            "forward_request_body": {"type": "boolean", "default": false},
            "awsgateway_compatible": {"type": "boolean"},
            "awsgateway_compatible_payload_version": {"type": "string", "enum": ["1.0", "2.0"]},
            "payload_version": {"type": "string", "enum": ["1.0", "2.0"]},
            "base64_encode_body": {"type": "boolean"},
            "is_proxy_integration": {"type": "boolean", "default": false},
            "unhandled_status": {"type": "integer", "minimum": 400, "maximum": 599},
            "preserve_lambda_api_error_code": {"type": "boolean", "default": false},
            "skip_large_bodies": {"type": "boolean"},
            "empty_arrays_mode": {"type": "string", "enum": ["legacy", "correct"]},
            "aws_imds_protocol_version": {"type": "string", "enum": ["v1", "v2"]},
    })
}
