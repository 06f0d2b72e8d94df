//! The settings of a function that is called by its name: Kong's, under the same names, and a few more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gateward_model::Invalid;
use gateward_net::{ForwardProxy, Peer, Scheme};
use gateward_seal::SecretValue;
use http::{HeaderValue, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::event::{Encode, Form, Forward};
use super::super::identity::{Assumes, Who};
use super::super::settings::{at_least, check_in_scope, kept};
use super::function::{Function, check_qualifier};
use crate::{Site, holds_reference};

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(in super::super) struct Settings {
    function_name: String,
    pub(super) qualifier: Option<String>,
    #[serde(default)]
    pub(super) invocation_type: InvocationType,
    #[serde(default)]
    invoke_mode: InvokeMode,
    #[serde(default)]
    pub(super) log_type: LogType,
    #[serde(default)]
    pub(super) forward_log_result: bool,

    aws_key: Option<SecretValue>,
    aws_secret: Option<SecretValue>,
    aws_session_token: Option<SecretValue>,
    aws_region: Option<String>,
    aws_assume_role_arn: Option<String>,
    aws_role_session_name: Option<String>,
    aws_role_external_id: Option<SecretValue>,
    aws_sts_endpoint_url: Option<String>,

    host: Option<String>,
    port: Option<u16>,
    #[serde(default)]
    disable_https: bool,
    #[serde(default = "yes")]
    ssl_verify: bool,
    /// It may hold a password.
    proxy_url: Option<SecretValue>,
    /// Milliseconds, until the head of the answer and then between parts of its body.
    #[serde(default = "default_timeout")]
    pub(super) timeout: u64,
    /// Milliseconds that a connection may be idle; what Kong calls it.
    keepalive: Option<u64>,
    keepalive_pool: Option<u64>,
    keepalive_timeout: Option<u64>,
    pub(super) concurrency: Option<u32>,
    pub(super) max_req_body_size: Option<u64>,

    #[serde(default)]
    forward_request_method: bool,
    #[serde(default)]
    forward_request_uri: bool,
    #[serde(default)]
    forward_request_headers: bool,
    #[serde(default)]
    forward_request_body: bool,
    awsgateway_compatible: Option<bool>,
    awsgateway_compatible_payload_version: Option<PayloadVersion>,
    payload_version: Option<PayloadVersion>,
    base64_encode_body: Option<bool>,

    #[serde(default)]
    pub(super) is_proxy_integration: bool,
    unhandled_status: Option<u16>,
    #[serde(default)]
    pub(super) preserve_lambda_api_error_code: bool,

    // Taken, so that what works in Kong works here, and of no effect: no body is ever dropped for its size, no JSON is
    // written anew, and which version of the metadata service is asked is for the whole process to say.
    #[serde(rename = "skip_large_bodies")]
    _skip_large_bodies: Option<bool>,
    #[serde(rename = "empty_arrays_mode")]
    _empty_arrays_mode: Option<EmptyArrays>,
    #[serde(rename = "aws_imds_protocol_version")]
    _aws_imds_protocol_version: Option<MetadataVersion>,
}

/// Whether a call waits for what the function returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum InvocationType {
    /// It does.
    #[default]
    RequestResponse,
    /// It only hands the event over.
    Event,
    /// It only finds out whether it might call.
    DryRun,
}

/// How a function's answer comes, in AWS's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum InvokeMode {
    #[default]
    Buffered,
    ResponseStream,
}

/// Whether the end of the function's log is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum LogType {
    #[default]
    None,
    Tail,
}

/// Which of API Gateway's forms an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum PayloadVersion {
    #[serde(rename = "1.0")]
    Rest,
    #[serde(rename = "2.0")]
    HttpApi,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EmptyArrays {
    Legacy,
    Correct,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MetadataVersion {
    V1,
    V2,
}

impl InvocationType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestResponse => "RequestResponse",
            Self::Event => "Event",
            Self::DryRun => "DryRun",
        }
    }
}

impl Settings {
    /// Reads `json`, and checks all that is not a text.
    pub(in super::super) fn read(json: &Value) -> Result<Self, Invalid> {
        let settings: Self = gateward_model::parse(&without_nulls(json))?;
        at_least("timeout", Some(settings.timeout), 1)?;
        at_least("keepalive", settings.keepalive, 1)?;
        at_least("keepalive_pool", settings.keepalive_pool, 1)?;
        at_least("keepalive_timeout", settings.keepalive_timeout, 1000)?;
        at_least("concurrency", settings.concurrency.map(u64::from), 1)?;
        at_least("max_req_body_size", settings.max_req_body_size, 1)?;
        at_least("port", settings.port.map(u64::from), 1)?;
        settings.unhandled_status()?;
        settings.check_combinations()?;
        Ok(settings)
    }

    fn check_combinations(&self) -> Result<(), Invalid> {
        if self.keepalive.is_some() && self.keepalive_timeout.is_some() {
            return Err(Invalid::new(
                "keepalive",
                "is another name of keepalive_timeout, which is set too; drop one",
            ));
        }
        if self.is_streamed() && self.invocation_type == InvocationType::Event {
            return Err(Invalid::new(
                "invoke_mode",
                "nothing is streamed by a call that waits for no answer",
            ));
        }
        match (self.payload_version, self.awsgateway_compatible_payload_version) {
            (Some(ours), Some(kongs)) if ours != kongs => {
                let problem = "is another name of awsgateway_compatible_payload_version, which says otherwise; drop one";
                Err(Invalid::new("payload_version", problem))
            }
            (Some(_), _) if self.awsgateway_compatible == Some(false) => Err(Invalid::new(
                "payload_version",
                "is of no use while awsgateway_compatible is false; drop one",
            )),
            _ => Ok(()),
        }
    }

    /// Checks each text that is not a reference yet to be replaced.
    pub(in super::super) fn check(&self) -> Result<(), Invalid> {
        if !holds_reference(&self.function_name) {
            let function = self.function()?;
            if let (Some(named), Some(region)) = (function.region, self.literal_region())
                && named != region
            {
                let problem = "is not the region that the function's ARN names; drop it";
                return Err(Invalid::new("aws_region", problem));
            }
        }
        if let Some(qualifier) = self.qualifier.as_deref().filter(|text| !holds_reference(text)) {
            check_qualifier(qualifier)?;
        }
        if let Some(region) = self.literal_region() {
            check_in_scope("aws_region", region)?;
        }
        if !self.host.as_deref().is_some_and(holds_reference) {
            self.endpoint("us-east-1")?;
        }
        if !self.proxy_url.as_ref().is_some_and(|url| holds_reference(url.expose())) {
            self.proxy()?;
        }
        self.who().check()
    }

    fn literal_region(&self) -> Option<&str> {
        self.aws_region.as_deref().filter(|text| !holds_reference(text))
    }

    pub(super) fn function(&self) -> Result<Function<'_>, Invalid> {
        Function::parse(&self.function_name)
    }

    /// The region: that of the function's ARN, or the one that is set, or the one that this process is in.
    pub(super) fn region(&self, function: &Function<'_>, site: &Site<'_>) -> Result<String, Invalid> {
        let own = function.region.or(self.aws_region.as_deref()).map(str::to_owned);
        let region = own.or_else(|| site.shared.aws.region()).ok_or_else(|| {
            let problem = "is required: neither the function's name nor the process's environment (AWS_REGION) says the region";
            Invalid::new("aws_region", problem)
        })?;
        check_in_scope("aws_region", &region)?;
        Ok(region)
    }

    /// Whom to call for a function in `region`, and how.
    pub(super) fn peer(&self, region: &str) -> Result<Peer, Invalid> {
        let peer = self.endpoint(region)?;
        let peer = match self.proxy()? {
            Some(proxy) => peer.with_proxy(proxy),
            None => peer,
        };
        Ok(kept(peer, self.keepalive_pool, self.keepalive_timeout.or(self.keepalive)))
    }

    fn endpoint(&self, region: &str) -> Result<Peer, Invalid> {
        let scheme = if self.disable_https { Scheme::Http } else { Scheme::Https };
        let host = match &self.host {
            Some(host) => host.clone(),
            // The regions in China are a world of their own, with a domain of its own.
            None if region.starts_with("cn-") => format!("lambda.{region}.amazonaws.com.cn"),
            None => format!("lambda.{region}.amazonaws.com"),
        };
        let wrong =
            || Invalid::new("host", "must be a host name or an address, without scheme, port and path");
        let authority: http::uri::Authority = match host.parse::<std::net::Ipv6Addr>() {
            Ok(_) => format!("[{host}]").parse().map_err(|_| wrong())?,
            Err(_) => host.parse().map_err(|_| wrong())?,
        };
        if authority.host() != authority.as_str() || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Peer::new(scheme, authority.host(), self.port.unwrap_or(443), self.ssl_verify))
    }

    /// Whom the calls go through.
    fn proxy(&self) -> Result<Option<ForwardProxy>, Invalid> {
        let Some(url) = &self.proxy_url else { return Ok(None) };
        let proxy = forward_proxy(url.expose()).ok_or_else(|| {
            let problem = "must be http://[user:password@]host[:port], without a path";
            Invalid::new("proxy_url", problem)
        });
        proxy.map(Some)
    }

    pub(super) fn who(&self) -> Who<'_> {
        Who {
            access_key: ("aws_key", self.aws_key.as_ref()),
            secret_key: ("aws_secret", self.aws_secret.as_ref()),
            session_token: ("aws_session_token", self.aws_session_token.as_ref()),
            assumes: Assumes {
                arn: ("aws_assume_role_arn", self.aws_assume_role_arn.as_deref()),
                session_name: ("aws_role_session_name", self.role_session_name()),
                external_id: ("aws_role_external_id", self.aws_role_external_id.as_ref()),
                sts_endpoint: ("aws_sts_endpoint_url", self.aws_sts_endpoint_url.as_deref()),
            },
        }
    }

    /// Kong's tools write its default out where there is no role, too.
    fn role_session_name(&self) -> Option<&str> {
        self.aws_role_session_name.as_deref().filter(|_| self.aws_assume_role_arn.is_some())
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.invoke_mode == InvokeMode::ResponseStream
    }

    /// The form of events. Kong's field for the version says nothing about whether there is one; ours does.
    pub(super) fn form(&self) -> Form {
        let version = self.payload_version.or(self.awsgateway_compatible_payload_version);
        match (self.awsgateway_compatible.unwrap_or(self.payload_version.is_some()), version) {
            (true, Some(PayloadVersion::HttpApi)) => Form::HttpApi,
            (true, _) => Form::Rest,
            (false, _) => Form::Kong(Forward {
                method: self.forward_request_method,
                uri: self.forward_request_uri,
                headers: self.forward_request_headers,
                body: self.forward_request_body,
            }),
        }
    }

    pub(super) fn encode(&self) -> Encode {
        match self.base64_encode_body {
            None => Encode::AsNeeded,
            Some(true) => Encode::Always,
            Some(false) => Encode::OnlyBytes,
        }
    }

    pub(super) fn unhandled_status(&self) -> Result<Option<StatusCode>, Invalid> {
        let status = |code| crate::answer::status("unhandled_status", code, 400, 599);
        self.unhandled_status.map(status).transpose()
    }
}

/// The proxy that `url` names. A user and a password are percent-encoded there, as in every URL.
fn forward_proxy(url: &str) -> Option<ForwardProxy> {
    let rest = url.strip_prefix("http://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
    let uri: Uri = format!("http://{host}").parse().ok()?;
    let peer = Peer::of(&uri, true).filter(|_| uri.path() == "/" && uri.query().is_none())?;
    let authorization = match user {
        None => None,
        Some(user) => {
            let plain = Zeroizing::new(percent_decode_str(user).collect::<Vec<u8>>());
            let basic = Zeroizing::new(format!("Basic {}", BASE64.encode(&*plain)));
            Some(HeaderValue::try_from(basic.as_str()).ok()?)
        }
    };
    // 3128 is the port of proxies only by habit; a URL's own default is 80.
    Some(ForwardProxy::new(peer.host(), peer.port(), authorization))
}

/// What is written out as null is not set: Kong's tools write all fields.
fn without_nulls(json: &Value) -> Value {
    let mut json = json.clone();
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    json
}

fn yes() -> bool {
    true
}

fn default_timeout() -> u64 {
    60_000
}
