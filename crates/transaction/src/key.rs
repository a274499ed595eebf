//! What makes two requests one transaction: RFC 3261 §17.2.3, for peers before it SER's rules (ser-semantics §6).
//!
//! A key is 128 bits of a keyed hash over exactly the fields that must be equal, computed once for each request. An
//! INVITE, the ACK to its failure and its CANCEL have the same key; the class tells them apart.

use sipyard_wire::{HeaderName, Message, Method};

use crate::branch_id::has_cookie;
use crate::config::Config;
use crate::siphash::SipHasher;

/// Identity of a request on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(crate) [u64; 2]);

impl Key {
    /// The part that a table hashes by.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.0[0]
    }
}

/// Kinds of requests that share a key without being the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// INVITE, and ACK, which belongs to it.
    Invite,
    /// CANCEL.
    Cancel,
    /// Any other.
    Other,
}

impl Class {
    /// The class of a method.
    pub fn of(method: Method<'_>) -> Class {
        match method {
            Method::Invite | Method::Ack => Class::Invite,
            Method::Cancel => Class::Cancel,
            _ => Class::Other,
        }
    }
}

/// Hash keys, each for one purpose, all from the one seed.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    request: [u64; 2],
    dialog: [u64; 2],
    loops: [u64; 2],
    secret: [u64; 2],
    stateful_tag: [u64; 2],
    stateless_tag: [u64; 2],
    stateless_branch: [u64; 2],
}

impl Keys {
    /// Keys from a seed.
    pub fn new(seed: [u64; 2]) -> Keys {
        let purpose = |number: u64| {
            let mut hasher = SipHasher::new(seed);
            hasher.word(number);
            hasher.finish()
        };
        Keys {
            request: purpose(1),
            dialog: purpose(2),
            loops: purpose(3),
            secret: purpose(4),
            stateful_tag: purpose(5),
            stateless_tag: purpose(6),
            stateless_branch: purpose(7),
        }
    }

    /// The key of a request.
    pub fn request(&self, message: &Message, config: &Config) -> Key {
        let mut hasher = SipHasher::new(self.request);
        let method = message.method();
        hasher.field(message.call_id().unwrap_or_default());
        hasher.word(message.cseq().map_or(0, |cseq| u64::from(cseq.number)));
        if Class::of(method) == Class::Other {
            hasher.field(method.as_bytes());
        }
        let branch = message.branch();
        if has_cookie(branch) {
            hasher.token(branch);
            hasher.token(sent_protocol_and_by(message.top_via_text()));
        } else {
            before_3261(&mut hasher, message, config);
        }
        Key(hasher.finish())
    }

    /// What an INVITE and the ACK to its 2xx have in common: Call-ID, CSeq number, From tag. Never 0.
    pub fn dialog(&self, message: &Message) -> u64 {
        let mut hasher = SipHasher::new(self.dialog);
        hasher.field(message.call_id().unwrap_or_default());
        hasher.word(message.cseq().map_or(0, |cseq| u64::from(cseq.number)));
        hasher.field(message.from_tag().unwrap_or_default());
        hasher.finish()[0].max(1)
    }

    /// Everything that a routing decision depends on (RFC 5393 §4.2.2), the previous hop included: scripts look at it.
    pub fn loops(&self, message: &Message, source: std::net::SocketAddr) -> u64 {
        let mut hasher = SipHasher::new(self.loops);
        hasher.field(message.request_uri());
        for id in [HeaderName::Route, HeaderName::ProxyAuthorization, HeaderName::ProxyRequire] {
            for field in message.all(id) {
                hasher.word(id as u64);
                hasher.field(field.value);
            }
        }
        match source.ip() {
            std::net::IpAddr::V4(ip) => hasher.field(&ip.octets()),
            std::net::IpAddr::V6(ip) => hasher.field(&ip.octets()),
        }
        hasher.word(u64::from(source.port()));
        hasher.finish()[0]
    }

    /// The secret of the n-th transaction.
    pub fn secret(&self, serial: u64) -> u64 {
        let mut hasher = SipHasher::new(self.secret);
        hasher.word(serial);
        hasher.finish()[0]
    }

    /// The To-tag of a transaction's own responses; its CANCEL's too, as RFC 3261 §9.2 wants it.
    pub fn stateful_tag(&self, key: &Key) -> u64 {
        Keys::over(self.stateful_tag, key)[0]
    }

    /// The To-tag of a stateless response: an ACK that brings it back proves that it answers us.
    pub fn stateless_tag(&self, key: &Key) -> u64 {
        Keys::over(self.stateless_tag, key)[0]
    }

    /// The branch of a statelessly forwarded request (RFC 3261 §16.11): its retransmissions, ACK and CANCEL get the same.
    pub fn stateless_branch(&self, key: &Key) -> [u64; 2] {
        Keys::over(self.stateless_branch, key)
    }

    fn over(purpose: [u64; 2], key: &Key) -> [u64; 2] {
        let mut hasher = SipHasher::new(purpose);
        hasher.word(key.0[0]);
        hasher.word(key.0[1]);
        hasher.finish()
    }
}

/// `SIP/2.0/UDP host:port` of a Via.
fn sent_protocol_and_by(via: &[u8]) -> &[u8] {
    let end = via.iter().position(|byte| *byte == b';').unwrap_or(via.len());
    via.get(..end).unwrap_or_default().trim_ascii_end()
}

/// SER's comparison for peers without the magic cookie. Of To only the URI counts: an ACK brings our tag.
fn before_3261(hasher: &mut SipHasher, message: &Message, config: &Config) {
    hasher.field(message.first(HeaderName::From).map_or(&b""[..], |field| field.value));
    hasher.field(message.to().map_or(&b""[..], |to| to.uri));
    if config.ruri_matching {
        hasher.field(message.request_uri());
    }
    if config.via1_matching {
        hasher.field(message.top_via_text());
    }
}
