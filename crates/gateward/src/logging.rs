//! The log: to stderr, a line an event.

use std::error::Error;
use std::io;

use tracing_subscriber::EnvFilter;

/// Starts to log what `filter` lets through.
pub fn start(filter: &str) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init()
        .map_err(|error| -> Box<dyn Error> { error })
}
