//! A request as it leaves: our Via, Record-Route, the marks on the sender's Via, everything in one pass (RFC 3261
//! §16.6).

use bytes::Bytes;
use sipyard_wire::Prologue;

use crate::address::{sent_by, Listener, Protocol, Target};
use crate::branch_id::hex;
use crate::event::{Advertised, Outgoing, RecordRoute, Request};
use crate::io::Io;
use crate::reply_path::{via_mark, AddressText};

/// Writes a request for a target; `branch` writes the branch parameter's value. `None` if the listener does not exist.
pub fn write_request(
    io: &Io,
    request: &Request,
    outgoing: &Outgoing,
    target: &Target,
    branch: impl FnOnce(&mut Vec<u8>),
) -> Option<Bytes> {
    let out_index = target.listener?;
    let out_listener = io.listeners.get(usize::from(out_index))?;
    let mut head = Vec::with_capacity(320);
    via(out_listener, outgoing.advertised.as_deref(), branch, &mut head);
    if let Some(record_route) = &outgoing.record_route {
        let advertised = outgoing.advertised.as_deref();
        let in_listener = io.listeners.get(usize::from(request.flow.listener));
        let double = io.config.double_record_route && request.flow.listener != out_index;
        let second = in_listener.filter(|_| double && record_route.preset.is_none());
        write_record_route(record_route, out_listener, advertised, second.is_some(), &mut head);
        if let Some(second) = second {
            write_record_route(record_route, second, advertised, true, &mut head);
        }
    }
    let text = AddressText::new(request.flow.remote.ip());
    let mark = via_mark(&request.message, &request.flow, request.force_rport, &text);
    let prologue = Prologue {
        uri: outgoing.uri.as_deref(),
        head: &head,
        mark,
        drop_top_via: false,
        for_stream: target.protocol.is_reliable(),
    };
    let mut out = Vec::with_capacity(request.message.length() + head.len() + 256);
    outgoing.edits.write_with(&request.message, &prologue, &mut out);
    Some(out.into())
}

/// Writes our Via line.
pub fn via(listener: &Listener, advertised: Option<&Advertised>, branch: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"Via: ");
    match advertised {
        None => out.extend_from_slice(listener.via()),
        Some(advertised) => {
            out.extend_from_slice(b"SIP/2.0/");
            out.extend_from_slice(listener.protocol.name().as_bytes());
            out.push(b' ');
            out.extend_from_slice(advertised_sent_by(listener, advertised).as_bytes());
            out.extend_from_slice(b";branch=");
        }
    }
    branch(out);
    out.extend_from_slice(b"\r\n");
}

/// Adds the number of the connection that a statelessly forwarded request came over to a branch.
pub fn connection_parameter(connection: u64, out: &mut Vec<u8>) {
    if connection != 0 {
        out.extend_from_slice(b";i=");
        hex(connection, 16 - connection.leading_zeros() as usize / 4, out);
    }
}

fn advertised_sent_by(listener: &Listener, advertised: &Advertised) -> String {
    let host = advertised.host.as_deref().or(listener.advertised_host.as_deref());
    sent_by(listener.protocol, listener.address, host, advertised.port.or(listener.advertised_port))
}

/// One Record-Route line: `<sip:[user@]host[:port][;transport=…][;r2=on][params]>` (ser-semantics §11).
fn write_record_route(
    record_route: &RecordRoute,
    listener: &Listener,
    advertised: Option<&Advertised>,
    double: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"Record-Route: <sip:");
    if let Some(user) = &record_route.user {
        out.extend_from_slice(user);
        out.push(b'@');
    }
    match (&record_route.preset, advertised) {
        (Some(preset), _) => out.extend_from_slice(preset),
        (None, Some(advertised)) => out.extend_from_slice(advertised_sent_by(listener, advertised).as_bytes()),
        (None, None) => out.extend_from_slice(listener.sent_by()),
    }
    if listener.protocol != Protocol::Udp && record_route.preset.is_none() {
        out.extend_from_slice(b";transport=");
        out.extend_from_slice(listener.protocol.parameter().as_bytes());
    }
    if double {
        out.extend_from_slice(b";r2=on");
    }
    out.extend_from_slice(&record_route.params);
    out.extend_from_slice(b">\r\n");
}
