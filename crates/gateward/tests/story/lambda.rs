//! The same binary inside a Lambda function.

use gateward_testkit::{Double as Collector, Moto, Process, Reply, RuntimeApi, eventually};
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{self, GATEWARD, PATIENCE};
use crate::plot::{ACCESS_ID, Plot, data_directory};

const REGION: &str = "eu-west-1";

#[test]
fn the_lambda_host_answers_for_routes_and_for_control() {
    let plot = Plot::new();
    let lambda = RuntimeApi::start();
    let upstream = Double::start(|path, _| format!("the upstream was asked for {path}"));
    let admin_key = plot.plant("apisixkey");
    let mut process = start_with(&plot, &lambda, &[("GATEWARD_APISIX_ADMIN_KEY", &admin_key)]);
    lambda.wait_until_asked(PATIENCE);
    let ask = |event: Value| {
        let answer = lambda.invoke(&event, PATIENCE);
        plot.hear("an answer to an event", answer.to_string());
        assert!(answer["headers"]["x-request-id"].is_string(), "{answer}");
        answer
    };

    let route = json!({
        "uri": "/there/*",
        "upstream": {"type": "roundrobin", "nodes": {upstream.address(): 1}},
        "plugins": {},
    });
    let put = event("PUT", "/apisix/admin/routes/1", "$default", &route.to_string());
    assert_eq!(ask(with_header(put.clone(), "x-api-key", "wrong"))["statusCode"], 401);
    assert_eq!(ask(with_header(put, "x-api-key", &admin_key))["statusCode"], 201);
    let answer = ask(event("GET", "/there/you/are", "$default", ""));
    assert_eq!(
        (&answer["statusCode"], text(&answer)),
        (&json!(200), "the upstream was asked for /there/you/are".to_owned())
    );
    // Behind a stage the path begins with its name.
    let answer = ask(event("GET", "/default/there/too", "default", ""));
    assert_eq!(
        (&answer["statusCode"], text(&answer)),
        (&json!(200), "the upstream was asked for /there/too".to_owned())
    );
    for (path, stage) in [("/health", "$default"), ("/default/health", "default"), ("/ready", "$default")] {
        assert_eq!(ask(event("GET", path, stage, ""))["statusCode"], 200, "{path}");
    }
    assert_eq!(ask(event("GET", "/nowhere", "$default", ""))["statusCode"], 404);
    // A load balancer asks without a Host, and is answered.
    for headers in ["headers", "multiValueHeaders"] {
        let agent = if headers == "headers" {
            json!("ELB-HealthChecker/2.0")
        } else {
            json!(["ELB-HealthChecker/2.0"])
        };
        let check = json!({
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:target"}},
            "httpMethod": "GET", "path": "/health", headers: {"user-agent": agent}, "body": "", "isBase64Encoded": false,
        });
        assert_eq!(ask(check)["statusCode"], 200);
    }

    let login = |key: &str| {
        json!({"access-id": ACCESS_ID, "access-key": key, "access-type": "access_key"}).to_string()
    };
    let answer = ask(event("POST", "/auth", "$default", &login(plot.access_key())));
    let granted: Value = serde_json::from_str(&text(&answer)).expect("JSON");
    assert!(granted["token"].as_str().is_some_and(|token| !token.is_empty()), "{granted}");
    assert_eq!(ask(event("POST", "/auth", "$default", &login("wrong")))["statusCode"], 401);
    // Nothing could revoke on time here, so nothing is issued; the producer is not even asked.
    let secret = json!({
        "token": granted["token"], "name": "/a", "skip-dry-run": true, "create-sync-url": format!("http://{}/create", upstream.address()),
        "revoke-sync-url": format!("http://{}/revoke", upstream.address()),
    });
    ask(event("POST", "/dynamic-secret-create-custom", "$default", &secret.to_string()));
    let wanted = json!({"token": granted["token"], "name": "/a"}).to_string();
    let refused = ask(event("POST", "/get-dynamic-secret-value", "$default", &wanted));
    assert_eq!(refused["statusCode"], 503, "{refused}");
    assert!(!upstream.asked().iter().any(|(path, _)| path == "/create"));
    // Nor does anybody get at the Runtime API through the gateway.
    let inward =
        json!({"uri": "/inward/*", "upstream": {"type": "roundrobin", "nodes": {lambda.address(): 1}}});
    let put = event("PUT", "/apisix/admin/routes/2", "$default", &inward.to_string());
    assert_eq!(ask(with_header(put, "x-api-key", &admin_key))["statusCode"], 201);
    assert_eq!(
        ask(event("GET", "/inward/2018-06-01/runtime/invocation/next", "$default", ""))["statusCode"],
        502
    );

    process.terminate();
    assert!(process.wait(PATIENCE).success());
    plot.hear("what the function printed", process.text());
    plot.end();
}

#[test]
fn what_is_told_of_a_request_is_told_before_its_answer() {
    let plot = Plot::new();
    let lambda = RuntimeApi::start();
    let upstream = Double::start(|_, _| "here".to_owned());
    let collector = Collector::start(|_| Reply::text(200, ""));
    let resources = plot.folder().join("resources.yaml");
    let route = json!({
        "routes": [{
            "id": "1", "uri": "/there", "upstream": {"nodes": {upstream.address(): 1}},
            "plugins": {"opentelemetry": {"sampler": {"name": "always_on"}}},
        }],
        "plugin_metadata": [{"id": "opentelemetry", "collector": {"address": collector.url().trim_start_matches("http://")}}],
    });
    // What is JSON is YAML.
    std::fs::write(&resources, format!("{route}\n#END\n")).expect("a file can be written");
    let log = plot.folder().join("access.log");
    let variables = [
        ("GATEWARD_RESOURCES", resources.to_str().expect("text")),
        ("GATEWARD_ACCESS_LOG", log.to_str().expect("text")),
    ];
    let mut process = start_with(&plot, &lambda, &variables);
    lambda.wait_until_asked(PATIENCE);
    for times in 1..=3 {
        let answer = lambda.invoke(&event("GET", "/there", "$default", ""), PATIENCE);
        assert_eq!((&answer["statusCode"], text(&answer)), (&json!(200), "here".to_owned()));
        let spans = collector.count("POST /v1/traces");
        let lines = std::fs::read_to_string(&log).expect("a log").lines().count();
        assert_eq!((spans, lines), (times, times));
    }
    process.terminate();
    assert!(process.wait(PATIENCE).success());
    plot.hear("what the function printed", process.text());
    plot.end();
}

#[test]
fn a_function_that_cannot_start_says_why_in_one_sentence_and_ends() {
    let plot = Plot::new();
    let moto = Moto::start();
    moto.create_table(REGION, "gateward");
    let (ours, others) = (moto.create_kms_key(REGION), moto.create_kms_key(REGION));
    let secret = plot.plant("awssecret");
    let aws = [
        ("AWS_ACCESS_KEY_ID", "AKIDSTART"),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", moto.url()),
    ];
    let on_table = |table: &'static str, key: &'static str, value: String| {
        let table =
            [("GATEWARD_STORE", "dynamodb".to_owned()), ("GATEWARD_DYNAMODB_TABLE", table.to_owned())];
        [&table[..], &[("GATEWARD_ROOT_KEY", String::new()), (key, value)]].concat()
    };
    // The table has a root key from now on, sealed by our key.
    let lambda = RuntimeApi::start();
    let settings = on_table("gateward", "GATEWARD_ROOT_KEY_KMS", ours.clone());
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let process = start_with(&plot, &lambda, &[&aws[..], &settings].concat());
    lambda.wait_until_asked(PATIENCE);
    drop(process);

    let one = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    let not_base64 =
        r#"{"customer_fragments": [{"id": "cf-1", "value": "*", "name": "n", "description": ""}]}"#;
    for (settings, named) in [
        (one("GATEWARD_ROOT_KEY", ""), "GATEWARD_ROOT_KEY"),
        (one("GATEWARD_ADMIN_ACCESS_KEY", ""), "admin_access_key"),
        (one("GATEWARD_ADMIN_ACCESS_KEY", "{vault://aws/nowhere/}"), "GATEWARD_ADMIN_ACCESS_KEY"),
        (one("GATEWARD_ALLOWED_ACCESS_PERMISSIONS", "[{"), "allowed_access_permissions"),
        (one("GATEWARD_CUSTOMER_FRAGMENTS", not_base64), "customer_fragments"),
        (one("GATEWARD_RESOURCES", "nowhere.yaml"), "nowhere.yaml"),
        (one("GATEWARD_STOER", "memory"), "GATEWARD_STOER"),
        (on_table("missing", "GATEWARD_ROOT_KEY_KMS", ours.clone()), "no table \"missing\""),
        (on_table("gateward", "GATEWARD_ROOT_KEY_KMS", others), "root_key_kms"),
        (on_table("gateward", "GATEWARD_ROOT_KEY_KMS", "alias/nobody".to_owned()), "alias/nobody"),
    ] {
        let lambda = RuntimeApi::start();
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let variables = [&aws[..], &[("GATEWARD_LOG", "info")], &settings].concat();
        let mut process = start_with(&plot, &lambda, &variables);
        assert!(!process.wait(PATIENCE).success(), "{named}");
        let told = lambda.init_errors().first().cloned().expect("a start-up error");
        let sentence = told["errorMessage"].as_str().expect("a sentence");
        assert!(sentence.contains(named), "{named}: {sentence}");
        let printed = process.text();
        assert_eq!(printed.trim(), format!("Error: {sentence}"), "{named}");
        plot.hear("what the function printed", printed);
        plot.hear("the start-up error", told.to_string());
    }
    plot.end();
}

#[test]
fn what_a_deployment_says_wrong_of_who_may_and_of_fragments_ends_init_with_one_sentence() {
    let aws = [("GATEWARD_ADMIN_ACCESS_ID_TYPE", "aws_iam"), ("GATEWARD_ADMIN_ACCESS_KEY", "")];
    let allowed =
        ("GATEWARD_ALLOWED_ACCESS_PERMISSIONS", r#"[{"name": "", "p-b": "", "permissions": ["admin"]}]"#);
    let account = ("GATEWARD_ADMIN_BOUND_AWS_ACCOUNTS", "123456789012");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (
            &[("CUSTOMER_FRAGMENTS", r#"[{"id": "cf-a", "value": "canary!"}]"#)],
            "cf-a: the value is at least 32 bytes",
        ),
        (&[("GATEWARD_CUSTOMER_FRAGMENTS", "canary")], "customer fragments are JSON"),
        (&[("GATEWARD_ALLOWED_ACCESS_PERMISSIONS", "{canary")], "allowed access permissions are JSON"),
        (&[aws[0], aws[1], allowed], "set admin_bound_arns"),
        (&[aws[0], aws[1], account], "set allowed_access_permissions"),
        (&[aws[0], allowed, account], "drop the key"),
        (&[("GATEWARD_EVENTS_BUS", "no bus!"), ("AWS_REGION", "eu-west-1")], "events_bus"),
    ];
    for (variables, says) in cases {
        let plot = Plot::new();
        let lambda = RuntimeApi::start();
        let mut process = start_with(&plot, &lambda, variables);
        let told = eventually(PATIENCE, || lambda.init_errors().first().cloned()).expect("a start-up error");
        plot.hear("the start-up error", told.to_string());
        assert!(told.to_string().contains(says), "{told}");
        assert!(!told.to_string().contains("canary"), "{told}");
        assert!(!process.wait(PATIENCE).success());
        plot.hear("what the function printed", process.text());
        plot.end();
    }
}

/// Starts the function's process as Lambda does, with these variables; an empty one is none.
pub fn start_with(plot: &Plot, lambda: &RuntimeApi, variables: &[(&str, &str)]) -> Process {
    let mut command = gateway::command(plot, GATEWARD);
    command.envs(lambda.environment()).env("GATEWARD_STORE", "memory");
    command.env("GATEWARD_DATA_DIR", data_directory(plot.folder())).env("GATEWARD_LOG", "trace");
    Process::start("the function", {
        command.envs(variables.iter().copied());
        command
    })
}

/// An event of an HTTP API, payload format 2.0.
pub fn event(method: &str, path: &str, stage: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"host": "id.execute-api.us-east-1.amazonaws.com", "content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "id", "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "a"},
            "requestId": "id", "routeKey": "$default", "stage": stage,
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_583_348_638_390_u64,
        },
        "body": body, "isBase64Encoded": false,
    })
}

fn with_header(mut event: Value, name: &str, value: &str) -> Value {
    event["headers"][name] = value.into();
    event
}

/// The body of an answer that is text.
fn text(answer: &Value) -> String {
    assert_ne!(answer["isBase64Encoded"], true, "{answer}");
    answer["body"].as_str().unwrap_or_default().to_owned()
}
