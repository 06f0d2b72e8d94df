//! The host that lives inside a Lambda function.
//!
//! It asks the Runtime API for the next event, makes a request of it, and posts the answer back, one event at a time.
//! Between two events the function may be frozen for hours: connections to upstreams are kept for 4 s only, and the
//! configuration is looked at again when the last look is more than 5 s old.

pub mod event;
mod runtime_api;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::{Clock, Timestamp};
use gateward_net::{Connector, Pool, PoolSettings};

use super::{Door, Entrance};
use crate::{Configuration, Gateway, Traffic};
pub use runtime_api::RuntimeApiError;
use runtime_api::{Invocation, RuntimeApi};

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
    /// Where it counts.
    pub traffic: Arc<Traffic>,
}

/// Serves events until `stop` completes, or until the Runtime API cannot be reached any more.
///
/// Must be run within a [`tokio::task::LocalSet`] on a current-thread runtime.
pub async fn serve(parts: LambdaParts, stop: impl Future<Output = ()>) -> Result<(), RuntimeApiError> {
    let pool =
        Pool::new(parts.connector, PoolSettings { idle_timeout: POOL_IDLE, ..PoolSettings::default() });
    let gateway =
        Gateway::new(parts.configuration.current(), pool, Arc::clone(&parts.clock), None, &parts.traffic);
    let mut function = Function {
        api: RuntimeApi::new(parts.runtime_api),
        entrance: Rc::new(Entrance { gateway, door: parts.door }),
        configuration: parts.configuration,
        clock: parts.clock,
        looked_at: None,
    };
    let mut stop = pin!(stop);
    loop {
        let invocation = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            invocation = function.api.next() => invocation?,
        };
        function.answer(invocation).await?;
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
    /// When the store was last asked whether the configuration has changed.
    looked_at: Option<Timestamp>,
}

impl Function {
    async fn answer(&mut self, invocation: Invocation) -> Result<(), RuntimeApiError> {
        let (request, conn) = match event::request(&invocation.event) {
            Ok(request) => request,
            Err(error) => return self.api.error(&invocation.id, error.kind(), &error.to_string()).await,
        };
        self.look_at_configuration().await;
        let entrance = Rc::clone(&self.entrance);
        // A task of its own, so that a panic in it ends one answer and not the function.
        let answer = tokio::task::spawn_local(async move {
            let response = entrance.answer(request, &conn).await;
            event::response(response).await
        });
        match answer.await {
            Ok(answer) => self.api.response(&invocation.id, answer).await,
            Err(_panic) => {
                tracing::error!(invocation = invocation.id, "an answer ended in a panic");
                self.api
                    .error(&invocation.id, "Gateward.Panic", "the gateway failed; its log says where")
                    .await
            }
        }
    }

    /// Nothing watches the store while a function is frozen.
    async fn look_at_configuration(&mut self) {
        let now = self.clock.now();
        let fresh = |looked_at: Timestamp| now >= looked_at && now.saturating_since(looked_at) < FRESH;
        if self.configuration.ready() && self.looked_at.is_some_and(fresh) {
            return;
        }
        self.configuration.catch_up(EVENT_PATIENCE).await;
        self.looked_at = Some(now);
    }
}

/// Connections die while a function is frozen; those that are younger most likely have not been.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// For how long the configuration counts as looked at.
const FRESH: Duration = Duration::from_secs(5);

/// How long an event waits for configuration and secrets.
const EVENT_PATIENCE: Duration = Duration::from_secs(3);
