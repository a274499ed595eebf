//! `name-addr` and `addr-spec` with parameters (RFC 3261 §20.10): From, To, Contact, Route and their like.

use crate::error::{ErrorKind, ParseError};
use crate::lexer::{is_lws, is_token_byte, skip_lws, skip_quoted, trim, trim_range};
use crate::params::Params;
use crate::uri::Uri;

/// An address with its display name and header parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NameAddr<'a> {
    /// Display name as written (with its quotes), empty if there is none.
    pub display: &'a [u8],
    /// The URI, without angle brackets.
    pub uri: &'a [u8],
    /// Where the URI starts within the value.
    pub uri_offset: usize,
    /// Parameters of the header (not of the URI), with their first semicolon.
    pub params: &'a [u8],
    /// Where they start within the value.
    pub params_offset: usize,
    /// Whether the URI stood in angle brackets.
    pub bracketed: bool,
}

fn bad(offset: usize, reason: &'static str) -> ParseError {
    ParseError::bad(ErrorKind::HeaderValue, offset, reason)
}

impl<'a> NameAddr<'a> {
    /// Parses one value (no comma list). The URI's own syntax is checked as far as [`Uri::parse`] does.
    pub fn parse(text: &'a [u8]) -> Result<NameAddr<'a>, ParseError> {
        NameAddr::checked(text, |_, _| {})
    }

    /// Parses one value and shows each of its header parameters: name, and value if it has one.
    pub(crate) fn checked(
        text: &'a [u8],
        show: impl FnMut(&'a [u8], Option<&'a [u8]>),
    ) -> Result<NameAddr<'a>, ParseError> {
        let address = NameAddr::scan(text)?;
        Uri::parse(address.uri).map_err(|error| ParseError { offset: error.offset + address.uri_offset, ..error })?;
        // A lone semicolon at the end is common and harmless.
        let params = trim(address.params);
        Params::new(params.strip_suffix(b";").unwrap_or(params)).show(show)?;
        if !address.bracketed && address.uri.contains(&b'?') && Uri::parse(address.uri)?.headers != b"" {
            // RFC 3261 §20: a URI with a question mark must stand in angle brackets.
            return Err(bad(address.uri_offset, "URI with headers outside angle brackets"));
        }
        Ok(address)
    }

    /// Finds the parts and checks nothing inside them.
    pub fn scan(text: &'a [u8]) -> Result<NameAddr<'a>, ParseError> {
        let start = skip_lws(text, 0);
        let mut at = start;
        if text.get(at) == Some(&b'"') {
            at = skip_lws(text, skip_quoted(text, at)?);
            if text.get(at) != Some(&b'<') {
                return Err(bad(at, "Display name without address"));
            }
        } else {
            at += text.get(at..).map_or(0, |rest| {
                rest.iter().take_while(|byte| is_token_byte(**byte) || is_lws(**byte) || !byte.is_ascii()).count()
            });
        }
        if text.get(at) == Some(&b'<') {
            let (display_start, display_end) = trim_range(text, start, at);
            let display = text.get(display_start..display_end).unwrap_or_default();
            return NameAddr::bracketed(text, display, at);
        }
        NameAddr::bare(text, start)
    }

    fn bracketed(text: &'a [u8], display: &'a [u8], open: usize) -> Result<NameAddr<'a>, ParseError> {
        let rest = text.get(open..).unwrap_or_default();
        let close = open + memchr::memchr(b'>', rest).ok_or_else(|| bad(open, "Unterminated angle bracket"))?;
        let params_offset = skip_lws(text, close + 1);
        Ok(NameAddr {
            display,
            uri: text.get(open + 1..close).unwrap_or_default(),
            uri_offset: open + 1,
            params: text.get(params_offset..).unwrap_or_default(),
            params_offset,
            bracketed: true,
        })
    }

    /// Without angle brackets every parameter belongs to the header (RFC 3261 §20.10).
    fn bare(text: &'a [u8], start: usize) -> Result<NameAddr<'a>, ParseError> {
        let rest = text.get(start..).unwrap_or_default();
        let params_offset = start + memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (uri_start, uri_end) = trim_range(text, start, params_offset);
        if uri_start == uri_end {
            return Err(bad(start, "Empty address"));
        }
        let uri = text.get(uri_start..uri_end).unwrap_or_default();
        if uri.contains(&b',') {
            return Err(bad(uri_start, "Comma outside angle brackets"));
        }
        Ok(NameAddr {
            display: b"",
            uri,
            uri_offset: uri_start,
            params: text.get(params_offset..).unwrap_or_default(),
            params_offset,
            bracketed: false,
        })
    }

    /// Its tag parameter.
    #[inline]
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.param(b"tag").flatten()
    }

    /// A parameter of the header: `Some(None)` if it stands without value.
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        if self.params.is_empty() {
            return None;
        }
        Params::new(self.params).find(name)
    }
}
