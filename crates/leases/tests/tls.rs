//! Producers with a CA of their own, that want to know by a certificate who calls them.

#![expect(clippy::unwrap_used, reason = "what a test needs is there, or the test fails")]

use std::sync::Arc;

use gateward_clock::{Clock, SystemClock};
use gateward_leases::Catalog;
use gateward_leases::producer::allowed::AllowedProducers;
use gateward_leases::producer::custom::CustomProducers;
use gateward_leases::producer::token::ProducerTokens;
use gateward_leases::producer::{Capabilities, RevokeFailure};
use gateward_model::{CustomSettings, DynamicSecret, GoDuration, ItemName, ProducerSettings, ProducerUrl};
use gateward_net::{Client, ClientCertificate, Connector, ConnectorSettings, PeerTls, PeerTlsSettings};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{MemoryStore, Store};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `name`, and its key.
    fn certify(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// A producer on localhost that revokes whatever it is told, for those whom this authority has certified.
    async fn producer(&self) -> u16 {
        let (chain, key) = self.certify("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        );
        let settings = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                // To the end of its body: who hangs up on what was not read yet takes the answer back.
                let mut request = Vec::new();
                while !request.ends_with(b"}")
                    && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0)
                {}
                let body = r#"{"revoked": ["user-1"]}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }
}

/// What becomes of a revocation at the producer on `port`, with `tls`.
async fn revoked(port: u16, tls: Option<PeerTlsSettings<'_>>) -> Result<Vec<String>, RevokeFailure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sealer = Arc::new(Sealer::new(RootKey::generate()));
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    let access_id = "p-gateway".parse().unwrap();
    let tokens = ProducerTokens::open(&*store, &sealer, access_id, Arc::clone(&clock)).await.unwrap();
    let catalog = Arc::new(Catalog::new(store, sealer, clock));
    let tls = tls.map(|settings| Arc::new(PeerTls::new(&settings).unwrap()));
    let producers =
        CustomProducers::new(Client::new(connector), Arc::new(tokens), catalog, AllowedProducers::default())
            .with_tls(tls);
    let url = |last| ProducerUrl::parse(&format!("https://localhost:{port}/sync/{last}")).unwrap();
    let urls = CustomSettings {
        create_sync_url: url("create"),
        revoke_sync_url: url("revoke"),
        rotate_sync_url: None,
    };
    let secret = DynamicSecret {
        id: 7,
        name: ItemName::parse("/db").unwrap(),
        producer: ProducerSettings::Custom(urls.clone()),
        timeout_sec: 60,
        user_ttl: GoDuration::minutes(1),
        max_leases: None,
        capabilities: Capabilities::default(),
    };
    let producer = producers.of(&urls, &secret, SecretValue::from("canary-payload"));
    let answer = producer.revoke(&["user-1".to_owned()]).await;
    answer.map(|answer| answer.gone).map_err(|error| error.failure)
}

#[tokio::test]
async fn a_producer_that_wants_our_certificate_is_called_with_it_and_one_of_another_ca_is_not() {
    let local = tokio::task::LocalSet::new();
    let test = async {
        let ours = Authority::new();
        let port = ours.producer().await;
        let ca = ours.0.pem();
        let (chain, key) = ours.certify("gateway");
        let client = Some(ClientCertificate { chain: &chain, key: &key });
        let right = PeerTlsSettings { ca: Some(&ca), client, ..PeerTlsSettings::default() };
        assert_eq!(revoked(port, Some(right)).await.unwrap(), ["user-1"]);
        assert!(revoked(port, None).await.is_err(), "nobody trusts that CA");
        assert!(revoked(port, Some(PeerTlsSettings { client: None, ..right })).await.is_err(), "who calls?");
        let other = Authority::new();
        let (chain, key) = other.certify("gateway");
        let client = Some(ClientCertificate { chain: &chain, key: &key });
        assert!(revoked(port, Some(PeerTlsSettings { client, ..right })).await.is_err(), "another CA's");
        let ca = other.0.pem();
        assert!(revoked(port, Some(PeerTlsSettings { ca: Some(&ca), ..right })).await.is_err(), "not the CA");
    };
    local.run_until(test).await;
}
