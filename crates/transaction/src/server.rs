//! The server side of a transaction: carries out what its machine asks for.

use bytes::Bytes;
use sipyard_wire::Message;

use crate::address::is_sane;
use crate::config::Micros;
use crate::event::{Arm, Event};
use crate::io::Io;
use crate::machine::Act;
use crate::timers::Kind;
use crate::transaction::{Phase, Retransmit, Server, Transaction};
use crate::{invite_server, non_invite_server};

/// A response to be sent upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Its status.
    pub status: u16,
    /// The message as it goes out.
    pub data: Bytes,
    /// Made here, not relayed.
    pub local: bool,
    /// What was relayed, for those who listen.
    pub message: Option<Message>,
}

/// What happened to a server machine, whichever of the two it is.
#[derive(Clone, Copy)]
enum Happening {
    Request,
    Ack,
    Reply(u16),
    Retransmit,
    Expire,
}

impl Transaction {
    fn server_step(&mut self, happening: Happening) -> Act {
        match self.server {
            Server::Absent => Act::NONE,
            Server::Invite(state) => {
                use invite_server::Input;
                let input = match happening {
                    Happening::Request => Input::Request,
                    Happening::Ack => Input::Ack,
                    Happening::Reply(100..=199) => Input::Provisional,
                    Happening::Reply(200..=299) => Input::Success,
                    Happening::Reply(_) => Input::Failure,
                    Happening::Retransmit => Input::Retransmit,
                    Happening::Expire => Input::Expire,
                };
                let (next, act) = invite_server::step(state, input);
                self.server = Server::Invite(next);
                act
            }
            Server::Other(state) => {
                use non_invite_server::Input;
                let input = match happening {
                    Happening::Request => Input::Request,
                    Happening::Reply(100..=199) => Input::Provisional,
                    Happening::Reply(_) => Input::Final,
                    Happening::Expire => Input::Expire,
                    Happening::Ack | Happening::Retransmit => return Act::NONE,
                };
                let (next, act) = non_invite_server::step(state, input);
                self.server = Server::Other(next);
                act
            }
        }
    }

    /// The request came again.
    pub fn on_retransmission(&mut self, io: &mut Io) {
        io.counters.retransmitted_in += 1;
        let act = self.server_step(Happening::Request);
        self.server_act(io, act);
    }

    /// An ACK came within the transaction; whether a script must see it.
    pub fn on_ack(&mut self, io: &mut Io) -> bool {
        let act = self.server_step(Happening::Ack);
        self.server_act(io, act);
        act.has(Act::DELIVER)
    }

    /// The ACK to a 2xx of ours came: no more retransmissions of it.
    pub fn on_success_acknowledged(&mut self) {
        self.retransmit = Retransmit::default();
        self.last = None;
    }

    /// Sends a response upstream, if the machine lets it; a final one may have to wait first.
    pub fn respond(&mut self, io: &mut Io, reply: Upstream) {
        let is_first = reply.status >= 200 && !self.is_final();
        if is_first && self.arm.has(Arm::HOLD) {
            self.status = reply.status;
            self.guard = io.timer(self.id, Kind::Guard, 0, io.config.timers.hold);
            let message = reply.message.clone();
            io.events.push_back(Event::Final { tx: self.id, status: reply.status, held: true, message });
            self.waiting = Some(Box::new(reply));
        } else if self.waiting.is_none() {
            // Further 2xx meanwhile come again, as nobody acknowledges them.
            self.send_upstream(io, reply, is_first);
        }
    }

    /// The final response goes, now or as soon as there is one.
    pub fn resume_final(&mut self, io: &mut Io) {
        self.arm = self.arm.without(Arm::HOLD);
        let Some(waiting) = self.waiting.take() else { return };
        // It has been told of when it began to wait.
        self.arm = self.arm.without(Arm::FINAL);
        self.send_upstream(io, *waiting, true);
    }

    fn send_upstream(&mut self, io: &mut Io, reply: Upstream, first_final: bool) {
        let act = self.server_step(Happening::Reply(reply.status));
        if !act.has(Act::SEND) {
            return;
        }
        if !self.is_final() {
            self.status = reply.status;
        }
        let keeps_success = reply.local && self.is_invite() && (200..300).contains(&reply.status);
        if act.has(Act::STORE) || keeps_success {
            self.last = Some(reply.data.clone());
        } else if first_final {
            self.last = None;
        }
        if is_sane(self.reply_to.remote) {
            io.send(self.reply_to, reply.data);
        }
        self.server_act(io, act);
        if keeps_success {
            // RFC 3261 §13.3.1.4: whatever the transport, until the ACK comes.
            self.set_server_retransmit(io, io.config.timers.t1);
        }
        if first_final {
            self.finish(io, reply.status, reply.local, reply.message);
        }
    }

    /// Bookkeeping of the one final response.
    fn finish(&mut self, io: &mut Io, status: u16, local: bool, message: Option<Message>) {
        if let Some(count) = io.counters.finals.get_mut(usize::from(status / 100)) {
            *count += 1;
        }
        io.counters.finals_local += u64::from(local);
        self.phase = Phase::Open;
        self.unguard();
        if self.arm.has(Arm::FINAL) {
            io.events.push_back(Event::Final { tx: self.id, status, held: false, message });
        }
        self.forget();
    }

    /// Drops what a transaction with its final response needs no more.
    pub fn forget(&mut self) {
        for branch in &mut self.branches {
            branch.reply = None;
            branch.spare = None;
        }
        if self.arm == Arm::NONE {
            self.request = None;
        }
    }

    fn server_act(&mut self, io: &mut Io, act: Act) {
        if act.has(Act::RESEND) {
            if let Some(last) = self.last.as_ref().filter(|_| is_sane(self.reply_to.remote)) {
                io.resend(self.reply_to, last);
            }
        }
        if act.has(Act::RETRANSMIT) && !self.reply_to.protocol.is_reliable() {
            self.set_server_retransmit(io, io.config.timers.t1);
        }
        if act.has(Act::BACK_OFF) {
            let next = (self.retransmit.interval * 2).min(io.config.timers.t2);
            self.set_server_retransmit(io, next);
        }
        if act.has(Act::QUIET) {
            self.retransmit = Retransmit::default();
        }
        if act.has(Act::FREE) {
            self.last = None;
        }
        if act.has(Act::LINGER) {
            // J is nothing on a reliable transport; H waits for the ACK and L for further 2xx on any.
            let only_absorbs = !self.is_invite() && self.reply_to.protocol.is_reliable();
            self.set_server_expire(io, if only_absorbs { 0 } else { io.config.timers.linger });
        }
        if act.has(Act::WAIT) {
            let reliable = self.reply_to.protocol.is_reliable();
            self.set_server_expire(io, if reliable { 0 } else { io.config.timers.wait });
        }
    }

    fn set_server_retransmit(&mut self, io: &mut Io, interval: Micros) {
        let deadline = io.timer(self.id, Kind::ServerRetransmit, 0, interval);
        self.retransmit = Retransmit { deadline, interval };
    }

    fn set_server_expire(&mut self, io: &mut Io, interval: Micros) {
        if interval == 0 {
            self.expire = 0;
            let act = self.server_step(Happening::Expire);
            self.server_act(io, act);
        } else {
            self.expire = io.timer(self.id, Kind::ServerExpire, 0, interval);
        }
    }

    /// Timer G.
    pub fn on_server_retransmit(&mut self, io: &mut Io) {
        self.retransmit.deadline = 0;
        let act = self.server_step(Happening::Retransmit);
        self.server_act(io, act);
    }

    /// Timer H, I, J or L.
    pub fn on_server_expire(&mut self, io: &mut Io) {
        self.expire = 0;
        let act = self.server_step(Happening::Expire);
        self.server_act(io, act);
    }

    /// A script held the transaction too long: go on without it.
    pub fn on_guard(&mut self, io: &mut Io) {
        self.guard = 0;
        let waits = !self.held.is_empty() || self.waiting.is_some() || self.phase != Phase::Open;
        if waits {
            io.counters.overdue += 1;
        }
        while let Some(held) = self.held.first() {
            let token = held.token;
            self.resume_reply(io, token, true, None);
        }
        if self.waiting.is_some() {
            self.resume_final(io);
        }
        self.resume_failure(io);
        if self.branches.is_empty() && !self.is_final() && !self.is_local() {
            // Its script ended without answering, relaying or releasing it.
            io.counters.overdue += u64::from(!waits);
            self.released = true;
        }
    }
}
