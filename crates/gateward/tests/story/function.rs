//! Traffic: a function is called with a signature whose secret stands in a vault.

use gateward_testkit::http::Response;
use gateward_testkit::{FunctionEndpoint, Moto, eventually};
use serde_json::json;
use std::process::Command;

use crate::double::Double;
use crate::gateway::{GATEWARD, Gateway, PATIENCE};
use crate::plot::Plot;
use crate::{documents, gateway};

const REGION: &str = "us-east-1";
const ACCESS_KEY: &str = "AKIDSTORY";

#[test]
fn a_function_is_called_with_a_signature_made_from_a_secret_in_a_vault() {
    let plot = Plot::new();
    let moto = Moto::start();
    let secret = plot.plant("secret");
    let credential = plot.plant("awskey");
    moto.create_secret(REGION, "demo/key", &secret);
    moto.create_secret(
        REGION,
        "demo/fields",
        &json!({"secret": secret, "other": plot.plant("other")}).to_string(),
    );
    let function = FunctionEndpoint::start(ACCESS_KEY, &secret, REGION, "execute-api");
    let aws = [("AWS_ACCESS_KEY_ID", "AKIDVAULT"), ("AWS_SECRET_ACCESS_KEY", credential.as_str())];
    let mut gateway = Gateway::start(&plot, &aws);

    documents::put_vault(&plot, &gateway, moto.url());
    assert_eq!(route(&gateway, &function, "{vault://aws-sm-vault/demo/key}").status, 201);
    greets(&gateway.get("/aws/hello?name=Ada"));
    assert_eq!(route(&gateway, &function, "{vault://aws-sm-vault/demo/fields/secret}").status, 200);
    greets(&gateway.get("/aws/hello?name=Ada"));
    let mut get = gateway::command(&plot, GATEWARD);
    get.args([
        "vault",
        "get",
        "{vault://aws-sm-vault/demo/fields/secret}",
        "--gateway-url",
        &gateway.control,
    ]);
    // To tell the value is what this command is for, so the plot does not hear it.
    let got = get.envs(aws).output().expect("the command starts");
    assert_eq!(String::from_utf8_lossy(&got.stdout).trim_end(), secret);
    bodies_and_encodings_are_signed_as_they_are(&gateway);
    http2_is_served(&plot, &gateway);

    // Without a value nothing goes out; with one the very next request does.
    assert_eq!(route(&gateway, &function, "{vault://aws-sm-vault/demo/absent}").status, 200);
    let unresolved = gateway.get("/aws/hello?name=Ada");
    assert_eq!((unresolved.status, &unresolved.json()["code"]), (503, &json!("secret_unresolved")));
    assert_eq!(route(&gateway, &function, "{vault://aws-sm-vault/demo/key}").status, 200);
    greets(&gateway.get("/aws/hello?name=Ada"));

    // The value changes in the vault, to one that the function does not know, and back.
    moto.put_secret_value(REGION, "demo/key", &plot.plant("changed"));
    let refused = eventually(PATIENCE, || (gateway.get("/aws/hello").status == 502).then_some(()));
    assert!(refused.is_some(), "the new value was not picked up");
    moto.put_secret_value(REGION, "demo/key", &secret);
    let taken = eventually(PATIENCE, || (gateway.get("/aws/hello").status == 200).then_some(()));
    assert!(taken.is_some(), "the old value was not picked up again");

    // A secret that stands in the route itself is used, and shown to nobody.
    assert_eq!(route(&gateway, &function, &secret).status, 200);
    greets(&gateway.get("/aws/hello?name=Ada"));
    assert_eq!(
        gateway.apisix("GET", "/routes/1", "").json()["value"]["plugins"]["aws-lambda"]["authorization"]["iam"]
            ["secretkey"],
        "***"
    );

    gateway.show_everything();
    assert_eq!(gateway.terminate(PATIENCE).code(), Some(0));
    drop(gateway);
    plot.end();
}

#[test]
fn the_commands_of_the_documents_configure_a_route_as_printed() {
    let plot = Plot::new();
    let upstream = Double::start(|path, _| format!("the upstream was asked for {path}"));
    let gateway = Gateway::start(&plot, &[]);
    for (command, status) in documents::ROUTES.iter().zip(["201", "200", "200", "200"]) {
        let command = command
            .replace("127.0.0.1:9080", gateway.traffic.trim_start_matches("http://"))
            .replace("127.0.0.1:1980", &upstream.address());
        assert_eq!(documents::paste(&plot, &command), status, "{command}");
    }
    assert_eq!(gateway.get("/aws").text(), "the upstream was asked for /aws");
    gateway.show_everything();
    drop(gateway);
    plot.end();
}

/// Puts the route that calls `function`, with this as its `secretkey`.
#[track_caller]
fn route(gateway: &Gateway<'_>, function: &FunctionEndpoint, secret: &str) -> Response {
    let iam = json!({"accesskey": ACCESS_KEY, "secretkey": secret, "aws_region": REGION});
    let url = format!("{}/base", function.url());
    let plugin = json!({"function_uri": url, "authorization": {"iam": iam}});
    let route = json!({"uri": "/aws/*", "plugins": {"aws-lambda": plugin}});
    gateway.apisix("PUT", "/routes/1", &route.to_string())
}

#[track_caller]
fn greets(answer: &Response) {
    assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("Hello, Ada!")), "{}", answer.text());
    assert_eq!(answer.json()["path"], "/base/hello");
}

fn bodies_and_encodings_are_signed_as_they_are(gateway: &Gateway<'_>) {
    // The query goes out as it is signed, so that no way of reading a `+` or a `*` makes it another.
    for (path, query, seen_query) in [
        ("a%2Fb/c%20d/%E2%9C%93", "name=Ada%26Bob&x=%E2%9C%93&empty=&name=again", None),
        ("plain//twice/", "b=2&a=1&a=0&flag", None),
        ("~tilde/*star", "q=%7Etilde*%2B&y=a+b", Some("q=~tilde%2A%2B&y=a%20b")),
    ] {
        let answer = gateway.get(&format!("/aws/{path}?{query}"));
        assert_eq!(answer.status, 200, "{path}?{query}: {}", answer.text());
        let seen = answer.json();
        assert_eq!(seen["path"], format!("/base/{path}"));
        assert_eq!(seen["query"], seen_query.unwrap_or(query));
    }
    let body = json!({"name": "Ada"}).to_string();
    let url = format!("{}/aws/hello", gateway.traffic);
    greets(&gateway.ask("POST", &url, &[("Content-Type", "application/json")], &body));
}

fn http2_is_served(plot: &Plot, gateway: &Gateway<'_>) {
    let version = Command::new("curl").arg("--version").output().expect("curl is there");
    if !String::from_utf8_lossy(&version.stdout).contains("HTTP2") {
        return;
    }
    let mut curl = Command::new("curl");
    curl.args(["-s", "-i", "--http2-prior-knowledge"]).arg(format!("{}/aws/hello?name=Ada", gateway.traffic));
    let answer = String::from_utf8_lossy(&gateway::run(plot, &mut curl).stdout).into_owned();
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    assert!(answer.contains("x-request-id: ") && answer.contains("Hello, Ada!"), "{answer}");
}
