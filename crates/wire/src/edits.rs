//! Edits of a message: SER's lumps. They are splices over the original bytes and take effect when the message is written.

use bytes::Bytes;

use crate::header_name::HeaderName;
use crate::message::{Field, Message};
use crate::values::Value;
use crate::via::Via;

#[derive(Clone, Debug)]
struct Splice {
    start: usize,
    end: usize,
    text: Bytes,
}

/// A list of edits; empty ones cost nothing.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// Sorted by start; equal starts in the order they were made.
    splices: Vec<Splice>,
    uri: Option<Bytes>,
}

/// What a request's top Via gets from us (RFC 3261 §18.2.1, RFC 3581 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViaMark<'a> {
    /// Source address, without brackets; replaces one that the sender wrote.
    pub received: Option<&'a [u8]>,
    /// Source port.
    pub rport: Option<u16>,
}

impl ViaMark<'_> {
    fn is_empty(&self) -> bool {
        self.received.is_none() && self.rport.is_none()
    }

    /// The Via value with the mark set.
    fn apply(&self, text: &[u8], out: &mut Vec<u8>) {
        let Ok(via) = Via::parse(text) else { return out.extend_from_slice(text) };
        let mut cuts = [None, None];
        if self.received.is_some() {
            cuts[0] = via.place(b"received");
        }
        if self.rport.is_some() {
            cuts[1] = via.place(b"rport");
        }
        cuts.sort_by_key(|cut| cut.map_or(usize::MAX, |param| param.start));
        let mut at = 0;
        for cut in cuts.into_iter().flatten() {
            out.extend_from_slice(text.get(at..via.params_offset + cut.start).unwrap_or_default());
            at = via.params_offset + cut.end;
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        if let Some(address) = self.received {
            out.extend_from_slice(b";received=");
            out.extend_from_slice(address);
        }
        if let Some(port) = self.rport {
            out.extend_from_slice(b";rport=");
            write_number(u32::from(port), out);
        }
    }
}

/// What the relay adds to a message beside its edits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prologue<'a> {
    /// New request URI; wins over the one in the edits.
    pub uri: Option<&'a [u8]>,
    /// Whole header lines for the top: our Via, then Record-Route.
    pub head: &'a [u8],
    /// Mark of the top Via.
    pub mark: ViaMark<'a>,
    /// Take the top Via away (a response on its way upstream).
    pub drop_top_via: bool,
    /// The message goes into a stream: it needs a Content-Length (RFC 3261 §18.3).
    pub for_stream: bool,
}

/// An edit that one writing adds; by default none, at the very start.
#[derive(Clone, Copy, Default)]
struct Extra<'a> {
    start: usize,
    end: usize,
    text: &'a [u8],
}

impl Edits {
    /// Whether nothing was edited.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty() && self.uri.is_none()
    }

    /// The request URI that was set.
    pub fn request_uri(&self) -> Option<&Bytes> {
        self.uri.as_ref()
    }

    /// Sets the request URI.
    pub fn set_request_uri(&mut self, uri: Bytes) {
        self.uri = Some(uri);
    }

    /// Takes back the request URI that was set.
    pub fn clear_request_uri(&mut self) {
        self.uri = None;
    }

    /// Replaces a range of the message's bytes.
    pub fn replace(&mut self, start: usize, end: usize, text: Bytes) {
        let place = self.splices.partition_point(|splice| splice.start <= start);
        self.splices.insert(place, Splice { start, end: end.max(start), text });
    }

    /// Inserts at an offset, behind what was inserted there before.
    pub fn insert(&mut self, offset: usize, text: Bytes) {
        self.replace(offset, offset, text);
    }

    /// Removes a range.
    pub fn remove(&mut self, start: usize, end: usize) {
        self.replace(start, end, Bytes::new());
    }

    /// Adds whole header lines (with their line ends) behind the last header field.
    pub fn append_header(&mut self, message: &Message, lines: Bytes) {
        self.insert(message.headers_end(), lines);
    }

    /// Adds whole header lines before the first header field, before what was put there earlier.
    pub fn prepend_header(&mut self, message: &Message, lines: Bytes) {
        let start = message.headers_start();
        let place = self.splices.partition_point(|splice| splice.start < start);
        self.splices.insert(place, Splice { start, end: start, text: lines });
    }

    /// Adds whole header lines before a field.
    pub fn insert_before(&mut self, field: &Field<'_>, lines: Bytes) {
        self.insert(field.start, lines);
    }

    /// Adds whole header lines behind a field.
    pub fn insert_after(&mut self, field: &Field<'_>, lines: Bytes) {
        self.insert(field.end, lines);
    }

    /// Removes a field.
    pub fn remove_field(&mut self, field: &Field<'_>) {
        self.remove(field.start, field.end);
    }

    /// Whether a range is removed or replaced.
    pub fn covers(&self, start: usize, end: usize) -> bool {
        self.splices.iter().any(|splice| splice.start <= start && splice.end >= end && splice.end > splice.start)
    }

    /// Removes one value of a comma list; the field goes with its last value. Other removals are respected, in whatever
    /// order they were made.
    pub fn remove_value(&mut self, message: &Message, id: HeaderName, value: &Value<'_>) {
        let mut kept_before = false;
        let mut next_kept = None;
        let mut splices = self.splices.iter().filter(|splice| splice.end > splice.start).peekable();
        let mut covered_to = 0;
        let field_values = message
            .values(id)
            .filter_map(Result::ok)
            .skip_while(|other| other.field < value.field)
            .take_while(|other| other.field == value.field);
        for other in field_values {
            while let Some(splice) = splices.next_if(|splice| splice.start <= other.start) {
                covered_to = covered_to.max(splice.end);
            }
            let kept = covered_to < other.end && other.start != value.start;
            if kept && other.start < value.start {
                kept_before = true;
            } else if kept {
                next_kept = Some(other.start);
                break;
            }
        }
        match (kept_before, next_kept, message.field_at(value.field)) {
            (false, None, Some(field)) => self.remove_field(&field),
            (false, Some(next), _) => self.remove(value.lead, next),
            _ => self.remove(value.lead, value.trail),
        }
    }

    /// Replaces the body.
    pub fn set_body(&mut self, message: &Message, body: Bytes) {
        let (start, end) = (message.body_offset(), message.body_end());
        self.splices.retain(|splice| splice.start < start);
        self.replace(start, end, body);
    }

    /// Writes the edited message.
    pub fn write(&self, message: &Message, out: &mut Vec<u8>) {
        self.write_with(message, &Prologue::default(), out);
    }

    /// Writes the edited message with what the relay adds, in one pass.
    pub fn write_with(&self, message: &Message, prologue: &Prologue<'_>, out: &mut Vec<u8>) {
        let mut marked = Vec::new();
        let mut length = Vec::new();
        let uri = prologue.uri.or(self.uri.as_deref());
        let mut extras = [Extra::default(); 4];
        if let Some(text) = uri.filter(|_| message.is_request()) {
            let (start, end) = message.request_uri_range();
            extras[0] = Extra { start: start as usize, end: end as usize, text };
        }
        if !prologue.head.is_empty() {
            let start = message.headers_start();
            extras[1] = Extra { start, end: start, text: prologue.head };
        }
        if let Some((start, end)) = self.top_via_edit(message, prologue, &mut marked) {
            extras[2] = Extra { start, end, text: &marked };
        }
        if let Some((start, end)) = self.length_edit(message, prologue.for_stream, &mut length) {
            extras[3] = Extra { start, end, text: &length };
        }
        extras.sort_by_key(|extra| extra.start);
        self.merge(message, &extras, out);
    }

    fn merge(&self, message: &Message, extras: &[Extra<'_>], out: &mut Vec<u8>) {
        let data = message.bytes();
        let mut at = message.begin();
        let mut emit = |start: usize, end: usize, text: &[u8]| {
            if start > at {
                out.extend_from_slice(data.get(at..start).unwrap_or_default());
                at = start;
            }
            out.extend_from_slice(text);
            at = at.max(end);
        };
        let mut extras = extras.iter().peekable();
        for splice in &self.splices {
            let (start, end) = within(message, splice);
            while let Some(extra) = extras.next_if(|extra| extra.start <= start) {
                emit(extra.start, extra.end, extra.text);
            }
            emit(start, end, &splice.text);
        }
        for extra in extras {
            emit(extra.start, extra.end, extra.text);
        }
        emit(message.body_end(), message.body_end(), b"");
    }

    fn top_via_edit(&self, message: &Message, prologue: &Prologue<'_>, text: &mut Vec<u8>) -> Option<(usize, usize)> {
        if prologue.drop_top_via {
            let value = message.top_via_value().ok()?;
            if !value.has_right {
                let field = message.field_at(value.field)?;
                return Some((field.start, field.end));
            }
            return Some((value.lead, value.trail + 1));
        }
        if prologue.mark.is_empty() {
            return None;
        }
        let value = message.top_via_value().ok()?;
        prologue.mark.apply(value.text, text);
        Some((value.start, value.end))
    }

    /// Content-Length follows a changed body (RFC 3261 §20.14).
    fn length_edit(&self, message: &Message, for_stream: bool, text: &mut Vec<u8>) -> Option<(usize, usize)> {
        let body = message.body_offset();
        let first = self.splices.partition_point(|splice| splice.start < body);
        let is_missing = for_stream && message.first(HeaderName::ContentLength).is_none();
        let touched = self.splices.get(first..).filter(|splices| is_missing || !splices.is_empty())?;
        let mut at = body;
        let mut length = message.body_end() - body;
        for splice in touched {
            let (start, end) = within(message, splice);
            let (start, end) = (start.max(at), end.max(at));
            length = length + splice.text.len() - end.saturating_sub(start);
            at = at.max(end);
        }
        match message.first(HeaderName::ContentLength) {
            Some(field) if !self.covers(field.value_start, field.value_end) => {
                write_number(length as u32, text);
                Some((field.value_start, field.value_end))
            }
            _ => {
                text.extend_from_slice(b"Content-Length: ");
                write_number(length as u32, text);
                text.extend_from_slice(b"\r\n");
                Some((message.headers_end(), message.headers_end()))
            }
        }
    }
}

/// A splice's range as far as it may reach: one that starts in the header leaves the empty line alone, one in the body
/// ends with it.
fn within(message: &Message, splice: &Splice) -> (usize, usize) {
    let limit = if splice.start < message.body_offset() { message.headers_end() } else { message.body_end() };
    (splice.start.min(limit), splice.end.min(limit))
}

/// The top Via's value with a mark set; used for responses that we make ourselves.
pub(crate) fn write_marked(text: &[u8], mark: &ViaMark<'_>, out: &mut Vec<u8>) {
    if mark.is_empty() {
        out.extend_from_slice(text);
    } else {
        mark.apply(text, out);
    }
}

/// Writes a number in decimal.
pub(crate) fn write_number(value: u32, out: &mut Vec<u8>) {
    let mut digits = [0u8; 10];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
