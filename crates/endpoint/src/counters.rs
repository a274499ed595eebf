//! What is counted, by name.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal;)*) => {
        /// Counters since the start.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: u64,)*
        }

        impl Counters {
            /// All of them with their names.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Datagrams of any kind.
    datagrams = "received.datagrams";
    /// Their bytes.
    bytes = "received.bytes";
    /// Well-formed requests.
    requests = "received.requests";
    /// HTTP requests.
    http = "received.http";
    /// Well-formed replies.
    replies = "received.replies";
    /// Keep-alives: only CR, LF, blanks or zeros.
    keepalives = "received.keepalives";
    /// Datagrams too short for any message.
    short = "dropped.short";
    /// STUN binding requests (RFC 8489) that were answered.
    stun_answered = "sent.stun";
    /// Other STUN on our port.
    stun = "dropped.stun";
    /// RTP or RTCP on our port.
    rtp = "dropped.rtp";
    /// Anything else that is not SIP.
    not_sip = "dropped.not_sip";
    /// Malformed requests that were answered.
    malformed_answered = "malformed.answered";
    /// Malformed requests that cannot be answered (no usable Via, an ACK, the setting).
    malformed_unanswerable = "malformed.unanswerable";
    /// Malformed requests not answered because of the rate.
    malformed_limited = "malformed.limited";
    /// Malformed requests whose answer would be too much larger than they are.
    malformed_amplifying = "malformed.amplifying";
    /// Malformed replies.
    malformed_replies = "malformed.replies";
    /// Requests answered 503 because the queue is full.
    overload = "overload.answered";
    /// Requests dropped because the queue is full.
    overload_dropped = "overload.dropped";
    /// Stray replies relayed statelessly.
    stray_relayed = "stray.relayed";
    /// Stray replies dropped: the top Via is not ours, or the second names nobody that may be sent to.
    stray_dropped = "stray.dropped";
    /// Replies sent statelessly for a script.
    stateless_replies = "sent.stateless_replies";
    /// Requests forwarded statelessly.
    stateless_requests = "sent.stateless_requests";
    /// Datagrams handed to the network.
    sent = "sent.datagrams";
    /// Their bytes.
    sent_bytes = "sent.bytes";
    /// Datagrams that the system refused to send.
    send_failed = "sent.failed";
    /// Datagrams dropped because a socket's queue was full.
    send_dropped = "sent.dropped";
    /// ICMP errors about datagrams of ours.
    icmp = "received.icmp_errors";
    /// Panics caught: each one is a bug.
    panics = "panics";
}
