//! What a script does to a message before it is sent: SER's lumps and what goes with them.

use std::sync::Arc;

use bytes::Bytes;
use sipyard_transaction::{Advertised, Outgoing, RecordRoute};
use sipyard_wire::{Edits, Field, HeaderName, Message, Params, ParseError, Value};

use crate::lines::{whole_lines, LinesError};
use crate::values::values_by_name;

/// The edit list of one message. Empty ones cost nothing, cloning gives an independent one.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The splices.
    pub edits: Edits,
    record_route: Option<Arc<RecordRoute>>,
    advertised: Option<Arc<Advertised>>,
    reply_headers: Bytes,
    max_forwards: Option<i64>,
    /// Answer to the source port even without `rport`.
    pub force_rport: bool,
}

impl Draft {
    /// Whether writing the message would change it.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.record_route.is_none()
    }

    /// What the transaction layer needs to send the message, with `uri` as its request URI when given.
    pub fn outgoing(&self, uri: Option<Bytes>) -> Outgoing {
        Outgoing {
            edits: self.edits.clone(),
            uri,
            record_route: self.record_route.clone(),
            advertised: self.advertised.clone(),
        }
    }

    /// Take over what is kept with a stored request.
    pub fn restore(outgoing: Outgoing, reply_headers: Bytes) -> Draft {
        Draft {
            edits: outgoing.edits,
            record_route: outgoing.record_route,
            advertised: outgoing.advertised,
            reply_headers,
            ..Draft::default()
        }
    }

    /// Append header lines behind the last one.
    pub fn append_header(&mut self, message: &Message, text: &[u8]) -> Result<(), LinesError> {
        self.edits.append_header(message, whole_lines(text)?);
        Ok(())
    }

    /// Insert header lines before the first one.
    pub fn prepend_header(&mut self, message: &Message, text: &[u8]) -> Result<(), LinesError> {
        self.edits.prepend_header(message, whole_lines(text)?);
        Ok(())
    }

    /// Insert header lines before the first field of a name; false when there is none.
    pub fn insert_before(&mut self, message: &Message, name: &[u8], text: &[u8]) -> Result<bool, LinesError> {
        let lines = whole_lines(text)?;
        let first = message.by_name(name).next();
        Ok(first.map(|field| self.edits.insert_before(&field, lines)).is_some())
    }

    /// Insert header lines behind the last field of a name; false when there is none.
    pub fn insert_after(&mut self, message: &Message, name: &[u8], text: &[u8]) -> Result<bool, LinesError> {
        let lines = whole_lines(text)?;
        let last = message.by_name(name).last();
        Ok(last.map(|field| self.edits.insert_after(&field, lines)).is_some())
    }

    /// Remove all fields of a name that are still there; returns how many.
    pub fn remove_header(&mut self, message: &Message, name: &[u8]) -> usize {
        let mut removed = 0;
        for field in message.by_name(name) {
            if !self.edits.covers(field.start, field.end) {
                self.edits.remove_field(&field);
                removed += 1;
            }
        }
        removed
    }

    /// Remove one value of a comma list; false when there is none or it is gone already.
    pub fn remove_value(&mut self, message: &Message, name: &[u8], index: usize) -> bool {
        let Some(value) = nth_value(message, name, index) else { return false };
        if self.edits.covers(value.start, value.end) {
            return false;
        }
        self.edits.remove_value(message, HeaderName::from_bytes(name), &value);
        true
    }

    /// Replace one value of a comma list; false when there is none.
    pub fn replace_value(&mut self, message: &Message, name: &[u8], index: usize, text: Bytes) -> bool {
        let Some(value) = nth_value(message, name, index) else { return false };
        self.edits.replace(value.start, value.end, text);
        true
    }

    /// Replace a range of the message's bytes; false when it is no range of them.
    pub fn replace_range(&mut self, message: &Message, start: usize, end: usize, text: Bytes) -> bool {
        let valid = message.begin() <= start && start <= end && end <= message.body_end();
        if valid {
            self.edits.replace(start, end, text);
        }
        valid
    }

    /// Replace the body, and Content-Type when given. A message without a body needs one; without a body none stays.
    pub fn set_body(&mut self, message: &Message, body: Bytes, content_type: Option<&[u8]>) {
        if let Some(content_type) = content_type {
            match message.first(HeaderName::ContentType) {
                Some(field) => {
                    let text = Bytes::copy_from_slice(content_type);
                    self.edits.replace(field.value_start, field.value_end, text);
                }
                None => {
                    let line = [b"Content-Type: ", content_type, b"\r\n"].concat();
                    self.edits.append_header(message, line.into());
                }
            }
        }
        self.edits.set_body(message, body);
    }

    /// Rewrite the status line of a reply; false for a request, and for a change between provisional, success and
    /// failure, which would leave the transaction in another state than its peer.
    pub fn set_status(&mut self, message: &Message, status: u16, reason: &[u8]) -> bool {
        let kind = |status: u16| match status {
            100..=199 => 1,
            200..=299 => 2,
            300..=699 => 3,
            _ => 0,
        };
        if message.is_request() || kind(status) == 0 || kind(status) != kind(message.status()) {
            return false;
        }
        // The status stands behind the version and one blank, and the reason ends the line.
        let line = message.bytes().get(message.begin()..message.headers_start()).unwrap_or_default();
        let Some(blank) = line.iter().position(|byte| *byte == b' ') else { return false };
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len());
        let text = [status.to_string().as_bytes(), b" ", reason].concat();
        self.edits.replace(message.begin() + blank + 1, message.begin() + end, text.into());
        true
    }

    /// Ask for our Record-Route; false when it was asked for already. It is always a loose one (RFC 3261 §16.6 step 4).
    pub fn record_route(&mut self, mut record_route: RecordRoute) -> bool {
        let new = self.record_route.is_none();
        if new {
            record_route.user = record_route.user.filter(|user| !user.is_empty());
            if Params::new(&record_route.params).find(b"lr").is_none() {
                record_route.params = [record_route.params.as_ref(), b";lr"].concat().into();
            }
            self.record_route = Some(Arc::new(record_route));
        }
        new
    }

    /// Take it back; false when it was not asked for.
    pub fn remove_record_route(&mut self) -> bool {
        self.record_route.take().is_some()
    }

    /// Header lines for every reply made here from now on.
    pub fn append_to_reply(&mut self, text: &[u8]) -> Result<(), LinesError> {
        let lines = whole_lines(text)?;
        self.reply_headers = [&self.reply_headers, &lines].map(|part| part.as_ref()).concat().into();
        Ok(())
    }

    /// Those lines.
    pub fn reply_headers(&self) -> &Bytes {
        &self.reply_headers
    }

    /// Forget those lines.
    pub fn clear_reply_headers(&mut self) {
        self.reply_headers = Bytes::new();
    }

    /// Lower Max-Forwards by one, first to `limit` when it is higher (0: no limit); `default` when there is none.
    /// The new value, -1 when it was 0, -2 when it is unreadable. Doing it twice is doing it once.
    pub fn decrement_max_forwards(&mut self, message: &Message, default: u32, limit: u32) -> i64 {
        if let Some(done) = self.max_forwards {
            return done;
        }
        let result = match (message.max_forwards(), message.first(HeaderName::MaxForwards)) {
            (Some(Ok(0)), _) => -1,
            (Some(Ok(value)), Some(field)) => {
                let value = if limit > 0 { value.min(limit) } else { value } - 1;
                self.edits.replace(field.value_start, field.value_end, value.to_string().into());
                i64::from(value)
            }
            (None, _) => {
                self.edits.append_header(message, format!("Max-Forwards: {default}\r\n").into());
                i64::from(default)
            }
            _ => -2,
        };
        self.max_forwards = Some(result);
        result
    }

    /// Host and port to name in Via and Record-Route instead of the listener's.
    pub fn set_advertised(&mut self, host: Option<String>, port: Option<u16>) {
        self.advertised = (host.is_some() || port.is_some()).then(|| Arc::new(Advertised { host, port }));
    }

    /// Remove the topmost `count` Route values that are still there.
    pub fn remove_routes(&mut self, message: &Message, count: usize) -> Result<(), ParseError> {
        let values: Vec<Value<'_>> = message.values(HeaderName::Route).collect::<Result<_, _>>()?;
        let mut left = count;
        for value in values {
            if left > 0 && !self.edits.covers(value.start, value.end) {
                self.edits.remove_value(message, HeaderName::Route, &value);
                left -= 1;
            }
        }
        Ok(())
    }

    /// Replace all Route values; one line each, where the first Route stood or behind the Vias.
    pub fn set_routes(&mut self, message: &Message, routes: &[Bytes]) {
        let place = match (message.first(HeaderName::Route), message.all(HeaderName::Via).last()) {
            (Some(Field { start, .. }), _) => start,
            (None, Some(Field { end, .. })) => end,
            (None, None) => message.headers_start(),
        };
        self.remove_header(message, b"Route");
        let mut lines = Vec::new();
        for route in routes {
            lines.extend_from_slice(b"Route: ");
            lines.extend_from_slice(route);
            lines.extend_from_slice(b"\r\n");
        }
        if !lines.is_empty() {
            self.edits.insert(place, lines.into());
        }
    }
}

fn nth_value<'a>(message: &'a Message, name: &[u8], index: usize) -> Option<Value<'a>> {
    values_by_name(message, name).ok()?.into_iter().nth(index)
}
