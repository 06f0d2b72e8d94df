//! TLS to a server that lets nobody in without it, and what is said where that does not work.

use super::*;

/// A server with a certificate of its own for these names, and the certificate.
fn encrypted(names: &[&str]) -> Option<(Postgres, String)> {
    let mut server = Postgres::start()?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    server.encrypt(&cert.pem(), &signing_key.serialize_pem());
    Some((server, cert.pem()))
}

async fn refusal(producer: &Postgresql) -> String {
    match producer.create(&order()).await {
        Err(CreateError::NotCreated(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn users_are_made_over_tls_by_whoever_trusts_the_servers_certificate() {
    let Some((server, ca)) = encrypted(&["127.0.0.1"]) else { return };
    let tls = PostgresqlSettings { tls: true, ..settings(&server) };
    let producer = producer_trusting(tls.clone(), server.password(), Some(ca.clone()));
    assert!(producer.dry_run().await.unwrap().list);
    let created = producer.create(&order()).await.unwrap();
    assert!(can_log_in(&server, &created));
    assert_eq!(producer.revoke(std::slice::from_ref(&created.id)).await.unwrap().gone, [created.id]);

    let why = refusal(&producer_with(tls.clone(), server.password())).await;
    let place = format!("PostgreSQL at 127.0.0.1:{} cannot be used: ", server.port());
    assert!(why.starts_with(&place) && why.contains("certificate"), "{why}");
    let plain = producer_trusting(settings(&server), server.password(), Some(ca));
    let why = refusal(&plain).await;
    assert!(why.starts_with(&place) && why.contains("no encryption"), "{why}");
    assert!(users(&server).is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_taken() {
    let Some((server, ca)) = encrypted(&["elsewhere.example"]) else { return };
    let tls = PostgresqlSettings { tls: true, ..settings(&server) };
    let why = refusal(&producer_trusting(tls, server.password(), Some(ca))).await;
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test]
async fn a_server_without_tls_a_closed_port_and_an_unknown_database_are_told_apart() {
    let Some(server) = Postgres::start() else { return };
    let tls = PostgresqlSettings { tls: true, ..settings(&server) };
    let elsewhere = PostgresqlSettings { port: gateward_testkit::nobody().port(), ..settings(&server) };
    let unknown = PostgresqlSettings { database: "orders".to_owned(), ..settings(&server) };
    for (settings, words) in [
        (tls, "server does not support TLS"),
        (elsewhere, "refused"),
        (unknown, "database \"orders\" does not exist"),
    ] {
        let port = settings.port;
        let why = refusal(&producer_with(settings, server.password())).await;
        let place = format!("PostgreSQL at 127.0.0.1:{port} cannot be used: ");
        assert!(why.starts_with(&place) && why.contains(words), "{words}: {why}");
    }
}
