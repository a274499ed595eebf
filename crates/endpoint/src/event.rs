//! What a script is asked to decide or asked to hear of.

use std::borrow::Cow;

use sipyard_transaction::{ClientId, ReplyToken, TxId};

use crate::incoming::Incoming;
use crate::streams::Closed;

/// An event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new request.
    Request(Incoming),
    /// An HTTP request; to be answered with `Core::answer_http`.
    Http(Incoming),
    /// A reply that waits for `Core::resume_reply`.
    Reply {
        /// Its transaction.
        tx: TxId,
        /// Its branch.
        branch: usize,
        /// Names it when resumed.
        token: ReplyToken,
        /// The reply.
        reply: Incoming,
    },
    /// All branches failed; the transaction waits for `Core::resume_failure`.
    Failure {
        /// The transaction.
        tx: TxId,
        /// Branch of the picked reply.
        branch: usize,
        /// Its status.
        status: u16,
        /// The reply; None when it was made up (a timeout, say).
        reply: Option<Incoming>,
    },
    /// A final reply went upstream, or waits for `Core::resume_final`.
    Final {
        /// The transaction.
        tx: TxId,
        /// Its status.
        status: u16,
        /// It waits.
        held: bool,
        /// The reply that was relayed; None for one made here.
        reply: Option<Incoming>,
    },
    /// The transaction is gone.
    Ended {
        /// It was this one.
        tx: TxId,
        /// Final status sent upstream, 0 if none.
        status: u16,
    },
    /// A reply of no transaction.
    StrayReply(Incoming),
    /// A reply to a request of our own.
    ClientReply {
        /// The request.
        client: ClientId,
        /// Status.
        status: u16,
        /// The reply.
        reply: Incoming,
    },
    /// Something is wrong around the core; for the log.
    Notice(Cow<'static, str>),
    /// A connection that somebody asked about has ended.
    Closed(Closed),
    /// A request of our own got no final reply.
    ClientTimeout {
        /// The request.
        client: ClientId,
        /// 408 or 503.
        status: u16,
    },
}
