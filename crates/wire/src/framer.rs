//! Messages out of a byte stream, by Content-Length (RFC 3261 §18.3), with CRLF keep-alives (RFC 5626 §3.5.1).

use bytes::{Bytes, BytesMut};

use crate::header_name::HeaderName;
use crate::lexer::number;

/// Limits of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Bytes of a header.
    pub header: usize,
    /// Bytes of a body.
    pub body: usize,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits { header: 65_535, body: 1 << 20 }
    }
}

/// What stood next in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Bytes),
    /// A double line end: answer with a single one.
    Ping,
    /// A single line end: the answer to our ping.
    Pong,
}

/// Why the stream cannot go on: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The header is larger than its limit.
    HeaderTooLarge,
    /// The body is larger than its limit.
    BodyTooLarge,
    /// No Content-Length, a bad one, or two: nobody knows where the message ends.
    BadLength,
}

/// Takes bytes in any pieces and gives messages.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// How much of the buffer was searched for the end of the header.
    searched: usize,
    /// Length of the whole message once its header is complete.
    whole: Option<usize>,
    limits: StreamLimits,
}

impl StreamFramer {
    /// A framer with limits of its own.
    pub fn new(limits: StreamLimits) -> StreamFramer {
        StreamFramer { limits, ..StreamFramer::default() }
    }

    /// Takes received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their message.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next message or keep-alive; `None` when more bytes are needed.
    pub fn pop(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.whole.is_none() && self.searched == 0 {
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
            if b"\r\n\r\n".starts_with(&self.buffer) {
                return Ok(None);
            }
        }
        if self.whole.is_none() {
            self.find_header_end()?;
        }
        match self.whole {
            Some(whole) if self.buffer.len() >= whole => {
                self.whole = None;
                self.searched = 0;
                Ok(Some(Frame::Message(self.buffer.split_to(whole).freeze())))
            }
            _ => Ok(None),
        }
    }

    fn keep_alive(&mut self) -> Option<Frame> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            let _ = self.buffer.split_to(4);
            return Some(Frame::Ping);
        }
        // One line end and something else behind it; alone it may still become a ping.
        if self.buffer.starts_with(b"\r\n") && self.buffer.len() > 2 && self.buffer.get(2) != Some(&b'\r') {
            let _ = self.buffer.split_to(2);
            return Some(Frame::Pong);
        }
        None
    }

    /// A lone line end that was not followed by anything for a while is a pong.
    pub fn pop_idle(&mut self) -> Option<Frame> {
        if self.buffer.as_ref() == b"\r\n" {
            self.buffer.clear();
            return Some(Frame::Pong);
        }
        None
    }

    fn find_header_end(&mut self) -> Result<(), FrameError> {
        if self.searched == 0 {
            // Line ends before a message belong to none (RFC 3261 §7.5).
            let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let _ = self.buffer.split_to(blank);
        }
        let from = self.searched.saturating_sub(3);
        let found = self.buffer.get(from..).and_then(header_end).map(|end| from + end);
        self.searched = self.buffer.len();
        let header = found.unwrap_or(self.buffer.len());
        if header > self.limits.header {
            return Err(FrameError::HeaderTooLarge);
        }
        let Some(header) = found else { return Ok(()) };
        let length = length_of(self.buffer.get(..header).unwrap_or_default())?;
        if length > self.limits.body {
            return Err(FrameError::BodyTooLarge);
        }
        self.whole = Some(header + length);
        Ok(())
    }
}

/// Position behind the empty line; line ends are CRLF or LF as the message parser takes them.
pub fn header_end(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', text).find_map(|at| match text.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// How long the body behind a header is. Only HTTP may leave that unsaid (RFC 9112 §6.3).
fn length_of(header: &[u8]) -> Result<usize, FrameError> {
    let line = header.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    match content_length(header)? {
        Some(length) => Ok(length),
        None if line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0") => Ok(0),
        None => Err(FrameError::BadLength),
    }
}

/// The one Content-Length of a header, read with the same rules as the message parser's; `None` if there is none.
fn content_length(header: &[u8]) -> Result<Option<usize>, FrameError> {
    let mut length = None;
    let mut lines = header.split(|byte| *byte == b'\n').skip(1).peekable();
    while let Some(line) = lines.next() {
        let colon = memchr::memchr(b':', line);
        let name = colon.map(|colon| crate::lexer::trim(line.get(..colon).unwrap_or_default())).unwrap_or_default();
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'))
            || HeaderName::from_bytes(name) != HeaderName::ContentLength
        {
            continue;
        }
        let start = colon.ok_or(FrameError::BadLength)? + 1;
        let mut value = line.get(start..).unwrap_or_default().to_vec();
        while let Some(fold) = lines.next_if(|next| next.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'))) {
            value.extend_from_slice(fold);
        }
        if length.is_some() {
            return Err(FrameError::BadLength);
        }
        length = Some(number(&value).ok_or(FrameError::BadLength)? as usize);
    }
    Ok(length)
}
