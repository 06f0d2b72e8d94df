//! Seals values before they reach the store.
//!
//! Each record has a key of its own, derived from the root key and from random bytes kept with the record, so no key
//! seals twice and no nonce can repeat under one. What a record is *for* (its purpose) goes into its key, and where
//! it *stands* (its place) is authenticated with it: a record that is copied to another row, put back to an older
//! version or read as something else does not open.
//!
//! ```text
//! record     = format (1) ‖ root key id (8) ‖ random (16) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//! record key = HKDF-SHA256(root key, info = length ‖ purpose ‖ root key id ‖ random)
//! sealed with AES-256-GCM, associated data = length ‖ table ‖ length ‖ key ‖ version
//! ```

use std::fmt;

use ring::aead::{self, AES_256_GCM, Aad, LessSafeKey, Nonce};
use ring::hkdf::{self, HKDF_SHA256, Prk};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::RootKey;

/// Seals and opens, and derives keys for other uses. Holds what it needs of the root key for as long as it lives.
pub struct Sealer {
    root: Prk,
    id: KeyId,
    random: SystemRandom,
}

/// Where a sealed record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The kind of record, for example `leases`.
    pub table: &'a str,
    /// Which one.
    pub key: &'a str,
    /// Which state of it.
    pub version: u64,
}

/// Tells root keys apart and gives nothing of them away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// Why a record does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is too short, or of a format that this version of Gateward does not know.
    #[error("this is no sealed record, or one of a format that this version does not know")]
    Format,
    /// The root key is not the one that it was sealed with.
    #[error(
        "sealed with another root key (id {sealed_with}); this gateway's has id {ours}, start it with the other"
    )]
    OtherRootKey {
        /// The one it was sealed with.
        sealed_with: KeyId,
        /// The one that was tried.
        ours: KeyId,
    },
    /// It was changed, or it was sealed for another purpose or place.
    #[error("the sealed record does not open: it was altered, or it was sealed for another purpose or place")]
    Altered,
}

impl Sealer {
    /// Takes the root key over.
    #[expect(clippy::needless_pass_by_value, reason = "the caller is to keep no copy; the key is wiped here")]
    pub fn new(root_key: RootKey) -> Self {
        let root = hkdf::Salt::new(HKDF_SHA256, &[]).extract(root_key.bytes());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&expand(&root, &[&prefixed("root key id")])[..KEY_ID_BYTES]);
        Self { root, id: KeyId(id), random: SystemRandom::new() }
    }

    /// Which root key this is.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// Seals `plaintext`, to be opened for the same purpose at the same place.
    pub fn seal(&self, purpose: &str, place: &Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        let random: [u8; RANDOM_BYTES] = self.random_bytes();
        let nonce: [u8; aead::NONCE_LEN] = self.random_bytes();

        // Sized before the plaintext goes in, so that growing leaves no copy of it behind.
        let mut record = Vec::with_capacity(HEADER_BYTES + plaintext.len() + TAG_BYTES);
        record.push(FORMAT);
        record.extend_from_slice(&self.id.0);
        record.extend_from_slice(&random);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(plaintext);

        let tag = self
            .record_key(purpose, &random)
            .seal_in_place_separate_tag(unique(&nonce), associated_data(place), &mut record[HEADER_BYTES..])
            .expect("no record is 64 gigabytes long");
        record.extend_from_slice(tag.as_ref());
        record
    }

    /// Opens what [`Sealer::seal`] returned for the same purpose and place.
    pub fn open(
        &self,
        purpose: &str,
        place: &Place<'_>,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let ([format], rest) = record.split_first_chunk().ok_or(OpenError::Format)?;
        let (sealed_with, rest) = rest.split_first_chunk().ok_or(OpenError::Format)?;
        let (random, rest) = rest.split_first_chunk().ok_or(OpenError::Format)?;
        let (nonce, sealed) = rest.split_first_chunk::<{ aead::NONCE_LEN }>().ok_or(OpenError::Format)?;
        if *format != FORMAT || sealed.len() < TAG_BYTES {
            return Err(OpenError::Format);
        }
        if *sealed_with != self.id.0 {
            return Err(OpenError::OtherRootKey { sealed_with: KeyId(*sealed_with), ours: self.id });
        }
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self
            .record_key(purpose, random)
            .open_in_place(unique(nonce), associated_data(place), &mut opened)
            .map_err(|_| OpenError::Altered)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    /// A key for another use than sealing (a token's signature, say); each purpose has its own.
    ///
    /// No record's key is ever the same: a record's derivation is 16 bytes longer than that of a purpose.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        expand(&self.root, &[&prefixed(purpose), &self.id.0])
    }

    fn random_bytes<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        self.random.fill(&mut bytes).expect("the operating system has randomness");
        bytes
    }

    fn record_key(&self, purpose: &str, random: &[u8; RANDOM_BYTES]) -> LessSafeKey {
        let purpose = prefixed(purpose);
        let info: [&[u8]; 3] = [&purpose, &self.id.0, random];
        let key = self.root.expand(&info, &AES_256_GCM).expect("one key is not too much for HKDF");
        LessSafeKey::new(key.into())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealer").field("key_id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Not secret: what is authenticated and not encrypted.
fn associated_data(place: &Place<'_>) -> Aad<Vec<u8>> {
    let mut data = prefixed(place.table);
    data.extend_from_slice(&prefixed(place.key));
    data.extend_from_slice(&place.version.to_be_bytes());
    Aad::from(data)
}

/// `text` behind its length, so that no two lists of texts have the same bytes.
fn prefixed(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn expand(root: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let expanded = root.expand(info, HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
    expanded.expect("one key is not too much for HKDF");
    key
}

/// Used once: with its record's key, which is used once.
fn unique(nonce: &[u8; aead::NONCE_LEN]) -> Nonce {
    Nonce::assume_unique_for_key(*nonce)
}

/// The first byte of a record; another layout gets another one.
const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + RANDOM_BYTES + aead::NONCE_LEN;

#[cfg(test)]
mod tests;
