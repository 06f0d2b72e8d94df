//! The places where AWS hands out credentials on the spot, as one double: a container's endpoint, an instance's metadata
//! service, and STS for those who show a token of an identity provider.
//!
//! Each answer holds another set, whose secrets are canaries of their own. What the services are like, and what is wrong
//! with them at the moment, a test sets as it goes.

mod connection;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::canary::Canary;

/// The running services, all at one address.
pub struct CredentialServices {
    address: SocketAddr,
    service: Arc<Service>,
}

/// What the services are like.
#[derive(Clone, Debug)]
pub struct Manners {
    /// What a container must show in `Authorization`.
    pub container_token: Option<String>,
    /// What becomes of a request for a token of the metadata service's version 2.
    pub token_request: TokenRequest,
    /// Whether the metadata service answers without a token too, as version 1 does.
    pub answers_without_token: bool,
    /// In which region the machine says it is, if it says so.
    pub region: Option<String>,
    /// What STS wants to see.
    pub web_identity_token: String,
    /// When the sets end that are handed out (RFC 3339).
    pub expires: String,
}

/// What becomes of a request for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// It is answered with one.
    Given,
    /// It is answered with this status.
    Refused(u16),
    /// Its answer never arrives.
    Lost,
}

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes requests and never answers.
    Silence,
    /// It answers with this status, and a text that must not be repeated.
    Status(u16),
    /// It answers with 200 and a text that must not be repeated.
    Garbage,
    /// It closes the connection in the middle of its answer.
    Cut,
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
}

impl Asked {
    /// The first header called `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl CredentialServices {
    /// Starts them. They hand out sets that end at `expires` (RFC 3339).
    pub fn start(expires: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let service = Arc::new(Service::new(expires));
        let accepting = Arc::clone(&service);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !accepting.keep(&stream) {
                    return;
                }
                let service = Arc::clone(&accepting);
                std::thread::spawn(move || connection::serve(&stream, &service));
            }
        });
        Self { address, service }
    }

    /// `http://127.0.0.1:PORT`: the metadata service's address, and STS's; a container asks at `/container`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what they are like.
    pub fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.service.lock().manners);
    }

    /// From now on something is wrong, for that many requests.
    pub fn fail(&self, fault: Fault, times: usize) {
        self.service.lock().fault = Some((fault, times));
    }

    /// From now on all is well.
    pub fn recover(&self) {
        self.service.lock().fault = None;
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.service.lock().asked.clone()
    }

    /// How many sets were handed out. The third has the access key id `ASIA3`.
    pub fn handed_out(&self) -> usize {
        self.service.lock().sets.len()
    }

    /// Every secret that left, and what was in the answers that must not be repeated.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.service.lock();
        let mut secrets: Vec<String> = state
            .sets
            .iter()
            .flat_map(|set| [set.secret.text(), set.token.text()])
            .map(str::to_owned)
            .collect();
        secrets.extend([&state.garbage, &state.instance_token].map(|canary| canary.text().to_owned()));
        secrets
    }
}

impl Drop for CredentialServices {
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
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// What connections and the test share.
struct Service {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    manners: Manners,
    fault: Option<(Fault, usize)>,
    asked: Vec<Asked>,
    sets: Vec<Set>,
    garbage: Canary,
    instance_token: Canary,
    streams: Vec<TcpStream>,
    closed: bool,
}

/// Credentials that were handed out.
struct Set {
    secret: Canary,
    token: Canary,
}

impl Service {
    fn new(expires: &str) -> Self {
        let manners = Manners {
            container_token: None,
            token_request: TokenRequest::Given,
            answers_without_token: false,
            region: Some("eu-north-1".to_owned()),
            web_identity_token: "canary-web-identity".to_owned(),
            expires: expires.to_owned(),
        };
        let state = State {
            manners,
            fault: None,
            asked: Vec::new(),
            sets: Vec::new(),
            garbage: Canary::new("garbage"),
            instance_token: Canary::new("instancetoken"),
            streams: Vec::new(),
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
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
        let state = self.lock();
        let closed = self.changed.wait_while(state, |state| !state.closed);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is wrong with this request.
    fn next_fault(&mut self) -> Option<Fault> {
        let (fault, times) = self.fault?;
        self.fault = (times > 1).then(|| (fault, times - 1));
        Some(fault)
    }

    /// Another set: its access key id, its secret, its token.
    fn hand_out(&mut self) -> (String, String, String) {
        let set = Set { secret: Canary::new("secret"), token: Canary::new("session") };
        let texts = (set.secret.text().to_owned(), set.token.text().to_owned());
        self.sets.push(set);
        (format!("ASIA{}", self.sets.len()), texts.0, texts.1)
    }
}

#[cfg(test)]
mod tests;
