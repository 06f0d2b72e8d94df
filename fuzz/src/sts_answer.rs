//! Answers of STS: bytes of any kind are a session, an identity, or neither; what was written in XML's escapes is read
//! as it was.
//!
//! The input is taken for an answer; and its lines for the fields of one.

use gateward_aws::readers::{identity, refusal, session};
use http::StatusCode;

pub(crate) fn run(input: &[u8]) {
    if let Ok(session) = session(input) {
        let of = session.credentials;
        let fields = [of.access_key.as_str(), of.secret_key.expose()];
        assert!(fields.iter().all(|field| !field.is_empty()), "half a key is none");
        assert!(of.session_token.is_some_and(|token| !token.expose().is_empty()));
    }
    if let Ok(identity) = identity(input) {
        let fields = [identity.account, identity.arn, identity.user_id];
        assert!(fields.iter().all(|field| !field.is_empty()), "half an identity is none");
    }
    for status in [400, 403, 429, 500] {
        let status = StatusCode::from_u16(status).expect("it is a status");
        let said = refusal(status, input).to_string();
        assert!(said.len() < 400, "a refusal is a sentence: {said}");
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.lines().map(str::trim);
    let [Some(key), Some(secret), Some(token)] = [lines.next(), lines.next(), lines.next()] else { return };
    let [key_xml, secret_xml, token_xml] = [key, secret, token].map(escaped);
    let xml = format!(
        "<AssumeRoleResult><Credentials><AccessKeyId>{key_xml}</AccessKeyId><SecretAccessKey>{secret_xml}\
         </SecretAccessKey><SessionToken>{token_xml}</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleResult>"
    );
    match session(xml.as_bytes()) {
        Ok(read) => {
            assert_eq!(read.credentials.access_key, key);
            assert_eq!(read.credentials.secret_key.expose(), secret);
            assert_eq!(
                read.credentials.session_token.as_ref().map(gateward_seal::SecretValue::expose),
                Some(token)
            );
        }
        Err(_) => assert!([key, secret, token].contains(&""), "{xml}"),
    }
}

/// `text` as XML has it: the five signs by their names, and what is not ASCII by its number.
fn escaped(text: &str) -> String {
    let mut xml = String::new();
    for sign in text.chars() {
        match sign {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            sign if sign.is_ascii() => xml.push(sign),
            sign => xml.push_str(&format!("&#x{:x};", u32::from(sign))),
        }
    }
    xml
}
