use gateward_testkit::{Authority, Double, Reply};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{Scripted, Then, on_a_data_thread, plain};
use crate::{Body, Pool, PoolSettings, Timeouts};

const PATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(5), send: Duration::from_secs(5), read: Duration::from_secs(5) };

async fn fetch(
    connector: Connector,
    peer: &Peer,
    timeouts: &Timeouts,
) -> Result<http::StatusCode, FetchError> {
    let pool = Pool::new(Arc::new(connector), PoolSettings::default());
    let request = http::Request::get("/").header("host", "test").body(Body::empty()).unwrap();
    pool.fetch(peer, request, timeouts).await.map(|response| response.status())
}

fn connector(forbidden: &[SocketAddr]) -> Connector {
    Connector::new(ConnectorSettings { forbidden: forbidden.to_vec(), ..ConnectorSettings::default() })
        .unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn nobody_listening_is_a_refused_connection() {
    on_a_data_thread(async {
        let error =
            fetch(connector(&[]), &plain(gateward_testkit::nobody().port()), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_does_not_exist_is_told_apart() {
    on_a_data_thread(async {
        let peer = Peer::new(Scheme::Http, "does-not-exist.invalid", 80, true);
        let error = fetch(connector(&[]), &peer, &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Resolve(_)), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_listener_that_speaks_no_tls_in_time_is_a_connect_timeout() {
    on_a_data_thread(async {
        // The kernel opens the connection; the handshake then waits for an answer that never comes.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer::new(Scheme::Https, "127.0.0.1", silent.local_addr().unwrap().port(), true);
        let hasty = Timeouts { connect: Duration::from_millis(50), ..PATIENT };
        let error = fetch(connector(&[]), &peer, &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::ConnectTimeout), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn metadata_addresses_are_refused_before_a_connection_is_tried() {
    for host in
        ["169.254.169.254", "[::ffff:169.254.169.254]", "169.254.170.2", "169.254.170.23", "fd00:ec2::254"]
    {
        let error = connector(&[]).connect(&Peer::new(Scheme::Http, host, 80, true)).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden), "{host}: {error:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_leads_to_a_forbidden_listener_is_refused() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer("HTTP/1.1 204 No Content\r\n\r\n")).await;
        let port = server.peer.port();
        for listener in [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([0, 0, 0, 0], port))] {
            for host in ["localhost", "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
                let peer = Peer::new(Scheme::Http, host, port, true);
                let error = fetch(connector(&[listener]), &peer, &PATIENT).await.unwrap_err();
                assert!(matches!(error, FetchError::Forbidden), "{host}: {error:?}");
                assert_eq!(fetch(connector(&[]), &peer, &PATIENT).await.unwrap(), 204, "{host}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_dead_address_costs_a_moment_when_another_one_lives() {
    let lives = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = gateward_testkit::nobody();
    let tcp = first_to_connect(&[refused, lives.local_addr().unwrap()]).await.unwrap();
    assert_eq!(tcp.peer_addr().unwrap(), lives.local_addr().unwrap());
    assert!(first_to_connect(&[refused, refused]).await.is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn only_whom_somebody_trusted_vouches_for_by_this_name_and_now_is_spoken_to_unless_told_otherwise() {
    on_a_data_thread(async {
        let (company, unknown) = (Authority::root("the company"), Authority::root("unknown"));
        let trusting = || {
            let extra_ca = Some(company.pem.clone().into_bytes());
            Connector::new(ConnectorSettings { extra_ca, ..ConnectorSettings::default() }).unwrap()
        };
        let here = "localhost";
        for (identity, is_trusted, why) in [
            (company.identity(here, &[]), true, "signed by an authority of our own"),
            (unknown.identity(here, &[]), false, "an unknown authority"),
            (company.identity("other.example", &[]), false, "another name"),
            (company.identity("127.0.0.1", &[]), false, "an address where a name is wanted"),
            (company.expired(here), false, "expired"),
        ] {
            let double = Double::start(|_| Reply::text(204, ""));
            let port = double.over_tls(&identity).rsplit(':').next().unwrap().parse().unwrap();
            let peer = |verify| Peer::new(Scheme::Https, here, port, verify);
            match fetch(trusting(), &peer(true), &PATIENT).await {
                Ok(status) => assert!(is_trusted && status == 204, "{why}"),
                Err(error) => {
                    assert!(!is_trusted && matches!(error, FetchError::Tls(_)), "{why}: {error:?}");
                    assert_eq!(error.failure(gateward_model::Origin::Upstream).code, "upstream_tls_failed");
                }
            }
            let unaided = fetch(connector(&[]), &peer(true), &PATIENT).await;
            assert!(matches!(unaided, Err(FetchError::Tls(_))), "{why}: {unaided:?}");
            assert_eq!(fetch(connector(&[]), &peer(false), &PATIENT).await.unwrap(), 204, "{why}");
        }
    })
    .await;
}

#[test]
fn extra_certificates_that_cannot_be_used_stop_the_start() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let settings = ConnectorSettings { extra_ca: Some(pem.into()), ..ConnectorSettings::default() };
        assert!(Connector::new(settings).is_err(), "{pem}");
    }
}
