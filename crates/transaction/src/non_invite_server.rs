//! The non-INVITE server transaction: RFC 3261 §17.2.2. Only its states and transitions live here.

use crate::machine::Act;

/// State of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was answered yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// The final response was sent.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The request again.
    Request,
    /// The user sends a 1xx.
    Provisional,
    /// The user sends a 2xx–6xx.
    Final,
    /// Timer J.
    Expire,
}

/// One step: the next state and what to do.
pub fn step(state: State, input: Input) -> (State, Act) {
    match state {
        State::Trying => trying(input),
        State::Proceeding => proceeding(input),
        State::Completed => completed(input),
        State::Terminated => (State::Terminated, Act::NONE),
    }
}

fn trying(input: Input) -> (State, Act) {
    match input {
        Input::Provisional => (State::Proceeding, Act::SEND | Act::STORE),
        Input::Final => (State::Completed, Act::SEND | Act::STORE | Act::LINGER),
        Input::Request | Input::Expire => (State::Trying, Act::NONE),
    }
}

fn proceeding(input: Input) -> (State, Act) {
    match input {
        Input::Request => (State::Proceeding, Act::RESEND),
        Input::Provisional => (State::Proceeding, Act::SEND | Act::STORE),
        Input::Final => (State::Completed, Act::SEND | Act::STORE | Act::LINGER),
        Input::Expire => (State::Proceeding, Act::NONE),
    }
}

fn completed(input: Input) -> (State, Act) {
    match input {
        Input::Request => (State::Completed, Act::RESEND),
        Input::Expire => (State::Terminated, Act::FREE),
        Input::Provisional | Input::Final => (State::Completed, Act::NONE),
    }
}
