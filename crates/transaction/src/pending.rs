//! Requests whose script waits before it has made a transaction: their retransmissions are absorbed meanwhile.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::config::Micros;
use crate::key::{Class, Key};

struct Waiting {
    key: Key,
    class: Class,
    deadline: Micros,
}

/// The table. It is small: only scripts that wait for something put an entry in.
#[derive(Default)]
pub struct Pending {
    entries: HashTable<Waiting>,
    order: VecDeque<(Micros, Key, Class)>,
}

impl Pending {
    /// Adds a request until `deadline`. Deadlines must not decrease.
    pub fn add(&mut self, key: Key, class: Class, deadline: Micros) {
        self.remove(&key, class);
        self.entries.insert_unique(key.hash(), Waiting { key, class, deadline }, |entry| entry.key.hash());
        self.order.push_back((deadline, key, class));
    }

    /// Takes a request out.
    pub fn remove(&mut self, key: &Key, class: Class) {
        if let Ok(entry) = self.entries.find_entry(key.hash(), |entry| entry.key == *key && entry.class == class) {
            entry.remove();
        }
        if self.entries.is_empty() {
            self.order.clear();
        }
    }

    /// Whether a request is in.
    #[inline]
    pub fn has(&self, key: &Key, class: Class) -> bool {
        !self.entries.is_empty()
            && self.entries.find(key.hash(), |entry| entry.key == *key && entry.class == class).is_some()
    }

    /// Drops what is overdue.
    pub fn expire(&mut self, now: Micros) {
        while let Some((deadline, key, class)) = self.order.front().copied().filter(|(deadline, ..)| *deadline <= now) {
            self.order.pop_front();
            let found = self.entries.find(key.hash(), |entry| entry.key == key && entry.class == class);
            if found.is_some_and(|entry| entry.deadline == deadline) {
                self.remove(&key, class);
            }
        }
    }

    /// When [`Pending::expire`] has something to do.
    pub fn next_deadline(&self) -> Option<Micros> {
        self.order.front().map(|(deadline, ..)| *deadline)
    }

    /// Requests in the table.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}
