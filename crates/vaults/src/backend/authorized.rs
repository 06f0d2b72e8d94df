//! A service that is asked with a bearer token: with another one, once, if it does not take the one that is kept.

use std::sync::Arc;

use bytes::Bytes;
use gateward_clock::Timestamp;
use http::Request;

use super::call::{Answer, Service};
use super::tokens::{Login, Token, Tokens};
use crate::unresolved::{Miss, MissKind};

/// A service, and the tokens that it is shown.
pub(super) struct Authorized {
    pub(super) service: Service,
    tokens: Arc<Tokens>,
}

impl Authorized {
    pub(super) fn new(service: Service, login: impl Login + 'static) -> Self {
        Self { service, tokens: Tokens::new(Box::new(login)) }
    }

    /// What stands at `url`.
    pub(super) async fn get(&self, url: &str, now: Timestamp) -> Result<Answer, Miss> {
        let token = self.tokens.get(now).await?;
        let mut answer = self.get_with(url, &token).await?;
        if answer.status.as_u16() == 401 && self.tokens.refused(&token, now) {
            let token = self.tokens.get(now).await?;
            answer = self.get_with(url, &token).await?;
        }
        Ok(answer)
    }

    async fn get_with(&self, url: &str, token: &Token) -> Result<Answer, Miss> {
        let broken = |_| Miss::new(MissKind::Misconfigured, "its address is none that can be called");
        let mut request = Request::get(url).body(Bytes::new()).map_err(broken)?;
        token.show(request.headers_mut())?;
        self.service.call(request).await
    }
}
