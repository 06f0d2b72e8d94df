//! Who may: the admin identity, logging in, and the tokens that logging in gives.
//!
//! An [`Authenticator`] knows one identity, the administrator's. [`Authenticator::login`] gives a token for its access
//! id and key, and [`Authenticator::verify`] says whose token a request carries.

mod admin;
mod authenticator;
mod permission;
mod tokens;

pub use admin::{AccessId, AdminIdentity, IdentityError};
pub use authenticator::{Authenticator, LoginError};
pub use permission::Permission;
pub use tokens::{Identity, Token, TokenError, Tokens};
