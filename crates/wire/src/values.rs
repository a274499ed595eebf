//! Values of comma lists over all header fields of a name (RFC 3261 §7.3.1).

use crate::error::ParseError;
use crate::header_name::HeaderName;
use crate::lexer::{skip_element, trim_range};
use crate::message::Message;

/// One value of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// Its text, trimmed.
    pub text: &'a [u8],
    /// Where the text starts in the message.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Which header field it stands in (index among all fields).
    pub field: usize,
    /// The comma before it, or the field's value start.
    pub lead: usize,
    /// The comma behind it, or the field's value end.
    pub trail: usize,
    /// Whether another value of the same field stands before it.
    pub has_left: bool,
    /// Whether another value of the same field stands behind it.
    pub has_right: bool,
}

/// Iterates over the values of a header; an unbalanced quote or bracket ends it with an error.
pub struct Values<'a> {
    message: &'a Message,
    id: HeaderName,
    field: usize,
    at: Option<(usize, usize)>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(message: &'a Message, id: HeaderName) -> Values<'a> {
        Values { message, id, field: message.first_index(id), at: None }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Value<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let data: &'a [u8] = self.message.bytes();
        let (lead, end) = loop {
            if let Some(range) = self.at {
                break range;
            }
            let raw = self.message.raw(self.field)?;
            if raw.id == self.id {
                let (start, end) = trim_range(data, raw.value_start as usize, raw.value_end as usize);
                if start < end {
                    break (start, end);
                }
            }
            self.field += 1;
        };
        let has_left = self.at.is_some();
        let text = data.get(..end).unwrap_or_default();
        let begin = if has_left { lead + 1 } else { lead };
        let trail = match skip_element(text, begin) {
            Ok(trail) => trail,
            Err(error) => {
                self.field = usize::MAX;
                self.at = None;
                return Some(Err(ParseError { header: Some(self.id), ..error }));
            }
        };
        let (start, stop) = trim_range(data, begin, trail);
        let field = self.field;
        if trail < end {
            self.at = Some((trail, end));
        } else {
            self.at = None;
            self.field += 1;
        }
        let text = data.get(start..stop).unwrap_or_default();
        Some(Ok(Value { text, start, end: stop, field, lead, trail, has_left, has_right: trail < end }))
    }
}
