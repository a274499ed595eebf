//! What routing asks of every message, parsed once: top Via with its branch, From and To with their tags, CSeq.
//!
//! Places are kept, not texts, so that the values live beside the bytes. A value that cannot be parsed has no place here;
//! whoever asks for it parses it again and gets the error.

use crate::error::ParseError;
use crate::header_name::HeaderName;
use crate::lexer::{is_token, number, skip_lws};
use crate::message::Message;
use crate::name_addr::NameAddr;
use crate::values::Value;
use crate::via::Via;

/// A range of the message's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span(u32, u32);

impl Span {
    /// Where a part of `data` stands in it; a part of anything else has an empty place.
    fn of(data: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        let end = start.saturating_add(part.len());
        if end > data.len() {
            return Span::default();
        }
        Span(start as u32, end as u32)
    }

    pub(crate) fn of_data(self, data: &[u8]) -> &[u8] {
        data.get(self.0 as usize..self.1 as usize).unwrap_or_default()
    }
}

/// The top Via.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopVia {
    text: Span,
    field: u32,
    lead: u32,
    trail: u32,
    has_right: bool,
    protocol: Span,
    version: Span,
    transport: Span,
    host: Span,
    port: Option<u16>,
    params: Span,
    branch: Option<Span>,
}

impl TopVia {
    fn find(message: &Message) -> Option<TopVia> {
        let data = message.bytes();
        let value = message.values(HeaderName::Via).next()?.ok()?;
        let mut branch = None;
        let via = Via::scan(value.text, |name, text| {
            if branch.is_none() && name.eq_ignore_ascii_case(b"branch") {
                branch = Some(text.map(|text| Span::of(data, text)));
            }
        });
        let via = via.ok()?;
        let span = |part: &[u8]| Span::of(data, part);
        Some(TopVia {
            text: span(value.text),
            field: value.field as u32,
            lead: value.lead as u32,
            trail: value.trail as u32,
            has_right: value.has_right,
            protocol: span(via.protocol),
            version: span(via.version),
            transport: span(via.transport),
            host: span(via.host),
            port: via.port,
            params: span(via.params),
            branch: branch.flatten(),
        })
    }

    pub(crate) fn value<'a>(&self, data: &'a [u8]) -> Value<'a> {
        Value {
            text: self.text.of_data(data),
            start: self.text.0 as usize,
            end: self.text.1 as usize,
            field: self.field as usize,
            lead: self.lead as usize,
            trail: self.trail as usize,
            has_left: false,
            has_right: self.has_right,
        }
    }

    pub(crate) fn via<'a>(&self, data: &'a [u8]) -> Via<'a> {
        Via {
            protocol: self.protocol.of_data(data),
            version: self.version.of_data(data),
            transport: self.transport.of_data(data),
            host: self.host.of_data(data),
            port: self.port,
            params: self.params.of_data(data),
            params_offset: self.params.0.wrapping_sub(self.text.0) as usize,
        }
    }

    pub(crate) fn branch<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        self.branch.unwrap_or_default().of_data(data)
    }
}

/// From or To.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    text: Span,
    display: Span,
    uri: Span,
    params: Span,
    bracketed: bool,
    tag: Option<Span>,
}

impl Address {
    fn find(message: &Message, id: HeaderName) -> Option<Address> {
        let data = message.bytes();
        let field = message.first(id)?;
        let mut tag = None;
        let parsed = NameAddr::checked(field.value, |name, text| {
            if tag.is_none() && name.eq_ignore_ascii_case(b"tag") {
                tag = Some(text.map(|text| Span::of(data, text)));
            }
        });
        let parsed = parsed.ok()?;
        let span = |part: &[u8]| Span::of(data, part);
        Some(Address {
            text: span(field.value),
            display: span(parsed.display),
            uri: span(parsed.uri),
            params: span(parsed.params),
            bracketed: parsed.bracketed,
            tag: tag.flatten(),
        })
    }

    pub(crate) fn name_addr<'a>(&self, data: &'a [u8]) -> NameAddr<'a> {
        NameAddr {
            display: self.display.of_data(data),
            uri: self.uri.of_data(data),
            uri_offset: self.uri.0.wrapping_sub(self.text.0) as usize,
            params: self.params.of_data(data),
            params_offset: self.params.0.wrapping_sub(self.text.0) as usize,
            bracketed: self.bracketed,
        }
    }

    pub(crate) fn tag<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        self.tag.map(|tag| tag.of_data(data))
    }
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    pub number: u32,
    pub method: Span,
}

impl Sequence {
    fn find(message: &Message) -> Result<Sequence, ParseError> {
        let field = message.required(HeaderName::CSeq)?;
        let bad = || ParseError::value(HeaderName::CSeq, field.value_start, "Bad CSeq");
        let digits = field.value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = number(field.value.get(..digits).unwrap_or_default()).filter(|value| *value < 1 << 31);
        let start = skip_lws(field.value, digits);
        let method = field.value.get(start..).unwrap_or_default();
        if start == digits || !is_token(method) {
            return Err(bad());
        }
        Ok(Sequence { number: value.ok_or_else(bad)?, method: Span::of(message.bytes(), method) })
    }
}

/// All of them; a faulty value is `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Essentials {
    pub top_via: Option<TopVia>,
    pub from: Option<Address>,
    pub to: Option<Address>,
    pub cseq: Result<Sequence, ParseError>,
}

impl Essentials {
    pub(crate) fn find(message: &Message) -> Essentials {
        Essentials {
            top_via: TopVia::find(message),
            from: Address::find(message, HeaderName::From),
            to: Address::find(message, HeaderName::To),
            cseq: Sequence::find(message),
        }
    }
}
