//! The chain of credentials against doubles of every place that has some, and against moto's STS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod order;
mod profile_files;
mod roles;
mod sources;
mod world;
