//! For people who write custom producers: small HTTP services that make and unmake credentials on demand.
//!
//! A gateway calls a producer three ways: *create* (somebody wants a credential), *revoke* (its time is over) and,
//! if the producer can, *rotate* (the producer's own secret is to be replaced). The protocol is the one that Akeyless
//! publishes for custom dynamic secrets, so that a producer written for one works with the other; the fields that
//! Gateward adds are optional on both sides.
//!
//! A producer is a type that implements [`Producer`]; [`run`] makes a program of it, which is a server, or a Lambda
//! function where it finds itself in one, and takes its settings from the environment. `examples/thirty_lines.rs` is a
//! whole producer; `users_file.rs` and `lets_encrypt` there are larger ones. [`Server`], [`Function`] and [`Verifier`] are
//! the parts, for whoever wants to put them together otherwise; [`testing`] (a feature) plays the gateway.
//!
//! ```no_run
//! use gateward_producer_sdk::{
//!     CreateRequest, CreateResponse, Failure, Producer, RevokeRequest, RevokeResponse, run,
//! };
//!
//! struct Echo;
//!
//! impl Producer for Echo {
//!     async fn create(&self, request: CreateRequest) -> Result<CreateResponse, Failure> {
//!         Ok(CreateResponse::new(request.unique_name("echo-"), request.input))
//!     }
//!
//!     async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
//!         Ok(RevokeResponse::all(request.ids))
//!     }
//! }
//!
//! # async fn program() -> Result<(), gateward_producer_sdk::RunError> {
//! run(Echo).await
//! # }
//! ```
#![forbid(unsafe_code)]

mod desk;
mod function;
mod jwks;
mod producer;
mod protocol;
mod run;
mod server;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod verifier;
mod web;

pub use function::{Function, RuntimeApiError};
pub use jwks::{Jwk, Jwks, JwksError};
pub use producer::{Failure, Producer};
pub use protocol::{
    CREDENTIALS_HEADER, Capabilities, ClientInfo, CreateRequest, CreateResponse, DRY_RUN_ACCESS_ID,
    ListRequest, ListResponse, Operation, Payload, RevokeRequest, RevokeResponse, RotateRequest,
    RotateResponse, random_password,
};
pub use run::{RunError, SettingsError, run, run_with};
pub use server::{BindError, Handle, Server};
pub use token::{Attaches, Call, Claims, Expected, LONGEST_LIFE_SECONDS, Refused, TOKEN_TYPE, verify};
pub use verifier::{Verifier, VerifyError};
pub use web::{NoCertificate, Web, WebError};
