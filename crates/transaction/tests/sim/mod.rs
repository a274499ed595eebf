//! A whole small world from one seed: a caller, three callees, a proxy whose script does anything it may, a network that
//! loses, delays, reorders and duplicates.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod phones;
mod script;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use sipyard_transaction::*;

use crate::world::{address, parse, party, PROXY};
pub use phones::{Callee, Caller};
use script::Later;

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// A datagram arrives: from, to, bytes.
    Arrives(String, String, Vec<u8>),
    /// A phone's own timer.
    Phone(String, u64),
    /// The script goes on.
    Script(Later),
}

pub struct Net {
    pub now: Micros,
    pub random: Random,
    pub loss: u64,
    queue: BinaryHeap<Reverse<(Micros, u64, Happening)>>,
    serial: u64,
    pub trace: Vec<String>,
}

impl Net {
    pub fn at(&mut self, delay: Micros, happening: Happening) {
        self.serial += 1;
        self.queue.push(Reverse((self.now + delay, self.serial, happening)));
    }

    /// A datagram goes out: lost, delayed, doubled as the seed wants.
    pub fn send(&mut self, from: &str, to: &str, data: &[u8]) {
        let line = data.split(|byte| *byte == b'\r').next().unwrap_or_default();
        self.trace.push(format!("{} {from} {to} {}", self.now, String::from_utf8_lossy(line)));
        let copies = if self.random.percent(self.loss / 4) { 2 } else { 1 };
        for _ in 0..copies {
            if self.random.percent(self.loss) {
                continue;
            }
            let delay = 1_000 + self.random.below(if self.loss > 0 { 80_000 } else { 2_000 });
            self.at(delay, Happening::Arrives(from.to_owned(), to.to_owned(), data.to_vec()));
        }
    }
}

pub struct Sim {
    pub net: Net,
    pub layer: Layer,
    pub caller: Caller,
    pub callees: Vec<Callee>,
    pub script: script::Script,
}

impl Sim {
    pub fn new(seed: u64, loss: u64) -> Sim {
        let mut random = Random(seed);
        let config = Config {
            seed: [seed, 1],
            best_response: random.pick(&[Generation::Ser20, Generation::Ser09]),
            restart_fr_on_each_reply: random.percent(50),
            failover: random.percent(70),
            ..Config::default()
        };
        let mut layer = Layer::new(config);
        layer.add_listener(Listener::new(Protocol::Udp, address(PROXY), None, None));
        let net = Net { now: 0, random, loss, queue: BinaryHeap::new(), serial: 0, trace: Vec::new() };
        let callees = ["bob", "carol", "dave"].map(Callee::new).into();
        Sim { net, layer, caller: Caller::default(), callees, script: script::Script::default() }
    }

    /// Everything until silence, and long beyond it.
    pub fn run(&mut self) {
        self.caller.start(&mut self.net);
        let mut steps = 0;
        while let Some(now) = self.next_time() {
            steps += 1;
            assert!(steps < 20_000, "it never ends");
            self.net.now = now;
            self.layer.advance(now);
            self.drain();
            while let Some(Reverse((time, _, _))) = self.net.queue.peek() {
                if *time > now {
                    break;
                }
                if let Some(Reverse((_, _, happening))) = self.net.queue.pop() {
                    self.happen(happening);
                    self.drain();
                }
            }
        }
    }

    fn next_time(&mut self) -> Option<Micros> {
        let queued = self.net.queue.peek().map(|Reverse((time, _, _))| *time);
        match (queued, self.layer.next_timeout()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(from, to, data) if to == "proxy" => {
                self.script.receive(&mut self.layer, &mut self.net, &from, &data)
            }
            Happening::Arrives(_, to, data) => {
                let message = parse(&data);
                match self.callees.iter_mut().find(|callee| callee.name == to) {
                    Some(callee) => callee.receive(&mut self.net, &message),
                    None => self.caller.receive(&mut self.net, &message),
                }
            }
            Happening::Phone(name, timer) => match self.callees.iter_mut().find(|callee| callee.name == name) {
                Some(callee) => callee.on_timer(&mut self.net, timer),
                None => self.caller.on_timer(&mut self.net, timer),
            },
            Happening::Script(later) => self.script.resume(&mut self.layer, &mut self.net, later),
        }
    }

    fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.layer.poll_transmit() {
                idle = false;
                let data: Bytes = transmit.data;
                self.net.send("proxy", &party(transmit.target.remote), &data);
            }
            while let Some(event) = self.layer.poll_event() {
                idle = false;
                self.script.on_event(&mut self.layer, &mut self.net, event);
            }
            if idle {
                return;
            }
        }
    }
}
