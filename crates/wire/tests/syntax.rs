//! Syntax tables: URIs, addresses, Via, the start line, header framing; and what any bytes may do.

#![allow(clippy::unwrap_used)] // a test may fail

use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use sipyard_wire::framer::{Frame, FrameError, StreamFramer};
use sipyard_wire::{Edits, HeaderName, Limits, Message, NameAddr, Uri, Via};

fn parse(text: impl Into<Vec<u8>>) -> Result<Message, u16> {
    Message::parse(Bytes::from(text.into()), &Limits::default()).map_err(|malformed| malformed.error.status)
}

#[test]
fn uris_are_taken_apart() {
    type Parts = (Option<&'static [u8]>, &'static [u8], Option<u16>, &'static [u8], &'static [u8]);
    let table: [(&[u8], Parts); 8] = [
        (b"sip:example.com", (None, b"example.com", None, b"", b"")),
        (b"sip:a:p@h:5070;lr?x=y", (Some(b"a"), b"h", Some(5070), b";lr", b"x=y")),
        (b"SIPS:u;par=1@[2001:db8::1]:5061", (Some(b"u;par=1"), b"[2001:db8::1]", Some(5061), b"", b"")),
        (b"tel:+420123;phone-context=x", (Some(b"+420123"), b"", None, b";phone-context=x", b"")),
        (b"soap.beep://h/x", (None, b"//h/x", None, b"", b"")),
        (b"sip:a?b;c,d&e@h", (Some(b"a?b;c,d&e"), b"h", None, b"", b"")),
        (b"sip:%00@h", (Some(b"%00"), b"h", None, b"", b"")),
        (b"sip:[::ffff:192.0.2.1];x", (None, b"[::ffff:192.0.2.1]", None, b";x", b"")),
    ];
    for (text, (user, host, port, parameters, headers)) in table {
        let uri = Uri::parse(text).unwrap();
        assert_eq!((uri.user, uri.host, uri.port), (user, host, port), "{}", String::from_utf8_lossy(text));
        assert_eq!((uri.parameters, uri.headers), (parameters, headers));
    }
    let bad: [&[u8]; 11] = [
        b"",
        b"sip",
        b"sip:",
        b":x",
        b"sip:@h",
        b"sip:h:x",
        b"sip:h:99999",
        b"sip:a b@h",
        b"sip:2001:db8::10",
        b"sip:[::1",
        b"<sip:h>",
    ];
    for text in bad {
        assert!(Uri::parse(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn uris_compare_as_the_rfc_says() {
    // RFC 3261 §19.1.4.
    let same = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("tel:+1-(201)-555", "tel:+1201555"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ];
    let different = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a%3Bb@h", "sip:a;b@h"),
        ("tel:+1-201", "tel:+1202"),
        ("sip:value%2541@h", "sip:valueA@h"),
        ("sip:a%00b@h", "sip:a@h"),
    ];
    let equivalent = |(one, two): (&str, &str)| {
        let (one, two) = (Uri::parse(one.as_bytes()).unwrap(), Uri::parse(two.as_bytes()).unwrap());
        assert_eq!(one.equivalent(&two), two.equivalent(&one));
        one.equivalent(&two)
    };
    same.iter().for_each(|pair| assert!(equivalent(*pair), "{pair:?}"));
    different.iter().for_each(|pair| assert!(!equivalent(*pair), "{pair:?}"));
}

#[test]
fn addresses_are_taken_apart() {
    type Parts = (&'static [u8], &'static [u8], &'static [u8], Option<&'static [u8]>);
    let table: [Parts; 5] = [
        (b"\"A \\\" B\" <sip:a@h;x=1>;tag=t", b"\"A \\\" B\"", b"sip:a@h;x=1", Some(b"t")),
        (b"caller<sip:c@h>;tag=323", b"caller", b"sip:c@h", Some(b"323")),
        (b"sip:a@h;tag=9;q=0.1", b"", b"sip:a@h", Some(b"9")),
        (b" A B\r\n C <sip:h> ; TAG = \"q;x\"", b"A B\r\n C", b"sip:h", Some(b"\"q;x\"")),
        (b"<sip:h?a=b>", b"", b"sip:h?a=b", None),
    ];
    for (text, display, uri, tag) in table {
        let address = NameAddr::parse(text).unwrap();
        assert_eq!((address.display, address.uri, address.tag()), (display, uri, tag));
    }
    for text in [&b"\"open <sip:h>"[..], b"A, B <sip:h>", b"<sip:h", b"", b"sip:h?a=b", b"<sip:h>;;x", b"<sip:h> junk"]
    {
        assert!(NameAddr::parse(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn vias_are_taken_apart() {
    let via = Via::parse(b"SIP / 2.0\r\n / UDP\r\n  [::1] : 5070 ; branch =z9 ;rport; received=::2").unwrap();
    assert_eq!((via.transport, via.host, via.port), (&b"UDP"[..], &b"[::1]"[..], Some(5070)));
    assert_eq!((via.branch(), via.rport(), via.received()), (Some(&b"z9"[..]), Some(None), Some(&b"::2"[..])));
    for text in
        [&b"SIP/2.0/UDP"[..], b"SIP/2.0/UDP h;;x", b"SIP/2.0 h", b"SIP/2.0/UDPh", b"SIP/2.0/UDP h:0x", b"/2.0/UDP h"]
    {
        assert!(Via::parse(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn lines_that_other_parsers_could_read_differently_are_refused() {
    let with = |line: &str| parse(format!("OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n{line}\r\n\r\n"));
    for line in [
        "X\x01Y: 1",
        "X Y: 1",
        ": 1",
        "no colon",
        "X: a\rX-Internal: 1",
        "X: a\r\r\n X-Internal: 1",
        "X: a\nX-Internal: 1",
    ] {
        assert_eq!(with(line).err(), Some(400), "{line:?}");
    }
    let spaced = with("X-Internal \t: 1").unwrap();
    assert_eq!(spaced.by_name(b"x-internal").count(), 1);
    let folded = with("X-Internal:\r\n 1").unwrap();
    assert_eq!(folded.by_name(b"X-Internal").next().unwrap().value, b"1");
}

#[test]
fn content_length_has_one_reading() {
    let with = |line: &str| parse(format!("OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n{line}\r\n\r\nbody"));
    for line in
        ["-1", "+4", "0x4", "4294967300", "99999999999", "5", "4 4", ""].map(|value| format!("Content-Length: {value}"))
    {
        assert_eq!(with(&line).err(), Some(400), "{line}");
    }
    assert_eq!(with("Content-Length: 4\r\nl: 4").err(), Some(400));
    assert_eq!(with("l : 0004").unwrap().body(), b"body");
    assert_eq!(with("Content-Length: 2").unwrap().body(), b"bo");
}

#[test]
fn what_is_no_sip_is_not_answered() {
    for data in [
        &b"\x00\x01\x00\x00\x21\x12\xa4\x42\x00\x00"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1 \r\n\r\n",
        b"SIP/2.0 200 OK\rX-Internal: 1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\n",
        b"\r\n\r\n",
        b"\0\0\0\0",
    ] {
        assert_eq!(parse(data).err(), Some(0), "{data:?}");
    }
}

#[test]
fn a_stream_is_cut_into_messages_whatever_its_pieces() {
    let message = b"OPTIONS sip:h SIP/2.0\r\nContent-Length : 3\r\n\r\nabc";
    let stream = [&message[..], b"\r\n\r\n", message, b"\r\n", message].concat();
    for size in [1, 2, 3, 7, 50, 1000] {
        let mut framer = StreamFramer::default();
        let mut frames = Vec::new();
        for piece in stream.chunks(size) {
            framer.push(piece);
            while let Some(frame) = framer.pop().unwrap() {
                frames.push(frame);
            }
        }
        let expected = Frame::Message(Bytes::from_static(message));
        assert_eq!(
            frames,
            [expected.clone(), Frame::Ping, expected.clone(), Frame::Pong, expected],
            "pieces of {size}"
        );
    }
}

#[test]
fn a_stream_without_one_clear_length_ends() {
    for header in ["", "Content-Length: x\r\n", "Content-Length: 1\r\nl: 1\r\n", "Content-Length: -1\r\n"] {
        let mut framer = StreamFramer::default();
        framer.push(format!("OPTIONS sip:h SIP/2.0\r\n{header}\r\n").as_bytes());
        assert_eq!(framer.pop(), Err(FrameError::BadLength), "{header}");
    }
}

/// Only HTTP may leave the length of its body unsaid, and then has none.
#[test]
fn http_without_a_length_has_no_body() {
    let mut framer = StreamFramer::default();
    framer.push(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
    let first = Bytes::from_static(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let second = Bytes::from_static(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(framer.pop(), Ok(Some(Frame::Message(first))));
    assert_eq!(framer.pop(), Ok(Some(Frame::Message(second))));
    framer.push(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(framer.pop(), Err(FrameError::BadLength));
}

/// Work that grows no faster than the input: doubling a hostile message must not quadruple its time.
#[test]
fn hostile_lists_take_linear_time() {
    let header = |name: &str, unit: &str, size: usize| format!("{name}: {}", unit.repeat(size / unit.len()));
    let shapes = [
        ("Route", "<sip:h>,"),
        ("Via", "SIP/2.0/UDP h;a=b,"),
        ("Contact", "a;b;c,"),
        ("To", "\"\\\\\""),
        ("From", ";a=\""),
    ];
    for (name, unit) in shapes {
        let time = |size| {
            let text = format!("OPTIONS sip:h SIP/2.0\r\n{}\r\n\r\n", header(name, unit, size));
            let limits = Limits { message: 1 << 22, ..Limits::default() };
            let run = || {
                let start = Instant::now();
                let message = Message::parse(Bytes::from(text.clone()), &limits).unwrap();
                let _ = message.check_routable();
                let count = message.values(HeaderName::from_bytes(name.as_bytes())).count();
                (start.elapsed(), count)
            };
            (0..5).map(|_| run().0).min().unwrap().as_secs_f64()
        };
        let (one, eight) = (time(100_000), time(800_000));
        assert!(eight < one * 24.0 + 0.001, "{name}: {one} s for n, {eight} s for 8n");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = parse(data) {
            let _ = message.check_routable();
        }
    }

    #[test]
    fn mutated_messages_never_panic_and_survive_unchanged(at in 0usize..600, byte in any::<u8>(), cut in 0usize..600) {
        let mut data = include_bytes!("../../../tests/torture/rfc4475/wsinv.dat").to_vec();
        let length = data.len();
        data[at % length] = byte;
        data.truncate(length - cut % length);
        if let Ok(message) = parse(data) {
            let _ = (message.check_routable(), message.contacts(), message.routes(), message.expires());
            let mut out = Vec::new();
            Edits::default().write(&message, &mut out);
            prop_assert_eq!(&out[..], message.own_bytes());
            prop_assert!(parse(out).is_ok());
        }
    }

    #[test]
    fn edits_keep_what_they_do_not_touch(a in 0usize..300, b in 0usize..300, text in "[a-z]{0,9}") {
        let data = include_bytes!("../../../tests/torture/rfc4475/wsinv.dat");
        let message = parse(&data[..]).unwrap();
        let (start, end) = (a.min(b) + 40, a.max(b) + 40);
        let mut edits = Edits::default();
        edits.replace(start, end, Bytes::from(text.clone()));
        let mut out = Vec::new();
        edits.write(&message, &mut out);
        let expected = [&data[..start], text.as_bytes(), &data[end..]].concat();
        prop_assert_eq!(out, expected);
    }
}
