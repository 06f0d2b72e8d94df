//! For people who write custom producers: small HTTP services that make and unmake credentials on demand.
//!
//! A gateway calls a producer three ways: *create* (somebody wants a credential), *revoke* (its time is over) and,
//! if the producer can, *rotate* (the producer's own secret is to be replaced). The protocol is the one that Akeyless
//! publishes for custom dynamic secrets, so that a producer written for one works with the other; the fields that
//! Gateward adds are optional on both sides.
//!
//! A producer is a type that implements [`Producer`], a [`Verifier`] that knows which gateway may call, and a
//! [`Server`] that brings the two together. `examples/users_file.rs` is a whole one.
//!
//! ```no_run
//! use gateward_producer_sdk::{
//!     CreateRequest, CreateResponse, Failure, Producer, RevokeRequest, RevokeResponse, Server, Verifier,
//! };
//!
//! struct Echo;
//!
//! impl Producer for Echo {
//!     async fn create(&self, request: CreateRequest) -> Result<CreateResponse, Failure> {
//!         Ok(CreateResponse::new("id-1", request.input))
//!     }
//!
//!     async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
//!         Ok(RevokeResponse::all(request.ids))
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind("127.0.0.1:8090".parse()?).await?;
//! let keys = "http://127.0.0.1:8000/.well-known/jwks.json".parse()?;
//! server.serve(Echo, Verifier::with_jwks_url(keys, "p-1234")).await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod fetch;
mod jwks;
mod producer;
mod protocol;
mod server;
mod token;
mod verifier;

pub use fetch::FetchError;
pub use jwks::{Jwk, Jwks, JwksError};
pub use producer::{Failure, Producer};
pub use protocol::{
    CREDENTIALS_HEADER, ClientInfo, CreateRequest, CreateResponse, DRY_RUN_ACCESS_ID, Operation, Payload,
    RevokeRequest, RevokeResponse, RotateRequest, RotateResponse,
};
pub use server::{BindError, Handle, Server};
pub use token::{Attaches, Call, Claims, Expected, LONGEST_LIFE_SECONDS, Refused, TOKEN_TYPE, verify};
pub use verifier::{Verifier, VerifyError};
