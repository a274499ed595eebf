//! A branch: carries out what its client machine asks for.

use sipyard_wire::{Edits, Message};

use crate::address::Flow;
use crate::config::Micros;
use crate::event::{Arm, Event, ReplyToken};
use crate::io::Io;
use crate::machine::Act;
use crate::timers::Kind;
use crate::transaction::{Client, ClientBranch, Held, Retransmit, Transaction};
use crate::{acknowledge, invite_client, non_invite_client};

/// What happened to a client machine, whichever of the two it is.
#[derive(Clone, Copy)]
pub enum Happening {
    /// A response with this status.
    Reply(u16),
    /// Timer A or E.
    Retransmit,
    /// Timer B, C, D, F, K or M.
    Expire,
    /// Given up before any response.
    Abandon,
    /// Could not be sent.
    TransportError,
}

impl ClientBranch {
    fn step(&mut self, happening: Happening) -> Act {
        match self.state {
            Client::Invite(state) => {
                use invite_client::Input;
                let input = match happening {
                    Happening::Reply(100..=199) => Input::Provisional,
                    Happening::Reply(200..=299) => Input::Success,
                    Happening::Reply(_) => Input::Failure,
                    Happening::Retransmit => Input::Retransmit,
                    Happening::Expire => Input::Expire,
                    Happening::Abandon => Input::Abandon,
                    Happening::TransportError => Input::TransportError,
                };
                let (next, act) = invite_client::step(state, input);
                self.state = Client::Invite(next);
                act
            }
            Client::Other(state) => {
                use non_invite_client::Input;
                let input = match happening {
                    Happening::Reply(100..=199) => Input::Provisional,
                    Happening::Reply(_) => Input::Final,
                    Happening::Retransmit => Input::Retransmit,
                    Happening::Expire => Input::Expire,
                    Happening::TransportError => Input::TransportError,
                    Happening::Abandon => return Act::NONE,
                };
                let (next, act) = non_invite_client::step(state, input);
                self.state = Client::Other(next);
                act
            }
        }
    }

    /// The longest retransmission interval now, and the next one.
    fn next_interval(&self, io: &Io) -> Micros {
        let timers = &io.config.timers;
        match self.state {
            Client::Invite(_) => self.retransmit.interval.saturating_mul(2).min(timers.invite_cap),
            Client::Other(non_invite_client::State::Proceeding) => timers.t2,
            Client::Other(_) => (self.retransmit.interval * 2).min(timers.t2),
        }
    }
}

impl Transaction {
    /// Steps a branch's machine and carries out what concerns its own messages and timers; the rest is returned.
    pub fn client_step(&mut self, io: &mut Io, index: usize, happening: Happening) -> Act {
        let id = self.id;
        let Some(branch) = self.branches.get_mut(index) else { return Act::NONE };
        let act = branch.step(happening);
        let number = index as u8;
        if act.has(Act::RESEND) {
            if let Some(sent) = &branch.sent {
                io.resend(branch.target, sent);
            }
        }
        if act.has(Act::BACK_OFF) {
            let interval = branch.next_interval(io);
            let deadline = io.timer(id, Kind::ClientRetransmit, number, interval);
            branch.retransmit = Retransmit { deadline, interval };
        }
        if act.has(Act::QUIET) {
            branch.retransmit = Retransmit::default();
        }
        if act.has(Act::FREE) {
            branch.sent = None;
        }
        if act.has(Act::LINGER) || act.has(Act::WAIT) {
            let timers = &io.config.timers;
            // D and K only absorb retransmissions, which a reliable transport does not have.
            let absorbs = act.has(Act::WAIT) || branch.state == Client::Invite(invite_client::State::Completed);
            let interval = if act.has(Act::LINGER) { timers.linger } else { timers.wait };
            if absorbs && branch.target.protocol.is_reliable() {
                branch.expire = 0;
                branch.step(Happening::Expire);
                if !act.has(Act::ACK) {
                    branch.sent = None;
                }
            } else {
                branch.expire = io.timer(id, Kind::ClientExpire, number, interval);
            }
        }
        act
    }

    /// A response of this branch came off the wire.
    pub fn on_response(&mut self, io: &mut Io, index: usize, message: Message, flow: Flow) {
        let status = message.status();
        let act = self.client_step(io, index, Happening::Reply(status));
        if act.has(Act::ACK) {
            // SER and RFC 3261 §17.1.1.3 alike: at once, before any script.
            self.acknowledge(io, index, &message);
        }
        if act.has(Act::CANCEL) {
            self.cancel_branch(io, index);
        }
        if let Some(branch) = self.branches.get_mut(index) {
            branch.replied = true;
            if status >= 200 {
                // What the CANCEL was to bring about has come: it need not be repeated.
                branch.cancel = None;
            }
        }
        if status < 200 {
            self.on_provisional_timers(io, index, status);
        }
        if !act.has(Act::DELIVER) {
            return;
        }
        if self.arm.has(Arm::REPLY) && !self.is_local() {
            self.hold(io, index, message, flow);
        } else {
            self.on_branch_response(io, index, message, Edits::default(), flow);
        }
    }

    /// SER's fr_inv, RFC 3261's timer C (§16.7 step 2).
    fn on_provisional_timers(&mut self, io: &mut Io, index: usize, status: u16) {
        let (id, fr_inv, every) = (self.id, self.fr_inv, io.config.restart_fr_on_each_reply);
        let Some(branch) = self.branches.get_mut(index) else { return };
        let first = branch.provisional == 0;
        let higher = status > branch.provisional;
        branch.provisional = branch.provisional.max(status);
        let ringing = branch.state == Client::Invite(invite_client::State::Proceeding);
        if !ringing || branch.cancelled || branch.is_decided() {
            return;
        }
        if first || every || higher && status >= 180 {
            branch.expire = io.timer(id, Kind::ClientExpire, index as u8, fr_inv);
        }
    }

    /// Acknowledges a failure hop by hop; the ACK is kept for its retransmissions in place of the request.
    fn acknowledge(&mut self, io: &mut Io, index: usize, message: &Message) {
        let Some(branch) = self.branches.get_mut(index) else { return };
        let Some(ack) = branch.sent.take().and_then(|sent| acknowledge::ack(&sent, message)) else { return };
        io.send(branch.target, ack.clone());
        if !branch.state.is_over() {
            branch.sent = Some(ack);
        }
    }

    /// Keeps a response back until its route has run.
    fn hold(&mut self, io: &mut Io, index: usize, message: Message, flow: Flow) {
        let full = self.held.len() >= io.config.max_held;
        if full && message.status() < 300 {
            // As if lost on the way; a 2xx comes again.
            return;
        }
        if full {
            return self.on_branch_response(io, index, message, Edits::default(), flow);
        }
        io.tokens += 1;
        io.held += 1;
        let token = io.tokens;
        self.guard = io.timer(self.id, Kind::Guard, 0, io.config.timers.hold);
        self.held.push(Held { token, branch: index as u8, message: message.clone(), flow });
        io.events.push_back(Event::Reply { tx: self.id, branch: index, token: ReplyToken(token), message, flow });
    }

    /// Goes on with a held response; `false` if there is none of that name.
    pub fn resume_reply(&mut self, io: &mut Io, token: u64, forward: bool, edits: Option<Edits>) -> bool {
        let Some(place) = self.held.iter().position(|held| held.token == token) else { return false };
        let held = self.held.remove(place);
        io.held -= 1;
        self.unguard();
        let index = usize::from(held.branch);
        if forward {
            self.on_branch_response(io, index, held.message, edits.unwrap_or_default(), held.flow);
        }
        self.on_branch_over(io, index);
        true
    }

    /// Timer A or E.
    pub fn on_client_retransmit(&mut self, io: &mut Io, index: usize) {
        if let Some(branch) = self.branches.get_mut(index) {
            branch.retransmit.deadline = 0;
        }
        self.client_step(io, index, Happening::Retransmit);
    }

    /// Timer B, C, D, F, K or M.
    pub fn on_client_expire(&mut self, io: &mut Io, index: usize) {
        let Some(branch) = self.branches.get_mut(index) else { return };
        branch.expire = 0;
        if branch.cancelled && branch.state == Client::Invite(invite_client::State::Proceeding) {
            // RFC 3261 §9.1: 64·T1 after the CANCEL and no answer: the branch is over.
            branch.state = Client::Invite(invite_client::State::Terminated);
            branch.sent = None;
            return self.decide(io, index, 487);
        }
        let act = self.client_step(io, index, Happening::Expire);
        if act.has(Act::TIMEOUT) {
            self.on_branch_timeout(io, index);
        } else {
            self.on_branch_over(io, index);
        }
    }
}
