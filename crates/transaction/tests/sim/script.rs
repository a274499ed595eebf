//! A script that does anything a script may do, at random.

use sipyard_transaction::*;
use sipyard_wire::Method;

use super::{Happening, Net};
use crate::world::{branch_to, flow, no_edits, parse, target, text, MS};

/// What the script does later.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Later {
    /// Resume a reply: transaction, token, relay it.
    Reply(u64, u64, bool),
    /// End a failure route: transaction, what to do.
    Failure(u64, u64),
}

#[derive(Default)]
pub struct Script {
    pub finals: u64,
    pub ended: u64,
}

const PARTIES: [&str; 3] = ["bob", "carol", "dave"];

impl Script {
    pub fn receive(&mut self, layer: &mut Layer, net: &mut Net, from: &str, data: &[u8]) {
        let message = parse(data);
        if !message.is_request() {
            let stray = layer.receive_response(net.now, &message, flow(from)) == ResponseDisposition::Stray;
            // A late failure would be the second one that the caller sees; a late 2xx is a call that someone must end.
            if stray && message.status() < 300 {
                layer.forward_reply_stateless(net.now, &message, &no_edits(), 0);
            }
            return;
        }
        let request = layer.request_of(message, flow(from));
        if layer.receive_request(net.now, &request) == Disposition::Deliver {
            self.route(layer, net, &request);
        }
    }

    fn route(&mut self, layer: &mut Layer, net: &mut Net, request: &Request) {
        let now = net.now;
        let callee = request.message.to_tag().map_or("bob", |tag| text(tag).trim_start_matches("tag-")).to_owned();
        let known = PARTIES.contains(&callee.as_str());
        match request.message.method() {
            Method::Ack if known => {
                let _ = layer.forward_stateless(now, request, &Outgoing::default(), &[target(&callee)]);
            }
            Method::Ack => {}
            Method::Cancel => {
                if layer.relay_cancel(now, request) == CancelOutcome::NotFound {
                    self.relay(layer, net, request, "bob");
                }
            }
            Method::Invite => self.call(layer, net, request),
            _ => self.relay(layer, net, request, if known { &callee } else { "bob" }),
        }
    }

    fn relay(&mut self, layer: &mut Layer, net: &mut Net, request: &Request, to: &str) {
        if let NewTransaction::New(id) = layer.new_transaction(net.now, request) {
            layer.relay(net.now, id, vec![branch_to(&[to])]).expect("relayed");
        }
    }

    fn call(&mut self, layer: &mut Layer, net: &mut Net, request: &Request) {
        let id = match layer.new_transaction(net.now, request) {
            NewTransaction::New(id) | NewTransaction::Cancelled(id) => id,
            _ => return,
        };
        let mut arm = Arm::FINAL | Arm::ENDED;
        if net.random.percent(50) {
            arm |= Arm::REPLY;
        }
        if net.random.percent(50) {
            arm |= Arm::FAILURE;
        }
        layer.arm(id, arm);
        if net.random.percent(5) {
            return; // The script forgets it.
        }
        let count = 1 + net.random.below(3) as usize;
        let branches = (0..count).map(|_| self.branch(net)).collect();
        if let Err(error) = layer.relay(net.now, id, branches) {
            let (status, reason) = error.status();
            let _ = layer.reply(net.now, id, &Reply::new(status, reason.as_bytes()));
        }
        if net.random.percent(10) {
            layer.set_timers(net.now, id, 5_000 * MS, 20_000 * MS);
        }
        if net.random.percent(5) {
            let status = net.random.pick(&[183, 200, 480, 600]);
            let _ = layer.reply(net.now, id, &Reply::new(status, b"From the script"));
        }
    }

    fn branch(&mut self, net: &mut Net) -> Branch {
        let targets: Vec<_> = (0..1 + net.random.below(2)).map(|_| net.random.pick(&PARTIES)).collect();
        branch_to(&targets)
    }

    pub fn on_event(&mut self, layer: &mut Layer, net: &mut Net, event: Event) {
        match event {
            Event::Reply { tx, token, .. } => {
                let forward = !net.random.percent(10);
                match net.random.below(20) {
                    0 => {} // Never.
                    1..=9 => {
                        layer.resume_reply(net.now, tx, token, forward, None);
                    }
                    _ => {
                        let delay = net.random.below(5_000) * MS;
                        net.at(delay, Happening::Script(Later::Reply(tx.to_u64(), token.0, forward)));
                    }
                }
            }
            Event::Failure { tx, .. } => {
                let (delay, choice) = (net.random.below(5_000) * MS, net.random.below(6));
                if choice < 5 {
                    net.at(delay, Happening::Script(Later::Failure(tx.to_u64(), choice)));
                }
            }
            Event::Final { status, .. } => {
                assert!(status >= 200);
                self.finals += 1;
            }
            Event::Ended { .. } => self.ended += 1,
            Event::ClientReply { .. } | Event::ClientTimeout { .. } => panic!("nobody asked"),
        }
    }

    pub fn resume(&mut self, layer: &mut Layer, net: &mut Net, later: Later) {
        match later {
            Later::Reply(tx, token, forward) => {
                layer.resume_reply(net.now, TxId::from_u64(tx), ReplyToken(token), forward, None);
            }
            Later::Failure(tx, choice) => {
                let tx = TxId::from_u64(tx);
                if choice < 2 {
                    layer.arm(tx, Arm::FINAL | Arm::ENDED | if choice == 0 { Arm::FAILURE } else { Arm::NONE });
                    let branch = self.branch(net);
                    let _ = layer.relay(net.now, tx, vec![branch]);
                } else if choice == 2 {
                    let _ = layer.reply(net.now, tx, &Reply::new(480, b"Gone"));
                }
                layer.resume_failure(net.now, tx);
            }
        }
    }
}
