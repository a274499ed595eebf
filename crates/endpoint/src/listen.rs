//! Opening listeners: one socket is one listener, or, for a wildcard, one for each address of the host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sipyard_transaction::{Listener, Protocol};
use sipyard_transport::{interface_addresses, interface_index, Multicast, UdpOptions, UdpSocket};

use crate::core::Core;
use crate::online::Endpoint;
use crate::route::Routes;
use crate::sockets::{Exit, Socket};

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

impl Endpoint {
    /// Open a UDP socket. Returns the index of its (first) listener.
    ///
    /// # Errors
    /// The system's: address in use, not ours, no such interface.
    pub fn listen(&self, address: SocketAddr, options: &ListenOptions) -> io::Result<u16> {
        if self.is_closed() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the endpoint is closed"));
        }
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
        let mut listeners = Vec::new();
        self.handle().with(|core| {
            for address in addresses {
                let known = position(core, address).filter(|_| bound.ip().is_multicast());
                let index = known.unwrap_or_else(|| {
                    let (host, port) = (options.advertised_host.clone(), options.advertised_port);
                    let index = core.add_listener(Listener::new(Protocol::Udp, address, host, port));
                    let source = is_wildcard.then_some(address.ip());
                    sender.add_exit(Exit { socket: self.net.sockets.read().len(), source });
                    index
                });
                listeners.push((address, index));
            }
            if is_wildcard {
                let mut routes = Routes::default();
                core.set_router(Box::new(move |remote| routes.source_for(remote)));
            }
        });
        let first = listeners.first().map_or(0, |(_, index)| *index);
        let socket = Arc::new(Socket { udp, listeners });
        sender.add_socket(socket.clone());
        self.net.adopt(socket)?;
        Ok(first)
    }
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
    let found = core.listeners().iter().position(|listener| listener.address == address);
    found.and_then(|index| u16::try_from(index).ok())
}
