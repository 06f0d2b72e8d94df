//! The resources themselves: schema, validation, defaults, JSON form.
//!
//! A resource is kept as it was sent (APISIX writes no defaults back), and parsed into a type each time it is
//! read, by the same code that refused it when it was wrong.

pub mod apisix;
pub mod der;
pub mod failure;
mod go_duration;
mod invalid;
mod item;
mod json;
mod producer;
mod vault;

pub use failure::{ErrorStatus, Failure, Origin};
pub use go_duration::GoDuration;
pub use invalid::Invalid;
pub use item::{DynamicSecret, ItemName, ProducerCapabilities, ProducerUrl};
pub use json::{from_admin, parse, stands_twice};
pub use producer::{AwsSettings, CustomSettings, PostgresqlSettings, ProducerSettings};
pub use vault::Vault;
