//! Why something could not be done with an item.

use gateward_model::{Invalid, ItemName};
use gateward_store::{CommitError, StoreError};

/// Why something could not be done with an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// There is an item of that name.
    #[error("item {0} already exists; delete it first, or choose another name")]
    Exists(ItemName),
    /// There is no item of that name.
    #[error("item {0} does not exist")]
    Missing(ItemName),
    /// It has no such version.
    #[error("item {name} has no version {version}; {has}")]
    NoVersion {
        /// The item.
        name: ItemName,
        /// What was asked for.
        version: String,
        /// Which it has, for people.
        has: String,
    },
    /// It is an item of another kind.
    #[error("item {name} is a {kind} and not a {wanted}")]
    Kind {
        /// The item.
        name: ItemName,
        /// What it is.
        kind: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// An operator has switched it off.
    #[error("item {0} is disabled; enable it with set-item-state")]
    Disabled(ItemName),
    /// Deletion is refused until delete_protection is off.
    #[error("item {0} is protected from deletion (delete_protection)")]
    Protected(ItemName),
    /// Somebody else changed it at the same time.
    #[error("item {0} has changed in the meantime; try again")]
    Changed(ItemName),
    /// Something else is there because of it.
    #[error("item {name} is in use by {by}; {todo}")]
    InUse {
        /// The item.
        name: ItemName,
        /// What uses it.
        by: ItemName,
        /// What to do first.
        todo: &'static str,
    },
    /// A value would go to another place.
    #[error(
        "url: the value of {by} would be sent there from now on, and not where {name} is; an administrator may change it, and \
         anybody may make another target"
    )]
    Taken {
        /// The target.
        name: ItemName,
        /// What is rotated there.
        by: ItemName,
    },
    /// What was sent is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The record cannot be opened.
    #[error("the record of item {item} cannot be opened: {why}")]
    Sealed {
        /// The item: its name, or its number where nothing else is known.
        item: String,
        /// Why, without anything secret.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ItemError {
    /// What a failed commit about the item `name` means, where a conflict means `conflict`.
    pub(crate) fn of_commit(error: CommitError, conflict: impl FnOnce() -> Self) -> Self {
        match error {
            CommitError::Conflict { .. } => conflict(),
            CommitError::Store(error) => error.into(),
        }
    }
}
