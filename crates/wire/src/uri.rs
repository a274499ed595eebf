//! URIs: sip and sips (RFC 3261 §19.1), tel (RFC 3966), any other as far as its scheme.

use bytes::Bytes;

use crate::error::{ErrorKind, ParseError};
use crate::lexer::{all, find, is_host_byte, number, unescape_byte, NOT_IN_URI, SCHEME};
use crate::params::Params;

/// A URI in its parts, borrowed from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Uri<'a> {
    /// As written, without colon.
    pub scheme: &'a [u8],
    /// User part with its parameters, escapes kept; for `tel` the number.
    pub user: Option<&'a [u8]>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Host, an IPv6 address with its brackets; for a scheme that is neither sip, sips nor tel all behind the colon.
    pub host: &'a [u8],
    /// Port, if one is written.
    pub port: Option<u16>,
    /// Parameters with their first semicolon.
    pub parameters: &'a [u8],
    /// Headers without the question mark.
    pub headers: &'a [u8],
}

fn bad(offset: usize, reason: &'static str) -> ParseError {
    ParseError::bad(ErrorKind::Uri, offset, reason)
}

impl<'a> Uri<'a> {
    /// Parses a URI (RFC 3261 §25.1 SIP-URI, SIPS-URI, absoluteURI).
    pub fn parse(text: &'a [u8]) -> Result<Uri<'a>, ParseError> {
        let colon = memchr::memchr(b':', text).ok_or_else(|| bad(0, "URI without scheme"))?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !all(scheme, SCHEME) {
            return Err(bad(0, "Bad URI scheme"));
        }
        let at = find(text, 0, NOT_IN_URI);
        if at < text.len() {
            return Err(bad(at, "Character not allowed in a URI"));
        }
        let mut uri = Uri { scheme, ..Uri::default() };
        if uri.is_sip() {
            uri.parse_sip(rest, colon + 1)?;
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            if end == 0 {
                return Err(bad(colon + 1, "Empty telephone number"));
            }
            uri.user = Some(&rest[..end]);
            uri.parameters = &rest[end..];
        } else {
            uri.host = rest;
        }
        Ok(uri)
    }

    fn parse_sip(&mut self, rest: &'a [u8], base: usize) -> Result<(), ParseError> {
        let mut host_start = 0;
        if let Some(at) = memchr::memchr(b'@', rest) {
            let userinfo = &rest[..at];
            let colon = memchr::memchr(b':', userinfo).unwrap_or(at);
            if colon == 0 {
                return Err(bad(base, "Empty user before @"));
            }
            self.user = Some(&userinfo[..colon]);
            self.password = userinfo.get(colon + 1..);
            host_start = at + 1;
        }
        let hostport = &rest[host_start..];
        let host_end = host_length(hostport).ok_or_else(|| bad(base + host_start, "Bad host"))?;
        self.host = &hostport[..host_end];
        let mut tail = &hostport[host_end..];
        if let Some(after) = tail.strip_prefix(b":") {
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let port = number(&after[..digits]).and_then(|port| u16::try_from(port).ok());
            self.port = Some(port.ok_or_else(|| bad(base + host_start + host_end, "Bad port"))?);
            tail = &after[digits..];
        }
        if tail.is_empty() {
            return Ok(());
        }
        let question = memchr::memchr(b'?', tail).unwrap_or(tail.len());
        self.parameters = &tail[..question];
        self.headers = tail.get(question + 1..).unwrap_or_default();
        if !self.parameters.is_empty() && self.parameters[0] != b';' {
            return Err(bad(base + host_start + host_end, "Garbage after the host"));
        }
        Ok(())
    }

    /// Whether the scheme is sip or sips.
    pub fn is_sip(&self) -> bool {
        self.scheme == b"sip" || self.scheme.eq_ignore_ascii_case(b"sip") || self.is_sips()
    }

    /// Whether the scheme is sips.
    pub fn is_sips(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"sips")
    }

    /// A parameter by name: `Some(None)` if it stands without value.
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        if self.parameters.is_empty() {
            return None;
        }
        Params::new(self.parameters).find(name)
    }

    /// Whether two URIs are equivalent (RFC 3261 §19.1.4).
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if !self.scheme.eq_ignore_ascii_case(other.scheme) {
            return false;
        }
        if !self.is_sip() {
            return same_option(self.user, other.user, same_number)
                && self.host == other.host
                && self.parameters.eq_ignore_ascii_case(other.parameters);
        }
        same_option(self.user, other.user, same_escaped)
            && same_option(self.password, other.password, same_escaped)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
            && same_parameters(self.parameters, other.parameters)
            && same_headers(self.headers, other.headers)
    }
}

/// Length of the host at the start of a text; `None` if none stands there.
pub(crate) fn host_length(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text)?;
        let inner = &text[1..end];
        let valid = inner.len() >= 2
            && inner.contains(&b':')
            && inner.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'%'));
        return valid.then_some(end + 1);
    }
    let length = text.iter().take_while(|byte| is_host_byte(**byte)).count();
    (length > 0).then_some(length)
}

fn same_option(one: Option<&[u8]>, two: Option<&[u8]>, same: fn(&[u8], &[u8]) -> bool) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => same(one, two),
        (one, two) => one.is_none() && two.is_none(),
    }
}

/// Telephone numbers are equal without their visual separators (RFC 3966 §4).
fn same_number(one: &[u8], two: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().copied().filter(|byte| !b"-.()".contains(byte)).collect::<Vec<u8>>();
    digits(one).eq_ignore_ascii_case(&digits(two))
}

/// Equal after exactly one unescaping; case counts.
fn same_escaped(one: &[u8], two: &[u8]) -> bool {
    compare_unescaped(one, two, |a, b| a == b)
}

fn same_escaped_any_case(one: &[u8], two: &[u8]) -> bool {
    compare_unescaped(one, two, |a, b| a.eq_ignore_ascii_case(&b))
}

fn compare_unescaped(mut one: &[u8], mut two: &[u8], same: fn(u8, u8) -> bool) -> bool {
    loop {
        match (unescape_byte(one), unescape_byte(two)) {
            (None, None) => return true,
            // An escaped reserved character is not the character itself (§19.1.4).
            (Some((a, a_length)), Some((b, b_length)))
                if same(a, b) && (a_length == b_length || !b";/?:@&=+$,%".contains(&a)) =>
            {
                one = one.get(a_length..).unwrap_or_default();
                two = two.get(b_length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
}

/// More parameters than any real URI carries: beyond it two URIs are equal only to the letter, so that comparing stays
/// cheap on hostile input.
const COMPARED: usize = 64;

fn same_parameters(one: &[u8], two: &[u8]) -> bool {
    if one == two {
        return true;
    }
    let count = |text: &[u8]| Params::new(text).count();
    if count(one) > COMPARED || count(two) > COMPARED {
        return false;
    }
    covers(one, two) && covers(two, one)
}

/// Each parameter of `one` that also stands in `two` has the same value there; user, ttl, method, maddr and transport
/// must stand in both or in none (§19.1.4).
fn covers(one: &[u8], two: &[u8]) -> bool {
    Params::new(one).filter_map(Result::ok).all(|param| match Params::new(two).find(param.name) {
        Some(value) => same_option(param.value, value, same_escaped_any_case),
        None => {
            let mandatory: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];
            !mandatory.iter().any(|name| param.name.eq_ignore_ascii_case(name))
        }
    })
}

fn same_headers(one: &[u8], two: &[u8]) -> bool {
    let split = |text| {
        let mut headers: Vec<&[u8]> =
            <[u8]>::split(text, |byte| *byte == b'&').filter(|part| !part.is_empty()).collect();
        headers.sort_by_key(|header| header.to_ascii_lowercase());
        headers
    };
    let (one, two): (Vec<&[u8]>, Vec<&[u8]>) = (split(one), split(two));
    one.len() == two.len() && one.iter().zip(&two).all(|(a, b)| same_escaped_any_case(a, b))
}

/// A URI that owns its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedUri {
    text: Bytes,
}

impl OwnedUri {
    /// Checks and keeps a URI.
    pub fn parse(text: Bytes) -> Result<OwnedUri, ParseError> {
        Uri::parse(&text)?;
        Ok(OwnedUri { text })
    }

    /// Its text.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Its parts. The text was checked when it was made, so that this cannot fail.
    pub fn parts(&self) -> Uri<'_> {
        Uri::parse(&self.text).unwrap_or_default()
    }
}
