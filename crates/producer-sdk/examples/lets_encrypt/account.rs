//! An account at an authority, which is the payload, and how the authority is reached.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use gateward_producer_sdk::{Failure, Payload, Web};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, BodyWrapper, BytesResponse, Error, HttpClient, NewAccount,
};

/// How authorities are reached.
pub struct Authority {
    web: Web,
}

impl Authority {
    /// By `web`.
    pub fn reached_by(web: Web) -> Self {
        Self { web }
    }

    /// Opens an account, and gives what it takes to use it: JSON.
    pub async fn open_account(&self, directory: String, email: Option<&str>) -> Result<String, Error> {
        let contact: Vec<String> = email.map(|email| format!("mailto:{email}")).into_iter().collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wish =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (_, credentials) = self.builder().create(&wish, directory, None).await?;
        Ok(serde_json::to_string(&credentials)?)
    }

    /// The account that `payload` is.
    pub async fn account(&self, payload: &Payload) -> Result<Account, Failure> {
        let credentials: AccountCredentials = serde_json::from_str(payload.expose()).map_err(|_| {
            Failure::BadPayload("the payload is no account; `lets_encrypt new-account` prints one".to_owned())
        })?;
        let account = self.builder().from_credentials(credentials).await;
        account.map_err(|error| Failure::Unavailable(format!("the authority cannot be used: {error}")))
    }

    fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(Carrier(self.web.clone())))
    }
}

/// Carries the requests of an account.
struct Carrier(Web);

impl HttpClient for Carrier {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let web = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let answer = web.send(Request::from_parts(head, body.to_bytes())).await;
            let answer = answer.map_err(|error| Error::Other(Box::new(error)))?;
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}
