//! Messages as they leave, and what is done without state: RFC 3261 §16.6, §16.11, §18.2, RFC 3581.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;
use std::sync::Arc;

use sipyard_transaction::*;
use sipyard_wire::{HeaderName, Message};
use world::*;

fn forward(world: &mut World, request_: &Request, outgoing: &Outgoing, to: Target) -> Result<Message, RelayError> {
    world.layer.forward_stateless(world.now, request_, outgoing, &[to])?;
    world.drain();
    Ok(world.sent.last().expect("sent").message.clone())
}

fn via(message: &Message) -> &str {
    text(message.top_via_text())
}

#[test]
fn a_stateless_branch_is_the_same_each_time() {
    let mut world = World::new();
    let mut branches = Vec::new();
    for method in ["INVITE", "INVITE", "CANCEL", "ACK"] {
        let request_ = world.receive(&request(method, "z9hG4bKcall1", ""), "caller").expect("no transaction");
        let sent = forward(&mut world, &request_, &Outgoing::default(), target("bob")).expect("sent");
        assert_eq!(sent.vias().count(), 2);
        branches.push(via(&sent).to_owned());
    }
    branches.dedup();
    assert_eq!(branches.len(), 1, "{branches:?}");
    let request_ = world.receive(&request("INVITE", "z9hG4bKcall2", ""), "caller").expect("other");
    let other = forward(&mut world, &request_, &Outgoing::default(), target("bob")).expect("sent");
    assert_ne!(via(&other), branches[0]);
    world.expect_empty();
}

#[test]
fn its_responses_find_back_by_via() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let sent = forward(&mut world, &request_, &Outgoing::default(), target("bob")).expect("sent");
    world.trace();
    let data = response(&sent, 200, "bob", "");
    assert_eq!(world.respond(&data, "bob"), ResponseDisposition::Stray);
    let relayed = world.layer.forward_reply_stateless(0, &parse(&data), &no_edits(), 0);
    assert_eq!(relayed, StrayReply::Relayed);
    world.drain();
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert_eq!(world.last_reply("caller").vias().count(), 1);
}

#[test]
fn a_stray_response_goes_nowhere_foul() {
    let reply = |own: &str, next: &str| {
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKx\r\n{next}From: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let next = |sent_by: &str| format!("Via: SIP/2.0/UDP {sent_by};branch=z9hG4bKy\r\n");
    let cases = [
        (next("192.0.2.9:5070"), StrayReply::Relayed),
        (next("phone.invalid;received=192.0.2.9"), StrayReply::Relayed),
        (next("192.0.2.1;received=192.0.2.9;rport=4000"), StrayReply::Relayed),
        (next("phone.invalid"), StrayReply::Nowhere),
        (next("255.255.255.255"), StrayReply::Nowhere),
        (next("224.0.1.75"), StrayReply::Nowhere),
        (next("192.0.2.1;received=0.0.0.0"), StrayReply::Nowhere),
        (next("192.0.2.1:0"), StrayReply::Nowhere),
        (next("[2001:db8::1]"), StrayReply::NoListener),
        (String::new(), StrayReply::Nowhere),
    ];
    let mut world = World::new();
    for (line, expected) in cases {
        let message = parse(reply("198.51.100.1", &line).as_bytes());
        assert_eq!(world.layer.forward_reply_stateless(0, &message, &no_edits(), 0), expected, "{line}");
    }
    world.drain();
    assert_eq!(world.trace(), ["0 192.0.2.9:5070 200", "0 192.0.2.9:5060 200", "0 192.0.2.9:4000 200"]);

    let mut world = World::with(Config { check_via: true, ..Config::default() });
    let ours = parse(reply("198.51.100.1:5060", &next("192.0.2.9")).as_bytes());
    let others = parse(reply("198.51.100.2", &next("192.0.2.9")).as_bytes());
    assert_eq!(world.layer.forward_reply_stateless(0, &ours, &no_edits(), 0), StrayReply::Relayed);
    assert_eq!(world.layer.forward_reply_stateless(0, &others, &no_edits(), 0), StrayReply::NotOurs);
}

#[test]
fn a_stateless_answer_knows_its_ack() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    world.layer.reply_stateless(0, &request_, &Reply::new(404, b"Not Found"));
    world.drain();
    assert_eq!(world.trace(), ["0 caller 404"]);
    assert_eq!(text(world.last_reply("caller").to_tag().expect("tag")), world.layer.stateless_tag_of(&request_));
    assert!(world.ack().is_none());
    let stranger = request("ACK", "z9hG4bKcall1", ";tag=0123456789abcdef");
    let ack = world.receive(&stranger, "caller").expect("not ours");
    // Nobody answers an ACK.
    world.layer.reply_stateless(0, &ack, &Reply::new(500, b"No"));
    world.drain();
    assert_eq!(world.trace(), [""; 0]);
    world.expect_empty();
}

#[test]
fn where_responses_go() {
    let send = |via: &str, from: &str, config: Config, force_rport: bool| {
        let mut world = World::with(config);
        let message = invite().replace("192.0.2.1:5060;branch", &format!("{via};branch"));
        let mut request_ = world.receive(&message, from).expect("new");
        request_.force_rport = force_rport;
        world.layer.reply_stateless(0, &request_, &Reply::new(404, b"Not Found"));
        world.drain();
        let sent = world.sent.pop();
        sent.map_or_else(String::new, |sent| format!("{} {}", sent.target.remote, text(sent.message.top_via_text())))
    };
    let plain = Config::default;
    let to_via = || Config { reply_to_via: true, ..Config::default() };
    let branch = ";branch=z9hG4bKcall1";
    let cases = [
        // RFC 3261 §18.2.2: the source address, the port of the Via.
        ("192.0.2.1:5060", "192.0.2.1:4444", plain(), false, "192.0.2.1:5060", ""),
        ("192.0.2.1", "192.0.2.1:4444", plain(), false, "192.0.2.1:5060", ""),
        ("phone.example.com:5070", "192.0.2.7:4444", plain(), false, "192.0.2.7:5070", ";received=192.0.2.7"),
        ("10.0.0.1:5070", "192.0.2.7:4444", plain(), false, "192.0.2.7:5070", ";received=192.0.2.7"),
        // RFC 3581: the source port.
        ("192.0.2.1;rport", "192.0.2.1:4444", plain(), false, "192.0.2.1:4444", ";received=192.0.2.1;rport=4444"),
        ("10.0.0.1", "192.0.2.7:4444", plain(), true, "192.0.2.7:4444", ";received=192.0.2.7;rport=4444"),
        // maddr is a stranger's word; it counts with reply_to_via only, and never if foul.
        ("192.0.2.1;maddr=203.0.113.9", "192.0.2.1:5060", plain(), false, "192.0.2.1:5060", ""),
        ("192.0.2.1;maddr=203.0.113.9", "192.0.2.1:5060", to_via(), false, "203.0.113.9:5060", ""),
        ("192.0.2.1;maddr=224.0.1.75", "192.0.2.1:5060", to_via(), false, "192.0.2.1:5060", ""),
        ("192.0.2.8:5070", "192.0.2.7:4444", to_via(), false, "192.0.2.8:5070", ";received=192.0.2.7"),
    ];
    for (via, from, config, force, expected, mark) in cases {
        let got = send(via, from, config, force);
        let sent_by = via.replace(";rport", "");
        let rest = if via.contains(";rport") { format!("{sent_by}{branch}") } else { format!("{via}{branch}") };
        assert_eq!(got, format!("{expected} SIP/2.0/UDP {rest}{mark}"), "{via}");
    }
    // A source that cannot be answered is not.
    assert_eq!(send("192.0.2.1", "255.255.255.255:5060", plain(), false), "");
}

#[test]
fn the_via_and_the_record_routes_that_we_write() {
    let mut world = World::new();
    world.layer.add_listener(Listener::new(Protocol::Udp, address("[2001:db8::5]:5070"), None, None));
    let advertised = Listener::new(Protocol::Tcp, address(PROXY), Some("sip.example.com".into()), Some(5090));
    world.layer.add_listener(advertised);
    let request_ = world.receive(&invite(), "caller").expect("new");
    let record_route = |user: Option<&str>, preset: Option<&str>| {
        shared(RecordRoute {
            user: user.map(|user| user.to_owned().into()),
            params: ";ftag=f1;lr".into(),
            preset: preset.map(|preset| preset.to_owned().into()),
        })
    };
    let plain = Outgoing { record_route: record_route(None, None), ..Outgoing::default() };
    let sent = forward(&mut world, &request_, &plain, target("bob")).expect("sent");
    assert!(via(&sent).starts_with("SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKs"));
    let routes = |message: &Message| {
        message.all(HeaderName::RecordRoute).map(|field| text(field.value).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(routes(&sent), ["<sip:198.51.100.1;ftag=f1;lr>"]);

    // Another socket out: two, the outgoing one on top.
    let sent = forward(&mut world, &request_, &plain, target("[2001:db8::9]:5060")).expect("sent");
    assert!(via(&sent).starts_with("SIP/2.0/UDP [2001:db8::5]:5070;branch="));
    let double = ["<sip:[2001:db8::5]:5070;r2=on;ftag=f1;lr>", "<sip:198.51.100.1;r2=on;ftag=f1;lr>"];
    assert_eq!(routes(&sent), double);

    let tcp = Target { protocol: Protocol::Tcp, ..target("bob") };
    let sent = forward(&mut world, &request_, &plain, tcp).expect("sent");
    assert!(via(&sent).starts_with("SIP/2.0/TCP sip.example.com:5090;branch="));
    assert_eq!(routes(&sent)[0], "<sip:sip.example.com:5090;transport=tcp;r2=on;ftag=f1;lr>");

    let preset = Outgoing { record_route: record_route(Some("u"), Some("edge.example.com")), ..Outgoing::default() };
    let sent = forward(&mut world, &request_, &preset, tcp).expect("sent");
    assert_eq!(routes(&sent), ["<sip:u@edge.example.com;ftag=f1;lr>"]);

    let advertise = Advertised { host: Some("nat.example.com".into()), port: Some(6000) };
    let own = Outgoing { advertised: Some(Arc::new(advertise)), uri: Some("sip:b@203.0.113.1".into()), ..plain };
    let sent = forward(&mut world, &request_, &own, target("bob")).expect("sent");
    assert!(via(&sent).starts_with("SIP/2.0/UDP nat.example.com:6000;branch="));
    assert_eq!(routes(&sent), ["<sip:nat.example.com:6000;ftag=f1;lr>"]);
    assert_eq!(text(sent.request_uri()), "sip:b@203.0.113.1");
}

#[test]
fn the_first_target_that_can_be_reached() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let targets = [target("[2001:db8::9]:5060"), target("bob"), target("carol")];
    world.layer.forward_stateless(0, &request_, &Outgoing::default(), &targets).expect("sent");
    world.drain();
    assert_eq!(world.trace(), ["0 bob INVITE"]);
    let none = world.layer.forward_stateless(0, &request_, &Outgoing::default(), &[]);
    assert_eq!(none, Err(RelayError::NoBranches));
    let unreachable = forward(&mut world, &request_, &Outgoing::default(), target("[2001:db8::9]:5060"));
    assert!(matches!(unreachable, Err(RelayError::Send)));
}

#[test]
fn a_stateless_loop_is_found() {
    let mut world = World::new();
    let mut again = invite();
    let mut from = "caller";
    for round in 0..3 {
        let request_ = world.receive(&again, from).expect("no transaction");
        match forward(&mut world, &request_, &Outgoing::default(), target("proxy")) {
            Ok(sent) => again = text(sent.bytes()).to_owned(),
            Err(error) => return assert_eq!((error, round), (RelayError::Loop, 2)),
        }
        from = "proxy";
    }
    panic!("not found");
}

#[test]
fn locally_made_responses() {
    let config = Config { server: Some("Test".into()), warning: true, ..Config::default() };
    let mut world = World::with(config);
    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    world.layer.reply(0, id, &Reply::new(100, b"Trying")).expect("sent");
    let reply = Reply { headers: b"Contact: <sip:x@y>\r\n", to_tag: Some(b"mine"), ..Reply::new(302, b"Moved") };
    world.layer.reply(0, id, &reply).expect("sent");
    world.drain();
    assert_eq!(world.sent[0].message.to_tag(), None);
    let reply = world.last_reply("caller");
    assert_eq!(text(reply.to_tag().expect("tag")), "mine");
    assert_eq!(header(reply, HeaderName::Contact), "<sip:x@y>");
    assert_eq!(header(reply, HeaderName::Server), "Test");
    let warning = reply.by_name(b"Warning").next().expect("Warning").value;
    assert!(text(warning).contains("req_src_ip=192.0.2.1 req_src_port=5060"));
    world.ack();
    world.expect_empty();

    let mut world = World::with(Config { server: None, ..Config::default() });
    let request_ = world.receive(&invite(), "caller").expect("new");
    world.layer.reply_stateless(0, &request_, &Reply::new(404, b"Not Found"));
    world.drain();
    assert!(world.last_reply("caller").first(HeaderName::Server).is_none());
}

#[test]
fn over_a_connection_there_is_nothing_to_repeat() {
    let mut world = World::new();
    world.layer.add_listener(Listener::new(Protocol::Tcp, address(PROXY), None, None));
    let message = parse(invite().replace("SIP/2.0/UDP", "SIP/2.0/TCP").as_bytes());
    let flow = Flow { listener: 1, protocol: Protocol::Tcp, remote: address("caller"), connection: 7 };
    let request_ = world.layer.request_of(message, flow);
    assert_eq!(world.layer.receive_request(0, &request_), Disposition::Deliver);
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    let tcp = Target { protocol: Protocol::Tcp, ..target("bob") };
    let branch = Branch { outgoing: Outgoing::default(), targets: vec![tcp], q: 500 };
    world.layer.relay(0, id, vec![branch]).expect("sent");
    world.drain();
    assert_eq!((world.sent[0].target.connection, world.sent[1].target.listener), (7, Some(1)));
    world.run(5 * S);
    world.answer("bob", 486);
    let ack = request("ACK", "z9hG4bKcall1", ";tag=tag-bob").replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "5000 bob ACK", "5000 caller 486"]);
    assert_eq!(world.layer.branches(id).map(|branch| (branch.status, branch.q)).collect::<Vec<_>>(), [(486, 500)]);
    let ack = world.layer.request_of(parse(ack.as_bytes()), flow);
    assert_eq!(world.layer.receive_request(world.now, &ack), Disposition::Absorbed);
    // I and D are nothing here (RFC 3261 §17.1.1.2, §17.2.1).
    assert_eq!(world.layer.counts().server, 0);
}
