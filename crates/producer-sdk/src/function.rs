//! The same producer as an AWS Lambda function, behind a function URL or an API Gateway.
//!
//! One event after the other, over the Runtime API. Tokens must be for `https://` and the domain name that Lambda says
//! the event came in by, unless the settings name another origin: that name is AWS's word, not the caller's.

mod event;
mod runtime_api;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::desk::{self, Answer, Asked, Desk};
use crate::producer::Producer;
use crate::verifier::Verifier;
use event::Event;
pub use runtime_api::RuntimeApiError;
use runtime_api::{Invocation, RuntimeApi};

/// A Lambda function.
pub struct Function {
    api: RuntimeApi,
    origin: Option<String>,
}

impl Function {
    /// The function whose Runtime API is at `address`, which stands in `AWS_LAMBDA_RUNTIME_API`.
    pub fn new(address: impl Into<String>) -> Self {
        Self { api: RuntimeApi::new(address.into()), origin: None }
    }

    /// Says under which origin gateways call this producer, where that is a domain of one's own in front of AWS's.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.trim_end_matches('/').to_ascii_lowercase());
        self
    }

    /// Serves until the Runtime API fails; Lambda ends the process when it wants to.
    pub async fn serve<P: Producer>(mut self, producer: P, verifier: Verifier) -> RuntimeApiError {
        let desk = Desk::new(producer, verifier);
        loop {
            if let Err(error) = self.serve_one(&desk).await {
                return error;
            }
        }
    }

    /// Tells Lambda why the function cannot start.
    pub async fn cannot_start(mut self, why: &str) -> RuntimeApiError {
        match self.api.init_error(why).await {
            Ok(()) => RuntimeApiError::NotStarted(why.to_owned()),
            Err(error) => error,
        }
    }

    async fn serve_one<P: Producer>(&mut self, desk: &Desk<P>) -> Result<(), RuntimeApiError> {
        let Invocation { id, event } = self.api.next().await?;
        match Event::parse(&event) {
            Some(event) => {
                let answer = self.answer(desk, &event).await;
                self.api.respond(&id, as_lambda_has_it(answer)).await
            }
            None => {
                let why = "the event is no HTTP request; the function is called by a function URL or an API Gateway";
                self.api.fail(&id, why).await
            }
        }
    }

    async fn answer<P: Producer>(&self, desk: &Desk<P>, event: &Event) -> Answer {
        let operation = match desk::operation(&event.method, &event.path) {
            Ok(operation) => operation,
            Err(rejection) => return rejection.told(),
        };
        let origins: Vec<String> = self.origin.iter().chain(&event.origin).take(1).cloned().collect();
        let tokens: Vec<&[u8]> = event.tokens.iter().map(String::as_bytes).collect();
        desk.answer(Asked { operation, tokens: &tokens, origins: &origins, body: &event.body }).await
    }
}

fn as_lambda_has_it(Answer { status, json }: Answer) -> Value {
    json!({
        "statusCode": status.as_u16(),
        "headers": {"content-type": "application/json"},
        "body": json,
        "isBase64Encoded": false,
    })
}

/// The bytes of a body that may have been put into base64.
fn bytes_of(body: &str, is_base64: bool) -> Option<Vec<u8>> {
    if is_base64 { STANDARD.decode(body).ok() } else { Some(body.as_bytes().to_vec()) }
}

#[cfg(test)]
mod tests;
