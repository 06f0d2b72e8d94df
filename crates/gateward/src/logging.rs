//! The log: to stderr, a line an event.
//!
//! A line that cannot be written, because who read the log is gone or its disk is full, is lost and counted. Nothing else
//! may come of it: not to the request that had something to say, and not to the process.

use std::error::Error;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;

/// Starts to log what `filter` lets through.
pub fn start(filter: &str) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Log(io::stderr()))
        // It would tell of a line that was not written where that was not written, and panic.
        .log_internal_errors(false)
        .with_ansi(false)
        .try_init()
        .map_err(|error| -> Box<dyn Error> { error })
}

/// How many lines could not be written.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The log, to whoever writes an event.
struct Log<W>(W);

impl<W: Write> Write for Log<W> {
    /// Takes all of it, or all of it is lost: half a line is no line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.write_all(line).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Who writes to stderr is never told more by this than by the write before.
        let _ = self.0.flush();
        Ok(())
    }
}

static LOST: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_no_error() {
        let before = lost();
        let mut log = Log(Full);
        assert!(log.write_all(b"a line\n").is_ok() && log.flush().is_ok());
        assert_eq!(lost(), before + 1);
        let mut kept = Log(Vec::new());
        kept.write_all(b"a line\n").expect("it is written");
        assert_eq!((kept.0.as_slice(), lost()), (b"a line\n".as_slice(), before + 1));
    }
}
