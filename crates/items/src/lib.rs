//! The tree of items, and static secrets in it.
//!
//! An item is a named thing: `/databases/orders/password`. What is known of it in the open (its kind, when it was made,
//! its tags) stands in one record under its name, whatever its kind; that is what lists show. What is secret of it
//! stands elsewhere, sealed: a static secret's values here, a dynamic secret's producer with the leases. Folders are
//! not kept: a folder is there as long as an item is in it.

mod error;
mod item;
mod static_secret;
mod tree;

pub use error::ItemError;
pub use item::{Format, Item, ItemKind, ItemState, ItemVersion};
pub use static_secret::{MOST_VERSIONS, NewStaticSecret, StaticSecrets, Which};
pub use tree::{ListQuery, Page, Standing, Tree};
