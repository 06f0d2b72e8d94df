//! The nodes that one request has been to.

use crate::Turn;

/// The nodes that one request has been to, in vain. Costs nothing as long as the first one answers.
#[derive(Clone, Debug, Default)]
pub struct Tried(Vec<u32>);

impl Tried {
    /// Notes that `turn`'s node was asked, and will not be again.
    pub fn add(&mut self, turn: &Turn) {
        // An upstream has no more nodes than fit into its configuration document.
        self.0.push(u32::try_from(turn.node()).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, node: u32) -> bool {
        self.0.contains(&node)
    }
}
