//! Parameters: `;name=value` (RFC 3261 §25.1, generic-param and via-params).

use crate::error::{ErrorKind, ParseError};
use crate::lexer::{find, skip_lws, skip_quoted, trim, ENDS_NAME, ENDS_VALUE};

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value as written (quotes included), if it has one.
    pub value: Option<&'a [u8]>,
    /// Where it starts (its semicolon), within the text given to [`Params::new`].
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Iterates over parameters; quotes are respected. A syntax error ends it.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Params<'a> {
    /// Of a text that is empty or starts with a semicolon.
    pub fn new(text: &'a [u8]) -> Params<'a> {
        Params { text, at: 0 }
    }

    /// The value of a parameter by name in any case: `Some(None)` if it stands without value.
    pub fn find(self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.filter_map(Result::ok).find(|param| param.name.eq_ignore_ascii_case(name)).map(|param| param.value)
    }

    /// The value of a parameter, `None` if it is not there or has no value.
    pub fn value(self, name: &[u8]) -> Option<&'a [u8]> {
        self.find(name).flatten()
    }

    /// Shows each parameter, up to the first syntax error.
    pub(crate) fn show(self, mut show: impl FnMut(&'a [u8], Option<&'a [u8]>)) -> Result<(), ParseError> {
        for param in self {
            let param = param?;
            show(param.name, param.value);
        }
        Ok(())
    }

    fn parse(&mut self, start: usize) -> Result<Param<'a>, ParseError> {
        let text = self.text;
        let name_start = skip_lws(text, start + 1);
        let end = find(text, name_start, ENDS_NAME);
        let name = trim(text.get(name_start..end).unwrap_or_default());
        if name.is_empty() {
            return Err(ParseError::bad(ErrorKind::HeaderValue, start, "Empty parameter"));
        }
        if text.get(end) != Some(&b'=') {
            if text.get(end) == Some(&b'"') {
                return Err(ParseError::bad(ErrorKind::HeaderValue, end, "Quote in a parameter's name"));
            }
            self.at = end;
            return Ok(Param { name, value: None, start, end });
        }
        let value_start = skip_lws(text, end + 1);
        let mut end = find(text, value_start, ENDS_VALUE);
        while text.get(end) == Some(&b'"') {
            end = find(text, skip_quoted(text, end)?, ENDS_VALUE);
        }
        self.at = end;
        let value = trim(text.get(value_start..end).unwrap_or_default());
        Ok(Param { name, value: Some(value), start, end })
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_lws(self.text, self.at);
        if start >= self.text.len() {
            return None;
        }
        let result = if self.text.get(start) == Some(&b';') {
            self.parse(start)
        } else {
            Err(ParseError::bad(ErrorKind::HeaderValue, start, "Garbage where a parameter should start"))
        };
        if result.is_err() {
            self.at = self.text.len();
        }
        Some(result)
    }
}
