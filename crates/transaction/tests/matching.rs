//! Who belongs to whom: RFC 3261 §17.1.3, §17.2.3, SER's rules for older peers, loops and spirals (RFC 5393).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;
use sipyard_transaction::*;
use sipyard_wire::HeaderName;
use world::*;

#[test]
fn a_retransmitted_invite_gets_the_last_response() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    assert!(world.receive(&invite(), "caller").is_none());
    world.answer("bob", 183);
    assert!(world.receive(&invite(), "caller").is_none());
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "0 caller 100", "0 caller 183", "0 caller 183"]);
    let request_ = world.layer.request_of(parse(invite().as_bytes()), flow("caller"));
    assert!(matches!(world.layer.new_transaction(0, &request_), NewTransaction::Retransmission(_)));
    assert!(world.layer.lookup(&request_).is_some());
}

#[test]
fn the_branch_is_a_token_and_compares_without_case() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    assert!(world.receive(&invite().replace("z9hG4bKcall1", "Z9HG4BKCALL1"), "caller").is_none());
    // Ours comes back in capitals.
    let sent = text(&world.last("INVITE", "bob").data).to_owned();
    let start = sent.find("z9hG4bKt").expect("our branch");
    let branch = &sent[start..start + 51];
    let shouted = sent.replace(branch, &branch.to_ascii_uppercase());
    let data = response(&parse(shouted.as_bytes()), 486, "bob", "");
    assert_eq!(world.respond(&data, "bob"), ResponseDisposition::Owned);
    world.ack();
    world.expect_empty();
}

#[test]
fn what_must_differ_for_another_transaction() {
    for (from, to) in [
        ("z9hG4bKcall1", "z9hG4bKcall2"),
        ("UDP 192.0.2.1:5060", "UDP 192.0.2.1:5070"),
        ("CSeq: 1 ", "CSeq: 2 "),
        ("Call-ID: c1", "Call-ID: c2"),
    ] {
        let mut world = World::new();
        world.relay(&invite(), &["bob"]);
        assert!(world.receive(&invite().replace(from, to), "caller").is_some(), "{to}");
    }
}

#[test]
fn responses_match_by_branch_and_method() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    let good = text(&response(&world.last("INVITE", "bob").message, 200, "bob", "")).to_owned();
    let secret = good.find("z9hG4bKt").expect("ours") + 20;
    let mut guessed = good.clone();
    guessed.replace_range(secret..secret + 1, if &good[secret..=secret] == "0" { "1" } else { "0" });
    assert_eq!(world.respond(guessed.as_bytes(), "eve"), ResponseDisposition::Stray);
    let mut branch = good.clone();
    let number = good.find("z9hG4bKt").expect("ours") + 32;
    branch.replace_range(number..number + 2, "01");
    assert_eq!(world.respond(branch.as_bytes(), "eve"), ResponseDisposition::Stray);
    world.trace();
    // The method of another transaction: ours, but to be ignored; so is one to a CANCEL that was never sent.
    world.respond(good.replace("CSeq: 1 INVITE", "CSeq: 1 BYE").as_bytes(), "bob");
    world.respond(good.replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL").as_bytes(), "bob");
    assert_eq!(world.trace(), [""; 0]);
    assert_eq!(world.layer.counters().stray_responses, 2);
}

fn old(method: &str, to_tag: &str) -> String {
    request(method, "", to_tag).replace(";branch=", "")
}

#[test]
fn peers_from_before_rfc_3261() {
    let mut world = World::new();
    world.relay(&old("INVITE", ""), &["bob"]);
    assert!(world.receive(&old("INVITE", ""), "caller").is_none());
    world.answer("bob", 486);
    // The ACK to the failure: To carries the tag now.
    assert!(world.receive(&old("ACK", ";tag=tag-bob"), "caller").is_none());
    world.expect_empty();

    let mut world = World::new();
    world.relay(&old("INVITE", ""), &["bob"]);
    world.answer("bob", 180);
    world.trace();
    let request_ = world.receive(&old("CANCEL", ""), "caller").expect("delivered");
    assert_eq!(world.layer.relay_cancel(0, &request_), CancelOutcome::Handled);
    world.drain();
    assert_eq!(world.trace(), ["0 bob CANCEL", "0 caller 200"]);
    world.answer("bob", 487);
    assert!(world.receive(&old("ACK", ";tag=tag-bob"), "caller").is_none());
    world.expect_empty();
}

#[test]
fn the_ack_to_a_2xx_is_the_scripts_even_from_old_peers() {
    let mut world = World::new();
    world.relay(&old("INVITE", ""), &["bob"]);
    world.answer("bob", 200);
    assert!(world.receive(&old("ACK", ";tag=tag-bob"), "caller").is_some());
    world.expect_empty();
}

#[test]
fn old_peers_are_compared_as_strictly_as_set() {
    for strict in [true, false] {
        let config = Config { ruri_matching: strict, via1_matching: strict, ..Config::default() };
        let mut world = World::with(config);
        world.relay(&old("INVITE", ""), &["bob"]);
        let uri = old("INVITE", "").replace("INVITE sip:bob@example.com", "INVITE sip:bob@198.51.100.1");
        let via = old("INVITE", "").replace("UDP 192.0.2.1:5060", "UDP 192.0.2.1:5070");
        for other in [uri, via] {
            assert_eq!(world.receive(&other, "caller").is_some(), strict);
        }
        let from = old("INVITE", "").replace("tag=f1", "tag=f2");
        assert!(world.receive(&from, "caller").is_some());
    }
}

#[test]
fn a_bare_cookie_is_no_branch() {
    let mut world = World::new();
    world.relay(&request("INVITE", "z9hG4bK", ""), &["bob"]);
    let other = request("INVITE", "z9hG4bK", "").replace("tag=f1", "tag=f2");
    assert!(world.receive(&other, "caller").is_some());
}

#[test]
fn retransmissions_of_a_request_whose_script_waits() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    world.layer.hold(world.now, &request_);
    assert!(world.receive(&invite(), "caller").is_none());
    world.layer.unhold(&request_);
    let request_ = world.receive(&invite(), "caller").expect("not held any more");
    world.layer.hold(world.now, &request_);
    assert_eq!(world.layer.counts().pending, 1);
    // The transaction takes over.
    assert!(matches!(world.layer.new_transaction(0, &request_), NewTransaction::New(_)));
    assert_eq!(world.layer.counts().pending, 0);
    let other = world.receive(&request("OPTIONS", "z9hG4bKo", ""), "caller").expect("new");
    world.layer.hold(world.now, &other);
    world.expect_empty();
}

#[test]
fn an_identity_outlives_nothing() {
    let mut world = World::new();
    let first = world.relay(&request("BYE", "z9hG4bK1", ""), &["bob"]);
    world.answer_to("BYE", "bob", 200);
    world.run(40 * S);
    let second = world.relay(&request("BYE", "z9hG4bK2", ""), &["bob"]);
    assert_ne!(first, second);
    assert_eq!(TxId::from_u64(second.to_u64()), second);
    assert!(world.layer.facts(first).is_none() && world.layer.facts(second).is_some());
    assert_eq!(world.layer.reply(0, first, &Reply::new(200, b"OK")), Err(ReplyError::Unknown));
    assert_eq!(world.fork(first, &["bob"]), Err(RelayError::Unknown));
    assert!(!world.layer.resume_failure(0, first) && !world.layer.arm(first, Arm::NONE));
}

/// What the proxy sent last comes back to it, by way of `via`.
fn sent_to_itself(world: &World, via: &str) -> String {
    let sent = text(&world.last("INVITE", via).data);
    sent.to_owned()
}

#[test]
fn a_loop_is_found() {
    let mut world = World::new();
    world.relay(&invite(), &["proxy"]);
    let mut again = sent_to_itself(&world, "proxy");
    for round in 0.. {
        let request_ = world.receive(&again, "proxy").expect("another transaction");
        let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
        match world.fork(id, &["proxy"]) {
            Ok(_) => again = sent_to_itself(&world, "proxy"),
            Err(error) => {
                assert_eq!((error, error.status().0, round), (RelayError::Loop, 482, 1));
                world.layer.reply(0, id, &Reply::new(482, b"Loop Detected")).expect("sent");
                break;
            }
        }
    }
    assert_eq!(world.layer.counters().loops, 1);
    world.expect_empty();
}

#[test]
fn a_spiral_is_none() {
    let mut world = World::new();
    world.relay(&invite(), &["proxy"]);
    for user in ["carol", "dave", "eve"] {
        let again = sent_to_itself(&world, "proxy");
        let target = format!("INVITE sip:{user}@example.com SIP/2.0");
        let (_, rest) = again.split_once("\r\n").expect("lines");
        let request_ = world.receive(&format!("{target}\r\n{rest}"), "proxy").expect("delivered");
        let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
        world.fork(id, &["proxy"]).expect("a spiral");
    }
    assert_eq!(world.layer.counters().loops, 0);
}

/// RFC 5393 §3: two users, each registered as both; every request forks into two that come back.
#[test]
fn crossed_registrations_do_not_explode() {
    let mut world = World::new();
    let mut waiting = vec![(invite(), "caller")];
    let mut rounds = 0;
    while let Some((message, from)) = waiting.pop() {
        rounds += 1;
        assert!(rounds < 100, "it explodes");
        let Some(request_) = world.receive(&message, from) else { continue };
        let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
        let branches = ["sip:bob@example.com", "sip:carol@example.com"].map(|uri| {
            let mut branch = branch_to(&["proxy"]);
            branch.outgoing.uri = Some(uri.into());
            branch
        });
        let seen = world.sent.len();
        if world.layer.relay(0, id, branches.to_vec()).is_err() {
            world.layer.reply(0, id, &Reply::new(482, b"Loop Detected")).expect("sent");
        }
        world.drain();
        let sent = world.sent[seen..].iter().filter(|sent| sent.to == "proxy" && sent.message.is_request());
        waiting.extend(sent.map(|sent| (text(&sent.data).to_owned(), "proxy")));
    }
    assert!(world.sent.iter().filter(|sent| sent.message.is_request()).count() < 100);
}

#[test]
fn without_loop_detection_it_is_max_forwards_affair() {
    let mut world = World::with(Config { loop_detection: false, ..Config::default() });
    world.relay(&invite(), &["proxy"]);
    for _ in 0..10 {
        let again = sent_to_itself(&world, "proxy");
        assert_eq!(header(&parse(again.as_bytes()), HeaderName::MaxForwards), "70");
        let request_ = world.receive(&again, "proxy").expect("delivered");
        let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
        world.fork(id, &["proxy"]).expect("sent");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed| {
        let mut world = World::with(Config { seed, ..Config::default() });
        world.relay(&invite(), &["bob", "carol"]);
        world.answer("bob", 486);
        world.answer("carol", 486);
        world.run(10 * S);
        world.sent.iter().map(|sent| (sent.at, sent.data.clone())).collect::<Vec<_>>()
    };
    assert_eq!(run([1, 2]), run([1, 2]));
    assert_ne!(run([1, 2]), run([3, 4]));
}
