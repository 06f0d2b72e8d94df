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
//!
//! With a customer fragment the format is another one, and both halves make the key:
//!
//! ```text
//! record     = format (2) ‖ root key id (8) ‖ id of both (8) ‖ length (1) ‖ fragment id ‖ random ‖ nonce ‖ ciphertext ‖ tag
//! record key = HKDF-SHA256(root key ‖ customer fragment, info = length ‖ purpose ‖ id of both ‖ length ‖ fragment id ‖ random)
//! ```

use std::fmt;

use ring::aead::{self, AES_256_GCM, Aad, LessSafeKey, Nonce};
use ring::hkdf::{self, HKDF_SHA256, Prk};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{FragmentId, Fragments, FragmentsError, RootKey};

/// Seals and opens, and derives keys for other uses. Holds what it needs of the root key, and of the customer fragments,
/// for as long as it lives.
pub struct Sealer {
    root: Prk,
    id: KeyId,
    both: Vec<BothHalves>,
    /// Which of them seals what nobody chose a key for.
    default: Option<usize>,
    random: SystemRandom,
}

/// The root key and a customer fragment together.
struct BothHalves {
    fragment: FragmentId,
    prk: Prk,
    id: KeyId,
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The customer fragment that it was sealed with was not given.
    #[error(
        "sealed with the customer fragment {fragment}, which this gateway was not given; start it with that fragment"
    )]
    MissingFragment {
        /// Which one.
        fragment: FragmentId,
    },
    /// The customer fragment of that name is another one now.
    #[error(
        "sealed with another value of the customer fragment {fragment} than this gateway was given; start it with that one"
    )]
    OtherFragment {
        /// Which one.
        fragment: FragmentId,
    },
    /// It was changed, or it was sealed for another purpose or place.
    #[error("the sealed record does not open: it was altered, or it was sealed for another purpose or place")]
    Altered,
}

impl Sealer {
    /// Takes the root key over. It opens nothing that was sealed with a customer fragment.
    #[expect(clippy::needless_pass_by_value, reason = "the caller is to keep no copy; the key is wiped here")]
    pub fn new(root_key: RootKey) -> Self {
        let (root, id) = extracted(root_key.bytes(), "root key id");
        Self { root, id, both: Vec::new(), default: None, random: SystemRandom::new() }
    }

    /// The same with `fragments`, of which `default` seals what nobody chose another for.
    pub fn with_fragments(
        root_key: RootKey,
        fragments: &Fragments,
        default: Option<&FragmentId>,
    ) -> Result<Self, FragmentsError> {
        let mut both = Vec::new();
        for fragment in fragments.iter() {
            let mut halves =
                Zeroizing::new(Vec::with_capacity(root_key.bytes().len() + fragment.value().len()));
            halves.extend_from_slice(root_key.bytes());
            halves.extend_from_slice(fragment.value());
            let (prk, id) = extracted(&halves, "root key and customer fragment id");
            both.push(BothHalves { fragment: fragment.id().clone(), prk, id });
        }
        let place = |id: &FragmentId| {
            let place = both.iter().position(|halves| halves.fragment == *id);
            place.ok_or_else(|| FragmentsError::NoDefault(id.clone()))
        };
        let default = default.map(place).transpose()?;
        Ok(Self { both, default, ..Self::new(root_key) })
    }

    /// Which root key this is.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// The fragment that seals what nobody chose another for.
    pub fn default_fragment(&self) -> Option<&FragmentId> {
        self.default.map(|place| &self.both[place].fragment)
    }

    /// Whether the fragment called `id` was given.
    pub fn has_fragment(&self, id: &FragmentId) -> bool {
        self.both.iter().any(|halves| halves.fragment == *id)
    }

    /// Seals `plaintext`, to be opened for the same purpose at the same place; with the default fragment, if there is one.
    pub fn seal(&self, purpose: &str, place: &Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        self.sealed(self.default.map(|default| &self.both[default]), purpose, place, plaintext)
    }

    /// The same with the root key alone, for what the gateway itself must be able to read at any start.
    pub fn seal_without_fragment(&self, purpose: &str, place: &Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        self.sealed(None, purpose, place, plaintext)
    }

    /// The same with the fragment called `fragment`, which must have been given.
    pub fn seal_with(
        &self,
        fragment: &FragmentId,
        purpose: &str,
        place: &Place<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let halves = self.halves(fragment)?;
        Ok(self.sealed(Some(halves), purpose, place, plaintext))
    }

    fn sealed(
        &self,
        halves: Option<&BothHalves>,
        purpose: &str,
        place: &Place<'_>,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let random: [u8; RANDOM_BYTES] = self.random_bytes();
        let nonce: [u8; aead::NONCE_LEN] = self.random_bytes();

        // Sized before the plaintext goes in, so that growing leaves no copy of it behind.
        let fragment_bytes = halves.map_or(0, |halves| KEY_ID_BYTES + 1 + halves.fragment.as_str().len());
        let mut record = Vec::with_capacity(HEADER_BYTES + fragment_bytes + plaintext.len() + TAG_BYTES);
        record.push(if halves.is_some() { FORMAT_WITH_FRAGMENT } else { FORMAT });
        record.extend_from_slice(&self.id.0);
        if let Some(BothHalves { fragment, id, .. }) = halves {
            record.extend_from_slice(&id.0);
            let length = u8::try_from(fragment.as_str().len()).expect("an id is short");
            record.push(length);
            record.extend_from_slice(fragment.as_str().as_bytes());
        }
        record.extend_from_slice(&random);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(plaintext);

        let header = HEADER_BYTES + fragment_bytes;
        let tag = self
            .record_key(halves, purpose, &random)
            .seal_in_place_separate_tag(unique(&nonce), associated_data(place), &mut record[header..])
            .expect("no record is 64 gigabytes long");
        record.extend_from_slice(tag.as_ref());
        record
    }

    /// Opens what was sealed for the same purpose and place, with whichever fragment it was.
    pub fn open(
        &self,
        purpose: &str,
        place: &Place<'_>,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let ([format], rest) = record.split_first_chunk().ok_or(OpenError::Format)?;
        let (sealed_with, mut rest) = rest.split_first_chunk().ok_or(OpenError::Format)?;
        let fragment = match *format {
            FORMAT => None,
            FORMAT_WITH_FRAGMENT => {
                let (id, after) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(OpenError::Format)?;
                let ([length], after) = after.split_first_chunk().ok_or(OpenError::Format)?;
                let (name, after) = after.split_at_checked(usize::from(*length)).ok_or(OpenError::Format)?;
                let name: Option<FragmentId> =
                    std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                rest = after;
                Some((name.ok_or(OpenError::Format)?, KeyId(*id)))
            }
            _ => return Err(OpenError::Format),
        };
        let (random, rest) = rest.split_first_chunk().ok_or(OpenError::Format)?;
        let (nonce, sealed) = rest.split_first_chunk::<{ aead::NONCE_LEN }>().ok_or(OpenError::Format)?;
        if sealed.len() < TAG_BYTES {
            return Err(OpenError::Format);
        }
        if *sealed_with != self.id.0 {
            return Err(OpenError::OtherRootKey { sealed_with: KeyId(*sealed_with), ours: self.id });
        }
        let halves = match fragment {
            None => None,
            Some((fragment, id)) => {
                let halves = self.halves(&fragment)?;
                if halves.id != id {
                    return Err(OpenError::OtherFragment { fragment });
                }
                Some(halves)
            }
        };
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self
            .record_key(halves, purpose, random)
            .open_in_place(unique(nonce), associated_data(place), &mut opened)
            .map_err(|_| OpenError::Altered)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn halves(&self, fragment: &FragmentId) -> Result<&BothHalves, OpenError> {
        let found = self.both.iter().find(|halves| halves.fragment == *fragment);
        found.ok_or_else(|| OpenError::MissingFragment { fragment: fragment.clone() })
    }

    /// A key for another use than sealing (a token's signature, say); each purpose has its own.
    ///
    /// No record's key is ever the same: a record's derivation is 16 bytes longer than that of a purpose.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        expand(&self.root, &[&prefixed(purpose), &self.id.0])
    }

    /// The same from both halves, where a customer fragment seals what nobody chose a key for: whoever has the root key
    /// alone does not find it.
    pub fn derive_from_both(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        match self.default.map(|place| &self.both[place]) {
            Some(BothHalves { prk, id, .. }) => expand(prk, &[&prefixed(purpose), &id.0]),
            None => self.derive(purpose),
        }
    }

    fn random_bytes<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        self.random.fill(&mut bytes).expect("the operating system has randomness");
        bytes
    }

    fn record_key(
        &self,
        halves: Option<&BothHalves>,
        purpose: &str,
        random: &[u8; RANDOM_BYTES],
    ) -> LessSafeKey {
        let purpose = prefixed(purpose);
        let key = match halves {
            None => self
                .root
                .expand(&[&purpose[..], &self.id.0, random], &AES_256_GCM)
                .map(aead::UnboundKey::from),
            Some(BothHalves { fragment, prk, id }) => {
                let fragment = prefixed(fragment.as_str());
                prk.expand(&[&purpose[..], &id.0, &fragment, random], &AES_256_GCM)
                    .map(aead::UnboundKey::from)
            }
        };
        LessSafeKey::new(key.expect("one key is not too much for HKDF"))
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

/// What keys are derived from `secret` with, and what it can be told apart by.
fn extracted(secret: &[u8], id_purpose: &str) -> (Prk, KeyId) {
    let prk = hkdf::Salt::new(HKDF_SHA256, &[]).extract(secret);
    let mut id = [0; KEY_ID_BYTES];
    id.copy_from_slice(&expand(&prk, &[&prefixed(id_purpose)])[..KEY_ID_BYTES]);
    (prk, KeyId(id))
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
const FORMAT_WITH_FRAGMENT: u8 = 2;
const KEY_ID_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + RANDOM_BYTES + aead::NONCE_LEN;

#[cfg(test)]
mod tests;
