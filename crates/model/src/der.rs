//! The little of DER (X.690) that certificates and keys are read with: one element after the other.

/// What the sequence at the beginning of `der` holds, and what comes after it.
pub fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    element(der, SEQUENCE)
}

/// What the element at the beginning of `der` holds, and what comes after it, if its tag is `tag`.
pub fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(found, ..)| *found == tag).map(|(_, inside, rest)| (inside, rest))
}

/// The tag of the element at the beginning of `der`, what it holds, and what comes after it.
pub fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
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
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((tag, inside, rest))
}

/// The fields of a certificate (RFC 5280, `TBSCertificate`).
pub struct Certificate<'d> {
    /// Its number.
    pub serial: &'d [u8],
    /// Whose authority has made it.
    pub issuer: &'d [u8],
    /// All that follows: validity, subject, public key.
    pub from_validity: &'d [u8],
}

impl<'d> Certificate<'d> {
    /// The fields of the certificate in `der`.
    pub fn read(der: &'d [u8]) -> Option<Self> {
        let (certificate, _) = sequence(der)?;
        let (mut fields, _) = sequence(certificate)?;
        // The version may be left out; what follows it is always there: serial number, algorithm, issuer.
        if let Some((_, rest)) = element(fields, VERSION) {
            fields = rest;
        }
        let (serial, fields) = element(fields, INTEGER)?;
        let (_algorithm, fields) = sequence(fields)?;
        let (issuer, from_validity) = sequence(fields)?;
        Some(Self { serial, issuer, from_validity })
    }
}

/// The fields of a certificate from its validity on: validity, subject, public key.
pub fn certificate_from_validity(der: &[u8]) -> Option<&[u8]> {
    Certificate::read(der).map(|certificate| certificate.from_validity)
}

/// The tag of a whole number.
pub const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
