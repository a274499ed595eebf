//! Requests of our own: a client transaction without a server side (RFC 3261 §8.1, §17.1).

use sipyard_wire::Message;

use crate::address::Target;
use crate::config::Micros;
use crate::event::{Branch, ClientId, Outgoing, RelayError, Reply};
use crate::io::Io;
use crate::key::Class;
use crate::layer::Layer;
use crate::transaction::{Accepted, Server, Transaction};

impl Layer {
    /// Sends a request of our own, without Via, to the first of its targets that can be reached; the next is tried when
    /// one fails. Its responses come as [`crate::Event::ClientReply`]; a 2xx to an INVITE is the caller's to acknowledge.
    ///
    /// # Errors
    /// No target can be reached, or the table is full (`TooManyBranches`).
    pub fn request(&mut self, now: Micros, message: Message, targets: Vec<Target>) -> Result<ClientId, RelayError> {
        self.tick(now);
        if self.table.len() >= self.io.config.max_transactions {
            self.io.counters.refused += 1;
            return Err(RelayError::TooManyBranches);
        }
        let Some(first) = targets.first() else { return Err(RelayError::NoBranches) };
        let flow = crate::address::Flow {
            listener: first.listener.unwrap_or(0),
            protocol: first.protocol,
            remote: first.remote,
            connection: 0,
        };
        let class = Class::of(message.method());
        let request = self.request_of(message, flow);
        let id = self.insert(Some(request), class, Server::Absent);
        self.clients += 1;
        self.io.counters.local += 1;
        let branch = Branch { outgoing: Outgoing::default(), targets, q: -1 };
        let sent = self.table.find_mut(id).is_some_and(|tx| {
            let sent = tx.start_branch(&mut self.io, branch);
            tx.unguard();
            sent
        });
        if sent {
            return Ok(ClientId(id));
        }
        if let Some(tx) = self.table.find_mut(id) {
            tx.released = true;
        }
        self.reap(id);
        Err(RelayError::Send)
    }
}

impl Transaction {
    /// Remembers the To-tag of a 2xx made here, for its ACK; by what the transaction is found then.
    pub fn remember_tag(&mut self, io: &Io, reply: &Reply<'_>) -> Option<u64> {
        let request = self.request.as_ref()?;
        let tag = match (request.message.to_tag(), reply.to_tag) {
            (Some(tag), _) | (None, Some(tag)) => tag.to_vec(),
            (None, None) => {
                let mut tag = Vec::with_capacity(16);
                crate::branch_id::hex(io.keys.stateful_tag(&self.key), 16, &mut tag);
                tag
            }
        };
        let dialog = io.keys.dialog(&request.message);
        self.accepted = Some(Box::new(Accepted { tag: tag.into(), dialog }));
        Some(dialog)
    }
}
