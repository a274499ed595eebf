//! What becomes of a datagram: tables of input and outcome over the whole receive pipeline.
#![allow(clippy::unwrap_used)] // a test that cannot go on shall panic

use std::net::SocketAddr;

use sipyard_endpoint::{Core, Event, Setting};
use sipyard_transaction::{Flow, Listener, Protocol, Transmit};

const SECOND: u64 = 1_000_000;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

struct Bench {
    core: Core,
    now: u64,
}

impl Bench {
    fn new(queue_limit: usize) -> Bench {
        let mut core = Core::new([1, 2], queue_limit);
        core.add_listener(Listener::new(Protocol::Udp, address("192.0.2.1:5060"), None, None));
        Bench { core, now: SECOND }
    }

    fn receive_from(&mut self, remote: &str, data: &[u8]) {
        self.now += 1000;
        let flow = Flow { listener: 0, protocol: Protocol::Udp, remote: address(remote), connection: 0 };
        self.core.receive(self.now, data, flow, address("192.0.2.1:5060"));
    }

    fn receive(&mut self, data: &str) {
        self.receive_from("198.51.100.7:5070", data.as_bytes());
    }

    fn sent(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.core.poll_transmit()).collect()
    }

    fn statuses(&mut self) -> Vec<String> {
        self.sent().iter().map(|transmit| String::from_utf8_lossy(&transmit.data).chars().take(11).collect()).collect()
    }

    fn counter(&self, name: &str) -> u64 {
        self.core.counters().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }
}

fn request(method: &str, branch: &str, to_tag: &str) -> String {
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK{branch}\r\n\
         From: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>{to_tag}\r\nCall-ID: {branch}@host\r\n\
         CSeq: 7 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn reply(top: &str, second: &str) -> String {
    format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {top};branch=z9hG4bKnobody\r\n{second}\
         From: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>;tag=b1\r\nCall-ID: x@host\r\n\
         CSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn what_is_no_sip_is_counted_and_never_answered() {
    let rows: [(&[u8], &str); 9] = [
        (b"\r\n\r\n", "received.keepalives"),
        (b"\0\0\0\0", "received.keepalives"),
        (b"", "received.keepalives"),
        (b"hello", "dropped.short"),
        (b"\x01\x01\x00\x00\x21\x12\xa4\x42aaaaaaaaaaaa", "dropped.stun"),
        (b"\x80\x00\x12\x34\x00\x00\x00\x01\x11\x22\x33\x44xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "dropped.rtp"),
        (b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n", "dropped.not_sip"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "dropped.not_sip"),
        (b"this is a text of more than thirty-two letters", "dropped.not_sip"),
    ];
    for (data, counter) in rows {
        let mut bench = Bench::new(10);
        bench.receive_from("198.51.100.7:5070", data);
        assert_eq!(bench.counter(counter), 1, "{}", String::from_utf8_lossy(data));
        assert!(bench.sent().is_empty() && bench.events().is_empty());
    }
}

/// RFC 5626 §4.4.2: a phone asks by STUN whether its way is still open, and where it leads to.
#[test]
fn stun_is_answered_unless_it_is_not_wanted() {
    const BINDING: &[u8] = b"\x00\x01\x00\x00\x21\x12\xa4\x42aaaaaaaaaaaa";
    let mut bench = Bench::new(10);
    bench.receive_from("198.51.100.7:5070", BINDING);
    assert_eq!((bench.counter("sent.stun"), bench.sent().len()), (1, 1));
    bench.core.configure(Setting::Stun(false));
    bench.receive_from("198.51.100.7:5070", BINDING);
    assert_eq!((bench.counter("dropped.stun"), bench.sent().len()), (1, 0));
    assert!(bench.events().is_empty());
}

#[test]
fn malformed_requests_are_answered_where_that_is_possible() {
    let good = request("OPTIONS", "m1", "");
    let rows: [(String, &[&str]); 8] = [
        (good.replace("CSeq: 7 OPTIONS", "CSeq: 7 INVITE"), &["SIP/2.0 400"]),
        (good.replace("CSeq: 7", "CSeq: seven"), &["SIP/2.0 400"]),
        (good.replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), &["SIP/2.0 505"]),
        (good.replace("Content-Length: 0", "Content-Length: 999"), &["SIP/2.0 400"]),
        (good.replace("Call-ID", "X-Call-ID"), &["SIP/2.0 400"]),
        (good.replace("Via", "X-Via"), &[]),
        (good.replace("OPTIONS", "ACK").replace("CSeq: 7 ACK", "CSeq: nothing"), &[]),
        (reply("192.0.2.1", "").replace("CSeq: 7", "CSeq: x"), &[]),
    ];
    for (data, expected) in rows {
        let mut bench = Bench::new(10);
        bench.receive(&data);
        assert_eq!(bench.statuses(), expected, "{data}");
        assert!(bench.events().is_empty(), "{data}");
    }
}

#[test]
fn answers_to_malformed_requests_are_rationed_and_never_larger() {
    let mut bench = Bench::new(10);
    bench.core.configure(Setting::MalformedRateSource(5));
    bench.core.configure(Setting::MalformedRateTotal(8));
    let bad = request("OPTIONS", "m1", "").replace("CSeq: 7", "CSeq: x");
    (0..20).for_each(|_| bench.receive(&bad));
    assert_eq!((bench.sent().len(), bench.counter("malformed.limited")), (5, 15));
    (0..20).for_each(|_| bench.receive_from("203.0.113.9:5060", bad.as_bytes()));
    assert_eq!(bench.sent().len(), 3);

    let mut bench = Bench::new(10);
    let short = "A sip:a SIP/2.0\r\nv: SIP/2.0/UDP h\r\n\r\n";
    bench.receive(short);
    assert!(bench.sent().iter().all(|transmit| transmit.data.len() * 2 <= short.len() * 3));
    bench.core.configure(Setting::AnswerMalformed(false));
    bench.receive(&bad);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_full_queue_answers_503_but_calls_that_exist_go_on() {
    let mut bench = Bench::new(2);
    for branch in ["q1", "q2", "q3"] {
        bench.receive(&request("INVITE", branch, ""));
    }
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    let text = String::from_utf8_lossy(&sent[0].data).into_owned();
    assert!(text.starts_with("SIP/2.0 503 ") && text.contains("\r\nRetry-After: 5\r\n"), "{text}");
    bench.receive(&request("BYE", "q4", ";tag=b1"));
    bench.receive(&request("CANCEL", "q1", ""));
    bench.receive(&request("BYE", "q5", ";tag=b1"));
    bench.receive(&request("ACK", "q6", ""));
    assert_eq!(bench.statuses(), ["SIP/2.0 503"]);
    assert_eq!((bench.counter("overload.answered"), bench.counter("overload.dropped")), (2, 1));
    assert_eq!(bench.events().len(), 4);
    bench.receive(&request("INVITE", "q7", ""));
    assert_eq!(bench.events().len(), 1);
}

#[test]
fn retransmissions_wait_only_once_in_a_crowd() {
    let mut bench = Bench::new(1000);
    (0..40).for_each(|number| bench.receive(&request("INVITE", &format!("c{number}"), "")));
    (0..40).for_each(|number| bench.receive(&request("INVITE", &format!("c{number}"), "")));
    // The first 32 came while nothing waited and are told apart when the script makes their transactions.
    assert_eq!(bench.events().len(), 40 + 32);
    assert_eq!(bench.core.live().into_iter().find(|(name, _)| *name == "held").unwrap().1, 0);
}

#[test]
fn stray_replies_go_only_where_it_is_sane() {
    let up = |host: &str| format!("Via: SIP/2.0/UDP {host};branch=z9hG4bKup\r\n");
    let rows: [(&str, String, Option<&str>); 12] = [
        ("192.0.2.1", up("198.51.100.7:5070"), Some("198.51.100.7:5070")),
        ("192.0.2.1:5060", up("198.51.100.7"), Some("198.51.100.7:5060")),
        ("192.0.2.1", up("host.invalid;received=198.51.100.9;rport=777"), Some("198.51.100.9:777")),
        ("192.0.2.1", String::new(), None),
        ("192.0.2.9", up("198.51.100.7:5070"), None),
        ("192.0.2.1:5061", up("198.51.100.7:5070"), None),
        ("192.0.2.1", up("255.255.255.255"), None),
        ("192.0.2.1", up("224.0.1.75"), None),
        ("192.0.2.1", up("0.0.0.0"), None),
        ("192.0.2.1", up("host.invalid;received=224.0.1.75"), None),
        ("192.0.2.1", up("198.51.100.7:0"), None),
        ("192.0.2.1", up("host.invalid"), None),
    ];
    for (top, second, expected) in rows {
        let mut bench = Bench::new(10);
        bench.receive(&reply(top, &second));
        let remotes: Vec<String> = bench.sent().iter().map(|transmit| transmit.target.remote.to_string()).collect();
        assert_eq!(remotes, expected.into_iter().collect::<Vec<_>>(), "{top} {second}");
        assert_eq!(bench.counter("stray.dropped"), u64::from(expected.is_none()));
    }
}

#[test]
fn stray_replies_are_events_when_a_script_wants_them() {
    let mut bench = Bench::new(10);
    bench.core.configure(Setting::OnReply(true));
    bench.receive(&reply("192.0.2.1", "Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKup\r\n"));
    assert!(bench.sent().is_empty());
    let events = bench.events();
    let [Event::StrayReply(incoming)] = events.as_slice() else { panic!("{events:?}") };
    assert!(bench.core.forward_reply(incoming, &Default::default()));
    assert_eq!(bench.statuses(), ["SIP/2.0 200"]);
}

#[test]
fn the_ack_to_a_stateless_failure_is_absorbed() {
    let mut bench = Bench::new(10);
    bench.receive(&request("INVITE", "s1", ""));
    let events = bench.events();
    let [Event::Request(incoming)] = events.as_slice() else { panic!("{events:?}") };
    let reply = sipyard_transaction::Reply::new(404, b"Not Found");
    bench.core.reply_stateless(incoming.request().unwrap(), &Default::default(), &reply);
    let answer = String::from_utf8_lossy(&bench.sent()[0].data).into_owned();
    let tag = answer.split("To: ").nth(1).unwrap().split(";tag=").nth(1).unwrap().split("\r\n").next().unwrap();
    bench.receive(&request("ACK", "s1", &format!(";tag={tag}")));
    assert!(bench.events().is_empty());
    bench.receive(&request("ACK", "s1", ";tag=forged"));
    assert_eq!(bench.events().len(), 1);
}

#[test]
fn numeric_targets_need_a_listener_and_sense() {
    let mut bench = Bench::new(10);
    let rows = [
        ("sip:198.51.100.7", "198.51.100.7:5060"),
        ("sip:example.com", "name"),
        ("sip:198.51.100.7;transport=tcp", "NoListener"),
        ("sip:[2001:db8::1]", "NoListener"),
        ("sip:255.255.255.255", "Forbidden"),
        ("sip:224.0.1.75", "Forbidden"),
        ("sip:0.0.0.0", "Forbidden"),
    ];
    for (uri, expected) in rows {
        let found = match bench.core.target(uri.as_bytes(), None) {
            Ok(Some(target)) => target.remote.to_string(),
            Ok(None) => "name".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(found, expected, "{uri}");
    }
}

#[test]
fn own_requests_are_completed_and_acknowledged() {
    let mut bench = Bench::new(10);
    let target = bench.core.target(b"sip:198.51.100.7:5070", None).unwrap().unwrap();
    let headers = b"From: <sip:proxy@192.0.2.1>\r\nTo: <sip:bob@example.com>\r\nContact: <sip:192.0.2.1>\r\n";
    bench.core.request(b"INVITE", b"sip:bob@example.com", headers, b"", vec![target]).unwrap();
    let sent = String::from_utf8_lossy(&bench.sent()[0].data).into_owned();
    for part in
        ["Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK", ";tag=", "Call-ID: ", "CSeq: 1 INVITE", "Max-Forwards: 70"]
    {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    let value =
        |name: &str| sent.split(&format!("\r\n{name}: ")).nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let answer = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nRecord-Route: <sip:198.51.100.1;lr>, <sip:198.51.100.2;lr>\r\nFrom: {}\r\n\
         To: {};tag=b\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@203.0.113.5:5099>\r\nContent-Length: 0\r\n\r\n",
        value("Via"), value("From"), value("To"), value("Call-ID"),
    );
    bench.receive(&answer);
    let events = bench.events();
    let [Event::ClientReply { status: 200, reply, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert!(bench.core.acknowledge(reply, b"", b"").unwrap());
    let acks = bench.sent();
    let ack = String::from_utf8_lossy(&acks[0].data).into_owned();
    assert!(ack.starts_with("ACK sip:bob@203.0.113.5:5099 SIP/2.0\r\n"), "{ack}");
    assert_eq!(acks[0].target.remote, address("198.51.100.2:5060"));
    assert!(ack.contains("CSeq: 1 ACK\r\n") && ack.contains(";tag=b\r\n"), "{ack}");
    let rows: [(&[u8], &[u8], &[u8]); 4] = [
        (b"BAD METHOD", b"sip:a@b", headers),
        (b"OPTIONS", b"not a uri", headers),
        (b"OPTIONS", b"sip:a@b", b"To: <sip:bob@example.com>\r\n"),
        (b"OPTIONS", b"sip:a@b", b"Via: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\n"),
    ];
    for (method, uri, headers) in rows {
        assert!(bench.core.request(method, uri, headers, b"", vec![target]).is_err());
    }
}
