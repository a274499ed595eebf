//! Responses as they go upstream: relayed ones without our Via, and those made here.

use bytes::Bytes;
use sipyard_wire::{build, Edits, HeaderName, Message, Prologue};

use crate::address::Protocol;
use crate::branch_id::hex;
use crate::event::{Reply, Request};
use crate::io::Io;
use crate::reply_path::{via_mark, AddressText};
use crate::server::Upstream;
use crate::transaction::Transaction;

/// A response without its top Via; `None` if that cannot be found.
pub fn strip_top_via(message: &Message, edits: &Edits, to: Protocol) -> Option<Bytes> {
    message.top_via_value().ok()?;
    let mut out = Vec::with_capacity(message.length() + 64);
    let prologue = Prologue { drop_top_via: true, for_stream: to.is_reliable(), ..Prologue::default() };
    edits.write_with(message, &prologue, &mut out);
    Some(out.into())
}

/// The challenges of a 401 or 407, as whole header lines.
pub fn challenges(message: &Message) -> Vec<Bytes> {
    let mut lines = Vec::new();
    for id in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        for field in message.all(id) {
            let mut line = Vec::with_capacity(field.value.len() + 24);
            line.extend_from_slice(id.canonical().as_bytes());
            line.extend_from_slice(b": ");
            line.extend_from_slice(field.value);
            line.extend_from_slice(b"\r\n");
            lines.push(line.into());
        }
    }
    lines
}

/// Writes a response of our own to a request.
pub fn write_reply(io: &Io, request: &Request, reply: &Reply<'_>, tag: u64) -> Bytes {
    let mut made = Vec::new();
    let to_tag = reply.to_tag.or_else(|| {
        // SER's limit; RFC 3261 §8.2.6.2 demands one above 100 of a UAS that means to keep a dialog.
        (reply.status >= 180).then(|| {
            hex(tag, 16, &mut made);
            &made[..]
        })
    });
    let mut extra = Vec::new();
    let headers = own_headers(io, request, reply, &mut extra);
    let text = AddressText::new(request.flow.remote.ip());
    let mark = via_mark(&request.message, &request.flow, request.force_rport, &text);
    let Reply { status, reason, body, .. } = *reply;
    let mut out = Vec::with_capacity(request.message.length().min(2048) + headers.len() + body.len() + 128);
    build::response_to(&request.message, &build::Response { status, reason, to_tag, headers, body, mark }, &mut out);
    out.into()
}

/// The caller's headers, then Server and Warning.
fn own_headers<'a>(io: &Io, request: &Request, reply: &Reply<'a>, extra: &'a mut Vec<u8>) -> &'a [u8] {
    if reply.bare || (io.config.server.is_none() && !io.config.warning) {
        return reply.headers;
    }
    extra.extend_from_slice(reply.headers);
    if !reply.headers.is_empty() && !reply.headers.ends_with(b"\n") {
        extra.extend_from_slice(b"\r\n");
    }
    if let Some(server) = &io.config.server {
        extra.extend_from_slice(b"Server: ");
        extra.extend_from_slice(server);
        extra.extend_from_slice(b"\r\n");
    }
    if io.config.warning && reply.status > 100 {
        let host = io.listeners.get(usize::from(request.flow.listener)).map_or(&b"-"[..], |own| own.sent_by());
        extra.extend_from_slice(b"Warning: 392 ");
        extra.extend_from_slice(host);
        extra.extend_from_slice(b" \"Noisy feedback tells: req_src_ip=");
        extra.extend_from_slice(AddressText::new(request.flow.remote.ip()).as_bytes());
        extra.extend_from_slice(format!(" req_src_port={}", request.flow.remote.port()).as_bytes());
        extra.extend_from_slice(b"\"\r\n");
    }
    extra
}

impl Transaction {
    /// Answers the request ourselves.
    pub fn respond_locally(&mut self, io: &mut Io, reply: &Reply<'_>) {
        let Some(request) = &self.request else { return };
        let data = write_reply(io, request, reply, io.keys.stateful_tag(&self.key));
        self.respond(io, Upstream { status: reply.status, data, local: true, message: None });
    }
}
