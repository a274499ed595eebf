//! Connections and the rest of the core: what comes over them, what goes into them, what scripts may ask about them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sipyard_transaction::{Flow, Micros, Protocol, Request, Target, Transmit};
use sipyard_wire::{Limits, Message};

use crate::core::{Core, Queued};
use crate::event::Event;
use crate::http;
use crate::incoming::Received;
use crate::streams::{CloseReason, Phase, StreamAction, StreamSettings, Taken};
use crate::tls::{TlsContext, TlsFacts};
use crate::websocket::Origins;

/// Bytes of a message in a stream; the framer has the finer limits.
const STREAM_LIMITS: Limits = Limits { message: 65_536 + (1 << 20), fields: 2_048 };

/// A connection as those see it who look.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Where it leads to, its number included.
    pub flow: Flow,
    /// Our end.
    pub local: SocketAddr,
    /// Whether we asked for it.
    pub is_ours: bool,
    /// Whether messages may flow.
    pub is_open: bool,
    /// Other addresses that lead here.
    pub aliases: Vec<SocketAddr>,
    /// What its TLS handshake came to.
    pub tls: Option<Arc<TlsFacts>>,
    /// Microseconds until it is closed if nothing happens.
    pub left: Micros,
}

impl Core {
    // -- for who does the I/O -------------------------------------------------------------------------------------

    /// A peer connected to a listener. None: hang up.
    pub fn stream_accepted(
        &mut self,
        now: Micros,
        listener: u16,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<u64> {
        self.tick(now);
        let protocol = self.listeners().get(usize::from(listener))?.protocol;
        let flow = Flow { listener, protocol, remote, connection: 0 };
        let accepted = self.streams.accept(self.now, flow, local);
        self.settle_streams();
        accepted
    }

    /// A connection that was asked for stands.
    pub fn stream_connected(&mut self, now: Micros, connection: u64, local: SocketAddr) {
        self.tick(now);
        self.streams.connected(self.now, connection, local);
    }

    /// A connection's TLS handshake has come to its end.
    pub fn stream_secured(&mut self, connection: u64, facts: TlsFacts) {
        self.streams.secured(connection, facts);
    }

    /// What new connections over TLS show and demand; those that stand keep what they have.
    pub fn set_tls(&mut self, context: Arc<TlsContext>) {
        self.tls = Some(context);
    }

    /// What a listener's connections show and demand, if that is known; `None` when they speak no TLS.
    pub(crate) fn tls_of(&self, listener: u16) -> Option<Option<Arc<TlsContext>>> {
        let listener = self.listeners().get(usize::from(listener))?;
        matches!(listener.protocol, Protocol::Tls | Protocol::Wss).then(|| self.tls())
    }

    /// Which pages may connect to a listener; `None` when it has no WebSocket.
    pub(crate) fn origins_of(&self, listener: u16) -> Option<Origins> {
        let listener = self.listeners().get(usize::from(listener))?;
        matches!(listener.protocol, Protocol::Ws | Protocol::Wss).then(|| self.streams.settings.origins.clone())
    }

    /// What new connections over TLS show and demand, if that is known.
    pub fn tls(&self) -> Option<Arc<TlsContext>> {
        self.tls.clone()
    }

    /// A connection has ended, or was not made.
    pub fn stream_closed(&mut self, now: Micros, connection: u64, reason: CloseReason) {
        self.tick(now);
        self.streams.end(connection, reason);
        self.settle_streams();
    }

    /// Bytes came over a connection.
    pub fn stream_received(&mut self, now: Micros, connection: u64, data: &[u8]) {
        self.tick(now);
        self.counters.bytes += data.len() as u64;
        self.streams.push(self.now, connection, data);
        while let Taken::Message(message) = self.streams.take(self.now, connection) {
            self.take_message(connection, message);
        }
        self.settle_streams();
    }

    /// A whole message came over a connection that keeps them apart by itself (RFC 7118).
    pub fn stream_message(&mut self, now: Micros, connection: u64, message: Bytes) {
        self.tick(now);
        self.counters.bytes += message.len() as u64;
        if message.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            self.streams.answer_ping(self.now, connection);
        } else {
            self.take_message(connection, message);
        }
        self.settle_streams();
    }

    /// A peer has shown that he is there, without a message.
    pub fn stream_alive(&mut self, now: Micros, connection: u64) {
        self.tick(now);
        self.streams.alive(self.now, connection);
    }

    fn take_message(&mut self, connection: u64, message: Bytes) {
        let Some((flow, local)) = self.streams.get(connection).map(|one| (one.flow, one.local)) else { return };
        if self.streams.settings.http && http::is_http(&message) {
            return self.take_http(connection, &message, flow, local);
        }
        let before = self.counters.not_sip;
        if self.receive_candidate(message, flow, local, &STREAM_LIMITS) {
            self.streams.spoke(self.now, connection);
        } else if self.counters.not_sip != before {
            self.streams.end(connection, CloseReason::NotSip);
        }
        self.take_events();
    }

    fn take_http(&mut self, connection: u64, request: &[u8], flow: Flow, local: SocketAddr) {
        self.counters.http += 1;
        let message = http::as_message(request, &flow, local, self.counters.http)
            .and_then(|text| Message::parse(text, &STREAM_LIMITS).ok())
            .filter(|_| self.events.len() < self.policy.queue_limit);
        let Some(message) = message else {
            return self.streams.end(connection, CloseReason::NotSip);
        };
        self.streams.spoke(self.now, connection);
        let incoming = self.incoming(Received::Http(message, flow), Some(local));
        self.events.push_back(Queued { event: Event::Http(incoming), held: false });
    }

    /// Answer an HTTP request, and close its connection behind the answer. `false` if it is gone.
    pub fn answer_http(&mut self, connection: u64, answer: Bytes) -> bool {
        let Some(flow) = self.streams.get(connection).map(|one| one.flow) else { return false };
        self.streams.send(self.now, &flow.target(), answer, flow.remote, None);
        self.streams.close(connection, CloseReason::Asked);
        self.settle_streams();
        true
    }

    /// Pieces to be written to a connection.
    pub fn stream_output(&self, connection: u64, out: &mut Vec<Bytes>) {
        self.streams.output(connection, out);
    }

    /// So many bytes of them are written; whether there is more to be written now.
    pub fn stream_wrote(&mut self, now: Micros, connection: u64, count: usize, is_blocked: bool) -> bool {
        self.tick(now);
        let has_more = self.streams.wrote(self.now, connection, count, is_blocked);
        self.settle_streams();
        has_more
    }

    /// What is to be done with connections. Messages that wait for a way are given one first.
    pub fn poll_stream_action(&mut self) -> Option<StreamAction> {
        self.streams.poll_action()
    }

    /// Out of descriptors: end the connection of a stranger, if there is one.
    pub fn make_room(&mut self) -> bool {
        let found = self.streams.make_room();
        self.settle_streams();
        found
    }

    /// Something that who runs the server should read, said at most once a second.
    pub fn notice(&mut self, text: impl Into<Cow<'static, str>>) {
        const PAUSE: Micros = 1_000_000;
        if self.noticed.is_none_or(|at| self.now >= at + PAUSE) {
            self.noticed = Some(self.now);
            self.events.push_back(Queued { event: Event::Notice(text.into()), held: false });
        }
    }

    /// Hand a message to a connection.
    pub(crate) fn send_in_stream(&mut self, transmit: Transmit) {
        let Transmit { mut target, data } = transmit;
        if target.connection != 0 && data.starts_with(b"SIP/") && self.streams.find(&target).is_none() {
            target = reply_without_connection(target, &data);
        }
        let listener = target.listener.and_then(|index| self.listeners().get(usize::from(index)));
        let local = listener.map_or(target.remote, |listener| listener.address);
        let name = self.names.get(target.name).map(Into::into);
        self.streams.send(self.now, &target, data, local, name);
        self.settle_streams();
    }

    /// Tell the transactions what was not sent, and the scripts what ended.
    pub(crate) fn settle_streams(&mut self) {
        while self.streams.has_work() {
            if let Some((data, remote)) = self.streams.poll_unsent() {
                self.layer.transport_failed(self.now, &data, Some(remote));
            }
            if let Some(closed) = self.streams.poll_closed().filter(|closed| closed.is_watched) {
                self.events.push_back(Queued { event: Event::Closed(closed), held: false });
            }
        }
        self.take_events();
    }

    // -- for scripts ----------------------------------------------------------------------------------------------

    /// The limits and times of connections.
    pub fn stream_settings(&self) -> &StreamSettings {
        &self.streams.settings
    }

    /// Let requests to another port of a request's sender take the connection that it came over: the port of its Via,
    /// or this one (`force_tcp_alias`).
    pub fn add_alias(&mut self, request: &Request, port: Option<u16>) -> bool {
        let flow = request.flow;
        let of_via = || request.message.top_via().ok().map(|via| via.port.unwrap_or(flow.protocol.default_port()));
        match port.or_else(of_via) {
            Some(port) => self.streams.add_alias(flow.connection, port),
            None => false,
        }
    }

    /// The Via says that its port leads back to who sent it (`tcp_accept_aliases`).
    pub(crate) fn accept_alias(&mut self, request: &Request) {
        if request.message.top_via().is_ok_and(|via| via.param(b"alias").is_some()) {
            self.add_alias(request, None);
        }
    }

    /// Make the end of a connection an event; false when it has ended.
    pub fn watch_connection(&mut self, connection: u64) -> bool {
        self.streams.watch(connection)
    }

    /// Close a connection in order.
    pub fn close_connection(&mut self, connection: u64) {
        self.streams.close(connection, CloseReason::Asked);
        self.settle_streams();
    }

    /// The facts of a connection.
    pub fn connection(&self, connection: u64) -> Option<ConnectionFacts> {
        let one = self.streams.get(connection)?;
        Some(ConnectionFacts {
            flow: one.flow,
            local: one.local,
            is_ours: one.is_ours,
            is_open: one.phase == Phase::Open,
            aliases: one.aliases.clone(),
            tls: one.tls.clone(),
            left: one.deadline(&self.streams.settings).0.saturating_sub(self.now),
        })
    }

    /// The numbers of all connections.
    pub fn connection_numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.streams.all().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// A target whose peer must show that it is this domain (RFC 5922).
    pub fn named(&mut self, target: Target, name: &str) -> Target {
        let is_secure = matches!(target.protocol, Protocol::Tls | Protocol::Wss);
        let name = if is_secure { self.names.number(&name.to_ascii_lowercase()) } else { 0 };
        Target { name, ..target }
    }
}

/// Where a reply goes when its connection is gone: to the port that the request's Via names (RFC 3261 §18.2.2).
fn reply_without_connection(mut target: Target, data: &Bytes) -> Target {
    if let Ok(message) = Message::parse(data.clone(), &STREAM_LIMITS) {
        if let Ok(via) = message.top_via() {
            target.remote.set_port(via.port.unwrap_or(target.protocol.default_port()));
        }
    }
    Target { connection: 0, ..target }
}
