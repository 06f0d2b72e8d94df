//! A store of whose every call a test hears before it is done, and may refuse it: for what happens when a store fails, is
//! slow, or is asked too often.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Changes, CommitError, Entry, Key, Revision, Store, StoreError, Write};

/// What a store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Store::get`].
    Get,
    /// [`Store::list`].
    List,
    /// [`Store::commit`].
    Commit,
    /// The same, when it is done: whoever refuses this loses the answer.
    Committed,
    /// [`Store::changes`].
    Changes,
    /// [`Store::revision`].
    Revision,
}

/// Another store, watched. Others go first each time that it is asked.
pub struct Watched {
    inner: Arc<dyn Store>,
    watcher: Box<dyn Fn(Call) -> Result<(), String> + Send + Sync>,
    failure: Mutex<Option<String>>,
}

impl Watched {
    /// `inner`, of whose calls `watcher` hears; those that it refuses fail with its text.
    pub fn new(
        inner: Arc<dyn Store>,
        watcher: impl Fn(Call) -> Result<(), String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { inner, watcher: Box::new(watcher), failure: Mutex::default() })
    }

    async fn ask(&self, call: Call) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let said = (self.watcher)(call);
        if call == Call::Commit {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = said.clone().err();
        }
        said.map_err(|why| StoreError::Engine(why.into()))
    }
}

#[async_trait]
impl Store for Watched {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.ask(Call::Get).await?;
        self.inner.get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.ask(Call::List).await?;
        self.inner.list(partition, range, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        self.ask(Call::Commit).await?;
        let done = self.inner.commit(writes).await;
        self.ask(Call::Committed).await?;
        done
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.ask(Call::Changes).await?;
        self.inner.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.ask(Call::Revision).await?;
        self.inner.revision().await
    }

    /// What the watcher said, if it refused the commit that came last.
    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
