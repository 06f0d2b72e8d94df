//! For tests: real peers started and stopped, doubles where there is no real one, canary secrets.
//!
//! It knows nothing of Gateward: what it starts are processes, what it speaks is HTTP. Everything blocks, so that any
//! test can call it, and everything that waits has a deadline. What goes wrong ends the test with a message that
//! says what was waited for and what came in its place; only what a test may want to judge for itself is a `Result`.
#![forbid(unsafe_code)]

pub mod http;
pub mod workspace;

mod authority;
mod canary;
mod credential_services;
mod deadline;
mod double;
mod function_endpoint;
mod moto;
mod openbao;
mod pebble;
mod port;
mod postgres;
mod process;
mod runtime_api;

pub use authority::{Authority, Identity};
pub use canary::{Canary, Leak, files_under};
pub use credential_services::{CredentialServices, Fault, Manners, TokenRequest};
pub use deadline::{Deadline, eventually};
pub use double::{Asked, Double, Reply};
pub use function_endpoint::FunctionEndpoint;
pub use moto::Moto;
pub use openbao::OpenBao;
pub use pebble::Pebble;
pub use port::{free_port, nobody};
pub use postgres::Postgres;
pub use process::{Line, Process, Stream};
pub use runtime_api::RuntimeApi;
