//! Whoever is bound to references, and hears of their values.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use gateward_seal::SecretValue;
use tokio::sync::watch;

use super::Resolver;
use super::probe::{Given, Mark};
use crate::reference::Reference;
use crate::unresolved::Unresolved;

/// Hears of values: all of them, in order, or `None` when one is missing.
pub type Changed = Box<dyn Fn(Option<&[SecretValue]>) + Send + Sync>;

/// Keeps references fresh, and their values told, until it is dropped.
#[must_use = "a binding that is dropped is over"]
pub struct Binding {
    id: u64,
    resolver: Weak<Resolver>,
    asked: watch::Receiver<bool>,
    references: Arc<[Reference]>,
}

impl Binding {
    pub(super) fn new(
        id: u64,
        resolver: Weak<Resolver>,
        asked: watch::Receiver<bool>,
        references: Arc<[Reference]>,
    ) -> Self {
        Self { id, resolver, asked, references }
    }

    /// Whoever was shown the values refused them: see [`Resolver::refused`].
    pub fn refused(&self) {
        if let Some(resolver) = self.resolver.upgrade() {
            resolver.refused(&self.references);
        }
    }

    /// Whom to ask whether each reference was asked for once. It may be asked when the binding is long over.
    pub fn asked(&self) -> Asked {
        Asked(self.asked.clone())
    }
}

/// Knows whether each reference of a [`Binding`] was asked for once.
#[derive(Clone, Debug)]
pub struct Asked(watch::Receiver<bool>);

impl Asked {
    /// Done when each reference was asked for once, and `changed` was told what came of it.
    pub async fn done(mut self) {
        // An error means that the binding is over, so that nobody will ever be told.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        if let Some(resolver) = self.resolver.upgrade() {
            resolver.unbind(self.id);
        }
    }
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Binding({})", self.id)
    }
}

/// The resolver's side of a [`Binding`].
pub(super) struct Bound {
    references: Arc<[Reference]>,
    changed: Changed,
    asked: watch::Sender<bool>,
    /// What was told last. Held while telling, so that what is told last is what is true last.
    told: Mutex<Option<Told>>,
}

#[derive(PartialEq, Eq)]
enum Told {
    /// Which values. They themselves are not kept: a value that is replaced is to be wiped.
    Values(Vec<Mark>),
    Missing(Unresolved),
}

impl Bound {
    pub(super) fn new(references: Arc<[Reference]>, changed: Changed) -> (Self, watch::Receiver<bool>) {
        let (asked, receiver) = watch::channel(false);
        (Self { references, changed, asked, told: Mutex::default() }, receiver)
    }

    pub(super) fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Tells what `evaluate` finds, if it is not what was told last. Nothing is told before each reference was asked
    /// for, nor while one that is not there is being asked for.
    pub(super) fn tell(&self, evaluate: impl FnOnce(&[Reference]) -> Option<Result<Vec<Given>, Unresolved>>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(result) = evaluate(&self.references) else {
            return;
        };
        let (values, now) = match result {
            Ok(given) => {
                let (values, marks): (Vec<_>, Vec<_>) =
                    given.into_iter().map(|given| (given.value, given.mark)).unzip();
                (values, Told::Values(marks))
            }
            Err(unresolved) => (Vec::new(), Told::Missing(unresolved)),
        };
        if told.as_ref() != Some(&now) {
            match &now {
                Told::Values(_) => (self.changed)(Some(&values)),
                Told::Missing(unresolved) => {
                    let (class, reference) = (unresolved.kind.word(), &unresolved.reference);
                    tracing::warn!(%reference, class, problem = %unresolved.problem, "a reference has no value");
                    if !matches!(*told, Some(Told::Missing(_))) {
                        (self.changed)(None);
                    }
                }
            }
            *told = Some(now);
        }
        self.asked.send_replace(true);
    }
}
