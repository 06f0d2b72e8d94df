//! The tree of items, and static secrets and targets in it.
//!
//! An item is a named thing: `/databases/orders/password`. What is known of it in the open (its kind, when it was made,
//! its tags) stands in one record under its name, whatever its kind; that is what lists show. What is secret of it
//! stands elsewhere, sealed: the values of static secrets and targets here, producers and what they rotate with the
//! leases. Folders are not kept: a folder is there as long as an item is in it.

mod error;
mod item;
mod static_secret;
mod target;
mod tree;
mod values;

pub use error::ItemError;
pub use item::{Format, Item, ItemKind, ItemState, ItemVersion, Protection, Record, Which};
pub use static_secret::{MOST_VERSIONS, NewStaticSecret, StaticSecrets};
pub use target::{TargetChange, Targets};
pub use tree::{ListQuery, Page, Standing, TRIES, Tree};
pub use values::Values;
