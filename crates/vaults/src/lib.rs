//! Vaults: where secrets stand, so that no configuration holds one.
//!
//! A [`Reference`] names a secret in a vault. The [`Resolver`] asks the vault for it, keeps what it said, asks again
//! when that is due, and tells whoever is bound to it. It never forgets a good value because a vault is out of
//! order, and never makes one up.

mod backend;
mod entry;
mod reference;
mod resolver;
mod secret;
mod settings;
mod unresolved;
mod vault;

pub use reference::{Overrides, Reference, ReferenceError};
pub use resolver::{Asked, Binding, Changed, Resolver, ResolverParts};
pub use unresolved::{MissKind, Unresolved};
