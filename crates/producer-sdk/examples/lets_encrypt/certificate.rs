//! A certificate: ordered, proven, issued, and in the end revoked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_producer_sdk::Failure;
use instant_acme::{
    Account, AuthorizationStatus, Error, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
    RevocationReason, RevocationRequest,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::challenge::{Proof, Shown};

/// The domains of one certificate, which may all be certified.
pub struct Domains(Vec<String>);

impl Domains {
    /// Those that a user has asked for, as `domain` or `domains`: a text with commas, or a list.
    pub fn of(input: &Map<String, Value>, allow: &[String]) -> Result<Self, Failure> {
        let asked = input.get("domain").or_else(|| input.get("domains"));
        let names: Vec<String> = match asked {
            Some(Value::String(text)) => {
                text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
            }
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase).collect()
            }
            _ => Vec::new(),
        };
        if names.iter().all(String::is_empty) {
            let problem = "say which domain the certificate is for: domain=www.example.com";
            return Err(Failure::BadInput(problem.to_owned()));
        }
        let is_allowed = |name: &String| {
            let name = name.trim_start_matches("*.");
            let is_below = |top: &String| {
                name.strip_suffix(top.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            allow.iter().any(is_below)
        };
        match names.iter().find(|name| !is_allowed(name)) {
            Some(name) => {
                Err(Failure::BadInput(format!("{name} is no domain that certificates may be for here")))
            }
            None => Ok(Self(names)),
        }
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// A certificate that was issued.
pub struct Issued {
    /// PEM.
    pub private_key: Zeroizing<String>,
    /// PEM, the certificate first, and then those that it takes to believe it.
    pub chain: String,
    /// When it ends by itself.
    pub ends: ASN1Time,
    certificate: CertificateDer<'static>,
}

impl Issued {
    /// All that it takes to revoke it. The order, where the certificate could be asked for, is gone after some days.
    pub fn id(&self) -> String {
        format!("acme.{}.{}", self.ends.timestamp(), URL_SAFE_NO_PAD.encode(&self.certificate))
    }
}

/// Has a certificate issued.
pub async fn issue(account: &Account, domains: &Domains, proof: &Proof) -> Result<Issued, Failure> {
    let identifiers: Vec<Identifier> = domains.0.iter().cloned().map(Identifier::Dns).collect();
    let order = account.new_order(&NewOrder::new(&identifiers)).await;
    let mut order = order.map_err(|error| refused("the authority has not taken the order", &error))?;
    let mut shown = Vec::new();
    let proven = prove(&mut order, proof, &mut shown).await;
    for shown in shown {
        proof.take_away(shown).await;
    }
    proven?;
    // From here on a certificate may exist that nobody gets to see: not a refusal, whatever happens.
    let failed = |error: Error| Failure::Failed(format!("the authority has issued no certificate: {error}"));
    let private_key = Zeroizing::new(order.finalize().await.map_err(failed)?);
    let chain = order.poll_certificate(&RetryPolicy::default()).await.map_err(failed)?;
    let unreadable =
        || Failure::Failed("the authority has issued something that is no certificate".to_owned());
    let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|_| unreadable())?;
    let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| unreadable())?;
    let ends = parsed.validity().not_after;
    Ok(Issued { private_key, chain, ends, certificate })
}

/// Shows of each domain that it is ours, and waits until the authority has seen it.
async fn prove(order: &mut Order, proof: &Proof, shown: &mut Vec<Shown>) -> Result<(), Failure> {
    let failed = |error: Error| refused("the authority cannot be shown that the domains are ours", &error);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(failed)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(proof.kind()) else {
            let problem = format!("the authority does not prove {domain} by {:?}", proof.kind());
            return Err(Failure::BadInput(problem));
        };
        shown.push(proof.show(&domain, &challenge).await?);
        challenge.set_ready().await.map_err(failed)?;
    }
    match order.poll_ready(&RetryPolicy::default()).await.map_err(failed)? {
        OrderStatus::Ready => Ok(()),
        _ => Err(Failure::BadInput(why_not(order).await)),
    }
}

/// What the authority has seen in place of the proof.
async fn why_not(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let domain = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            return format!("the authority does not see that {domain} is ours: {problem}");
        }
    }
    "the authority does not see that the domains are ours".to_owned()
}

/// Revokes the certificate called `id`; `false` if there is none such, or none any more.
pub async fn revoke(account: &Account, id: &str) -> Result<bool, Error> {
    let parts = id.strip_prefix("acme.").and_then(|id| id.split_once('.'));
    let certificate = parts.and_then(|(_, der)| URL_SAFE_NO_PAD.decode(der).ok());
    let Some(certificate) = certificate.filter(|der| X509Certificate::from_der(der).is_ok()) else {
        return Ok(false);
    };
    let ended = X509Certificate::from_der(&certificate)
        .is_ok_and(|(_, parsed)| parsed.validity().not_after < ASN1Time::now());
    if ended {
        // No authority revokes what is not valid any more.
        return Ok(false);
    }
    let certificate = CertificateDer::from(certificate);
    let request =
        RevocationRequest { certificate: &certificate, reason: Some(RevocationReason::CessationOfOperation) };
    match account.revoke(&request).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(ALREADY_REVOKED) => Ok(true),
        outcome => outcome.map(|()| true),
    }
}

/// Nothing was issued: the authority has said no, or could not be asked.
fn refused(what: &str, error: &Error) -> Failure {
    let words = format!("{what}: {error}");
    match error {
        Error::Api(problem) if problem.status.is_some_and(|status| status < 500 && status != 429) => {
            Failure::BadInput(words)
        }
        _ => Failure::Unavailable(words),
    }
}

const ALREADY_REVOKED: &str = "urn:ietf:params:acme:error:alreadyRevoked";
