//! Every state and every input of the four machines, as tables.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use sipyard_transaction::machine::Act;
use sipyard_transaction::{invite_client, invite_server, non_invite_client, non_invite_server};

#[test]
fn invite_client_transitions() {
    use invite_client::Input::*;
    use invite_client::State::*;
    let table = [
        (Calling, Provisional, Proceeding, Act::DELIVER | Act::QUIET),
        (Calling, Success, Accepted, Act::DELIVER | Act::QUIET | Act::FREE | Act::LINGER),
        (Calling, Failure, Completed, Act::DELIVER | Act::QUIET | Act::ACK | Act::LINGER),
        (Calling, Retransmit, Calling, Act::RESEND | Act::BACK_OFF),
        (Calling, Expire, Abandoned, Act::TIMEOUT | Act::QUIET | Act::LINGER),
        (Calling, Abandon, Abandoned, Act::QUIET | Act::LINGER),
        (Calling, TransportError, Terminated, Act::FAILED | Act::QUIET | Act::FREE),
        (Proceeding, Provisional, Proceeding, Act::DELIVER),
        (Proceeding, Success, Accepted, Act::DELIVER | Act::FREE | Act::LINGER),
        (Proceeding, Failure, Completed, Act::DELIVER | Act::ACK | Act::LINGER),
        (Proceeding, Retransmit, Proceeding, Act::NONE),
        (Proceeding, Expire, Proceeding, Act::TIMEOUT),
        (Proceeding, Abandon, Proceeding, Act::NONE),
        (Proceeding, TransportError, Proceeding, Act::NONE),
        (Abandoned, Provisional, Proceeding, Act::CANCEL),
        (Abandoned, Success, Accepted, Act::DELIVER | Act::FREE | Act::LINGER),
        (Abandoned, Failure, Completed, Act::DELIVER | Act::ACK | Act::LINGER),
        (Abandoned, Retransmit, Abandoned, Act::NONE),
        (Abandoned, Expire, Terminated, Act::FREE),
        (Abandoned, Abandon, Abandoned, Act::NONE),
        (Abandoned, TransportError, Terminated, Act::FREE),
        (Completed, Provisional, Completed, Act::NONE),
        (Completed, Success, Completed, Act::NONE),
        (Completed, Failure, Completed, Act::RESEND),
        (Completed, Retransmit, Completed, Act::NONE),
        (Completed, Expire, Terminated, Act::FREE),
        (Completed, Abandon, Completed, Act::NONE),
        (Completed, TransportError, Terminated, Act::FREE),
        (Accepted, Provisional, Accepted, Act::NONE),
        (Accepted, Success, Accepted, Act::DELIVER),
        (Accepted, Failure, Accepted, Act::NONE),
        (Accepted, Retransmit, Accepted, Act::NONE),
        (Accepted, Expire, Terminated, Act::FREE),
        (Accepted, Abandon, Accepted, Act::NONE),
        (Accepted, TransportError, Accepted, Act::NONE),
    ];
    assert_eq!(table.len(), 5 * 7);
    for (state, input, next, act) in table {
        assert_eq!(invite_client::step(state, input), (next, act), "{state:?} {input:?}");
    }
    for input in [Provisional, Success, Failure, Retransmit, Expire, Abandon, TransportError] {
        assert_eq!(invite_client::step(Terminated, input), (Terminated, Act::NONE));
    }
}

#[test]
fn non_invite_client_transitions() {
    use non_invite_client::Input::*;
    use non_invite_client::State::*;
    let done = Act::DELIVER | Act::QUIET | Act::FREE | Act::WAIT;
    let table = [
        (Trying, Provisional, Proceeding, Act::DELIVER),
        (Trying, Final, Completed, done),
        (Trying, Retransmit, Trying, Act::RESEND | Act::BACK_OFF),
        (Trying, Expire, Terminated, Act::TIMEOUT | Act::QUIET | Act::FREE),
        (Trying, TransportError, Terminated, Act::FAILED | Act::QUIET | Act::FREE),
        (Proceeding, Provisional, Proceeding, Act::DELIVER),
        (Proceeding, Final, Completed, done),
        (Proceeding, Retransmit, Proceeding, Act::RESEND | Act::BACK_OFF),
        (Proceeding, Expire, Terminated, Act::TIMEOUT | Act::QUIET | Act::FREE),
        (Proceeding, TransportError, Terminated, Act::FAILED | Act::QUIET | Act::FREE),
        (Completed, Provisional, Completed, Act::NONE),
        (Completed, Final, Completed, Act::NONE),
        (Completed, Retransmit, Completed, Act::NONE),
        (Completed, Expire, Terminated, Act::NONE),
        (Completed, TransportError, Completed, Act::NONE),
    ];
    assert_eq!(table.len(), 3 * 5);
    for (state, input, next, act) in table {
        assert_eq!(non_invite_client::step(state, input), (next, act), "{state:?} {input:?}");
    }
    for input in [Provisional, Final, Retransmit, Expire, TransportError] {
        assert_eq!(non_invite_client::step(Terminated, input), (Terminated, Act::NONE));
    }
}

#[test]
fn invite_server_transitions() {
    use invite_server::Input::*;
    use invite_server::State::*;
    let table = [
        (Proceeding, Request, Proceeding, Act::RESEND),
        (Proceeding, Ack, Proceeding, Act::NONE),
        (Proceeding, Provisional, Proceeding, Act::SEND | Act::STORE),
        (Proceeding, Success, Accepted, Act::SEND | Act::LINGER),
        (Proceeding, Failure, Completed, Act::SEND | Act::STORE | Act::RETRANSMIT | Act::LINGER),
        (Proceeding, Retransmit, Proceeding, Act::NONE),
        (Proceeding, Expire, Proceeding, Act::NONE),
        (Completed, Request, Completed, Act::RESEND),
        (Completed, Ack, Confirmed, Act::QUIET | Act::FREE | Act::WAIT),
        (Completed, Provisional, Completed, Act::NONE),
        (Completed, Success, Completed, Act::SEND),
        (Completed, Failure, Completed, Act::NONE),
        (Completed, Retransmit, Completed, Act::RESEND | Act::BACK_OFF),
        (Completed, Expire, Terminated, Act::TIMEOUT | Act::QUIET | Act::FREE),
        (Confirmed, Request, Confirmed, Act::NONE),
        (Confirmed, Ack, Confirmed, Act::NONE),
        (Confirmed, Provisional, Confirmed, Act::NONE),
        (Confirmed, Success, Confirmed, Act::SEND),
        (Confirmed, Failure, Confirmed, Act::NONE),
        (Confirmed, Retransmit, Confirmed, Act::NONE),
        (Confirmed, Expire, Terminated, Act::NONE),
        (Accepted, Request, Accepted, Act::RESEND),
        (Accepted, Ack, Accepted, Act::DELIVER),
        (Accepted, Provisional, Accepted, Act::NONE),
        (Accepted, Success, Accepted, Act::SEND),
        (Accepted, Failure, Accepted, Act::NONE),
        (Accepted, Retransmit, Accepted, Act::RESEND | Act::BACK_OFF),
        (Accepted, Expire, Terminated, Act::QUIET | Act::FREE),
    ];
    assert_eq!(table.len(), 4 * 7);
    for (state, input, next, act) in table {
        assert_eq!(invite_server::step(state, input), (next, act), "{state:?} {input:?}");
    }
    assert_eq!(invite_server::step(Terminated, Success), (Terminated, Act::SEND));
    for input in [Request, Ack, Provisional, Failure, Retransmit, Expire] {
        assert_eq!(invite_server::step(Terminated, input), (Terminated, Act::NONE));
    }
}

#[test]
fn non_invite_server_transitions() {
    use non_invite_server::Input::*;
    use non_invite_server::State::*;
    let table = [
        (Trying, Request, Trying, Act::NONE),
        (Trying, Provisional, Proceeding, Act::SEND | Act::STORE),
        (Trying, Final, Completed, Act::SEND | Act::STORE | Act::LINGER),
        (Trying, Expire, Trying, Act::NONE),
        (Proceeding, Request, Proceeding, Act::RESEND),
        (Proceeding, Provisional, Proceeding, Act::SEND | Act::STORE),
        (Proceeding, Final, Completed, Act::SEND | Act::STORE | Act::LINGER),
        (Proceeding, Expire, Proceeding, Act::NONE),
        (Completed, Request, Completed, Act::RESEND),
        (Completed, Provisional, Completed, Act::NONE),
        (Completed, Final, Completed, Act::NONE),
        (Completed, Expire, Terminated, Act::FREE),
    ];
    assert_eq!(table.len(), 3 * 4);
    for (state, input, next, act) in table {
        assert_eq!(non_invite_server::step(state, input), (next, act), "{state:?} {input:?}");
    }
    for input in [Request, Provisional, Final, Expire] {
        assert_eq!(non_invite_server::step(Terminated, input), (Terminated, Act::NONE));
    }
}
