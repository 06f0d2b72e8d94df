//! The certificate that a client has shown, as API Gateway tells it: in PEM, and what stands in it in words.
//!
//! Functions decide by these words who may do what, so a name is written in one way only: what in a value could be taken
//! for the beginning of the next one is escaped (RFC 4514).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateward_model::der::{Certificate, any, element, sequence};
use serde::Serialize;

/// A client's certificate.
#[derive(Serialize)]
pub(super) struct ClientCertificate {
    #[serde(rename = "clientCertPem")]
    pem: String,
    #[serde(rename = "subjectDN")]
    subject: String,
    #[serde(rename = "issuerDN")]
    issuer: String,
    #[serde(rename = "serialNumber")]
    serial: String,
    validity: Validity,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Validity {
    not_before: String,
    not_after: String,
}

impl ClientCertificate {
    /// What stands in `der`; nothing, if it is no certificate.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::read(der)?;
        let (validity, rest) = sequence(certificate.from_validity)?;
        let (subject, _) = sequence(rest)?;
        let (not_before, rest) = moment(validity)?;
        let (not_after, _) = moment(rest)?;
        Some(Self {
            pem: pem(der),
            subject: name(subject)?,
            issuer: name(certificate.issuer)?,
            serial: serial(certificate.serial),
            validity: Validity { not_before, not_after },
        })
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 60);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        // Base64 is ASCII.
        pem.push_str(str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Short ones are written as numbers, and long ones byte by byte.
fn serial(bytes: &[u8]) -> String {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    if bytes.len() <= 8 {
        return bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)).to_string();
    }
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// A name, its parts in the order in which they stand: `C=US,O=Example,CN=client`.
fn name(mut der: &[u8]) -> Option<String> {
    let mut text = String::new();
    while !der.is_empty() {
        let (mut parts, rest) = element(der, SET)?;
        der = rest;
        let mut separator = if text.is_empty() { "" } else { "," };
        while !parts.is_empty() {
            let (part, others) = sequence(parts)?;
            parts = others;
            let (kind, value) = element(part, OBJECT_IDENTIFIER)?;
            let (tag, value, _) = any(value)?;
            text.push_str(separator);
            push_kind(&mut text, kind);
            text.push('=');
            push_value(&mut text, tag, value);
            separator = "+";
        }
    }
    Some(text)
}

fn push_kind(text: &mut String, kind: &[u8]) {
    if let Some((_, short)) = KINDS.iter().find(|(known, _)| *known == kind) {
        return text.push_str(short);
    }
    let (mut numbers, mut number) = (Vec::new(), 0u128);
    for byte in kind {
        number = number << 7 | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    // The first of them holds two.
    if let Some(first) = numbers.first().copied() {
        let root = (first / 40).min(2);
        numbers.splice(..1, [root, first - 40 * root]);
    }
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    text.push_str(&numbers.join("."));
}

fn push_value(text: &mut String, tag: u8, value: &[u8]) {
    let decoded = match tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING | NUMERIC_STRING => {
            str::from_utf8(value).ok().map(str::to_owned)
        }
        _ => None,
    };
    let Some(decoded) = decoded else {
        // Whatever it means, these are its bytes.
        text.push('#');
        for byte in value {
            // A string takes whatever is written to it.
            let _written = write!(text, "{byte:02x}");
        }
        return;
    };
    let last = decoded.chars().count().saturating_sub(1);
    for (place, letter) in decoded.chars().enumerate() {
        let is_special = "\"+,;<>\\=".contains(letter)
            || place == 0 && "# ".contains(letter)
            || place == last && letter == ' ';
        if is_special {
            text.push('\\');
        }
        text.push(letter);
    }
}

/// A moment, as `May 28 12:30:02 2019 GMT`, and what comes after it.
fn moment(der: &[u8]) -> Option<(String, &[u8])> {
    let (tag, text, rest) = any(der)?;
    let text = str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let (year, text) = match tag {
        UTC_TIME => {
            let (year, text) = text.split_at_checked(2)?;
            let century = if year < "50" { "20" } else { "19" };
            (format!("{century}{year}"), text)
        }
        GENERALIZED_TIME => {
            let (year, text) = text.split_at_checked(4)?;
            (year.to_owned(), text)
        }
        _ => return None,
    };
    if text.len() != 11 || !text.ends_with('Z') {
        return None;
    }
    let part = |at: usize| &text[at..at + 2];
    let month = MONTHS.get(part(0).parse::<usize>().ok()?.checked_sub(1)?)?;
    let day: u8 = part(2).parse().ok()?;
    Some((format!("{month} {day:2} {}:{}:{} {year} GMT", part(4), part(6), part(8)), rest))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What the kinds of parts are called that have short names.
const KINDS: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SerialNumber, date_time_ymd};
    use serde_json::{Value, json};

    use super::*;

    fn shown(params: &CertificateParams) -> Value {
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = ClientCertificate::read(certificate.der()).unwrap();
        let mut shown = serde_json::to_value(&read).unwrap();
        let pem = shown.as_object_mut().unwrap().shift_remove("clientCertPem").unwrap();
        assert_eq!(pem, certificate.pem().replace("\r\n", "\n"));
        shown
    }

    fn named(parts: &[(DnType, &str)]) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
        }
        params
    }

    #[test]
    fn a_certificate_is_told_as_api_gateway_tells_it() {
        let mut params = named(&[
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Example, Inc."),
            (DnType::CommonName, "client"),
        ]);
        params.serial_number = Some(SerialNumber::from(vec![0xa1; 16]));
        (params.not_before, params.not_after) = (date_time_ymd(2019, 5, 28), date_time_ymd(2121, 8, 5));
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![0; 300])];
        assert_eq!(
            shown(&params),
            json!({
                "subjectDN": "C=US,O=Example\\, Inc.,CN=client",
                "issuerDN": "C=US,O=Example\\, Inc.,CN=client",
                "serialNumber": (["a1"; 16].join(":")),
                "validity": {"notBefore": "May 28 00:00:00 2019 GMT", "notAfter": "Aug  5 00:00:00 2121 GMT"},
            })
        );
    }

    #[test]
    fn nobody_writes_another_part_into_a_value() {
        let mut params =
            named(&[(DnType::CommonName, " a,O=b+c\\"), (DnType::CustomDnType(vec![2, 5, 4, 12345]), "#x ")]);
        params.serial_number = Some(SerialNumber::from(vec![1]));
        let shown = shown(&params);
        assert_eq!(shown["subjectDN"], r"CN=\ a\,O\=b\+c\\,2.5.4.12345=\#x\ ");
        assert_eq!(shown["serialNumber"], "1");
    }

    #[test]
    fn what_is_no_certificate_is_not_told() {
        assert!(ClientCertificate::read(b"").is_none());
        let der = named(&[(DnType::CommonName, "c")]).self_signed(&KeyPair::generate().unwrap()).unwrap();
        for end in 0..der.der().len() {
            assert!(ClientCertificate::read(&der.der()[..end]).is_none(), "{end}");
        }
    }
}
