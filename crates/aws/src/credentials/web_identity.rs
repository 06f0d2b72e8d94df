//! Credentials for a token that an identity provider signs: roles of service accounts in EKS (IRSA).

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;

use super::role::StsAccess;
use super::source::{Loaded, Missing, Source};
use super::variables::Variables;
use super::{ask, file};
use crate::sts::RoleRequest;

/// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, with `AWS_ROLE_SESSION_NAME`.
pub(super) struct WebIdentity {
    pub(super) sts: Arc<StsAccess>,
    pub(super) variables: Variables,
}

#[async_trait]
impl Source for WebIdentity {
    fn name(&self) -> &str {
        "web identity"
    }

    async fn load(&self, now: Timestamp) -> Result<Loaded, Missing> {
        let Some(path) = self.variables.get("AWS_WEB_IDENTITY_TOKEN_FILE") else {
            return Err(Missing::not_set("AWS_WEB_IDENTITY_TOKEN_FILE is not set"));
        };
        let Some(arn) = self.variables.get("AWS_ROLE_ARN") else {
            let why = "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not; set both";
            return Err(Missing::failed(why));
        };
        let session_name = self.variables.get("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION_NAME);
        let role = RoleRequest { arn, session_name, external_id: None, duration: None, tags: &[] };
        exchange(&self.sts, role, &self.variables.path(path), now).await
    }
}

/// Exchanges the token in the file at `path` for a session of `role`. The file is read each time: it is written anew
/// before the token ends.
pub(super) async fn exchange(
    sts: &StsAccess,
    role: RoleRequest<'_>,
    path: &Path,
    now: Timestamp,
) -> Result<Loaded, Missing> {
    let token = file::read(path)
        .map_err(|error| Missing::failed(format!("the web identity token file cannot be read: {error}")))?;
    let token = SecretValue::from(token.expose().trim());
    if token.is_empty() {
        return Err(Missing::failed("the web identity token file is empty"));
    }
    let session = sts.open(None, None)?.assume_role_with_web_identity(role, &token, now).await;
    let session = session.map_err(|error| Missing::failed(ask::why(&error)))?;
    Ok(Loaded { credentials: session.credentials, expires: Some(session.expires), look_again: None })
}

/// What our sessions are called where nobody says.
pub(super) const SESSION_NAME: &str = "gateward";
