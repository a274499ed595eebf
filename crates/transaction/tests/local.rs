//! Requests of our own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;
use sipyard_transaction::*;
use sipyard_wire::HeaderName;
use world::*;

fn ours(method: &str) -> String {
    let with = request(method, "x", "");
    let (start, rest) = with.split_once("Via: ").expect("via");
    format!("{start}{}", rest.split_once("\r\n").expect("line").1)
}

fn send(world: &mut World, method: &str, targets: &[&str]) -> ClientId {
    let targets = targets.iter().map(|party| target(party)).collect();
    let client = world.layer.request(world.now, parse(ours(method).as_bytes()), targets).expect("sent");
    world.drain();
    client
}

fn statuses(world: &mut World) -> Vec<(u16, bool)> {
    world
        .events()
        .into_iter()
        .map(|event| match event {
            Event::ClientReply { status, .. } => (status, true),
            Event::ClientTimeout { status, .. } => (status, false),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn an_options_ping() {
    let mut world = World::new();
    send(&mut world, "OPTIONS", &["bob"]);
    let via = header(&world.last("OPTIONS", "bob").message, HeaderName::Via);
    assert!(via.starts_with("SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKt"), "{via}");
    world.run(700 * MS);
    world.answer_to("OPTIONS", "bob", 200);
    assert_eq!(world.trace(), ["0 bob OPTIONS", "500 bob OPTIONS"]);
    assert_eq!(statuses(&mut world), [(200, true)]);
    assert_eq!(world.layer.counts().client, 1);
    world.expect_empty();
}

#[test]
fn nobody_answers_the_ping() {
    let mut world = World::new();
    send(&mut world, "OPTIONS", &["bob"]);
    world.run(30 * S);
    assert_eq!(statuses(&mut world), [(408, false)]);
    world.expect_empty();
}

#[test]
fn the_next_target() {
    let mut world = World::new();
    send(&mut world, "OPTIONS", &["bob", "carol"]);
    let sent = world.last("OPTIONS", "bob").data.clone();
    world.layer.transport_failed(0, &sent, Some(address("bob")));
    world.drain();
    world.answer_to("OPTIONS", "carol", 503);
    assert_eq!(statuses(&mut world), [(503, true)]);
    world.expect_empty();
    assert_eq!(statuses(&mut world), []);
}

#[test]
fn an_invite_of_our_own() {
    let mut world = World::new();
    let client = send(&mut world, "INVITE", &["bob"]);
    world.answer("bob", 100);
    world.answer("bob", 180);
    world.answer("bob", 200);
    world.answer("bob", 200);
    assert_eq!(statuses(&mut world), [(180, true), (200, true), (200, true)]);
    assert_eq!(world.layer.facts(client.0).expect("alive").status, 200);
    world.expect_empty();
}

#[test]
fn an_invite_of_our_own_is_cancelled() {
    let mut world = World::new();
    let client = send(&mut world, "INVITE", &["bob"]);
    world.answer("bob", 180);
    assert_eq!(world.layer.cancel_branches(0, client.0), 1);
    world.drain();
    world.answer_to("CANCEL", "bob", 200);
    world.answer("bob", 487);
    assert_eq!(world.trace(), ["0 bob INVITE", "0 bob CANCEL", "0 bob ACK"]);
    assert_eq!(statuses(&mut world), [(180, true), (487, true)]);
    world.expect_empty();
}

#[test]
fn what_cannot_be_sent() {
    let mut world = World::new();
    let options = || parse(ours("OPTIONS").as_bytes());
    let unreachable = world.layer.request(0, options(), vec![target("[2001:db8::1]:5060")]);
    assert_eq!(unreachable, Err(RelayError::Send));
    assert_eq!(world.layer.request(0, options(), Vec::new()), Err(RelayError::NoBranches));
    world.expect_empty();
}
