//! The core without I/O: parser, transactions and policy in one. Time and datagrams are handed in, messages to send and
//! events are polled.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use sipyard_transaction::{
    Config, Event as LayerEvent, Flow, Layer, Listener, Micros, Protocol, Target, Transmit, TxId,
};
use sipyard_wire::{Limits, Message, ParseError, Uri};

use crate::counters::Counters;
use crate::draft::Draft;
use crate::event::Event;
use crate::incoming::{Incoming, Received};
use crate::myself::Myself;
use crate::names::Names;
use crate::rate::RateLimit;
use crate::resolve::{destination, Destination};
use crate::settings::{apply, Policy, Setting};
use crate::streams::Streams;
use crate::tls::TlsContext;
use crate::tokens::Tokens;

/// Answers a second that malformed requests draw, to one source and in total.
const MALFORMED_RATE: (u32, u32) = (50, 500);
/// Drafts kept beyond the live transactions before those of dead ones are swept out.
const SPARE_DRAFTS: usize = 1024;

/// A draft shared by a message and the transaction that was made from it.
pub type SharedDraft = Arc<Mutex<Draft>>;

/// What a transaction was made from. Those who hold a transaction have it; the core keeps it only for transactions that
/// raise events.
#[derive(Clone)]
pub struct Kept {
    /// The message's edits.
    pub draft: SharedDraft,
    /// The message.
    pub incoming: Incoming,
}

/// Finds the local address that the system would send from.
pub type Router = Box<dyn FnMut(IpAddr) -> Option<IpAddr> + Send>;

/// The core. One thread at a time.
pub struct Core {
    pub(crate) layer: Layer,
    pub(crate) now: Micros,
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
    pub(crate) rate: RateLimit,
    pub(crate) counters: Counters,
    pub(crate) events: VecDeque<Queued>,
    pub(crate) outbox: VecDeque<Transmit>,
    pub(crate) myself: Myself,
    pub(crate) via_names: Myself,
    pub(crate) tokens: Tokens,
    pub(crate) kept: HashMap<TxId, Kept>,
    pub(crate) streams: Streams,
    pub(crate) names: Names,
    pub(crate) tls: Option<Arc<TlsContext>>,
    /// When something was said for the log last.
    pub(crate) noticed: Option<Micros>,
    router: Option<Router>,
    serial: u64,
}

/// An event in the queue.
pub(crate) struct Queued {
    pub(crate) event: Event,
    /// Its retransmissions are absorbed while it waits.
    pub(crate) held: bool,
}

impl Core {
    /// A core with this seed: the same seed and calls give the same output. In service it must be random.
    pub fn new(seed: [u64; 2], queue_limit: usize) -> Core {
        Core {
            layer: Layer::new(Config { seed, ..Config::default() }),
            now: 0,
            limits: Limits::default(),
            policy: Policy { queue_limit, ..Policy::default() },
            rate: RateLimit::new(seed[0], MALFORMED_RATE.0, MALFORMED_RATE.1),
            counters: Counters::default(),
            events: VecDeque::new(),
            outbox: VecDeque::new(),
            myself: Myself::default(),
            via_names: Myself::default(),
            tokens: Tokens::new(seed),
            kept: HashMap::new(),
            streams: Streams::new(),
            names: Names::new(seed),
            tls: None,
            noticed: None,
            router: None,
            serial: 0,
        }
    }

    /// The time of the last call.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Take the time; it never runs backwards.
    #[inline]
    pub fn tick(&mut self, now: Micros) {
        self.now = self.now.max(now);
    }

    /// Change a setting.
    pub fn configure(&mut self, setting: Setting) {
        let Some(setting) = apply(self.layer.config_mut(), setting) else { return };
        match setting {
            Setting::UserAgent(value) => self.policy.user_agent = value,
            Setting::Stun(value) => self.policy.stun = value,
            Setting::OnReply(value) => self.policy.onreply = value,
            Setting::AnswerMalformed(value) => self.policy.answer_malformed = value,
            Setting::MalformedRateSource(value) => self.rate.per_source = value,
            Setting::MalformedRateTotal(value) => self.rate.overall = value,
            Setting::QueueLimit(value) => self.policy.queue_limit = value,
            Setting::RetryAfter(value) => self.policy.retry_after = value,
            Setting::Streams(value) => self.streams.settings.apply(value),
            Setting::Aliases(value) => {
                self.policy.aliases = value;
                self.rebuild_myself();
            }
            _ => {}
        }
    }

    /// Add a listener; its index is what flows and targets name.
    pub fn add_listener(&mut self, listener: Listener) -> u16 {
        let index = self.layer.add_listener(listener);
        self.rebuild_myself();
        index
    }

    /// Our listeners.
    pub fn listeners(&self) -> &[Listener] {
        self.layer.listeners()
    }

    /// Let the system's routes choose the listener where several could send.
    pub fn set_router(&mut self, router: Router) {
        self.router = Some(router);
    }

    fn rebuild_myself(&mut self) {
        self.myself.clear();
        self.via_names.clear();
        for listener in self.layer.listeners() {
            let port = listener.address.port();
            let host = listener.address.ip().to_string();
            self.myself.add(host.as_bytes(), port, Some(listener.protocol));
            self.via_names.add(host.as_bytes(), port, None);
            if listener.advertised_host.is_some() || listener.advertised_port.is_some() {
                let host = listener.advertised_host.as_ref().unwrap_or(&host).as_bytes();
                let port = listener.advertised_port.unwrap_or(port);
                self.myself.add(host, port, Some(listener.protocol));
                self.via_names.add(host, port, None);
            }
        }
        for alias in &self.policy.aliases {
            self.myself.add(alias.host.as_bytes(), alias.port, alias.protocol);
        }
    }

    /// Is it one of our listeners or aliases? Port 0 and protocol None mean any.
    pub fn is_myself(&self, host: &[u8], port: u16, protocol: Option<Protocol>) -> bool {
        self.myself.contains(host, port, protocol)
    }

    /// Does a URI name us, by host and port (5060, sips 5061)? As in SER the transport does not count.
    pub fn is_myself_uri(&self, uri: &[u8]) -> bool {
        let Ok(uri) = Uri::parse(uri) else { return false };
        let default = if uri.is_sips() { 5061 } else { 5060 };
        uri.is_sip() && self.myself.contains(uri.host, uri.port.unwrap_or(default), None)
    }

    /// Where a URI with a numeric host points to; Ok(None) for a name.
    ///
    /// # Errors
    /// The URI is none, or no listener of ours can send there.
    pub fn target(&mut self, uri: &[u8], listener: Option<u16>) -> Result<Option<Target>, TargetError> {
        match destination(uri).map_err(TargetError::Parse)? {
            Destination::Name => Ok(None),
            Destination::Address(protocol, remote) => self.target_for(protocol, remote, listener).map(Some),
        }
    }

    /// A target from its parts.
    ///
    /// # Errors
    /// No listener of ours can send there, or nobody may.
    pub fn target_for(
        &mut self,
        protocol: Protocol,
        remote: SocketAddr,
        listener: Option<u16>,
    ) -> Result<Target, TargetError> {
        let protocol = self.streams.web_protocol(protocol, remote);
        let fits = |one: &Listener| one.protocol == protocol && one.address.is_ipv4() == remote.is_ipv4();
        let has_group = || self.listeners().iter().any(|one| fits(one) && one.address.ip().is_multicast());
        let may_be_reached = sipyard_transaction::is_sane(remote) || remote.ip().is_multicast() && has_group();
        if !may_be_reached {
            return Err(TargetError::Forbidden);
        }
        let mut candidates = self.listeners().iter().enumerate().filter(|(_, one)| fits(one));
        let several = match (candidates.next(), candidates.next()) {
            (None, _) => return Err(TargetError::NoListener),
            (Some(_), None) => false,
            (Some(_), Some(_)) => true,
        };
        let mut target = Target { protocol, remote, listener, connection: 0, name: 0 };
        if listener.is_none() && several {
            target.listener = self.routed_listener(protocol, remote);
        }
        Ok(target)
    }

    /// The listener that the system would send from, when it is asked.
    fn routed_listener(&mut self, protocol: Protocol, remote: SocketAddr) -> Option<u16> {
        let source = self.router.as_mut()?(remote.ip())?;
        let found = self.listeners().iter().position(|one| one.protocol == protocol && one.address.ip() == source);
        found.and_then(|index| u16::try_from(index).ok())
    }

    /// Run all timers up to `now`.
    pub fn advance(&mut self, now: Micros) {
        self.tick(now);
        self.layer.advance(self.now);
        self.streams.advance(self.now);
        self.settle_streams();
    }

    /// When `advance` has something to do next.
    pub fn next_timeout(&mut self) -> Option<Micros> {
        match (self.layer.next_timeout(), self.streams.next_deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The next datagram to send. What goes over a connection is handed to it on the way.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.outbox.pop_front().or_else(|| self.layer.poll_transmit())?;
            if transmit.target.protocol == Protocol::Udp {
                return Some(transmit);
            }
            self.send_in_stream(transmit);
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.take_events();
        let queued = self.events.pop_front()?;
        if let (true, Event::Request(Incoming { received: Received::Request(request), .. })) =
            (queued.held, &queued.event)
        {
            self.layer.unhold(request);
        }
        Some(queued.event)
    }

    /// Events that wait.
    #[inline]
    pub fn pending(&mut self) -> usize {
        self.take_events();
        self.events.len()
    }

    /// Counters of the core, with names; those of the transaction layer included.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let layer = self.layer.counters();
        let mut all: Vec<(&'static str, u64)> = self.counters.iter().collect();
        all.extend([
            ("transactions.created", layer.transactions),
            ("transactions.local", layer.local),
            ("transactions.refused", layer.refused),
            ("transactions.timeouts", layer.timeouts),
            ("transactions.failovers", layer.failovers),
            ("transactions.blacklisted", layer.blacklisted),
            ("transactions.loops", layer.loops),
            ("transactions.overdue", layer.overdue),
            ("absorbed.retransmissions", layer.retransmitted_in),
            ("absorbed.transaction_acks", layer.acks_absorbed),
            ("sent.retransmissions", layer.retransmitted_out),
            ("received.stray_replies", layer.stray_responses),
            ("replies.local", layer.finals_local),
        ]);
        all.extend(self.streams.counters.named());
        let classes = ["replies.2xx", "replies.3xx", "replies.4xx", "replies.5xx", "replies.6xx"];
        all.extend(classes.into_iter().zip(layer.finals.into_iter().skip(2)));
        all
    }

    /// The counters of the core itself, to add to (the driver's).
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// What there is now.
    pub fn live(&self) -> Vec<(&'static str, usize)> {
        let counts = self.layer.counts();
        vec![
            ("transactions", counts.server),
            ("clients", counts.client),
            ("timers", counts.timers),
            ("held_replies", counts.held),
            ("held", counts.pending),
            ("blacklist", self.layer.blacklist().len()),
            ("connections", self.streams.len()),
            ("queue", self.events.len() + counts.events),
            ("transmits", self.outbox.len() + counts.transmits),
        ]
    }

    /// A message for scripts, numbered.
    pub(crate) fn incoming(&mut self, received: Received, destination: Option<SocketAddr>) -> Incoming {
        self.serial += 1;
        Incoming { id: self.serial, at: self.now, destination, received }
    }

    fn reply_incoming(&mut self, message: Message, flow: Flow) -> Incoming {
        let destination = self.listeners().get(usize::from(flow.listener)).map(|listener| listener.address);
        self.incoming(Received::Reply(message, flow), destination)
    }

    /// Move the transaction layer's events behind those that wait.
    pub(crate) fn take_events(&mut self) {
        while let Some(event) = self.layer.poll_event() {
            let event = self.translate(event);
            self.events.push_back(Queued { event, held: false });
        }
    }

    fn translate(&mut self, event: LayerEvent) -> Event {
        match event {
            LayerEvent::Reply { tx, branch, token, message, flow } => {
                Event::Reply { tx, branch, token, reply: self.reply_incoming(message, flow) }
            }
            LayerEvent::Failure { tx, status, branch, reply } => {
                let reply = reply.map(|(message, flow)| self.reply_incoming(message, flow));
                Event::Failure { tx, branch, status, reply }
            }
            LayerEvent::Final { tx, status, held, message } => {
                let reply = message.map(|message| self.incoming(Received::Local(message), None));
                Event::Final { tx, status, held, reply }
            }
            LayerEvent::Ended { tx, status } => Event::Ended { tx, status },
            LayerEvent::ClientReply { client, status, message, flow } => {
                Event::ClientReply { client, status, reply: self.reply_incoming(message, flow) }
            }
            LayerEvent::ClientTimeout { client, status } => Event::ClientTimeout { client, status },
        }
    }

    /// Keep what a transaction was made from, for those who meet it in an event.
    pub(crate) fn keep(&mut self, tx: TxId, kept: &Kept) {
        if self.kept.contains_key(&tx) {
            return;
        }
        let counts = self.layer.counts();
        if self.kept.len() >= SPARE_DRAFTS + 2 * (counts.server + counts.client) {
            let layer = &self.layer;
            self.kept.retain(|tx, _| layer.facts(*tx).is_some());
        }
        self.kept.insert(tx, kept.clone());
    }

    /// What a transaction was made from; as far as the transaction layer knows when nobody kept more.
    pub fn kept(&self, tx: TxId) -> Option<Kept> {
        self.kept.get(&tx).cloned().or_else(|| {
            let request = self.layer.facts(tx)?.request?.clone();
            let destination = self.listeners().get(usize::from(request.flow.listener)).map(|one| one.address);
            let incoming = Incoming { id: 0, at: self.now, destination, received: Received::Request(request) };
            Some(Kept { draft: SharedDraft::default(), incoming })
        })
    }

    /// The same, and forget it: the transaction is gone.
    pub fn forget(&mut self, tx: TxId) -> Option<Kept> {
        self.kept.remove(&tx)
    }
}

/// Why there is no target.
#[derive(Clone, Debug)]
pub enum TargetError {
    /// The URI is none.
    Parse(ParseError),
    /// No listener of ours has that protocol and address family.
    NoListener,
    /// A broadcast, multicast or unspecified address, or port 0.
    Forbidden,
}
