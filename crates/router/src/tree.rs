//! A prefix tree over bytes whose clones share what they have in common.
//!
//! It is searched from the most to the least specific pattern. Its shape depends only on which patterns have values,
//! not on how they came and went: it is a tree as small as can be.

use std::sync::Arc;

/// A pattern that keys are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What a key begins with. Between two pieces that are spelled out there is always a segment.
    pub(crate) pieces: Vec<Piece>,
    /// What may follow.
    pub(crate) end: End,
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These bytes, at least one.
    Literal(Vec<u8>),
    /// All bytes up to the next slash, at least one.
    Segment,
}

/// What may follow the pieces of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing.
    Exact,
    /// Anything.
    Prefix,
}

/// How a key fits a pattern.
#[derive(Clone, Copy)]
pub(crate) struct Fit<'f> {
    /// How much of the key the pieces have taken.
    pub(crate) taken: usize,
    /// What the last of the pattern's segments stands for.
    pub(crate) last: Option<&'f Segment<'f>>,
}

/// What a segment in a pattern stands for in a key. They are linked from the last to the first, on the stack.
pub(crate) struct Segment<'f> {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) before: Option<&'f Segment<'f>>,
}

/// Values by pattern.
#[derive(Debug)]
pub(crate) struct Tree<V> {
    root: Arc<Node<V>>,
}

/// What keys that begin with the labels on the way here have in common.
#[derive(Clone, Debug)]
struct Node<V> {
    label: Box<[u8]>,
    exact: Option<V>,
    prefix: Option<V>,
    /// What follows after one whole segment; its label is empty.
    segment: Option<Arc<Node<V>>>,
    /// The first byte of each child's label, in the order of `children`: rising.
    first_bytes: Vec<u8>,
    children: Vec<Arc<Node<V>>>,
}

impl<V> Tree<V> {
    /// Whether no pattern has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// What `accept` makes of the first value that it accepts, the most specific pattern first.
    pub(crate) fn find<'t, R>(
        &'t self,
        key: &[u8],
        accept: &mut impl FnMut(&'t V, Fit<'_>) -> Option<R>,
    ) -> Option<R> {
        let mut found = None;
        self.root.search(key, Fit { taken: 0, last: None }, &mut |value, fit| {
            found = accept(value, fit);
            found.is_some()
        });
        found
    }

    /// Calls `visit` with every value.
    pub(crate) fn each<'t>(&'t self, visit: &mut impl FnMut(&'t V)) {
        self.root.each(visit);
    }
}

impl<V: Clone> Tree<V> {
    /// Calls `change` once, with the value of `pattern`, to change it, make one or take it away.
    pub(crate) fn update(&mut self, pattern: &Pattern, change: &mut dyn FnMut(&mut Option<V>)) {
        Arc::make_mut(&mut self.root).update(&[], &pattern.pieces, pattern.end, change);
    }
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::new(&[])) }
    }
}

impl<V> Clone for Tree<V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root) }
    }
}

impl<V> Node<V> {
    fn new(label: &[u8]) -> Self {
        Self {
            label: label.into(),
            exact: None,
            prefix: None,
            segment: None,
            first_bytes: Vec::new(),
            children: Vec::new(),
        }
    }

    fn has_values(&self) -> bool {
        self.exact.is_some() || self.prefix.is_some()
    }

    fn is_empty(&self) -> bool {
        !self.has_values() && self.segment.is_none() && self.children.is_empty()
    }

    /// The search below this node, whose label has been taken, until `accept` says that it is over. Only a node that has
    /// something to fall back to is come back to; all others are left in a loop. So the stack grows with what the
    /// configuration nests and not with the key, and by as little as can be: what was found goes another way.
    fn search<'t>(
        &'t self,
        key: &[u8],
        mut fit: Fit<'_>,
        accept: &mut impl FnMut(&'t V, Fit<'_>) -> bool,
    ) -> bool {
        let mut node = self;
        while node.prefix.is_none() && node.segment.is_none() {
            if fit.taken == key.len() {
                return node.exact.as_ref().is_some_and(|value| accept(value, fit));
            }
            let Some(child) = node.child(&key[fit.taken..]) else { return false };
            fit.taken += child.label.len();
            node = child;
        }
        if fit.taken == key.len() {
            if node.exact.as_ref().is_some_and(|value| accept(value, fit)) {
                return true;
            }
        } else if let Some(child) = node.child(&key[fit.taken..]) {
            let fit = Fit { taken: fit.taken + child.label.len(), ..fit };
            if child.search(key, fit, accept) {
                return true;
            }
        }
        node.search_segment(key, fit, accept) || node.prefix.as_ref().is_some_and(|value| accept(value, fit))
    }

    fn search_segment<'t>(
        &'t self,
        key: &[u8],
        fit: Fit<'_>,
        accept: &mut impl FnMut(&'t V, Fit<'_>) -> bool,
    ) -> bool {
        let Some(below) = &self.segment else { return false };
        let left = &key[fit.taken..];
        let length = left.iter().position(|byte| *byte == b'/').unwrap_or(left.len());
        let segment = Segment { from: fit.taken, to: fit.taken + length, before: fit.last };
        length > 0 && below.search(key, Fit { taken: segment.to, last: Some(&segment) }, accept)
    }

    /// The child whose label `left` begins with.
    fn child(&self, left: &[u8]) -> Option<&Self> {
        let first = left.first()?;
        // Most nodes have few children; among few, a look at each is faster than halving.
        let place = match self.first_bytes.len() {
            0..=16 => self.first_bytes.iter().position(|byte| byte == first)?,
            _ => self.first_bytes.binary_search(first).ok()?,
        };
        let child = &*self.children[place];
        // A label of one byte was just compared; such labels abound where many paths differ.
        (child.label.len() == 1 || left.starts_with(&child.label)).then_some(child)
    }

    fn each<'t>(&'t self, visit: &mut impl FnMut(&'t V)) {
        for value in self.exact.iter().chain(&self.prefix) {
            visit(value);
        }
        for node in self.segment.iter().chain(&self.children) {
            node.each(visit);
        }
    }
}

impl<V: Clone> Node<V> {
    /// Changes the value of what is left of a pattern below this node: `key`, then `pieces`. It calls itself for every node
    /// on the way, so what it keeps meanwhile is little.
    fn update(&mut self, key: &[u8], pieces: &[Piece], end: End, change: &mut dyn FnMut(&mut Option<V>)) {
        if key.is_empty() {
            return match (pieces, end) {
                ([Piece::Literal(key), pieces @ ..], _) => self.update(key, pieces, end, change),
                ([Piece::Segment, pieces @ ..], _) => self.update_segment(pieces, end, change),
                ([], End::Exact) => change(&mut self.exact),
                ([], End::Prefix) => change(&mut self.prefix),
            };
        }
        let (child, taken) = self.child_to_change(key);
        child.update(&key[taken..], pieces, end, change);
        self.tidy(key[0]);
    }

    fn update_segment(&mut self, pieces: &[Piece], end: End, change: &mut dyn FnMut(&mut Option<V>)) {
        let below = Arc::make_mut(self.segment.get_or_insert_with(|| Arc::new(Self::new(&[]))));
        below.update(&[], pieces, end, change);
        if below.is_empty() {
            self.segment = None;
        }
    }

    /// The child whose label `key` begins with, made if need be, and the length of the label.
    fn child_to_change(&mut self, key: &[u8]) -> (&mut Self, usize) {
        let place = match self.first_bytes.binary_search(&key[0]) {
            Ok(place) => place,
            Err(place) => {
                self.first_bytes.insert(place, key[0]);
                self.children.insert(place, Arc::new(Self::new(key)));
                place
            }
        };
        let child = Arc::make_mut(&mut self.children[place]);
        let common = child.label.iter().zip(key).take_while(|(label, key)| label == key).count();
        if common < child.label.len() {
            child.split(common);
        }
        (child, common)
    }

    /// Lets the child that begins with `first` go if it is there for nothing, or be one with its only child if it is
    /// there for nothing else.
    fn tidy(&mut self, first: u8) {
        let Ok(place) = self.first_bytes.binary_search(&first) else { return };
        let child = &self.children[place];
        if child.is_empty() {
            self.first_bytes.remove(place);
            self.children.remove(place);
        } else if !child.has_values() && child.segment.is_none() && child.children.len() == 1 {
            Arc::make_mut(&mut self.children[place]).join();
        }
    }

    /// Puts a node between this one and its parent, which keeps the first `length` bytes of the label.
    fn split(&mut self, length: usize) {
        let parent = Self::new(&self.label[..length]);
        let mut child = std::mem::replace(self, parent);
        child.label = child.label[length..].into();
        self.first_bytes.push(child.label[0]);
        self.children.push(Arc::new(child));
    }

    /// Becomes one with its only child.
    fn join(&mut self) {
        let Some(child) = self.children.pop() else { return };
        let child = Arc::unwrap_or_clone(child);
        let label = [&*self.label, &*child.label].concat().into();
        *self = Self { label, ..child };
    }
}
