//! A prefix tree over bytes, which is searched from the most to the least specific pattern.

/// A pattern that keys are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This key.
    Exact(Vec<u8>),
    /// Every key that begins so.
    Prefix(Vec<u8>),
}

/// Values by pattern.
pub(super) struct Tree<T> {
    root: Node<T>,
}

/// What keys that begin with the labels on the way here have in common.
struct Node<T> {
    label: Box<[u8]>,
    exact: Option<T>,
    prefix: Option<T>,
    /// The first byte of each child's label, in the order of `children`; no two are equal.
    first_bytes: Vec<u8>,
    children: Vec<Node<T>>,
}

impl<T> Tree<T> {
    /// Whether no pattern was ever added.
    pub(super) fn is_empty(&self) -> bool {
        self.root.children.is_empty() && self.root.exact.is_none() && self.root.prefix.is_none()
    }

    /// Where the value of `pattern` stands.
    pub(super) fn at(&mut self, pattern: &Pattern) -> &mut Option<T> {
        match pattern {
            Pattern::Exact(key) => &mut self.root.at(key).exact,
            Pattern::Prefix(key) => &mut self.root.at(key).prefix,
        }
    }

    /// What `accept` makes of the first value that it accepts: of the exact pattern, then of ever shorter prefixes.
    pub(super) fn find<R>(&self, key: &[u8], accept: &mut impl FnMut(&T) -> Option<R>) -> Option<R> {
        self.root.find(key, accept)
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { root: Node::new(&[]) }
    }
}

impl<T> Node<T> {
    fn new(label: &[u8]) -> Self {
        Self { label: label.into(), exact: None, prefix: None, first_bytes: Vec::new(), children: Vec::new() }
    }

    /// The node for `key`, which is what is left of it below this node; made if need be.
    fn at(&mut self, key: &[u8]) -> &mut Self {
        let Some(first) = key.first() else { return self };
        let Some(place) = self.first_bytes.iter().position(|byte| byte == first) else {
            self.first_bytes.push(*first);
            self.children.push(Self::new(key));
            let place = self.children.len() - 1;
            return &mut self.children[place];
        };
        let child = &mut self.children[place];
        let common = child.label.iter().zip(key).take_while(|(label, key)| label == key).count();
        if common < child.label.len() {
            child.split(common);
        }
        child.at(&key[common..])
    }

    /// Puts a node between this one and its parent, which keeps the first `length` bytes of the label.
    fn split(&mut self, length: usize) {
        let parent = Self::new(&self.label[..length]);
        let mut child = std::mem::replace(self, parent);
        child.label = child.label[length..].into();
        self.first_bytes.push(child.label[0]);
        self.children.push(child);
    }

    fn find<R>(&self, key: &[u8], accept: &mut impl FnMut(&T) -> Option<R>) -> Option<R> {
        let deeper = match key.first() {
            None => self.exact.as_ref().and_then(&mut *accept),
            Some(first) => {
                let child =
                    self.first_bytes.iter().position(|byte| byte == first).map(|at| &self.children[at]);
                child.and_then(|child| child.find(key.strip_prefix(&*child.label)?, accept))
            }
        };
        deeper.or_else(|| self.prefix.as_ref().and_then(accept))
    }
}
