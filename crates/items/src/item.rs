//! What is known of an item in the open.

use gateward_clock::Timestamp;
use gateward_model::ItemName;
use gateward_seal::FragmentId;
use serde::{Deserialize, Serialize};

use crate::ItemError;

/// An item, without anything secret of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its full name.
    pub name: ItemName,
    /// The rest, as it stands under that name.
    pub record: Record,
}

/// What stands under an item's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// A number of its own, as Akeyless clients expect.
    pub id: u64,
    /// What it is.
    pub kind: ItemKind,
    /// Whether it gives values.
    #[serde(default)]
    pub state: ItemState,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For people, and to list by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether deletion is refused.
    #[serde(default)]
    pub delete_protection: bool,
    /// When it was made, in milliseconds since the epoch.
    #[serde(default)]
    pub created: u64,
    /// When it was last changed, in milliseconds since the epoch.
    #[serde(default)]
    pub modified: u64,
    /// Its versions that are kept, the newest last. Empty for kinds that have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ItemVersion>,
    /// The highest number that a version had which was deleted; 0 if none was. No version has it again: who has seen that
    /// one would take the other for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deleted_version: u64,
    /// How many versions are kept.
    #[serde(default)]
    pub max_versions: usize,
    /// What a static secret's value is.
    #[serde(default)]
    pub format: Format,
    /// The number of the target that a rotated secret is a secret of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// What new values of it are sealed with, if somebody chose that. Of a key, what it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
}

/// The customer fragment that somebody chose for an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Which one.
    pub fragment: FragmentId,
    /// The key by whose name it was chosen, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ItemName>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A value that somebody put there.
    StaticSecret,
    /// Credentials that a producer makes.
    DynamicSecret,
    /// A value that a producer replaces from time to time.
    RotatedSecret,
    /// What a rotated secret is a secret of.
    Target,
    /// A name for a customer fragment.
    Key,
}

impl ItemKind {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::StaticSecret => "static secret",
            Self::DynamicSecret => "dynamic secret",
            Self::RotatedSecret => "rotated secret",
            Self::Target => "target",
            Self::Key => "key",
        }
    }
}

/// Whether an item gives values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemState {
    /// It does.
    #[default]
    Enabled,
    /// It does not.
    Disabled,
}

/// A version of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemVersion {
    /// 1, 2, 3 …
    pub number: u64,
    /// When it was made, in milliseconds since the epoch.
    pub created: u64,
}

/// Which version of a secret is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Current,
    /// The one before the newest.
    Previous,
    /// The one with this number.
    Number(u64),
}

/// What a static secret's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Text.
    #[default]
    Text,
    /// A JSON document.
    Json,
    /// A JSON object whose values are texts.
    KeyValue,
}

impl Record {
    /// A new item of `kind`, made `now`, with a number of its own.
    pub fn new(kind: ItemKind, now: Timestamp) -> Self {
        Self {
            // 52 bits, so that every JSON reader keeps it exact.
            id: fastrand::u64(1..1 << 52),
            kind,
            state: ItemState::Enabled,
            description: None,
            tags: Vec::new(),
            delete_protection: false,
            created: now.millis(),
            modified: now.millis(),
            versions: Vec::new(),
            deleted_version: 0,
            max_versions: 0,
            format: Format::Text,
            target: None,
            protection: None,
        }
    }

    /// The fragment that new values are sealed with, if somebody chose one.
    pub fn fragment(&self) -> Option<&FragmentId> {
        self.protection.as_ref().map(|protection| &protection.fragment)
    }

    /// The number of the newest version; 0 if there is none.
    pub fn last_version(&self) -> u64 {
        self.versions.last().map_or(0, |version| version.number)
    }

    /// Lets go of the version `number`.
    pub fn delete_version(&mut self, number: u64, now: Timestamp) {
        self.versions.retain(|version| version.number != number);
        self.deleted_version = self.deleted_version.max(number);
        self.modified = now.millis();
    }

    /// Adds a version, and says its number and which others are no longer kept: those beyond
    /// [`Record::max_versions`], and the one before unless `keep_previous`.
    pub fn add_version(&mut self, now: Timestamp, keep_previous: bool) -> (u64, Vec<u64>) {
        let mut gone = Vec::new();
        let last = self.last_version();
        if !keep_previous {
            self.versions.retain(|version| version.number != last);
            gone.push(last);
        }
        let number = last.max(self.deleted_version) + 1;
        self.modified = now.millis();
        self.versions.push(ItemVersion { number, created: now.millis() });
        let too_old = self.versions.len().saturating_sub(self.max_versions.max(1));
        gone.extend(self.versions.drain(..too_old).map(|version| version.number));
        (number, gone)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Item {
    /// The number of the version that is meant.
    pub fn version(&self, which: Which) -> Result<u64, ItemError> {
        let versions = &self.record.versions;
        let found = match which {
            Which::Current => versions.last(),
            Which::Previous => versions.len().checked_sub(2).and_then(|place| versions.get(place)),
            Which::Number(number) => versions.iter().find(|version| version.number == number),
        };
        let missing = || {
            let numbers: Vec<_> = versions.iter().map(|version| version.number.to_string()).collect();
            let version = match which {
                Which::Current => "at all".to_owned(),
                Which::Previous => "before its newest".to_owned(),
                Which::Number(number) => number.to_string(),
            };
            ItemError::NoVersion {
                name: self.name.clone(),
                version,
                has: format!("it has {}", numbers.join(", ")),
            }
        };
        found.map(|version| version.number).ok_or_else(missing)
    }

    /// Refuses an item that is switched off.
    pub fn check_enabled(&self) -> Result<(), ItemError> {
        match self.record.state {
            ItemState::Enabled => Ok(()),
            ItemState::Disabled => Err(ItemError::Disabled(self.name.clone())),
        }
    }

    /// Refuses an item that must not be deleted.
    pub fn check_unprotected(&self) -> Result<(), ItemError> {
        if self.record.delete_protection { Err(ItemError::Protected(self.name.clone())) } else { Ok(()) }
    }
}
