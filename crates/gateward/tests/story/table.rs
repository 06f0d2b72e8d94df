//! Several gateways on one table of DynamoDB, with the root key in KMS.

use gateward_testkit::{Moto, Process, RuntimeApi, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::double::Double;
use crate::gateway::{self, GATEWARD, Gateway, PATIENCE};
use crate::lambda;
use crate::plot::Plot;

const REGION: &str = "eu-west-1";

#[test]
fn what_one_gateway_is_told_another_and_a_function_serve() {
    let plot = Plot::new();
    let upstream = Double::start(|path, _| format!("the upstream was asked for {path}"));
    let moto = Moto::start();
    moto.create_table(REGION, "gateward");
    let kms_key = moto.create_kms_key(REGION);
    let (secret, consumer_key) = (plot.plant("awssecret"), plot.plant("consumer"));
    let variables = |table: &'static str, kms_key: &str| {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKIDTABLE"),
            ("AWS_SECRET_ACCESS_KEY", &secret),
            ("AWS_REGION", REGION),
            ("GATEWARD_AWS_ENDPOINT_URL", moto.url()),
            ("GATEWARD_STORE", "dynamodb"),
            ("GATEWARD_DYNAMODB_TABLE", table),
            // The plot's own is not to be used here.
            ("GATEWARD_ROOT_KEY", ""),
            ("GATEWARD_ROOT_KEY_KMS", kms_key),
        ];
        variables.map(|(name, value)| (name, value.to_owned()))
    };
    fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
    let fails = |table: &'static str, kms_key: &str| {
        let mut command = gateway::command(&plot, GATEWARD);
        command.args(["serve", "--proxy-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"]);
        command.args(["--data-dir", "data"]).envs(variables(table, kms_key));
        let output = gateway::run(&plot, &mut command);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = fails("missing", &kms_key);
    assert!(
        told.contains("DynamoDB has no table \"missing\" here; create it as docs/serverless.md shows"),
        "{told}"
    );

    let ours = variables("gateward", &kms_key);
    let first = Gateway::start(&plot, &borrowed(&ours));
    let second = Gateway::start(&plot, &borrowed(&ours));
    let lambda = RuntimeApi::start();
    let function = lambda::start_with(&plot, &lambda, &borrowed(&ours));
    lambda.wait_until_asked(PATIENCE);
    let consumer = json!({"username": "ann", "plugins": {"key-auth": {"key": consumer_key}}});
    let put = first.apisix("PUT", "/consumers", &consumer.to_string());
    assert!(put.status == 201 || put.status == 200, "{}", put.text());
    let route = |uri: &str| {
        json!({
            "uri": uri,
            "upstream": {"type": "roundrobin", "nodes": {upstream.address(): 1}},
        })
        .to_string()
    };
    for uri in ["/one", "/two"] {
        let put = first.apisix("PUT", "/routes/1", &route(uri));
        assert!(put.status == 201 || put.status == 200, "{}", put.text());
        assert_eq!(first.get(uri).status, 200);
        let served = eventually(PATIENCE, || (second.get(uri).status == 200).then_some(()));
        assert!(served.is_some(), "the other gateway does not serve {uri}");
        // It is frozen between two events, as Lambda has it: nothing that it would do by itself helps it.
        let answers = eventually(PATIENCE, || {
            signal(&function, Signal::CONT);
            let answer = lambda.invoke(&lambda::event("GET", uri, "$default", ""), PATIENCE);
            signal(&function, Signal::STOP);
            plot.hear("an answer to an event", answer.to_string());
            (answer["statusCode"] == 200).then_some(())
        });
        assert!(answers.is_some(), "the function does not serve {uri}");
    }
    assert_eq!(second.get("/one").status, 404);

    let told = fails("gateward", &moto.create_kms_key(REGION));
    assert!(told.contains("root_key_kms: the root key cannot be had from the KMS key"), "{told}");

    let everything = moto.dynamodb(REGION, "Scan", br#"{"TableName": "gateward"}"#);
    assert!(everything.text().contains("/routes"), "{}", everything.text());
    plot.hear("the table", everything.body);
    plot.hear("what the function printed", function.text());
    drop((first, second, function));
    plot.end();
}

fn signal(process: &Process, signal: Signal) {
    let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(id, signal).expect("it lives");
}
