//! Without state: forwarding requests (RFC 3261 §16.11), relaying stray responses, answering and forgetting (§8.2.7).

use sipyard_wire::{Edits, Message};

use crate::address::{is_sane, Target};
use crate::branch_id::{hex, write_stateless};
use crate::config::Micros;
use crate::event::{Outgoing, RelayError, Reply, Request, Transmit};
use crate::layer::Layer;
use crate::loops;
use crate::outgoing::{connection_parameter, write_request};
use crate::reply_path::{reply_target, via_target};
use crate::upstream::{strip_top_via, write_reply};

/// Why a request was not forwarded.
pub type ForwardError = RelayError;

/// What became of a stray response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrayReply {
    /// It went to the next Via's address.
    Relayed,
    /// Its top Via is not ours, and that is required (`check_via`).
    NotOurs,
    /// Nobody is named further up, or not by an address that may be sent to.
    Nowhere,
    /// No listener of ours reaches that address.
    NoListener,
}

impl Layer {
    /// Answers a request and forgets it (`sl_reply`). Nothing is ever sent in answer to an ACK.
    pub fn reply_stateless(&mut self, now: Micros, request: &Request, reply: &Reply<'_>) {
        self.tick(now);
        if request.message.method() == sipyard_wire::Method::Ack {
            return;
        }
        let data = write_reply(&self.io, request, reply, self.io.keys.stateless_tag(&request.key));
        let to_via = self.io.config.reply_to_via;
        let target = reply_target(&request.message, &request.flow, request.force_rport, to_via);
        if is_sane(target.remote) {
            self.io.send(target, data);
        }
    }

    /// Forwards a request without state (`forward()`, and the ACK to a 2xx): to the first target that can be reached.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn forward_stateless(
        &mut self,
        now: Micros,
        request: &Request,
        outgoing: &Outgoing,
        targets: &[Target],
    ) -> Result<(), ForwardError> {
        self.tick(now);
        let loop_hash = self.io.keys.loops(&request.message, request.flow.remote);
        if self.io.config.loop_detection && loops::comes_back(&request.message, loop_hash) {
            self.io.counters.loops += 1;
            return Err(RelayError::Loop);
        }
        if targets.is_empty() {
            return Err(RelayError::NoBranches);
        }
        let branch = self.io.keys.stateless_branch(&request.key);
        for target in targets {
            let Some(listener) = self.io.listener_for(target, request.flow.listener) else { continue };
            let target = Target { listener: Some(listener), ..*target };
            if self.io.forbids(request.message.method(), &target) {
                continue;
            }
            let data = write_request(&self.io, request, outgoing, &target, |out| {
                write_stateless(branch, loop_hash, out);
                connection_parameter(request.flow.connection, out);
            });
            if let Some(data) = data {
                self.io.send(target, data);
                return Ok(());
            }
        }
        Err(RelayError::Send)
    }

    /// Relays a response of no transaction to where its second Via says (ser-semantics §15).
    pub fn forward_reply_stateless(
        &mut self,
        now: Micros,
        message: &Message,
        edits: &Edits,
        received_by: u16,
    ) -> StrayReply {
        self.tick(now);
        let mut vias = message.vias();
        let (Some(Ok(top)), Some(Ok(next))) = (vias.next(), vias.next()) else { return StrayReply::Nowhere };
        if self.io.config.check_via && !self.is_our_via(top.host, top.port) {
            return StrayReply::NotOurs;
        }
        let Some(mut target) = via_target(&next) else { return StrayReply::Nowhere };
        let Some(listener) = self.io.listener_for(&target, received_by) else { return StrayReply::NoListener };
        target.listener = Some(listener);
        let Some(data) = strip_top_via(message, edits, target.protocol) else { return StrayReply::Nowhere };
        self.io.send(target, data);
        StrayReply::Relayed
    }

    /// Whether a sent-by is one that we write.
    fn is_our_via(&self, host: &[u8], port: Option<u16>) -> bool {
        let mut named = host.to_vec();
        if let Some(port) = port {
            named.extend_from_slice(format!(":{port}").as_bytes());
        }
        self.io.listeners.iter().any(|own| {
            let default = own.protocol.default_port();
            own.sent_by().eq_ignore_ascii_case(&named)
                || port == Some(default) && own.sent_by().eq_ignore_ascii_case(host)
        })
    }

    /// Sends bytes as they are (SER's `send()`); whether a listener of ours reaches the target.
    pub fn send_raw(&mut self, target: &Target, data: bytes::Bytes) -> bool {
        let Some(listener) = self.io.listener_for(target, 0) else { return false };
        self.io.transmits.push_back(Transmit { target: Target { listener: Some(listener), ..*target }, data });
        true
    }

    /// The To-tag that stateless responses to this request carry.
    pub fn stateless_tag_of(&self, request: &Request) -> String {
        let mut tag = Vec::with_capacity(16);
        hex(self.io.keys.stateless_tag(&request.key), 16, &mut tag);
        String::from_utf8(tag).unwrap_or_default()
    }
}
