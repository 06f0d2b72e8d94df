//! Signs that a value is not what its vault has now: an upstream has refused it, or the vault itself says so.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Resolver;
use super::probe::Probe;
use crate::backend::Doubt;
use crate::reference::Reference;

impl Resolver {
    /// An upstream refused a request (401, 403) that used the values of `references`: they may have changed. Asks
    /// their vaults, at most once in 30 s for each value. Callable from any thread: it waits for nothing.
    pub fn refused(&self, references: &[Reference]) {
        let now = self.clock.now();
        let doubted = references.iter().filter(|reference| reference.doubt(now, DOUBTED_EVERY));
        let doubted: Vec<_> = doubted.cloned().collect();
        if !doubted.is_empty() {
            self.under_way.begin();
            if self.doubts.try_send(Doubt::Refused(doubted)).is_err() {
                // Where nobody can keep up with the doubts, one more tells nothing new.
                self.under_way.end();
            }
        }
    }

    fn doubt(&self, doubt: &Doubt) {
        let mut state = self.lock();
        let now = self.clock.now();
        match doubt {
            Doubt::Secret { vault, name } => state.doubt_all(vault, name, now),
            Doubt::Refused(references) => {
                for reference in references {
                    let (probe, looked_at) = state.probe(reference, now);
                    if let (Probe::Known(Ok(_)), Some(key)) = (probe, looked_at.last()) {
                        state.doubt(key, now, DOUBTED_EVERY);
                    }
                }
            }
        }
        self.finish(state);
    }
}

/// Takes doubts in for as long as the resolver lives.
pub(super) async fn hear_doubts(resolver: Weak<Resolver>, mut doubted: mpsc::Receiver<Doubt>) {
    while let Some(doubt) = doubted.recv().await {
        let Some(resolver) = resolver.upgrade() else { return };
        resolver.doubt(&doubt);
        if matches!(doubt, Doubt::Refused(_)) {
            resolver.under_way.end();
        }
    }
}

/// How often a value is asked for at most because an upstream refused it.
const DOUBTED_EVERY: Duration = Duration::from_secs(30);

/// How many doubts may wait.
pub(super) const DOUBTS: usize = 256;
