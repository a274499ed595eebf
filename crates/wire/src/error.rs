//! What is wrong with a message, where, and what to answer.

use std::fmt;

use crate::header_name::HeaderName;
use crate::message::Message;

/// Kinds of syntax errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not a SIP message at all: answer nothing.
    NotSip,
    /// The request or status line.
    StartLine,
    /// A version other than SIP/2.0.
    Version,
    /// The request URI, or a URI elsewhere.
    Uri,
    /// A line that is no header field.
    HeaderLine,
    /// The value of a header field.
    HeaderValue,
    /// A header that must be there and is not.
    Missing,
    /// A header that may stand once and stands twice.
    Duplicate,
    /// Content-Length and the body disagree, or the message ends too early.
    Length,
    /// Larger than a limit.
    TooLarge,
}

/// A syntax error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What kind.
    pub kind: ErrorKind,
    /// Where, in bytes from the start of what was parsed.
    pub offset: usize,
    /// In which header, if in one.
    pub header: Option<HeaderName>,
    /// Status to answer a request with; 0 for "do not answer".
    pub status: u16,
    /// Reason phrase, saying what is wrong.
    pub reason: &'static str,
}

impl ParseError {
    /// An error answered with 400.
    pub fn bad(kind: ErrorKind, offset: usize, reason: &'static str) -> ParseError {
        ParseError { kind, offset, header: None, status: 400, reason }
    }

    /// An error in a header's value, answered with 400.
    pub fn value(header: HeaderName, offset: usize, reason: &'static str) -> ParseError {
        ParseError { kind: ErrorKind::HeaderValue, offset, header: Some(header), status: 400, reason }
    }

    /// The same error within a larger text.
    #[must_use]
    pub fn at(mut self, base: usize, header: HeaderName) -> ParseError {
        self.offset += base;
        self.header = Some(header);
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)?;
        match self.header {
            Some(header) => write!(f, " in {}", header.canonical()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// A message that cannot be taken, with what of it could be read: often enough to answer it.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// What is wrong.
    pub error: ParseError,
    /// The header fields found up to the error.
    pub message: Option<Message>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Malformed {}
