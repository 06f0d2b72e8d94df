//! The settings of a function that is called by its URL: APISIX's, and a few more.

use gateward_aws::sigv4::Signer;
use gateward_model::Invalid;
use gateward_net::Peer;
use gateward_seal::SecretValue;
use http::{HeaderValue, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::super::identity::{Assumes, Identity, Who};
use super::super::settings::{at_least, check_in_scope, kept};
use crate::{Site, holds_reference};

/// The configuration as APISIX has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(in super::super) struct Settings {
    function_uri: SecretValue,
    #[serde(default)]
    authorization: Authorization,
    /// Milliseconds, for each phase of a call.
    #[serde(default = "default_timeout")]
    pub(super) timeout: u64,
    #[serde(default = "yes")]
    ssl_verify: bool,
    #[serde(default = "yes")]
    pub(super) keepalive: bool,
    keepalive_pool: Option<u64>,
    keepalive_timeout: Option<u64>,
    pub(super) concurrency: Option<u32>,
    #[serde(default = "default_max_body")]
    pub(super) max_req_body_size: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Authorization {
    apikey: Option<SecretValue>,
    iam: Option<Iam>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Iam {
    accesskey: Option<SecretValue>,
    // APISIX's own documentation calls it by both names.
    #[serde(alias = "secret_key")]
    secretkey: Option<SecretValue>,
    session_token: Option<SecretValue>,
    assume_role_arn: Option<String>,
    role_session_name: Option<String>,
    role_external_id: Option<SecretValue>,
    sts_endpoint_url: Option<String>,
    aws_region: Option<String>,
    service: Option<String>,
}

impl Settings {
    /// Reads `json`, and checks all that is not a text.
    pub(in super::super) fn read(json: &Value) -> Result<Self, Invalid> {
        let iam = &json["authorization"]["iam"];
        if iam.get("secretkey").is_some() && iam.get("secret_key").is_some() {
            let problem = "is another name of secretkey, which is set too; drop one";
            return Err(Invalid::new("authorization.iam.secret_key", problem));
        }
        let settings: Self = gateward_model::parse(json)?;
        at_least("timeout", Some(settings.timeout), 100)?;
        at_least("keepalive_pool", settings.keepalive_pool, 1)?;
        at_least("keepalive_timeout", settings.keepalive_timeout, 1000)?;
        at_least("concurrency", settings.concurrency.map(u64::from), 1)?;
        at_least("max_req_body_size", Some(settings.max_req_body_size), 1)?;
        Ok(settings)
    }

    /// Checks each text that is not a reference yet to be replaced.
    pub(in super::super) fn check(&self) -> Result<(), Invalid> {
        if !holds_reference(self.function_uri.expose()) {
            self.peer(&self.function_uri()?)?;
        }
        if let Some(key) = &self.authorization.apikey
            && !holds_reference(key.expose())
        {
            self.api_key()?;
        }
        let Some(iam) = &self.authorization.iam else {
            return Ok(());
        };
        for (field, text) in [(REGION, &iam.aws_region), (SERVICE, &iam.service)] {
            if let Some(text) = text.as_deref().filter(|text| !holds_reference(text)) {
                check_in_scope(field, text)?;
            }
        }
        iam.who().check()
    }

    /// The function's URL.
    pub(super) fn function_uri(&self) -> Result<Uri, Invalid> {
        self.function_uri.expose().parse().map_err(|_invalid| not_callable())
    }

    /// Whom `function_uri` names.
    pub(super) fn peer(&self, function_uri: &Uri) -> Result<Peer, Invalid> {
        let named = function_uri.authority().map_or("", http::uri::Authority::as_str);
        if named.contains('@') {
            let problem = "must not hold a user name or password; set authorization in their place";
            return Err(Invalid::new("function_uri", problem));
        }
        let peer = Peer::of(function_uri, self.ssl_verify).ok_or_else(not_callable)?;
        Ok(kept(peer, self.keepalive_pool, self.keepalive_timeout))
    }

    /// The API key as it is sent.
    pub(super) fn api_key(&self) -> Result<Option<HeaderValue>, Invalid> {
        let Some(key) = &self.authorization.apikey else {
            return Ok(None);
        };
        let field = "authorization.apikey";
        if key.is_empty() {
            return Err(Invalid::new(field, "must not be empty"));
        }
        // The header's bytes stay in the secret, which wipes itself with the last copy of the header.
        let bytes = bytes::Bytes::from_owner(Owned(key.clone()));
        let mut value = HeaderValue::from_maybe_shared(bytes)
            .map_err(|_invalid| Invalid::new(field, "holds characters that cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// As whom calls are signed, if they are.
    pub(super) fn identity(&self, uri: &Uri, site: &Site<'_>) -> Result<Option<Identity>, Invalid> {
        let Some(iam) = &self.authorization.iam else {
            return Ok(None);
        };
        let (service, region) = scope_of(uri.host().unwrap_or_default());
        let service = iam.service.as_deref().unwrap_or(service);
        let region = match iam.aws_region.as_deref().or(region) {
            Some(region) => region.to_owned(),
            None => site.shared.aws.region().unwrap_or_else(|| "us-east-1".to_owned()),
        };
        check_in_scope(REGION, &region)?;
        check_in_scope(SERVICE, service)?;
        let provider = iam.who().provider(&region, site)?;
        Ok(Some(Identity::new(Signer::new(&region, service), provider)))
    }
}

impl Iam {
    fn who(&self) -> Who<'_> {
        Who {
            access_key: ("authorization.iam.accesskey", self.accesskey.as_ref()),
            secret_key: ("authorization.iam.secretkey", self.secretkey.as_ref()),
            session_token: ("authorization.iam.session_token", self.session_token.as_ref()),
            assumes: Assumes {
                arn: ("authorization.iam.assume_role_arn", self.assume_role_arn.as_deref()),
                session_name: ("authorization.iam.role_session_name", self.role_session_name.as_deref()),
                external_id: ("authorization.iam.role_external_id", self.role_external_id.as_ref()),
                sts_endpoint: ("authorization.iam.sts_endpoint_url", self.sts_endpoint_url.as_deref()),
            },
        }
    }
}

/// The service at `host`, and the region that it is in if the host is one of AWS's: `ID.execute-api.REGION.amazonaws.com`,
/// `ID.lambda-url.REGION.on.aws`.
fn scope_of(host: &str) -> (&'static str, Option<&str>) {
    let host = host.trim_end_matches('.');
    let known = [".amazonaws.com", ".amazonaws.com.cn", ".on.aws"];
    let Some(labels) = known.iter().find_map(|domain| host.strip_suffix(domain)) else {
        return ("execute-api", None);
    };
    let mut labels = labels.rsplit('.');
    let region = labels.next();
    match labels.next() {
        Some("lambda-url" | "lambda") => ("lambda", region),
        Some("execute-api") => ("execute-api", region),
        _ => ("execute-api", None),
    }
}

fn not_callable() -> Invalid {
    Invalid::new("function_uri", "must be an absolute http or https address, such as https://HOST/path")
}

/// A secret, as the owner of bytes.
struct Owned(SecretValue);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

fn yes() -> bool {
    true
}

fn default_timeout() -> u64 {
    3000
}

fn default_max_body() -> u64 {
    64 * 1024 * 1024
}

const REGION: &str = "authorization.iam.aws_region";
const SERVICE: &str = "authorization.iam.service";
