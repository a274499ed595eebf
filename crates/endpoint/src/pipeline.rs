//! The receive pipeline: what becomes of a datagram before a script sees it (ser-semantics §1, §15).

use std::net::SocketAddr;

use bytes::Bytes;
use sipyard_transaction::{
    is_of_a_transaction, is_sane, Disposition, Flow, Micros, Reply, Request, ResponseDisposition, StrayReply,
};
use sipyard_wire::{Edits, ErrorKind, HeaderName, Limits, Malformed, Message, Method, ParseError};

use crate::classify::{classify, Kind};
use crate::core::{Core, Queued};
use crate::event::Event;
use crate::incoming::Received;
use crate::stun;

/// While more events than this wait, retransmissions of requests among them are absorbed.
const CROWDED: usize = 32;

impl Core {
    /// Take a datagram. `flow.listener` must be one of ours; `destination` is where it was sent to.
    pub fn receive(&mut self, now: Micros, data: &[u8], flow: Flow, destination: SocketAddr) {
        self.tick(now);
        self.counters.datagrams += 1;
        self.counters.bytes += data.len() as u64;
        match classify(data) {
            Kind::Candidate => {
                let limits = self.limits;
                self.receive_candidate(Bytes::copy_from_slice(data), flow, destination, &limits);
            }
            Kind::KeepAlive => self.counters.keepalives += 1,
            Kind::Short => self.counters.short += 1,
            Kind::Stun => self.answer_stun(data, flow),
            Kind::Rtp => self.counters.rtp += 1,
        }
        self.take_events();
    }

    fn answer_stun(&mut self, request: &[u8], flow: Flow) {
        let answer = if self.policy.stun { stun::answer(request, flow.remote) } else { None };
        match answer.filter(|_| is_sane(flow.remote)) {
            Some(answer) => {
                self.counters.stun_answered += 1;
                self.layer.send_raw(&flow.target(), answer.into());
            }
            None => self.counters.stun += 1,
        }
    }

    /// Take what may be a message; whether it is one.
    pub(crate) fn receive_candidate(
        &mut self,
        data: Bytes,
        flow: Flow,
        destination: SocketAddr,
        limits: &Limits,
    ) -> bool {
        let size = data.len();
        let routable = |message: Message| match message.check_routable() {
            Ok(()) => Ok(message),
            Err(error) => Err(Malformed { error, message: Some(message) }),
        };
        match Message::parse(data, limits).and_then(routable) {
            Ok(message) if message.is_request() => self.receive_request(message, size, flow, destination),
            Ok(message) => self.receive_reply(message, flow, destination),
            Err(malformed) => {
                self.refuse(malformed, size, flow);
                return false;
            }
        }
        true
    }

    fn receive_request(&mut self, message: Message, size: usize, flow: Flow, destination: SocketAddr) {
        self.counters.requests += 1;
        let request = self.layer.request_of(message, flow);
        if flow.connection != 0 && self.streams.settings.accept_aliases {
            self.accept_alias(&request);
        }
        if self.layer.receive_request(self.now, &request) == Disposition::Absorbed {
            return;
        }
        let waiting = self.events.len();
        if waiting >= self.policy.queue_limit && !self.may_jump(&request, waiting) {
            return self.shed(&request, size);
        }
        let held = waiting >= CROWDED && request.message.method() != Method::Ack;
        if held {
            self.layer.hold(self.now, &request);
        }
        let incoming = self.incoming(Received::Request(request), Some(destination));
        self.events.push_back(Queued { event: Event::Request(incoming), held });
    }

    /// What belongs to a call that exists goes before new calls, up to twice the limit.
    fn may_jump(&self, request: &Request, waiting: usize) -> bool {
        let belongs = request.message.to_tag().is_some() || request.message.method() == Method::Cancel;
        belongs && waiting < self.policy.queue_limit.saturating_mul(2)
    }

    /// Too much waits: 503 (RFC 3261 §21.5.4), cheap and stateless.
    pub(crate) fn shed(&mut self, request: &Request, size: usize) {
        let headers = format!("Retry-After: {}\r\n", self.policy.retry_after);
        let reply = Reply { headers: headers.as_bytes(), bare: true, ..Reply::new(503, b"Server overloaded") };
        if request.message.method() != Method::Ack && self.answer_modestly(request, &reply, size) {
            self.counters.overload += 1;
        } else {
            self.counters.overload_dropped += 1;
        }
    }

    fn receive_reply(&mut self, message: Message, flow: Flow, destination: SocketAddr) {
        self.counters.replies += 1;
        if self.layer.receive_response(self.now, &message, flow) == ResponseDisposition::Owned {
            return;
        }
        // A reply goes back the way its request came: the top Via is one that we wrote, or it is no business of ours.
        let ours = message.top_via().is_ok_and(|via| self.via_names.contains(via.host, via.port.unwrap_or(5060), None));
        // RFC 6026 §7.3, RFC 4320 §4.2: what comes too late for its transaction, or pretends to belong to one, is not
        // forwarded; a branch of ours tells whether there was a transaction.
        let too_late = message.top_via().is_ok_and(|via| via.branch().is_some_and(is_of_a_transaction));
        if !ours || too_late {
            self.counters.stray_dropped += 1;
        } else if !self.policy.onreply {
            self.relay_stray(&message, &Edits::default(), flow.listener);
        } else if self.events.len() < self.policy.queue_limit {
            let incoming = self.incoming(Received::Reply(message, flow), Some(destination));
            self.events.push_back(Queued { event: Event::StrayReply(incoming), held: false });
        } else {
            self.counters.overload_dropped += 1;
        }
    }

    /// Relay a reply of no transaction by its second Via; whether it went.
    pub(crate) fn relay_stray(&mut self, message: &Message, edits: &Edits, listener: u16) -> bool {
        let outcome = self.layer.forward_reply_stateless(self.now, message, edits, listener);
        if outcome == StrayReply::Relayed {
            self.counters.stray_relayed += 1;
        } else {
            self.counters.stray_dropped += 1;
        }
        outcome == StrayReply::Relayed
    }

    /// A message that cannot be taken: a request is answered if that is possible, safe and not too often.
    fn refuse(&mut self, malformed: Malformed, size: usize, flow: Flow) {
        let Malformed { error, message } = malformed;
        let Some(message) = message.filter(|_| error.kind != ErrorKind::NotSip) else {
            self.counters.not_sip += 1;
            return;
        };
        if !message.is_request() {
            self.counters.malformed_replies += 1;
            return;
        }
        // An unreadable Via is echoed as it is: the answer goes to the source address anyway (RFC 3261 §18.2.2).
        let answerable =
            error.status != 0 && message.method() != Method::Ack && message.first(HeaderName::Via).is_some();
        if !answerable || !self.policy.answer_malformed {
            self.counters.malformed_unanswerable += 1;
            return;
        }
        if !self.rate.allows(self.now, flow.remote.ip()) {
            self.counters.malformed_limited += 1;
            return;
        }
        self.answer_malformed(message, &error, size, flow);
    }

    fn answer_malformed(&mut self, message: Message, error: &ParseError, size: usize, flow: Flow) {
        let request = self.layer.request_of(message, flow);
        let reply = Reply { bare: true, ..Reply::new(error.status, error.reason.as_bytes()) };
        if self.answer_modestly(&request, &reply, size) {
            self.counters.malformed_answered += 1;
        } else {
            self.counters.malformed_amplifying += 1;
        }
    }

    /// Answer a request statelessly unless the answer is more than half as large again as what came (`size` bytes): a
    /// source address is easily forged, and we are nobody's amplifier.
    fn answer_modestly(&mut self, request: &Request, reply: &Reply<'_>, size: usize) -> bool {
        while let Some(transmit) = self.layer.poll_transmit() {
            self.outbox.push_back(transmit);
        }
        self.layer.reply_stateless(self.now, request, reply);
        let Some(answer) = self.layer.poll_transmit() else { return false };
        let modest = answer.target.protocol.is_reliable() || answer.data.len() * 2 <= size * 3;
        if modest {
            self.outbox.push_back(answer);
        }
        modest
    }

    /// A datagram that we sent to `remote` could not be delivered; `data` is at least its beginning.
    pub fn transport_failed(&mut self, now: Micros, data: &[u8], remote: SocketAddr) {
        self.tick(now);
        self.counters.icmp += 1;
        self.layer.transport_failed(self.now, data, Some(remote));
        self.take_events();
    }

    /// The system refused to send a datagram to `remote`.
    pub fn not_sent(&mut self, now: Micros, data: &[u8], remote: SocketAddr) {
        self.tick(now);
        self.layer.transport_failed(self.now, data, Some(remote));
        self.take_events();
    }
}
