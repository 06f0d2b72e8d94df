//! Who may: the admin identity, auth methods, logging in, the tokens that logging in gives, and gateway permissions.
//!
//! An [`Authenticator`] knows the administrator, whom the deployment has set, and a [`Directory`] of those who were added
//! while the gateway ran. [`Authenticator::login`] and [`Authenticator::login_with_aws`] give a token,
//! [`Authenticator::verify`] says whose token a request carries, and [`Authenticator::permits`] what they may.

mod admin;
pub mod allowed;
mod authenticator;
mod aws_iam;
mod cloud_id;
mod directory;
mod login_alarm;
mod own_cloud_id;
mod permission;
mod sts;
mod tokens;
mod wildcard;

pub use admin::{AccessId, AdminIdentity, IdentityError};
pub use allowed::{AllowedAccess, AllowedError, SubClaims};
pub use authenticator::{Authenticator, LoginError};
pub use aws_iam::AwsBounds;
pub use cloud_id::{NONCE_HEADER, NoCloudId, SERVER_ID_HEADER, SignedRequest, Verifier};
pub use directory::{AuthMethod, Directory, DirectoryError, Kept, MethodKind, OutOfReach};
pub use login_alarm::LoginAlarm;
pub use own_cloud_id::{NotSigned, sign_cloud_id};
pub use permission::{Need, Permission};
pub use sts::{Judge, NoEndpoint};
pub use tokens::{Identity, Token, TokenError, Tokens};
