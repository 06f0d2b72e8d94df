//! A public key, out of the PEM text that people have it in (RFC 7468, RFC 5280).
//!
//! Three texts are read: a `PUBLIC KEY`, an `RSA PUBLIC KEY`, and a `CERTIFICATE`, of which only the key counts: whether
//! it is still valid, and who issued it, is not asked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateward_model::der::{INTEGER, certificate_from_validity, element, sequence};

/// A public key, as signatures are verified with it.
#[derive(Debug, PartialEq)]
pub(super) struct PublicKey {
    pub(super) kind: KeyKind,
    /// An RSA key as PKCS #1 has it, else the bare point.
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl PublicKey {
    /// The key in `pem`, if it is of a kind that we know.
    pub(super) fn read(pem: &str) -> Option<Self> {
        let (_, rest) = pem.split_once("-----BEGIN ")?;
        let (label, rest) = rest.split_once("-----")?;
        let (base64, _) = rest.split_once("-----END ")?;
        let base64: String = base64.split_whitespace().collect();
        let der = STANDARD.decode(base64).ok()?;
        match label {
            "PUBLIC KEY" => Self::of_info(sequence(&der)?.0),
            "RSA PUBLIC KEY" => sequence(&der).map(|_| Self { kind: KeyKind::Rsa, bytes: der.clone() }),
            "CERTIFICATE" => Self::of_info(info_in_certificate(&der)?),
            _ => None,
        }
    }

    /// How many bytes the number has that an RSA key is about.
    pub(super) fn rsa_size(&self) -> Option<usize> {
        let (number, _) = element(sequence(&self.bytes)?.0, INTEGER)?;
        Some(number.strip_prefix(&[0]).unwrap_or(number).len())
    }

    /// The key in what a `SubjectPublicKeyInfo` holds.
    fn of_info(info: &[u8]) -> Option<Self> {
        let (algorithm, rest) = sequence(info)?;
        let (name, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
        let (bits, _) = element(rest, BIT_STRING)?;
        let (&0, bytes) = bits.split_first()? else { return None };
        let kind = match name {
            RSA => KeyKind::Rsa,
            ED25519 => KeyKind::Ed25519,
            ELLIPTIC_CURVE => match element(parameters, OBJECT_IDENTIFIER)?.0 {
                P256 => KeyKind::P256,
                P384 => KeyKind::P384,
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { kind, bytes: bytes.to_vec() })
    }
}

/// What the `SubjectPublicKeyInfo` of a certificate holds.
fn info_in_certificate(der: &[u8]) -> Option<&[u8]> {
    let (_validity, rest) = sequence(certificate_from_validity(der)?)?;
    let (_subject, rest) = sequence(rest)?;
    Some(sequence(rest)?.0)
}

const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const ELLIPTIC_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
