//! What is remembered of a transaction: the server side, its branches, and what a script asked for.

use bytes::Bytes;
use sipyard_wire::{Edits, Message};

use crate::address::{Flow, Target};
use crate::config::Micros;
use crate::event::{Arm, Outgoing, Request, TxId};
use crate::key::{Class, Key};
use crate::server::Upstream;
use crate::{invite_client, invite_server, non_invite_client, non_invite_server};

/// The server side's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// None: we began the transaction.
    Absent,
    /// Of an INVITE.
    Invite(invite_server::State),
    /// Of any other request.
    Other(non_invite_server::State),
}

/// A branch's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Of an INVITE.
    Invite(invite_client::State),
    /// Of any other request.
    Other(non_invite_client::State),
}

impl Client {
    /// Whether the machine has ended.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Client::Invite(invite_client::State::Terminated) | Client::Other(non_invite_client::State::Terminated)
        )
    }
}

/// A running retransmission timer: 0 = off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retransmit {
    /// When it comes up.
    pub deadline: Micros,
    /// How long it ran.
    pub interval: Micros,
}

/// A CANCEL of ours under way.
#[derive(Debug)]
pub struct Cancel {
    /// Its machine.
    pub state: non_invite_client::State,
    /// The message.
    pub data: Bytes,
    /// Timer E.
    pub retransmit: Retransmit,
    /// Timer F.
    pub expire: Micros,
}

/// What is needed to try a branch's next target.
#[derive(Debug)]
pub struct Spare {
    /// The request as the branch sends it.
    pub outgoing: Outgoing,
    /// Targets not tried yet.
    pub targets: std::vec::IntoIter<Target>,
}

/// One client transaction and what the response context knows of it.
#[derive(Debug)]
pub struct ClientBranch {
    /// Its machine.
    pub state: Client,
    /// Where it was sent.
    pub target: Target,
    /// The request; once a failure was acknowledged, the ACK; nothing when no state to come needs it.
    pub sent: Option<Bytes>,
    /// Timer A or E.
    pub retransmit: Retransmit,
    /// Timer B, C, D, F, K or M.
    pub expire: Micros,
    /// Final status, received or made up; 0 while there is none.
    pub status: u16,
    /// Highest provisional status so far.
    pub provisional: u16,
    /// The failure that came, for the choice of the best.
    pub reply: Option<Box<Failure>>,
    /// Some response came (SER: `t_branch_replied`).
    pub replied: bool,
    /// No final response came in time (SER: `t_branch_timeout`).
    pub timed_out: bool,
    /// Another target was tried instead: takes no part in the choice of the best.
    pub superseded: bool,
    /// The CANCEL we sent.
    pub cancel: Option<Box<Cancel>>,
    /// We want no answer of this branch any more.
    pub cancelled: bool,
    /// Further targets.
    pub spare: Option<Box<Spare>>,
    /// Its request URI, if it is not the request's own.
    pub uri: Option<Bytes>,
    /// Preference in thousandths, -1 unknown.
    pub q: i32,
}

impl ClientBranch {
    /// Whether the response context waits for it no more.
    #[inline]
    pub fn is_decided(&self) -> bool {
        self.status != 0
    }

    /// Whether nothing can happen to it any more.
    pub fn is_over(&self) -> bool {
        self.state.is_over() && self.cancel.is_none()
    }
}

/// The final response by which a branch failed.
#[derive(Debug)]
pub struct Failure {
    /// The response.
    pub message: Message,
    /// What its route changed.
    pub edits: Edits,
    /// Where it came from.
    pub flow: Flow,
}

/// A response that waits for its route.
#[derive(Debug)]
pub struct Held {
    /// Its name.
    pub token: u64,
    /// Its branch.
    pub branch: u8,
    /// The response.
    pub message: Message,
    /// Where it came from.
    pub flow: Flow,
}

/// By what the ACK to a 2xx that was made here is known.
#[derive(Debug)]
pub struct Accepted {
    /// The To-tag that it brings back.
    pub tag: Box<[u8]>,
    /// Where the index of such transactions has it.
    pub dialog: u64,
}

/// How far the response context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for responses, or for the script.
    Open,
    /// All branches failed; the failure route has the word. The picked branch.
    Failing(u8),
}

/// One transaction of the table.
#[derive(Debug)]
pub struct Transaction {
    /// Its identity.
    pub id: TxId,
    /// What its retransmissions look like.
    pub key: Key,
    /// Which kind of request.
    pub class: Class,
    /// The secret in its branches.
    pub secret: u64,
    /// When it began.
    pub created: Micros,
    /// The request; dropped once it is answered and nobody listens.
    pub request: Option<Request>,
    /// The server side.
    pub server: Server,
    /// Where responses go.
    pub reply_to: Target,
    /// The last response, for retransmissions.
    pub last: Option<Bytes>,
    /// Status last sent upstream, or waiting to be sent; 0 for none.
    pub status: u16,
    /// Timer G.
    pub retransmit: Retransmit,
    /// Timer H, I, J or L.
    pub expire: Micros,
    /// When a script has held it too long.
    pub guard: Micros,
    /// The branches, in order of their numbers.
    pub branches: Vec<ClientBranch>,
    /// The response context.
    pub phase: Phase,
    /// Responses that wait for their route.
    pub held: Vec<Held>,
    /// The final response until whoever armed `HOLD` lets it go.
    pub waiting: Option<Box<Upstream>>,
    /// What the script wants to hear of.
    pub arm: Arm,
    /// A CANCEL came for it.
    pub cancelled: bool,
    /// By what the ACK to a 2xx that was made here is known.
    pub accepted: Option<Box<Accepted>>,
    /// Hash of what the routing decision depends on (RFC 5393 §4.2).
    pub loop_hash: u64,
    /// `fr` of this transaction.
    pub fr: Micros,
    /// `fr_inv` of this transaction.
    pub fr_inv: Micros,
    /// Branch of the response last picked.
    pub picked: Option<u8>,
    /// Released or failed to start: to be removed at once.
    pub released: bool,
}

impl Transaction {
    /// Stops the guard if no script is waited for.
    pub fn unguard(&mut self) {
        let begun = self.is_final() || !self.branches.is_empty();
        if begun && self.held.is_empty() && self.waiting.is_none() && self.phase == Phase::Open {
            self.guard = 0;
        }
    }

    /// Whether this is an INVITE's.
    #[inline]
    pub fn is_invite(&self) -> bool {
        self.class == Class::Invite
    }

    /// Whether we began it.
    #[inline]
    pub fn is_local(&self) -> bool {
        self.server == Server::Absent
    }

    /// Whether there is a final response, which went upstream or waits.
    #[inline]
    pub fn is_final(&self) -> bool {
        self.status >= 200
    }

    /// Whether nothing can happen to it any more.
    pub fn is_over(&self) -> bool {
        let served = match self.server {
            Server::Absent => true,
            Server::Invite(state) => state == invite_server::State::Terminated,
            Server::Other(state) => state == non_invite_server::State::Terminated,
        };
        self.released
            || served
                && self.phase == Phase::Open
                && self.held.is_empty()
                && self.branches.iter().all(ClientBranch::is_over)
    }

    /// Name of the state, for people.
    pub fn state(&self) -> &'static str {
        match self.server {
            Server::Absent => "local",
            Server::Invite(invite_server::State::Proceeding) => "proceeding",
            Server::Invite(invite_server::State::Completed) => "completed",
            Server::Invite(invite_server::State::Confirmed) => "confirmed",
            Server::Invite(invite_server::State::Accepted) => "accepted",
            Server::Other(non_invite_server::State::Trying) => "trying",
            Server::Other(non_invite_server::State::Proceeding) => "proceeding",
            Server::Other(non_invite_server::State::Completed) => "completed",
            Server::Invite(invite_server::State::Terminated) | Server::Other(non_invite_server::State::Terminated) => {
                "terminated"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A completed transaction lives for 32 s (RFC 6026): at 1 000 calls/s that is 64 000 of them.
    #[test]
    fn a_transaction_stays_small() {
        assert!(std::mem::size_of::<Transaction>() <= 352);
        assert!(std::mem::size_of::<ClientBranch>() <= 184);
    }
}
