//! What every transaction needs around it: the time, the settings, our listeners, timers and the queues outwards.

use std::collections::VecDeque;

use bytes::Bytes;
use sipyard_wire::Method;

use crate::address::{Listener, Target};
use crate::blacklist::Blacklist;
use crate::config::{Config, Micros};
use crate::event::{Counters, Event, Transmit, TxId};
use crate::key::Keys;
use crate::timers::{Entry, Kind, Timers};

/// The surroundings of a transaction. It knows no transaction, so both can be borrowed at once.
pub struct Io {
    /// The time of the call being served.
    pub now: Micros,
    /// Settings.
    pub config: Config,
    /// Our addresses; a listener's index is its place.
    pub listeners: Vec<Listener>,
    /// Hash keys.
    pub keys: Keys,
    /// The timer queue.
    pub timers: Timers,
    /// What is to be sent.
    pub transmits: VecDeque<Transmit>,
    /// What a script asked to hear of.
    pub events: VecDeque<Event>,
    /// Destinations that did not answer lately.
    pub blacklist: Blacklist,
    /// Counters.
    pub counters: Counters,
    /// Replies held now.
    pub held: usize,
    /// Serial number of the last reply token.
    pub tokens: u64,
}

impl Io {
    /// Queues a message.
    #[inline]
    pub fn send(&mut self, target: Target, data: Bytes) {
        self.transmits.push_back(Transmit { target, data });
    }

    /// Queues a message for the second time.
    pub fn resend(&mut self, target: Target, data: &Bytes) {
        self.counters.retransmitted_out += 1;
        self.send(target, data.clone());
    }

    /// Sets a timer; returns the deadline that its owner must remember.
    #[inline]
    pub fn timer(&mut self, id: TxId, kind: Kind, branch: u8, interval: Micros) -> Micros {
        let owner = Entry { deadline: 0, slot: id.slot, generation: id.generation, kind, branch };
        self.timers.push(self.now, interval, owner)
    }

    /// Whether a request of this method must not go to a target now.
    pub fn forbids(&mut self, method: Method<'_>, target: &Target) -> bool {
        let forbidden = self.blacklist.forbids(&self.config.blacklist, self.now, method, target);
        self.counters.blacklisted += u64::from(forbidden);
        forbidden
    }

    /// The listener to send from: the one asked for, else the one the request came in by if it fits, else the first of
    /// the target's protocol and address family.
    pub fn listener_for(&self, target: &Target, received_by: u16) -> Option<u16> {
        let fits = |index: u16| {
            self.listeners.get(usize::from(index)).is_some_and(|listener| {
                listener.protocol == target.protocol && listener.address.is_ipv4() == target.remote.is_ipv4()
            })
        };
        if let Some(asked) = target.listener.filter(|index| fits(*index)) {
            return Some(asked);
        }
        if fits(received_by) {
            return Some(received_by);
        }
        (0..self.listeners.len() as u16).find(|index| fits(*index))
    }
}
