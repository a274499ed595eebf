//! Requests of our own (RFC 3261 §8.1.1) and the ACK to their 2xx (§13.2.2.4).

use std::fmt;

use bytes::Bytes;
use sipyard_transaction::{ClientId, Flow, Outgoing, RelayError, Target};
use sipyard_wire::{build, Contacts, HeaderName, Limits, Message, NameAddr, ParseError, Uri};

use crate::core::Core;
use crate::incoming::Incoming;
use crate::lines::{is_one_line, whole_lines, LinesError};

/// Why a request of our own was not sent.
#[derive(Clone, Debug)]
pub enum RequestError {
    /// The header lines are none.
    Lines(LinesError),
    /// The request is malformed.
    Parse(ParseError),
    /// It has a Via already, or a line break in method or URI.
    Unwanted(&'static str),
    /// It cannot be sent.
    Send(RelayError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Lines(error) => error.fmt(f),
            RequestError::Parse(error) => error.fmt(f),
            RequestError::Unwanted(what) => f.write_str(what),
            RequestError::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}

impl Core {
    /// Send a request of our own. Max-Forwards, CSeq, Call-ID, User-Agent and From's tag are added where missing.
    ///
    /// # Errors
    /// It is malformed or cannot be sent.
    pub fn request(
        &mut self,
        method: &[u8],
        uri: &[u8],
        headers: &[u8],
        body: &[u8],
        targets: Vec<Target>,
    ) -> Result<ClientId, RequestError> {
        if !sipyard_wire::lexer::is_token(method) || !is_one_line(uri) {
            return Err(RequestError::Unwanted("bad method or request URI"));
        }
        Uri::parse(uri).map_err(RequestError::Parse)?;
        let lines = whole_lines(headers).map_err(RequestError::Lines)?;
        let draft = written(method, uri, &lines, body)?;
        if draft.first(HeaderName::Via).is_some() {
            return Err(RequestError::Unwanted("a Via in a request of our own"));
        }
        let lines = self.completed(method, &draft, &lines)?;
        let message = written(method, uri, &lines, body)?;
        message.from().map_err(RequestError::Parse)?;
        message.to().map_err(RequestError::Parse)?;
        message.cseq().map_err(RequestError::Parse)?;
        let sent = self.layer.request(self.now, message, targets);
        self.take_events();
        sent.map_err(RequestError::Send)
    }

    /// The header lines with what was missing.
    fn completed(&mut self, method: &[u8], draft: &Message, lines: &[u8]) -> Result<Vec<u8>, RequestError> {
        let mut out = lines.to_vec();
        let from = draft.from().map_err(RequestError::Parse)?;
        if from.tag().is_none() {
            if let Some(field) = draft.first(HeaderName::From) {
                // The lines stand in the draft behind its start line.
                let at = field.value_end - draft.headers_start();
                let tag = format!(";tag={}", self.tokens.next());
                // Without brackets a URI's parameters are the header's, so the tag can follow at once.
                out.splice(at..at, tag.bytes());
            }
        }
        let missing = |id: HeaderName| draft.first(id).is_none();
        if missing(HeaderName::CallId) {
            out.extend_from_slice(format!("Call-ID: {}\r\n", self.tokens.next()).as_bytes());
        }
        if missing(HeaderName::CSeq) {
            out.extend_from_slice(&[b"CSeq: 1 ", method, b"\r\n"].concat());
        }
        if missing(HeaderName::MaxForwards) {
            out.extend_from_slice(b"Max-Forwards: 70\r\n");
        }
        if let Some(agent) = self.policy.user_agent.as_ref().filter(|_| missing(HeaderName::UserAgent)) {
            out.extend_from_slice(&[b"User-Agent: ", agent.as_ref(), b"\r\n"].concat());
        }
        Ok(out)
    }

    /// Acknowledge a 2xx to an INVITE of ours along its route set (RFC 3261 §12.1.2, §13.2.2.4). False when it is no such
    /// reply, or its next hop has no numeric host.
    pub fn acknowledge(&mut self, reply: &Incoming, headers: &[u8], body: &[u8]) -> Result<bool, RequestError> {
        let message = reply.message();
        let is_success = (200..300).contains(&message.status());
        let (true, Ok(cseq), Some(flow)) = (is_success, message.cseq(), reply.flow()) else { return Ok(false) };
        if cseq.method != sipyard_wire::Method::Invite {
            return Ok(false);
        }
        let Ok(Contacts::List(contacts)) = message.contacts() else { return Ok(false) };
        let Some(contact) = contacts.first() else { return Ok(false) };
        let routes: Vec<NameAddr<'_>> =
            message.record_routes().map_err(RequestError::Parse)?.into_iter().rev().collect();
        let next_hop = routes.first().map_or(contact.uri, |route| route.uri);
        let Ok(Some(target)) = self.target(next_hop, Some(flow.listener)) else { return Ok(false) };
        let mut lines = Vec::new();
        for route in &routes {
            lines.extend_from_slice(&[b"Route: <", route.uri, b">\r\n"].concat());
        }
        for id in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
            let value = message.first(id).map(|field| field.value).unwrap_or_default();
            lines.extend_from_slice(&[id.canonical().as_bytes(), b": ", value, b"\r\n"].concat());
        }
        lines.extend_from_slice(format!("CSeq: {} ACK\r\nMax-Forwards: 70\r\n", cseq.number).as_bytes());
        lines.extend_from_slice(&whole_lines(headers).map_err(RequestError::Lines)?);
        let ack = written(b"ACK", contact.uri, &lines, body)?;
        let from_us = Flow { remote: target.remote, ..*flow };
        let request = self.layer.request_of(ack, from_us);
        let sent = self.layer.forward_stateless(self.now, &request, &Outgoing::default(), &[target]);
        Ok(sent.is_ok())
    }
}

fn written(method: &[u8], uri: &[u8], headers: &[u8], body: &[u8]) -> Result<Message, RequestError> {
    let mut out = Vec::with_capacity(headers.len() + body.len() + uri.len() + 64);
    build::request(&build::Request { method, uri, headers, body }, &mut out);
    Message::parse(Bytes::from(out), &Limits::default()).map_err(|malformed| RequestError::Parse(malformed.error))
}
