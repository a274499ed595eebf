//! Branches begin here: the first target of each, and the next one when a target fails (RFC 3261 §16.6 step 7, RFC 3263
//! §4.3).

use bytes::Bytes;

use crate::address::{Protocol, Target};
use crate::branch_id::BranchId;
use crate::config::Micros;
use crate::event::{Branch, Outgoing};
use crate::io::Io;
use crate::outgoing::write_request;
use crate::timers::Kind;
use crate::transaction::{Client, ClientBranch, Retransmit, Spare, Transaction};
use crate::{invite_client, non_invite_client};

impl Transaction {
    /// Sends a branch to the first of its targets that a listener of ours reaches; whether there was one.
    pub fn start_branch(&mut self, io: &mut Io, branch: Branch) -> bool {
        let Branch { outgoing, mut targets, q } = branch;
        if self.is_large(io) {
            targets = targets.into_iter().flat_map(|target| by_stream_first(io, target)).collect();
        }
        self.start(io, outgoing, targets.into_iter(), q)
    }

    /// Whether the request is too large for a datagram, with what we add to it.
    fn is_large(&self, io: &Io) -> bool {
        const ADDED: usize = 200;
        let limit = io.config.udp_mtu;
        limit > 0 && self.request.as_ref().is_some_and(|request| request.message.length() + ADDED > limit)
    }

    fn start(&mut self, io: &mut Io, outgoing: Outgoing, mut targets: std::vec::IntoIter<Target>, q: i32) -> bool {
        if self.branches.len() >= io.config.max_branches.min(usize::from(u8::MAX)) {
            return false;
        }
        while let Some(mut target) = targets.next() {
            let received_by = self.request.as_ref().map_or(0, |request| request.flow.listener);
            let Some(listener) = io.listener_for(&target, received_by) else { continue };
            target.listener = Some(listener);
            if self.request.as_ref().is_some_and(|request| io.forbids(request.message.method(), &target)) {
                continue;
            }
            let Some(data) = self.write_branch(io, &outgoing, &target) else { continue };
            let uri = outgoing.uri.clone();
            let spare = io.config.failover && targets.len() > 0;
            let spare = spare.then(|| Box::new(Spare { outgoing, targets }));
            self.launch(io, target, data, ClientBranchSeed { uri, q, spare });
            return true;
        }
        false
    }

    fn write_branch(&self, io: &Io, outgoing: &Outgoing, target: &Target) -> Option<Bytes> {
        let request = self.request.as_ref()?;
        let id = BranchId { slot: self.id.slot, secret: self.secret, branch: self.branches.len() as u8 };
        write_request(io, request, outgoing, target, |out| id.write(self.loop_hash, out))
    }

    fn launch(&mut self, io: &mut Io, target: Target, data: Bytes, seed: ClientBranchSeed) {
        let number = self.branches.len() as u8;
        let reliable = target.protocol.is_reliable();
        let mut branch = ClientBranch {
            state: self.first_state(),
            target,
            sent: None,
            retransmit: Retransmit::default(),
            expire: io.timer(self.id, Kind::ClientExpire, number, self.fr),
            status: 0,
            provisional: 0,
            reply: None,
            replied: false,
            timed_out: false,
            superseded: false,
            cancel: None,
            cancelled: false,
            spare: seed.spare,
            uri: seed.uri,
            q: seed.q,
        };
        if !reliable {
            let interval = io.config.timers.t1;
            let deadline = io.timer(self.id, Kind::ClientRetransmit, number, interval);
            branch.retransmit = Retransmit { deadline, interval };
        }
        if self.is_invite() || !reliable {
            branch.sent = Some(data.clone());
        }
        io.send(target, data);
        self.branches.push(branch);
    }

    fn first_state(&self) -> Client {
        if self.is_invite() {
            Client::Invite(invite_client::State::Calling)
        } else {
            Client::Other(non_invite_client::State::Trying)
        }
    }

    /// Tries the next target of a branch that failed, as a branch of its own; whether there was one.
    pub fn try_next_target(&mut self, io: &mut Io, index: usize) -> bool {
        if !io.config.failover || self.cancelled || self.is_final() {
            return false;
        }
        let Some(branch) = self.branches.get_mut(index) else { return false };
        if branch.cancelled || branch.is_decided() {
            return false;
        }
        let Some(spare) = branch.spare.take() else { return false };
        let q = branch.q;
        if !self.start(io, spare.outgoing, spare.targets, q) {
            return false;
        }
        io.counters.failovers += 1;
        if let Some(branch) = self.branches.get_mut(index) {
            branch.superseded = true;
            branch.cancelled = true;
            branch.status = 503;
        }
        true
    }

    /// Whether the caller still waits long enough for another attempt: an INVITE's until fr_inv (ser-semantics §12), any
    /// other's until the caller's own timer F.
    pub fn in_time_for_another(&self, io: &Io) -> bool {
        let patience: Micros = if self.is_invite() { self.fr_inv } else { io.config.timers.linger };
        io.now.saturating_sub(self.created) < patience
    }
}

/// A target of datagrams with the same one by TCP before it, if a listener of ours speaks that.
fn by_stream_first(io: &Io, target: Target) -> impl Iterator<Item = Target> {
    let is_datagram = target.protocol == Protocol::Udp;
    let stream = Target { protocol: Protocol::Tcp, listener: None, ..target };
    let found = is_datagram.then(|| io.listener_for(&stream, u16::MAX)).flatten();
    found.map(|_| stream).into_iter().chain([target])
}

struct ClientBranchSeed {
    uri: Option<Bytes>,
    q: i32,
    spare: Option<Box<Spare>>,
}
