//! The places where AWS hands out credentials on the spot, as one double: a container's endpoint, an instance's metadata
//! service, and STS for those who show a token of an identity provider.
//!
//! Each answer holds another set, whose secrets are canaries of their own. What the services are like, and what is wrong
//! with them at the moment, a test sets as it goes.

mod answers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::canary::Canary;
use crate::double::{Asked, Double};

/// The running services, all at one address.
pub struct CredentialServices {
    double: Double,
    state: Arc<Mutex<State>>,
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

impl CredentialServices {
    /// Starts them. They hand out sets that end at `expires` (RFC 3339).
    pub fn start(expires: &str) -> Self {
        let state = Arc::new(Mutex::new(State::new(expires)));
        let known = Arc::clone(&state);
        let double = Double::start(move |asked| {
            answers::reply(&mut known.lock().unwrap_or_else(PoisonError::into_inner), asked)
        });
        Self { double, state }
    }

    /// `http://127.0.0.1:PORT`: the metadata service's address, and STS's; a container asks at `/container`.
    pub fn url(&self) -> String {
        self.double.url()
    }

    /// Changes what they are like.
    pub fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.lock().manners);
    }

    /// From now on something is wrong, for that many requests.
    pub fn fail(&self, fault: Fault, times: usize) {
        self.lock().fault = Some((fault, times));
    }

    /// From now on all is well.
    pub fn recover(&self) {
        self.lock().fault = None;
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.double.asked()
    }

    /// How many sets were handed out. The third has the access key id `ASIA3`.
    pub fn handed_out(&self) -> usize {
        self.lock().sets.len()
    }

    /// Every secret that left, and what was in the answers that must not be repeated.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.lock();
        let mut secrets: Vec<String> = state
            .sets
            .iter()
            .flat_map(|set| [set.secret.text(), set.token.text()])
            .map(str::to_owned)
            .collect();
        secrets.extend([&state.garbage, &state.instance_token].map(|canary| canary.text().to_owned()));
        secrets
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    manners: Manners,
    fault: Option<(Fault, usize)>,
    sets: Vec<Set>,
    garbage: Canary,
    instance_token: Canary,
}

/// Credentials that were handed out.
struct Set {
    secret: Canary,
    token: Canary,
}

impl State {
    fn new(expires: &str) -> Self {
        let manners = Manners {
            container_token: None,
            token_request: TokenRequest::Given,
            answers_without_token: false,
            region: Some("eu-north-1".to_owned()),
            web_identity_token: "canary-web-identity".to_owned(),
            expires: expires.to_owned(),
        };
        Self {
            manners,
            fault: None,
            sets: Vec::new(),
            garbage: Canary::new("garbage"),
            instance_token: Canary::new("instancetoken"),
        }
    }

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
