//! Header lines that come from a script: made whole, and held to the framing of RFC 3261 §7.3.

use std::fmt;

use bytes::Bytes;
use sipyard_wire::lexer;

/// Why a text is not a run of header lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinesError {
    /// An empty line inside would end the headers.
    EmptyLine,
    /// A line that is neither `Name: value` nor a continuation of the one before.
    NoHeader,
    /// A carriage return that ends no line, or a NUL.
    ControlCharacter,
}

impl fmt::Display for LinesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinesError::EmptyLine => "an empty line would end the headers",
            LinesError::NoHeader => "not a header line",
            LinesError::ControlCharacter => "a control character in a header line",
        })
    }
}

impl std::error::Error for LinesError {}

/// The text as whole header lines, each ended by CRLF; a lone LF is taken as a line end, and the last end may be missing.
/// An empty text stays empty. Anything that another parser could read as the end of the headers is an error: what goes
/// into a header is often taken from a message.
pub fn whole_lines(text: &[u8]) -> Result<Bytes, LinesError> {
    let body = text.strip_suffix(b"\n").map_or(text, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    if body.is_empty() {
        return if text.is_empty() { Ok(Bytes::new()) } else { Err(LinesError::EmptyLine) };
    }
    let mut out = Vec::with_capacity(body.len() + 2);
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        check_line(line, number == 0)?;
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    Ok(out.into())
}

fn check_line(line: &[u8], is_first: bool) -> Result<(), LinesError> {
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(LinesError::EmptyLine);
    }
    if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(LinesError::ControlCharacter);
    }
    let continues = matches!(line.first(), Some(b' ' | b'\t'));
    if continues {
        return if is_first { Err(LinesError::NoHeader) } else { Ok(()) };
    }
    let name_end = lexer::skip_token(line, 0);
    let colon = lexer::skip_lws(line, name_end);
    if name_end == 0 || line.get(colon) != Some(&b':') {
        return Err(LinesError::NoHeader);
    }
    Ok(())
}

/// A text that must stay on one line (a reason phrase, a URI): true when it does.
pub fn is_one_line(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_made_whole() {
        let rows: [(&str, &str); 6] = [
            ("", ""),
            ("A: 1", "A: 1\r\n"),
            ("A: 1\r\n", "A: 1\r\n"),
            ("A: 1\nB:2\n", "A: 1\r\nB:2\r\n"),
            ("A : 1\r\n folded\r\n", "A : 1\r\n folded\r\n"),
            ("A:\r\n", "A:\r\n"),
        ];
        for (text, expected) in rows {
            assert_eq!(whole_lines(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_can_be_smuggled() {
        let rows: [(&[u8], LinesError); 11] = [
            (b"\r\n", LinesError::EmptyLine),
            (b"A: 1\r\n\r\n", LinesError::EmptyLine),
            (b"A: 1\r\n\r\nINVITE", LinesError::EmptyLine),
            (b"A: 1\n\nB: 2", LinesError::EmptyLine),
            (b"A: 1\r\n \t\r\nB: 2", LinesError::EmptyLine),
            (b"no colon", LinesError::NoHeader),
            (b": no name", LinesError::NoHeader),
            (b" folded from nowhere: 1", LinesError::NoHeader),
            (b"bad name: 1", LinesError::NoHeader),
            (b"A: 1\rB: 2", LinesError::ControlCharacter),
            (b"A: \x00", LinesError::ControlCharacter),
        ];
        for (text, expected) in rows {
            assert_eq!(whole_lines(text), Err(expected), "{:?}", String::from_utf8_lossy(text));
        }
        assert!(is_one_line(b"Not here") && !is_one_line(b"Not\r\nhere"));
    }
}
