//! Via (RFC 3261 §20.42, RFC 3581).

use crate::error::{ErrorKind, ParseError};
use crate::lexer::{number, skip_lws, skip_token};
use crate::params::{Param, Params};
use crate::uri::host_length;

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Via<'a> {
    /// Protocol name, `SIP`.
    pub protocol: &'a [u8],
    /// Version, `2.0`.
    pub version: &'a [u8],
    /// Transport: `UDP`, `TCP`, ….
    pub transport: &'a [u8],
    /// Host of sent-by, an IPv6 address with its brackets.
    pub host: &'a [u8],
    /// Port of sent-by, if written.
    pub port: Option<u16>,
    /// Parameters with their first semicolon.
    pub params: &'a [u8],
    /// Where they start within the value.
    pub params_offset: usize,
}

fn bad(offset: usize, reason: &'static str) -> ParseError {
    ParseError::bad(ErrorKind::HeaderValue, offset, reason)
}

impl<'a> Via<'a> {
    /// Parses one value (no comma list).
    pub fn parse(text: &'a [u8]) -> Result<Via<'a>, ParseError> {
        Via::scan(text, |_, _| {})
    }

    /// Parses one value and shows each of its parameters: name, and value if it has one.
    pub(crate) fn scan(text: &'a [u8], show: impl FnMut(&'a [u8], Option<&'a [u8]>)) -> Result<Via<'a>, ParseError> {
        let mut at = 0;
        let mut token = |after: Option<u8>| -> Result<&'a [u8], ParseError> {
            let start = skip_lws(text, at);
            let end = skip_token(text, start);
            if end == start {
                return Err(bad(start, "Bad sent-protocol in Via"));
            }
            at = end;
            if let Some(separator) = after {
                at = skip_lws(text, at);
                if text.get(at) != Some(&separator) {
                    return Err(bad(at, "Bad sent-protocol in Via"));
                }
                at += 1;
            }
            Ok(text.get(start..end).unwrap_or_default())
        };
        let mut via = Via {
            protocol: token(Some(b'/'))?,
            version: token(Some(b'/'))?,
            transport: token(None)?,
            ..Via::default()
        };
        let host_start = skip_lws(text, at);
        if host_start == at {
            return Err(bad(at, "No white space before Via's sent-by"));
        }
        let rest = text.get(host_start..).unwrap_or_default();
        let host_end = host_start + host_length(rest).ok_or_else(|| bad(host_start, "Bad host in Via"))?;
        via.host = text.get(host_start..host_end).unwrap_or_default();
        via.parse_tail(text, host_end)?;
        Params::new(via.params).show(show)?;
        Ok(via)
    }

    fn parse_tail(&mut self, text: &'a [u8], host_end: usize) -> Result<(), ParseError> {
        let mut at = skip_lws(text, host_end);
        if text.get(at) == Some(&b':') {
            let start = skip_lws(text, at + 1);
            let digits = text.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
            let port = number(text.get(start..start + digits).unwrap_or_default());
            self.port = Some(port.and_then(|port| u16::try_from(port).ok()).ok_or_else(|| bad(at, "Bad port in Via"))?);
            at = skip_lws(text, start + digits);
        }
        self.params_offset = at;
        self.params = text.get(at..).unwrap_or_default();
        Ok(())
    }

    /// A parameter: `Some(None)` if it stands without value.
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        Params::new(self.params).find(name)
    }

    /// The branch parameter.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.param(b"branch").flatten()
    }

    /// The received parameter.
    pub fn received(&self) -> Option<&'a [u8]> {
        self.param(b"received").flatten()
    }

    /// The rport parameter (RFC 3581): `Some(None)` when it asks to be filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.param(b"rport")?;
        Some(value.and_then(number).and_then(|port| u16::try_from(port).ok()))
    }

    /// A parameter with its place, relative to [`Via::params_offset`].
    pub fn place(&self, name: &[u8]) -> Option<Param<'a>> {
        Params::new(self.params).filter_map(Result::ok).find(|param| param.name.eq_ignore_ascii_case(name))
    }
}
