//! What a call costs in the layer: INVITE, 100, 180, 200, ACK, BYE, 200 at a steady rate, in nanoseconds.
//!
//! `cargo bench -p sipyard-transaction`; parsing is timed apart, writing is part of the layer's share.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sipyard_transaction::{
    Arm, Branch, Config, Disposition, Flow, Layer, Listener, NewTransaction, Outgoing, Protocol, RecordRoute, Target,
};
use sipyard_wire::{build, Limits, Message, ViaMark};

const CALLS: u64 = 200_000;
const RATE: u64 = 1_000;

struct Bench {
    layer: Layer,
    now: u64,
    parsing: Vec<Duration>,
    working: [Vec<Duration>; 7],
    timing: Vec<Duration>,
    step: usize,
    caller: Flow,
    callee: Flow,
    record_route: Arc<RecordRoute>,
}

fn request(method: &str, call: u64, cseq: u32, to_tag: &str, body: &str) -> Bytes {
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{method}-{call:08x}-1\r\n\
         From: \"Alice\" <sip:alice@example.com:5060>;tag=f{call:08x}\r\nTo: <sip:bob@example.com>{to_tag}\r\n\
         Call-ID: {call:08x}-4711@192.0.2.1\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@192.0.2.1:5060>\r\n\
         Max-Forwards: 70\r\nSubject: Performance Test\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

impl Bench {
    fn new() -> Bench {
        let mut layer = Layer::new(Config { seed: [1, 2], ..Config::default() });
        let own = "198.51.100.1:5060".parse().expect("address");
        layer.add_listener(Listener::new(Protocol::Udp, own, None, None));
        let flow = |text: &str| Flow {
            listener: 0,
            protocol: Protocol::Udp,
            remote: text.parse().expect("address"),
            connection: 0,
        };
        Bench {
            layer,
            now: 0,
            parsing: Vec::new(),
            working: Default::default(),
            timing: Vec::new(),
            step: 0,
            caller: flow("192.0.2.1:5060"),
            callee: flow("203.0.113.1:5060"),
            record_route: Arc::new(RecordRoute { params: ";lr".into(), ..RecordRoute::default() }),
        }
    }

    fn parse(&mut self, data: Bytes) -> Message {
        let start = Instant::now();
        let message = Message::parse(data, &Limits::default()).expect("well-formed");
        message.check_routable().expect("routable");
        self.parsing.push(start.elapsed());
        message
    }

    fn timed<T>(&mut self, work: impl FnOnce(&mut Bench) -> T) -> T {
        let start = Instant::now();
        let result = work(self);
        self.working[self.step].push(start.elapsed());
        self.step = (self.step + 1) % self.working.len();
        result
    }

    /// Drains what was sent; the last of it.
    fn sent(&mut self) -> Option<Bytes> {
        let mut last = None;
        while let Some(transmit) = self.layer.poll_transmit() {
            last = Some(transmit.data);
        }
        last
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing {
            uri: Some(Bytes::from_static(b"sip:bob@203.0.113.1:5060")),
            record_route: Some(self.record_route.clone()),
            ..Outgoing::default()
        }
    }

    fn target(&self) -> Target {
        Target { listener: None, ..self.callee.target() }
    }

    /// A request is relayed with state; what was sent.
    fn relay(&mut self, data: Bytes) -> Message {
        let message = self.parse(data);
        let sent = self.timed(|bench| {
            let request = bench.layer.request_of(message, bench.caller);
            assert_eq!(bench.layer.receive_request(bench.now, &request), Disposition::Deliver);
            let NewTransaction::New(id) = bench.layer.new_transaction(bench.now, &request) else { panic!("new") };
            bench.layer.arm(id, Arm::NONE);
            let branch = Branch { outgoing: bench.outgoing(), targets: vec![bench.target()], q: -1 };
            bench.layer.relay(bench.now, id, vec![branch]).expect("relayed");
            bench.sent().expect("sent")
        });
        Message::parse(sent, &Limits::default()).expect("well-formed")
    }

    fn answer(&mut self, request: &Message, status: u16, body: &[u8]) {
        let response =
            build::Response { status, reason: b"OK", to_tag: Some(b"t"), headers: b"", body, mark: ViaMark::default() };
        let mut data = Vec::new();
        build::response_to(request, &response, &mut data);
        let message = self.parse(data.into());
        self.timed(|bench| {
            bench.layer.receive_response(bench.now, &message, bench.callee);
            bench.sent()
        });
    }

    fn forward(&mut self, data: Bytes) {
        let message = self.parse(data);
        self.timed(|bench| {
            let request = bench.layer.request_of(message, bench.caller);
            assert_eq!(bench.layer.receive_request(bench.now, &request), Disposition::Deliver);
            bench.layer.forward_stateless(bench.now, &request, &bench.outgoing(), &[bench.target()]).expect("sent");
            bench.sent()
        });
    }

    fn advance(&mut self, step: u64) {
        self.now += step;
        let start = Instant::now();
        if self.layer.next_timeout().is_some_and(|next| next <= self.now) {
            self.layer.advance(self.now);
        }
        self.timing.push(start.elapsed());
    }
}

fn main() {
    let mut bench = Bench::new();
    let body = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";
    for call in 0..CALLS {
        let invite = bench.relay(request("INVITE", call, 1, "", body));
        bench.answer(&invite, 100, b"");
        bench.answer(&invite, 180, b"");
        bench.answer(&invite, 200, body.as_bytes());
        bench.forward(request("ACK", call, 1, ";tag=t", ""));
        let bye = bench.relay(request("BYE", call, 2, ";tag=t", ""));
        bench.answer(&bye, 200, b"");
        bench.advance(1_000_000 / RATE);
    }
    let names = ["INVITE", "100", "180", "200", "ACK", "BYE", "200"];
    let parsing = median(&mut bench.parsing);
    let timing = median(&mut bench.timing);
    println!("median ns: parse and check {parsing} a message, timers {timing} a call");
    let mut total = 0;
    for (name, times) in names.iter().zip(&mut bench.working) {
        let time = median(times);
        total += time;
        println!("  {name:7} {time:6}");
    }
    println!("layer and writing {} a message", total / names.len() as u128);
    println!("alive at {RATE} calls/s: {:?}", bench.layer.counts());
}

/// The median says what the work costs even on a machine that does other things beside.
fn median(times: &mut [Duration]) -> u128 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos()
}
