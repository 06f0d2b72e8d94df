//! The engine against a world that lies, breaks and dies.

mod contention;
mod deletions;
mod forgetting;
mod histories;
mod holds;
mod jumps;
mod kill_nine;
mod outage;
mod outside;
mod people;
mod race;
mod requests;
mod sentences;
mod slow;
mod status;
mod transactions;
mod turn_histories;
mod turns;
mod world;

/// Turns of the runtimes after which nothing moves any more that need not wait for the clock.
const SETTLE: usize = 300;
