//! Customer fragments: second halves of the encryption key that its owner keeps and the store never sees.
//!
//! A fragment is given to the gateway at its start and stays in its memory. What is sealed with one opens only where
//! both halves are: the root key and that fragment.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::SecretValue;

/// Names a fragment: `cf-` and up to 64 letters, digits, `-` or `_`. No secret; records are kept with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FragmentId(Arc<str>);

/// A fragment, with what people call it. Prints without its value.
#[derive(Clone)]
pub struct Fragment {
    id: FragmentId,
    name: String,
    description: String,
    value: Zeroizing<Vec<u8>>,
}

/// The fragments that the gateway was given.
#[derive(Clone, Debug, Default)]
pub struct Fragments(Vec<Fragment>);

/// Why fragments cannot be taken. Nothing of a value is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentsError {
    /// Not the form of a list of fragments.
    #[error(
        "customer fragments are JSON: {{\"customer_fragments\": [{{\"id\": \"cf-…\", \"value\": \"…\"}}]}}, or the list \
         alone"
    )]
    Form,
    /// Not the form of an id.
    #[error("customer fragment number {0}: the id is cf- and then 1 to 64 letters, digits, - or _")]
    Id(usize),
    /// The value is none.
    #[error("customer fragment {0}: the value is at least 32 bytes in base64, and at most 1024")]
    Value(FragmentId),
    /// Two of one id: nobody could tell which is meant.
    #[error(
        "customer fragment {0}: there are two with this id; keep the one that the secrets were sealed with"
    )]
    Twice(FragmentId),
    /// The one that everything is to be sealed with is not among them.
    #[error("the default customer fragment {0} is none of those that were given")]
    NoDefault(FragmentId),
}

impl Fragments {
    /// Reads what `gen-customer-fragment` writes and the vendor's files hold; text with nothing in it is no fragments.
    pub fn parse(text: &str) -> Result<Self, FragmentsError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Table(Table),
            List(Vec<Entry>),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            // The vendor's documents misspell it in places.
            #[serde(default, alias = "customer_fragements")]
            customer_fragments: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            id: String,
            value: SecretValue,
            #[serde(default)]
            name: Option<String>,
            #[serde(default)]
            description: Option<String>,
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // The parser's own words would quote what it read.
        let written: Written = serde_json::from_str(text).map_err(|_| FragmentsError::Form)?;
        let entries = match written {
            Written::Table(Table { customer_fragments }) => customer_fragments,
            Written::List(entries) => entries,
        };
        let mut fragments: Vec<Fragment> = Vec::with_capacity(entries.len());
        for (place, Entry { id, value, name, description }) in entries.into_iter().enumerate() {
            let id = FragmentId::try_from(id).map_err(|NoFragmentId| FragmentsError::Id(place + 1))?;
            let value = STANDARD.decode(value.expose().trim()).map(Zeroizing::new);
            let value = value.ok().filter(|value| (SHORTEST..=LONGEST).contains(&value.len()));
            let value = value.ok_or_else(|| FragmentsError::Value(id.clone()))?;
            if fragments.iter().any(|other| other.id == id) {
                return Err(FragmentsError::Twice(id));
            }
            let (name, description) = (name.unwrap_or_default(), description.unwrap_or_default());
            fragments.push(Fragment { id, name, description, value });
        }
        Ok(Self(fragments))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Fragment> {
        self.0.iter()
    }

    /// Whether there is one called `id`.
    pub fn contains(&self, id: &FragmentId) -> bool {
        self.0.iter().any(|fragment| fragment.id == *id)
    }
}

impl Fragment {
    /// A new one of 256 random bits, that nobody can guess.
    pub fn generate(name: &str, description: &str) -> Self {
        let mut value = Zeroizing::new(vec![0; SHORTEST]);
        let mut id = [0; 10];
        let random = SystemRandom::new();
        random
            .fill(&mut value)
            .and_then(|()| random.fill(&mut id))
            .expect("the operating system has randomness");
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let id = FragmentId(format!("cf-{id}").into());
        Self { id, name: name.to_owned(), description: description.to_owned(), value }
    }

    /// What it is called in records.
    pub fn id(&self) -> &FragmentId {
        &self.id
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What people say of it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Tells values apart and gives nothing of them away: half of a hash of 256 random bits.
    pub fn hash(&self) -> String {
        let hash = digest(&SHA256, &self.value);
        hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The value, for whoever is to keep it.
    pub fn value_text(&self) -> SecretValue {
        SecretValue::new(STANDARD.encode(&*self.value))
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Fragment").field(&self.id).finish()
    }
}

/// Not the form of a fragment's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a customer fragment's id is cf- and then 1 to 64 letters, digits, - or _")]
pub struct NoFragmentId;

impl FragmentId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FragmentId {
    type Error = NoFragmentId;

    fn try_from(text: String) -> Result<Self, NoFragmentId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match text.strip_prefix("cf-") {
            Some(rest) if (1..=64).contains(&rest.len()) && rest.bytes().all(allowed) => {
                Ok(Self(text.into()))
            }
            _ => Err(NoFragmentId),
        }
    }
}

impl std::str::FromStr for FragmentId {
    type Err = NoFragmentId;

    fn from_str(text: &str) -> Result<Self, NoFragmentId> {
        Self::try_from(text.to_owned())
    }
}

impl From<FragmentId> for String {
    fn from(id: FragmentId) -> Self {
        (*id.0).to_owned()
    }
}

impl fmt::Display for FragmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

const SHORTEST: usize = 32;
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests;
