//! The double of any service that speaks HTTP: a server on loopback whose answers a test makes.
//!
//! It answers over plain connections, and over TLS where a test wants that too, one request after the other on each, and
//! keeps what it was asked.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::http::message;
use crate::{Authority, Identity};

/// A running double. It ends when it is dropped.
pub struct Double {
    address: SocketAddr,
    /// Where it answers over TLS.
    others: Mutex<Vec<SocketAddr>>,
    service: Arc<Service>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method and target, such as `GET /latest/…`.
    pub what: String,
    /// Names (in lower case) and values.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// Whether it came over TLS.
    pub over_tls: bool,
}

impl Asked {
    /// The first header called `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a double does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It answers.
    Answer {
        /// The status code.
        status: u16,
        /// Names and values. `Content-Length` is added.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// It keeps the connection open and never answers.
    Silence,
    /// It closes the connection in the middle of its answer.
    Cut,
    /// It closes the connection without a word.
    Close,
}

impl Reply {
    /// An answer with a body, and no headers.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// An answer that is JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string()).with_header("Content-Type", "application/json")
    }

    /// This answer, with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let Self::Answer { status, headers, body } = self else { return Ok(()) };
        let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        writer.write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
        writer.flush()
    }
}

type Answering = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Service {
    answering: Answering,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    streams: Vec<TcpStream>,
    closed: bool,
}

impl Double {
    /// Starts one that does with each request what `answering` says.
    pub fn start(answering: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let answering: Answering = Box::new(answering);
        let service = Arc::new(Service { answering, state: Mutex::default(), changed: Condvar::new() });
        let address = listen(&service, |service, stream| service.serve(stream, stream, false));
        Self { address, others: Mutex::default(), service }
    }

    /// Has it answer over TLS, too, as whom `identity` says: `https://127.0.0.1:PORT`.
    pub fn over_tls(&self, identity: &Identity) -> String {
        self.speak_tls(identity, None)
    }

    /// The same, for those only who show a certificate that `clients` has signed.
    pub fn over_tls_to(&self, identity: &Identity, clients: &Authority) -> String {
        self.speak_tls(identity, Some(clients))
    }

    fn speak_tls(&self, identity: &Identity, clients: Option<&Authority>) -> String {
        let usable = "a certificate for a test can be used";
        let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).map(|one| one.expect(usable));
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect(usable);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.expect("the library's own versions are safe");
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_slice(clients.pem.as_bytes()).expect(usable);
                roots.add(root).expect(usable);
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect(usable))
            }
            None => builder.with_no_client_auth(),
        };
        let config = Arc::new(builder.with_single_cert(chain.collect(), key).expect(usable));
        let address = listen(&self.service, move |service, stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("the settings are whole");
            if let Ok(own) = stream.try_clone() {
                service.serve(StreamOwned::new(connection, own), stream, true);
            }
        });
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(address);
        format!("https://{address}")
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.service.lock().asked.clone()
    }

    /// How many requests came whose method and target begin with `what`, such as `POST /login`.
    pub fn count(&self, what: &str) -> usize {
        self.service.lock().asked.iter().filter(|asked| asked.what.starts_with(what)).count()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let streams = {
            let mut state = self.service.lock();
            state.closed = true;
            std::mem::take(&mut state.streams)
        };
        self.service.changed.notify_all();
        for stream in streams {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting threads, which then see that it is over.
        let others = std::mem::take(&mut *self.others.lock().unwrap_or_else(PoisonError::into_inner));
        for address in others.into_iter().chain([self.address]) {
            let _ = TcpStream::connect(address);
        }
    }
}

/// Listens on loopback, and has each connection served by a thread of its own.
fn listen(
    service: &Arc<Service>,
    serve: impl Fn(&Service, &TcpStream) + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let accepting = Arc::clone(service);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if !accepting.keep(&stream) {
                return;
            }
            let (service, serve) = (Arc::clone(&accepting), serve.clone());
            std::thread::spawn(move || serve(&service, &stream));
        }
    });
    address
}

impl Service {
    /// Answers requests that come over `session`, which `stream` carries, until the other side closes, or it is over.
    fn serve(&self, session: impl Read + Write, stream: &TcpStream, over_tls: bool) {
        let mut reader = BufReader::new(session);
        while let Ok(Some(head)) = message::read_head(&mut reader) {
            let Ok(body) = message::read_body(&mut reader, &head, false) else { return };
            let what = head.first_line.trim_end_matches(" HTTP/1.1").to_owned();
            let body = String::from_utf8_lossy(&body).into_owned();
            let asked = Asked { what, headers: head.headers, body, over_tls };
            self.lock().asked.push(asked.clone());
            let reply = (self.answering)(&asked);
            match &reply {
                Reply::Silence => return self.wait_until_closed(),
                Reply::Cut => {
                    let beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"data\"";
                    let _ = reader.get_mut().write_all(beginning).and_then(|()| reader.get_mut().flush());
                }
                Reply::Close => {}
                Reply::Answer { .. } => {
                    if reply.write_to(reader.get_mut()).is_ok() {
                        continue;
                    }
                }
            }
            // The service holds the connection too, so dropping ours would not end it.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }

    /// Remembers a connection, so that it can be ended; `false` when it is over.
    fn keep(&self, stream: &TcpStream) -> bool {
        let mut state = self.lock();
        if let Ok(stream) = stream.try_clone() {
            state.streams.push(stream);
        }
        !state.closed
    }

    fn wait_until_closed(&self) {
        let closed = self.changed.wait_while(self.lock(), |state| !state.closed);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http;

    #[test]
    fn requests_are_answered_as_told_and_remembered() {
        let double = Double::start(|asked| match asked.what.as_str() {
            "POST /login" => Reply::json(201, &asked.body.clone().into()).with_header("x-a", "b"),
            "GET /cut" => Reply::Cut,
            "GET /silence" => Reply::Silence,
            _ => Reply::Close,
        });
        let url = |path: &str| format!("{}{path}", double.url());
        let answer = http::request("POST", &url("/login"), &[("X-Token", "t")], b"body");
        assert_eq!((answer.status, answer.text().as_str()), (201, "\"body\""));
        assert_eq!(answer.header("x-a"), Some("b"));
        assert_eq!(double.asked()[0].header("x-token"), Some("t"));
        for path in ["/cut", "/silence", "/close"] {
            let span = Duration::from_millis(if path == "/silence" { 50 } else { 10_000 });
            assert!(http::try_request(span, "GET", &url(path), &[], b"").is_err(), "{path}");
        }
        assert_eq!((double.count("POST /login"), double.count("GET /"), double.asked().len()), (1, 3, 4));
    }
}
