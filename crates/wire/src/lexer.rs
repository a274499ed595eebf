//! Character classes and scanning of RFC 3261 §25.1. Every function is linear in what it passes over.

use crate::error::{ErrorKind, ParseError};

const TOKEN: u8 = 1;
const LWS: u8 = 2;
const HOST: u8 = 4;
/// Bytes that end a parameter's name.
pub(crate) const ENDS_NAME: u8 = 8;
/// Bytes that end a parameter's value, or start a quoted string in it.
pub(crate) const ENDS_VALUE: u8 = 16;
/// Bytes that may stand nowhere in a URI.
pub(crate) const NOT_IN_URI: u8 = 32;
/// Bytes that may stand in a URI's scheme.
pub(crate) const SCHEME: u8 = 64;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_alphanumeric() {
            table[byte] = TOKEN | HOST | SCHEME;
        }
        if char <= b' ' || matches!(char, b'<' | b'>' | b'"' | 0x7f) {
            table[byte] |= NOT_IN_URI;
        }
        if matches!(char, b'+' | b'-' | b'.') {
            table[byte] |= SCHEME;
        }
        if matches!(char, b'=' | b';' | b'"') {
            table[byte] |= ENDS_NAME;
        }
        if matches!(char, b';' | b'"') {
            table[byte] |= ENDS_VALUE;
        }
        byte += 1;
    }
    let token = b"-.!%*_+`'~";
    let mut index = 0;
    while index < token.len() {
        table[token[index] as usize] |= TOKEN;
        index += 1;
    }
    table[b'-' as usize] |= HOST;
    table[b'.' as usize] |= HOST;
    table[b'_' as usize] |= HOST; // not in the grammar, yet common in private networks
    table[b' ' as usize] |= LWS;
    table[b'\t' as usize] |= LWS;
    table[b'\r' as usize] |= LWS;
    table[b'\n' as usize] |= LWS;
    table
}

#[inline]
fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Position of the first byte of a class at or after `at`, else the text's length.
#[inline]
pub(crate) fn find(text: &[u8], at: usize, class: u8) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|byte| has(*byte, class)).map_or(text.len(), |found| at + found)
}

/// Whether all bytes are of a class.
#[inline]
pub(crate) fn all(text: &[u8], class: u8) -> bool {
    text.iter().all(|byte| has(*byte, class))
}

/// Whether a byte may stand in a token.
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    has(byte, TOKEN)
}

/// Whether a byte is linear white space; within a header value CR and LF can only be part of a fold.
#[inline]
pub fn is_lws(byte: u8) -> bool {
    has(byte, LWS)
}

/// Whether a byte may stand in a host name or IPv4 address.
#[inline]
pub fn is_host_byte(byte: u8) -> bool {
    has(byte, HOST)
}

/// Whether a text is a token (RFC 3261 §25.1).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Position of the first byte at or after `at` that is no linear white space.
#[inline]
pub fn skip_lws(text: &[u8], at: usize) -> usize {
    at + text.get(at..).map_or(0, |rest| rest.iter().take_while(|byte| is_lws(**byte)).count())
}

/// Position after the token that starts at `at`.
#[inline]
pub fn skip_token(text: &[u8], at: usize) -> usize {
    at + text.get(at..).map_or(0, |rest| rest.iter().take_while(|byte| is_token_byte(**byte)).count())
}

/// A text without white space at its ends.
#[inline]
pub fn trim(text: &[u8]) -> &[u8] {
    let (start, end) = trim_range(text, 0, text.len());
    text.get(start..end).unwrap_or_default()
}

/// The range without white space at its ends.
#[inline]
pub fn trim_range(text: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    while start < end && text.get(start).is_some_and(|byte| is_lws(*byte)) {
        start += 1;
    }
    while start < end && text.get(end - 1).is_some_and(|byte| is_lws(*byte)) {
        end -= 1;
    }
    (start, end)
}

/// Position after the quoted string that starts at `at`; quoted pairs are passed over.
pub fn skip_quoted(text: &[u8], at: usize) -> Result<usize, ParseError> {
    let mut position = at + 1;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => return Ok(position + 1),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    Err(ParseError::bad(ErrorKind::HeaderValue, at, "Unterminated quoted string"))
}

/// End of the list element that starts at `at`: the next comma outside quotes and angle brackets, or the end.
pub fn skip_element(text: &[u8], at: usize) -> Result<usize, ParseError> {
    let mut position = at;
    while let Some(found) = memchr::memchr3(b'"', b'<', b',', text.get(position..).unwrap_or_default()) {
        let mark = position + found;
        position = match text.get(mark) {
            Some(b',') => return Ok(mark),
            Some(b'"') => skip_quoted(text, mark)?,
            _ => match memchr::memchr(b'>', text.get(mark..).unwrap_or_default()) {
                Some(closing) => mark + closing + 1,
                None => return Err(ParseError::bad(ErrorKind::HeaderValue, at, "Unterminated angle bracket")),
            },
        };
    }
    Ok(text.len().max(position))
}

/// A number of at most ten digits; `None` for anything else or more than a `u32` holds.
pub fn number(text: &[u8]) -> Option<u32> {
    let digits = trim(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| value.checked_mul(10)?.checked_add(u32::from(digit - b'0')))
}

/// A text with its quotes and quoted pairs resolved, if it is a quoted string.
pub fn unquote(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some(inner) = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return text.into();
    };
    if !inner.contains(&b'\\') {
        return inner.into();
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let next = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        plain.push(*next);
    }
    plain.into()
}

/// One byte with its percent escape resolved (RFC 3261 §19.1.2), and how many bytes it took.
pub fn unescape_byte(text: &[u8]) -> Option<(u8, usize)> {
    let first = *text.first()?;
    if first == b'%' {
        let digit = |at: usize| text.get(at).and_then(|byte| (*byte as char).to_digit(16));
        if let (Some(high), Some(low)) = (digit(1), digit(2)) {
            return Some(((high * 16 + low) as u8, 3));
        }
    }
    Some((first, 1))
}
