//! A message: received bytes with an index of its fields; values are parsed when asked for.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::error::{ErrorKind, Malformed, ParseError};
use crate::essentials::{Address, Essentials, Sequence};
use crate::header_name::HeaderName;
use crate::index::{self, Index, RawField, StartLine};
use crate::lexer::{is_lws, number, trim};
use crate::method::Method;
use crate::name_addr::NameAddr;
use crate::values::{Value, Values};
use crate::via::Via;

/// Limits on what is taken from the network.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes a message.
    pub message: usize,
    /// Header fields a message.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message: 65_535, fields: 2_048 }
    }
}

/// A header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Which header.
    pub id: HeaderName,
    /// Its name as written.
    pub name: &'a [u8],
    /// Its value, trimmed; folds are kept.
    pub value: &'a [u8],
    /// Where the field starts.
    pub start: usize,
    /// Where the value starts.
    pub value_start: usize,
    /// Where the value ends.
    pub value_end: usize,
    /// Where the next line starts.
    pub end: usize,
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

/// Contacts of a message (RFC 3261 §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts<'a> {
    /// `*`.
    Star,
    /// Addresses, in order.
    List(Vec<NameAddr<'a>>),
}

#[derive(Debug)]
struct Inner {
    data: Bytes,
    index: Index,
    first: [u16; HeaderName::COUNT],
    body_end: usize,
    essentials: OnceLock<Essentials>,
}

/// A SIP message; cloning shares it.
#[derive(Clone, Debug)]
pub struct Message(Arc<Inner>);

const NONE: u16 = u16::MAX;

impl Message {
    /// Parses a datagram: the body ends where Content-Length says, what follows it is ignored (RFC 3261 §18.3).
    pub fn parse(data: Bytes, limits: &Limits) -> Result<Message, Malformed> {
        let (result, index) = index::index(&data, limits);
        let Some(index) = index else {
            let error = result.err().unwrap_or(ParseError::bad(ErrorKind::NotSip, 0, "Not a SIP message"));
            return Err(Malformed { error, message: None });
        };
        let mut first = [NONE; HeaderName::COUNT];
        for (position, field) in index.fields.iter().enumerate().rev() {
            first[field.id as usize] = position as u16;
        }
        let mut inner = Inner { body_end: data.len(), data, index, first, essentials: OnceLock::new() };
        let body = match result {
            Ok(()) => body_end(&inner),
            Err(error) => Err(error),
        };
        match body {
            Ok(end) => {
                inner.body_end = end;
                Ok(Message(Arc::new(inner)))
            }
            Err(error) => Err(Malformed { error, message: Some(Message(Arc::new(inner))) }),
        }
    }

    /// All bytes as received.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.0.data
    }

    /// The bytes that belong to the message: without line ends before it and rubbish behind its body.
    pub fn own_bytes(&self) -> &[u8] {
        self.0.data.get(self.0.index.begin..self.0.body_end).unwrap_or_default()
    }

    /// Length of [`Message::own_bytes`].
    #[inline]
    pub fn length(&self) -> usize {
        self.0.body_end.saturating_sub(self.0.index.begin)
    }

    #[inline]
    pub(crate) fn slice(&self, range: (u32, u32)) -> &[u8] {
        self.0.data.get(range.0 as usize..range.1 as usize).unwrap_or_default()
    }

    /// Whether it is a request.
    #[inline]
    pub fn is_request(&self) -> bool {
        matches!(self.0.index.start, StartLine::Request { .. })
    }

    /// The method; of a response that of its CSeq.
    #[inline]
    pub fn method(&self) -> Method<'_> {
        match self.0.index.start {
            StartLine::Request { method, .. } => Method::from_bytes(self.slice(method)),
            StartLine::Response { .. } => self.cseq().map_or(Method::Other(b""), |cseq| cseq.method),
        }
    }

    /// The request URI as received; empty for a response.
    #[inline]
    pub fn request_uri(&self) -> &[u8] {
        self.slice(self.request_uri_range())
    }

    #[inline]
    pub(crate) fn request_uri_range(&self) -> (u32, u32) {
        match self.0.index.start {
            StartLine::Request { uri, .. } => uri,
            StartLine::Response { .. } => (0, 0),
        }
    }

    /// The status code; 0 for a request.
    #[inline]
    pub fn status(&self) -> u16 {
        match self.0.index.start {
            StartLine::Response { status, .. } => status,
            StartLine::Request { .. } => 0,
        }
    }

    /// The reason phrase; empty for a request.
    pub fn reason(&self) -> &[u8] {
        match self.0.index.start {
            StartLine::Response { reason, .. } => self.slice(reason),
            StartLine::Request { .. } => b"",
        }
    }

    /// Where the start line begins.
    #[inline]
    pub fn begin(&self) -> usize {
        self.0.index.begin
    }

    /// Where the first header field starts.
    #[inline]
    pub fn headers_start(&self) -> usize {
        self.0.index.fields.first().map_or(self.0.index.headers_end, |field| field.start as usize)
    }

    /// Where the empty line after the header fields starts.
    #[inline]
    pub fn headers_end(&self) -> usize {
        self.0.index.headers_end
    }

    /// Where the body starts.
    #[inline]
    pub fn body_offset(&self) -> usize {
        self.0.index.body
    }

    /// Where the body ends.
    #[inline]
    pub fn body_end(&self) -> usize {
        self.0.body_end
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.0.data.get(self.0.index.body..self.0.body_end).unwrap_or_default()
    }

    pub(crate) fn raw(&self, position: usize) -> Option<&RawField> {
        self.0.index.fields.get(position)
    }

    pub(crate) fn first_index(&self, id: HeaderName) -> usize {
        match self.0.first[id as usize] {
            NONE => usize::MAX,
            position => usize::from(position),
        }
    }

    #[inline]
    fn field(&self, raw: &RawField) -> Field<'_> {
        Field {
            id: raw.id,
            name: self.slice((raw.start, raw.start + u32::from(raw.name_length))),
            value: self.slice((raw.value_start, raw.value_end)),
            start: raw.start as usize,
            value_start: raw.value_start as usize,
            value_end: raw.value_end as usize,
            end: raw.end as usize,
        }
    }

    /// Every header field, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.0.index.fields.iter().map(|raw| self.field(raw))
    }

    /// The field at a position among all.
    pub fn field_at(&self, position: usize) -> Option<Field<'_>> {
        self.raw(position).map(|raw| self.field(raw))
    }

    /// The first field of a header.
    #[inline]
    pub fn first(&self, id: HeaderName) -> Option<Field<'_>> {
        self.raw(self.first_index(id)).map(|raw| self.field(raw))
    }

    /// All fields of a header.
    pub fn all(&self, id: HeaderName) -> impl Iterator<Item = Field<'_>> {
        let start = self.first_index(id).min(self.0.index.fields.len());
        let fields = self.0.index.fields.get(start..).unwrap_or_default();
        fields.iter().filter(move |raw| raw.id == id).map(|raw| self.field(raw))
    }

    /// All fields of a name in any case, long or compact.
    pub fn by_name<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = Field<'a>> + 'a {
        let id = HeaderName::from_bytes(name);
        let known = id != HeaderName::Other;
        self.fields().filter(move |field| field.id == id && (known || field.name.eq_ignore_ascii_case(name)))
    }

    /// The values of a header over all its fields, comma lists taken apart.
    pub fn values(&self, id: HeaderName) -> Values<'_> {
        Values::new(self, id)
    }

    fn missing(id: HeaderName) -> ParseError {
        ParseError { header: Some(id), ..ParseError::bad(ErrorKind::Missing, 0, "Missing header") }
    }

    /// The value of a header that must be there.
    pub(crate) fn required(&self, id: HeaderName) -> Result<Field<'_>, ParseError> {
        self.first(id).filter(|field| !field.value.is_empty()).ok_or(Message::missing(id))
    }

    fn essentials(&self) -> &Essentials {
        self.0.essentials.get_or_init(|| Essentials::find(self))
    }

    /// The top Via's text with its place.
    pub fn top_via_value(&self) -> Result<Value<'_>, ParseError> {
        match &self.essentials().top_via {
            Some(top) => Ok(top.value(&self.0.data)),
            None => self.values(HeaderName::Via).next().unwrap_or(Err(Message::missing(HeaderName::Via))),
        }
    }

    /// The top Via.
    pub fn top_via(&self) -> Result<Via<'_>, ParseError> {
        if let Some(top) = &self.essentials().top_via {
            return Ok(top.via(&self.0.data));
        }
        let value = self.top_via_value()?;
        Via::parse(value.text).map_err(|error| error.at(value.start, HeaderName::Via))
    }

    /// All Via values.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, ParseError>> {
        self.values(HeaderName::Via)
            .map(|value| value.and_then(|v| Via::parse(v.text).map_err(|error| error.at(v.start, HeaderName::Via))))
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq<'_>, ParseError> {
        let Sequence { number, method } = self.essentials().cseq?;
        Ok(CSeq { number, method: Method::from_bytes(method.of_data(&self.0.data)) })
    }

    /// Call-ID.
    #[inline]
    pub fn call_id(&self) -> Result<&[u8], ParseError> {
        let field = self.required(HeaderName::CallId)?;
        if field.value.iter().any(|byte| is_lws(*byte)) {
            return Err(ParseError::value(HeaderName::CallId, field.value_start, "White space in Call-ID"));
        }
        Ok(field.value)
    }

    fn address(&self, id: HeaderName, known: Option<&Address>) -> Result<NameAddr<'_>, ParseError> {
        if let Some(known) = known {
            return Ok(known.name_addr(&self.0.data));
        }
        let field = self.required(id)?;
        NameAddr::parse(field.value).map_err(|error| error.at(field.value_start, id))
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr<'_>, ParseError> {
        self.address(HeaderName::From, self.essentials().from.as_ref())
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr<'_>, ParseError> {
        self.address(HeaderName::To, self.essentials().to.as_ref())
    }

    /// The tag of a From or To, readable or not otherwise.
    fn tag(&self, id: HeaderName, known: Option<&Address>) -> Option<&[u8]> {
        match known {
            Some(known) => known.tag(&self.0.data),
            None => NameAddr::scan(self.first(id)?.value).ok()?.tag(),
        }
    }

    /// From's tag.
    #[inline]
    pub fn from_tag(&self) -> Option<&[u8]> {
        self.tag(HeaderName::From, self.essentials().from.as_ref())
    }

    /// To's tag.
    #[inline]
    pub fn to_tag(&self) -> Option<&[u8]> {
        self.tag(HeaderName::To, self.essentials().to.as_ref())
    }

    /// The top Via's branch parameter, empty if there is none.
    #[inline]
    pub fn branch(&self) -> &[u8] {
        self.essentials().top_via.as_ref().map_or(&b""[..], |top| top.branch(&self.0.data))
    }

    /// The top Via's text, empty if there is none.
    #[inline]
    pub fn top_via_text(&self) -> &[u8] {
        self.top_via_value().map_or(&b""[..], |value| value.text)
    }

    fn numeric(&self, id: HeaderName) -> Option<Result<u32, ParseError>> {
        let field = self.first(id)?;
        Some(number(field.value).ok_or_else(|| ParseError::value(id, field.value_start, "Not a number")))
    }

    /// Max-Forwards, if there is one.
    pub fn max_forwards(&self) -> Option<Result<u32, ParseError>> {
        self.numeric(HeaderName::MaxForwards)
    }

    /// Expires in seconds, if there is one.
    pub fn expires(&self) -> Option<Result<u32, ParseError>> {
        self.numeric(HeaderName::Expires)
    }

    /// Content-Length, if there is one.
    pub fn content_length(&self) -> Option<Result<u32, ParseError>> {
        self.numeric(HeaderName::ContentLength)
    }

    fn addresses(&self, id: HeaderName) -> Result<Vec<NameAddr<'_>>, ParseError> {
        self.values(id)
            .map(|value| value.and_then(|v| NameAddr::parse(v.text).map_err(|error| error.at(v.start, id))))
            .collect()
    }

    /// Contacts.
    pub fn contacts(&self) -> Result<Contacts<'_>, ParseError> {
        let mut fields = self.all(HeaderName::Contact);
        if let (Some(only), None) = (fields.next(), fields.next()) {
            if trim(only.value) == b"*" {
                return Ok(Contacts::Star);
            }
        }
        self.addresses(HeaderName::Contact).map(Contacts::List)
    }

    /// Routes, top first.
    pub fn routes(&self) -> Result<Vec<NameAddr<'_>>, ParseError> {
        self.addresses(HeaderName::Route)
    }

    /// Record-Routes, top first.
    pub fn record_routes(&self) -> Result<Vec<NameAddr<'_>>, ParseError> {
        self.addresses(HeaderName::RecordRoute)
    }
}

/// Where the body ends, by Content-Length (RFC 3261 §18.3, §20.14).
fn body_end(inner: &Inner) -> Result<usize, ParseError> {
    let id = HeaderName::ContentLength;
    let mut stated: Option<u32> = None;
    let available = inner.data.len() - inner.index.body.min(inner.data.len());
    let start = usize::from(inner.first[id as usize]).min(inner.index.fields.len());
    for field in inner.index.fields.get(start..).unwrap_or_default().iter().filter(|field| field.id == id) {
        let offset = field.value_start as usize;
        let value = inner.data.get(offset..field.value_end as usize).and_then(number);
        let value = value.ok_or(ParseError::value(id, offset, "Bad Content-Length"))?;
        if stated.is_some() {
            let error = ParseError::bad(ErrorKind::Duplicate, offset, "Content-Length stands twice");
            return Err(ParseError { header: Some(id), ..error });
        }
        stated = Some(value);
    }
    match stated.map(|length| length as usize) {
        None => Ok(inner.data.len()),
        Some(length) if length <= available => Ok(inner.index.body + length),
        Some(_) => Err(ParseError {
            header: Some(id),
            ..ParseError::bad(ErrorKind::Length, inner.index.body, "Body shorter than Content-Length")
        }),
    }
}
