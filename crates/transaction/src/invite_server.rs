//! The INVITE server transaction: RFC 3261 §17.2.1 with RFC 6026 §7.1. Only its states and transitions live here.

use crate::machine::Act;

/// State of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A failure was sent and waits for its ACK.
    Completed,
    /// The ACK came; its retransmissions are absorbed.
    Confirmed,
    /// A 2xx was sent; further ones pass.
    Accepted,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The INVITE again.
    Request,
    /// An ACK within this transaction.
    Ack,
    /// The user sends a 1xx.
    Provisional,
    /// The user sends a 2xx.
    Success,
    /// The user sends a 3xx–6xx.
    Failure,
    /// Timer G; for a 2xx made here, its retransmission (RFC 3261 §13.3.1.4).
    Retransmit,
    /// The timer that ends a state: H, I or L.
    Expire,
}

/// One step: the next state and what to do.
pub fn step(state: State, input: Input) -> (State, Act) {
    match state {
        State::Proceeding => proceeding(input),
        State::Completed => completed(input),
        State::Confirmed => confirmed(input),
        State::Accepted => accepted(input),
        // A branch may answer later than an unacknowledged failure lives; its 2xx passes still.
        State::Terminated if input == Input::Success => (State::Terminated, Act::SEND),
        State::Terminated => (State::Terminated, Act::NONE),
    }
}

fn proceeding(input: Input) -> (State, Act) {
    match input {
        Input::Request => (State::Proceeding, Act::RESEND),
        Input::Provisional => (State::Proceeding, Act::SEND | Act::STORE),
        Input::Success => (State::Accepted, Act::SEND | Act::LINGER),
        Input::Failure => (State::Completed, Act::SEND | Act::STORE | Act::RETRANSMIT | Act::LINGER),
        Input::Ack | Input::Retransmit | Input::Expire => (State::Proceeding, Act::NONE),
    }
}

fn completed(input: Input) -> (State, Act) {
    match input {
        Input::Request => (State::Completed, Act::RESEND),
        Input::Ack => (State::Confirmed, Act::QUIET | Act::FREE | Act::WAIT),
        // A 2xx of another branch passes even now (RFC 3261 §16.7 step 5).
        Input::Success => (State::Completed, Act::SEND),
        Input::Retransmit => (State::Completed, Act::RESEND | Act::BACK_OFF),
        Input::Expire => (State::Terminated, Act::TIMEOUT | Act::QUIET | Act::FREE),
        Input::Provisional | Input::Failure => (State::Completed, Act::NONE),
    }
}

fn confirmed(input: Input) -> (State, Act) {
    match input {
        Input::Success => (State::Confirmed, Act::SEND),
        Input::Expire => (State::Terminated, Act::NONE),
        Input::Request | Input::Ack | Input::Provisional | Input::Failure | Input::Retransmit => {
            (State::Confirmed, Act::NONE)
        }
    }
}

fn accepted(input: Input) -> (State, Act) {
    match input {
        // RFC 6026 §7.1: absorbed; a 2xx made here is stored and goes out again, a relayed one is its sender's affair.
        Input::Request => (State::Accepted, Act::RESEND),
        Input::Ack => (State::Accepted, Act::DELIVER),
        Input::Success => (State::Accepted, Act::SEND),
        Input::Retransmit => (State::Accepted, Act::RESEND | Act::BACK_OFF),
        Input::Expire => (State::Terminated, Act::QUIET | Act::FREE),
        Input::Provisional | Input::Failure => (State::Accepted, Act::NONE),
    }
}
