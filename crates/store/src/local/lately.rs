//! What stood lately, so that a commit need not be judged by the tables each time.
//!
//! Only the writer changes the tables, so what it has read or written stands until it writes again. Most commits are judged
//! by what was just written (a lease that was INTENT a moment ago) or by what every commit is judged by (counters, the
//! item): a look into the tables for each of these was a third of the writer's time.
//!
//! Two generations, so that it stays small and what is used stays: when the younger one is full, the older one is
//! forgotten, and the younger one becomes it.

use std::collections::HashMap;

/// What a write is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) version: Option<u64>,
    /// What a counter reads; `None` if something else stands there.
    pub(super) counter: Option<u64>,
}

impl Standing {
    /// Where nothing stands.
    pub(super) const NOTHING: Self = Self { version: None, counter: Some(0) };
}

/// What is known to stand at some keys.
pub(super) struct Lately {
    younger: HashMap<Vec<u8>, Standing>,
    older: HashMap<Vec<u8>, Standing>,
    most: usize,
}

impl Lately {
    /// Nothing is known yet; each generation holds `most` keys.
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { younger: HashMap::new(), older: HashMap::new(), most }
    }

    /// What stands at `key`, if that is known.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Standing> {
        if let Some(standing) = self.younger.get(key) {
            return Some(*standing);
        }
        let (key, standing) = self.older.remove_entry(key)?;
        self.note(key, standing);
        Some(standing)
    }

    /// This stands at `key` from now on, until the next note about it.
    pub(super) fn note(&mut self, key: Vec<u8>, standing: Standing) {
        if self.younger.len() >= self.most && !self.younger.contains_key(&key) {
            self.older = std::mem::take(&mut self.younger);
        }
        // What the older generation says of it is not looked at while the younger one has it, and goes no later.
        self.younger.insert(key, standing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u64) -> Standing {
        Standing { version: Some(version), counter: None }
    }

    #[test]
    fn the_last_note_holds_whatever_generation_the_key_is_in() {
        let mut lately = Lately::of_at_most(2);
        for (number, key) in (0..).zip([b"a", b"b", b"a", b"c", b"a", b"d", b"e", b"a"]) {
            lately.note(key.to_vec(), version(number));
            assert_eq!(lately.get(key), Some(version(number)));
        }
        assert_eq!(lately.get(b"a"), Some(version(7)));
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let mut lately = Lately::of_at_most(10);
        lately.note(b"used".to_vec(), version(1));
        lately.note(b"not".to_vec(), version(1));
        for number in 0..1000_u64 {
            lately.note(number.to_be_bytes().to_vec(), version(1));
            assert_eq!(lately.get(b"used"), Some(version(1)));
            assert!(lately.younger.len() <= 10 && lately.older.len() <= 10);
        }
        assert_eq!(lately.get(b"not"), None);
    }
}
