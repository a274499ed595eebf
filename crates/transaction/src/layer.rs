//! The transaction layer: takes messages and time, gives messages and events. RFC 3261 §16, §17.
//!
//! Sans-I/O: the caller owns clock and sockets. After each call it drains [`Layer::poll_transmit`] and
//! [`Layer::poll_event`], and calls [`Layer::advance`] when [`Layer::next_timeout`] has come.

use std::collections::VecDeque;
use std::net::SocketAddr;

use hashbrown::HashMap;
use sipyard_wire::{Message, Method};

use crate::address::{Flow, Listener};
use crate::blacklist::Blacklist;
use crate::branch_id::BranchId;
use crate::config::{Config, Micros};
use crate::event::{Arm, Counters, Counts, Disposition, Event, Request, ResponseDisposition, Transmit, TxId};
use crate::io::Io;
use crate::key::{Class, Key, Keys};
use crate::pending::Pending;
use crate::table::Table;
use crate::timers::{Entry, Kind, Timers};
use crate::transaction::Transaction;

/// The layer. One thread at a time; all its state is here.
pub struct Layer {
    pub(crate) table: Table,
    pub(crate) io: Io,
    /// Transactions whose 2xx was made here, by what their ACK has in common with them.
    pub(crate) accepted: HashMap<u64, TxId, std::hash::BuildHasherDefault<Identity>>,
    pub(crate) pending: Pending,
    pub(crate) serial: u64,
    pub(crate) clients: usize,
}

impl Layer {
    /// A layer with these settings and no listeners.
    pub fn new(config: Config) -> Layer {
        let keys = Keys::new(config.seed);
        Layer {
            table: Table::default(),
            io: Io {
                now: 0,
                config,
                listeners: Vec::new(),
                keys,
                timers: Timers::default(),
                transmits: VecDeque::new(),
                events: VecDeque::new(),
                blacklist: Blacklist::default(),
                counters: Counters::default(),
                held: 0,
                tokens: 0,
            },
            accepted: HashMap::default(),
            pending: Pending::default(),
            serial: 0,
            clients: 0,
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.io.config
    }

    /// The settings, to change. A new seed has no effect.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.io.config
    }

    /// Adds an address of ours; its index is what flows and targets name.
    pub fn add_listener(&mut self, listener: Listener) -> u16 {
        self.io.listeners.push(listener);
        (self.io.listeners.len() - 1) as u16
    }

    /// Our addresses.
    pub fn listeners(&self) -> &[Listener] {
        &self.io.listeners
    }

    /// A received request with its key. The message must be routable (`Message::check_routable`).
    pub fn request_of(&self, message: Message, flow: Flow) -> Request {
        let key = self.io.keys.request(&message, &self.io.config);
        Request { message, flow, force_rport: false, key }
    }

    /// Takes a received request. What is absorbed never reaches a script.
    pub fn receive_request(&mut self, now: Micros, request: &Request) -> Disposition {
        self.tick(now);
        let method = request.message.method();
        if method == Method::Ack {
            return self.receive_ack(request);
        }
        if let Some(tx) = self.table.lookup(&request.key, Class::of(method)).and_then(|id| self.table.find_mut(id)) {
            tx.on_retransmission(&mut self.io);
            return Disposition::Absorbed;
        }
        if self.pending.has(&request.key, Class::of(method)) {
            self.io.counters.retransmitted_in += 1;
            return Disposition::Absorbed;
        }
        Disposition::Deliver
    }

    fn receive_ack(&mut self, request: &Request) -> Disposition {
        let id = self.table.lookup(&request.key, Class::Invite);
        let absorbed = match id.and_then(|id| self.table.find_mut(id)) {
            Some(tx) => !tx.on_ack(&mut self.io) || self.acknowledges_success(request),
            None => self.acknowledges_success(request) || self.acknowledges_stateless(request),
        };
        if let Some(id) = id {
            self.reap(id);
        }
        if !absorbed {
            return Disposition::Deliver;
        }
        self.io.counters.acks_absorbed += 1;
        Disposition::Absorbed
    }

    /// The ACK to a 2xx that was made here (its branch is another, RFC 3261 §13.2.2.4): the To-tag must be ours.
    fn acknowledges_success(&mut self, request: &Request) -> bool {
        if self.accepted.is_empty() {
            return false;
        }
        let dialog = self.io.keys.dialog(&request.message);
        let Some(tx) = self.accepted.get(&dialog).copied().and_then(|id| self.table.find_mut(id)) else { return false };
        if tx.accepted.as_ref().map(|one| &*one.tag) != request.message.to_tag() {
            return false;
        }
        tx.on_success_acknowledged();
        true
    }

    /// The ACK to a stateless failure: it brings back the tag that only its own INVITE can have got.
    fn acknowledges_stateless(&self, request: &Request) -> bool {
        let tag = request.message.to_tag().unwrap_or_default();
        tag.len() == 16 && tag == self.stateless_tag(&request.key).as_slice()
    }

    /// Takes a received response.
    pub fn receive_response(&mut self, now: Micros, message: &Message, flow: Flow) -> ResponseDisposition {
        self.tick(now);
        let Some(branch) = BranchId::read(message.branch()) else { return self.stray() };
        let Some(tx) = self.table.in_slot(branch.slot).filter(|tx| tx.secret == branch.secret) else {
            return self.stray();
        };
        let (id, index) = (tx.id, usize::from(branch.branch));
        let class = Class::of(message.method());
        if index >= tx.branches.len() {
            return self.stray();
        }
        if class == Class::Cancel && tx.class != Class::Cancel {
            tx.on_cancel_response(&mut self.io, index, message.status());
        } else if class == tx.class && message.method() != Method::Ack {
            tx.on_response(&mut self.io, index, message.clone(), flow);
        }
        self.reap(id);
        ResponseDisposition::Owned
    }

    fn stray(&mut self) -> ResponseDisposition {
        self.io.counters.stray_responses += 1;
        ResponseDisposition::Stray
    }

    /// A message could not be delivered: `sent` is (the beginning of) what was sent, as an ICMP error brings it back,
    /// `remote` where it went. Only a request that names a branch of ours, sent there, counts (RFC 3261 §18.4).
    pub fn transport_failed(&mut self, now: Micros, sent: &[u8], remote: Option<SocketAddr>) {
        self.tick(now);
        if [&b"SIP/"[..], b"ACK ", b"CANCEL "].iter().any(|start| sent.starts_with(start)) {
            return;
        }
        let Some(branch) = branch_in(sent) else { return };
        let Some(tx) = self.table.in_slot(branch.slot).filter(|tx| tx.secret == branch.secret) else { return };
        let (id, index) = (tx.id, usize::from(branch.branch));
        let sent_there = |tx: &Transaction| {
            tx.branches.get(index).is_some_and(|branch| remote.is_none_or(|remote| branch.target.remote == remote))
        };
        if sent_there(tx) {
            tx.on_branch_failed(&mut self.io, index);
        }
        self.reap(id);
    }

    /// Runs the timers that are due.
    pub fn advance(&mut self, now: Micros) {
        self.tick(now);
        while let Some(entry) = self.io.timers.pop(self.io.now) {
            if is_current(&self.table, &entry) {
                self.fire(entry);
            }
        }
        self.pending.expire(self.io.now);
    }

    fn fire(&mut self, entry: Entry) {
        let id = TxId { slot: entry.slot, generation: entry.generation };
        let Some(tx) = self.table.find_mut(id) else { return };
        let (io, index) = (&mut self.io, usize::from(entry.branch));
        match entry.kind {
            Kind::ServerRetransmit => tx.on_server_retransmit(io),
            Kind::ServerExpire => tx.on_server_expire(io),
            Kind::ClientRetransmit => tx.on_client_retransmit(io, index),
            Kind::ClientExpire => tx.on_client_expire(io, index),
            Kind::CancelRetransmit => tx.on_cancel_retransmit(io, index),
            Kind::CancelExpire => tx.on_cancel_expire(io, index),
            Kind::Guard => tx.on_guard(io),
        }
        self.reap(id);
    }

    /// When [`Layer::advance`] must be called next.
    pub fn next_timeout(&mut self) -> Option<Micros> {
        let table = &self.table;
        let timer = self.io.timers.next_deadline(|entry| is_current(table, entry));
        match (timer, self.pending.next_deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The next message to send.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.io.transmits.pop_front()
    }

    /// The next event.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.io.events.pop_front()
    }

    /// What is alive.
    pub fn counts(&self) -> Counts {
        Counts {
            server: self.table.len() - self.clients,
            client: self.clients,
            timers: self.io.timers.len(),
            held: self.io.held,
            pending: self.pending.len(),
            transmits: self.io.transmits.len(),
            events: self.io.events.len(),
        }
    }

    /// Destinations that did not answer lately.
    pub fn blacklist(&self) -> &Blacklist {
        &self.io.blacklist
    }

    /// The same, to change.
    pub fn blacklist_mut(&mut self) -> &mut Blacklist {
        &mut self.io.blacklist
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        self.io.counters
    }

    /// Takes the time; it never runs backwards.
    #[inline]
    pub(crate) fn tick(&mut self, now: Micros) {
        self.io.now = self.io.now.max(now);
    }

    /// Removes a transaction that is over.
    #[inline]
    pub(crate) fn reap(&mut self, id: TxId) {
        if self.table.find(id).is_some_and(Transaction::is_over) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: TxId) {
        let Some(tx) = self.table.remove(id) else { return };
        self.io.held -= tx.held.len();
        if tx.is_local() {
            self.clients -= 1;
        }
        if let Some(one) = tx.accepted.as_ref().filter(|one| self.accepted.get(&one.dialog) == Some(&id)) {
            self.accepted.remove(&one.dialog);
        }
        if tx.arm.has(Arm::ENDED) {
            self.io.events.push_back(Event::Ended { tx: id, status: if tx.is_final() { tx.status } else { 0 } });
        }
    }

    /// The To-tag of stateless responses to a request.
    pub(crate) fn stateless_tag(&self, key: &Key) -> Vec<u8> {
        let mut tag = Vec::with_capacity(16);
        crate::branch_id::hex(self.io.keys.stateless_tag(key), 16, &mut tag);
        tag
    }
}

/// Whether a timer entry is the deadline that its owner remembers.
fn is_current(table: &Table, entry: &Entry) -> bool {
    let Some(tx) = table.find(TxId { slot: entry.slot, generation: entry.generation }) else { return false };
    let branch = tx.branches.get(usize::from(entry.branch));
    let cancel = || branch.and_then(|branch| branch.cancel.as_deref());
    let deadline = match entry.kind {
        Kind::ServerRetransmit => Some(tx.retransmit.deadline),
        Kind::ServerExpire => Some(tx.expire),
        Kind::ClientRetransmit => branch.map(|branch| branch.retransmit.deadline),
        Kind::ClientExpire => branch.map(|branch| branch.expire),
        Kind::CancelRetransmit => cancel().map(|cancel| cancel.retransmit.deadline),
        Kind::CancelExpire => cancel().map(|cancel| cancel.expire),
        Kind::Guard => Some(tx.guard),
    };
    deadline == Some(entry.deadline)
}

/// Our branch parameter in the first bytes of a request that we sent; it stands in the first Via.
fn branch_in(sent: &[u8]) -> Option<BranchId> {
    const NAME: &[u8] = b";branch=";
    let places = sent.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let mut values = places.map(|(place, _)| place + NAME.len());
    values.find_map(|start| BranchId::read(sent.get(start..start + crate::branch_id::LENGTH)?))
}

/// Hasher of values that are keyed hashes themselves.
#[derive(Default)]
pub struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
