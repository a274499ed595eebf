//! Connections on sockets: accepting, connecting, reading and writing for the core's `streams`.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::AsRawFd;

use bytes::Bytes;
use hashbrown::HashMap;
use sipyard_transaction::{Micros, Protocol};
use sipyard_transport::{monotonic_micros, tcp_accept, tcp_connect, Epoll, Interest, Ready, TcpOptions};

use crate::channel::{Arrived, Channel, Progress};
use crate::core::Core;
use crate::online::Net;
use crate::streams::{CloseReason, Connect, StreamAction};
use crate::websocket::{Unwrapped, WebSocket};

/// Tokens of sockets that accept, and of connections; both stand above those of datagram sockets.
const ACCEPTOR: u64 = 1 << 61;
const CHANNEL: u64 = 1 << 62;
/// Connections taken from one socket in one turn, before others have theirs.
const ACCEPTS: usize = 64;
/// Full buffers taken from one connection in one turn.
const READS: usize = 4;
const BUFFER: usize = 65_536;
/// How long nobody is accepted when there are no descriptors: with the socket's backlog always ready, looking again at
/// once would be a busy loop.
const PAUSE: Micros = 100_000;

/// A socket that accepts, and the listeners that it stands for: one, or one for each address of a wildcard.
pub(crate) struct Acceptor {
    pub(crate) socket: TcpListener,
    pub(crate) listeners: Vec<(IpAddr, u16)>,
    pub(crate) options: TcpOptions,
    /// Nobody is accepted until then.
    paused_until: Option<Micros>,
}

impl Acceptor {
    pub(crate) fn new(socket: TcpListener, listeners: Vec<(IpAddr, u16)>, options: TcpOptions) -> Acceptor {
        Acceptor { socket, listeners, options, paused_until: None }
    }

    fn listener_at(&self, local: IpAddr) -> Option<u16> {
        let found = self.listeners.iter().find(|(ip, _)| *ip == local).or_else(|| self.listeners.first());
        found.map(|(_, listener)| *listener)
    }
}

/// Sockets of connections.
pub(crate) struct Channels {
    acceptors: Vec<Acceptor>,
    open: HashMap<u64, Channel>,
    buffer: Box<[u8]>,
    pieces: Vec<Bytes>,
}

impl Default for Channels {
    fn default() -> Channels {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Channels { acceptors: Vec::new(), open: HashMap::new(), buffer, pieces: Vec::new() }
    }
}

impl Channels {
    /// When accepting goes on, if it has been paused.
    pub(crate) fn next_wake(&self) -> Option<Micros> {
        self.acceptors.iter().filter_map(|acceptor| acceptor.paused_until).min()
    }

    /// Accept on a socket from now on.
    pub(crate) fn add_acceptor(&mut self, epoll: &Epoll, acceptor: Acceptor) -> io::Result<()> {
        let token = ACCEPTOR | self.acceptors.len() as u64;
        epoll.add(acceptor.socket.as_raw_fd(), token, Interest::READ)?;
        self.acceptors.push(acceptor);
        Ok(())
    }

    /// Close all sockets.
    pub(crate) fn close(&mut self) {
        self.acceptors.clear();
        self.open.clear();
    }

    fn resume_accepting(&mut self, epoll: &Epoll, now: Micros) {
        for (index, acceptor) in self.acceptors.iter_mut().enumerate() {
            let is_over = acceptor.paused_until.is_some_and(|until| until <= now);
            let token = ACCEPTOR | index as u64;
            if is_over && epoll.modify(acceptor.socket.as_raw_fd(), token, Interest::READ).is_ok() {
                acceptor.paused_until = None;
            }
        }
    }
}

/// Whether a token is one of ours.
pub(crate) fn is_stream_token(token: u64) -> bool {
    token & (ACCEPTOR | CHANNEL) != 0 && token != u64::MAX
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

impl Net {
    /// A socket that accepts or one of a connection is ready.
    pub(crate) fn serve_stream(&self, ready: &Ready) {
        let mut channels = self.channels.lock();
        if ready.token & CHANNEL != 0 {
            self.serve_channel(&mut channels, ready.token & !CHANNEL, ready);
        } else {
            self.accept_from(&mut channels, (ready.token & !ACCEPTOR) as usize);
        }
    }

    /// Do what the core wants done with connections; also what time has brought.
    pub(crate) fn serve_actions(&self) {
        let mut channels = self.channels.lock();
        if channels.next_wake().is_some() {
            channels.resume_accepting(&self.epoll, monotonic_micros());
        }
        while let Some(action) = self.handle.with(Core::poll_stream_action) {
            match action {
                StreamAction::Connect(connect) => self.connect(&mut channels, &connect),
                StreamAction::Write(number) => self.write_channel(&mut channels, number),
                StreamAction::Ping(number) => self.ping_channel(&mut channels, number),
                // Dropping the socket closes it and takes it out of epoll.
                StreamAction::Close(number) => channels.open.remove(&number).into_iter().for_each(Channel::close),
            }
        }
    }

    fn accept_from(&self, channels: &mut Channels, index: usize) {
        for _ in 0..ACCEPTS {
            let Some(acceptor) = channels.acceptors.get_mut(index) else { return };
            let (stream, remote) = match tcp_accept(&acceptor.socket, acceptor.options) {
                Ok(accepted) => accepted,
                Err(error) if is_out_of_descriptors(&error) => {
                    self.pause_accepting(acceptor, index);
                    return;
                }
                // Nobody is there, or he has gone again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let Ok(local) = stream.local_addr() else { continue };
            let Some(listener) = acceptor.listener_at(local.ip()) else { continue };
            let now = monotonic_micros();
            let accepted = self.handle.with(|core| core.stream_accepted(now, listener, local, remote));
            let Some(number) = accepted else { continue };
            let (tls, origins) = self.handle.with(|core| (core.tls_of(listener), core.origins_of(listener)));
            match tls.map(|context| context?.accept(local)) {
                Some(None) => self.ended(number, CloseReason::Tls),
                tls => {
                    let channel = Channel::accepted(stream, tls.flatten(), origins.map(WebSocket::new));
                    self.adopt_channel(channels, number, channel, Interest::READ);
                }
            }
        }
    }

    /// Let a stranger go to make room, and accept nobody for a while.
    fn pause_accepting(&self, acceptor: &mut Acceptor, index: usize) {
        let nothing = Interest { readable: false, writable: false };
        let token = ACCEPTOR | index as u64;
        if self.epoll.modify(acceptor.socket.as_raw_fd(), token, nothing).is_ok() {
            acceptor.paused_until = Some(monotonic_micros() + PAUSE);
        }
        self.handle.with(|core| {
            core.make_room();
            core.notice("out of file descriptors: new connections must wait");
        });
    }

    fn adopt_channel(&self, channels: &mut Channels, number: u64, channel: Channel, interest: Interest) {
        match self.epoll.add(channel.fd(), CHANNEL | number, interest) {
            Ok(()) => drop(channels.open.insert(number, channel)),
            Err(_) => self.ended(number, CloseReason::Broken),
        }
    }

    fn connect(&self, channels: &mut Channels, connect: &Connect) {
        let Connect { connection, local, remote, protocol, server_name } = connect;
        let is_secure = *protocol == Protocol::Tls;
        let tls = is_secure.then(|| self.handle.with(|core| core.tls())?.connect(*remote, server_name.as_deref()));
        if let Some(None) = tls {
            return self.ended(*connection, CloseReason::Tls);
        }
        let options = channels.acceptors.first().map_or_else(TcpOptions::default, |acceptor| acceptor.options);
        let local = Some(*local).filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == remote.is_ipv4());
        // A listener's address that does not lead there is no reason not to try.
        let made = tcp_connect(*remote, local, options).or_else(|_| tcp_connect(*remote, None, options));
        match made {
            Ok(stream) => {
                let interest = Interest { readable: true, writable: true };
                self.adopt_channel(channels, *connection, Channel::connecting(stream, tls.flatten()), interest);
            }
            Err(_) => self.ended(*connection, CloseReason::Refused),
        }
    }

    fn ended(&self, number: u64, reason: CloseReason) {
        let now = monotonic_micros();
        self.guarded(|core| core.stream_closed(now, number, reason));
    }

    fn serve_channel(&self, channels: &mut Channels, number: u64, ready: &Ready) {
        let Some(channel) = channels.open.get_mut(&number) else { return };
        if channel.progress == Progress::Connecting {
            if channel.finish_connecting().is_err() {
                return self.ended(number, CloseReason::Refused);
            }
            self.opened(channel, number);
        }
        let before = channel.progress;
        if ready.readable {
            self.read_channel(channels, number);
        }
        // What waited for the handshake goes now.
        let has_opened = channels.open.get(&number).is_some_and(|channel| channel.progress != before);
        if ready.writable || has_opened {
            self.write_channel(channels, number);
        }
    }

    /// Messages may flow over a connection of ours, unless a handshake comes first.
    fn opened(&self, channel: &Channel, number: u64) {
        let Ok(local) = channel.local() else { return };
        if channel.progress == Progress::Open {
            let now = monotonic_micros();
            self.guarded(|core| core.stream_connected(now, number, local));
        }
    }

    fn read_channel(&self, channels: &mut Channels, number: u64) {
        let Channels { open, buffer, .. } = channels;
        let Some(channel) = open.get_mut(&number) else { return };
        for _ in 0..READS {
            let arrived = channel.read(buffer);
            if let Some(facts) = channel.finish_handshake() {
                self.handle.with(|core| core.stream_secured(number, facts));
                self.opened(channel, number);
            }
            let now = monotonic_micros();
            match arrived {
                Arrived::Bytes(count) => {
                    let data = buffer.get(..count).unwrap_or_default();
                    if channel.is_web() {
                        if let Err(reason) = self.unwrap_frames(channel, number, data) {
                            return self.ended(number, reason);
                        }
                    } else {
                        self.guarded(|core| core.stream_received(now, number, data));
                    }
                    // A plain socket has been emptied; TLS may hold more than one record.
                    if count < BUFFER && !channel.is_secure() {
                        return self.watch_for_answers(channel, number);
                    }
                }
                Arrived::Nothing => return self.watch_for_answers(channel, number),
                Arrived::End(reason) => {
                    if let (Some(why), Ok(remote)) = (channel.take_complaint(), channel.remote()) {
                        self.handle.with(|core| core.notice(format!("TLS handshake with {remote} failed: {why}")));
                    }
                    return self.ended(number, reason);
                }
            }
        }
    }

    /// Hand the messages in frames to the core; the reason if the connection is over.
    fn unwrap_frames(&self, channel: &mut Channel, number: u64, data: &[u8]) -> Result<(), CloseReason> {
        channel.push(data);
        loop {
            let now = monotonic_micros();
            match channel.unwrap_frame() {
                Unwrapped::Message(message) => self.guarded(|core| core.stream_message(now, number, message)),
                Unwrapped::Alive => self.guarded(|core| core.stream_alive(now, number)),
                Unwrapped::Nothing => return Ok(()),
                Unwrapped::End(reason) => return Err(reason),
            }
        }
    }

    fn ping_channel(&self, channels: &mut Channels, number: u64) {
        let Some(channel) = channels.open.get_mut(&number) else { return };
        match channel.ping() {
            Ok(()) => self.watch_for_room(channel, number, false),
            Err(_) => self.ended(number, CloseReason::Broken),
        }
    }

    fn write_channel(&self, channels: &mut Channels, number: u64) {
        let Channels { open, pieces, .. } = channels;
        let Some(channel) = open.get_mut(&number) else { return };
        if channel.flush().is_err() {
            return self.ended(number, CloseReason::Broken);
        }
        let mut is_blocked = false;
        while channel.progress == Progress::Open {
            pieces.clear();
            self.handle.with(|core| core.stream_output(number, pieces));
            if pieces.is_empty() {
                break;
            }
            let Ok(count) = channel.write(pieces) else { return self.ended(number, CloseReason::Broken) };
            is_blocked = count < pieces.iter().map(Bytes::len).sum() || channel.has_unsaid();
            let now = monotonic_micros();
            if !self.handle.with(|core| core.stream_wrote(now, number, count, is_blocked)) {
                break;
            }
        }
        self.watch_for_room(channel, number, is_blocked);
    }

    /// What was read may have answers of TLS or WebSocket that the socket does not take yet. A plain socket has none, and
    /// keeps the watch that its messages need.
    fn watch_for_answers(&self, channel: &mut Channel, number: u64) {
        if channel.is_secure() || channel.is_web() {
            self.watch_for_room(channel, number, false);
        }
    }

    fn watch_for_room(&self, channel: &mut Channel, number: u64, is_blocked: bool) {
        let is_blocked = is_blocked || channel.has_unsaid() || channel.progress == Progress::Connecting;
        if channel.is_blocked != is_blocked {
            let interest = Interest { readable: true, writable: is_blocked };
            // Without the watch the next message for this peer tries again.
            if self.epoll.modify(channel.fd(), CHANNEL | number, interest).is_ok() {
                channel.is_blocked = is_blocked;
            }
        }
    }
}
