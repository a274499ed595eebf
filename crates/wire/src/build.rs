//! Messages that we make ourselves: responses (RFC 3261 §8.2.6), CANCEL (§9.1), ACK (§17.1.1.3), requests (§8.1.1).

use crate::edits::{write_marked, write_number, ViaMark};
use crate::error::ParseError;
use crate::header_name::HeaderName;
use crate::message::Message;
use crate::method::Method;

/// A response to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Response<'a> {
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'a [u8],
    /// Tag for To if the request has none there.
    pub to_tag: Option<&'a [u8]>,
    /// Whole header lines, each with its line end.
    pub headers: &'a [u8],
    /// Body; its Content-Type stands among the headers.
    pub body: &'a [u8],
    /// Mark of the request's top Via.
    pub mark: ViaMark<'a>,
}

/// Writes a response to a request (RFC 3261 §8.2.6.2). Record-Route is copied where a dialog may come of it (§12.1.1).
/// A header that the request lacks is left out, so that a broken request can be answered as well.
pub fn response_to(request: &Message, response: &Response<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"SIP/2.0 ");
    write_number(u32::from(response.status), out);
    out.push(b' ');
    out.extend_from_slice(response.reason);
    out.extend_from_slice(b"\r\n");
    copy_vias(request, &response.mark, out);
    let makes_dialog = (101..300).contains(&response.status)
        && matches!(request.method(), Method::Invite | Method::Subscribe | Method::Notify | Method::Refer);
    if makes_dialog {
        copy(request, HeaderName::RecordRoute, out);
    }
    copy(request, HeaderName::From, out);
    copy_to(request, response.to_tag, out);
    copy(request, HeaderName::CallId, out);
    copy(request, HeaderName::CSeq, out);
    if response.status == 100 {
        // RFC 3261 §8.2.6.1: a 100 repeats the Timestamp.
        request.by_name(b"Timestamp").for_each(|field| header("Timestamp", field.value, out));
    }
    out.extend_from_slice(response.headers);
    end(response.body, out);
}

fn end(body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    write_number(body.len() as u32, out);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

fn header(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn copy(message: &Message, id: HeaderName, out: &mut Vec<u8>) {
    for field in message.all(id) {
        header(id.canonical(), field.value, out);
        if id.is_single() {
            break;
        }
    }
}

fn copy_vias(request: &Message, mark: &ViaMark<'_>, out: &mut Vec<u8>) {
    let top = request.top_via_value().ok();
    for field in request.all(HeaderName::Via) {
        out.extend_from_slice(b"Via: ");
        match top.filter(|value| value.start >= field.value_start && value.end <= field.value_end) {
            Some(value) => {
                write_marked(value.text, mark, out);
                out.extend_from_slice(request.bytes().get(value.end..field.value_end).unwrap_or_default());
            }
            None => out.extend_from_slice(field.value),
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn copy_to(request: &Message, tag: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(field) = request.first(HeaderName::To) else { return };
    out.extend_from_slice(b"To: ");
    out.extend_from_slice(field.value);
    if let Some(tag) = tag.filter(|_| request.to_tag().is_none()) {
        out.extend_from_slice(b";tag=");
        out.extend_from_slice(tag);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the CANCEL of a request as it was sent (RFC 3261 §9.1): same request URI, top Via, Route, From, To, Call-ID,
/// CSeq number.
pub fn cancel_for(sent: &Message, out: &mut Vec<u8>) -> Result<(), ParseError> {
    hop_by_hop(b"CANCEL", sent, sent, out)
}

/// Writes the ACK of a response of 300 or more to an INVITE as it was sent (RFC 3261 §17.1.1.3): To is the response's.
pub fn ack_for(sent: &Message, response: &Message, out: &mut Vec<u8>) -> Result<(), ParseError> {
    hop_by_hop(b"ACK", sent, response, out)
}

fn hop_by_hop(method: &[u8], sent: &Message, to: &Message, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let number = sent.cseq()?.number;
    let via = sent.top_via_value()?;
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(sent.request_uri());
    out.extend_from_slice(b" SIP/2.0\r\n");
    header("Via", via.text, out);
    copy(sent, HeaderName::Route, out);
    copy(sent, HeaderName::From, out);
    copy(to, HeaderName::To, out);
    copy(sent, HeaderName::CallId, out);
    out.extend_from_slice(b"CSeq: ");
    write_number(number, out);
    out.push(b' ');
    out.extend_from_slice(method);
    out.extend_from_slice(b"\r\nMax-Forwards: 70\r\n");
    end(b"", out);
    Ok(())
}

/// A request of our own (RFC 3261 §8.1.1), without Via: the transaction layer adds it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Request URI.
    pub uri: &'a [u8],
    /// Whole header lines, each with its line end; From, To, Call-ID and CSeq are the caller's.
    pub headers: &'a [u8],
    /// Body.
    pub body: &'a [u8],
}

/// Writes a request.
pub fn request(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method);
    out.push(b' ');
    out.extend_from_slice(request.uri);
    out.extend_from_slice(b" SIP/2.0\r\n");
    out.extend_from_slice(request.headers);
    end(request.body, out);
}
