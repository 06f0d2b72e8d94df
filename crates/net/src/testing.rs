//! A scripted peer on loopback: what it answers is a function of which request it is, on which connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{Connector, ConnectorSettings, Peer, Scheme};

/// What a scripted peer does with a request.
pub(crate) enum Then {
    /// Writes this and reads the next request.
    Answer(&'static str),
    /// Writes this and closes.
    AnswerAndClose(&'static str),
    /// Closes without a word.
    Close,
    /// Writes this, which may be nothing, and says no more.
    Hang(&'static str),
}

/// A peer that follows a script.
pub(crate) struct Scripted {
    pub(crate) peer: Peer,
    /// How many connections it has taken.
    pub(crate) connections: Rc<Cell<usize>>,
    /// How many of them have ended.
    pub(crate) ended: Rc<Cell<usize>>,
    /// The requests that it has read, head and body.
    pub(crate) requests: Rc<RefCell<Vec<String>>>,
}

impl Scripted {
    /// Starts one. `script` is given the number of the connection, and that of the request on it, both from 1.
    pub(crate) async fn start(script: impl Fn(usize, usize) -> Then + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scripted = Self {
            peer: plain(listener.local_addr().unwrap().port()),
            connections: Rc::default(),
            ended: Rc::default(),
            requests: Rc::default(),
        };
        let script = Rc::new(script);
        let (connections, ended) = (Rc::clone(&scripted.connections), Rc::clone(&scripted.ended));
        let requests = Rc::clone(&scripted.requests);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.set(connections.get() + 1);
                let (connection, script) = (connections.get(), Rc::clone(&script));
                let (ended, requests) = (Rc::clone(&ended), Rc::clone(&requests));
                tokio::task::spawn_local(async move {
                    follow(stream, |request| script(connection, request), &requests).await;
                    ended.set(ended.get() + 1);
                });
            }
        });
        scripted
    }
}

/// Follows `script` on one connection until the other end closes it.
pub(crate) async fn follow(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: impl Fn(usize) -> Then,
    requests: &RefCell<Vec<String>>,
) {
    let mut unread = Vec::new();
    for number in 1.. {
        let Some(request) = read_request(&mut stream, &mut unread).await else {
            return;
        };
        requests.borrow_mut().push(request);
        let (bytes, goes_on) = match script(number) {
            Then::Answer(bytes) => (bytes, true),
            Then::AnswerAndClose(bytes) => (bytes, false),
            Then::Close => return,
            Then::Hang(bytes) => {
                let _gone = stream.write_all(bytes.as_bytes()).await;
                let _gone = stream.read_to_end(&mut unread).await;
                return;
            }
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || !goes_on {
            let _gone = stream.shutdown().await;
            return;
        }
    }
}

/// One request: its head, and a body of known length or in chunks.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), unread: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(unread).into_owned();
        if let Some(head) = text.find("\r\n\r\n").map(|end| end + 4) {
            let declared = text[..head].lines().find_map(|line| line.strip_prefix("content-length: "));
            let end = match declared {
                Some(length) => Some(head + length.parse::<usize>().unwrap()),
                None if text[..head].contains("transfer-encoding: chunked") => {
                    text[head..].find("0\r\n\r\n").map(|end| head + end + 5)
                }
                None => Some(head),
            };
            if let Some(end) = end.filter(|end| *end <= unread.len()) {
                let request = String::from_utf8(unread.drain(..end).collect()).unwrap();
                return Some(request);
            }
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}

/// The peer on loopback at `port`, without TLS.
pub(crate) fn plain(port: u16) -> Peer {
    Peer::new(Scheme::Http, "127.0.0.1", port, true)
}

/// A connector with nothing special about it.
pub(crate) fn connector() -> Arc<Connector> {
    Arc::new(Connector::new(ConnectorSettings::default()).unwrap())
}

/// Lets everything else on this thread run until `done`, or fails after five seconds.
pub(crate) async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await.expect("it came to pass");
}

/// Runs `test` as a data thread would.
pub(crate) async fn on_a_data_thread<F: Future>(test: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(test).await
}

/// A certificate authority of a test.
pub(crate) struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Certified {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self { issuer: rcgen::CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `name`.
    pub(crate) fn certify(&self, name: &str) -> Certified {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certified { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// How a server called `name` speaks TLS, and whether it asks who its clients are.
    pub(crate) fn server(&self, name: &str, asks: bool) -> rustls::ServerConfig {
        let certified = self.certify(name);
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
        let certificate = CertificateDer::from_pem_slice(certified.chain.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(vec![certificate], key).unwrap()
    }

    /// Serves TLS as [`Authority::server`] says, answers every request with 204, and says on which port.
    pub(crate) async fn serve(&self, name: &str, asks: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(self.server(name, asks)));
        tokio::task::spawn_local(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                if let Ok(tls) = acceptor.accept(tcp).await {
                    let requests = RefCell::default();
                    follow(tls, |_| Then::AnswerAndClose("HTTP/1.1 204 No Content\r\n\r\n"), &requests).await;
                }
            }
        });
        port
    }
}
