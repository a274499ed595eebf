//! What can be set: timers, the generation of SER whose choices are followed, bounds.

use bytes::Bytes;

use crate::blacklist::BlacklistConfig;

/// A time or an interval in microseconds of a monotonic clock that the caller owns.
pub type Micros = u64;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// The timers of RFC 3261 §17 (Table 4) and SER's names for some of them.
#[derive(Clone, Debug)]
pub struct Timers {
    /// T1: the round trip estimate, first retransmission interval (SER: `retr_timer1`).
    pub t1: Micros,
    /// T2: the longest retransmission interval of non-INVITE requests and INVITE responses (SER: `retr_timer2`).
    pub t2: Micros,
    /// T4: how long a message may live in the network.
    pub t4: Micros,
    /// Longest interval between retransmissions of an INVITE. RFC 3261 §17.1.1.2 knows no limit; SER stops at T2.
    pub invite_cap: Micros,
    /// SER's `fr_timer`, RFC 3261's timers B and F: no response at all (INVITE), no final one (others).
    pub fr: Micros,
    /// SER's `fr_inv_timer`, RFC 3261's timer C: no final response after a provisional one.
    pub fr_inv: Micros,
    /// SER's `wt_timer`, RFC 3261's timers I and K: how long a completed transaction absorbs what is still under way.
    pub wait: Micros,
    /// Timers D, H, J, L and M: how long a final response may be retransmitted, by RFC 64·T1.
    pub linger: Micros,
    /// How long a script may hold a reply, a failure or an unanswered request before the layer goes on without it.
    pub hold: Micros,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            t1: 500 * MILLISECOND,
            t2: 4 * SECOND,
            t4: 5 * SECOND,
            invite_cap: Micros::MAX,
            fr: 30 * SECOND,
            fr_inv: 120 * SECOND,
            wait: 5 * SECOND,
            linger: 32 * SECOND,
            hold: 60 * SECOND,
        }
    }
}

/// Which SER's order of the best response holds (ser-semantics §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// The lowest code wins, nothing is special.
    Ser09,
    /// 6xx before 3xx before 4xx (those that say how to go on first) before 5xx; a 503 becomes a 500.
    #[default]
    Ser20,
}

/// Settings of a [`crate::Layer`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Timers.
    pub timers: Timers,
    /// Each provisional response restarts `fr_inv`; otherwise only one with a higher code than any before.
    pub restart_fr_on_each_reply: bool,
    /// Merge the challenges of several branches into one 401 or 407 (RFC 3261 §16.7 step 7).
    pub aggregate_challenges: bool,
    /// Whose order of responses is used.
    pub best_response: Generation,
    /// Value of the Server header in responses made here; `None` leaves it out.
    pub server: Option<Bytes>,
    /// Add a `Warning: 392` that tells where a locally made response comes from.
    pub warning: bool,
    /// Send responses to the address in the Via instead of the request's source address.
    pub reply_to_via: bool,
    /// A pre-RFC 3261 request must have the same request URI to match.
    pub ruri_matching: bool,
    /// A pre-RFC 3261 request must have the same top Via to match.
    pub via1_matching: bool,
    /// Drop responses whose top Via does not name us.
    pub check_via: bool,
    /// Two Record-Route headers when a request leaves from another socket than it came in by.
    pub double_record_route: bool,
    /// Destinations that did not answer lately.
    pub blacklist: BlacklistConfig,
    /// Try a branch's next target on timeout, transport error and 503.
    pub failover: bool,
    /// Requests of more bytes than this go by TCP where we can, and by UDP when that fails (RFC 3261 §18.1.1); 0: no.
    pub udp_mtu: usize,
    /// Answer 482 to a request that comes back with nothing changed (RFC 5393).
    pub loop_detection: bool,
    /// Max-Breadth given to a forked request that has none (RFC 5393 §5.3.3); 0 leaves the header alone.
    pub max_breadth: u32,
    /// Hold the final responses of all transactions until [`crate::Layer::resume_final`], unless they are disarmed.
    pub hold_finals: bool,
    /// Branches in one transaction, all attempts together.
    pub max_branches: usize,
    /// Transactions alive at once; beyond, new ones are refused.
    pub max_transactions: usize,
    /// Responses a script may hold in one transaction at once; beyond, they are lost as if on the way.
    pub max_held: usize,
    /// Source of all keys and tags. The same seed and input give the same output; in service it must be random.
    pub seed: [u64; 2],
}

impl Default for Config {
    fn default() -> Config {
        Config {
            timers: Timers::default(),
            restart_fr_on_each_reply: true,
            aggregate_challenges: true,
            best_response: Generation::Ser20,
            server: Some(Bytes::from_static(b"Sipyard")),
            warning: false,
            reply_to_via: false,
            ruri_matching: true,
            via1_matching: true,
            check_via: false,
            double_record_route: true,
            blacklist: BlacklistConfig::default(),
            failover: true,
            udp_mtu: 0,
            loop_detection: true,
            max_breadth: 60,
            hold_finals: false,
            max_branches: 12,
            max_transactions: 1_000_000,
            max_held: 32,
            seed: [0, 0],
        }
    }
}
