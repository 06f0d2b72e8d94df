//! Vaults: where secrets stand, so that no configuration holds one.
//!
//! A [`Reference`] names a secret in a vault. The [`Resolver`] asks the vault for it, keeps what it said, asks again
//! when that is due, and tells whoever is bound to it. It never forgets a good value because a vault is out of
//! order, and never makes one up.

mod backend;
mod dependencies;
mod entry;
mod reference;
mod resolver;
mod rules;
mod secret;
mod settings;
mod template;
mod unresolved;
mod vault;

pub use reference::{Overrides, Reference, ReferenceError, Version};
pub use resolver::{
    Asked, Binding, Changed, Clouds, Own, ReferenceState, Resolver, ResolverParts, ValueState, VaultCounts,
};
pub use template::Template;
pub use unresolved::{MissKind, Unresolved};
