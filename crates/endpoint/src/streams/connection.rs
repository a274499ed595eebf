//! One connection: what waits in it, and by when something must have happened.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sipyard_transaction::{Flow, Micros, Protocol};
use sipyard_wire::framer::{StreamFramer, StreamLimits};

use crate::streams::settings::StreamSettings;
use crate::tls::TlsFacts;

/// Ports that one connection may be known by besides its own (SER's limit).
const ALIASES: usize = 4;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer hung up.
    Peer,
    /// The network or the peer broke it.
    Broken,
    /// It did not come about.
    Refused,
    /// It did not come about in time.
    ConnectTimeout,
    /// The peer did not read in time what waits for it.
    SendTimeout,
    /// Nothing was said for long.
    Idle,
    /// It never sent a whole message.
    Silent,
    /// A message did not come to its end.
    Unfinished,
    /// What came is not SIP, or nobody can tell where a message ends.
    NotSip,
    /// The TLS handshake failed.
    Tls,
    /// The WebSocket handshake failed, or a frame is none.
    WebSocket,
    /// Another one needs its place.
    Crowded,
    /// The server was told to.
    Asked,
}

impl CloseReason {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            CloseReason::Peer => "the peer hung up",
            CloseReason::Broken => "the connection broke",
            CloseReason::Refused => "the peer refused it",
            CloseReason::ConnectTimeout => "the peer did not answer in time",
            CloseReason::SendTimeout => "the peer did not read in time",
            CloseReason::Idle => "nothing was said for long",
            CloseReason::Silent => "no whole message came in time",
            CloseReason::Unfinished => "a message did not come to its end in time",
            CloseReason::NotSip => "what came is not SIP",
            CloseReason::Tls => "the TLS handshake failed",
            CloseReason::WebSocket => "what came is no WebSocket",
            CloseReason::Crowded => "its place was needed",
            CloseReason::Asked => "the server closed it",
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// We have asked for it.
    Connecting,
    /// Messages may flow.
    Open,
    /// It closes once all is written.
    Closing(CloseReason),
}

/// A connection as the core knows it. Who does the I/O has the socket.
pub(crate) struct Connection {
    pub(crate) flow: Flow,
    /// Our end of it.
    pub(crate) local: SocketAddr,
    /// Whether we asked for it.
    pub(crate) is_ours: bool,
    pub(crate) phase: Phase,
    pub(crate) framer: StreamFramer,
    pub(crate) aliases: Vec<SocketAddr>,
    /// A whole SIP message came.
    pub(crate) has_spoken: bool,
    /// Whether its end is an event.
    pub(crate) is_watched: bool,
    /// What the TLS handshake came to.
    pub(crate) tls: Option<Arc<TlsFacts>>,
    /// The name of who is called (0: none).
    pub(crate) server_name: u64,
    /// Who does the I/O has been told to write.
    pub(crate) is_writing: bool,
    /// The deadline that stands in the queue of deadlines.
    pub(crate) armed: Micros,
    opened: Micros,
    active: Micros,
    /// When the peer was asked whether he is there, and has not answered.
    pinged: Option<Micros>,
    /// When the first byte of an incomplete message came.
    begun: Option<Micros>,
    /// Since when the peer takes nothing of what waits.
    stuck: Option<Micros>,
    queue: VecDeque<Bytes>,
    /// Of the first in the queue, what is written.
    written: usize,
    waiting: usize,
}

impl Connection {
    pub(crate) fn new(flow: Flow, local: SocketAddr, is_ours: bool, now: Micros) -> Connection {
        Connection {
            flow,
            local,
            is_ours,
            phase: if is_ours { Phase::Connecting } else { Phase::Open },
            framer: StreamFramer::new(StreamLimits::default()),
            aliases: Vec::new(),
            has_spoken: false,
            is_watched: false,
            tls: None,
            server_name: 0,
            is_writing: false,
            armed: Micros::MAX,
            opened: now,
            active: now,
            pinged: None,
            begun: None,
            stuck: None,
            queue: VecDeque::new(),
            written: 0,
            waiting: 0,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.flow.protocol
    }

    /// Queue a message; false when too much waits already.
    pub(crate) fn push(&mut self, now: Micros, data: Bytes, limit: usize) -> bool {
        if matches!(self.phase, Phase::Closing(_)) || self.waiting + data.len() > limit {
            return false;
        }
        if self.waiting == 0 {
            self.stuck = Some(now);
        }
        self.active = now;
        self.waiting += data.len();
        self.queue.push_back(data);
        true
    }

    /// What is to be written, in order, some pieces of it.
    pub(crate) fn output(&self, out: &mut Vec<Bytes>) {
        const PIECES: usize = 16;
        for (place, data) in self.queue.iter().take(PIECES).enumerate() {
            out.push(if place == 0 { data.slice(self.written..) } else { data.clone() });
        }
    }

    /// So many bytes of it are written.
    pub(crate) fn wrote(&mut self, now: Micros, mut count: usize) {
        self.waiting = self.waiting.saturating_sub(count);
        while let Some(first) = self.queue.front() {
            let left = first.len() - self.written;
            if count < left {
                self.written += count;
                break;
            }
            count -= left;
            self.written = 0;
            self.queue.pop_front();
        }
        self.stuck = (self.waiting > 0).then_some(now);
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// What was not written, or only in part.
    pub(crate) fn unwritten(&mut self) -> VecDeque<Bytes> {
        std::mem::take(&mut self.queue)
    }

    /// The connection stands.
    pub(crate) fn opened(&mut self, now: Micros, local: SocketAddr) {
        self.phase = Phase::Open;
        self.local = local;
        self.active = now;
        self.stuck = (self.waiting > 0).then_some(now);
    }

    /// The peer said something.
    pub(crate) fn spoke(&mut self, now: Micros) {
        self.active = now;
        self.pinged = None;
    }

    /// All that came was looked at.
    pub(crate) fn looked(&mut self, now: Micros, is_incomplete: bool) {
        self.begun = if is_incomplete { self.begun.or(Some(now)) } else { None };
    }

    /// A message came to its end: the next one has its own time.
    pub(crate) fn completed(&mut self, now: Micros) {
        self.begun = None;
        self.spoke(now);
    }

    /// Know it by another port too; false when it has enough of them.
    pub(crate) fn add_alias(&mut self, alias: SocketAddr) -> bool {
        let has_room = self.aliases.len() < ALIASES;
        if has_room {
            self.aliases.push(alias);
        }
        has_room
    }

    /// Whether a silent peer is to be asked whether he is there before the connection ends; says so once.
    pub(crate) fn take_ping(&mut self, now: Micros, reason: CloseReason) -> bool {
        let is_web = matches!(self.protocol(), Protocol::Ws | Protocol::Wss);
        let is_due = is_web && reason == CloseReason::Idle && self.pinged.is_none();
        if is_due {
            self.pinged = Some(now);
        }
        is_due
    }

    /// By when something must have happened, and what is wrong if it has not.
    pub(crate) fn deadline(&self, settings: &StreamSettings) -> (Micros, CloseReason) {
        let mut nearest = match self.phase {
            Phase::Connecting => return (self.opened + settings.connect, CloseReason::ConnectTimeout),
            Phase::Closing(reason) => (self.active + settings.send, reason),
            Phase::Open => {
                (self.pinged.map_or(self.active + settings.idle, |at| at + settings.send), CloseReason::Idle)
            }
        };
        let mut at_most = |since: Option<Micros>, time: Micros, reason: CloseReason| {
            if let Some(deadline) = since.map(|since| since + time).filter(|deadline| *deadline < nearest.0) {
                nearest = (deadline, reason);
            }
        };
        let is_stranger = !self.is_ours && !self.has_spoken;
        at_most(is_stranger.then_some(self.opened), settings.first_message, CloseReason::Silent);
        at_most(self.begun, settings.message, CloseReason::Unfinished);
        at_most(self.stuck, settings.send, CloseReason::SendTimeout);
        nearest
    }
}
