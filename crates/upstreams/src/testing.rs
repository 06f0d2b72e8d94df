//! What several tests need.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::node::NodeState;

/// States of nodes that nothing is known of.
pub(crate) fn states(count: usize, changed: &Arc<Notify>) -> Vec<Arc<NodeState>> {
    let state = |at| Arc::new(NodeState::new("u".into(), &format!("node-{at}:80"), Arc::clone(changed)));
    (0..count).map(state).collect()
}
