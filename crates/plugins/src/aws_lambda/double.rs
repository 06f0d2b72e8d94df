//! A function on loopback that answers as it is told to and remembers, byte for byte, what arrived.

use std::cell::RefCell;
use std::rc::Rc;

use http::request::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A function on loopback.
pub(super) struct Double {
    pub(super) authority: String,
    log: Log,
}

/// Where it keeps what it received.
type Log = Rc<RefCell<Vec<Received>>>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Double {
    /// Answers each request with `answer`; with nothing, it leaves them waiting.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::following(vec![answer.into()]).await
    }

    /// Answers the first request with the first of `answers`, and so on; whatever follows with the last.
    pub(super) async fn following(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let log = Log::default();
        let double = Self { authority, log: Rc::clone(&log) };
        let answers = Rc::new(answers);
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (log, answers) = (Rc::clone(&log), Rc::clone(&answers));
                tokio::task::spawn_local(async move {
                    while let Some(received) = Received::read(&mut stream).await {
                        log.borrow_mut().push(received);
                        let number = log.borrow().len().min(answers.len());
                        if stream.write_all(&answers[number - 1]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        double
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(super) fn last(&self) -> Received {
        self.log.borrow().last().expect("something arrived").clone()
    }

    pub(super) fn count(&self) -> usize {
        self.log.borrow().len()
    }
}

/// Runs `test` as a data thread would.
pub(super) async fn on_a_data_thread<F: Future>(test: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(test).await
}

impl Received {
    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut end_of_head = None;
        while end_of_head.is_none() {
            // The first byte of a TLS session is no letter; a function that speaks plain HTTP hangs up.
            if stream.read_buf(&mut bytes).await.ok()? == 0 || !bytes[0].is_ascii_alphabetic() {
                return None;
            }
            end_of_head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        }
        let mut body = bytes.split_off(end_of_head? + 4);
        let head = String::from_utf8(bytes).ok()?;
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
        let mut received = Self { method, target, headers: headers.collect(), body: String::new() };
        let chunked = received.header("transfer-encoding").is_some();
        let length = received.header("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length || chunked && !body.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        received.body = String::from_utf8(body).ok()?;
        Some(received)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn text(&self) -> String {
        format!("{self:?}")
    }

    /// The head, to be signed again.
    pub(super) fn head(&self) -> Builder {
        let start = http::Request::builder().method(self.method.as_str()).uri(&self.target);
        self.headers.iter().fold(start, |head, (name, value)| head.header(name, value))
    }
}
