//! Edits and the writer that relays.

#![allow(clippy::unwrap_used)] // a test may fail

use bytes::Bytes;
use sipyard_wire::build::{ack_for, cancel_for, response_to, Response};
use sipyard_wire::{Edits, HeaderName, Limits, Message, Prologue, ViaMark};

const INVITE: &str = "INVITE sip:bob@b.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKa , SIP/2.0/TCP x;branch=z9hG4bKb\r\n\
    Max-Forwards: 70\r\n\
    Route: <sip:p1;lr>, <sip:p2;lr>\r\n\
    Route: <sip:p3;lr>\r\n\
    From: \"A, B\" <sip:a@a.example>;tag=1\r\n\
    To: <sip:bob@b.example>\r\n\
    Call-ID: c1\r\n\
    CSeq: 7 INVITE\r\n\
    X-Odd :  kept  \r\n\
    Content-Length: 4\r\n\
    \r\n\
    body";

fn parse(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn written(message: &Message, edits: &Edits) -> String {
    let mut out = Vec::new();
    edits.write(message, &mut out);
    text(out)
}

fn routes(message: &Message, edits: &Edits) -> Vec<String> {
    let again = parse(&written(message, edits));
    let fields = again.all(HeaderName::Route).map(|field| String::from_utf8_lossy(field.value).into_owned());
    fields.collect()
}

#[test]
fn nothing_edited_is_nothing_changed() {
    assert_eq!(written(&parse(INVITE), &Edits::default()), INVITE);
}

#[test]
fn values_of_a_list_go_one_by_one_and_the_field_with_the_last() {
    let message = parse(INVITE);
    let mut edits = Edits::default();
    let expected = [vec!["<sip:p2;lr>", "<sip:p3;lr>"], vec!["<sip:p3;lr>"], vec![]];
    for (value, expected) in message.values(HeaderName::Route).map(Result::unwrap).zip(expected) {
        edits.remove_value(&message, HeaderName::Route, &value);
        assert_eq!(routes(&message, &edits), expected);
    }
}

#[test]
fn values_go_in_any_order() {
    let all = ["a", "b", "c", "d"];
    for first in 0..4 {
        for second in (0..4).filter(|second| *second != first) {
            let message =
                parse(&INVITE.replace("<sip:p1;lr>, <sip:p2;lr>", "a,  b , c,d").replace("Route: <sip:p3;lr>\r\n", ""));
            let mut edits = Edits::default();
            for index in [first, second] {
                let value = message.values(HeaderName::Route).nth(index).unwrap().unwrap();
                edits.remove_value(&message, HeaderName::Route, &value);
            }
            let again = parse(&written(&message, &edits));
            let left: Vec<_> = again.values(HeaderName::Route).map(|value| value.unwrap().text.to_vec()).collect();
            let expected: Vec<_> =
                (0..4).filter(|at| *at != first && *at != second).map(|at| all[at].as_bytes()).collect();
            assert_eq!(left, expected, "without {first} and {second}");
        }
    }
}

#[test]
fn edits_stay_within_the_message() {
    let message = parse(&INVITE.replace("body", "bodyTRAILING"));
    for offset in [message.body_end() + 3, 100_000] {
        let mut edits = Edits::default();
        edits.insert(offset, Bytes::from_static(b"+"));
        assert!(written(&message, &edits).ends_with("Content-Length: 5\r\n\r\nbody+"), "{}", written(&message, &edits));
    }
    let mut edits = Edits::default();
    edits.remove(message.headers_end(), message.body_offset() + 2);
    assert!(written(&message, &edits).ends_with("\r\n\r\nbody"), "the empty line stays");
}

#[test]
fn a_removed_content_length_comes_back_with_a_new_body() {
    let message = parse(INVITE);
    let mut edits = Edits::default();
    edits.remove_field(&message.first(HeaderName::ContentLength).unwrap());
    edits.set_body(&message, Bytes::from_static(b"12345"));
    assert!(written(&message, &edits).ends_with("X-Odd :  kept  \r\nContent-Length: 5\r\n\r\n12345"));
}

#[test]
fn the_second_value_alone_can_go() {
    let message = parse(INVITE);
    let mut edits = Edits::default();
    let second = message.values(HeaderName::Route).nth(1).unwrap().unwrap();
    edits.remove_value(&message, HeaderName::Route, &second);
    assert_eq!(routes(&message, &edits), ["<sip:p1;lr>", "<sip:p3;lr>"]);
}

#[test]
fn the_relay_writes_its_via_on_top_and_marks_the_one_below() {
    let message = parse(INVITE);
    let mut edits = Edits::default();
    edits.append_header(&message, Bytes::from_static(b"P-Last: 1\r\n"));
    edits.prepend_header(&message, Bytes::from_static(b"P-First: 1\r\n"));
    let prologue = Prologue {
        uri: Some(b"sip:bob@10.9.9.9"),
        head: b"Via: SIP/2.0/UDP me;branch=z9hG4bKm\r\nRecord-Route: <sip:me;lr>\r\n",
        mark: ViaMark { received: Some(b"192.0.2.7"), rport: Some(6000) },
        drop_top_via: false,
        for_stream: false,
    };
    let mut out = Vec::new();
    edits.write_with(&message, &prologue, &mut out);
    let out = text(out);
    let lines: Vec<&str> = out.split("\r\n").collect();
    assert_eq!(lines[0], "INVITE sip:bob@10.9.9.9 SIP/2.0");
    assert_eq!(lines[1..4], ["Via: SIP/2.0/UDP me;branch=z9hG4bKm", "Record-Route: <sip:me;lr>", "P-First: 1"]);
    let marked =
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;received=192.0.2.7;rport=6000 , SIP/2.0/TCP x;branch=z9hG4bKb";
    assert_eq!(lines[4], marked);
    assert!(out.contains("X-Odd :  kept  \r\n") && out.ends_with("Content-Length: 4\r\nP-Last: 1\r\n\r\nbody"));
}

#[test]
fn a_received_that_the_sender_made_up_is_replaced() {
    let message = parse(&INVITE.replace(";rport;", ";received=1.2.3.4;"));
    let mark = ViaMark { received: Some(b"192.0.2.7"), rport: None };
    let mut out = Vec::new();
    Edits::default().write_with(&message, &Prologue { mark, ..Prologue::default() }, &mut out);
    let out = text(out);
    assert!(out.contains("5060;branch=z9hG4bKa;received=192.0.2.7 ,") && !out.contains("1.2.3.4"), "{out}");
}

#[test]
fn a_response_going_up_loses_its_top_via_only() {
    for (vias, left) in [
        ("Via: a/b/c me;x, SIP/2.0/UDP h;y\r\n", vec!["SIP/2.0/UDP h;y"]),
        ("Via: a/b/c me;x\r\nv: SIP/2.0/UDP h;y\r\n", vec!["SIP/2.0/UDP h;y"]),
        ("Via: a/b/c me;x\r\n", vec![]),
    ] {
        let message = parse(&format!("SIP/2.0 200 OK\r\n{vias}CSeq: 1 BYE\r\n\r\n"));
        let mut out = Vec::new();
        Edits::default().write_with(&message, &Prologue { drop_top_via: true, ..Prologue::default() }, &mut out);
        let after = parse(&text(out));
        let vias: Vec<_> =
            after.all(HeaderName::Via).map(|field| String::from_utf8_lossy(field.value).into_owned()).collect();
        assert_eq!(vias, left);
    }
}

#[test]
fn content_length_follows_the_body() {
    let message = parse(INVITE);
    let mut edits = Edits::default();
    edits.replace(message.body_offset() + 1, message.body_offset() + 3, Bytes::from_static(b"++++"));
    assert!(written(&message, &edits).ends_with("Content-Length: 8\r\n\r\nb++++y".replace('8', "6").as_str()));
    edits.set_body(&message, Bytes::from_static(b"new body"));
    assert!(written(&message, &edits).ends_with("Content-Length: 8\r\n\r\nnew body"));
    let bare = parse(&INVITE.replace("    ", "").replace("Content-Length: 4\r\n", ""));
    let mut edits = Edits::default();
    edits.set_body(&bare, Bytes::new());
    assert!(written(&bare, &edits).ends_with("Content-Length: 0\r\n\r\n"));
}

#[test]
fn overlapping_removals_merge() {
    let message = parse(INVITE);
    let mut edits = Edits::default();
    edits.remove(10, 20);
    edits.remove(15, 25);
    edits.remove(12, 14);
    assert_eq!(written(&message, &edits), [&INVITE[..10], &INVITE[25..]].concat());
}

#[test]
fn responses_copy_what_they_must() {
    let request = parse(&INVITE.replace("Max-Forwards: 70", "Record-Route: <sip:r;lr>"));
    let response = Response {
        status: 180,
        reason: b"Ringing",
        to_tag: Some(b"t"),
        mark: ViaMark { received: None, rport: Some(9) },
        ..Response::default()
    };
    let mut out = Vec::new();
    response_to(&request, &response, &mut out);
    assert_eq!(
        text(out),
        "SIP/2.0 180 Ringing\r\n\
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;rport=9 , SIP/2.0/TCP x;branch=z9hG4bKb\r\n\
         Record-Route: <sip:r;lr>\r\nFrom: \"A, B\" <sip:a@a.example>;tag=1\r\nTo: <sip:bob@b.example>;tag=t\r\n\
         Call-ID: c1\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn cancel_and_ack_name_the_branch_that_was_sent() {
    let sent = parse(INVITE);
    let (mut cancel, mut ack) = (Vec::new(), Vec::new());
    cancel_for(&sent, &mut cancel).unwrap();
    let mut busy = Vec::new();
    response_to(
        &sent,
        &Response { status: 486, reason: b"Busy", to_tag: Some(b"u"), ..Response::default() },
        &mut busy,
    );
    ack_for(&sent, &parse(&text(busy)), &mut ack).unwrap();
    let (cancel, ack) = (parse(&text(cancel)), parse(&text(ack)));
    assert_eq!((cancel.branch(), ack.branch()), (&b"z9hG4bKa"[..], &b"z9hG4bKa"[..]));
    assert_eq!((cancel.to_tag(), ack.to_tag()), (None, Some(&b"u"[..])));
    for message in [cancel, ack] {
        message.check_routable().unwrap();
        assert_eq!(message.all(HeaderName::Route).count(), 2);
        assert_eq!(message.vias().count(), 1);
        assert_eq!(message.cseq().unwrap().number, 7);
    }
}

#[test]
fn a_message_that_goes_into_a_stream_says_how_long_its_body_is() {
    let rows: [(&str, bool, usize); 4] = [
        ("OPTIONS sip:b SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n", true, 1),
        ("OPTIONS sip:b SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\nbody", true, 1),
        ("OPTIONS sip:b SIP/2.0\r\nl: 4\r\nCSeq: 1 OPTIONS\r\n\r\nbody", true, 0),
        ("OPTIONS sip:b SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n", false, 0),
    ];
    for (data, for_stream, added) in rows {
        let message = parse(data);
        let mut out = Vec::new();
        Edits::default().write_with(&message, &Prologue { for_stream, ..Prologue::default() }, &mut out);
        let line = format!("Content-Length: {}\r\n\r\n", message.body().len());
        assert_eq!(text(out).matches(&line).count(), added, "{}", data);
    }
}
