//! Phones that behave, at random times.

use std::collections::BTreeMap;

use sipyard_transaction::Micros;
use sipyard_wire::{Message, Method};

use super::{Happening, Net};
use crate::world::{request, response, text, MS, S};

const RETRANSMIT: u64 = 0;
const CANCEL: u64 = 1;
const BYE: u64 = 2;

/// Calls once; may cancel; hangs up.
#[derive(Default)]
pub struct Caller {
    interval: [Micros; 3],
    provisional: bool,
    pub failure: Option<u16>,
    pub answered: Vec<String>,
    pub cancelled: bool,
    cancel_done: bool,
    pub bye_done: bool,
}

impl Caller {
    pub fn start(&mut self, net: &mut Net) {
        self.interval = [500 * MS; 3];
        self.repeat(net, RETRANSMIT);
        if net.random.percent(40) {
            let delay = net.random.below(40_000) * MS;
            net.at(delay, Happening::Phone("caller".into(), CANCEL));
        }
    }

    fn send(&self, net: &mut Net, method: &str, branch: &str, tag: &str) {
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let number = if method == "BYE" { "CSeq: 2 " } else { "CSeq: 1 " };
        let message = request(method, &format!("z9hG4bK{branch}"), &tag).replace("CSeq: 1 ", number);
        net.send("caller", "proxy", message.as_bytes());
    }

    fn repeat(&mut self, net: &mut Net, what: u64) {
        let tag = self.answered.first().cloned().unwrap_or_default();
        match what {
            RETRANSMIT => self.send(net, "INVITE", "call1", ""),
            CANCEL => self.send(net, "CANCEL", "call1", ""),
            _ => self.send(net, "BYE", "bye", &tag),
        }
        let interval = &mut self.interval[what as usize];
        if *interval <= 16 * S {
            net.at(*interval, Happening::Phone("caller".into(), what));
            *interval *= 2;
        }
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || !self.answered.is_empty()
    }

    pub fn on_timer(&mut self, net: &mut Net, timer: u64) {
        match timer {
            RETRANSMIT if !self.provisional && !self.is_over() => self.repeat(net, RETRANSMIT),
            // RFC 3261 §9.1 lets nobody cancel what was not heard of; some do.
            CANCEL if !self.cancel_done && (self.cancelled || !self.is_over()) => {
                self.cancelled = true;
                self.repeat(net, CANCEL);
            }
            BYE if !self.bye_done => self.repeat(net, BYE),
            _ => {}
        }
    }

    pub fn receive(&mut self, net: &mut Net, message: &Message) {
        let status = message.status();
        let tag = message.to_tag().map(|tag| text(tag).to_owned()).unwrap_or_default();
        assert_eq!(message.vias().count(), 1, "a response with somebody else's Via");
        match (message.method(), status) {
            (Method::Invite, ..=199) => self.provisional = true,
            (Method::Invite, ..=299) => {
                self.send(net, "ACK", "ack", &tag);
                if self.answered.is_empty() {
                    let delay = net.random.below(20_000) * MS;
                    net.at(delay, Happening::Phone("caller".into(), BYE));
                }
                if !self.answered.contains(&tag) {
                    self.answered.push(tag);
                }
            }
            (Method::Invite, _) => {
                assert_ne!(status, 100);
                let known = *self.failure.get_or_insert(status);
                assert_eq!(known, status, "two different failures");
                self.send(net, "ACK", "call1", &tag);
            }
            (Method::Cancel, 200..) => self.cancel_done = true,
            (Method::Bye, 200..) => self.bye_done = true,
            _ => {}
        }
    }
}

/// One INVITE at a callee.
struct Ringing {
    invite: Message,
    last: Option<Vec<u8>>,
    status: u16,
    acknowledged: bool,
    interval: Micros,
    plan: Vec<(Micros, u16)>,
}

/// Rings, answers, rejects, or says nothing.
pub struct Callee {
    pub name: String,
    calls: BTreeMap<Vec<u8>, Ringing>,
    order: Vec<Vec<u8>>,
}

impl Callee {
    pub fn new(name: &str) -> Callee {
        Callee { name: name.to_owned(), calls: BTreeMap::new(), order: Vec::new() }
    }

    pub fn receive(&mut self, net: &mut Net, message: &Message) {
        if !message.is_request() {
            return;
        }
        let branch = message.branch().to_vec();
        match message.method() {
            Method::Invite => self.invite(net, message, branch),
            Method::Ack => {
                // To a failure by branch, to a 2xx by nothing but the call.
                let ours: Vec<_> = self.calls.values_mut().collect();
                for call in ours {
                    if call.invite.branch() == branch || call.status / 100 == 2 {
                        call.acknowledged = true;
                    }
                }
            }
            Method::Cancel => {
                let known = self.calls.contains_key(&branch);
                self.reply(net, message, if known { 200 } else { 481 });
                if let Some(place) = self.order.iter().position(|known| *known == branch) {
                    self.say(net, place, 487);
                }
            }
            _ => {
                if !net.random.percent(10) {
                    self.reply(net, message, 200);
                }
            }
        }
    }

    fn reply(&self, net: &mut Net, message: &Message, status: u16) {
        let data = response(message, status, &self.name, "");
        net.send(&self.name, "proxy", &data);
    }

    fn invite(&mut self, net: &mut Net, message: &Message, branch: Vec<u8>) {
        if let Some(call) = self.calls.get(&branch) {
            if let Some(last) = &call.last {
                net.send(&self.name, "proxy", last);
            }
            return;
        }
        let mut plan = Vec::new();
        let mut delay = 0;
        for status in [100, 180, 183, 180] {
            if net.random.percent(50) {
                delay += net.random.below(3_000) * MS;
                plan.push((delay, status));
            }
        }
        if net.random.percent(80) {
            delay += net.random.below(30_000) * MS;
            plan.push((delay, net.random.pick(&[200, 200, 200, 486, 404, 603, 503, 302, 401, 407])));
        }
        let place = self.order.len() as u64;
        for (step, (delay, _)) in plan.iter().enumerate() {
            net.at(*delay, Happening::Phone(self.name.clone(), place << 8 | step as u64));
        }
        self.order.push(branch.clone());
        let invite = message.clone();
        let call = Ringing { invite, last: None, status: 0, acknowledged: false, interval: 500 * MS, plan };
        self.calls.insert(branch, call);
    }

    fn say(&mut self, net: &mut Net, place: usize, status: u16) {
        let Some(call) = self.order.get(place).and_then(|branch| self.calls.get_mut(branch)) else { return };
        if call.status >= 200 {
            return;
        }
        call.status = status;
        let data = response(&call.invite, status, &self.name, "");
        net.send(&self.name, "proxy", &data);
        call.last = Some(data);
        if status >= 200 {
            net.at(call.interval, Happening::Phone(self.name.clone(), (place as u64) << 8 | 255));
        }
    }

    pub fn on_timer(&mut self, net: &mut Net, timer: u64) {
        let (place, step) = ((timer >> 8) as usize, (timer & 255) as usize);
        let Some(call) = self.order.get(place).and_then(|branch| self.calls.get_mut(branch)) else { return };
        if step < 255 {
            let status = call.plan[step].1;
            return self.say(net, place, status);
        }
        if !call.acknowledged && call.interval < 32 * S {
            call.interval *= 2;
            net.at(call.interval.min(4 * S), Happening::Phone(self.name.clone(), timer));
            if let Some(last) = call.last.clone() {
                net.send(&self.name.clone(), "proxy", &last);
            }
        }
    }
}
