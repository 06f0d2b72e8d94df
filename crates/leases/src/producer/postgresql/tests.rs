//! Against a real server, whose own client is the judge of what a credential can do.

mod encrypted;

use std::collections::BTreeMap;
use std::process::Stdio;

use gateward_clock::SystemClock;
use gateward_net::ConnectorSettings;
use gateward_testkit::{Canary, Postgres, Process, eventually};

use super::*;
use crate::lease::{Holder, LeaseId};

const SOON: Duration = Duration::from_secs(60);

fn settings(server: &Postgres) -> PostgresqlSettings {
    PostgresqlSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        database: "postgres".to_owned(),
        username: "admin".to_owned(),
        tls: false,
        creation_statements: None,
        revocation_statement: None,
        password_length: 24,
    }
}

fn producer_with(settings: PostgresqlSettings, password: &str) -> Postgresql {
    producer_trusting(settings, password, None)
}

fn producer_trusting(settings: PostgresqlSettings, password: &str, ca: Option<String>) -> Postgresql {
    let work = Work { item_id: 0xabc, timeout: SOON, ttl: Duration::from_secs(60) };
    let connector =
        ConnectorSettings { extra_ca: ca.map(String::into_bytes), ..ConnectorSettings::default() };
    Postgresql {
        settings,
        password: SecretValue::from(password),
        work,
        connector: Arc::new(Connector::new(connector).unwrap()),
        clock: Arc::new(SystemClock),
    }
}

fn producer(server: &Postgres) -> Postgresql {
    producer_with(settings(server), server.password())
}

fn order() -> Order {
    Order {
        lease_id: LeaseId::random(),
        holder: Holder { access_id: "p-1".to_owned(), sub_claims: BTreeMap::new() },
        input: Map::new(),
        ttl: Duration::from_secs(3600),
        expires_at: SystemClock.now() + Duration::from_secs(3600),
    }
}

fn field<'a>(created: &'a Created, name: &str) -> &'a str {
    created.response[name].as_str().unwrap()
}

/// Every user that a producer has made.
fn users(server: &Postgres) -> String {
    server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'gw%'")
}

fn can_log_in(server: &Postgres, created: &Created) -> bool {
    server.try_query(field(created, "user"), field(created, "password"), "SELECT 1").is_ok()
}

#[tokio::test]
async fn a_user_logs_in_until_it_is_revoked_which_ends_its_sessions_and_may_be_said_twice() {
    let Some(server) = Postgres::start() else { return };
    server.query("CREATE TABLE orders (id int); INSERT INTO orders VALUES (7)");
    let producer = producer(&server);
    let order = order();
    let created = producer.create(&order).await.unwrap();
    let (user, password) = (field(&created, "user"), field(&created, "password"));
    assert_eq!((created.id.as_str(), field(&created, "id")), (user, user));
    assert_eq!((password.len(), field(&created, "ttl_in_minutes")), (24, "60"));
    assert_eq!(server.try_query(user, password, "SELECT id FROM orders"), Ok("7".to_owned()));
    // What the server was told of the password is not the password.
    assert!(server.printed().contains(user) && !server.printed().contains(password));

    let mut session = server.client(user, password);
    let session = session.args(["-c", "SELECT 'in'", "-c", "SELECT pg_sleep(600)"]);
    let mut session = Process::start_with(
        "psql",
        std::mem::replace(session, std::process::Command::new("true")),
        Stdio::null(),
    );
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'");
    assert!(eventually(SOON, || (server.query(&sessions) == "1").then_some(())).is_some());

    let ids = [created.id.clone()];
    let (one, other) = tokio::join!(producer.revoke(&ids), producer.revoke(&ids));
    assert_eq!((one.unwrap().gone, other.unwrap().gone), (ids.to_vec(), ids.to_vec()));
    assert!(!session.wait(SOON).success());
    assert!(!can_log_in(&server, &created) && users(&server).is_empty());
    assert_eq!(producer.revoke(&ids).await.unwrap().gone, ids);
}

#[tokio::test]
async fn the_same_order_again_is_the_same_user_with_a_fresh_password() {
    let Some(server) = Postgres::start() else { return };
    let producer = producer(&server);
    let order = order();
    let lost = producer.create(&order).await.unwrap();
    let found = producer.create(&order).await.unwrap();
    assert_eq!((lost.id.clone(), users(&server)), (found.id.clone(), found.id.clone()));
    assert!(can_log_in(&server, &found) && !can_log_in(&server, &lost));
}

#[tokio::test]
async fn the_server_ends_a_password_by_itself_and_a_renewal_moves_that() {
    let Some(server) = Postgres::start() else { return };
    let producer = producer(&server);
    let long_ago = SystemClock.now() - Duration::from_secs(120);
    let created = producer.create(&Order { expires_at: long_ago, ..order() }).await.unwrap();
    assert!(!can_log_in(&server, &created));
    producer.extend(&created.id, SystemClock.now() + Duration::from_secs(60)).await.unwrap();
    assert!(can_log_in(&server, &created));
}

#[tokio::test]
async fn users_of_a_dynamic_secret_are_listed_and_those_of_another_are_neither_listed_nor_touched() {
    let Some(server) = Postgres::start() else { return };
    let (one, mut other, mut before) = (producer(&server), producer(&server), producer(&server));
    // Names that come after and before, and begin alike.
    (other.work.item_id, before.work.item_id) = (0xabcd, 0xab);
    before.create(&order()).await.unwrap();
    let mine = one.create(&order()).await.unwrap();
    let theirs = other.create(&order()).await.unwrap();
    let listed = |listing: Option<Listing>| listing.map(|listing| (listing.ids, listing.next));
    assert_eq!(listed(one.list(None).await.unwrap()), Some((vec![mine.id.clone()], None)));
    assert_eq!(listed(one.list(Some(&mine.id)).await.unwrap()), Some((vec![], None)));
    for id in [theirs.id.as_str(), "admin", "gw_abc_\"; DROP ROLE admin; --"] {
        assert!(one.revoke(&[id.to_owned()]).await.unwrap().gone.is_empty(), "{id}");
    }
    assert!(can_log_in(&server, &theirs));
}

#[tokio::test]
async fn wrong_statements_are_refused_by_the_dry_run_and_leave_nothing() {
    let Some(server) = Postgres::start() else { return };
    assert!(producer(&server).dry_run().await.unwrap().request_id);
    let dry_run = |creation: &str, revocation: Option<&str>| {
        let settings = PostgresqlSettings {
            creation_statements: Some(creation.to_owned()),
            revocation_statement: revocation.map(str::to_owned),
            ..settings(&server)
        };
        let producer = producer_with(settings, server.password());
        async move { producer.dry_run().await.unwrap_err() }
    };
    let make = "CREATE USER {{name}} PASSWORD '{{password}}'";
    let why = dry_run(&format!("{make}; GRANT SELECT ON nothing TO {{{{name}}}}"), None).await;
    assert!(why.contains("nothing"), "{why}");
    assert_eq!(users(&server), "");
    // Statements that end the transaction by themselves.
    dry_run(&format!("{make}; COMMIT; SELECT 1/0"), None).await;
    assert_eq!(users(&server), "");
    // What the server repeats of a statement is not told.
    let why = dry_run("CREATE USER {{name}} '{{password}}'", None).await;
    assert!(why.contains("***") && !why.contains("SCRAM"), "{why}");
    dry_run("SELECT '{{name}}', '{{password}}'", None).await;
    let why = dry_run(make, Some("SELECT '{{name}}'")).await;
    assert!(why.contains("could not be removed"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_again_and_a_wrong_password_is_for_somebody_to_put_right() {
    let Some(mut server) = Postgres::start() else { return };
    let producer = producer(&server);
    let created = producer.create(&order()).await.unwrap();
    let ids = [created.id.clone()];
    let canary = Canary::new("wrong");
    let wrong = producer_with(settings(&server), canary.text());
    let error = wrong.revoke(&ids).await.unwrap_err();
    assert_eq!(error.failure, RevokeFailure::Misconfigured);
    assert!(!error.words.contains(canary.text()), "{error}");
    assert!(matches!(wrong.create(&order()).await, Err(CreateError::NotCreated(_))));

    server.stop();
    assert_eq!(producer.revoke(&ids).await.unwrap_err().failure, RevokeFailure::Transient);
    assert!(matches!(producer.create(&order()).await, Err(CreateError::NotCreated(_))));
    server.resume();
    assert_eq!(producer.revoke(&ids).await.unwrap().gone, ids);
}

#[tokio::test]
async fn users_are_made_and_removed_at_the_same_time_though_they_are_granted_the_same() {
    let Some(server) = Postgres::start() else { return };
    let producer = producer(&server);
    let orders: [Order; 8] = std::array::from_fn(|_| order());
    let [a, b, c, d, e, f, g, h] = &orders;
    let producer = &producer;
    let at_once = |one, other| async move { tokio::join!(producer.create(one), producer.create(other)) };
    let made = tokio::join!(at_once(a, b), at_once(c, d), at_once(e, f), at_once(g, h));
    let made = [made.0, made.1, made.2, made.3].into_iter().flat_map(|(one, other)| [one, other]);
    let ids: Vec<String> = made.map(|made| made.unwrap().id).collect();
    let revoke = |range: std::ops::Range<usize>| producer.revoke(&ids[range]);
    let (one, other) = tokio::join!(revoke(0..4), revoke(4..8));
    assert_eq!([one.unwrap().gone, other.unwrap().gone].concat(), ids);
    assert!(users(&server).is_empty());
}

#[tokio::test]
async fn what_a_user_owns_stays_when_the_user_goes() {
    let Some(server) = Postgres::start() else { return };
    let creation =
        "CREATE USER \"{{name}}\" PASSWORD '{{password}}'; GRANT CREATE ON SCHEMA public TO \"{{name}}\"";
    let settings = PostgresqlSettings { creation_statements: Some(creation.to_owned()), ..settings(&server) };
    let producer = producer_with(settings, server.password());
    let created = producer.create(&order()).await.unwrap();
    server
        .try_query(field(&created, "user"), field(&created, "password"), "CREATE TABLE kept (id int)")
        .unwrap();
    assert_eq!(producer.revoke(std::slice::from_ref(&created.id)).await.unwrap().gone, [created.id]);
    assert_eq!(server.query("SELECT tableowner FROM pg_tables WHERE tablename = 'kept'"), "admin");
}

#[tokio::test]
async fn a_creation_that_takes_too_long_is_unknown_and_the_same_order_settles_it() {
    let Some(server) = Postgres::start() else { return };
    let creation = "CREATE USER {{name}} PASSWORD '{{password}}'; SELECT pg_sleep(600)";
    let settings = PostgresqlSettings { creation_statements: Some(creation.to_owned()), ..settings(&server) };
    let mut slow = producer_with(settings, server.password());
    slow.work.timeout = Duration::from_secs(1);
    let order = order();
    match slow.create(&order).await {
        // Whoever gives up first: we, or the server that was told to.
        Err(CreateError::Lost { timeout: true, .. } | CreateError::NotCreated(_)) => {}
        other => panic!("{other:?}"),
    }
    let made = producer(&server).create(&order).await.unwrap();
    assert_eq!(users(&server), made.id);
}
