//! Opening listeners: one socket is one listener, or, for a wildcard, one for each address of the host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::RwLock;
use sipyard_transaction::{Listener, Micros, Protocol};
use sipyard_transport::{
    interface_addresses, interface_index, monotonic_micros, tcp_listen, Multicast, TcpOptions, UdpOptions, UdpSocket,
};

use crate::channels::Acceptor;
use crate::core::Core;
use crate::online::{Endpoint, Net};
use crate::route::Routes;
use crate::sockets::{Exit, Sender, Socket};

/// The interfaces are read again no more often than this: anybody may send to addresses that are no listener's.
const REREAD: Micros = 1_000_000;

/// How to listen.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// Host to name in Via and Record-Route.
    pub advertised_host: Option<String>,
    /// Port to name there.
    pub advertised_port: Option<u16>,
    /// Name or address of the interface on which a group is joined.
    pub multicast_interface: Option<String>,
    /// Hops for our own datagrams to groups.
    pub multicast_ttl: u8,
    /// Whether our own datagrams to groups come back.
    pub multicast_loopback: bool,
    /// IP type of service.
    pub tos: u8,
    /// The kernel's receive buffer in bytes.
    pub receive_buffer: usize,
    /// Share the address with other processes.
    pub reuse_port: bool,
}

/// The way out of a listener that has no datagrams.
const NO_DATAGRAMS: Exit = Exit { socket: usize::MAX, source: None };

/// What a wildcard socket needs to add listeners later.
pub(crate) struct Wildcard {
    bound: SocketAddr,
    /// Its index among the sockets.
    socket: usize,
    advertised: Advertised,
    /// When the interfaces were read again last; 0 for never.
    read_at: AtomicU64,
}

/// Host and port to name.
type Advertised = (Option<String>, Option<u16>);

impl Wildcard {
    /// Whether it is time to read the interfaces again; says so once.
    fn is_due(&self) -> bool {
        let (now, last) = (monotonic_micros(), self.read_at.load(Ordering::Relaxed));
        let is_due = last == 0 || now.saturating_sub(last) >= REREAD;
        is_due && self.read_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Endpoint {
    /// Open a socket. Returns the index of its (first) listener.
    ///
    /// # Errors
    /// The system's: address in use, not ours, no such interface.
    pub fn listen(&self, protocol: Protocol, address: SocketAddr, options: &ListenOptions) -> io::Result<u16> {
        if self.is_closed() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the endpoint is closed"));
        }
        match protocol {
            Protocol::Udp => self.listen_to_datagrams(address, options),
            _ => self.listen_to_streams(protocol, address, options),
        }
    }

    fn listen_to_streams(&self, protocol: Protocol, address: SocketAddr, options: &ListenOptions) -> io::Result<u16> {
        let tcp = TcpOptions { tos: options.tos, reuse_port: options.reuse_port };
        let socket = tcp_listen(address, tcp)?;
        let bound = SocketAddr::new(address.ip(), socket.local_addr()?.port());
        let is_wildcard = bound.ip().is_unspecified();
        let addresses = if is_wildcard { own_addresses(bound, 0)? } else { vec![bound] };
        let advertised = (options.advertised_host.clone(), options.advertised_port);
        // Nobody may be accepted before his listener is known.
        let mut channels = self.net.channels.lock();
        let mut sender = self.net.sender.lock();
        let listeners: Vec<(IpAddr, u16)> = self.handle().with(|core| {
            if is_wildcard {
                ask_the_system(core);
            }
            let listen = |address: SocketAddr| {
                (address.ip(), add_listener(core, &mut sender, NO_DATAGRAMS, protocol, address, &advertised))
            };
            addresses.into_iter().map(listen).collect()
        });
        let first = listeners.first().map_or(0, |(_, index)| *index);
        channels.add_acceptor(&self.net.epoll, Acceptor::new(socket, listeners, tcp))?;
        Ok(first)
    }

    fn listen_to_datagrams(&self, address: SocketAddr, options: &ListenOptions) -> io::Result<u16> {
        let interface = options.multicast_interface.as_deref().map(|name| {
            interface_index(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no interface {name}")))
        });
        let interface = interface.transpose()?.unwrap_or(0);
        let udp = UdpSocket::bind(
            address,
            &UdpOptions {
                tos: options.tos,
                receive_buffer: options.receive_buffer,
                reuse_port: options.reuse_port,
                multicast: Multicast { interface, ttl: options.multicast_ttl, loopback: options.multicast_loopback },
            },
        )?;
        self.adopt(udp, interface, options)
    }

    fn adopt(&self, udp: UdpSocket, interface: u32, options: &ListenOptions) -> io::Result<u16> {
        let bound = udp.local_address();
        let is_wildcard = bound.ip().is_unspecified();
        let addresses =
            if is_wildcard || bound.ip().is_multicast() { own_addresses(bound, interface)? } else { vec![bound] };
        // No datagram may come in before its listener is known.
        let mut sender = self.net.sender.lock();
        let index = self.net.sockets.read().len();
        let advertised = (options.advertised_host.clone(), options.advertised_port);
        let source = |address: SocketAddr| is_wildcard.then_some(address.ip());
        let listeners: Vec<(SocketAddr, u16)> = self.handle().with(|core| {
            if is_wildcard {
                ask_the_system(core);
            }
            let listen = |address| {
                let known = position(core, address).filter(|_| bound.ip().is_multicast());
                let exit = Exit { socket: index, source: source(address) };
                (
                    address,
                    known.unwrap_or_else(|| add_listener(core, &mut sender, exit, Protocol::Udp, address, &advertised)),
                )
            };
            addresses.into_iter().map(listen).collect()
        });
        let first = listeners.first().map_or(0, |(_, index)| *index);
        let wildcard = is_wildcard.then_some(Wildcard { bound, socket: index, advertised, read_at: AtomicU64::new(0) });
        let socket = Arc::new(Socket { udp, listeners: RwLock::new(listeners), wildcard });
        sender.add_socket(socket.clone());
        self.net.adopt(socket)?;
        Ok(first)
    }
}

impl Net {
    /// The listener of a datagram by the local address it was sent to; the first one where nobody knows better. An
    /// address that the host was given after a wildcard was opened becomes a listener with its first datagram.
    pub(crate) fn listener_of(&self, socket: &Socket, local: Option<IpAddr>) -> Option<(SocketAddr, u16)> {
        let found = local.and_then(|ip| {
            let is_new = |wildcard: &&Wildcard| !ip.is_multicast() && wildcard.is_due();
            let added = || socket.wildcard.as_ref().filter(is_new).and_then(|wildcard| self.add(socket, wildcard, ip));
            socket.listener_at(ip).or_else(added)
        });
        found.or_else(|| socket.first_listener())
    }

    /// Make an address a listener of a wildcard if an interface has it.
    fn add(&self, socket: &Socket, wildcard: &Wildcard, ip: IpAddr) -> Option<(SocketAddr, u16)> {
        // Without the list nobody knows better than before.
        let address = own_addresses(wildcard.bound, 0).ok()?.into_iter().find(|address| address.ip() == ip)?;
        let mut sender = self.sender.lock();
        let exit = Exit { socket: wildcard.socket, source: Some(ip) };
        let index = self
            .handle
            .with(|core| add_listener(core, &mut sender, exit, Protocol::Udp, address, &wildcard.advertised));
        socket.listeners.write().push((address, index));
        Some((address, index))
    }
}

/// A listener and its way out have the same index.
fn add_listener(
    core: &mut Core,
    sender: &mut Sender,
    exit: Exit,
    protocol: Protocol,
    address: SocketAddr,
    (host, port): &Advertised,
) -> u16 {
    sender.add_exit(exit);
    core.add_listener(Listener::new(protocol, address, host.clone(), *port))
}

/// Where several of our addresses could send, the system's routes choose.
fn ask_the_system(core: &mut Core) {
    let mut routes = Routes::default();
    core.set_router(Box::new(move |remote| routes.source_for(remote)));
}

/// The addresses that a wildcard stands for, or those of the interface on which a group is joined (the first one will
/// do: it is where our answers seem to come from).
fn own_addresses(bound: SocketAddr, interface: u32) -> io::Result<Vec<SocketAddr>> {
    let is_group = bound.ip().is_multicast();
    let suits = |(ip, index): &(IpAddr, u32)| {
        ip.is_ipv4() == bound.is_ipv4() && (!is_group || interface == 0 || *index == interface)
    };
    let all = interface_addresses()?.into_iter().filter(suits);
    let mut addresses: Vec<SocketAddr> = all.map(|(ip, _)| SocketAddr::new(ip, bound.port())).collect();
    // What the world can reach goes first: it is what Via names when nothing else decides.
    addresses.sort_by_key(|address| address.ip().is_loopback());
    if is_group {
        addresses.truncate(1);
    }
    if addresses.is_empty() {
        addresses.push(bound);
    }
    Ok(addresses)
}

fn position(core: &Core, address: SocketAddr) -> Option<u16> {
    let found = core.listeners().iter().position(|one| one.protocol == Protocol::Udp && one.address == address);
    found.and_then(|index| u16::try_from(index).ok())
}
