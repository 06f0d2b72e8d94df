//! The little of DER (X.690) that certificates and keys are read with: one element after the other.

/// What the sequence at the beginning of `der` holds, and what comes after it.
pub fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    element(der, SEQUENCE)
}

/// What the element at the beginning of `der` holds, and what comes after it, if its tag is `tag`.
pub fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        short @ ..=0x7f => (usize::from(short), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(length)), rest)
        }
        // No key and no certificate is that long.
        _ => return None,
    };
    (found == tag).then_some(rest.split_at_checked(length)?)
}

/// The fields of a certificate from its validity on (RFC 5280, `TBSCertificate`): validity, subject, public key.
pub fn certificate_from_validity(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = sequence(der)?;
    let (mut fields, _) = sequence(certificate)?;
    // The version may be left out; what follows it is always there: serial number, algorithm, issuer.
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    fields = element(fields, INTEGER)?.1;
    for _ in 0..2 {
        fields = sequence(fields)?.1;
    }
    Some(fields)
}

/// The tag of a whole number.
pub const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
