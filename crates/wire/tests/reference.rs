//! The scanners against implementations that look at one byte at a time and are easy to read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test may fail

use bytes::Bytes;
use proptest::prelude::*;
use sipyard_wire::lexer::skip_element;
use sipyard_wire::{ErrorKind, HeaderName, Limits, Message, NameAddr, Params, Via};

const BLANK: [u8; 4] = *b" \t\r\n";

/// End of a list element; None where a quote or bracket stays open.
fn element_end(text: &[u8], start: usize) -> Option<usize> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for (at, byte) in text.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !bracketed => quoted = !quoted,
            _ if quoted => {}
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            b',' if !bracketed => return Some(at),
            _ => {}
        }
    }
    (!quoted && !bracketed).then_some(text.len())
}

fn trimmed(mut text: &[u8]) -> Vec<u8> {
    while text.first().is_some_and(|byte| BLANK.contains(byte)) {
        text = &text[1..];
    }
    while text.last().is_some_and(|byte| BLANK.contains(byte)) {
        text = &text[..text.len() - 1];
    }
    text.to_vec()
}

/// Name, value and place.
type Parameter = (Vec<u8>, Option<Vec<u8>>, usize, usize);

/// Parameters up to the first mistake, and whether there was one.
fn parameters(text: &[u8]) -> (Vec<Parameter>, bool) {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        while text.get(at).is_some_and(|byte| BLANK.contains(byte)) {
            at += 1;
        }
        if at == text.len() {
            return (found, false);
        }
        if text[at] != b';' {
            return (found, true);
        }
        let start = at;
        let (mut quoted, mut escaped, mut equals) = (false, false, None);
        at += 1;
        while at < text.len() && (quoted || text[at] != b';') {
            match text[at] {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if equals.is_none() => return (found, true),
                b'"' => quoted = !quoted,
                b'=' if equals.is_none() => equals = Some(at),
                _ => {}
            }
            at += 1;
        }
        let name = trimmed(&text[start + 1..equals.unwrap_or(at)]);
        if quoted || name.is_empty() {
            return (found, true);
        }
        found.push((name, equals.map(|equals| trimmed(&text[equals + 1..at])), start, at));
    }
}

fn first_stray_return(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|at| text[*at] == b'\r' && text.get(at + 1) != Some(&b'\n'))
}

/// Texts of the bytes that scanners care about.
fn marks(of: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(of), 0..40)
}

/// Texts of the pieces that headers are made of.
fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(of), 0..14).prop_map(|parts| parts.concat().into_bytes())
}

fn parse(text: Vec<u8>) -> Result<Message, sipyard_wire::Malformed> {
    Message::parse(Bytes::from(text), &Limits::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn elements_end_where_a_slow_scanner_ends_them(text in marks(b"a,\"\\<> ;"), start in 0_usize..40) {
        let start = start.min(text.len());
        prop_assert_eq!(skip_element(&text, start).ok(), element_end(&text, start));
    }

    #[test]
    fn parameters_are_what_a_slow_scanner_finds(text in marks(b"aB;;==\"\\, \t\r\n<")) {
        let (expected, wrong) = parameters(&text);
        let all: Vec<_> = Params::new(&text).collect();
        let good = all.iter().filter_map(|one| one.as_ref().ok());
        let found: Vec<Parameter> = good
            .map(|one| (one.name.to_vec(), one.value.map(<[u8]>::to_vec), one.start, one.end))
            .collect();
        prop_assert_eq!(found, expected.clone());
        prop_assert_eq!(all.iter().any(Result::is_err), wrong);
        let named = expected.iter().find(|one| one.0.eq_ignore_ascii_case(b"b")).map(|one| one.1.clone());
        prop_assert_eq!(Params::new(&text).find(b"b").map(|value| value.map(<[u8]>::to_vec)), named);
    }

    #[test]
    fn a_stray_return_is_found_wherever_it_stands(
        values in prop::collection::vec(pieces(&["a", "\r", "\r\r", " ", "\n ", "\r\n "]), 1..5),
        ends_crlf in any::<bool>(),
    ) {
        let end: &[u8] = if ends_crlf { b"\r\n" } else { b"\n" };
        let mut text = [b"OPTIONS sip:a@b SIP/2.0", end].concat();
        let start = text.len();
        for value in &values {
            text = [&text[..], b"X: ", value, end].concat();
        }
        let fields = text[start..].to_vec();
        text.extend_from_slice(end);
        let error = parse(text).err().filter(|malformed| malformed.error.kind == ErrorKind::HeaderLine);
        // Each line feed must end a line as the start line ended.
        let differs = |at: &usize| fields[*at] == b'\n' && (*at > 0 && fields[at - 1] == b'\r') != ends_crlf;
        let mixed = (0..fields.len()).find(differs);
        let stray = first_stray_return(&fields);
        match (&error, stray, mixed) {
            (None, None, None) => {}
            (Some(malformed), _, _) => {
                let error = &malformed.error;
                let is_stray = error.reason == "Bare carriage return";
                prop_assert!(is_stray || mixed.is_some(), "{error:?}");
                if is_stray {
                    prop_assert_eq!(Some(error.offset), stray.map(|at| start + at));
                }
                // What is left of the message has nothing of the line that is wrong.
                if let Some(left) = &malformed.message {
                    let fields = left.fields().map(|field| field.value.to_vec());
                    prop_assert!(fields.flatten().eq(values.iter().map(|value| trimmed(value)).take(left.fields().count()).flatten()));
                    prop_assert!(left.fields().all(|field| first_stray_return(field.value).is_none()));
                }
            }
            _ => prop_assert!(false, "taken with a stray return at {stray:?} or a line end at {mixed:?}"),
        }
    }

    /// What a message remembers of its values is what parsing them says.
    #[test]
    fn remembered_values_are_those_of_the_parsers(
        via in pieces(&["SIP/2.0/UDP", " h", ":5060", ";branch=", "z9", ";branch", ";", "=", "\"", ",", " ", ";rport", "[::1]"]),
        from in pieces(&["sip:a@b", "<sip:a@b>", "\"x\"", ";tag=", "t", ";tag", ";", "=", "\"", " ", "?x=y", ";p=q"]),
        good in any::<bool>(),
    ) {
        let via = if good { [b"SIP/2.0/UDP h", &via[..]].concat() } else { via };
        let from = if good { [b"<sip:a@b>", &from[..]].concat() } else { from };
        let text = [b"OPTIONS sip:a@b SIP/2.0\r\nVia: ", &via[..], b"\r\nFrom: ", &from, b"\r\nTo: ", &from, b"\r\n\r\n"];
        let message = parse(text.concat()).unwrap();
        let field = message.first(HeaderName::From).unwrap();
        let address = |text| NameAddr::parse(text).map_err(|error| (error.kind, error.reason));
        for found in [message.from(), message.to()] {
            if field.value.is_empty() {
                prop_assert!(found.is_err());
                continue;
            }
            prop_assert_eq!(
                format!("{:?}", found.map_err(|error| (error.kind, error.reason))),
                format!("{:?}", address(field.value))
            );
        }
        let tag = NameAddr::scan(field.value).ok().and_then(|one| one.tag());
        prop_assert_eq!((message.from_tag(), message.to_tag()), (tag, tag));

        let value = message.values(HeaderName::Via).next().unwrap_or_else(|| message.top_via_value());
        prop_assert_eq!(format!("{:?}", message.top_via_value()), format!("{value:?}"));
        let parsed = value.and_then(|value| Via::parse(value.text).map_err(|error| error.at(value.start, HeaderName::Via)));
        let branch = parsed.as_ref().ok().and_then(Via::branch).unwrap_or_default();
        prop_assert_eq!(message.branch(), branch);
        prop_assert_eq!(format!("{:?}", message.top_via()), format!("{parsed:?}"));
    }
}
