//! What reading and writing one INVITE costs: `cargo bench -p sipyard-wire`. The best of several rounds, in nanoseconds.

#![allow(clippy::unwrap_used, missing_docs)] // a program to measure with

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sipyard_wire::{Edits, Limits, Message, Prologue, ViaMark};

const INVITE: &[u8] = b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-12345-1-0;rport\r\n\
    From: sipp <sip:sipp@127.0.0.1:5070>;tag=12345SIPpTag001\r\n\
    To: bob <sip:bob@127.0.0.1:5060>\r\nCall-ID: 1-12345@127.0.0.1\r\nCSeq: 1 INVITE\r\n\
    Contact: sip:sipp@127.0.0.1:5070\r\nMax-Forwards: 70\r\nSubject: Performance Test\r\n\
    User-Agent: bench\r\nAllow: INVITE, ACK, BYE, CANCEL\r\n\
    Content-Type: application/sdp\r\nContent-Length: 129\r\n\r\n\
    v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

fn measure(name: &str, mut work: impl FnMut()) {
    const ROUND: u32 = 50_000;
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..ROUND).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / f64::from(ROUND)
    };
    let best = (0..10).map(|_| round(&mut work)).fold(f64::MAX, f64::min);
    println!("{name:32} {best:8.0} ns");
}

fn main() {
    let data = Bytes::from_static(INVITE);
    let limits = Limits::default();
    measure("index", || {
        black_box(Message::parse(data.clone(), &limits).unwrap());
    });
    measure("index and check", || {
        let message = Message::parse(data.clone(), &limits).unwrap();
        message.check_routable().unwrap();
        black_box(message);
    });
    let message = Message::parse(data.clone(), &limits).unwrap();
    let mark = ViaMark { received: None, rport: Some(5070) };
    let head = b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKt0000\r\n";
    let prologue =
        Prologue { uri: Some(b"sip:bob@127.0.0.1:5080"), head, mark, drop_top_via: false, for_stream: false };
    let mut out = Vec::with_capacity(2048);
    measure("write relayed", || {
        out.clear();
        Edits::default().write_with(&message, &prologue, &mut out);
        black_box(&out);
    });
}
