//! From when until when certificates are valid.
//!
//! It changes nothing about what is shown: an old certificate is better than none, and clients look for themselves. But
//! somebody should hear of it before they do.

use gateward_clock::Timestamp;
use gateward_model::apisix::Ssl;
use gateward_model::der::{certificate_from_validity, element, sequence};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    from: Timestamp,
    until: Timestamp,
}

/// What a person should know of `ssl` though nothing is wrong with it: certificates of it that are not valid at `now`.
pub fn warnings(ssl: &Ssl, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, pair) in ssl.pairs.iter().enumerate() {
        let field = if at == 0 { "cert".to_owned() } else { format!("certs[{}]", at - 1) };
        // What is behind a reference is looked at by whoever has it.
        let first = CertificateDer::pem_slice_iter(pair.chain.as_bytes()).next();
        let Some(validity) = first.and_then(Result::ok).and_then(|first| Validity::of(&first)) else {
            continue;
        };
        if now > validity.until {
            let until = validity.until;
            warnings.push(format!("{field}: it expired at {until}, and clients will refuse it; replace it"));
        } else if now < validity.from {
            let from = validity.from;
            warnings
                .push(format!("{field}: it is not valid before {from}; clients will refuse it until then"));
        }
    }
    warnings
}

impl Validity {
    fn of(der: &[u8]) -> Option<Self> {
        let (validity, _) = sequence(certificate_from_validity(der)?)?;
        let (from, rest) = moment(validity)?;
        let (until, _) = moment(rest)?;
        Some(Self { from, until })
    }
}

/// A moment as certificates write it (RFC 5280, 4.1.2.5), and what comes after it.
fn moment(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    if let Some((text, rest)) = element(der, UTC_TIME) {
        let year = number(text.get(..2)?)?;
        let century = if year < 50 { 2000 } else { 1900 };
        return Some((timestamp(century + year, &text[2..])?, rest));
    }
    let (text, rest) = element(der, GENERALIZED_TIME)?;
    Some((timestamp(number(text.get(..4)?)?, &text[4..])?, rest))
}

/// `MMDDHHMMSSZ` of `year`; what was before 1970 is 1970.
fn timestamp(year: u64, text: &[u8]) -> Option<Timestamp> {
    if text.len() != 11 || text[10] != b'Z' {
        return None;
    }
    let part = |at: usize| number(&text[at..at + 2]);
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March here, so that a leap day is the last one of its year.
    let (year, month) = if month < 3 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.saturating_sub(DAYS_UNTIL_1970);
    Some(Timestamp::from_secs(((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// From March of the year 0 on.
const DAYS_UNTIL_1970: u64 = 719_468;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_both_forms() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some("1970-01-01T00:00:00Z")),
            (UTC_TIME, "240229235959Z", Some("2024-02-29T23:59:59Z")),
            (UTC_TIME, "000301000000Z", Some("2000-03-01T00:00:00Z")),
            (UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (UTC_TIME, "500101000000Z", Some("1970-01-01T00:00:00Z")),
            (GENERALIZED_TIME, "21000228120000Z", Some("2100-02-28T12:00:00Z")),
            (GENERALIZED_TIME, "29991231235959Z", Some("2999-12-31T23:59:59Z")),
            (UTC_TIME, "241301000000Z", None),
            (UTC_TIME, "2402290000Z", None),
            (UTC_TIME, "24022900000+Z", None),
            (GENERALIZED_TIME, "", None),
        ] {
            let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
            der.extend(text.as_bytes());
            let read = moment(&der).map(|(moment, _)| moment.rfc3339());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
