//! Envelope encryption, and types for secrets that cannot be printed.
//!
//! A [`RootKey`] is made or given once; a [`Sealer`] made from it seals each record for one purpose and one place, and
//! derives the keys of others. What must not be printed is a [`SecretValue`].

mod envelope;
mod fragments;
mod records;
mod root_key;
mod secret;

pub use envelope::{KeyId, OpenError, Place, Sealer};
pub use fragments::{Fragment, FragmentId, Fragments, FragmentsError, NoFragmentId};
pub use root_key::{Origin, RootKey, RootKeyError};
pub use secret::{SecretValue, wipe};
