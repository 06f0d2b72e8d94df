//! As whom calls are signed: with keys of the plugin's own, or as whom AWS takes this process for.

use std::sync::Arc;

use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_aws::{Credentials, ErrorType, Provider, Role};
use gateward_clock::Timestamp;
use gateward_model::{ErrorStatus, Failure, Invalid, Origin};
use gateward_net::Body;
use gateward_seal::SecretValue;
use http::{Request, Response};

use super::settings::{check_access_key, check_secret};
use crate::{Site, holds_reference};

/// Who signs, and for which service and region.
pub(super) struct Identity {
    signer: Signer,
    provider: Arc<Provider>,
}

/// Who shall sign, in settings. The names of the fields differ between the ways to call a function.
#[derive(Clone, Copy)]
pub(super) struct Who<'s> {
    pub(super) access_key: (&'s str, Option<&'s SecretValue>),
    pub(super) secret_key: (&'s str, Option<&'s SecretValue>),
    pub(super) session_token: (&'s str, Option<&'s SecretValue>),
    pub(super) assumes: Assumes<'s>,
}

/// Which role they assume, in settings.
#[derive(Clone, Copy)]
pub(super) struct Assumes<'s> {
    pub(super) arn: (&'s str, Option<&'s str>),
    pub(super) session_name: (&'s str, Option<&'s str>),
    pub(super) external_id: (&'s str, Option<&'s SecretValue>),
    pub(super) sts_endpoint: (&'s str, Option<&'s str>),
}

impl Who<'_> {
    /// Checks what is not a reference yet to be replaced.
    pub(super) fn check(self) -> Result<(), Invalid> {
        self.check_unless(holds_reference)
    }

    fn check_unless(self, is_left_out: fn(&str) -> bool) -> Result<(), Invalid> {
        for (field, value) in [self.access_key, self.secret_key, self.session_token] {
            match value.map(SecretValue::expose).filter(|text| !is_left_out(text)) {
                Some(text) if field == self.access_key.0 => check_access_key(field, text)?,
                Some(text) => check_secret(field, text)?,
                None => {}
            }
        }
        self.assumes.check_unless(is_left_out)?;
        self.keys().map(drop)
    }

    /// Where credentials for calls in `region` come from: these keys, or else the process; and the role that they assume.
    pub(super) fn provider(self, region: &str, site: &Site<'_>) -> Result<Arc<Provider>, Invalid> {
        self.check_unless(|_| false)?;
        let base = match self.keys()? {
            None => site.shared.aws.provider(),
            Some((access_key, secret_key)) => Provider::fixed(Credentials {
                access_key: access_key.expose().to_owned(),
                secret_key: secret_key.clone(),
                session_token: self.session_token.1.cloned(),
            }),
        };
        let provider = match self.assumes.role(Some(region)) {
            Some(role) => site.shared.aws.assuming(&base, role),
            None => base,
        };
        // Fetched in advance, so that the first request need not wait for them.
        drop(provider.current());
        Ok(provider)
    }

    /// Both keys, or none.
    fn keys(&self) -> Result<Option<(&SecretValue, &SecretValue)>, Invalid> {
        let missing = |missing: &str, there: &str| {
            let problem =
                format!("is required beside {there}; without either, the process's own credentials are used");
            Err(Invalid::new(missing, problem))
        };
        match (self.access_key, self.secret_key, self.session_token) {
            ((_, Some(access)), (_, Some(secret)), _) => Ok(Some((access, secret))),
            ((there, Some(_)), (field, None), _) | ((field, None), (there, Some(_)), _) => {
                missing(field, there)
            }
            ((field, None), (_, None), (there, Some(_))) => missing(field, there),
            ((_, None), (_, None), (_, None)) => Ok(None),
        }
    }
}

impl Assumes<'_> {
    fn check_unless(self, is_left_out: fn(&str) -> bool) -> Result<(), Invalid> {
        let external_id = (self.external_id.0, self.external_id.1.map(SecretValue::expose));
        let more = [self.session_name, external_id, self.sts_endpoint];
        let Some(role) = self.role(None) else {
            return match more.iter().find(|(_, value)| value.is_some()) {
                Some((field, _)) => Err(Invalid::new(*field, format!("is of no use without {}", self.arn.0))),
                None => Ok(()),
            };
        };
        // What is a reference yet is taken for something that fits.
        let unless =
            |text: &str, fitting: &str| if is_left_out(text) { fitting.to_owned() } else { text.to_owned() };
        let role = Role {
            arn: unless(&role.arn, "arn:aws:iam::123456789012:role/name"),
            session_name: unless(&role.session_name, DEFAULT_SESSION_NAME),
            external_id: role.external_id.filter(|id| !is_left_out(id.expose())),
            sts_endpoint: role.sts_endpoint.filter(|url| !is_left_out(url)),
            region: None,
        };
        role.check().map_err(|invalid| {
            let field = match invalid.field.as_str() {
                "session_name" => self.session_name.0,
                "external_id" => self.external_id.0,
                "sts_endpoint" => self.sts_endpoint.0,
                _ => self.arn.0,
            };
            Invalid::new(field, invalid.problem)
        })
    }

    /// The role, if there is one. STS is asked in `region`.
    fn role(self, region: Option<&str>) -> Option<Role> {
        Some(Role {
            arn: self.arn.1?.to_owned(),
            session_name: self.session_name.1.unwrap_or(DEFAULT_SESSION_NAME).to_owned(),
            external_id: self.external_id.1.cloned(),
            sts_endpoint: self.sts_endpoint.1.map(str::to_owned),
            region: region.map(str::to_owned),
        })
    }
}

/// Kong's, so that trust policies that name it go on to fit.
const DEFAULT_SESSION_NAME: &str = "kong";

impl Identity {
    /// Somebody who signs with `signer`, and with the credentials that `provider` has.
    pub(super) fn new(signer: Signer, provider: Arc<Provider>) -> Self {
        Self { signer, provider }
    }

    /// The service that is signed for.
    pub(super) fn service(&self) -> &str {
        self.signer.service()
    }

    /// Signs a request of which `body` is all of the body.
    pub(super) async fn sign<B>(
        &self,
        request: &mut Request<B>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Failure> {
        let credentials = match self.provider.current() {
            Some(credentials) => credentials,
            // Boxed, because it is hardly ever needed.
            None => Box::pin(self.provider.get()).await.map_err(|error| {
                let message = "the gateway has no AWS credentials to call the function with; its log says where it looked";
                let code = "credentials_unavailable";
                Failure::new(ErrorStatus::UNAVAILABLE, Origin::Gateway, code, message)
                    .with_detail(error.to_string())
            })?,
        };
        let signed = self.signer.sign(&credentials, request, PayloadHash::Bytes(body), now);
        signed.map_err(|error| {
            let message = "the call of the function could not be signed";
            Failure::new(ErrorStatus::INTERNAL, Origin::Gateway, "signing_failed", message)
                .with_detail(error.to_string())
        })
    }

    /// Looks at what was answered: where the credentials were refused, others are asked for.
    pub(super) fn heard(&self, response: &Response<Body>) -> Option<Objection> {
        let objection = Objection::of(response);
        if objection == Some(Objection::Credentials)
            && let Some(credentials) = self.provider.current()
        {
            self.provider.refused(&credentials);
        }
        objection
    }
}

/// What AWS has against who signed, if that is what an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// The credentials have ended, or are unknown: others may help.
    Credentials,
    /// The signature is none, or who signed may not do what was asked.
    Other,
}

impl Objection {
    fn of(response: &Response<Body>) -> Option<Self> {
        if !matches!(response.status().as_u16(), 400 | 401 | 403) {
            return None;
        }
        let named = response.headers().get("x-amzn-errortype")?.to_str().ok()?;
        match ErrorType::of(named).as_str() {
            "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException" => Some(Self::Credentials),
            "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "AccessDeniedException" => Some(Self::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_other_credentials_may_help_against_is_taken_for_their_refusal() {
        let objection = |status: u16, error: &str| {
            let response = Response::builder().status(status).header("x-amzn-errortype", error);
            Objection::of(&response.body(Body::empty()).unwrap())
        };
        assert_eq!(objection(403, "ExpiredTokenException"), Some(Objection::Credentials));
        let unknown = "UnrecognizedClientException:http://internal.amazon.com/coral/";
        assert_eq!(objection(403, unknown), Some(Objection::Credentials));
        assert_eq!(objection(403, "AccessDeniedException"), Some(Objection::Other));
        assert_eq!(objection(404, "ResourceNotFoundException"), None);
        assert_eq!(objection(403, "MissingAuthenticationTokenException"), None, "there is no such resource");
        assert_eq!(objection(200, "ExpiredTokenException"), None);
    }
}
