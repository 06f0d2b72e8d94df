//! Whoever is bound to references, and hears of their values.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gateward_seal::SecretValue;
use tokio::sync::Notify;

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
    asked: Asked,
    references: Arc<[Reference]>,
}

impl Binding {
    pub(super) fn new(id: u64, resolver: Weak<Resolver>, asked: Asked, references: Arc<[Reference]>) -> Self {
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
        self.asked.clone()
    }
}

/// Knows whether each reference of a [`Binding`] was asked for once.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Once>);

/// There is one for each binding, so it is small.
#[derive(Debug, Default)]
struct Once {
    is_over: AtomicBool,
    over: Notify,
}

impl Asked {
    /// Done when each reference was asked for once, and `changed` was told what came of it; or when the binding is over,
    /// so that nobody will ever be told.
    pub async fn done(self) {
        let mut over = pin!(self.0.over.notified());
        over.as_mut().enable();
        if !self.0.is_over.load(Ordering::Acquire) {
            over.await;
        }
    }

    fn is_over(&self) {
        if !self.0.is_over.swap(true, Ordering::AcqRel) {
            self.0.over.notify_waiters();
        }
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
    asked: Asked,
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
    pub(super) fn new(references: Arc<[Reference]>, changed: Changed) -> (Self, Asked) {
        let asked = Asked::default();
        (Self { references, changed, asked: asked.clone(), told: Mutex::default() }, asked)
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
                Told::Values(_) => {
                    if let Some(Told::Missing(unresolved)) = &*told {
                        tracing::info!(reference = %unresolved.reference, "a reference has a value now");
                    }
                    (self.changed)(Some(&values));
                }
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
        self.asked.is_over();
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.asked.is_over();
    }
}
