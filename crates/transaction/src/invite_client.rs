//! The INVITE client transaction: RFC 3261 §17.1.1 with RFC 6026 §8.4. Only its states and transitions live here.
//!
//! `Abandoned` is ours: a branch given up before any response (timeout, or cancelled too early for a CANCEL, RFC 3261
//! §9.1). It sends no more, but if the peer turns out to ring, it is cancelled then, and its answers are acknowledged.

use crate::machine::Act;

/// State of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing heard.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// Given up before anything was heard.
    Abandoned,
    /// A failure came; its retransmissions are acknowledged.
    Completed,
    /// A 2xx came; further ones pass.
    Accepted,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx–6xx.
    Failure,
    /// Timer A.
    Retransmit,
    /// The timer that ends a state: B (SER: fr) or C (fr_inv) before a final response, D or M after it.
    Expire,
    /// The user gives the branch up (CANCEL) before any response.
    Abandon,
    /// The message could not be sent.
    TransportError,
}

/// One step: the next state and what to do.
pub fn step(state: State, input: Input) -> (State, Act) {
    match state {
        State::Calling => calling(input),
        State::Proceeding => proceeding(input),
        State::Abandoned => abandoned(input),
        State::Completed => completed(input),
        State::Accepted => accepted(input),
        State::Terminated => (State::Terminated, Act::NONE),
    }
}

fn calling(input: Input) -> (State, Act) {
    match input {
        Input::Provisional => (State::Proceeding, Act::DELIVER | Act::QUIET),
        Input::Success => (State::Accepted, Act::DELIVER | Act::QUIET | Act::FREE | Act::LINGER),
        Input::Failure => (State::Completed, Act::DELIVER | Act::QUIET | Act::ACK | Act::LINGER),
        Input::Retransmit => (State::Calling, Act::RESEND | Act::BACK_OFF),
        Input::Expire => (State::Abandoned, Act::TIMEOUT | Act::QUIET | Act::LINGER),
        Input::Abandon => (State::Abandoned, Act::QUIET | Act::LINGER),
        Input::TransportError => (State::Terminated, Act::FAILED | Act::QUIET | Act::FREE),
    }
}

fn proceeding(input: Input) -> (State, Act) {
    match input {
        Input::Provisional => (State::Proceeding, Act::DELIVER),
        Input::Success => (State::Accepted, Act::DELIVER | Act::FREE | Act::LINGER),
        Input::Failure => (State::Completed, Act::DELIVER | Act::ACK | Act::LINGER),
        // Timer C: the context cancels the branch and waits 64·T1 for the answer (RFC 3261 §16.8, §9.1).
        Input::Expire => (State::Proceeding, Act::TIMEOUT),
        Input::Retransmit | Input::Abandon | Input::TransportError => (State::Proceeding, Act::NONE),
    }
}

fn abandoned(input: Input) -> (State, Act) {
    match input {
        Input::Provisional => (State::Proceeding, Act::CANCEL),
        Input::Success => (State::Accepted, Act::DELIVER | Act::FREE | Act::LINGER),
        Input::Failure => (State::Completed, Act::DELIVER | Act::ACK | Act::LINGER),
        Input::Expire | Input::TransportError => (State::Terminated, Act::FREE),
        Input::Retransmit | Input::Abandon => (State::Abandoned, Act::NONE),
    }
}

fn completed(input: Input) -> (State, Act) {
    match input {
        Input::Failure => (State::Completed, Act::RESEND),
        Input::Expire | Input::TransportError => (State::Terminated, Act::FREE),
        // A 2xx after a failure of the same branch is a peer's mistake and would lie about who answered.
        Input::Provisional | Input::Success | Input::Retransmit | Input::Abandon => (State::Completed, Act::NONE),
    }
}

fn accepted(input: Input) -> (State, Act) {
    match input {
        // RFC 6026 §8.4: each 2xx passes, retransmissions and those of forks beyond us alike.
        Input::Success => (State::Accepted, Act::DELIVER),
        Input::Expire => (State::Terminated, Act::FREE),
        Input::Provisional | Input::Failure | Input::Retransmit | Input::Abandon | Input::TransportError => {
            (State::Accepted, Act::NONE)
        }
    }
}
