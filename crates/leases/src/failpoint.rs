//! Places where a test kills the process, to see what a crash there loses.
//!
//! Compiled in only for tests: for this crate's own, and with the feature `failpoints` for those of the binary. The
//! place is chosen by the environment variable `GATEWARD_FAILPOINT`; whoever reaches it dies as by `kill -9`.

/// Dies here, if a test has asked for it.
#[cfg(any(test, feature = "failpoints"))]
#[expect(clippy::disallowed_methods, reason = "a test's switch, and not a setting")]
pub(crate) fn reach(place: &str) {
    if std::env::var("GATEWARD_FAILPOINT").is_ok_and(|chosen| chosen == place) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Dies here, if a test has asked for it; not in this build.
#[cfg(not(any(test, feature = "failpoints")))]
pub(crate) fn reach(_place: &str) {}
