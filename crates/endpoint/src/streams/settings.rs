//! Limits and times of connections.

use sipyard_transaction::Micros;

use crate::websocket::Origins;

const SECOND: Micros = 1_000_000;

/// What connections may take and how long they may take it. SER's names in brackets.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Connections at once (`tcp_max_connections`).
    pub most: usize,
    /// Of them from one address.
    pub most_of_one: usize,
    /// Of them from one address that have not sent a whole message yet.
    pub most_strangers_of_one: usize,
    /// Bytes that may wait for a peer that reads slowly; what does not fit is not sent.
    pub queue: usize,
    /// For a connection of ours to come about (`tcp_connect_timeout`).
    pub connect: Micros,
    /// For a peer to take what waits (`tcp_send_timeout`).
    pub send: Micros,
    /// Without a message either way (`tcp_connection_lifetime`).
    pub idle: Micros,
    /// For the first whole message of who connected to us.
    pub first_message: Micros,
    /// For a message to be complete after its first byte.
    pub message: Micros,
    /// Take the port of a Via with `alias` for the connection's (`tcp_accept_aliases`).
    pub accept_aliases: bool,
    /// Take HTTP requests too.
    pub http: bool,
    /// Pages that may connect by WebSocket; none named: all.
    pub origins: Origins,
}

impl Default for StreamSettings {
    fn default() -> StreamSettings {
        StreamSettings {
            most: 2048,
            most_of_one: 1024,
            most_strangers_of_one: 128,
            queue: 1 << 20,
            connect: 10 * SECOND,
            send: 10 * SECOND,
            idle: 120 * SECOND,
            first_message: 10 * SECOND,
            message: 20 * SECOND,
            accept_aliases: false,
            http: false,
            origins: Origins::default(),
        }
    }
}

/// One of them with its new value.
#[derive(Clone, Debug)]
pub enum StreamSetting {
    /// `StreamSettings::most`.
    Most(usize),
    /// `StreamSettings::most_of_one`.
    MostOfOne(usize),
    /// `StreamSettings::most_strangers_of_one`.
    MostStrangersOfOne(usize),
    /// `StreamSettings::queue`.
    Queue(usize),
    /// `StreamSettings::connect`.
    Connect(Micros),
    /// `StreamSettings::send`.
    Send(Micros),
    /// `StreamSettings::idle`.
    Idle(Micros),
    /// `StreamSettings::first_message`.
    FirstMessage(Micros),
    /// `StreamSettings::message`.
    Message(Micros),
    /// `StreamSettings::accept_aliases`.
    AcceptAliases(bool),
    /// `StreamSettings::http`.
    Http(bool),
    /// `StreamSettings::origins`.
    Origins(Origins),
}

impl StreamSettings {
    /// Change one.
    pub(crate) fn apply(&mut self, setting: StreamSetting) {
        match setting {
            StreamSetting::Most(value) => self.most = value,
            StreamSetting::MostOfOne(value) => self.most_of_one = value,
            StreamSetting::MostStrangersOfOne(value) => self.most_strangers_of_one = value,
            StreamSetting::Queue(value) => self.queue = value,
            StreamSetting::Connect(value) => self.connect = value,
            StreamSetting::Send(value) => self.send = value,
            StreamSetting::Idle(value) => self.idle = value,
            StreamSetting::FirstMessage(value) => self.first_message = value,
            StreamSetting::Message(value) => self.message = value,
            StreamSetting::AcceptAliases(value) => self.accept_aliases = value,
            StreamSetting::Http(value) => self.http = value,
            StreamSetting::Origins(value) => self.origins = value,
        }
    }
}
