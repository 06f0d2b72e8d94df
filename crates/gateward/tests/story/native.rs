//! Producers that are part of the gateway, with a real PostgreSQL server and moto for AWS: by our own command line, by
//! the vendor's library, and over power cuts.

use gateward_testkit::workspace::{peer, python_program};
use gateward_testkit::{Moto, Postgres, eventually, http};
use serde_json::{Value, json};

use crate::gateway::{self, GATEWARD, Gateway, PATIENCE};
use crate::plot::Plot;

const USERS: &str = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'gw%'";

/// Runs one of our own commands, and gives what it printed.
#[track_caller]
fn command(plot: &Plot, gateway: &Gateway<'_>, words: &[&str]) -> Result<String, String> {
    let mut command = gateway::command(plot, GATEWARD);
    command.args(words).args(["-u", &gateway.control]);
    let output = command.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn the_command_line_makes_users_of_postgresql_and_sessions_of_aws() {
    let Some(server) = Postgres::start() else { return };
    let (plot, moto) = (Plot::new(), Moto::start());
    let role = moto.create_role("reader", &["s3:*"]);
    let gateway = Gateway::start(&plot, &[("AWS_ENDPOINT_URL_STS", moto.url())]);
    let run = |words: &[&str]| command(&plot, &gateway, words);
    let port = server.port().to_string();

    let create =
        ["dynamic-secret", "create", "postgresql", "-n", "/db/orders", "--postgresql-db-name", "postgres"];
    let place = ["--postgresql-port", &port, "--postgresql-username", "admin", "--postgresql-password"];
    let wrong = run(&[&create[..], &place, &["wrong"]].concat()).unwrap_err();
    assert!(wrong.contains("password authentication failed for user \"admin\""), "{wrong}");
    assert!(
        run(&[&create[..], &place, &["x", "--target-name", "/t"]].concat())
            .unwrap_err()
            .contains("target-name")
    );
    let created = run(&[&create[..], &place, &[server.password(), "--user-ttl", "5m"]].concat());
    assert_eq!(created.unwrap(), "The dynamic secret /db/orders was created.");
    let credential: Value =
        serde_json::from_str(&run(&["get-dynamic-secret-value", "-n", "/db/orders"]).unwrap()).unwrap();
    assert_eq!(server.query(USERS), credential["user"]);
    let text = |name: &str| credential[name].as_str().unwrap();
    assert_eq!(server.try_query(text("user"), text("password"), "SELECT 1").as_deref(), Ok("1"));
    let update = ["dynamic-secret", "update", "postgresql", "-n", "/db/orders", "--new-name", "/db/sales"];
    assert_eq!(run(&update).unwrap(), "The dynamic secret /db/orders was changed.");
    run(&["dynamic-secret", "delete", "-n", "/db/sales"]).unwrap();
    let gone = eventually(PATIENCE, || server.query(USERS).is_empty().then_some(()));
    assert!(gone.is_some(), "{}", server.query(USERS));

    let create = ["dynamic-secret", "create", "aws", "-n", "/aws/reader", "--aws-role-arns", &role];
    let key = ["--aws-access-key-id", "AKIDEXAMPLE", "--aws-access-secret-key", &plot.plant("awskey")];
    run(&[&create[..], &key].concat()).unwrap();
    let session: Value =
        serde_json::from_str(&run(&["get-dynamic-secret-value", "-n", "/aws/reader"]).unwrap()).unwrap();
    assert_eq!((&session["type"], &session["role_arn"]), (&json!("sts"), &json!(role)));
    let revoked =
        run(&["dynamic-secret", "tmp-creds", "delete", "-n", "/aws/reader", "--revoke-all"]).unwrap_err();
    assert!(revoked.contains("cannot be ended early"), "{revoked}");
    plot.hear("what gateward has told", gateway.leases("/aws/reader")[0].to_string());
    drop(gateway);
    plot.end();
}

#[test]
fn the_vendors_library_decodes_what_native_producers_answer() {
    let Some(server) = Postgres::start() else { return };
    let (plot, moto) = (Plot::new(), Moto::start());
    let role = moto.create_role("reader", &["s3:*"]);
    let gateway = Gateway::start(&plot, &[("AWS_ENDPOINT_URL_STS", moto.url())]);
    let mut command = gateway::command(&plot, python_program("python"));
    command.arg(peer("akeyless_native.py")).args([&gateway.control, &server.port().to_string()]);
    command.args([server.password(), &role, &plot.plant("awskey")]);
    // What it prints are credentials, so the plot does not hear it.
    let output = command.output().expect("the client starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("the client tells what it got");
    let (user, session) = (&told["postgresql"], &told["aws"]);
    assert_eq!(user["ttl_in_minutes"], "60");
    for name in ["id", "access_key_id", "secret_access_key", "security_token", "ttl_in_minutes"] {
        assert!(session[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    let gone = eventually(PATIENCE, || server.query(USERS).is_empty().then_some(()));
    assert!(gone.is_some(), "{}", server.query(USERS));
    drop(gateway);
    plot.end();
}

#[test]
fn a_power_cut_at_any_step_leaves_no_user_of_postgresql_behind() {
    let Some(server) = Postgres::start() else { return };
    let server = &server;
    std::thread::scope(|scope| {
        for place in ["intent", "created", "active", "claimed", "revoke-answered", "revoked"] {
            scope.spawn(move || a_power_cut(place, server));
        }
    });
}

/// Users are those of one dynamic secret, so that every cut can have the one server.
#[track_caller]
fn a_power_cut(place: &str, server: &Postgres) {
    let plot = Plot::new();
    let mut gateway = Gateway::start(&plot, &[("GATEWARD_FAILPOINT", place)]);
    let item = json!({
        "name": "/db", "postgresql-port": server.port(), "postgresql-db-name": "postgres",
        "postgresql-username": "admin", "postgresql-password": server.password(), "user-ttl": "2s", "timeout-sec": 8,
    });
    let created = gateway.done("dynamic-secret-create-postgresql", item);
    let id = created["dynamic_secret_details"]["dynamic_secret_id"].as_u64().expect("a number");
    let users = || server.query(&format!("SELECT rolname FROM pg_roles WHERE rolname LIKE 'gw_{id:x}_%'"));
    let wanted = json!({"name": "/db", "token": gateway.token()}).to_string();
    let url = format!("{}/get-dynamic-secret-value", gateway.control);
    let answer = http::try_request(PATIENCE, "POST", &url, &[], wanted.as_bytes());
    let issued = answer.is_ok_and(|answer| answer.status == 200);
    assert_eq!(issued, !matches!(place, "intent" | "created" | "active"), "{place}");
    assert!(gateway.dies_as_killed(PATIENCE), "{place}");
    drop(gateway);
    let left = matches!(place, "created" | "active" | "claimed");
    assert_eq!(!users().is_empty(), left, "{place}: {}", users());

    let gateway = Gateway::start(&plot, &[]);
    let is_settled = || (users().is_empty() && gateway.leases("/db").is_empty()).then_some(());
    let settled = eventually(2 * PATIENCE, is_settled);
    assert!(settled.is_some(), "{place}: {:?}", gateway.leases("/db"));
    assert_eq!(users(), "", "{place}");
    drop(gateway);
    plot.end();
}
