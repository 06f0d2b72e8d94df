//! What is known of all upstreams' nodes, whatever the snapshot.
//!
//! Known by what identifies the upstream (the resource that it stands in), and within one by host and port: two
//! upstreams that name the same node know it each for themselves, because their checks and their traffic differ. What
//! nobody refers to any more is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gateward_clock::Clock;
use gateward_net::Connector;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::UpstreamHealth;
use crate::health::Running;
use crate::node::NodeState;

/// What is known of all upstreams' nodes. One for the process; locked only when the configuration changes.
pub struct Registry {
    pub(crate) clock: Arc<dyn Clock>,
    /// Where checks run, and how they connect; none in a process that is not always awake.
    pub(crate) checking: Option<(Handle, Arc<Connector>)>,
    groups: Mutex<BTreeMap<String, Weak<Group>>>,
}

/// What is known of one upstream.
pub(crate) struct Group {
    pub(crate) identity: Arc<str>,
    /// How many picks there were.
    pub(crate) position: AtomicUsize,
    /// Told when a node goes up or down.
    pub(crate) changed: Arc<Notify>,
    nodes: Mutex<HashMap<String, Weak<NodeState>>>,
    /// The checks that run. Snapshots own them.
    pub(crate) running: Mutex<Weak<Running>>,
}

impl Registry {
    /// A registry in which nodes are never asked how they are, only called: all count as up.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, checking: None, groups: Mutex::default() }
    }

    /// A registry whose active checks run on `runtime` and connect with `connector`.
    pub fn with_checks(clock: Arc<dyn Clock>, runtime: Handle, connector: Arc<Connector>) -> Self {
        Self { checking: Some((runtime, connector)), ..Self::new(clock) }
    }

    /// Forgets upstreams that are in no snapshot any more. What is known of them is gone with the last snapshot; this
    /// is about their names.
    pub fn sweep(&self) {
        locked(&self.groups).retain(|_, group| group.strong_count() > 0);
    }

    /// The health of all nodes that are checked, by upstream.
    pub fn health(&self) -> Vec<UpstreamHealth> {
        let groups: Vec<Arc<Group>> = locked(&self.groups).values().filter_map(Weak::upgrade).collect();
        groups.iter().filter_map(|group| Some(locked(&group.running).upgrade()?.report())).collect()
    }

    /// What is known of the upstream `identity`.
    pub(crate) fn group(&self, identity: &str) -> Arc<Group> {
        let mut groups = locked(&self.groups);
        if let Some(group) = groups.get(identity).and_then(Weak::upgrade) {
            return group;
        }
        let group = Arc::new(Group {
            identity: identity.into(),
            position: AtomicUsize::default(),
            changed: Arc::default(),
            nodes: Mutex::default(),
            running: Mutex::default(),
        });
        groups.insert(identity.to_owned(), Arc::downgrade(&group));
        group
    }
}

impl Group {
    /// What is known of the node at `address`.
    pub(crate) fn node(&self, address: &str) -> Arc<NodeState> {
        let mut nodes = locked(&self.nodes);
        if let Some(node) = nodes.get(address).and_then(Weak::upgrade) {
            return node;
        }
        let node = Arc::new(NodeState::new(Arc::clone(&self.identity), address, Arc::clone(&self.changed)));
        nodes.insert(address.to_owned(), Arc::downgrade(&node));
        node
    }

    /// Forgets nodes that nobody has any more.
    pub(crate) fn sweep(&self) {
        locked(&self.nodes).retain(|_, node| node.strong_count() > 0);
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// A value that is whole even if a thread that held it panicked: each change of it is one call.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
