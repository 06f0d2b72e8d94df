//! Makes a cloud id: whoever has credentials of AWS signs a request for `GetCallerIdentity`, and hands it over unsent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateward_aws::sigv4::{PayloadHash, Rules, SignError, SignedHeaders, Signer};
use gateward_aws::{Credentials, domain};
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::{HeaderValue, Request, header};
use serde_json::{Map, Value, json};

use crate::admin::random_bytes;
use crate::cloud_id::{BODY, FORM, NONCE_HEADER, SERVER_ID_HEADER};

/// Why there is no cloud id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// A region or a server's id that no header can hold.
    #[error("the region or the server's id has characters that cannot stand in a header")]
    Text,
    /// The signature failed.
    #[error("the request could not be signed")]
    Signature(#[from] SignError),
}

/// A cloud id by which whoever has `credentials` logs in from `now` on, for some minutes; for STS in `region`, or else for
/// its global endpoint. With `server_id` only at a gateway that calls itself so.
pub fn sign_cloud_id(
    credentials: &Credentials,
    region: Option<&str>,
    server_id: Option<&str>,
    now: Timestamp,
) -> Result<SecretValue, NotSigned> {
    let host = match region {
        Some(region) => format!("sts.{region}.{}", domain(region)),
        None => "sts.amazonaws.com".to_owned(),
    };
    let url = format!("https://{host}/");
    // Else two logins within one second would have one signature, and the second would be a repetition.
    let nonce: String = random_bytes::<12>().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut request = Request::post(&url)
        .header(header::HOST, &host)
        .header(header::CONTENT_TYPE, FORM)
        .header(NONCE_HEADER, nonce);
    if let Some(server_id) = server_id {
        let value = HeaderValue::from_str(server_id).map_err(|_| NotSigned::Text)?;
        request = request.header(SERVER_ID_HEADER, value);
    }
    let mut request = request.body(()).map_err(|_| NotSigned::Text)?;
    let rules = Rules { headers: SignedHeaders::All, ..Rules::of("sts") };
    Signer::with_rules(region.unwrap_or("us-east-1"), "sts", rules).sign(
        credentials,
        &mut request,
        PayloadHash::Bytes(BODY.as_bytes()),
        now,
    )?;
    let mut headers = Map::new();
    for (name, value) in request.headers() {
        let value = value.to_str().map_err(|_| NotSigned::Text)?;
        headers.insert(name.as_str().to_owned(), json!([value]));
    }
    let mut headers = Value::Object(headers);
    let whole = json!({
        "sts_request_method": "POST",
        "sts_request_url": STANDARD.encode(url),
        "sts_request_body": STANDARD.encode(BODY),
        "sts_request_headers": STANDARD.encode(headers.to_string()),
    });
    gateward_seal::wipe(&mut headers);
    Ok(SecretValue::new(STANDARD.encode(whole.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SignedRequest, Verifier};

    #[test]
    fn what_is_made_is_read() {
        let now = Timestamp::from_secs(1_800_000_000);
        let credentials = Credentials {
            access_key: "AKID".to_owned(),
            secret_key: "canary".into(),
            session_token: Some("canary+/=".into()),
        };
        for (region, host) in [
            (None, "sts.amazonaws.com"),
            (Some("eu-west-1"), "sts.eu-west-1.amazonaws.com"),
            (Some("us-gov-west-1"), "sts.us-gov-west-1.amazonaws.com"),
            (Some("cn-north-1"), "sts.cn-north-1.amazonaws.com.cn"),
        ] {
            let made = sign_cloud_id(&credentials, region, Some("ours"), now).unwrap();
            let verifier = Verifier { own_host: None, server_id: Some("ours") };
            let read = SignedRequest::parse(made.expose(), verifier, now).unwrap();
            assert_eq!(read.host, host);
            let other = sign_cloud_id(&credentials, region, Some("ours"), now).unwrap();
            let other = SignedRequest::parse(other.expose(), verifier, now).unwrap();
            assert_ne!(other.signature, read.signature, "both are good for a login");
        }
        assert_eq!(sign_cloud_id(&credentials, None, Some("a\nb"), now), Err(NotSigned::Text));
    }
}
