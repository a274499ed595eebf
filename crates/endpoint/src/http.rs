//! HTTP requests on a SIP port, made into messages that a script can look at (SER's module xmlrpc).

use std::net::SocketAddr;

use bytes::Bytes;
use sipyard_transaction::Flow;
use sipyard_wire::framer::header_end;
use sipyard_wire::{lexer, HeaderName};

/// The parts of a request line (RFC 9112 §3), if it is one.
fn request_line(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let is_http = matches!(version, b"HTTP/1.1" | b"HTTP/1.0") && parts.next().is_none();
    (is_http && lexer::is_token(method) && !target.is_empty()).then_some((method, target))
}

/// Whether a header that came over a stream is one of HTTP.
pub(crate) fn is_http(header: &[u8]) -> bool {
    request_line(header).is_some()
}

/// The request as a SIP message with what SIP demands put in; its own header fields of those names are left out.
/// `None` if it is no HTTP, or has a body in pieces.
pub(crate) fn as_message(request: &[u8], flow: &Flow, local: SocketAddr, number: u64) -> Option<Bytes> {
    let (method, target) = request_line(request)?;
    let remote = flow.remote;
    let (head, body) = split(request);
    let mut text = Vec::with_capacity(request.len() + 400);
    text.extend_from_slice(method);
    text.push(b' ');
    if target.starts_with(b"/") {
        text.extend_from_slice(format!("http://{local}").as_bytes());
    }
    text.extend_from_slice(target);
    let fields = format!(
        " SIP/2.0\r\nVia: SIP/2.0/{} {remote};branch=z9hG4bKhttp{number}\r\nFrom: <sip:{remote}>;tag={number}\r\n\
         To: <sip:{local}>\r\nCall-ID: http-{number}\r\nMax-Forwards: 70\r\nContent-Length: {}\r\nCSeq: 1 ",
        flow.protocol.name(),
        body.len()
    );
    text.extend_from_slice(fields.as_bytes());
    text.extend_from_slice(method);
    text.extend_from_slice(b"\r\n");
    let mut is_kept = false;
    for line in head.split_inclusive(|byte| *byte == b'\n').skip(1) {
        let is_folded = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        is_kept = if is_folded { is_kept } else { is_of_http(line) };
        if is_kept {
            text.extend_from_slice(line);
        }
        if line.get(..17).is_some_and(|name| name.eq_ignore_ascii_case(b"transfer-encoding")) {
            return None; // The framer went by Content-Length, which does not hold then.
        }
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    Some(text.into())
}

/// Whether a header field means in HTTP what SIP does not make another thing of.
fn is_of_http(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_blank = line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    !is_blank
        && !matches!(
            HeaderName::from_bytes(lexer::trim(name)),
            HeaderName::Via
                | HeaderName::From
                | HeaderName::To
                | HeaderName::CallId
                | HeaderName::CSeq
                | HeaderName::MaxForwards
                | HeaderName::Contact
                | HeaderName::Route
                | HeaderName::RecordRoute
                | HeaderName::ContentLength
        )
}

/// Header and body; the framer has seen that there is an empty line.
fn split(request: &[u8]) -> (&[u8], &[u8]) {
    let end = header_end(request).unwrap_or(request.len());
    request.split_at_checked(end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(request: &[u8]) -> Option<String> {
        let remote = "192.0.2.1:4711".parse().expect("an address");
        let flow = Flow { protocol: sipyard_transaction::Protocol::Tcp, remote, listener: 0, connection: 1 };
        let local = "192.0.2.2:5060".parse().expect("an address");
        let message = as_message(request, &flow, local, 7)?;
        Some(String::from_utf8(message.to_vec()).expect("text"))
    }

    #[test]
    fn a_post_becomes_a_message_with_its_own_fields() {
        let text = made(
            b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nVia: 1.1 proxy\r\nf: evil\r\n folded\r\nContent-Type: text/xml\r\n\
              Content-Length: 2\r\n\r\nhi",
        );
        let expected = "POST http://192.0.2.2:5060/RPC2 SIP/2.0\r\n\
            Via: SIP/2.0/TCP 192.0.2.1:4711;branch=z9hG4bKhttp7\r\nFrom: <sip:192.0.2.1:4711>;tag=7\r\n\
            To: <sip:192.0.2.2:5060>\r\nCall-ID: http-7\r\nMax-Forwards: 70\r\nContent-Length: 2\r\nCSeq: 1 POST\r\n\
            Host: x\r\nContent-Type: text/xml\r\n\r\nhi";
        assert_eq!(text.as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_http() {
        for line in [
            "POST /x HTTP/2",
            "POST  /x HTTP/1.1",
            "POST /x HTTP/1.1 y",
            "P(ST /x HTTP/1.1",
            "OPTIONS sip:a SIP/2.0",
            "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(made(format!("{line}\r\n\r\n").as_bytes()), None, "{line}");
        }
    }
}
