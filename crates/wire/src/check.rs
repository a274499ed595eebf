//! What must hold before a message is routed (RFC 3261 §8.1.1, §16.3, §18.1.2), and nothing else: a bad value in a header
//! that no proxy reads stops nothing.

use crate::error::{ErrorKind, ParseError};
use crate::header_name::HeaderName;
use crate::message::Message;
use crate::uri::Uri;

impl Message {
    /// Checks that the message can be routed: its top Via, From, To, Call-ID, CSeq (number and method), request URI, and
    /// that no header that may stand once stands twice.
    pub fn check_routable(&self) -> Result<(), ParseError> {
        self.check_singles()?;
        self.top_via()?;
        self.from()?;
        self.to()?;
        self.call_id()?;
        let cseq = self.cseq()?;
        if !self.is_request() {
            return Ok(());
        }
        if cseq.method != self.method() {
            let at = self.first(HeaderName::CSeq).map_or(0, |field| field.value_start);
            return Err(ParseError::value(HeaderName::CSeq, at, "CSeq names another method"));
        }
        if let Some(hops) = self.max_forwards() {
            hops?;
        }
        self.check_request_uri()
    }

    fn check_singles(&self) -> Result<(), ParseError> {
        let mut seen = 0u64;
        for field in self.fields().filter(|field| field.id.is_single()) {
            let bit = 1 << (field.id as u64);
            if seen & bit != 0 {
                let error = ParseError::bad(ErrorKind::Duplicate, field.start, "Header stands twice");
                return Err(ParseError { header: Some(field.id), ..error });
            }
            seen |= bit;
        }
        Ok(())
    }

    fn check_request_uri(&self) -> Result<(), ParseError> {
        let (start, _) = self.request_uri_range();
        let moved = |error: ParseError| ParseError { offset: error.offset + start as usize, ..error };
        let uri = Uri::parse(self.request_uri()).map_err(moved)?;
        if !uri.headers.is_empty() {
            // RFC 3261 §19.1.1: headers are not allowed in a request URI.
            return Err(ParseError::bad(ErrorKind::Uri, start as usize, "Headers in the request URI"));
        }
        Ok(())
    }
}
