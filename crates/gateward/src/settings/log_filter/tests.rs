//! What a filter lets through, and which words are none.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;

use super::*;

/// What of an audit line, an error, a warning, information and a debug line of the leases is written.
fn written(filter: &str) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let filter = EnvFilter::try_new(filter.parse::<LogFilter>().unwrap().into_text()).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(log, || {
        tracing::info!(target: "audit", "<A>");
        tracing::error!(target: "gateward_proxy", "<E>");
        tracing::warn!(target: "gateward_proxy", "<W>");
        tracing::info!(target: "gateward_proxy", "<I>");
        tracing::debug!(target: "gateward_leases::engine", "<D>");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    ["A", "E", "W", "I", "D"].into_iter().filter(|mark| text.contains(&format!("<{mark}>"))).collect()
}

#[test]
fn a_level_is_for_all_but_the_audit_which_only_its_own_name_switches_off() {
    for (filter, lines) in [
        ("info", "AEWI"),
        ("WARN", "AEW"),
        ("error", "AE"),
        ("off", "A"),
        ("trace", "AEWID"),
        ("warn,audit=off", "EW"),
        ("off, audit=off", ""),
        ("error,audit=info", "AE"),
        ("gateward_leases=debug", "AEWID"),
        ("warn,gateward_leases=debug", "AEWD"),
        ("info,gateward_proxy=error", "AE"),
    ] {
        assert_eq!(written(filter), lines, "{filter}");
    }
    assert_eq!("info".parse::<LogFilter>().unwrap(), LogFilter::default());
}

#[test]
fn a_word_that_is_no_level_is_refused_with_those_that_there_are() {
    for wrong in [
        "inf",
        "eror",
        "verbose",
        "nonsense=",
        "gateward_leases=debg",
        "=info",
        "info,",
        "",
        "info,warn",
        "a[b]=info",
        "3",
    ] {
        let error = wrong.parse::<LogFilter>().unwrap_err().to_string();
        assert!(
            error.contains("error, warn, info, debug or trace") && error.contains("target=level"),
            "{wrong}: {error}"
        );
    }
    let error = "info,audit=warn".parse::<LogFilter>().unwrap_err().to_string();
    assert!(error.contains("audit=off"), "{error}");
}
