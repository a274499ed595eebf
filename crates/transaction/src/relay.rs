//! The response context of a proxy: RFC 3261 §16.7 in SER's ways (ser-semantics §6, §7).
//!
//! Here it is decided what of the branches' responses goes upstream. Machines and timers live elsewhere.

use sipyard_wire::{Edits, Message};

use crate::address::Flow;
use crate::client::Happening;
use crate::config::Generation;
use crate::event::{Arm, ClientId, Event, Reply};
use crate::io::Io;
use crate::machine::Act;
use crate::pick;
use crate::server::Upstream;
use crate::timers::Kind;
use crate::transaction::{ClientBranch, Failure, Phase, Transaction};
use crate::upstream::{challenges, strip_top_via};

impl Transaction {
    /// A response of a branch, its route (if any) done.
    pub fn on_branch_response(&mut self, io: &mut Io, index: usize, message: Message, edits: Edits, flow: Flow) {
        if self.is_local() {
            return self.on_own_response(io, index, message, flow);
        }
        match message.status() {
            // RFC 3261 §16.7 step 5: a 100 is for one hop.
            ..=100 => {}
            101..=199 => self.on_provisional(io, index, message, edits),
            200..=299 => self.on_success(io, index, message, edits),
            _ => self.on_failure(io, index, Failure { message, edits, flow }),
        }
    }

    fn on_provisional(&mut self, io: &mut Io, index: usize, message: Message, edits: Edits) {
        let decided = self.branches.get(index).is_none_or(ClientBranch::is_decided);
        if !decided && !self.is_final() {
            self.relay_upstream(io, message, edits);
        }
    }

    fn on_success(&mut self, io: &mut Io, index: usize, message: Message, edits: Edits) {
        let status = message.status();
        if let Some(branch) = self.branches.get_mut(index) {
            if branch.status == 0 || branch.status >= 300 {
                branch.status = status;
            }
            branch.reply = None;
        }
        if self.is_invite() {
            // RFC 3261 §16.7 step 5: each 2xx, from any branch, even after another final response.
            let first = !self.is_final();
            self.relay_upstream(io, message, edits);
            if first {
                self.picked = Some(index as u8);
                self.cancel_pending(io);
            }
        } else if !self.is_final() {
            self.picked = Some(index as u8);
            self.relay_upstream(io, message, edits);
        }
    }

    fn on_failure(&mut self, io: &mut Io, index: usize, failure: Failure) {
        let status = failure.message.status();
        let Some(branch) = self.branches.get_mut(index) else { return };
        if branch.is_decided() {
            return;
        }
        if status == 503 && self.try_next_target(io, index) {
            return;
        }
        let keep = !self.is_final();
        if let Some(branch) = self.branches.get_mut(index) {
            branch.reply = keep.then(|| Box::new(failure));
        }
        if status >= 600 && io.config.best_response == Generation::Ser20 {
            // RFC 3261 §16.7 step 5: nobody else shall ring; the decision waits for all.
            if let Some(branch) = self.branches.get_mut(index) {
                branch.status = status;
            }
            self.cancel_pending(io);
        }
        self.decide(io, index, status);
    }

    /// A branch's machine may have ended. If its final response was dropped by a route, this is when we stop waiting.
    pub fn on_branch_over(&mut self, io: &mut Io, index: usize) {
        let held = self.held.iter().any(|held| usize::from(held.branch) == index);
        let undecided = self.branches.get(index).is_some_and(|branch| branch.state.is_over() && !branch.is_decided());
        if undecided && !held {
            self.decide(io, index, 408);
        }
    }

    /// No final response in time (timers B, F: SER's fr; C: fr_inv).
    pub fn on_branch_timeout(&mut self, io: &mut Io, index: usize) {
        io.counters.timeouts += 1;
        let Some(branch) = self.branches.get_mut(index) else { return };
        branch.timed_out = true;
        let silent = !branch.replied;
        if let (true, Some(request)) = (silent, &self.request) {
            io.blacklist.add_silent(&io.config.blacklist, io.now, request.message.method(), &branch.target);
        }
        if silent && self.in_time_for_another(io) && self.try_next_target(io, index) {
            return;
        }
        // Always noisy: a 408 upstream and a CANCEL downstream, whatever SER's silent drop did (ser-semantics §6).
        self.cancel_branch(io, index);
        self.decide(io, index, 408);
    }

    /// The message could not be sent.
    pub fn on_branch_failed(&mut self, io: &mut Io, index: usize) {
        if let Some(branch) = self.branches.get(index) {
            io.blacklist.add(&io.config.blacklist, io.now, &branch.target);
        }
        if self.client_step(io, index, Happening::TransportError).has(Act::FAILED) && !self.try_next_target(io, index) {
            // RFC 3261 §16.9: as if 503 had come.
            self.decide(io, index, 503);
        }
    }

    /// Records the final status of a branch and looks whether all are in.
    pub fn decide(&mut self, io: &mut Io, index: usize, status: u16) {
        if let Some(branch) = self.branches.get_mut(index) {
            if branch.status == 0 {
                branch.status = status;
            }
            branch.spare = None;
        }
        self.conclude(io);
    }

    /// Acts once all branches have their final response.
    pub fn conclude(&mut self, io: &mut Io) {
        if self.is_final() || self.phase != Phase::Open || !self.branches.iter().all(ClientBranch::is_decided) {
            return;
        }
        let Some((index, status)) = self.pick(io.config.best_response) else { return };
        self.picked = Some(index as u8);
        if self.is_local() {
            return self.on_own_failure(io, status);
        }
        if !self.arm.has(Arm::FAILURE) {
            return self.forward_picked(io, index);
        }
        // One shot: the failure route arms itself again if it forks again (ser-semantics §6).
        self.arm = self.arm.without(Arm::FAILURE);
        self.phase = Phase::Failing(index as u8);
        self.guard = io.timer(self.id, Kind::Guard, 0, io.config.timers.hold);
        let picked = self.branches.get(index).and_then(|branch| branch.reply.as_ref());
        let reply = picked.map(|reply| (reply.message.clone(), reply.flow));
        io.events.push_back(Event::Failure { tx: self.id, status, branch: index, reply });
    }

    /// The best failure; of equal ones the latest, whose challenge or Retry-After is of now.
    fn pick(&self, generation: Generation) -> Option<(usize, u16)> {
        self.branches
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, branch)| !branch.superseded && branch.status >= 300)
            .min_by_key(|(_, branch)| pick::rank(generation, branch.status))
            .map(|(index, branch)| (index, branch.status))
    }

    /// The failure route is done: new branches go on, otherwise the picked response goes upstream.
    pub fn resume_failure(&mut self, io: &mut Io) -> bool {
        let Phase::Failing(index) = self.phase else { return false };
        self.phase = Phase::Open;
        self.unguard();
        if self.is_final() {
            return true;
        }
        if self.branches.iter().all(ClientBranch::is_decided) {
            // The choice stands unless the route added branches that have failed meanwhile.
            let index = self.pick(io.config.best_response).map_or(usize::from(index), |(index, _)| index);
            self.picked = Some(index as u8);
            self.forward_picked(io, index);
        }
        true
    }

    fn forward_picked(&mut self, io: &mut Io, index: usize) {
        let Some(branch) = self.branches.get_mut(index) else { return };
        let status = branch.status;
        let generation = io.config.best_response;
        let reply = branch.reply.take();
        match reply {
            Some(reply) if !pick::hides(generation, status) => {
                let Failure { message, mut edits, .. } = *reply;
                if io.config.aggregate_challenges && matches!(status, 401 | 407) {
                    self.add_challenges(index, &message, &mut edits);
                }
                self.relay_upstream(io, message, edits);
            }
            _ => {
                let status = if pick::hides(generation, status) { 500 } else { status };
                self.respond_locally(io, &Reply::new(status, pick::reason(status)));
            }
        }
    }

    /// RFC 3261 §16.7 step 7: the challenges of all branches, so that the caller can answer them at once.
    fn add_challenges(&self, picked: usize, message: &Message, edits: &mut Edits) {
        for (index, branch) in self.branches.iter().enumerate() {
            if index == picked || branch.superseded || !matches!(branch.status, 401 | 407) {
                continue;
            }
            if let Some(reply) = &branch.reply {
                for line in challenges(&reply.message) {
                    edits.append_header(message, line);
                }
            }
        }
    }

    fn relay_upstream(&mut self, io: &mut Io, message: Message, edits: Edits) {
        let Some(data) = strip_top_via(&message, &edits, self.reply_to.protocol) else { return };
        let listened = self.arm.has(Arm::FINAL) || self.arm.has(Arm::HOLD);
        let status = message.status();
        self.respond(io, Upstream { status, data, local: false, message: listened.then_some(message) });
    }

    fn on_own_response(&mut self, io: &mut Io, index: usize, message: Message, flow: Flow) {
        let status = message.status();
        let client = ClientId(self.id);
        let Some(branch) = self.branches.get_mut(index) else { return };
        if status >= 300 {
            if branch.is_decided() {
                return;
            }
            if status == 503 && self.try_next_target(io, index) {
                return;
            }
        }
        if let Some(branch) = self.branches.get_mut(index) {
            if status >= 200 && branch.status == 0 {
                branch.status = status;
                self.status = status;
                self.picked = Some(index as u8);
                self.forget();
            }
        }
        if status > 100 {
            io.events.push_back(Event::ClientReply { client, status, message, flow });
        }
    }

    fn on_own_failure(&mut self, io: &mut Io, status: u16) {
        self.status = status;
        self.forget();
        io.events.push_back(Event::ClientTimeout { client: ClientId(self.id), status });
    }
}
