//! Finds the start line and the header fields of a message in one pass.

use crate::error::{ErrorKind, ParseError};
use crate::header_name::HeaderName;
use crate::lexer::{is_token, is_token_byte, trim_range};
use crate::message::Limits;

/// A header field, as offsets into the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawField {
    pub id: HeaderName,
    pub name_length: u16,
    pub start: u32,
    pub value_start: u32,
    pub value_end: u32,
    pub end: u32,
}

/// The first line, as offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StartLine {
    Request { method: (u32, u32), uri: (u32, u32) },
    Response { status: u16, reason: (u32, u32) },
}

/// What the pass found.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub start: StartLine,
    /// Where the start line begins (keep-alive line ends may stand before it).
    pub begin: usize,
    pub fields: Vec<RawField>,
    /// Where the empty line starts.
    pub headers_end: usize,
    /// Where the body starts.
    pub body: usize,
}

fn bad(kind: ErrorKind, offset: usize, reason: &'static str) -> ParseError {
    ParseError::bad(kind, offset, reason)
}

/// A line: its end without and with the line break, which is CRLF or LF.
fn line(data: &[u8], start: usize) -> Option<(usize, usize)> {
    let feed = start + memchr::memchr(b'\n', data.get(start..)?)?;
    let end = if feed > start && data.get(feed - 1) == Some(&b'\r') { feed - 1 } else { feed };
    Some((end, feed + 1))
}

/// Runs the pass. On an error in the header the fields before it are still in the index.
pub(crate) fn index(data: &[u8], limits: &Limits) -> (Result<(), ParseError>, Option<Index>) {
    if data.len() > limits.message {
        let error = ParseError { status: 513, ..bad(ErrorKind::TooLarge, limits.message, "Message Too Large") };
        return (Err(error), None);
    }
    let begin = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let Some((first_end, next)) = line(data, begin) else {
        return (Err(ParseError { status: 0, ..bad(ErrorKind::NotSip, begin, "No line end") }), None);
    };
    let (start, problem) = match start_line(data, begin, first_end) {
        Ok(parsed) => parsed,
        Err(error) => return (Err(error), None),
    };
    let mut index = Index { start, begin, fields: Vec::with_capacity(20), headers_end: next, body: next };
    let fields = header_fields(data, &mut index, next, limits);
    let fields = check_returns(data, &mut index, next).and(fields);
    (problem.map_or(fields, Err), Some(index))
}

/// The start line; an error beside it is one that leaves the rest readable.
fn start_line(data: &[u8], begin: usize, end: usize) -> Result<(StartLine, Option<ParseError>), ParseError> {
    let text = data.get(begin..end).unwrap_or_default();
    if is_status_line(text) {
        if let Some(at) = stray_return(text) {
            return Err(ParseError { status: 0, ..bad(ErrorKind::StartLine, begin + at, "Bare carriage return") });
        }
        return status_line(text, begin).map(|line| (line, None));
    }
    let not_sip = ParseError { status: 0, ..bad(ErrorKind::NotSip, begin, "Not a SIP message") };
    let Some(space) = memchr::memchr(b' ', text) else { return Err(not_sip) };
    let trimmed = text.trim_ascii_end();
    let trailing = trimmed.len() < text.len();
    let Some(last) = memchr::memrchr(b' ', trimmed) else { return Err(not_sip) };
    let version = trimmed.get(last + 1..).unwrap_or_default();
    let is_sip = version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
    let method = text.get(..space).unwrap_or_default();
    if !is_sip || !is_token(method) {
        return Err(not_sip);
    }
    let uri_end = if trailing || last <= space { text.len() } else { last };
    let uri = (begin + space + 1, begin + uri_end);
    let line = StartLine::Request { method: (begin as u32, (begin + space) as u32), uri: (uri.0 as u32, uri.1 as u32) };
    let uri_text = data.get(uri.0..uri.1).unwrap_or_default();
    let problem = if trailing || uri_text.is_empty() || uri_text.iter().any(|byte| byte.is_ascii_whitespace()) {
        Some(bad(ErrorKind::StartLine, uri.0, "Bad white space in the request line"))
    } else if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        Some(ParseError { status: 505, ..bad(ErrorKind::Version, begin + last + 1, "Version Not Supported") })
    } else {
        None
    };
    Ok((line, problem))
}

/// Whether a line starts as a status line does.
fn is_status_line(text: &[u8]) -> bool {
    text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/2.0 "))
}

fn status_line(text: &[u8], begin: usize) -> Result<StartLine, ParseError> {
    let error = ParseError { status: 0, ..bad(ErrorKind::StartLine, begin + 8, "Bad status code") };
    let code = text.get(8..11).ok_or(error)?;
    let well_formed = code.iter().all(u8::is_ascii_digit) && matches!(text.get(11), None | Some(b' '));
    let status = code.iter().fold(0u16, |value, digit| value * 10 + u16::from(digit.wrapping_sub(b'0')));
    if !well_formed || !(100..700).contains(&status) {
        return Err(error);
    }
    let reason = (begin + 12.min(text.len()), begin + text.len());
    Ok(StartLine::Response { status, reason: (reason.0 as u32, reason.1 as u32) })
}

/// Reads the fields. All line ends must be of the start line's kind: a bare LF among CRLFs is a line end to some parsers
/// and part of a value to others, so that no two of them would see the same header.
fn header_fields(data: &[u8], index: &mut Index, mut at: usize, limits: &Limits) -> Result<(), ParseError> {
    let line_end = if data.get(at.wrapping_sub(2)) == Some(&b'\r') { 2 } else { 1 };
    loop {
        index.headers_end = at;
        index.body = at;
        let Some((mut end, mut next)) = line(data, at) else {
            return Err(bad(ErrorKind::Length, at, "Message ends within its header"));
        };
        if next - end != line_end {
            return Err(bad(ErrorKind::HeaderLine, end, "Line ends of two kinds"));
        }
        if end == at {
            index.body = next;
            return Ok(());
        }
        if index.fields.len() >= limits.fields {
            return Err(ParseError { status: 513, ..bad(ErrorKind::TooLarge, at, "Too many header fields") });
        }
        // RFC 3261 §7.3.1: a line that starts with white space continues the one before.
        while matches!(data.get(next), Some(b' ' | b'\t')) {
            match line(data, next) {
                Some((folded, after)) if after - folded == line_end => (end, next) = (folded, after),
                Some((folded, _)) => return Err(bad(ErrorKind::HeaderLine, folded, "Line ends of two kinds")),
                None => return Err(bad(ErrorKind::Length, next, "Message ends within its header")),
            }
        }
        index.fields.push(field(data, at, end, next)?);
        at = next;
    }
}

fn field(data: &[u8], start: usize, end: usize, next: usize) -> Result<RawField, ParseError> {
    let text = data.get(start..end).unwrap_or_default();
    let name_length = text.iter().take_while(|byte| is_token_byte(**byte)).count();
    let blank = text.get(name_length..).unwrap_or_default().iter();
    let colon = name_length + blank.take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if name_length == 0 || text.get(colon) != Some(&b':') {
        return Err(bad(ErrorKind::HeaderLine, start, "Line is no header field"));
    }
    let name_length16 =
        u16::try_from(name_length).map_err(|_| bad(ErrorKind::TooLarge, start, "Header name too long"))?;
    let (value_start, value_end) = trim_range(data, start + colon + 1, end);
    Ok(RawField {
        id: HeaderName::from_bytes(text.get(..name_length).unwrap_or_default()),
        name_length: name_length16,
        start: start as u32,
        value_start: value_start as u32,
        value_end: value_end as u32,
        end: next as u32,
    })
}

/// Finds a bare carriage return in the fields: most messages have as many returns as line feeds there, which takes one
/// quick look. The fields from the faulty one on are dropped.
fn check_returns(data: &[u8], index: &mut Index, start: usize) -> Result<(), ParseError> {
    let end = index.fields.last().map_or(start, |field| field.end as usize);
    let text = data.get(start..end).unwrap_or_default();
    let returns = memchr::memchr_iter(b'\r', text).count();
    // All line ends are of one kind here (see `header_fields`).
    let is_crlf = data.get(start.wrapping_sub(2)) == Some(&b'\r');
    if returns == if is_crlf { memchr::memchr_iter(b'\n', text).count() } else { 0 } {
        return Ok(());
    }
    let Some(at) = stray_return(text) else { return Ok(()) };
    let at = start + at;
    let faulty = index.fields.partition_point(|field| field.end as usize <= at);
    let at_field = index.fields.get(faulty).map_or(end, |field| field.start as usize);
    index.fields.truncate(faulty);
    (index.headers_end, index.body) = (at_field, at_field);
    Err(bad(ErrorKind::HeaderLine, at, "Bare carriage return"))
}

/// A carriage return that is not part of a line break: another parser could see a line end there.
fn stray_return(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\r', text).find(|at| text.get(at + 1) != Some(&b'\n'))
}
