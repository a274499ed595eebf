//! Timers of one fixed interval: a queue, because what is set later is due later.

use std::collections::VecDeque;
use std::time::Duration;

/// Entries due `interval` after they were set. A cancelled entry is recognised by its owner when it is due.
pub struct Fixed<T> {
    interval: Duration,
    queue: VecDeque<(Duration, T)>,
}

impl<T> Fixed<T> {
    /// An empty queue of timers that all run for `interval`.
    pub fn new(interval: Duration) -> Self {
        Fixed { interval, queue: VecDeque::new() }
    }

    /// Starts a timer.
    pub fn set(&mut self, now: Duration, what: T) {
        self.queue.push_back((now + self.interval, what));
    }

    /// The next timer that is due.
    pub fn due(&mut self, now: Duration) -> Option<T> {
        if self.queue.front().is_some_and(|(at, _)| *at <= now) {
            return self.queue.pop_front().map(|(_, what)| what);
        }
        None
    }
}
