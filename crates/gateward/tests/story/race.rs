//! Two gateways, as two processes, race for one list of what is due: each credential goes once, and none is forgotten.

use std::collections::BTreeMap;
use std::sync::Barrier;

use gateward_testkit::{Deadline, Double, Moto, Process, Reply, RuntimeApi, eventually};
use serde_json::{Value, json};

use crate::gateway::{Gateway, PATIENCE};
use crate::lambda;
use crate::one_at_a_time::one_at_a_time;
use crate::plot::{ACCESS_ID, Plot};

const REGION: &str = "eu-west-1";

/// How many credentials there are to race for.
const LEASES: usize = 10;

#[test]
fn two_functions_that_tick_at_once_revoke_each_credential_once() {
    let plot = Plot::new();
    let moto = Moto::start();
    let aws = one_at_a_time(&moto);
    let variables = shared(&plot, &moto, &aws);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let producer = Producer::start();
    let functions = [0, 1].map(|_| {
        let api = RuntimeApi::start();
        let process = lambda::start_with(&plot, &api, &variables);
        api.wait_until_asked(PATIENCE);
        (api, process)
    });
    let post = |api: &RuntimeApi, path: &str, body: &Value| {
        let answer = api.invoke(&lambda::event("POST", path, "$default", &body.to_string()), PATIENCE);
        assert_eq!(answer["statusCode"], 200, "{path}: {answer}");
        serde_json::from_str::<Value>(answer["body"].as_str().expect("text")).expect("JSON")
    };
    let login = json!({"access-id": ACCESS_ID, "access-key": plot.access_key(), "access-type": "access_key"});
    let token = post(&functions[0].0, "/auth", &login)["token"].clone();
    let mut secret = producer.secret("2s");
    secret["token"] = token.clone();
    post(&functions[0].0, "/dynamic-secret-create-custom", &secret);
    let wish = json!({"token": token, "name": "/raced"});
    std::thread::scope(|scope| {
        for (api, _) in &functions {
            scope.spawn(|| (0..LEASES / 2).for_each(|_| drop(post(api, "/get-dynamic-secret-value", &wish))));
        }
    });
    assert_eq!(producer.made(), LEASES);

    let tick =
        json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    let (start, deadline) = (Barrier::new(2), Deadline::after(PATIENCE));
    std::thread::scope(|scope| {
        for (api, _) in &functions {
            scope.spawn(|| {
                start.wait();
                while producer.revoked().len() < LEASES && deadline.left().is_some() {
                    assert_eq!(api.invoke(&tick, PATIENCE), Value::Null);
                }
                // Once more, when nothing is left to do.
                assert_eq!(api.invoke(&tick, PATIENCE), Value::Null);
            });
        }
    });
    producer.each_went_once();
    let left = post(
        &functions[1].0,
        "/dynamic-secret-tmp-creds-get",
        &json!({"token": wish["token"], "name": "/raced"}),
    );
    assert_eq!(left, json!([]));
    for (_, process) in functions {
        end(&plot, process);
    }
    plot.end();
}

#[test]
fn two_servers_whose_timers_fire_at_once_revoke_each_credential_once() {
    let plot = Plot::new();
    let moto = Moto::start();
    let aws = one_at_a_time(&moto);
    let variables = shared(&plot, &moto, &aws);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let producer = Producer::start();
    let servers = [Gateway::start(&plot, &variables), Gateway::start(&plot, &variables)];
    servers[0].done("dynamic-secret-create-custom", producer.secret("3s"));
    let wish = json!({"token": servers[0].token(), "name": "/raced"});
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                for _ in 0..LEASES / 2 {
                    let answer = server.akeyless("/get-dynamic-secret-value", &wish);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    let gone = eventually(PATIENCE, || servers[1].leases("/raced").is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}", servers[1].leases("/raced"));
    assert_eq!(producer.made(), LEASES);
    producer.each_went_once();
    drop(servers);
    plot.end();
}

/// What both gateways are told.
fn shared(plot: &Plot, moto: &Moto, aws: &Double) -> Vec<(&'static str, String)> {
    moto.create_table(REGION, "gateward");
    let text = str::to_owned;
    vec![
        ("AWS_ACCESS_KEY_ID", text("AKIDRACE")),
        ("AWS_SECRET_ACCESS_KEY", plot.plant("awssecret")),
        ("AWS_REGION", text(REGION)),
        ("GATEWARD_AWS_ENDPOINT_URL", aws.url()),
        ("GATEWARD_STORE", text("dynamodb")),
        ("GATEWARD_ROOT_KEY", String::new()),
        ("GATEWARD_ROOT_KEY_KMS", moto.create_kms_key(REGION)),
    ]
}

fn end(plot: &Plot, mut process: Process) {
    process.terminate();
    assert!(process.wait(PATIENCE).success());
    plot.hear("what the function printed", process.text());
}

/// Makes credentials, and counts what becomes of each.
struct Producer(Double);

impl Producer {
    fn start() -> Self {
        Self(Double::start(|asked| match asked.what.as_str() {
            "POST /sync/create" => {
                let id = of(&asked.body)["request_id"].clone();
                Reply::json(200, &json!({"id": id, "response": {"user": id}}))
            }
            _ => Reply::json(200, &json!({"revoked": of(&asked.body)["ids"]})),
        }))
    }

    /// The dynamic secret that it stands behind.
    fn secret(&self, ttl: &str) -> Value {
        let url = |call: &str| format!("{}/sync/{call}", self.0.url());
        json!({"name": "/raced", "user-ttl": ttl, "create-sync-url": url("create"), "revoke-sync-url": url("revoke")})
    }

    /// How many there are, but for that of the dry run.
    fn made(&self) -> usize {
        self.0.count("POST /sync/create") - 1
    }

    /// How often each was revoked, but for that of the dry run.
    fn revoked(&self) -> BTreeMap<String, usize> {
        let asked = self.0.asked();
        let creates = asked.iter().filter(|asked| asked.what == "POST /sync/create");
        let dry = creates.take(1).map(|asked| of(&asked.body)["request_id"].clone()).next();
        let mut revoked = BTreeMap::new();
        for asked in asked.iter().filter(|asked| asked.what == "POST /sync/revoke") {
            for id in of(&asked.body)["ids"].as_array().into_iter().flatten() {
                if Some(id) != dry.as_ref() {
                    *revoked.entry(id.as_str().unwrap_or_default().to_owned()).or_default() += 1;
                }
            }
        }
        revoked
    }

    #[track_caller]
    fn each_went_once(&self) {
        let revoked = self.revoked();
        assert_eq!(revoked.len(), LEASES, "{revoked:?}");
        assert!(revoked.values().all(|times| *times == 1), "{revoked:?}");
    }
}

fn of(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}
