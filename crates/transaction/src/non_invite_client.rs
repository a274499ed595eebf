//! The non-INVITE client transaction: RFC 3261 §17.1.2. Only its states and transitions live here. A CANCEL of ours is
//! one as well.

use crate::machine::Act;

/// State of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing heard.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; its retransmissions are absorbed.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// 1xx.
    Provisional,
    /// 2xx–6xx.
    Final,
    /// Timer E.
    Retransmit,
    /// Timer F (SER: fr) before a final response, K after it.
    Expire,
    /// The message could not be sent.
    TransportError,
}

/// One step: the next state and what to do.
pub fn step(state: State, input: Input) -> (State, Act) {
    match state {
        State::Trying | State::Proceeding => pending(state, input),
        State::Completed => completed(input),
        State::Terminated => (State::Terminated, Act::NONE),
    }
}

/// Trying and Proceeding differ in the retransmission interval only, which is `T2` once a provisional came.
fn pending(state: State, input: Input) -> (State, Act) {
    match input {
        Input::Provisional => (State::Proceeding, Act::DELIVER),
        Input::Final => (State::Completed, Act::DELIVER | Act::QUIET | Act::FREE | Act::WAIT),
        Input::Retransmit => (state, Act::RESEND | Act::BACK_OFF),
        Input::Expire => (State::Terminated, Act::TIMEOUT | Act::QUIET | Act::FREE),
        Input::TransportError => (State::Terminated, Act::FAILED | Act::QUIET | Act::FREE),
    }
}

fn completed(input: Input) -> (State, Act) {
    match input {
        Input::Expire => (State::Terminated, Act::NONE),
        Input::Provisional | Input::Final | Input::Retransmit | Input::TransportError => (State::Completed, Act::NONE),
    }
}
