//! The configuration of `aws-lambda`, and what is wrong with one.

use gateward_aws::Credentials;
use gateward_aws::sigv4::Signer;
use gateward_model::Invalid;
use gateward_net::Peer;
use gateward_seal::SecretValue;
use http::{HeaderValue, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::holds_reference;

/// The configuration as APISIX has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Settings {
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
    // The pool has limits of its own; these two are checked, so that a configuration that works there works here.
    keepalive_pool: Option<u64>,
    keepalive_timeout: Option<u64>,
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
    accesskey: SecretValue,
    // APISIX's own documentation calls it by both names.
    #[serde(alias = "secret_key")]
    secretkey: SecretValue,
    #[serde(default = "default_region")]
    aws_region: String,
    #[serde(default = "default_service")]
    service: String,
}

/// The JSON schema of the settings.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["function_uri"],
        "properties": {
            "function_uri": {"type": "string"},
            "authorization": {
                "type": "object",
                "properties": {
                    "apikey": {"type": "string"},
                    "iam": {
                        "type": "object",
                        "required": ["accesskey", "secretkey"],
                        "properties": {
                            "accesskey": {"type": "string"},
                            "secretkey": {"type": "string"},
                            "aws_region": {"type": "string", "default": "us-east-1"},
                            "service": {"type": "string", "default": "execute-api"},
                        },
                    },
                },
            },
            "timeout": {"type": "integer", "minimum": 100, "default": 3000},
            "ssl_verify": {"type": "boolean", "default": true},
            "keepalive": {"type": "boolean", "default": true},
            "keepalive_pool": {"type": "integer", "minimum": 1, "default": 5},
            "keepalive_timeout": {"type": "integer", "minimum": 1000, "default": 60_000},
            "max_req_body_size": {"type": "integer", "minimum": 1, "default": 67_108_864},
        },
    })
}

impl Settings {
    /// Reads `json`, and checks all that is not a text.
    pub(super) fn read(json: &Value) -> Result<Self, Invalid> {
        let iam = &json["authorization"]["iam"];
        if iam.get("secretkey").is_some() && iam.get("secret_key").is_some() {
            let problem = "is another name of secretkey, which is set too; drop one";
            return Err(Invalid::new("authorization.iam.secret_key", problem));
        }
        let settings: Self = gateward_model::parse(json)?;
        at_least("timeout", Some(settings.timeout), 100)?;
        at_least("keepalive_pool", settings.keepalive_pool, 1)?;
        at_least("keepalive_timeout", settings.keepalive_timeout, 1000)?;
        at_least("max_req_body_size", Some(settings.max_req_body_size), 1)?;
        Ok(settings)
    }

    /// Checks each text that is not a reference yet to be replaced.
    pub(super) fn check(&self) -> Result<(), Invalid> {
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
        for (field, text) in iam.fields() {
            if !holds_reference(text) {
                check_iam_field(field, text)?;
            }
        }
        Ok(())
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
        Peer::of(function_uri, self.ssl_verify).ok_or_else(not_callable)
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

    /// What signs calls, and in whose name.
    pub(super) fn iam(&self) -> Result<Option<(Signer, Credentials)>, Invalid> {
        let Some(iam) = &self.authorization.iam else {
            return Ok(None);
        };
        for (field, text) in iam.fields() {
            check_iam_field(field, text)?;
        }
        let credentials = Credentials {
            access_key: iam.accesskey.expose().to_owned(),
            secret_key: iam.secretkey.clone(),
            session_token: None,
        };
        Ok(Some((Signer::new(&iam.aws_region, &iam.service), credentials)))
    }
}

impl Iam {
    fn fields(&self) -> [(&'static str, &str); 4] {
        [
            ("accesskey", self.accesskey.expose()),
            ("secretkey", self.secretkey.expose()),
            ("aws_region", &self.aws_region),
            ("service", &self.service),
        ]
    }
}

fn check_iam_field(field: &str, text: &str) -> Result<(), Invalid> {
    let problem = if text.is_empty() {
        "must not be empty"
    } else if field == "accesskey" && !text.bytes().all(is_in_credential) {
        "must be printable ASCII without commas and slashes, as AWS makes them"
    } else if matches!(field, "aws_region" | "service") && !text.bytes().all(is_in_scope) {
        "must be lower-case letters, digits and hyphens, such as us-east-1 or execute-api"
    } else {
        return Ok(());
    };
    Err(Invalid::new(format!("authorization.iam.{field}"), problem))
}

/// An access key is written into a header between `=` and `/`, and a comma ends that part. Beyond that it may be
/// anything: the documents people paste from have `<access key>` there.
fn is_in_credential(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && !b",/".contains(&byte)
}

fn is_in_scope(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn not_callable() -> Invalid {
    Invalid::new("function_uri", "must be an absolute http or https address, such as https://HOST/path")
}

fn at_least(field: &str, value: Option<u64>, least: u64) -> Result<(), Invalid> {
    match value {
        Some(value) if value < least => Err(Invalid::new(field, format!("must be at least {least}"))),
        _ => Ok(()),
    }
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

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_service() -> String {
    "execute-api".to_owned()
}
