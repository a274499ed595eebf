//! Connections without I/O: which there are, who may use which, and when they end. Who does the I/O (`online`, or a
//! virtual network) tells what happened to a connection and polls what is to be done with it.
//!
//! A message for a peer takes the connection that its target names if that leads to the same host, else one to the
//! target's address (or one that has it as an alias), else a new one (ser-semantics §13).

mod connection;
mod settings;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use sipyard_transaction::{Flow, Micros, Protocol, Target};
use sipyard_wire::framer::{Frame, FrameError};

use crate::tls::TlsFacts;

pub use connection::CloseReason;
pub(crate) use connection::{Connection, Phase};
pub use settings::{StreamSetting, StreamSettings};

/// What is to be done with connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// Make one.
    Connect(Connect),
    /// Write what `Core::stream_output` gives.
    Write(u64),
    /// Ask the peer whether he is there (a WebSocket's).
    Ping(u64),
    /// Close it.
    Close(u64),
}

/// A connection to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Its number from now on.
    pub connection: u64,
    /// What is spoken over it.
    pub protocol: Protocol,
    /// The address to connect from; its port is a listener's and not meant.
    pub local: IpAddr,
    /// Where to.
    pub remote: SocketAddr,
    /// Whom we mean to reach there, as a certificate names him.
    pub server_name: Option<Box<str>>,
}

/// A connection that ended.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Its number.
    pub connection: u64,
    /// Where it came from or led to.
    pub flow: Flow,
    /// Why.
    pub reason: CloseReason,
    /// Whether somebody wants to hear of it.
    pub is_watched: bool,
}

/// What became of bytes that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A message.
    Message(Bytes),
    /// Only keep-alives, or nothing whole.
    Nothing,
}

/// Counters and gauges.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamCounters {
    pub(crate) accepted: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) cut: u64,
    pub(crate) not_sip: u64,
    pub(crate) pings: u64,
    pub(crate) unsent: u64,
}

impl StreamCounters {
    /// All of them with their names.
    pub(crate) fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("connections.accepted", self.accepted),
            ("connections.opened", self.opened),
            ("connections.closed", self.closed),
            ("connections.refused", self.refused),
            ("connections.failed", self.failed),
            ("connections.cut", self.cut),
            ("connections.not_sip", self.not_sip),
            ("connections.pings", self.pings),
            ("connections.unsent", self.unsent),
        ]
    }
}

/// All connections.
pub(crate) struct Streams {
    pub(crate) settings: StreamSettings,
    pub(crate) counters: StreamCounters,
    connections: HashMap<u64, Connection>,
    by_remote: HashMap<(Protocol, SocketAddr), u64>,
    sources: HashMap<IpAddr, Source>,
    actions: VecDeque<StreamAction>,
    unsent: VecDeque<(Bytes, SocketAddr)>,
    closed: VecDeque<Closed>,
    deadlines: BinaryHeap<Reverse<(Micros, u64)>>,
    last: u64,
}

/// How many connections an address has to us.
#[derive(Clone, Copy, Default)]
struct Source {
    all: usize,
    strangers: usize,
}

impl Streams {
    pub(crate) fn new() -> Streams {
        Streams {
            settings: StreamSettings::default(),
            counters: StreamCounters::default(),
            connections: HashMap::new(),
            by_remote: HashMap::new(),
            sources: HashMap::new(),
            actions: VecDeque::new(),
            unsent: VecDeque::new(),
            closed: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            last: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn get(&self, connection: u64) -> Option<&Connection> {
        self.connections.get(&connection)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &Connection)> {
        self.connections.iter().map(|(number, connection)| (*number, connection))
    }

    // -- their beginning ------------------------------------------------------------------------------------------

    /// A peer connected. None: he has too many, or there is no room; hang up.
    pub(crate) fn accept(&mut self, now: Micros, flow: Flow, local: SocketAddr) -> Option<u64> {
        let source = self.sources.get(&flow.remote.ip()).copied().unwrap_or_default();
        let has_enough =
            source.all >= self.settings.most_of_one || source.strangers >= self.settings.most_strangers_of_one;
        if has_enough || (self.connections.len() >= self.settings.most && !self.make_room()) {
            self.counters.refused += 1;
            return None;
        }
        let number = self.insert(now, flow, local, false);
        let source = self.sources.entry(flow.remote.ip()).or_default();
        source.all += 1;
        source.strangers += 1;
        self.counters.accepted += 1;
        Some(number)
    }

    fn insert(&mut self, now: Micros, mut flow: Flow, local: SocketAddr, is_ours: bool) -> u64 {
        self.last += 1;
        flow.connection = self.last;
        self.connections.insert(self.last, Connection::new(flow, local, is_ours, now));
        self.by_remote.insert((flow.protocol, flow.remote), self.last);
        self.arm(self.last);
        self.last
    }

    /// Close the oldest connection of somebody who has said nothing yet; whether there was one.
    pub(crate) fn make_room(&mut self) -> bool {
        let strangers = self.connections.iter().filter(|(_, one)| !one.is_ours && !one.has_spoken);
        let Some(oldest) = strangers.map(|(number, _)| *number).min() else { return false };
        self.end(oldest, CloseReason::Crowded);
        true
    }

    fn connect(&mut self, now: Micros, target: &Target, local: SocketAddr, name: Option<Box<str>>) -> Option<u64> {
        let may_connect = matches!(target.protocol, Protocol::Tcp | Protocol::Tls);
        if !may_connect || (self.connections.len() >= self.settings.most && !self.make_room()) {
            return None;
        }
        let Target { protocol, remote, listener, .. } = *target;
        let flow = Flow { listener: listener?, protocol, remote, connection: 0 };
        let connection = self.insert(now, flow, local, true);
        if let Some(made) = self.connections.get_mut(&connection) {
            made.server_name = target.name;
        }
        self.counters.opened += 1;
        let connect = Connect { connection, protocol, local: local.ip(), remote, server_name: name };
        self.actions.push_back(StreamAction::Connect(connect));
        Some(connection)
    }

    /// A connection of ours stands.
    pub(crate) fn connected(&mut self, now: Micros, number: u64, local: SocketAddr) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.opened(now, local);
        self.want_write(number);
        self.arm(number);
    }

    /// The TLS handshake of a connection is done.
    pub(crate) fn secured(&mut self, number: u64, facts: TlsFacts) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.tls = Some(Arc::new(facts));
        }
    }

    // -- sending --------------------------------------------------------------------------------------------------

    /// The connection that a message for this target would take, if there is one. Whose name a certificate must bear is
    /// not reached over a connection that was checked for another name (RFC 5922 §6).
    pub(crate) fn find(&self, target: &Target) -> Option<u64> {
        let leads_there = |number: &u64| {
            self.connections.get(number).is_some_and(|one| {
                let is_right = one.protocol() == target.protocol && one.flow.remote.ip() == target.remote.ip();
                let is_him = target.name == 0 || target.name == one.server_name;
                is_right && is_him && !matches!(one.phase, Phase::Closing(_))
            })
        };
        let by_number = Some(target.connection).filter(leads_there);
        let by_address = || self.by_remote.get(&(target.protocol, target.remote)).copied().filter(leads_there);
        by_number.or_else(by_address)
    }

    /// What is spoken with a peer whose URI says `transport=ws`: RFC 7118 §5.2 has no other word for WSS.
    pub(crate) fn web_protocol(&self, protocol: Protocol, remote: SocketAddr) -> Protocol {
        let is_secure = protocol == Protocol::Ws && self.by_remote.contains_key(&(Protocol::Wss, remote));
        if is_secure {
            Protocol::Wss
        } else {
            protocol
        }
    }

    /// Send over a connection that exists, else over a new one from `local`.
    pub(crate) fn send(
        &mut self,
        now: Micros,
        target: &Target,
        data: Bytes,
        local: SocketAddr,
        name: Option<Box<str>>,
    ) {
        let found = self.find(target).or_else(|| self.connect(now, target, local, name));
        let limit = self.settings.queue;
        let connection = found.and_then(|number| self.connections.get_mut(&number));
        let is_queued = connection.is_some_and(|one| one.push(now, data.clone(), limit));
        match found.filter(|_| is_queued) {
            Some(number) => {
                self.want_write(number);
                self.arm(number);
            }
            None => self.not_sent(data, target.remote),
        }
    }

    fn not_sent(&mut self, data: Bytes, remote: SocketAddr) {
        self.counters.unsent += 1;
        self.unsent.push_back((data, remote));
    }

    fn want_write(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let is_ready = connection.phase != Phase::Connecting && !connection.is_writing && !connection.is_drained();
        if is_ready {
            connection.is_writing = true;
            self.actions.push_back(StreamAction::Write(number));
        }
    }

    /// Pieces to be written to a connection now.
    pub(crate) fn output(&self, number: u64, out: &mut Vec<Bytes>) {
        if let Some(connection) = self.connections.get(&number) {
            connection.output(out);
        }
    }

    /// So many bytes of them were written; `is_blocked`: the rest must wait until the peer takes more. Whether there is
    /// more to write now.
    pub(crate) fn wrote(&mut self, now: Micros, number: u64, count: usize, is_blocked: bool) -> bool {
        let Some(connection) = self.connections.get_mut(&number) else { return false };
        if count > 0 {
            connection.wrote(now, count);
        }
        let is_done = connection.is_drained();
        connection.is_writing = !is_done;
        let closing = if let Phase::Closing(reason) = connection.phase { Some(reason) } else { None };
        match closing {
            Some(reason) if is_done => self.end(number, reason),
            _ => self.arm(number),
        }
        !is_done && !is_blocked
    }

    // -- receiving ------------------------------------------------------------------------------------------------

    /// Bytes came; `take` gives what they are made of.
    pub(crate) fn push(&mut self, now: Micros, number: u64, data: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&number).filter(|one| one.phase == Phase::Open) {
            connection.framer.push(data);
            connection.looked(now, true);
        }
    }

    /// The next message of a connection.
    pub(crate) fn take(&mut self, now: Micros, number: u64) -> Taken {
        loop {
            let Some(connection) = self.connections.get_mut(&number).filter(|one| one.phase == Phase::Open) else {
                return Taken::Nothing;
            };
            match connection.framer.pop() {
                Ok(Some(Frame::Message(data))) => {
                    connection.completed(now);
                    return Taken::Message(data);
                }
                Ok(Some(Frame::Ping)) => self.answer_ping(now, number),
                Ok(Some(Frame::Pong)) => connection.completed(now),
                Ok(None) => {
                    let is_incomplete = connection.framer.pop_idle().is_none() && connection.framer.pending() > 0;
                    connection.looked(now, is_incomplete);
                    self.arm(number);
                    return Taken::Nothing;
                }
                Err(error) => {
                    self.counters.not_sip += u64::from(error == FrameError::BadLength);
                    self.end(number, CloseReason::NotSip);
                    return Taken::Nothing;
                }
            }
        }
    }

    /// RFC 5626 §4.4.1: a double line end is answered with a single one.
    pub(crate) fn answer_ping(&mut self, now: Micros, number: u64) {
        self.counters.pings += 1;
        let limit = self.settings.queue;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.completed(now);
        if connection.push(now, Bytes::from_static(b"\r\n"), limit) {
            self.want_write(number);
        }
    }

    /// The peer has shown that he is there.
    pub(crate) fn alive(&mut self, now: Micros, number: u64) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.spoke(now);
            self.arm(number);
        }
    }

    /// A whole SIP message came: who sent it is no stranger.
    pub(crate) fn spoke(&mut self, now: Micros, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.spoke(now);
        let is_first = !std::mem::replace(&mut connection.has_spoken, true);
        if is_first && !connection.is_ours {
            let ip = connection.flow.remote.ip();
            if let Some(source) = self.sources.get_mut(&ip) {
                source.strangers = source.strangers.saturating_sub(1);
            }
        }
    }

    /// Let the peer's other port lead here too (`force_tcp_alias`). False: another connection has that address (whose
    /// traffic somebody may want to catch), or this one has too many.
    pub(crate) fn add_alias(&mut self, number: u64, port: u16) -> bool {
        let Some(connection) = self.connections.get_mut(&number) else { return false };
        let alias = SocketAddr::new(connection.flow.remote.ip(), port);
        let key = (connection.protocol(), alias);
        if let Some(holder) = self.by_remote.get(&key) {
            return *holder == number;
        }
        if port == 0 || !connection.add_alias(alias) {
            return false;
        }
        self.by_remote.insert(key, number);
        true
    }

    /// Make the end of a connection an event.
    pub(crate) fn watch(&mut self, number: u64) -> bool {
        let connection = self.connections.get_mut(&number);
        connection.map(|connection| connection.is_watched = true).is_some()
    }

    // -- their end ------------------------------------------------------------------------------------------------

    /// Close a connection once what waits in it is written.
    pub(crate) fn close(&mut self, number: u64, reason: CloseReason) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.is_drained() || connection.phase == Phase::Connecting {
            return self.end(number, reason);
        }
        connection.phase = Phase::Closing(reason);
        self.arm(number);
    }

    /// A connection has ended, or is to end at once.
    pub(crate) fn end(&mut self, number: u64, reason: CloseReason) {
        let Some(mut connection) = self.connections.remove(&number) else { return };
        let flow = connection.flow;
        for address in connection.aliases.iter().chain([&flow.remote]) {
            let key = (flow.protocol, *address);
            if self.by_remote.get(&key) == Some(&number) {
                self.by_remote.remove(&key);
            }
        }
        if !connection.is_ours {
            self.forget_source(flow.remote.ip(), connection.has_spoken);
        }
        for data in connection.unwritten() {
            self.not_sent(data, flow.remote);
        }
        self.count_end(reason);
        self.actions.push_back(StreamAction::Close(number));
        self.closed.push_back(Closed { connection: number, flow, reason, is_watched: connection.is_watched });
    }

    fn count_end(&mut self, reason: CloseReason) {
        self.counters.closed += 1;
        match reason {
            CloseReason::Refused | CloseReason::ConnectTimeout | CloseReason::Tls | CloseReason::WebSocket => {
                self.counters.failed += 1;
            }
            CloseReason::Silent | CloseReason::Unfinished | CloseReason::SendTimeout | CloseReason::Crowded => {
                self.counters.cut += 1;
            }
            _ => {}
        }
    }

    fn forget_source(&mut self, ip: IpAddr, has_spoken: bool) {
        let Some(source) = self.sources.get_mut(&ip) else { return };
        source.all = source.all.saturating_sub(1);
        source.strangers = source.strangers.saturating_sub(usize::from(!has_spoken));
        if source.all == 0 {
            self.sources.remove(&ip);
        }
    }

    // -- time -----------------------------------------------------------------------------------------------------

    /// See to it that a connection's nearest deadline stands in the queue. A later one finds its place when the earlier
    /// comes up.
    fn arm(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let (deadline, _) = connection.deadline(&self.settings);
        if deadline < connection.armed {
            connection.armed = deadline;
            self.deadlines.push(Reverse((deadline, number)));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Micros> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    pub(crate) fn advance(&mut self, now: Micros) {
        while let Some(Reverse((_, number))) = self.deadlines.peek().filter(|Reverse((at, _))| *at <= now).copied() {
            let Some(Reverse((at, _))) = self.deadlines.pop() else { return };
            let Some(connection) = self.connections.get_mut(&number).filter(|one| one.armed == at) else { continue };
            connection.armed = Micros::MAX;
            let (deadline, reason) = connection.deadline(&self.settings);
            if deadline > now {
                self.arm(number);
            } else if connection.take_ping(now, reason) {
                self.actions.push_back(StreamAction::Ping(number));
                self.arm(number);
            } else {
                self.end(number, reason);
            }
        }
    }

    // -- what others poll -----------------------------------------------------------------------------------------

    pub(crate) fn poll_action(&mut self) -> Option<StreamAction> {
        self.actions.pop_front()
    }

    pub(crate) fn poll_unsent(&mut self) -> Option<(Bytes, SocketAddr)> {
        self.unsent.pop_front()
    }

    pub(crate) fn poll_closed(&mut self) -> Option<Closed> {
        self.closed.pop_front()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.unsent.is_empty() || !self.closed.is_empty()
    }
}
