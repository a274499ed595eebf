//! What a script may ask of the core.

use bytes::Bytes;
use sipyard_transaction::{
    Arm, Branch, CancelOutcome, NewTransaction, RelayError, Reply, ReplyToken, Request, Target, TxId,
};
use sipyard_wire::Edits;

use crate::core::{Core, Kept, SharedDraft};
use crate::draft::Draft;
use crate::incoming::Incoming;

/// A received request as the script has it now: `force_rport` is part of how it is answered.
fn with_draft(request: &Request, draft: &Draft) -> Request {
    let mut request = request.clone();
    request.force_rport = draft.force_rport;
    request
}

/// The header lines of a local reply: those of this reply and those that the script wants in every one.
fn with_reply_headers(headers: &[u8], draft: &Draft) -> Vec<u8> {
    [headers, draft.reply_headers()].concat()
}

impl Core {
    /// Make the transaction of a request (t_newtran). When the table is full the request is answered 503.
    pub fn new_transaction(&mut self, incoming: &Incoming, draft: &SharedDraft) -> Option<NewTransaction> {
        let request = with_draft(incoming.request()?, &draft.lock());
        let outcome = self.layer.new_transaction(self.now, &request);
        if outcome == NewTransaction::Full {
            self.shed(&request, request.message.length());
        }
        Some(outcome)
    }

    /// The transaction of a request, without making one (t_lookup_request).
    pub fn lookup(&self, request: &Request) -> Option<TxId> {
        self.layer.lookup(request)
    }

    /// The INVITE's transaction that a CANCEL means (t_lookup_cancel).
    pub fn lookup_cancel(&self, request: &Request) -> Option<TxId> {
        self.layer.lookup_cancel(request)
    }

    /// Live INVITE transactions of a Call-ID and CSeq number. It looks at all of them.
    pub fn find_invites(&self, call_id: &[u8], number: u32) -> Vec<TxId> {
        let is_meant = |tx: &TxId| {
            let Some(facts) = self.layer.facts(*tx).filter(|facts| facts.is_invite) else { return false };
            let Some(request) = facts.request else { return false };
            let message = &request.message;
            message.call_id() == Ok(call_id) && message.cseq().is_ok_and(|cseq| cseq.number == number)
        };
        self.layer.transactions().filter(is_meant).collect()
    }

    /// Deal with a CANCEL. When the table is full it is answered 503.
    pub fn relay_cancel(&mut self, request: &Request) -> CancelOutcome {
        let outcome = self.layer.relay_cancel(self.now, request);
        if outcome == CancelOutcome::Full {
            self.shed(request, request.message.length());
        }
        self.take_events();
        outcome
    }

    /// Answer statefully, with what the request's draft wants in every reply; whether it was sent.
    pub fn reply(&mut self, tx: TxId, draft: &Draft, reply: &Reply<'_>) -> bool {
        if draft.force_rport {
            self.layer.set_force_rport(tx);
        }
        let headers = with_reply_headers(reply.headers, draft);
        let sent = self.layer.reply(self.now, tx, &Reply { headers: &headers, ..*reply }).is_ok();
        self.take_events();
        sent
    }

    /// Relay to branches; how many were sent.
    ///
    /// # Errors
    /// Nothing was sent and nothing answered.
    pub fn relay(&mut self, tx: TxId, branches: Vec<Branch>) -> Result<usize, RelayError> {
        for branch in &branches {
            if let Some(advertised) = &branch.outgoing.advertised {
                self.note_via_name(advertised);
            }
        }
        let sent = self.layer.relay(self.now, tx, branches);
        self.take_events();
        sent
    }

    /// Remember a name that goes into our Via, so that stray replies to it are known as ours.
    fn note_via_name(&mut self, advertised: &sipyard_transaction::Advertised) {
        if let Some(host) = &advertised.host {
            self.via_names.add(host.as_bytes(), 0, None);
        }
        if let Some(port) = advertised.port {
            let hosts: Vec<String> = self.listeners().iter().map(|one| one.address.ip().to_string()).collect();
            hosts.iter().for_each(|host| self.via_names.add(host.as_bytes(), port, None));
        }
    }

    /// What a transaction reports from now on, and what it was made from for those who hear of it.
    pub fn arm(&mut self, tx: TxId, arm: Arm, kept: Option<&Kept>) -> bool {
        let is_alive = self.layer.arm(tx, arm);
        if let Some(kept) = kept.filter(|_| is_alive && arm != Arm::NONE) {
            self.keep(tx, kept);
        }
        is_alive
    }

    /// Go on with a held reply.
    pub fn resume_reply(&mut self, tx: TxId, token: ReplyToken, forward: bool, edits: Option<Edits>) -> bool {
        let found = self.layer.resume_reply(self.now, tx, token, forward, edits);
        self.take_events();
        found
    }

    /// Go on after a failure route.
    pub fn resume_failure(&mut self, tx: TxId) -> bool {
        let found = self.layer.resume_failure(self.now, tx);
        self.take_events();
        found
    }

    /// Let the final reply of a transaction go, now or once there is one.
    pub fn resume_final(&mut self, tx: TxId) -> bool {
        let found = self.layer.resume_final(self.now, tx);
        self.take_events();
        found
    }

    /// Set the timers of a transaction in microseconds; 0 leaves one as it is.
    pub fn set_timers(&mut self, tx: TxId, fr: u64, fr_inv: u64) -> bool {
        self.layer.set_timers(self.now, tx, fr, fr_inv)
    }

    /// Cancel all open branches; how many will still answer.
    pub fn cancel_branches(&mut self, tx: TxId) -> usize {
        let pending = self.layer.cancel_branches(self.now, tx);
        self.take_events();
        pending
    }

    /// Send the last reply again.
    pub fn retransmit_reply(&mut self, tx: TxId) -> bool {
        self.layer.retransmit_reply(self.now, tx)
    }

    /// Forget a transaction that was neither answered nor relayed.
    pub fn release(&mut self, tx: TxId) {
        self.layer.release(tx);
        self.take_events();
    }

    /// Forget all destinations that did not answer lately; how many those were.
    pub fn clear_blacklist(&mut self) -> usize {
        self.layer.blacklist_mut().forget(None)
    }

    /// The transaction layer, to look at.
    pub fn layer(&self) -> &sipyard_transaction::Layer {
        &self.layer
    }

    /// Answer statelessly.
    pub fn reply_stateless(&mut self, request: &Request, draft: &Draft, reply: &Reply<'_>) {
        let headers = with_reply_headers(reply.headers, draft);
        let request = with_draft(request, draft);
        self.counters.stateless_replies += 1;
        self.layer.unhold(&request);
        self.layer.reply_stateless(self.now, &request, &Reply { headers: &headers, ..*reply });
    }

    /// Forward statelessly to the first target that can be reached.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn forward(
        &mut self,
        request: &Request,
        draft: &Draft,
        uri: Option<Bytes>,
        targets: &[Target],
    ) -> Result<(), RelayError> {
        let outgoing = draft.outgoing(uri);
        if let Some(advertised) = &outgoing.advertised {
            self.note_via_name(advertised);
        }
        let request = with_draft(request, draft);
        self.layer.unhold(&request);
        self.layer.forward_stateless(self.now, &request, &outgoing, targets)?;
        self.counters.stateless_requests += 1;
        Ok(())
    }

    /// Relay a reply statelessly; whether it went.
    pub fn forward_reply(&mut self, incoming: &Incoming, edits: &Edits) -> bool {
        let listener = incoming.flow().map_or(0, |flow| flow.listener);
        !incoming.message().is_request() && self.relay_stray(incoming.message(), edits, listener)
    }

    /// Send bytes as they are; whether a listener can.
    pub fn send_raw(&mut self, target: &Target, data: Bytes) -> bool {
        self.layer.send_raw(target, data)
    }

    /// Absorb retransmissions of a request whose script waits; false when the table is full.
    pub fn hold(&mut self, request: &Request) -> bool {
        let full = self.layer.counts().pending >= self.layer.config().max_transactions;
        self.layer.hold(self.now, request);
        !full
    }

    /// End `hold`.
    pub fn unhold(&mut self, request: &Request) {
        self.layer.unhold(request);
    }
}
