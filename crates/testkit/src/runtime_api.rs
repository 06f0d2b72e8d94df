//! A double of the AWS Lambda Runtime API: what a function's process talks to inside Lambda.
//!
//! Six routes. The process asks for the next event and waits; [`RuntimeApi::invoke`] hands it one, and waits for the
//! answer. One event is given at a time to each process that asks, in order, as Lambda does.

mod connection;

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::deadline::Deadline;

/// A running Runtime API.
pub struct RuntimeApi {
    address: SocketAddr,
    service: Arc<Service>,
}

impl RuntimeApi {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let service = Arc::new(Service::default());
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

    /// What the function's process finds in `AWS_LAMBDA_RUNTIME_API`: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What Lambda puts into the environment of a function's process.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_LAMBDA_RUNTIME_API", self.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "gateward".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/gateward".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "test".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Hands `event` to the process, and gives back its response. Ends the test if the process says that it failed, or
    /// says nothing within `span`; the event's own deadline is the same.
    #[track_caller]
    pub fn invoke(&self, event: &Value, span: Duration) -> Value {
        match self.try_invoke(event, span) {
            Ok(response) => response,
            Err(error) => panic!("the function failed: {error}; start-up errors: {:?}", self.init_errors()),
        }
    }

    /// [`RuntimeApi::invoke`] of an event that must be answered within `life`, of which the process is told.
    #[track_caller]
    pub fn invoke_within(&self, event: &Value, life: Duration, span: Duration) -> Value {
        match self.try_invoke_within(event, life, span) {
            Ok(response) => response,
            Err(error) => panic!("the function failed: {error}"),
        }
    }

    /// [`RuntimeApi::invoke`] that gives back what the process posted to `/error`, if it did.
    #[track_caller]
    pub fn try_invoke(&self, event: &Value, span: Duration) -> Result<Value, Value> {
        self.try_invoke_within(event, span, span)
    }

    #[track_caller]
    fn try_invoke_within(&self, event: &Value, life: Duration, span: Duration) -> Result<Value, Value> {
        let id = self.service.offer(event.to_string(), life);
        match self.service.wait_for_answer(&id, span) {
            Some(answer) => answer,
            None => panic!(
                "no answer to the event {id} within {span:?}; start-up errors: {:?}; events not yet taken: {}",
                self.init_errors(),
                self.service.lock().offered.len()
            ),
        }
    }

    /// Waits until a process asks for its next event, and so has started. Ends the test if none does within `span`.
    #[track_caller]
    pub fn wait_until_asked(&self, span: Duration) {
        let asked = self.service.wait(span, |state| (state.asked > 0).then_some(()));
        assert!(asked.is_some(), "nobody asked for an event within {span:?}; {:?}", self.init_errors());
    }

    /// What was posted to `/runtime/init/error`.
    pub fn init_errors(&self) -> Vec<Value> {
        self.service.lock().init_errors.clone()
    }

    /// What was posted to `/runtime/invocation/ID/error`, all of it.
    pub fn invocation_errors(&self) -> Vec<Value> {
        self.service.lock().invocation_errors.clone()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        for stream in self.service.close() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// What connections and the test share.
#[derive(Default)]
struct Service {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Events that nobody has taken yet.
    offered: VecDeque<Invocation>,
    /// What came back, by the event's id.
    answers: HashMap<String, Result<Value, Value>>,
    init_errors: Vec<Value>,
    invocation_errors: Vec<Value>,
    /// How often somebody asked for the next event.
    asked: u64,
    last_id: u64,
    streams: Vec<TcpStream>,
    closed: bool,
}

/// An event on its way.
struct Invocation {
    id: String,
    event: String,
    deadline_millis: u64,
}

impl Service {
    /// Remembers a connection, so that it can be closed; false if it is over.
    fn keep(&self, stream: &TcpStream) -> bool {
        let mut state = self.lock();
        if let Ok(stream) = stream.try_clone() {
            state.streams.push(stream);
        }
        !state.closed
    }

    fn close(&self) -> Vec<TcpStream> {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        std::mem::take(&mut state.streams)
    }

    fn offer(&self, event: String, span: Duration) -> String {
        let mut state = self.lock();
        state.last_id += 1;
        // The form of an id in Lambda.
        let id = format!("00000000-0000-4000-8000-{:012x}", state.last_id);
        state.offered.push_back(Invocation {
            id: id.clone(),
            event,
            deadline_millis: epoch_millis_after(span),
        });
        self.changed.notify_all();
        id
    }

    fn wait_for_answer(&self, id: &str, span: Duration) -> Option<Result<Value, Value>> {
        self.wait(span, |state| state.answers.remove(id))
    }

    /// The next event, whenever it comes; `None` when it is over.
    fn next(&self) -> Option<Invocation> {
        let mut state = self.lock();
        state.asked += 1;
        self.changed.notify_all();
        loop {
            if state.closed {
                return None;
            }
            if let Some(invocation) = state.offered.pop_front() {
                return Some(invocation);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait_until_closed(&self) {
        let open = |state: &mut State| !state.closed;
        drop(self.changed.wait_while(self.lock(), open));
    }

    fn take_answer(&self, id: &str, answer: Result<Value, Value>) {
        let mut state = self.lock();
        if let Err(error) = &answer {
            state.invocation_errors.push(error.clone());
        }
        state.answers.insert(id.to_owned(), answer);
        self.changed.notify_all();
    }

    fn take_init_error(&self, error: Value) {
        self.lock().init_errors.push(error);
        self.changed.notify_all();
    }

    fn wait<T>(&self, span: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Deadline::after(span);
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.left()?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "the protocol tells the deadline as a wall-clock time")]
fn epoch_millis_after(span: Duration) -> u64 {
    let moment = SystemTime::now() + span;
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since_epoch| u64::try_from(since_epoch.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
