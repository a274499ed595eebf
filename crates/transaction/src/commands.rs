//! What a script may do with transactions.

use sipyard_wire::{Edits, Method};

use crate::config::Micros;
use crate::event::{
    Arm, Branch, CancelOutcome, NewTransaction, RelayError, Reply, ReplyError, ReplyToken, Request, TxId,
};
use crate::key::Class;
use crate::layer::Layer;
use crate::reply_path::reply_target;
use crate::timers::Kind;
use crate::transaction::{Phase, Retransmit, Server, Transaction};
use crate::{breadth, invite_server, loops, non_invite_server};

const TRYING: &[u8] = b"trying -- your call is important to us";

impl Layer {
    /// Makes a transaction (`t_newtran`). A retransmission of one that exists gets its last response again.
    pub fn new_transaction(&mut self, now: Micros, request: &Request) -> NewTransaction {
        self.tick(now);
        let method = request.message.method();
        if method == Method::Ack {
            return NewTransaction::Ack;
        }
        let class = Class::of(method);
        if let Some(id) = self.table.lookup(&request.key, class) {
            if let Some(tx) = self.table.find_mut(id) {
                tx.on_retransmission(&mut self.io);
            }
            return NewTransaction::Retransmission(id);
        }
        let Some(id) = self.create(request, class) else { return NewTransaction::Full };
        // SER 2.0: a CANCEL that overtook its INVITE is remembered by its own transaction.
        if class == Class::Invite && self.table.lookup(&request.key, Class::Cancel).is_some() {
            if let Some(tx) = self.table.find_mut(id) {
                tx.cancelled = true;
            }
            return NewTransaction::Cancelled(id);
        }
        NewTransaction::New(id)
    }

    fn create(&mut self, request: &Request, class: Class) -> Option<TxId> {
        if self.table.len() >= self.io.config.max_transactions {
            self.io.counters.refused += 1;
            return None;
        }
        self.pending.remove(&request.key, class);
        let server = match class {
            Class::Invite => Server::Invite(invite_server::State::Proceeding),
            Class::Cancel | Class::Other => Server::Other(non_invite_server::State::Trying),
        };
        Some(self.insert(Some(request.clone()), class, server))
    }

    /// Puts a new transaction into the table; a local one is not found by requests.
    pub(crate) fn insert(&mut self, request: Option<Request>, class: Class, server: Server) -> TxId {
        self.serial += 1;
        let secret = self.io.keys.secret(self.serial);
        let io = &mut self.io;
        io.counters.transactions += 1;
        let to_via = io.config.reply_to_via;
        // The 200 to a CANCEL says nothing that anybody could want to keep.
        let holds = io.config.hold_finals && request.is_some() && class != Class::Cancel;
        self.table.insert(server != Server::Absent, |id| {
            let key = request.as_ref().map_or(crate::key::Key([secret, 0]), |request| request.key);
            let reply_to = request.as_ref().map(|r| reply_target(&r.message, &r.flow, r.force_rport, to_via));
            Transaction {
                id,
                key,
                class,
                secret,
                created: io.now,
                request,
                server,
                reply_to: reply_to.unwrap_or(crate::address::NOWHERE),
                last: None,
                status: 0,
                retransmit: Retransmit::default(),
                expire: 0,
                guard: io.timer(id, Kind::Guard, 0, io.config.timers.hold),
                branches: Vec::new(),
                phase: Phase::Open,
                held: Vec::new(),
                arm: if holds { Arm::HOLD } else { Arm::NONE },
                cancelled: false,
                accepted: None,
                loop_hash: 0,
                fr: io.config.timers.fr,
                fr_inv: io.config.timers.fr_inv,
                picked: None,
                waiting: None,
                released: false,
            }
        })
    }

    /// The transaction of a request, without making one (`t_lookup_request`).
    pub fn lookup(&self, request: &Request) -> Option<TxId> {
        self.table.lookup(&request.key, Class::of(request.message.method()))
    }

    /// The INVITE's transaction that a CANCEL is for (`t_lookup_cancel`).
    pub fn lookup_cancel(&self, request: &Request) -> Option<TxId> {
        self.table.lookup(&request.key, Class::Invite)
    }

    /// Absorbs retransmissions of a request whose script waits before it has made a transaction.
    pub fn hold(&mut self, now: Micros, request: &Request) {
        self.tick(now);
        let deadline = self.io.now.saturating_add(self.io.config.timers.hold);
        if self.pending.len() < self.io.config.max_transactions {
            self.pending.add(request.key, Class::of(request.message.method()), deadline);
        }
    }

    /// Ends [`Layer::hold`].
    pub fn unhold(&mut self, request: &Request) {
        self.pending.remove(&request.key, Class::of(request.message.method()));
    }

    /// Answers a request (`t_reply`). A final answer cancels what is still pending.
    ///
    /// # Errors
    /// The transaction is gone or has its final response.
    pub fn reply(&mut self, now: Micros, id: TxId, reply: &Reply<'_>) -> Result<(), ReplyError> {
        self.tick(now);
        let tx = self.table.find_mut(id).filter(|tx| !tx.is_local()).ok_or(ReplyError::Unknown)?;
        if tx.is_final() {
            return Err(ReplyError::Final);
        }
        let accepts = tx.is_invite() && (200..300).contains(&reply.status);
        if accepts {
            if let Some(dialog) = tx.remember_tag(&self.io, reply) {
                self.accepted.insert(dialog, id);
            }
        }
        tx.respond_locally(&mut self.io, reply);
        if reply.status >= 200 {
            tx.cancel_pending(&mut self.io);
        }
        self.reap(id);
        Ok(())
    }

    /// Relays a request to branches (`t_relay`, `t_forward_nonack`); the first time, an INVITE is answered 100 at once.
    /// Returns how many branches were sent.
    ///
    /// # Errors
    /// Nothing was sent and nothing answered; [`RelayError::status`] says what to answer.
    pub fn relay(&mut self, now: Micros, id: TxId, mut branches: Vec<Branch>) -> Result<usize, RelayError> {
        self.tick(now);
        let tx = self.table.find_mut(id).filter(|tx| !tx.is_local()).ok_or(RelayError::Unknown)?;
        may_relay(tx, branches.len(), self.io.config.max_branches)?;
        let io = &mut self.io;
        if tx.branches.is_empty() {
            if let Some(request) = &tx.request {
                tx.loop_hash = io.keys.loops(&request.message, request.flow.remote);
                if io.config.loop_detection && loops::comes_back(&request.message, tx.loop_hash) {
                    io.counters.loops += 1;
                    return Err(RelayError::Loop);
                }
            }
            if tx.is_invite() && tx.status == 0 {
                tx.respond_locally(io, &Reply::new(100, TRYING));
            }
        }
        if let (true, Some(request)) = (branches.len() > 1, &tx.request) {
            breadth::share(&request.message, &mut branches, io.config.max_breadth)?;
        }
        tx.branches.reserve_exact(branches.len());
        let mut sent = 0;
        for branch in branches {
            sent += usize::from(tx.start_branch(io, branch));
        }
        if sent == 0 {
            return Err(RelayError::Send);
        }
        tx.unguard();
        Ok(sent)
    }

    /// Deals with a CANCEL (ser-semantics §6): answers it, and its INVITE if that has no branches yet, and cancels the
    /// branches that have answered.
    pub fn relay_cancel(&mut self, now: Micros, request: &Request) -> CancelOutcome {
        self.tick(now);
        let Some(invite) = self.lookup_cancel(request) else { return CancelOutcome::NotFound };
        let cancel = match self.new_transaction(now, request) {
            NewTransaction::New(id) | NewTransaction::Cancelled(id) => id,
            NewTransaction::Retransmission(id) if self.is_unanswered(id) => id,
            NewTransaction::Retransmission(_) | NewTransaction::Ack => return CancelOutcome::Handled,
            NewTransaction::Full => return CancelOutcome::Full,
        };
        let pending = self.cancel_invite(invite);
        let reason: &[u8] = if pending > 0 { b"canceling" } else { b"ok -- no more pending branches" };
        // Cannot fail: the transaction is new.
        let _ = self.reply(now, cancel, &Reply::new(200, reason));
        CancelOutcome::Handled
    }

    /// A transaction that the script made itself (`t_newtran`) before it relayed the CANCEL.
    fn is_unanswered(&self, id: TxId) -> bool {
        self.table.find(id).is_some_and(|tx| !tx.is_final() && tx.branches.is_empty())
    }

    fn cancel_invite(&mut self, id: TxId) -> usize {
        let Some(tx) = self.table.find_mut(id) else { return 0 };
        if tx.is_final() {
            return 0;
        }
        tx.cancelled = true;
        let pending = if tx.branches.is_empty() {
            tx.respond_locally(&mut self.io, &Reply::new(487, b"Request canceled"));
            0
        } else {
            tx.cancel_pending(&mut self.io)
        };
        tx.conclude(&mut self.io);
        self.reap(id);
        pending
    }

    /// Cancels all pending branches of an INVITE of ours or of a script's choice; how many will still answer.
    pub fn cancel_branches(&mut self, now: Micros, id: TxId) -> usize {
        self.tick(now);
        let Some(tx) = self.table.find_mut(id) else { return 0 };
        let pending = tx.cancel_pending(&mut self.io);
        tx.conclude(&mut self.io);
        self.reap(id);
        pending
    }

    /// Goes on with a held reply: relays it (with edits) or drops it. `false` if it is not held any more.
    pub fn resume_reply(
        &mut self,
        now: Micros,
        id: TxId,
        token: ReplyToken,
        forward: bool,
        edits: Option<Edits>,
    ) -> bool {
        self.tick(now);
        let Some(tx) = self.table.find_mut(id) else { return false };
        let found = tx.resume_reply(&mut self.io, token.0, forward, edits);
        self.reap(id);
        found
    }

    /// Goes on after a failure route. `false` if the transaction does not wait for it.
    pub fn resume_failure(&mut self, now: Micros, id: TxId) -> bool {
        self.tick(now);
        let Some(tx) = self.table.find_mut(id) else { return false };
        let found = tx.resume_failure(&mut self.io);
        self.reap(id);
        found
    }

    /// Lets a final response go, now if it waits, otherwise once it comes. `false` if the transaction is gone.
    pub fn resume_final(&mut self, now: Micros, id: TxId) -> bool {
        self.tick(now);
        let Some(tx) = self.table.find_mut(id) else { return false };
        tx.resume_final(&mut self.io);
        self.reap(id);
        true
    }

    /// Sends the last response again (`t_retransmit_reply`); whether there was one.
    pub fn retransmit_reply(&mut self, now: Micros, id: TxId) -> bool {
        self.tick(now);
        let Some(tx) = self.table.find(id) else { return false };
        let Some(last) = &tx.last else { return false };
        self.io.resend(tx.reply_to, last);
        true
    }

    /// Gives up a transaction that was neither answered nor relayed (`t_release`); any other lives on by itself.
    pub fn release(&mut self, id: TxId) {
        if let Some(tx) = self.table.find_mut(id).filter(|tx| tx.branches.is_empty() && !tx.is_final()) {
            tx.released = true;
        }
        self.reap(id);
    }

    /// Sets what the transaction reports from now on. `false` if it is gone.
    pub fn arm(&mut self, id: TxId, arm: Arm) -> bool {
        self.table.find_mut(id).map(|tx| tx.arm = arm).is_some()
    }

    /// Sets the timers of a transaction (`t_set_fr`), running ones included; 0 leaves one as it is.
    pub fn set_timers(&mut self, now: Micros, id: TxId, fr: Micros, fr_inv: Micros) -> bool {
        self.tick(now);
        self.table.find_mut(id).map(|tx| tx.set_timers(&mut self.io, fr, fr_inv)).is_some()
    }

    /// Answers to the source port of the request from now on (`force_rport`).
    pub fn set_force_rport(&mut self, id: TxId) {
        let to_via = self.io.config.reply_to_via;
        let Some(tx) = self.table.find_mut(id) else { return };
        let Some(request) = &mut tx.request else { return };
        request.force_rport = true;
        tx.reply_to = reply_target(&request.message, &request.flow, true, to_via);
    }
}

fn may_relay(tx: &Transaction, wanted: usize, limit: usize) -> Result<(), RelayError> {
    if tx.is_final() {
        Err(RelayError::Final)
    } else if tx.cancelled {
        Err(RelayError::Cancelled)
    } else if wanted == 0 {
        Err(RelayError::NoBranches)
    } else if tx.branches.len() + wanted > limit {
        Err(RelayError::TooManyBranches)
    } else {
        Ok(())
    }
}
