//! What a script may ask of a transaction.

use crate::address::Target;
use crate::config::Micros;
use crate::event::{Arm, Request, TxId};
use crate::io::Io;
use crate::layer::Layer;
use crate::transaction::{Client, Transaction};
use crate::{invite_client, timers::Kind};

/// A transaction as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its method class is INVITE.
    pub is_invite: bool,
    /// The request; gone once it is answered and nothing is armed.
    pub request: Option<&'a Request>,
    /// Status last sent upstream, or waiting to be sent; 0 for none.
    pub status: u16,
    /// Its final response waits for [`Layer::resume_final`].
    pub is_answer_held: bool,
    /// A CANCEL came for it.
    pub is_cancelled: bool,
    /// State of the server machine.
    pub state: &'static str,
    /// When it began.
    pub created: Micros,
    /// Branch of the response picked last.
    pub picked: Option<usize>,
    /// Status of that response.
    pub picked_status: u16,
    /// Some branch timed out (`t_any_timeout`).
    pub any_timeout: bool,
    /// Some branch answered (`t_any_replied`).
    pub any_replied: bool,
    /// The picked branch timed out (`t_branch_timeout`).
    pub branch_timeout: bool,
    /// The picked branch answered (`t_branch_replied`).
    pub branch_replied: bool,
}

/// A branch as it is now.
#[derive(Clone, Copy, Debug)]
pub struct BranchFacts<'a> {
    /// Its request URI if it is not the request's own.
    pub uri: Option<&'a [u8]>,
    /// Final status, else the highest provisional one, 0 for none.
    pub status: u16,
    /// Where it was sent.
    pub target: Target,
    /// Preference in thousandths, -1 unknown.
    pub q: i32,
    /// It timed out.
    pub timed_out: bool,
    /// It answered.
    pub replied: bool,
    /// It was given up for the next target.
    pub superseded: bool,
}

impl Layer {
    /// A transaction's facts; `None` if it is gone.
    pub fn facts(&self, id: TxId) -> Option<Facts<'_>> {
        let tx = self.table.find(id)?;
        let picked = tx.picked.map(usize::from);
        let branch = picked.and_then(|index| tx.branches.get(index));
        Some(Facts {
            is_invite: tx.is_invite(),
            request: tx.request.as_ref(),
            status: tx.status,
            is_answer_held: tx.waiting.is_some(),
            is_cancelled: tx.cancelled,
            state: tx.state(),
            created: tx.created,
            picked,
            picked_status: branch.map_or(0, |branch| branch.status),
            any_timeout: tx.branches.iter().any(|branch| branch.timed_out),
            any_replied: tx.branches.iter().any(|branch| branch.replied),
            branch_timeout: branch.is_some_and(|branch| branch.timed_out),
            branch_replied: branch.is_some_and(|branch| branch.replied),
        })
    }

    /// The branches of a transaction, in order.
    pub fn branches(&self, id: TxId) -> impl Iterator<Item = BranchFacts<'_>> {
        let branches = self.table.find(id).map(|tx| tx.branches.as_slice()).unwrap_or_default();
        branches.iter().map(|branch| BranchFacts {
            uri: branch.uri.as_deref(),
            status: if branch.status != 0 { branch.status } else { branch.provisional },
            target: branch.target,
            q: branch.q,
            timed_out: branch.timed_out,
            replied: branch.replied,
            superseded: branch.superseded,
        })
    }

    /// How many requests of others still wait for their final response.
    pub fn unanswered(&self) -> usize {
        let served = self.table.ids().filter_map(|id| self.table.find(id)).filter(|tx| !tx.is_local());
        served.filter(|tx| !tx.is_final() || tx.waiting.is_some()).count()
    }

    /// What a transaction reports now.
    pub fn armed(&self, id: TxId) -> Arm {
        self.table.find(id).map_or(Arm::NONE, |tx| tx.arm)
    }

    /// The To-tag that responses made here carry, unless a script gives another or the request has one; `None` for a
    /// transaction that is gone or our own.
    pub fn local_tag_of(&self, id: TxId) -> Option<Vec<u8>> {
        let tx = self.table.find(id).filter(|tx| !tx.is_local())?;
        if let Some(accepted) = &tx.accepted {
            return Some(accepted.tag.to_vec());
        }
        let mut tag = Vec::with_capacity(16);
        crate::branch_id::hex(self.io.keys.stateful_tag(&tx.key), 16, &mut tag);
        Some(tag)
    }

    /// All transactions, in order of their slots.
    pub fn transactions(&self) -> impl Iterator<Item = TxId> + '_ {
        self.table.ids()
    }
}

impl Transaction {
    /// Sets fr and fr_inv, and restarts those that run.
    pub fn set_timers(&mut self, io: &mut Io, fr: Micros, fr_inv: Micros) {
        self.fr = if fr == 0 { self.fr } else { fr };
        self.fr_inv = if fr_inv == 0 { self.fr_inv } else { fr_inv };
        let id = self.id;
        for (index, branch) in self.branches.iter_mut().enumerate() {
            if branch.is_decided() || branch.cancelled || branch.expire == 0 {
                continue;
            }
            let (set, interval) = match branch.state {
                Client::Invite(invite_client::State::Proceeding) => (fr_inv, self.fr_inv),
                Client::Invite(invite_client::State::Calling) | Client::Other(_) => (fr, self.fr),
                Client::Invite(_) => continue,
            };
            if set != 0 {
                branch.expire = io.timer(id, Kind::ClientExpire, index as u8, interval);
            }
        }
    }
}
