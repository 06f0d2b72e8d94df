//! What requests are told apart by where the same one shall come to the same node.

/// What a request is told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    pub(super) fn hash(self) -> u64 {
        self.0
    }
}
