use super::*;
use crate::testing::{Authority, connector, on_a_data_thread};
use crate::{Body, FetchError, Peer, Pool, PoolSettings, Scheme, Timeouts};

const PATIENT: Timeouts = Timeouts {
    connect: std::time::Duration::from_secs(5),
    send: std::time::Duration::from_secs(5),
    read: std::time::Duration::from_secs(5),
};

#[test]
fn a_certificate_that_does_not_match_its_key_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (one, another) = (authority.certify("one"), other.certify("one"));
    let made = |chain: &str, key: &str| {
        let client = Some(ClientCertificate { chain, key });
        PeerTls::new(&PeerTlsSettings { client, ..PeerTlsSettings::default() })
    };
    made(&one.chain, &one.key).unwrap();
    let error = made(&one.chain, &another.key).unwrap_err();
    assert_eq!(error.to_string(), "the client certificate does not match its key");
    assert!(matches!(made("", &one.key), Err(PeerTlsError::Certificate(_))));
    assert!(matches!(made(&one.chain, ""), Err(PeerTlsError::Key)));
    assert!(matches!(made(&one.chain, &one.chain), Err(PeerTlsError::Key)));
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(made(&one.chain, no_key), Err(PeerTlsError::UnusableKey)));
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(made(no_certificate, &one.key), Err(PeerTlsError::Unusable(_))));
}

#[test]
fn a_key_is_printed_nowhere() {
    let one = Authority::new().certify("one");
    let client = Some(ClientCertificate { chain: &one.chain, key: &one.key });
    let tls = PeerTls::new(&PeerTlsSettings { client, ..PeerTlsSettings::default() }).unwrap();
    assert_eq!(format!("{tls:?}"), "PeerTls { verify: true, .. }");
}

#[test]
fn settings_that_differ_in_anything_make_different_tls() {
    let authority = Authority::new();
    let (ca, one) = (authority.pem(), authority.certify("one"));
    let plain = PeerTlsSettings::default();
    let settings = [
        plain,
        PeerTlsSettings { verify: false, ..plain },
        PeerTlsSettings { server_name: Some("one"), ..plain },
        PeerTlsSettings { ca: Some(&ca), ..plain },
        PeerTlsSettings { client: Some(ClientCertificate { chain: &one.chain, key: &one.key }), ..plain },
    ];
    for (at, settings_of_one) in settings.iter().enumerate() {
        let made = PeerTls::new(settings_of_one).unwrap();
        assert_eq!(made, PeerTls::new(settings_of_one).unwrap());
        for other in &settings[at + 1..] {
            assert_ne!(made, PeerTls::new(other).unwrap());
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_asks_who_we_are_is_told_and_is_judged_by_its_own_ca_and_name() {
    on_a_data_thread(async {
        let authority = Authority::new();
        let port = authority.serve("server.test", true).await;
        let (ca, one, stranger) =
            (authority.pem(), authority.certify("one"), Authority::new().certify("one"));
        let fetch = async |settings: PeerTlsSettings<'_>| {
            let tls = Arc::new(PeerTls::new(&settings).unwrap());
            let peer = Peer::new(Scheme::Https, "127.0.0.1", port, true).with_tls(tls);
            let request = http::Request::get("/").header("host", "test").body(Body::empty()).unwrap();
            let pool = Pool::new(connector(), PoolSettings::default());
            pool.fetch(&peer, request, &PATIENT).await.map(|response| response.status().as_u16())
        };
        let client = Some(ClientCertificate { chain: &one.chain, key: &one.key });
        let right = PeerTlsSettings { ca: Some(&ca), client, verify: true, server_name: Some("server.test") };
        assert_eq!(fetch(right).await.unwrap(), 204);
        assert_eq!(fetch(PeerTlsSettings { verify: false, ca: None, ..right }).await.unwrap(), 204);
        for wrong in [
            PeerTlsSettings { ca: None, ..right },
            PeerTlsSettings { server_name: None, ..right },
            PeerTlsSettings { server_name: Some("other.test"), ..right },
        ] {
            let error = fetch(wrong).await.unwrap_err();
            assert!(matches!(error, FetchError::Tls(_)), "{error:?}");
        }
        // TLS 1.3 hears of it only after the handshake.
        let unknown = Some(ClientCertificate { chain: &stranger.chain, key: &stranger.key });
        for nobody in [None, unknown] {
            fetch(PeerTlsSettings { client: nobody, ..right }).await.unwrap_err();
        }
    })
    .await;
}
