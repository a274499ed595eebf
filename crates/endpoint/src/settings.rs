//! What can be set while the core runs.

use bytes::Bytes;
use sipyard_transaction::{Config, Generation, Micros, Protocol};

use crate::myself::Alias;
use crate::streams::StreamSetting;

/// One setting with its new value.
#[derive(Clone, Debug)]
pub enum Setting {
    /// Interval T1.
    T1(Micros),
    /// Interval T2.
    T2(Micros),
    /// Interval T4.
    T4(Micros),
    /// SER's fr_timer.
    Fr(Micros),
    /// SER's fr_inv_timer.
    FrInv(Micros),
    /// SER's wt_timer.
    Wait(Micros),
    /// Each provisional reply restarts fr_inv.
    RestartFr(bool),
    /// Merge challenges of branches.
    AggregateChallenges(bool),
    /// Final replies wait for `resume_final`.
    HoldFinals(bool),
    /// Order of the best response.
    BestResponse(Generation),
    /// Value of Server in replies made here.
    Server(Option<Bytes>),
    /// Value of User-Agent in requests of our own.
    UserAgent(Option<Bytes>),
    /// Add a Warning to replies made here.
    Warning(bool),
    /// Send replies to the Via's address.
    ReplyToVia(bool),
    /// Match the request URI of old requests.
    RuriMatching(bool),
    /// Match the top Via of old requests.
    Via1Matching(bool),
    /// Drop replies whose top Via is not exactly one that a listener writes.
    CheckVia(bool),
    /// Remember destinations that do not answer.
    Blacklist(bool),
    /// For how long.
    BlacklistExpire(Micros),
    /// How many at most.
    BlacklistLimit(usize),
    /// Methods (SER's bits) whose timeout adds one.
    BlacklistMethodsAdd(u32),
    /// Methods (SER's bits) that do not go to one.
    BlacklistMethodsLookup(u32),
    /// Try a branch's next target.
    Failover(bool),
    /// Bytes of a request beyond which it goes by TCP where possible; 0: never.
    UdpMtu(usize),
    /// Two Record-Routes between sockets.
    DoubleRecordRoute(bool),
    /// Answer 482 to a request that comes back unchanged.
    LoopDetection(bool),
    /// Names that are ours besides the listeners.
    Aliases(Vec<Alias>),
    /// Raise stray replies as events.
    OnReply(bool),
    /// Answer STUN binding requests.
    Stun(bool),
    /// Answer malformed requests.
    AnswerMalformed(bool),
    /// Such answers a second to one source.
    MalformedRateSource(u32),
    /// Such answers a second in total.
    MalformedRateTotal(u32),
    /// Branches in one transaction.
    MaxBranches(usize),
    /// Transactions alive at once.
    MaxTransactions(usize),
    /// Events that may wait.
    QueueLimit(usize),
    /// Seconds in Retry-After of a 503.
    RetryAfter(u32),
    /// Limits and times of connections.
    Streams(StreamSetting),
}

/// Settings that are not the transaction layer's.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) user_agent: Option<Bytes>,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) onreply: bool,
    pub(crate) stun: bool,
    pub(crate) answer_malformed: bool,
    pub(crate) queue_limit: usize,
    pub(crate) retry_after: u32,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            user_agent: Some(Bytes::from_static(b"Sipyard")),
            aliases: Vec::new(),
            onreply: false,
            stun: true,
            answer_malformed: true,
            queue_limit: 4096,
            retry_after: 5,
        }
    }
}

/// Apply a setting of the transaction layer; gives back what is not one.
pub(crate) fn apply(config: &mut Config, setting: Setting) -> Option<Setting> {
    match setting {
        Setting::T1(value) => config.timers.t1 = value,
        Setting::T2(value) => config.timers.t2 = value,
        Setting::T4(value) => config.timers.t4 = value,
        Setting::Fr(value) => config.timers.fr = value,
        Setting::FrInv(value) => config.timers.fr_inv = value,
        Setting::Wait(value) => config.timers.wait = value,
        Setting::RestartFr(value) => config.restart_fr_on_each_reply = value,
        Setting::HoldFinals(value) => config.hold_finals = value,
        Setting::AggregateChallenges(value) => config.aggregate_challenges = value,
        Setting::BestResponse(value) => config.best_response = value,
        Setting::Server(value) => config.server = value,
        Setting::Warning(value) => config.warning = value,
        Setting::ReplyToVia(value) => config.reply_to_via = value,
        Setting::RuriMatching(value) => config.ruri_matching = value,
        Setting::Via1Matching(value) => config.via1_matching = value,
        Setting::CheckVia(value) => config.check_via = value,
        Setting::Blacklist(value) => config.blacklist.enabled = value,
        Setting::BlacklistExpire(value) => config.blacklist.expire = value,
        Setting::BlacklistLimit(value) => config.blacklist.limit = value,
        Setting::BlacklistMethodsAdd(value) => config.blacklist.methods_add = value,
        Setting::BlacklistMethodsLookup(value) => config.blacklist.methods_lookup = value,
        Setting::Failover(value) => config.failover = value,
        Setting::UdpMtu(value) => config.udp_mtu = value,
        Setting::DoubleRecordRoute(value) => config.double_record_route = value,
        Setting::LoopDetection(value) => config.loop_detection = value,
        Setting::MaxBranches(value) => config.max_branches = value,
        Setting::MaxTransactions(value) => config.max_transactions = value,
        other => return Some(other),
    }
    None
}

/// A protocol by its name in a configuration.
pub fn protocol(name: &str) -> Option<Protocol> {
    Protocol::from_name(name.as_bytes())
}
