//! Destinations that did not answer lately (SER: dst_blacklist, ser-semantics §12): sending there fails at once, so that a
//! branch goes on with its next target.
//!
//! Entries are few, die by themselves and are bounded in number; a full list drops those that end first.

use std::net::SocketAddr;

use hashbrown::HashMap;
use sipyard_wire::Method;

use crate::address::{Protocol, Target};
use crate::config::Micros;

/// Bytes of memory that an entry takes, about.
pub const ENTRY: usize = 64;

/// What is remembered, and for whom it counts.
#[derive(Clone, Debug)]
pub struct BlacklistConfig {
    /// Whether destinations are remembered at all (SER: `use_dst_blacklist`).
    pub enabled: bool,
    /// How long (SER: `dst_blacklist_expire`).
    pub expire: Micros,
    /// Entries at most (SER: `dst_blacklist_mem`).
    pub limit: usize,
    /// Methods whose timeout adds an entry, bits of [`method_bit`] (SER: `blst_methods_add`).
    pub methods_add: u32,
    /// Methods that do not go to a remembered destination (SER: `blst_methods_lookup`).
    pub methods_lookup: u32,
}

impl Default for BlacklistConfig {
    fn default() -> BlacklistConfig {
        BlacklistConfig {
            enabled: false,
            expire: 60_000_000,
            limit: 4_000,
            methods_add: method_bit(Method::Invite),
            methods_lookup: !method_bit(Method::Bye),
        }
    }
}

/// SER's bit of a method.
pub fn method_bit(method: Method<'_>) -> u32 {
    match method {
        Method::Invite => 1,
        Method::Cancel => 2,
        Method::Ack => 4,
        Method::Bye => 8,
        Method::Info => 16,
        Method::Register => 32,
        Method::Subscribe => 64,
        Method::Notify => 128,
        _ => 256,
    }
}

/// The list.
#[derive(Default)]
pub struct Blacklist {
    entries: HashMap<(Protocol, SocketAddr), Micros>,
}

impl Blacklist {
    /// Whether a request of this method must not go to a target now.
    pub fn forbids(&mut self, config: &BlacklistConfig, now: Micros, method: Method<'_>, target: &Target) -> bool {
        if !config.enabled || self.entries.is_empty() || config.methods_lookup & method_bit(method) == 0 {
            return false;
        }
        let key = (target.protocol, target.remote);
        match self.entries.get(&key) {
            Some(end) if *end > now => true,
            Some(_) => {
                self.entries.remove(&key);
                false
            }
            None => false,
        }
    }

    /// Remembers a destination that did not answer a request of this method.
    pub fn add_silent(&mut self, config: &BlacklistConfig, now: Micros, method: Method<'_>, target: &Target) {
        if config.methods_add & method_bit(method) != 0 {
            self.add(config, now, target);
        }
    }

    /// Remembers a destination that cannot be reached.
    pub fn add(&mut self, config: &BlacklistConfig, now: Micros, target: &Target) {
        if !config.enabled || config.limit == 0 {
            return;
        }
        let key = (target.protocol, target.remote);
        if self.entries.len() >= config.limit && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.insert(key, now.saturating_add(config.expire));
    }

    /// Drops what has ended, else a quarter: those that end first.
    fn make_room(&mut self, now: Micros) {
        let before = self.entries.len();
        self.entries.retain(|_, end| *end > now);
        if self.entries.len() < before {
            return;
        }
        let mut ends: Vec<Micros> = self.entries.values().copied().collect();
        let quarter = ends.len() / 4;
        let (_, last, _) = ends.select_nth_unstable(quarter);
        let last = *last;
        self.entries.retain(|_, end| *end > last);
    }

    /// Forgets a destination, or all of them; how many that were.
    pub fn forget(&mut self, which: Option<(Protocol, SocketAddr)>) -> usize {
        match which {
            Some(key) => usize::from(self.entries.remove(&key).is_some()),
            None => std::mem::take(&mut self.entries).len(),
        }
    }

    /// The destinations remembered now, with when each ends.
    pub fn entries(&self, now: Micros) -> impl Iterator<Item = (Protocol, SocketAddr, Micros)> + '_ {
        let live = self.entries.iter().filter(move |(_, end)| **end > now);
        live.map(|((protocol, remote), end)| (*protocol, *remote, *end))
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries, ended ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16) -> Target {
        Target {
            protocol: Protocol::Udp,
            remote: SocketAddr::from(([192, 0, 2, 1], port)),
            listener: None,
            connection: 0,
            name: 0,
        }
    }

    #[test]
    fn an_entry_counts_until_it_ends_and_for_its_methods() {
        let config = BlacklistConfig { enabled: true, expire: 100, ..BlacklistConfig::default() };
        let mut list = Blacklist::default();
        list.add_silent(&config, 0, Method::Register, &target(1));
        assert_eq!(list.len(), 0);
        list.add_silent(&config, 0, Method::Invite, &target(1));
        assert!(list.forbids(&config, 99, Method::Options, &target(1)));
        assert!(!list.forbids(&config, 99, Method::Bye, &target(1)));
        assert!(!list.forbids(&config, 99, Method::Invite, &target(2)));
        assert_eq!(list.entries(99).count(), 1);
        assert!(!list.forbids(&config, 100, Method::Invite, &target(1)));
        assert_eq!(list.len(), 0);
    }

    #[test]
    fn the_list_is_bounded_and_keeps_the_youngest() {
        let config = BlacklistConfig { enabled: true, expire: 1_000_000, limit: 100, ..BlacklistConfig::default() };
        let mut list = Blacklist::default();
        for port in 1..=1_000u16 {
            list.add(&config, u64::from(port), &target(port));
            assert!(list.len() <= 100);
        }
        assert!(list.forbids(&config, 1_000, Method::Invite, &target(1_000)));
        assert!(!list.forbids(&config, 1_000, Method::Invite, &target(1)));
        assert_eq!(list.forget(Some((Protocol::Udp, target(1_000).remote))), 1);
        assert!(list.forget(None) > 0);
        assert_eq!(list.len(), 0);
    }
}
