//! The host that lives inside a Lambda function.
//!
//! It asks the Runtime API for the next event, makes a request of it, and posts the answer back, one event at a time.
//! Between two events the function may be frozen for hours: connections are kept for 4 s only, and the configuration is
//! looked at again when the last look is more than 5 s old. What is to be done without a request comes as an event too;
//! nothing is left to run after an answer.

mod errands;
pub mod event;
mod runtime_api;
mod streamed;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::{Clock, Timestamp};
use gateward_model::ErrorStatus;
use gateward_net::{Body, Connector, Pool, PoolSettings};
use http::{HeaderName, HeaderValue, Response};

use super::{Door, Entrance};
use crate::{AccessLog, Configuration, Gateway, Traffic};
pub use errands::{ErrandFailed, Errands};
use event::{Call, Event, EventError, Form};
pub use runtime_api::RuntimeApiError;
use runtime_api::{Invocation, RuntimeApi};
use streamed::Streamed;

/// What the Lambda host serves with.
pub struct LambdaParts {
    /// Where the Runtime API is, `host:port`, as `AWS_LAMBDA_RUNTIME_API` says it.
    pub runtime_api: String,
    /// What it serves from.
    pub configuration: Arc<Configuration>,
    /// How it calls.
    pub connector: Arc<Connector>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The control plane, if this function has one.
    pub door: Option<Arc<dyn Door>>,
    /// What writes requests down, if they are.
    pub access_log: Option<Arc<dyn AccessLog>>,
    /// Where it counts.
    pub traffic: Arc<Traffic>,
    /// What is done between requests, if there is something.
    pub errands: Option<Arc<dyn Errands>>,
    /// How answers are given.
    pub response_mode: ResponseMode,
}

/// How answers are given to Lambda. No event says which one is wanted: it is a setting of the function's URL, or of
/// the API's integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// Whole, up to 6 MB, and to a load balancer up to 1 MB.
    #[default]
    Buffered,
    /// Part by part, up to 200 MB.
    Streamed,
}

/// When an event must be answered.
type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves events until `stop` completes, or until the Runtime API cannot be reached any more.
///
/// Must be run within a [`tokio::task::LocalSet`] on a current-thread runtime.
pub async fn serve(parts: LambdaParts, stop: impl Future<Output = ()>) -> Result<(), RuntimeApiError> {
    let settings = PoolSettings {
        idle_timeout: LONGEST_IDLE,
        longest_idle: Some(LONGEST_IDLE),
        ..PoolSettings::default()
    };
    let pool = Pool::new(parts.connector, settings);
    let (current, clock) = (parts.configuration.current(), Arc::clone(&parts.clock));
    let gateway = Gateway::new(current, pool, clock, parts.access_log, &parts.traffic);
    let mut function = Function {
        api: RuntimeApi::new(parts.runtime_api),
        entrance: Rc::new(Entrance { gateway, door: parts.door }),
        configuration: parts.configuration,
        clock: parts.clock,
        errands: parts.errands,
        response_mode: parts.response_mode,
        looked_at: None,
        vaults_rest_until: None,
    };
    // As part of the start, which may take longer than an event, and has more of a processor.
    function.look_at_configuration().await;
    let mut stop = pin!(stop);
    loop {
        let invocation = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            invocation = function.api.next() => invocation?,
        };
        let id = invocation.id.clone();
        if let Err(error) = function.answer(invocation).await {
            // That one answer is lost: its client has gone, most likely. Whether the Runtime API is there, the next call shows.
            tracing::error!(invocation = id, %error, "an answer did not reach the Lambda Runtime API");
        }
    }
}

/// Tells the Runtime API that the function cannot start, and why.
pub async fn report_init_error(runtime_api: &str, error: &dyn fmt::Display) -> Result<(), RuntimeApiError> {
    RuntimeApi::new(runtime_api.to_owned()).init_error(&error.to_string()).await
}

/// A function at work.
struct Function {
    api: RuntimeApi,
    entrance: Rc<Entrance>,
    configuration: Arc<Configuration>,
    clock: Arc<dyn Clock>,
    errands: Option<Arc<dyn Errands>>,
    response_mode: ResponseMode,
    /// When the store was last asked whether the configuration has changed.
    looked_at: Option<Timestamp>,
    /// Until when nobody waits for vaults again that were too slow.
    vaults_rest_until: Option<Timestamp>,
}

impl Function {
    async fn answer(&mut self, invocation: Invocation) -> Result<(), RuntimeApiError> {
        let id = invocation.id.as_str();
        let event = match event::read(&invocation.event) {
            Ok(event) => event,
            Err(EventError::Malformed { form, what }) => {
                let told = format!("the request has {what} that cannot stand in one");
                return self.refuse(id, form, ErrorStatus::BAD_REQUEST, ("malformed_event", &told)).await;
            }
            Err(error @ EventError::Unsupported) => {
                tracing::error!(invocation = id, %error, "an event is not known");
                return self.api.error(id, "Gateward.UnsupportedEvent", &error.to_string()).await;
            }
        };
        let until = invocation.deadline.map(|deadline| deadline - MARGIN);
        if let (Event::Request(_), Some(errands)) = (&event, &self.errands) {
            // The client's time runs while we look.
            errands.begin(self.within(until));
        }
        self.look_at_configuration().await;
        self.catch_up_with_vaults(until).await;
        match event {
            Event::Request(call) => self.answer_request(id, *call, until).await,
            Event::Tick => {
                let done = errands::tick(self.errands.as_ref(), self.within(until)).await;
                self.catch_up_with_vaults(until).await;
                match done {
                    Ok(answer) => self.api.response(id, answer).await,
                    Err(error) => {
                        tracing::error!(invocation = id, %error, "a tick has not done all of its work");
                        self.api.error(id, "Gateward.TickFailed", &error.to_string()).await
                    }
                }
            }
            Event::Queue(messages) => {
                let answer = errands::queue(self.errands.as_ref(), &messages, self.within(until)).await;
                self.catch_up_with_vaults(until).await;
                self.api.response(id, answer).await
            }
        }
    }

    async fn answer_request(
        &mut self,
        id: &str,
        Call { request, conn, form }: Call,
        until: Option<Timestamp>,
    ) -> Result<(), RuntimeApiError> {
        let entrance = Rc::clone(&self.entrance);
        let mode = self.response_mode;
        let mut deadline = until.map(|until| self.clock.sleep_until(until));
        // A task of its own, so that a panic in it ends one answer and not the function.
        let mut answer = tokio::task::spawn_local(async move {
            let response = entrance.answer(request, &conn).await;
            match mode {
                ResponseMode::Buffered => Answer::Whole(event::response(form, response).await),
                ResponseMode::Streamed => Answer::Streamed(response),
            }
        });
        let late = async {
            match &mut deadline {
                Some(deadline) => deadline.await,
                None => std::future::pending().await,
            }
        };
        let answered = tokio::select! {
            biased;
            answered = &mut answer => Some(answered),
            () = late => None,
        };
        if answered.is_some() {
            self.settle(until).await;
        }
        match answered {
            Some(Ok(Answer::Whole(answer))) => self.api.response(id, answer).await,
            Some(Ok(Answer::Streamed(response))) => {
                let streamed = self.api.stream(id, Streamed::new(form, response, deadline)).await;
                // A request ends with its answer, and what follows from that must be done, too.
                self.settle(until).await;
                streamed
            }
            Some(Err(_panic)) => {
                tracing::error!(invocation = id, "an answer ended in a panic");
                self.api.error(id, "Gateward.Panic", "the gateway failed; its log says where").await
            }
            None => {
                answer.abort();
                self.refuse(id, form, ErrorStatus::GATEWAY_TIMEOUT, LATE).await
            }
        }
    }

    /// Ends what a request has begun.
    async fn settle(&mut self, until: Option<Timestamp>) {
        if let Some(errands) = &self.errands {
            errands.settle(self.within(until)).await;
        }
        self.catch_up_with_vaults(until).await;
    }

    async fn refuse(
        &mut self,
        id: &str,
        form: Form,
        status: ErrorStatus,
        why: (&str, &str),
    ) -> Result<(), RuntimeApiError> {
        // It has no id but the invocation's.
        let named = HeaderValue::from_str(id).map(|id| (HeaderName::from_static("x-request-id"), id));
        let response = event::refusal(status, &named.into_iter().collect(), why).map(Body::full);
        match self.response_mode {
            ResponseMode::Buffered => self.api.response(id, event::response(form, response).await).await,
            ResponseMode::Streamed => self.api.stream(id, Streamed::new(form, response, None)).await,
        }
    }

    /// When an errand must be done; those of an event that does not say so have a while.
    fn within(&self, until: Option<Timestamp>) -> Timestamp {
        until.unwrap_or_else(|| self.clock.now() + ERRAND)
    }

    /// Nothing watches the store while a function is frozen.
    async fn look_at_configuration(&mut self) {
        let now = self.clock.now();
        let fresh = |looked_at: Timestamp| now >= looked_at && now.saturating_since(looked_at) < FRESH;
        if self.configuration.ready() && self.looked_at.is_some_and(fresh) {
            return;
        }
        self.configuration.catch_up(PATIENCE).await;
        // Counted from the end of a wait, or a store that is out of reach would have every event wait.
        self.looked_at = Some(self.clock.now());
    }

    /// No value is refreshed while a function is frozen, and a call that is under way then breaks off. Vaults that were too
    /// slow are left alone for a while, and what they gave is used on, as its times allow. At `until` the event must be over.
    async fn catch_up_with_vaults(&mut self, until: Option<Timestamp>) {
        let now = self.clock.now();
        if self.vaults_rest_until.is_some_and(|until| now < until) {
            return;
        }
        self.vaults_rest_until = None;
        let left = until.map_or(PATIENCE, |until| until.saturating_since(now));
        let patience = PATIENCE.min(left);
        if tokio::time::timeout(patience, self.configuration.values_caught_up()).await.is_err() {
            if patience == PATIENCE {
                self.vaults_rest_until = Some(self.clock.now() + REST);
            }
            tracing::warn!("serving with the secrets as last seen: a vault did not answer in time");
        }
    }
}

/// What came of a request.
enum Answer {
    Whole(Bytes),
    Streamed(Response<Body>),
}

/// Connections die while a function is frozen; those that are younger most likely have not been.
pub const LONGEST_IDLE: Duration = Duration::from_secs(4);

/// For how long the configuration counts as looked at.
const FRESH: Duration = Duration::from_secs(5);

/// What is left of an event's time for its answer to be posted.
const MARGIN: Duration = Duration::from_millis(300);

/// The time for what is done for an event without a deadline.
const ERRAND: Duration = Duration::from_secs(25);

const LATE: (&str, &str) = ("function_timeout", "the function's time was over before the answer was there");

/// How long a start, or an event, waits for configuration and secrets.
const PATIENCE: Duration = Duration::from_secs(3);

/// For how long no event waits for vaults after one has waited in vain.
const REST: Duration = Duration::from_secs(30);
