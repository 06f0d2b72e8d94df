//! The secret id of an AppRole: as it is set, or what a wrapping token that is set stands for.
//!
//! A wrapping token can be unwrapped once. So what it stood for is kept for as long as the process lives, by the token
//! itself: an entity that is changed in another field is opened anew, and must not need another token for it.

use std::sync::{Arc, Mutex, PoisonError};

use gateward_seal::SecretValue;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::login::File;
use super::server::Server;
use crate::unresolved::{Miss, MissKind};

/// Where a secret id comes from.
pub(super) enum Source {
    Text(SecretValue),
    File(File),
}

/// How the secret id of an AppRole is come by.
pub(super) struct SecretId {
    pub(super) source: Source,
    /// Whether what the source gives is a wrapping token.
    pub(super) is_wrapped: bool,
    pub(super) unwrapped: Arc<Unwrapped>,
}

/// What wrapping tokens stood for. A token that was refused stays refused: it may not be tried again and again.
#[derive(Default)]
pub(crate) struct Unwrapped(Mutex<Vec<(SecretValue, Result<SecretValue, Miss>)>>);

impl SecretId {
    pub(super) async fn get(&self, server: &Server) -> Result<SecretValue, Miss> {
        let given = match &self.source {
            Source::Text(text) => text.clone(),
            Source::File(file) => file.read().await?,
        };
        if !self.is_wrapped {
            return Ok(given);
        }
        if let Some(known) = self.unwrapped.get(&given) {
            return known;
        }
        let unwrapped = unwrap(server, &given).await;
        if unwrapped.as_ref().map_or_else(|miss| miss.kind == MissKind::Denied, |_| true) {
            self.unwrapped.put(given, unwrapped.clone());
        }
        unwrapped
    }
}

impl Unwrapped {
    fn get(&self, token: &SecretValue) -> Option<Result<SecretValue, Miss>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(wrapping, _)| wrapping == token).map(|(_, unwrapped)| unwrapped.clone())
    }

    fn put(&self, token: SecretValue, unwrapped: Result<SecretValue, Miss>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            drop(known.remove(0));
        }
        known.push((token, unwrapped));
    }
}

async fn unwrap(server: &Server, wrapping: &SecretValue) -> Result<SecretValue, Miss> {
    #[derive(Deserialize)]
    struct Envelope {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        secret_id: SecretValue,
    }
    let answer = server.call(Method::POST, "sys/wrapping/unwrap", Some(wrapping), None).await?;
    match answer.status {
        StatusCode::OK => match answer.parse::<Envelope>() {
            Ok(Envelope { data }) => Ok(data.secret_id),
            Err(_) => Err(Miss::new(
                MissKind::Denied,
                "what the wrapping token stands for is no secret id; give one of auth/…/secret-id",
            )),
        },
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Err(Miss::new(
            MissKind::Denied,
            "Vault does not know the wrapping token of the secret id (any more): it has ended, or was unwrapped before. \
             If that was not by this gateway, somebody else has the secret id: destroy it. Then give a new one",
        )),
        _ => Err(answer.refusal()),
    }
}

/// How many wrapping tokens are remembered.
const KEPT: usize = 64;
