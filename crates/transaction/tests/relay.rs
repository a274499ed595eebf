//! The response context: what of the branches' answers goes upstream (RFC 3261 §16.7, ser-semantics §6, §7).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;
use sipyard_transaction::*;
use sipyard_wire::HeaderName;
use world::*;

fn forked(parties: &[&str]) -> (World, TxId) {
    forked_with(Config::default(), parties)
}

fn forked_with(config: Config, parties: &[&str]) -> (World, TxId) {
    let mut world = World::with(config);
    let id = world.relay(&invite(), parties);
    world.trace();
    (world, id)
}

#[test]
fn a_call() {
    let (mut world, id) = forked(&["bob"]);
    world.answer("bob", 100);
    world.answer("bob", 180);
    world.run(2 * S);
    world.answer("bob", 200);
    assert_eq!(world.trace(), ["0 caller 180", "2000 caller 200"]);
    let via = header(world.last_reply("caller"), HeaderName::Via);
    assert!(via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKcall1"), "{via}");
    assert_eq!(world.layer.facts(id).expect("alive").status, 200);
    // The ACK to a 2xx is the script's, which forwards it without state.
    let ack = world.receive(&request("ACK", "z9hG4bKack", ";tag=tag-bob"), "caller").expect("delivered");
    world.layer.forward_stateless(world.now, &ack, &Outgoing::default(), &[target("bob")]).expect("sent");
    world.drain();
    assert_eq!(world.trace(), ["2000 bob ACK"]);
    world.expect_empty();
}

#[test]
fn the_first_2xx_cancels_the_others() {
    let (mut world, _) = forked(&["bob", "carol", "dave"]);
    world.answer("bob", 180);
    world.answer("carol", 180);
    world.trace();
    world.answer("carol", 200);
    // Dave was never heard of: no CANCEL to him yet (RFC 3261 §9.1).
    assert_eq!(world.trace(), ["0 caller 200", "0 bob CANCEL"]);
    world.answer_to("CANCEL", "bob", 200);
    world.answer("bob", 487);
    assert_eq!(world.trace(), ["0 bob ACK"]);
    world.run(S);
    world.answer("dave", 180);
    assert_eq!(world.trace(), ["1000 dave CANCEL"]);
    world.answer("dave", 487);
    assert_eq!(world.trace(), ["1000 dave ACK"]);
    world.expect_empty();
}

#[test]
fn two_answer_at_once_and_both_2xx_pass() {
    let (mut world, _) = forked(&["bob", "carol"]);
    world.answer("bob", 180);
    world.answer("carol", 180);
    world.answer("bob", 200);
    world.trace();
    world.answer("carol", 200);
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert_eq!(text(world.last_reply("caller").to_tag().expect("tag")), "tag-carol");
    world.expect_empty();
}

#[test]
fn the_best_failure_wins_when_all_are_in() {
    let (mut world, id) = forked(&["bob", "carol", "dave"]);
    world.answer("bob", 486);
    world.answer("carol", 503);
    assert_eq!(world.trace(), ["0 bob ACK", "0 carol ACK"]);
    world.answer("dave", 404);
    assert_eq!(world.trace(), ["0 dave ACK", "0 caller 404"]);
    assert_eq!(world.layer.facts(id).expect("alive").picked_status, 404);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_6xx_cancels_the_others_and_wins() {
    let (mut world, _) = forked(&["bob", "carol", "dave"]);
    world.answer("bob", 180);
    world.trace();
    world.answer("carol", 603);
    assert_eq!(world.trace(), ["0 carol ACK", "0 bob CANCEL"]);
    world.answer("bob", 487);
    assert_eq!(world.trace(), ["0 bob ACK", "0 caller 603"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn in_ser_0_9_the_lowest_wins_and_nobody_is_cancelled() {
    let config = Config { best_response: Generation::Ser09, ..Config::default() };
    let (mut world, _) = forked_with(config, &["bob", "carol"]);
    world.answer("bob", 180);
    world.answer("carol", 603);
    world.trace();
    world.run(S);
    assert_eq!(world.trace(), [""; 0]);
    world.answer("bob", 486);
    assert_eq!(world.trace(), ["1000 bob ACK", "1000 caller 486"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_2xx_after_a_6xx_passes() {
    let (mut world, _) = forked(&["bob", "carol"]);
    world.answer("bob", 180);
    world.answer("carol", 603);
    world.trace();
    world.answer("bob", 200);
    assert_eq!(world.trace(), ["0 caller 200"]);
    world.expect_empty();

    // Even when the 6xx went upstream already: Bob had not been heard of.
    let (mut world, _) = forked(&["bob", "carol"]);
    world.answer("carol", 603);
    assert_eq!(world.trace(), ["0 carol ACK", "0 caller 603"]);
    world.answer("bob", 200);
    assert_eq!(world.trace(), ["0 caller 200"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn late_provisionals_do_not_pass() {
    let (mut world, _) = forked(&["bob", "carol"]);
    world.answer("carol", 180);
    world.answer("carol", 200);
    world.answer("bob", 180);
    world.trace();
    world.answer("bob", 183);
    world.answer("carol", 180);
    assert_eq!(world.trace(), [""; 0]);
    world.expect_empty();
}

#[test]
fn a_503_is_not_passed_on() {
    let (mut world, _) = forked(&["bob"]);
    world.answer("bob", 503);
    assert_eq!(world.trace(), ["0 bob ACK", "0 caller 500"]);
    world.ack();
    world.expect_empty();

    let (mut world, _) = forked_with(Config { best_response: Generation::Ser09, ..Config::default() }, &["bob"]);
    world.answer("bob", 503);
    assert_eq!(world.trace(), ["0 bob ACK", "0 caller 503"]);
}

#[test]
fn challenges_are_merged() {
    let (mut world, _) = forked(&["bob", "carol", "dave"]);
    world.answer_with("bob", 407, "Proxy-Authenticate: Digest realm=\"b\"\r\n");
    world.answer_with("carol", 401, "WWW-Authenticate: Digest realm=\"c\"\r\n");
    world.answer("dave", 486);
    let reply = world.last_reply("caller").clone();
    assert_eq!(reply.status(), 401);
    assert_eq!(header(&reply, HeaderName::WwwAuthenticate), "Digest realm=\"c\"");
    assert_eq!(header(&reply, HeaderName::ProxyAuthenticate), "Digest realm=\"b\"");
    world.ack();
    world.expect_empty();

    let (mut world, _) = forked_with(Config { aggregate_challenges: false, ..Config::default() }, &["bob", "carol"]);
    world.answer_with("bob", 401, "WWW-Authenticate: Digest realm=\"b\"\r\n");
    world.answer_with("carol", 401, "WWW-Authenticate: Digest realm=\"c\"\r\n");
    assert_eq!(world.last_reply("caller").all(HeaderName::WwwAuthenticate).count(), 1);
}

#[test]
fn the_failure_route_forks_again() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::FAILURE);
    world.answer("bob", 486);
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "0 bob ACK"]);
    let events = world.events();
    let [Event::Failure { tx, status: 486, branch: 0, reply: Some((message, flow)) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*tx, message.status()), (id, 486));
    assert_eq!(*flow, world::flow("bob"));
    world.run(S);
    world.layer.arm(id, Arm::FAILURE);
    world.fork(id, &["carol"]).expect("forked");
    world.resume_failure(id);
    assert_eq!(world.trace(), ["1000 carol INVITE"]);
    world.answer("carol", 404);
    // 404 and 486: SER 2.0 picks the lower among the 4xx.
    let events = world.events();
    assert!(matches!(events[..], [Event::Failure { status: 404, branch: 1, .. }]), "{events:?}");
    world.resume_failure(id);
    assert_eq!(world.trace(), ["1000 carol ACK", "1000 caller 404"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn the_failure_route_answers() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::FAILURE | Arm::FINAL | Arm::ENDED);
    world.answer("bob", 486);
    world.trace();
    world.layer.reply(world.now, id, &Reply::new(600, b"Enough")).expect("sent");
    world.drain();
    assert!(!world.layer.resume_failure(world.now, id));
    assert_eq!(world.trace(), ["0 caller 600"]);
    assert_eq!(world.layer.reply(world.now, id, &Reply::new(500, b"Again")), Err(ReplyError::Final));
    assert_eq!(world.fork(id, &["carol"]), Err(RelayError::Final));
    world.ack();
    world.expect_empty();
    let kinds: Vec<_> = world.events().into_iter().skip(1).collect();
    assert!(
        matches!(kinds[..], [Event::Final { status: 600, message: None, .. }, Event::Ended { status: 600, .. }]),
        "{kinds:?}"
    );
}

/// Until it may go nothing changes what was decided.
#[test]
fn a_final_response_waits() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob", "carol"], Arm::HOLD);
    world.trace();
    world.answer("bob", 200);
    world.answer("carol", 200);
    assert_eq!(world.layer.reply(world.now, id, &Reply::new(500, b"Late")), Err(ReplyError::Final));
    assert!(world.trace().iter().all(|line| !line.contains("caller 200")));
    assert!(world.layer.facts(id).expect("alive").is_answer_held);
    assert!(matches!(world.events()[..], [.., Event::Final { status: 200, held: true, message: Some(_), .. }]));
    assert!(world.layer.resume_final(world.now, id));
    world.drain();
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert!(world.events().is_empty());
    assert!(!world.layer.facts(id).expect("alive").is_answer_held);
}

#[test]
fn a_final_response_that_nobody_lets_go_does() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::HOLD);
    world.answer("bob", 404);
    world.trace();
    world.run(60 * S);
    assert_eq!(world.trace()[0], "60000 caller 404");
    world.ack();
    world.expect_empty();
    assert!(!world.layer.resume_final(world.now, id));
}

#[test]
fn a_failure_route_that_never_ends_is_not_waited_for() {
    let mut world = World::new();
    world.relay_armed(&invite(), &["bob"], Arm::FAILURE);
    world.answer("bob", 486);
    world.trace();
    world.run(60 * S);
    assert_eq!(world.trace()[0], "60000 caller 486");
    world.ack();
    world.expect_empty();
}

#[test]
fn a_timeout_reaches_the_failure_route() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::FAILURE);
    world.run(30 * S);
    assert!(matches!(world.events()[..], [Event::Failure { status: 408, reply: None, .. }]));
    let facts = world.layer.facts(id).expect("alive");
    assert!(facts.any_timeout && facts.branch_timeout && !facts.any_replied && !facts.branch_replied);
    assert!(facts.request.is_some());
    world.resume_failure(id);
    world.ack();
    world.expect_empty();
}

#[test]
fn replies_wait_for_their_route() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::REPLY);
    world.answer("bob", 180);
    world.answer("bob", 200);
    world.trace();
    let events = world.events();
    let [Event::Reply { token: ringing, .. }, Event::Reply { token: answered, message, branch: 0, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    // The 200 overtakes: the 180 is too late then.
    let mut edits = no_edits();
    edits.append_header(message, "X-Edited: yes\r\n".into());
    assert!(world.layer.resume_reply(world.now, id, *answered, true, Some(edits)));
    assert!(world.layer.resume_reply(world.now, id, *ringing, true, None));
    assert!(!world.layer.resume_reply(world.now, id, *ringing, true, None));
    world.drain();
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert_eq!(world.last_reply("caller").by_name(b"X-Edited").count(), 1);
    world.expect_empty();
}

#[test]
fn failures_are_acknowledged_before_their_route() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::REPLY | Arm::FAILURE);
    world.answer("bob", 486);
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "0 bob ACK"]);
    let events = world.events();
    let [Event::Reply { token, .. }] = events[..] else { panic!("{events:?}") };
    assert!(world.layer.resume_reply(world.now, id, token, true, None));
    world.drain();
    assert!(matches!(world.events()[..], [Event::Failure { status: 486, .. }]));
    world.resume_failure(id);
    assert_eq!(world.trace(), ["0 caller 486"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_dropped_failure_becomes_a_timeout() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::REPLY);
    world.answer("bob", 486);
    let events = world.events();
    let [Event::Reply { token, .. }] = events[..] else { panic!("{events:?}") };
    world.layer.resume_reply(world.now, id, token, false, None);
    world.trace();
    world.run(32 * S);
    assert_eq!(world.trace(), ["32000 caller 408"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_reply_route_that_never_ends_is_not_waited_for() {
    let mut world = World::new();
    world.relay_armed(&invite(), &["bob"], Arm::REPLY);
    world.answer("bob", 200);
    world.trace();
    world.run(60 * S);
    assert_eq!(world.trace(), ["60000 caller 200"]);
    world.expect_empty();
    assert_eq!(world.layer.counters().overdue, 1);
}

#[test]
fn held_replies_are_bounded() {
    let mut world = World::with(Config { max_held: 4, ..Config::default() });
    world.relay_armed(&invite(), &["bob", "carol"], Arm::REPLY);
    for _ in 0..10 {
        world.answer("bob", 180);
    }
    assert_eq!(world.layer.counts().held, 4);
    // A failure is not repeated by its sender once acknowledged: it passes without its route.
    world.answer("bob", 486);
    world.answer("carol", 486);
    assert_eq!(world.last_reply("caller").status(), 486);
    world.ack();
    world.expect_empty();
}

#[test]
fn failover_along_the_targets() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    world.layer.relay(0, id, vec![branch_to(&["bob", "carol", "dave", "eve"])]).expect("sent");
    world.drain();
    // A 503, an ICMP error, and no answer: each time the next one.
    world.answer("bob", 503);
    let sent = world.last("INVITE", "carol").data.clone();
    world.layer.transport_failed(world.now, &sent[..300], Some(address("carol")));
    world.drain();
    world.run(30 * S);
    let trace = world.trace();
    assert_eq!(trace[..5], ["0 caller 100", "0 bob INVITE", "0 bob ACK", "0 carol INVITE", "0 dave INVITE"]);
    assert_eq!(trace.last().map(String::as_str), Some("30000 eve INVITE"));
    // Dave rings after all: too late for him.
    world.answer("dave", 180);
    assert_eq!(world.trace(), ["30000 dave CANCEL"]);
    world.answer("dave", 487);
    world.answer("eve", 180);
    world.answer("eve", 200);
    assert_eq!(world.trace(), ["30000 dave ACK", "30000 caller 180", "30000 caller 200"]);
    assert_eq!(world.layer.counters().failovers, 3);
    world.expect_empty();
}

#[test]
fn a_destination_that_was_silent_is_passed_over_for_a_while() {
    let mut world = World::new();
    world.layer.config_mut().blacklist.enabled = true;
    let relay = |world: &mut World, branch: &str| {
        let request_ = world.receive(&request("INVITE", branch, ""), "caller").expect("new");
        let NewTransaction::New(id) = world.layer.new_transaction(world.now, &request_) else { panic!("new") };
        world.layer.relay(world.now, id, vec![branch_to(&["bob", "carol"])]).expect("sent");
        world.drain();
        world.trace().into_iter().find(|line| line.ends_with(" INVITE")).expect("an INVITE")
    };
    assert_eq!(relay(&mut world, "z9hG4bKone"), "0 bob INVITE");
    world.run(30 * S); // fr: Bob said nothing
    world.answer("carol", 200);
    world.trace();
    assert_eq!(relay(&mut world, "z9hG4bKtwo"), "30000 carol INVITE");
    assert_eq!(world.layer.counters().blacklisted, 1);
    world.run(60 * S);
    world.trace();
    assert_eq!(relay(&mut world, "z9hG4bKthree"), "90000 bob INVITE");
}

#[test]
fn failover_has_an_end() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    world.layer.relay(0, id, vec![branch_to(&["bob"; 20])]).expect("sent");
    world.drain();
    for _ in 0..11 {
        world.answer("bob", 503);
    }
    assert_ne!(world.last_reply("caller").status(), 500);
    world.answer("bob", 503);
    assert_eq!(world.last_reply("caller").status(), 500);
    world.ack();
    world.expect_empty();
}

#[test]
fn icmp_is_believed_only_about_what_was_sent() {
    let (mut world, _) = forked(&["bob"]);
    let sent = world.last("INVITE", "bob").data.clone();
    let mut forged = text(&sent).replace(";branch=z9hG4bKt0", ";branch=z9hG4bKt1");
    world.layer.transport_failed(0, forged.as_bytes(), Some(address("bob")));
    world.layer.transport_failed(0, &sent, Some(address("carol")));
    forged = text(&sent).replacen("INVITE", "CANCEL", 1);
    world.layer.transport_failed(0, forged.as_bytes(), Some(address("bob")));
    world.layer.transport_failed(0, b"", None);
    world.drain();
    assert_eq!(world.trace(), [""; 0]);
    world.layer.transport_failed(0, &sent, Some(address("bob")));
    world.drain();
    // RFC 3261 §16.9: as if 503 had come, which is not passed on.
    assert_eq!(world.trace(), ["0 caller 500"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn too_many_branches_and_none() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    assert_eq!(world.fork(id, &["bob"; 13]), Err(RelayError::TooManyBranches));
    assert_eq!(world.fork(id, &[]), Err(RelayError::NoBranches));
    assert_eq!(world.fork(id, &["[2001:db8::1]:5060"]), Err(RelayError::Send));
    assert_eq!(world.trace(), ["0 caller 100"]);
    assert_eq!(RelayError::TooManyBranches.status().0, 500);
    world.layer.reply(0, id, &Reply::new(500, b"Forking capacity exceeded")).expect("sent");
    world.drain();
    world.ack();
    world.expect_empty();
}

#[test]
fn a_reply_of_the_script_cancels_the_branches() {
    let (mut world, id) = forked(&["bob"]);
    world.answer("bob", 180);
    world.trace();
    world.layer.reply(world.now, id, &Reply::new(480, b"Gone")).expect("sent");
    world.drain();
    assert_eq!(world.trace(), ["0 caller 480", "0 bob CANCEL"]);
    world.answer("bob", 487);
    world.ack();
    world.expect_empty();
}

/// RFC 5393 §5.3.3.
#[test]
fn branches_share_the_breadth() {
    let breadths = |message: &str, parties: &[&str]| {
        let mut world = World::new();
        let request_ = world.receive(message, "caller").expect("new");
        let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
        world.fork(id, parties)?;
        let shares = parties.iter().map(|party| {
            let field = world.last("INVITE", party).message.by_name(b"Max-Breadth").next();
            field.map_or(0, |field| text(field.value).parse::<u32>().expect("number"))
        });
        Ok(shares.collect::<Vec<_>>())
    };
    let with = |value: &str| invite().replace("Max-Forwards", &format!("Max-Breadth: {value}\r\nMax-Forwards"));
    assert_eq!(breadths(&invite(), &["bob"]), Ok(vec![0]));
    assert_eq!(breadths(&invite(), &["bob", "carol"]), Ok(vec![30, 30]));
    assert_eq!(breadths(&with("7"), &["bob", "carol", "dave"]), Ok(vec![3, 2, 2]));
    assert_eq!(breadths(&with("7"), &["bob"]), Ok(vec![7]));
    assert_eq!(breadths(&with("2"), &["bob", "carol", "dave"]), Err(RelayError::Breadth));
    assert_eq!(breadths(&with("junk"), &["bob", "carol"]), Ok(vec![30, 30]));
    assert_eq!(RelayError::Breadth.status().0, 440);
}

#[test]
fn a_full_table_refuses() {
    let mut world = World::with(Config { max_transactions: 2, ..Config::default() });
    for number in 0..3 {
        let request_ = world.receive(&request("INVITE", &format!("z9hG4bK{number}"), ""), "caller").expect("new");
        let result = world.layer.new_transaction(0, &request_);
        assert_eq!(result == NewTransaction::Full, number == 2);
    }
    assert_eq!(world.layer.counters().refused, 1);
    world.expect_empty();
}
