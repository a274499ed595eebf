//! What crosses the layer's border: identities, events, datagrams to send, outcomes of commands.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use bytes::Bytes;
use sipyard_wire::{Edits, Message};

use crate::address::{Flow, Target};
use crate::key::Key;

/// Identity of a transaction: a slot and the generation of its use, so that a late user reaches nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl TxId {
    /// As one number (for the boundary to Python).
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The identity that [`TxId::to_u64`] gave.
    pub fn from_u64(value: u64) -> TxId {
        TxId { slot: value as u32, generation: (value >> 32) as u32 }
    }
}

/// Identity of a transaction that we began ourselves (a UAC's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub TxId);

/// Names one held reply; worthless after it was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyToken(pub u64);

/// Events that a transaction is asked to raise; silence otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arm(u8);

impl Arm {
    /// Nothing.
    pub const NONE: Arm = Arm(0);
    /// Each response is held and reported as [`Event::Reply`] (onreply_route).
    pub const REPLY: Arm = Arm(1);
    /// A final failure is held and reported as [`Event::Failure`]; one shot (failure_route).
    pub const FAILURE: Arm = Arm(2);
    /// The end of the transaction's life is reported as [`Event::Ended`].
    pub const ENDED: Arm = Arm(4);
    /// A final response sent upstream is reported as [`Event::Final`] (accounting).
    pub const FINAL: Arm = Arm(8);
    /// A final response is held and reported as [`Event::Final`] before it goes upstream (durable accounting).
    pub const HOLD: Arm = Arm(16);

    /// Whether all bits of `other` are set.
    #[inline]
    pub fn has(self, other: Arm) -> bool {
        self.0 & other.0 == other.0
    }

    /// Without the bits of `other`.
    pub fn without(self, other: Arm) -> Arm {
        Arm(self.0 & !other.0)
    }
}

impl BitOr for Arm {
    type Output = Arm;
    fn bitor(self, other: Arm) -> Arm {
        Arm(self.0 | other.0)
    }
}

impl BitOrAssign for Arm {
    fn bitor_assign(&mut self, other: Arm) {
        self.0 |= other.0;
    }
}

/// A received request with what the layer computed from it once. Make it with [`crate::Layer::request_of`].
#[derive(Clone, Debug)]
pub struct Request {
    /// The message.
    pub message: Message,
    /// Where it came from.
    pub flow: Flow,
    /// Answer to the source port even without `rport` (SER: `force_rport()`).
    pub force_rport: bool,
    pub(crate) key: Key,
}

/// What became of a received request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The layer dealt with it (retransmission, ACK to a failure, ACK to our own answer).
    Absorbed,
    /// A script must decide.
    Deliver,
}

/// What became of a received response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseDisposition {
    /// It belongs to a transaction and was dealt with.
    Owned,
    /// It belongs to none: relay it statelessly or drop it.
    Stray,
}

/// Outcome of [`crate::Layer::new_transaction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTransaction {
    /// A new transaction.
    New(TxId),
    /// A new transaction whose CANCEL came first: it cannot be relayed and gets a 487.
    Cancelled(TxId),
    /// The transaction exists: the last response was sent again.
    Retransmission(TxId),
    /// An ACK, for which no transaction is ever made.
    Ack,
    /// The table is full: answer 503 statelessly.
    Full,
}

/// Outcome of [`crate::Layer::relay_cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The INVITE is known: its branches are being cancelled, the CANCEL was answered 200.
    Handled,
    /// No such INVITE: relay it as an ordinary request.
    NotFound,
    /// The table is full.
    Full,
}

/// Why nothing was relayed. The caller answers with [`RelayError::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayError {
    /// The transaction is gone.
    Unknown,
    /// A final response was sent already: answer nothing.
    Final,
    /// The request was cancelled.
    Cancelled,
    /// The request came back unchanged (RFC 5393 §4.2).
    Loop,
    /// Neither branches nor targets were given.
    NoBranches,
    /// More branches than allowed.
    TooManyBranches,
    /// Max-Breadth is used up (RFC 5393 §5.3.3).
    Breadth,
    /// No listener of ours can reach any of the targets.
    Send,
}

impl RelayError {
    /// Status and reason to answer with (ser-semantics §2); 0 for "answer nothing".
    pub fn status(self) -> (u16, &'static str) {
        match self {
            RelayError::Unknown | RelayError::Final => (0, ""),
            RelayError::Cancelled => (487, "Request canceled"),
            RelayError::Loop => (482, "Loop Detected"),
            RelayError::NoBranches => (500, "I'm terribly sorry, server error occurred"),
            RelayError::TooManyBranches => (500, "Forking capacity exceeded"),
            RelayError::Breadth => (440, "Max-Breadth Exceeded"),
            RelayError::Send => (477, "Unfortunately error on sending to next hop occurred"),
        }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RelayError::Unknown => "the transaction is gone",
            RelayError::Final => "the transaction has its final response",
            RelayError::Cancelled => "the request was cancelled",
            RelayError::Loop => "the request came back unchanged",
            RelayError::NoBranches => "there is nowhere to send it",
            RelayError::TooManyBranches => "too many branches",
            RelayError::Breadth => "Max-Breadth is used up",
            RelayError::Send => "no listener reaches the next hop",
        })
    }
}

impl std::error::Error for RelayError {}

/// Why a response was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The transaction is gone.
    Unknown,
    /// A final response was sent already.
    Final,
}

/// A Record-Route header to be written once the sending listener is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordRoute {
    /// User part, if any.
    pub user: Option<Bytes>,
    /// Parameters with their leading semicolons (`;ftag=…;lr`).
    pub params: Bytes,
    /// `host[:port]` to write instead of our own address (record_route_preset): one header, no `r2`.
    pub preset: Option<Bytes>,
}

/// Address to name in Via and Record-Route of one message (`set_advertised_address`, `set_advertised_port`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// Host.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
}

/// What a relayed request carries besides its edits.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The complete list of edits.
    pub edits: Edits,
    /// New request URI, if any (wins over one in the edits).
    pub uri: Option<Bytes>,
    /// Record-Route to write.
    pub record_route: Option<Arc<RecordRoute>>,
    /// Address to advertise instead of the listener's.
    pub advertised: Option<Arc<Advertised>>,
}

/// One branch to relay to: what to send, and where to, in order of preference.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The request as this branch sends it.
    pub outgoing: Outgoing,
    /// Where to; the next one is tried when one fails.
    pub targets: Vec<Target>,
    /// Preference in thousandths, -1 unknown; kept for those who ask.
    pub q: i32,
}

/// A locally made response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// Status code, 100..=699.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'a [u8],
    /// To-tag; `None` makes one for statuses from 180 (ser-semantics §14).
    pub to_tag: Option<&'a [u8]>,
    /// Header lines, each with its CRLF.
    pub headers: &'a [u8],
    /// Body; its Content-Type stands among the headers.
    pub body: &'a [u8],
    /// Without Server and Warning: an answer to a stranger, who may have forged his address, stays small.
    pub bare: bool,
}

impl<'a> Reply<'a> {
    /// A response of status and reason only.
    pub fn new(status: u16, reason: &'a [u8]) -> Reply<'a> {
        Reply { status, reason, ..Reply::default() }
    }
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where to; `listener` is always set.
    pub target: Target,
    /// The message, shared with the state machine that may send it again.
    pub data: Bytes,
}

/// Something that a script asked to hear of.
#[derive(Clone, Debug)]
pub enum Event {
    /// A response came and waits for [`crate::Layer::resume_reply`].
    Reply {
        /// Its transaction.
        tx: TxId,
        /// Its branch.
        branch: usize,
        /// Names it when resumed.
        token: ReplyToken,
        /// The response.
        message: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// All branches failed; the transaction waits for [`crate::Layer::resume_failure`].
    Failure {
        /// The transaction.
        tx: TxId,
        /// Status of the picked response.
        status: u16,
        /// Its branch.
        branch: usize,
        /// The response and where it came from; `None` when it was made up here (a timeout, say).
        reply: Option<(Message, Flow)>,
    },
    /// A final response went upstream, or waits for [`crate::Layer::resume_final`].
    Final {
        /// The transaction.
        tx: TxId,
        /// Its status.
        status: u16,
        /// It waits.
        held: bool,
        /// The response that was relayed, `None` for one made here.
        message: Option<Message>,
    },
    /// The transaction is gone.
    Ended {
        /// It was this one.
        tx: TxId,
        /// Final status sent upstream, 0 if none.
        status: u16,
    },
    /// A response to a request of our own.
    ClientReply {
        /// The request.
        client: ClientId,
        /// Status.
        status: u16,
        /// The response.
        message: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// A request of our own got no final response: 408 timeout, 503 transport error.
    ClientTimeout {
        /// The request.
        client: ClientId,
        /// 408 or 503.
        status: u16,
    },
}

/// Gauges: what is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions with a server side.
    pub server: usize,
    /// Transactions begun by ourselves.
    pub client: usize,
    /// Timer entries, those of cancelled timers included until they come up.
    pub timers: usize,
    /// Replies held by a script.
    pub held: usize,
    /// Requests held before they had a transaction.
    pub pending: usize,
    /// Messages waiting for `poll_transmit`.
    pub transmits: usize,
    /// Events waiting for `poll_event`.
    pub events: usize,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions made.
    pub transactions: u64,
    /// Of them, begun by ourselves.
    pub local: u64,
    /// Request retransmissions absorbed.
    pub retransmitted_in: u64,
    /// Messages that we sent again.
    pub retransmitted_out: u64,
    /// ACKs absorbed.
    pub acks_absorbed: u64,
    /// Branches that timed out.
    pub timeouts: u64,
    /// Targets skipped for the next one.
    pub failovers: u64,
    /// Targets not sent to because they did not answer lately.
    pub blacklisted: u64,
    /// Loops found.
    pub loops: u64,
    /// Transactions refused because the table was full.
    pub refused: u64,
    /// Responses of no transaction.
    pub stray_responses: u64,
    /// Responses or failures that a script held too long.
    pub overdue: u64,
    /// Final responses sent upstream, by class (index 2 = 2xx … 6 = 6xx).
    pub finals: [u64; 7],
    /// Of them, made here.
    pub finals_local: u64,
}
