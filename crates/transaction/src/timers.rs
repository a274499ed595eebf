//! The timer queue: one first-in-first-out list for each interval in use, a heap for the odd ones.
//!
//! A timer is not cancelled here. Its owner remembers the deadline that counts; an entry that comes up and is not that
//! deadline is void. Setting a timer is a push, voiding one is free.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::config::Micros;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Retransmission of a response (G).
    ServerRetransmit,
    /// End of a server state (H, I, J, L).
    ServerExpire,
    /// Retransmission of a request (A, E).
    ClientRetransmit,
    /// End of a client state (B, C, D, F, K, M).
    ClientExpire,
    /// Retransmission of a CANCEL (E).
    CancelRetransmit,
    /// End of a CANCEL (F).
    CancelExpire,
    /// A script holds a transaction too long.
    Guard,
}

/// A timer in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// When it comes up.
    pub deadline: Micros,
    /// Slot of its transaction.
    pub slot: u32,
    /// Generation of the slot.
    pub generation: u32,
    /// What it is for.
    pub kind: Kind,
    /// Branch, where it belongs to one.
    pub branch: u8,
}

/// Lists for more intervals than this would be searched too long; further ones go to the heap.
const MAX_LISTS: usize = 16;

struct List {
    interval: Micros,
    entries: VecDeque<Entry>,
}

/// The queue. Time must not run backwards between pushes.
#[derive(Default)]
pub struct Timers {
    lists: Vec<List>,
    odd: BinaryHeap<Reverse<Entry>>,
    len: usize,
}

impl Timers {
    /// Adds an entry due `interval` from `now`; returns its deadline.
    pub fn push(&mut self, now: Micros, interval: Micros, owner: Entry) -> Micros {
        let entry = Entry { deadline: now.saturating_add(interval), ..owner };
        self.len += 1;
        if let Some(list) = self.lists.iter_mut().find(|list| list.interval == interval) {
            list.entries.push_back(entry);
        } else if self.lists.len() < MAX_LISTS {
            let entries = VecDeque::from([entry]);
            self.lists.push(List { interval, entries });
        } else if let Some(list) = self.lists.iter_mut().find(|list| list.entries.is_empty()) {
            list.interval = interval;
            list.entries.push_back(entry);
        } else {
            self.odd.push(Reverse(entry));
        }
        entry.deadline
    }

    /// The earliest entry that still counts; void ones before it are thrown away.
    pub fn next_deadline(&mut self, counts: impl Fn(&Entry) -> bool) -> Option<Micros> {
        let mut earliest: Option<Micros> = None;
        for list in &mut self.lists {
            while list.entries.front().is_some_and(|entry| !counts(entry)) {
                list.entries.pop_front();
                self.len -= 1;
            }
            if let Some(entry) = list.entries.front() {
                earliest = Some(earliest.map_or(entry.deadline, |other| other.min(entry.deadline)));
            }
        }
        while self.odd.peek().is_some_and(|Reverse(entry)| !counts(entry)) {
            self.odd.pop();
            self.len -= 1;
        }
        match (earliest, self.odd.peek()) {
            (Some(deadline), Some(Reverse(entry))) => Some(deadline.min(entry.deadline)),
            (None, Some(Reverse(entry))) => Some(entry.deadline),
            (earliest, None) => earliest,
        }
    }

    /// Takes the earliest entry that is due, void or not.
    pub fn pop(&mut self, now: Micros) -> Option<Entry> {
        let mut first: Option<(usize, Entry)> = None;
        for (index, list) in self.lists.iter().enumerate() {
            if let Some(entry) = list.entries.front() {
                if entry.deadline <= now && first.is_none_or(|(_, other)| *entry < other) {
                    first = Some((index, *entry));
                }
            }
        }
        let odd = self.odd.peek().map(|Reverse(entry)| *entry).filter(|entry| entry.deadline <= now);
        match (first, odd) {
            (Some((_, entry)), Some(other)) if other < entry => self.pop_odd(),
            (Some((index, _)), _) => {
                self.len -= 1;
                self.lists.get_mut(index).and_then(|list| list.entries.pop_front())
            }
            (None, Some(_)) => self.pop_odd(),
            (None, None) => None,
        }
    }

    fn pop_odd(&mut self) -> Option<Entry> {
        self.len -= 1;
        self.odd.pop().map(|Reverse(entry)| entry)
    }

    /// Entries, void ones included.
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(slot: u32) -> Entry {
        Entry { deadline: 0, slot, generation: 0, kind: Kind::Guard, branch: 0 }
    }

    #[test]
    fn entries_come_up_in_order_of_time() {
        let mut timers = Timers::default();
        // More intervals than lists, so that the heap is used as well.
        for n in 0..40u32 {
            timers.push(u64::from(n), 1000 - u64::from(n) * 20, owner(n));
        }
        assert_eq!(timers.len(), 40);
        assert_eq!(timers.next_deadline(|_| true), Some(39 + 1000 - 780));
        assert!(timers.pop(100).is_none());
        let mut last = 0;
        let mut seen = 0;
        while let Some(entry) = timers.pop(2000) {
            assert!(entry.deadline >= last);
            last = entry.deadline;
            seen += 1;
        }
        assert_eq!((seen, timers.len()), (40, 0));
    }

    #[test]
    fn void_entries_do_not_wake_anybody() {
        let mut timers = Timers::default();
        timers.push(0, 10, owner(1));
        timers.push(1, 10, owner(2));
        timers.push(0, 50, owner(3));
        assert_eq!(timers.next_deadline(|entry| entry.slot == 3), Some(50));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.next_deadline(|_| false), None);
        assert_eq!(timers.len(), 0);
    }
}
