//! Vaults of every kind against the services that they are kept in: real ones where they can be had, else doubles that
//! answer as the vendors' documentation says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod aws;
mod azure;
mod conjur;
mod faults;
mod gateward;
mod gcp;
mod hcv;
mod hcv_faults;
mod hcv_logins;
mod hcv_renewal;
mod world;
