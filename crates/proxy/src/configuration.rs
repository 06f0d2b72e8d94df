//! Keeps the snapshot that is served as new as the store, and as the files where files hold resources.
//!
//! One task on the control runtime watches both, reads what has changed, compiles a snapshot and puts it in the
//! place of the one before. A second one waits, in the same order, until each reference that is new with a snapshot
//! has been asked for once; only then does that revision count as applied, which is when a write is answered.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use gateward_clock::Clock;
use gateward_plugins::Shared;
use gateward_seal::Sealer;
use gateward_store::{Changes, Key, Revision, Store, StoreError};
use gateward_upstreams::Registry;
use gateward_vaults::{Asked, Resolver};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::declarative::{Declared, Following, Overlay, Refused};
use crate::gateway::Current;
use crate::snapshot::{Changed, Compiler, CompilerParts, Resources, Snapshot, Source, VAULTS, concerns};

/// What a [`Configuration`] is made of.
pub struct ConfigurationParts {
    /// Where the resources stand.
    pub store: Arc<dyn Store>,
    /// Opens them.
    pub sealer: Arc<Sealer>,
    /// Where plugins get their secrets.
    pub resolver: Arc<Resolver>,
    /// What plugins share.
    pub shared: Arc<Shared>,
    /// What is known of upstreams' nodes.
    pub registry: Arc<Registry>,
    /// Tells when to try again.
    pub clock: Arc<dyn Clock>,
    /// The control runtime.
    pub runtime: Handle,
}

/// Keeps the snapshot that is served as new as the store, until it is dropped.
pub struct Configuration {
    current: Arc<Current>,
    store: Arc<dyn Store>,
    resolver: Arc<Resolver>,
    applied: watch::Receiver<Option<Revision>>,
    /// The files that hold the resources, if files do.
    following: Option<Following>,
    tasks: [AbortHandle; 2],
}

impl Configuration {
    /// Begins to read `parts.store`. Until it has been read, what is served has no routes.
    pub fn start(parts: ConfigurationParts) -> Arc<Self> {
        Self::start_following(parts, None)
    }

    /// The same, with what the files own in the place of what the store has of that.
    pub fn start_following(parts: ConfigurationParts, following: Option<Following>) -> Arc<Self> {
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let (applied, watched) = watch::channel(None);
        let (settling, swapped) = mpsc::unbounded_channel();
        let files = following.as_ref().map(|following| {
            let mut declared = following.declared();
            let now = Arc::clone(&declared.borrow_and_update());
            let overlay = Overlay::new(Arc::clone(&parts.store), Arc::clone(&parts.sealer), &now);
            FromFiles { declared, overlay: Arc::new(overlay) }
        });
        let store: Arc<dyn Store> = match &files {
            Some(files) => Arc::clone(&files.overlay) as Arc<dyn Store>,
            None => Arc::clone(&parts.store),
        };
        let resolver = Arc::clone(&parts.resolver);
        let watcher = Watcher {
            source: Source { store, sealer: parts.sealer },
            files,
            clock: parts.clock,
            resolver: Arc::clone(&parts.resolver),
            compiler: Compiler::new(CompilerParts {
                resolver: parts.resolver,
                shared: parts.shared,
                registry: parts.registry,
            }),
            resources: Resources::default(),
            current: Arc::clone(&current),
            retired: Vec::new(),
            settling,
        };
        let tasks = [
            parts.runtime.spawn(watcher.run()).abort_handle(),
            parts.runtime.spawn(settle(swapped, applied)).abort_handle(),
        ];
        Arc::new(Self { current, store: parts.store, resolver, applied: watched, following, tasks })
    }

    /// Waits until a snapshot at least as new as `revision` is served and each reference that it brought has been
    /// asked for once; at most 5 s.
    pub async fn applied(&self, revision: Revision) {
        self.wait_for(revision, PATIENCE).await;
    }

    /// Waits until what the store holds now is applied, at most `patience`; what a function that was frozen does first. What
    /// files hold is looked at too, and is in force for the next event.
    pub async fn catch_up(&self, patience: Duration) {
        if let Some(following) = &self.following {
            following.look().await;
        }
        let caught_up = timeout(patience, async {
            match self.store.revision().await {
                Ok(revision) => self.wait_for(revision, patience).await,
                Err(error) => tracing::warn!(%error, "serving the configuration as last seen"),
            }
        });
        if caught_up.await.is_err() {
            tracing::warn!("serving the configuration as last seen: the store did not answer in time");
        }
    }

    /// Waits until the values of references that are due are what their vaults say now, and nobody is being asked any more.
    pub async fn values_caught_up(&self) {
        self.resolver.catch_up().await;
    }

    /// Whether what the store held at the start is served, and each reference in it has been asked for once.
    pub fn ready(&self) -> bool {
        self.applied.borrow().is_some()
    }

    /// What the files hold that hold the resources, if files do.
    pub fn declared(&self) -> Option<watch::Receiver<Arc<Declared>>> {
        self.following.as_ref().map(Following::declared)
    }

    /// Why what the files hold now is not in force, if it is not.
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.following.as_ref().and_then(Following::refused)
    }

    /// What gateways serve from.
    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current)
    }

    async fn wait_for(&self, revision: Revision, patience: Duration) {
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| applied.is_some_and(|applied| applied >= revision));
        if timeout(patience, reached).await.is_err() {
            tracing::warn!(revision = revision.0, "a change of the configuration is not applied yet");
        }
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The task that watches the store.
struct Watcher {
    source: Source,
    files: Option<FromFiles>,
    clock: Arc<dyn Clock>,
    resolver: Arc<Resolver>,
    compiler: Compiler,
    resources: Resources,
    current: Arc<Current>,
    /// Snapshots that are no longer served, but that a request may still hold. They are freed here, and not by the
    /// data thread whose request was the last.
    retired: Vec<Arc<Snapshot>>,
    settling: mpsc::UnboundedSender<Swapped>,
}

/// What comes from files: the source's store is the overlay.
struct FromFiles {
    declared: watch::Receiver<Arc<Declared>>,
    overlay: Arc<Overlay>,
}

impl FromFiles {
    /// Takes what is new.
    async fn changed(files: &mut Option<Self>) {
        if let Some(files) = files
            && files.declared.changed().await.is_ok()
        {
            let declared = Arc::clone(&files.declared.borrow_and_update());
            files.overlay.declare(&declared);
            return;
        }
        // There are no files, or nobody looks at them any more.
        pending::<()>().await;
    }
}

/// A snapshot is in place.
struct Swapped {
    revision: Revision,
    /// What must have been asked for before it counts as applied, and until when it waits for that.
    asked: Vec<Asked>,
    deadline: Instant,
}

impl Watcher {
    async fn run(mut self) {
        let mut seen = loop {
            match self.start_over().await {
                Ok(revision) => break revision,
                Err(error) => self.rest_after(&error).await,
            }
        };
        let secrets_changed = self.compiler.secrets_changed();
        let mut stale = false;
        loop {
            let followed = tokio::select! {
                biased;
                // What changed was said once, and everything was to be read for it.
                () = ready(()), if stale => Ok(Changes::Forgotten { revision: seen }),
                changes = self.source.store.changes(seen) => changes,
                () = FromFiles::changed(&mut self.files) => Ok(Changes::Forgotten { revision: seen }),
                () = secrets_changed.notified() => {
                    self.swap(seen, &Changed::Anything).await;
                    continue;
                }
                () = tokio::time::sleep(SWEEP), if !self.retired.is_empty() => {
                    self.free_retired();
                    continue;
                }
            };
            let followed = match followed {
                Ok(Changes::Keys { revision, keys }) => self.follow(revision, &keys).await,
                Ok(Changes::Forgotten { .. }) => {
                    let read = self.start_over().await;
                    stale = read.is_err();
                    read
                }
                Err(error) => Err(error),
            };
            match followed {
                Ok(revision) => seen = revision,
                Err(StoreError::Closed) => return,
                Err(error) => self.rest_after(&error).await,
            }
        }
    }

    /// Reads everything. The revision is asked for first: what changes meanwhile is then seen again.
    async fn start_over(&mut self) -> Result<Revision, StoreError> {
        let revision = self.source.store.revision().await?;
        self.resources.read_all(&self.source).await?;
        self.set_vaults();
        let changed = self.resources.take_changed();
        self.swap(revision, &changed).await;
        Ok(revision)
    }

    /// Reads what has changed.
    async fn follow(&mut self, revision: Revision, keys: &[Key]) -> Result<Revision, StoreError> {
        let ours = |key: &&Key| concerns(&key.partition);
        if !keys.iter().any(|key| ours(&key)) {
            self.settle(revision, Vec::new());
            return Ok(revision);
        }
        for key in keys.iter().filter(ours) {
            self.resources.read(&self.source, key).await?;
        }
        if keys.iter().any(|key| key.partition == VAULTS) {
            self.set_vaults();
        }
        let changed = self.resources.take_changed();
        self.swap(revision, &changed).await;
        Ok(revision)
    }

    fn set_vaults(&self) {
        let vaults = self.resources.vaults.iter().map(|(_, vault)| (*vault.parsed).clone());
        self.resolver.set_vaults(vaults.collect());
    }

    async fn swap(&mut self, revision: Revision, changed: &Changed) {
        let before = self.current.load_full();
        let mut compiled = self.compiler.compile(&self.resources, changed, revision, &before);
        // Values that the cache has are there in no time; a new route need not answer 503 until they are. A vault
        // that takes longer must not hold up the other changes.
        let asked = join_all(compiled.asked.iter().cloned().map(Asked::done));
        let _whether_in_time = timeout(GRACE, asked).await;
        drop(before);
        // What is served when the write is answered has the values that have come: of upstreams and certificates they are
        // compiled in.
        if self.compiler.secrets_changed().notified().now_or_never().is_some() {
            let more =
                self.compiler.compile(&self.resources, &Changed::Anything, revision, &compiled.snapshot);
            compiled.snapshot = more.snapshot;
            compiled.asked.extend(more.asked);
        }
        self.retired.push(self.current.swap(Arc::new(compiled.snapshot)));
        self.free_retired();
        self.settle(revision, compiled.asked);
    }

    fn settle(&self, revision: Revision, asked: Vec<Asked>) {
        let swapped = Swapped { revision, asked, deadline: Instant::now() + PATIENCE };
        // Nobody receives any more when the whole configuration is being dropped.
        let _ = self.settling.send(swapped);
    }

    fn free_retired(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    async fn rest_after(&self, error: &StoreError) {
        tracing::error!(%error, "the configuration cannot be read; serving what was read before");
        self.clock.sleep(RETRY).await;
    }
}

/// Says which revision is applied.
async fn settle(mut swapped: mpsc::UnboundedReceiver<Swapped>, applied: watch::Sender<Option<Revision>>) {
    while let Some(Swapped { revision, asked, deadline }) = swapped.recv().await {
        let asked = join_all(asked.into_iter().map(Asked::done));
        if timeout_at(deadline, asked).await.is_err() {
            tracing::warn!("a vault has not answered yet; routes that need it answer 503 until it does");
        }
        applied.send_replace(Some(revision));
    }
}

/// How long a write waits for what it changed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a snapshot waits for values that may be in the cache.
const GRACE: Duration = Duration::from_millis(250);

/// How often it is looked whether a retired snapshot is still held.
const SWEEP: Duration = Duration::from_secs(1);

/// When a store that failed is asked again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
