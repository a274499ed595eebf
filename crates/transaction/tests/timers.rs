//! Each timer of RFC 3261 Table 4, timer C, SER's fr and fr_inv: what is sent when, and that nothing is left.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;
use sipyard_transaction::*;
use world::*;

#[test]
fn a_and_b_an_invite_that_nobody_hears() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.run(29_999 * MS);
    let expected = [
        "0 caller 100",
        "0 bob INVITE",
        "500 bob INVITE",
        "1500 bob INVITE",
        "3500 bob INVITE",
        "7500 bob INVITE",
        "15500 bob INVITE",
    ];
    assert_eq!(world.trace(), expected);
    world.run(MS);
    assert_eq!(world.trace(), ["30000 caller 408"]);
    world.ack();
    world.expect_empty();
    assert_eq!(world.trace(), [""; 0]);
}

#[test]
fn a_can_be_capped_as_ser_does() {
    let mut config = Config::default();
    config.timers.invite_cap = config.timers.t2;
    let mut world = World::with(config);
    world.relay(&invite(), &["bob"]);
    world.run(12 * S);
    assert_eq!(world.trace()[4..], ["3500 bob INVITE", "7500 bob INVITE", "11500 bob INVITE"]);
}

#[test]
fn a_stops_with_the_first_provisional() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.run(600 * MS);
    world.answer("bob", 100);
    world.run(20 * S);
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "500 bob INVITE"]);
}

#[test]
fn c_ringing_for_ever() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.run(S);
    world.answer("bob", 180);
    world.run(119_999 * MS);
    world.trace();
    world.run(MS);
    // fr_inv is 120 s from the 180. SER's silent drop is not copied: 408 and CANCEL, always.
    assert_eq!(world.trace(), ["121000 bob CANCEL", "121000 caller 408"]);
    world.answer_to("CANCEL", "bob", 200);
    world.answer("bob", 487);
    assert_eq!(world.trace(), ["121000 bob ACK"]);
    world.ack();
    world.expect_empty();
    assert_eq!(world.trace(), [""; 0]);
}

#[test]
fn c_is_restarted_by_each_provisional() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    for _ in 0..3 {
        world.answer("bob", 180);
        world.run(100 * S);
    }
    world.answer("bob", 200);
    assert_eq!(world.trace().last().map(String::as_str), Some("300000 caller 200"));
    world.expect_empty();
}

#[test]
fn c_is_restarted_by_progress_only_if_so_set() {
    let mut world = World::with(Config { restart_fr_on_each_reply: false, ..Config::default() });
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    world.run(100 * S);
    world.answer("bob", 180);
    world.run(15 * S);
    world.answer("bob", 183);
    world.run(119 * S);
    world.trace();
    world.run(2 * S);
    assert_eq!(world.trace(), ["235000 bob CANCEL", "235000 caller 408", "235500 bob CANCEL", "235500 caller 408"]);
}

#[test]
fn d_retransmitted_failures_are_acknowledged() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 486);
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "0 bob ACK", "0 caller 486"]);
    world.ack();
    for _ in 0..3 {
        world.run(10 * S);
        world.answer("bob", 486);
    }
    assert_eq!(world.trace(), ["10000 bob ACK", "20000 bob ACK", "30000 bob ACK"]);
    world.run(2 * S);
    // After D the transaction is gone: a stray.
    let data = response(&world.last("INVITE", "bob").message, 486, "bob", "");
    assert_eq!(world.respond(&data, "bob"), ResponseDisposition::Stray);
    world.expect_empty();
}

#[test]
fn e_f_and_k_a_request_that_is_not_an_invite() {
    let mut world = World::new();
    world.relay(&request("BYE", "z9hG4bKbye", ";tag=x"), &["bob"]);
    world.run(10 * S);
    let expected = ["0 bob BYE", "500 bob BYE", "1500 bob BYE", "3500 bob BYE", "7500 bob BYE"];
    assert_eq!(world.trace(), expected);
    world.answer_to("BYE", "bob", 100);
    world.run(10 * S);
    // Proceeding retransmits each T2 (RFC 3261 §17.1.2.2).
    assert_eq!(world.trace(), ["11500 bob BYE", "15500 bob BYE", "19500 bob BYE"]);
    world.run(9_999 * MS);
    world.trace();
    world.run(MS);
    assert_eq!(world.trace(), ["30000 caller 408"]);
    world.expect_empty();

    let mut world = World::new();
    world.relay(&request("BYE", "z9hG4bKbye", ";tag=x"), &["bob"]);
    world.answer_to("BYE", "bob", 200);
    world.answer_to("BYE", "bob", 200);
    assert_eq!(world.trace(), ["0 bob BYE", "0 caller 200"]);
    world.expect_empty();
}

#[test]
fn g_and_h_a_failure_that_nobody_acknowledges() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 404);
    world.trace();
    world.run(33 * S);
    let times = [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500];
    assert_eq!(world.trace(), times.map(|time| format!("{time} caller 404")));
    assert_eq!(world.layer.counts().server, 0);
    world.expect_empty();
}

#[test]
fn i_absorbs_acknowledgements() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 404);
    assert!(world.ack().is_none());
    world.run(4 * S);
    assert!(world.ack().is_none());
    // The INVITE again: absorbed as well, and not answered.
    world.trace();
    assert!(world.receive(&invite(), "caller").is_none());
    assert_eq!(world.trace(), [""; 0]);
    world.expect_empty();
}

#[test]
fn j_repeats_the_final_response() {
    let mut world = World::new();
    world.relay(&request("BYE", "z9hG4bKbye", ";tag=x"), &["bob"]);
    world.answer_to("BYE", "bob", 200);
    world.run(31 * S);
    world.trace();
    assert!(world.receive(&request("BYE", "z9hG4bKbye", ";tag=x"), "caller").is_none());
    assert_eq!(world.trace(), ["31000 caller 200"]);
    world.run(S);
    assert!(world.receive(&request("BYE", "z9hG4bKbye", ";tag=x"), "caller").is_some());
}

#[test]
fn l_and_m_each_2xx_passes_for_64_t1() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 200);
    world.run(31 * S);
    world.answer("bob", 200);
    // RFC 6026 §7.1: the INVITE again is absorbed, the relayed 2xx is its sender's to repeat.
    assert!(world.receive(&invite(), "caller").is_none());
    assert_eq!(world.trace(), ["0 caller 100", "0 bob INVITE", "0 caller 200", "31000 caller 200"]);
    world.run(S);
    assert_eq!(world.layer.counts().server, 0);
    world.expect_empty();
}

#[test]
fn timers_of_one_transaction() {
    let mut world = World::new();
    let id = world.relay(&invite(), &["bob"]);
    world.layer.set_timers(world.now, id, 5 * S, 20 * S);
    world.run(S);
    world.answer("bob", 180);
    world.run(10 * S);
    world.layer.set_timers(world.now, id, 0, 3 * S);
    world.trace();
    world.run(4 * S);
    assert_eq!(world.trace()[..2], ["14000 bob CANCEL", "14000 caller 408"]);

    let mut world = World::new();
    let id = world.relay(&invite(), &["bob"]);
    world.layer.set_timers(world.now, id, 5 * S, 0);
    world.trace();
    world.run(5 * S);
    assert_eq!(world.trace().last().map(String::as_str), Some("5000 caller 408"));
}

#[test]
fn a_local_2xx_is_repeated_until_its_ack() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    world.layer.reply(0, id, &Reply::new(200, b"OK")).expect("sent");
    world.drain();
    world.run(4 * S);
    assert_eq!(world.trace(), ["0 caller 200", "500 caller 200", "1500 caller 200", "3500 caller 200"]);
    let tag = text(world.last_reply("caller").to_tag().expect("tag")).to_owned();
    // Another call's tag is not for us.
    assert!(world.receive(&request("ACK", "z9hG4bKack", ";tag=other"), "caller").is_some());
    assert!(world.receive(&request("ACK", "z9hG4bKack", &format!(";tag={tag}")), "caller").is_none());
    world.expect_empty();
    assert_eq!(world.trace(), [""; 0]);
}

#[test]
fn a_script_that_says_nothing_leaves_nothing() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    assert!(matches!(world.layer.new_transaction(0, &request_), NewTransaction::New(_)));
    world.expect_empty();
    assert_eq!(world.trace(), [""; 0]);
    assert_eq!(world.layer.counters().overdue, 1);

    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(world.now, &request_) else { panic!("new") };
    world.layer.release(id);
    assert_eq!(world.layer.counts().server, 0);
}
