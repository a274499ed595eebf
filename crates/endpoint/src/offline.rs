//! The core with time and datagrams handed in: for tests, replays and dry runs. It is the same core, not a mock of it.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sipyard_transaction::{Flow, Listener, Micros, Protocol, Transmit};

use crate::core::Core;
use crate::handle::Handle;
use crate::streams::{Connect, StreamAction};

/// What is to be done with a connection; what is written counts as taken by the network.
#[derive(Clone, Debug)]
pub enum OfflineAction {
    /// Make one.
    Connect(Connect),
    /// Send a message, or a keep-alive, over one.
    Send(u64, Bytes),
    /// Close it.
    Close(u64),
}

fn write_out(core: &mut Core, now: Micros, connection: u64, actions: &mut Vec<OfflineAction>) {
    loop {
        let mut pieces = Vec::new();
        core.stream_output(connection, &mut pieces);
        let size = pieces.iter().map(Bytes::len).sum();
        actions.extend(pieces.into_iter().map(|piece| OfflineAction::Send(connection, piece)));
        if !core.stream_wrote(now, connection, size, false) {
            break;
        }
    }
}

/// The driver that has neither sockets nor a clock.
pub struct OfflineEndpoint {
    handle: Handle,
}

impl OfflineEndpoint {
    /// A new core; the same seed and calls give the same bytes.
    pub fn new(seed: u64, queue_limit: usize) -> OfflineEndpoint {
        OfflineEndpoint { handle: Handle::new(Core::new([seed, 0x5349_5059], queue_limit), None) }
    }

    /// The core.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Add a virtual listener; its index.
    pub fn listen(&self, listener: Listener) -> u16 {
        self.handle.with(|core| core.add_listener(listener))
    }

    /// A datagram arrives on a listener; false when there is no such listener.
    pub fn receive(
        &self,
        now: Micros,
        data: &[u8],
        listener: u16,
        remote: SocketAddr,
        destination: Option<IpAddr>,
    ) -> bool {
        self.handle.with(|core| {
            let Some(own) = core.listeners().get(usize::from(listener)) else { return false };
            let address = destination.map_or(own.address, |ip| SocketAddr::new(ip, own.address.port()));
            let flow = Flow { listener, protocol: Protocol::Udp, remote, connection: 0 };
            core.receive(now, data, flow, address);
            true
        })
    }

    /// The network says that a datagram to `remote` could not be delivered.
    pub fn transport_failed(&self, now: Micros, data: &[u8], remote: SocketAddr) {
        self.handle.with(|core| core.transport_failed(now, data, remote));
    }

    /// The core's connections, to be driven by hand: what happened to one is told, what is to be done is polled.
    pub fn stream_actions(&self, now: Micros) -> Vec<OfflineAction> {
        self.handle.with(|core| {
            core.tick(now);
            let mut actions = Vec::new();
            while let Some(action) = core.poll_stream_action() {
                match action {
                    StreamAction::Connect(connect) => actions.push(OfflineAction::Connect(connect)),
                    // Messages are handed over without their frames here, and pings are frames.
                    StreamAction::Ping(_) => {}
                    StreamAction::Close(connection) => actions.push(OfflineAction::Close(connection)),
                    StreamAction::Write(connection) => write_out(core, now, connection, &mut actions),
                }
            }
            actions
        })
    }

    /// Run all timers up to `now`.
    pub fn advance(&self, now: Micros) {
        self.handle.with(|core| core.advance(now));
    }

    /// When `advance` has something to do next.
    pub fn next_timeout(&self) -> Option<Micros> {
        self.handle.with(Core::next_timeout)
    }

    /// What is to be sent, up to `limit` messages.
    pub fn poll_transmits(&self, limit: usize) -> Vec<Transmit> {
        self.handle.with(|core| std::iter::from_fn(|| core.poll_transmit()).take(limit).collect())
    }
}
