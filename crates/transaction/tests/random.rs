//! Random schedules: whatever happens, nothing is stuck, and the same seed gives the same trace to the byte.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sim;
mod world;

use sim::Sim;
use sipyard_transaction::Counts;

/// Schedules a run; the environment variable asks for more.
fn schedules() -> u64 {
    std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(if cfg!(debug_assertions) {
        400
    } else {
        2_000
    })
}

fn run(seed: u64, loss: u64) -> Sim {
    let mut sim = Sim::new(seed, loss);
    sim.run();
    for id in sim.layer.transactions() {
        println!("{:?} {:#?}", sim.layer.facts(id), sim.layer.branches(id).collect::<Vec<_>>());
        println!("{:#?}", sim.net.trace);
    }
    assert_eq!(sim.layer.counts(), Counts::default(), "seed {seed}, loss {loss} %: something is stuck");
    assert!(sim.net.now < 1_000 * world::S, "seed {seed}: it took too long");
    sim
}

#[test]
fn nothing_is_stuck_on_a_lossy_network() {
    for seed in 0..schedules() {
        run(seed, [5, 20, 50][seed as usize % 3]);
    }
}

#[test]
fn without_loss_every_call_gets_its_final_response() {
    for seed in 0..schedules() {
        let sim = run(seed, 0);
        let forgotten = sim.layer.counters().overdue > 0 && sim.script.finals == 0;
        let caller = &sim.caller;
        let answered = caller.failure.is_some() || !caller.answered.is_empty();
        assert!(answered || forgotten, "seed {seed}: no final response");
        assert!(sim.script.finals <= 1 && sim.script.ended == 1, "seed {seed}: events");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..100 {
        assert_eq!(run(seed, 20).net.trace, run(seed, 20).net.trace);
    }
}
