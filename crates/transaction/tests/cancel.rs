//! CANCEL: ser-semantics §6, RFC 3261 §9 and §16.10.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;
use sipyard_transaction::*;
use world::*;

fn cancel() -> String {
    request("CANCEL", "z9hG4bKcall1", "")
}

/// The caller cancels; the script relays the CANCEL.
fn cancelled(world: &mut World) -> CancelOutcome {
    let request_ = world.receive(&cancel(), "caller").expect("a CANCEL reaches the script");
    let outcome = world.layer.relay_cancel(world.now, &request_);
    world.drain();
    outcome
}

#[test]
fn a_ringing_branch_is_cancelled() {
    let mut world = World::new();
    let id = world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    world.trace();
    assert_eq!(cancelled(&mut world), CancelOutcome::Handled);
    assert_eq!(world.trace(), ["0 bob CANCEL", "0 caller 200"]);
    assert_eq!(text(world.last_reply("caller").reason()), "canceling");
    assert!(world.layer.facts(id).expect("alive").is_cancelled);
    // The INVITE is answered by the branch's own 487.
    world.answer_to("CANCEL", "bob", 200);
    world.answer("bob", 487);
    assert_eq!(world.trace(), ["0 bob ACK", "0 caller 487"]);
    world.ack();
    // The CANCEL again: the same answer, no script.
    assert!(world.receive(&cancel(), "caller").is_none());
    assert_eq!(world.trace(), ["0 caller 200"]);
    world.expect_empty();
}

#[test]
fn our_cancel_is_hop_by_hop_and_looks_like_its_invite() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    cancelled(&mut world);
    let (invite, cancel) = (&world.last("INVITE", "bob").message, &world.last("CANCEL", "bob").message);
    assert_eq!(cancel.request_uri(), invite.request_uri());
    assert_eq!(cancel.top_via_text(), invite.top_via_text());
    assert_eq!(cancel.vias().count(), 1);
    assert_eq!(cancel.cseq().expect("cseq").number, 1);
    assert_eq!(cancel.call_id(), invite.call_id());
    assert_eq!(cancel.to_tag(), None);
}

#[test]
fn a_lost_cancel_is_sent_again_and_given_up() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    cancelled(&mut world);
    world.trace();
    world.run(4 * S);
    assert_eq!(world.trace(), ["500 bob CANCEL", "1500 bob CANCEL", "3500 bob CANCEL"]);
    world.run(27_999 * MS);
    world.trace();
    world.run(MS);
    // RFC 3261 §9.1: 64·T1 after the CANCEL the branch is over.
    assert_eq!(world.trace(), ["32000 caller 487"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_branch_that_was_not_heard_of_counts_as_487() {
    let mut world = World::new();
    world.relay(&invite(), &["bob", "carol"]);
    world.answer("bob", 100);
    world.trace();
    cancelled(&mut world);
    assert_eq!(world.trace(), ["0 bob CANCEL", "0 caller 200"]);
    world.answer("bob", 487);
    assert_eq!(world.trace(), ["0 bob ACK", "0 caller 487"]);
    // Carol rings after all.
    world.run(S);
    world.answer("carol", 180);
    assert_eq!(world.trace(), ["500 caller 487", "1000 carol CANCEL"]);
    world.answer("carol", 487);
    world.ack();
    world.expect_empty();
}

#[test]
fn nobody_was_heard_of() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.trace();
    cancelled(&mut world);
    assert_eq!(world.trace(), ["0 caller 487", "0 caller 200"]);
    assert_eq!(text(world.last_reply("caller").reason()), "ok -- no more pending branches");
    world.run(3 * S);
    world.answer("bob", 486);
    assert_eq!(world.last("ACK", "bob").at, 3 * S);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_cancel_while_the_script_decides() {
    let mut world = World::new();
    let request_ = world.receive(&invite(), "caller").expect("new");
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    cancelled(&mut world);
    assert_eq!(world.trace(), ["0 caller 487", "0 caller 200"]);
    assert_eq!(world.fork(id, &["bob"]), Err(RelayError::Final));
    world.ack();
    world.expect_empty();
}

#[test]
fn a_cancel_before_its_invite() {
    let mut world = World::new();
    let request_ = world.receive(&cancel(), "caller").expect("delivered");
    assert_eq!(world.layer.relay_cancel(0, &request_), CancelOutcome::NotFound);
    // The script relays it as an ordinary request, with a transaction.
    let NewTransaction::New(id) = world.layer.new_transaction(0, &request_) else { panic!("new") };
    world.fork(id, &["bob"]).expect("sent");
    assert_eq!(world.trace(), ["0 bob CANCEL"]);
    world.answer_to("CANCEL", "bob", 481);
    assert_eq!(world.trace(), ["0 caller 481"]);
    let request_ = world.receive(&invite(), "caller").expect("delivered");
    let NewTransaction::Cancelled(id) = world.layer.new_transaction(0, &request_) else { panic!("cancelled") };
    assert_eq!(world.fork(id, &["bob"]), Err(RelayError::Cancelled));
    let (status, reason) = RelayError::Cancelled.status();
    world.layer.reply(0, id, &Reply::new(status, reason.as_bytes())).expect("sent");
    world.drain();
    assert_eq!(world.trace(), ["0 caller 487"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_cancel_after_the_final_response() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    world.answer("bob", 200);
    world.trace();
    cancelled(&mut world);
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert_eq!(text(world.last_reply("caller").reason()), "ok -- no more pending branches");
    world.expect_empty();
}

#[test]
fn a_200_crosses_the_cancel() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    cancelled(&mut world);
    world.trace();
    world.answer("bob", 200);
    // The call is up: the 2xx passes.
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert_eq!(text(world.last_reply("caller").to_tag().expect("tag")), "tag-bob");
    world.answer_to("CANCEL", "bob", 481);
    world.expect_empty();
}

#[test]
fn a_487_crosses_anothers_200() {
    let mut world = World::new();
    world.relay(&invite(), &["bob", "carol"]);
    world.answer("bob", 180);
    world.answer("carol", 180);
    cancelled(&mut world);
    world.answer("bob", 487);
    world.trace();
    world.answer("carol", 200);
    assert_eq!(world.trace(), ["0 caller 200"]);
    world.expect_empty();
}

#[test]
fn a_cancel_while_the_failure_route_runs() {
    let mut world = World::new();
    let id = world.relay_armed(&invite(), &["bob"], Arm::FAILURE);
    world.answer("bob", 486);
    world.trace();
    cancelled(&mut world);
    assert_eq!(world.trace(), ["0 caller 200"]);
    assert_eq!(world.fork(id, &["carol"]), Err(RelayError::Cancelled));
    world.resume_failure(id);
    assert_eq!(world.trace(), ["0 caller 486"]);
    world.ack();
    world.expect_empty();
}

#[test]
fn a_cancel_that_the_script_made_a_transaction_for() {
    let mut world = World::new();
    world.relay(&invite(), &["bob"]);
    world.answer("bob", 180);
    world.trace();
    let request_ = world.receive(&cancel(), "caller").expect("delivered");
    assert_eq!(world.layer.lookup_cancel(&request_), world.layer.transactions().next());
    assert!(matches!(world.layer.new_transaction(0, &request_), NewTransaction::New(_)));
    assert_eq!(world.layer.relay_cancel(0, &request_), CancelOutcome::Handled);
    world.drain();
    assert_eq!(world.trace(), ["0 bob CANCEL", "0 caller 200"]);
    world.answer("bob", 487);
    world.ack();
    world.expect_empty();
}
