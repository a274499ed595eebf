//! A proxy built on the layer, a virtual clock and the parties around it. Traces read as `milliseconds party message`.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sipyard_transaction::*;
use sipyard_wire::{build, Edits, HeaderName, Limits, Message, ViaMark};

pub const MS: Micros = 1_000;
pub const S: Micros = 1_000_000;
pub const CALLER: &str = "192.0.2.1:5060";
pub const PROXY: &str = "198.51.100.1:5060";
const PARTIES: [(&str, &str); 6] = [
    ("caller", CALLER),
    ("proxy", PROXY),
    ("bob", "203.0.113.1:5060"),
    ("carol", "203.0.113.2:5060"),
    ("dave", "203.0.113.3:5060"),
    ("eve", "203.0.113.4:5060"),
];

pub fn address(party: &str) -> SocketAddr {
    let known = PARTIES.iter().find(|(name, _)| *name == party).map(|(_, address)| *address);
    known.unwrap_or(party).parse().expect("address")
}

pub fn party(address: SocketAddr) -> String {
    let text = address.to_string();
    PARTIES.iter().find(|(_, known)| *known == text).map_or(text, |(name, _)| (*name).to_owned())
}

pub fn parse(data: &[u8]) -> Message {
    Message::parse(Bytes::copy_from_slice(data), &Limits::default()).expect("well-formed")
}

pub fn flow(from: &str) -> Flow {
    Flow { listener: 0, protocol: Protocol::Udp, remote: address(from), connection: 0 }
}

pub fn target(party: &str) -> Target {
    Target { protocol: Protocol::Udp, remote: address(party), listener: None, connection: 0, name: 0 }
}

pub fn branch_to(targets: &[&str]) -> Branch {
    Branch { outgoing: Outgoing::default(), targets: targets.iter().map(|party| target(party)).collect(), q: -1 }
}

/// A request of the caller's.
pub fn request(method: &str, branch: &str, to_tag: &str) -> String {
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\r\n\
         From: <sip:caller@example.com>;tag=f1\r\nTo: <sip:bob@example.com>{to_tag}\r\nCall-ID: c1@192.0.2.1\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

pub fn invite() -> String {
    request("INVITE", "z9hG4bKcall1", "")
}

pub struct Sent {
    pub at: Micros,
    pub to: String,
    pub message: Message,
    pub data: Bytes,
    pub target: Target,
}

pub struct World {
    pub layer: Layer,
    pub now: Micros,
    pub sent: Vec<Sent>,
    pub events: Vec<Event>,
    seen: usize,
}

impl World {
    pub fn new() -> World {
        World::with(Config::default())
    }

    pub fn with(config: Config) -> World {
        let mut layer = Layer::new(config);
        layer.add_listener(Listener::new(Protocol::Udp, address(PROXY), None, None));
        World { layer, now: 0, sent: Vec::new(), events: Vec::new(), seen: 0 }
    }

    /// Takes what the layer has to send and to say.
    pub fn drain(&mut self) {
        while let Some(transmit) = self.layer.poll_transmit() {
            assert!(transmit.target.listener.is_some(), "a message without listener");
            self.sent.push(Sent {
                at: self.now,
                to: party(transmit.target.remote),
                message: parse(&transmit.data),
                data: transmit.data,
                target: transmit.target,
            });
        }
        while let Some(event) = self.layer.poll_event() {
            self.events.push(event);
        }
    }

    /// Receives a request; gives it if a script must decide.
    pub fn receive(&mut self, text: &str, from: &str) -> Option<Request> {
        let message = parse(text.as_bytes());
        message.check_routable().expect("routable");
        let request = self.layer.request_of(message, flow(from));
        let delivered = self.layer.receive_request(self.now, &request) == Disposition::Deliver;
        self.drain();
        delivered.then_some(request)
    }

    pub fn respond(&mut self, data: &[u8], from: &str) -> ResponseDisposition {
        let disposition = self.layer.receive_response(self.now, &parse(data), flow(from));
        self.drain();
        disposition
    }

    /// A new transaction, relayed to branches of one target each.
    pub fn relay(&mut self, text: &str, parties: &[&str]) -> TxId {
        self.relay_armed(text, parties, Arm::NONE)
    }

    pub fn relay_armed(&mut self, text: &str, parties: &[&str], arm: Arm) -> TxId {
        let request = self.receive(text, "caller").expect("new");
        let NewTransaction::New(id) = self.layer.new_transaction(self.now, &request) else { panic!("not new") };
        self.layer.arm(id, arm);
        self.fork(id, parties).expect("relayed");
        id
    }

    pub fn fork(&mut self, id: TxId, parties: &[&str]) -> Result<usize, RelayError> {
        let branches = parties.iter().map(|party| branch_to(&[party])).collect();
        let result = self.layer.relay(self.now, id, branches);
        self.drain();
        result
    }

    pub fn resume_failure(&mut self, id: TxId) {
        assert!(self.layer.resume_failure(self.now, id));
        self.drain();
    }

    /// The last request of a method that went to a party.
    pub fn last(&self, method: &str, to: &str) -> &Sent {
        let matches = |sent: &&Sent| {
            sent.to == to && sent.message.is_request() && sent.message.method().as_bytes() == method.as_bytes()
        };
        self.sent.iter().rev().find(matches).expect("such a request")
    }

    /// The last response that went to a party.
    pub fn last_reply(&self, to: &str) -> &Message {
        let sent = self.sent.iter().rev().find(|sent| sent.to == to && !sent.message.is_request());
        &sent.expect("a response").message
    }

    /// A party answers the last request of a method that it got.
    pub fn answer_to(&mut self, method: &str, from: &str, status: u16) {
        let data = response(&self.last(method, from).message, status, from, "");
        self.respond(&data, from);
    }

    pub fn answer(&mut self, from: &str, status: u16) {
        self.answer_to("INVITE", from, status);
    }

    pub fn answer_with(&mut self, from: &str, status: u16, headers: &str) {
        let data = response(&self.last("INVITE", from).message, status, from, headers);
        self.respond(&data, from);
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Micros) {
        let end = self.now + duration;
        while let Some(next) = self.layer.next_timeout().filter(|next| *next <= end) {
            assert!(next >= self.now, "time runs backwards");
            self.now = next;
            self.layer.advance(next);
            self.drain();
        }
        self.now = end;
        self.layer.advance(end);
        self.drain();
    }

    /// What was sent since the last look.
    pub fn trace(&mut self) -> Vec<String> {
        let lines = self.sent[self.seen..].iter().map(|sent| {
            let what = if sent.message.is_request() {
                String::from_utf8_lossy(sent.message.method().as_bytes()).into_owned()
            } else {
                sent.message.status().to_string()
            };
            format!("{} {} {what}", sent.at / MS, sent.to)
        });
        let lines = lines.collect();
        self.seen = self.sent.len();
        lines
    }

    /// Events since the last look.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The caller's ACK to a failure, with the To-tag of the last response.
    pub fn ack(&mut self) -> Option<Request> {
        let tag = String::from_utf8_lossy(self.last_reply("caller").to_tag().expect("tag")).into_owned();
        let text = request("ACK", "z9hG4bKcall1", &format!(";tag={tag}"));
        self.receive(&text, "caller")
    }

    /// Long silence, after which nothing may be left.
    pub fn expect_empty(&mut self) {
        self.run(400 * S);
        let counts = self.layer.counts();
        assert_eq!(counts, Counts::default(), "something is stuck");
    }
}

/// A party's response to a request that it got.
pub fn response(request: &Message, status: u16, from: &str, headers: &str) -> Vec<u8> {
    let tag = (status > 100).then(|| format!("tag-{from}"));
    let mut out = Vec::new();
    let response = build::Response {
        status,
        reason: b"Some Reason",
        to_tag: tag.as_deref().map(str::as_bytes),
        headers: headers.as_bytes(),
        body: b"",
        mark: ViaMark::default(),
    };
    build::response_to(request, &response, &mut out);
    out
}

pub fn header(message: &Message, id: HeaderName) -> &str {
    std::str::from_utf8(message.first(id).expect("header").value).expect("text")
}

pub fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).expect("text")
}

pub fn shared(record_route: RecordRoute) -> Option<Arc<RecordRoute>> {
    Some(Arc::new(record_route))
}

pub fn no_edits() -> Edits {
    Edits::default()
}
