//! CANCEL: ours to the branches (RFC 3261 §9.1), hop by hop, each a small client transaction beside its INVITE's.

use crate::acknowledge;
use crate::client::Happening;
use crate::config::Micros;
use crate::io::Io;
use crate::machine::Act;
use crate::non_invite_client::{self, Input, State};
use crate::timers::Kind;
use crate::transaction::{Cancel, Client, Retransmit, Transaction};
use crate::{invite_client, transaction::ClientBranch};

impl Transaction {
    /// Gives up every branch that has no final response; how many will still answer. The caller concludes.
    pub fn cancel_pending(&mut self, io: &mut Io) -> usize {
        let mut pending = 0;
        for index in 0..self.branches.len() {
            if self.branches.get(index).is_some_and(|branch| !branch.is_decided()) {
                pending += usize::from(self.cancel_branch(io, index));
                if let Some(branch) = self.branches.get_mut(index) {
                    branch.spare = None;
                }
            }
        }
        pending
    }

    /// Gives up a branch; whether it will still answer.
    ///
    /// One that has sent a provisional response gets a CANCEL. One that has not may not (RFC 3261 §9.1): it counts as
    /// answered with 487 and is cancelled if it turns out to ring.
    pub fn cancel_branch(&mut self, io: &mut Io, index: usize) -> bool {
        let Some(branch) = self.branches.get_mut(index) else { return false };
        let Client::Invite(state) = branch.state else { return false };
        let waits = !branch.is_decided();
        match state {
            invite_client::State::Proceeding => {
                branch.cancelled = true;
                if branch.cancel.is_none() {
                    self.send_cancel(io, index);
                }
                waits
            }
            invite_client::State::Calling => {
                branch.cancelled = true;
                if branch.status == 0 {
                    branch.status = 487;
                }
                self.client_step(io, index, Happening::Abandon);
                false
            }
            invite_client::State::Abandoned => {
                branch.cancelled = true;
                false
            }
            // Its final response is held by a route.
            invite_client::State::Completed | invite_client::State::Accepted => waits,
            invite_client::State::Terminated => false,
        }
    }

    fn send_cancel(&mut self, io: &mut Io, index: usize) {
        let (id, linger, t1) = (self.id, io.config.timers.linger, io.config.timers.t1);
        let number = index as u8;
        let Some(branch) = self.branches.get_mut(index) else { return };
        // RFC 3261 §9.1: no final response within 64·T1 of the CANCEL, and the INVITE is over.
        branch.expire = io.timer(id, Kind::ClientExpire, number, linger);
        let Some(data) = branch.sent.as_ref().and_then(acknowledge::cancel) else { return };
        io.send(branch.target, data.clone());
        let mut retransmit = Retransmit::default();
        if !branch.target.protocol.is_reliable() {
            retransmit = Retransmit { deadline: io.timer(id, Kind::CancelRetransmit, number, t1), interval: t1 };
        }
        let expire = io.timer(id, Kind::CancelExpire, number, linger);
        branch.cancel = Some(Box::new(Cancel { state: State::Trying, data, retransmit, expire }));
    }

    /// A response to our CANCEL: it only stops the retransmissions.
    pub fn on_cancel_response(&mut self, io: &mut Io, index: usize, status: u16) {
        self.cancel_step(io, index, if status < 200 { Input::Provisional } else { Input::Final });
    }

    /// Timer E of a CANCEL.
    pub fn on_cancel_retransmit(&mut self, io: &mut Io, index: usize) {
        self.cancel_step(io, index, Input::Retransmit);
    }

    /// Timer F of a CANCEL.
    pub fn on_cancel_expire(&mut self, io: &mut Io, index: usize) {
        self.cancel_step(io, index, Input::Expire);
    }

    fn cancel_step(&mut self, io: &mut Io, index: usize, input: Input) {
        let id = self.id;
        let Some(branch) = self.branches.get_mut(index) else { return };
        let ClientBranch { cancel, target, .. } = branch;
        let Some(running) = cancel else { return };
        let (next, act) = non_invite_client::step(running.state, input);
        running.state = next;
        if act.has(Act::RESEND) {
            io.resend(*target, &running.data);
        }
        if act.has(Act::BACK_OFF) {
            let t2 = io.config.timers.t2;
            let trying = next == State::Trying;
            let interval: Micros = if trying { (running.retransmit.interval * 2).min(t2) } else { t2 };
            let deadline = io.timer(id, Kind::CancelRetransmit, index as u8, interval);
            running.retransmit = Retransmit { deadline, interval };
        }
        if matches!(next, State::Completed | State::Terminated) {
            // The INVITE's machine outlives it and absorbs late answers by its branch.
            *cancel = None;
        }
    }
}
