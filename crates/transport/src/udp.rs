//! One UDP socket: opening it with everything a SIP server wants, and its address.

#![allow(unsafe_code)] // system calls through libc

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::address::{from_raw, RawAddress, STORAGE_LENGTH};
use crate::system::{check, set_option};

/// How to join a multicast group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multicast {
    /// Index of the interface, 0: the system chooses.
    pub interface: u32,
    /// Hops that our own datagrams to groups may travel.
    pub ttl: u8,
    /// Whether our own datagrams to groups come back to this host.
    pub loopback: bool,
}

/// How to open a socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct UdpOptions {
    /// IP type of service (SER: 0x10), traffic class for IPv6.
    pub tos: u8,
    /// Size of the kernel's receive buffer to ask for, in bytes; 0 leaves it.
    pub receive_buffer: usize,
    /// Let other processes bind the same address (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Group membership; only used when the address is a multicast one.
    pub multicast: Multicast,
}

/// A bound, non-blocking UDP socket whose ICMP errors are kept (IP_RECVERR).
pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
    reports_local: bool,
}

impl UdpSocket {
    /// Open and bind. A wildcard or multicast socket reports the local address of each datagram. IPv6 sockets carry
    /// IPv6 only.
    pub fn bind(address: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no memory is passed.
        let fd = check(unsafe { libc::socket(family, kind, 0) })?;
        // SAFETY: the call just made this descriptor and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let reports_local = address.ip().is_unspecified() || address.ip().is_multicast();
        configure(fd.as_fd(), address, options)?;
        if reports_local {
            report_local_address(fd.as_fd(), address)?;
        }
        let raw = RawAddress::from(address);
        // SAFETY: the storage is valid for `length` bytes and only read.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw.storage).cast(), raw.length) })?;
        if address.ip().is_multicast() {
            join(fd.as_fd(), address.ip(), options.multicast)?;
        }
        let local = local_address(fd.as_fd())?;
        Ok(UdpSocket { fd, local, reports_local })
    }

    /// The address it is bound to, with the real port.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// True for a wildcard or multicast socket: datagrams come with their local address and may leave with one.
    pub fn reports_local(&self) -> bool {
        self.reports_local
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn configure(fd: BorrowedFd<'_>, address: SocketAddr, options: &UdpOptions) -> io::Result<()> {
    let on: libc::c_int = 1;
    if address.ip().is_multicast() {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &on)?;
    }
    if options.reuse_port {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &on)?;
    }
    if options.receive_buffer > 0 {
        let size = libc::c_int::try_from(options.receive_buffer).unwrap_or(libc::c_int::MAX);
        // Beyond net.core.rmem_max only with a capability; less than asked for is no reason not to start.
        if set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &size).is_err() {
            set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &size)?;
        }
    }
    let tos = libc::c_int::from(options.tos);
    if address.is_ipv4() {
        set_option(fd, libc::IPPROTO_IP, libc::IP_RECVERR, &on)?;
        set_option(fd, libc::IPPROTO_IP, libc::IP_TOS, &tos)?;
        // Large messages are fragmented: SIP over UDP has no smaller form to fall back to (RFC 3261 §18.1.1).
        set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_DONT)
    } else {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &on)?;
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &on)?;
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos)?;
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_DONT)
    }
}

fn report_local_address(fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let on: libc::c_int = 1;
    if address.is_ipv4() {
        set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, &on)
    } else {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &on)
    }
}

fn join(fd: BorrowedFd<'_>, group: IpAddr, multicast: Multicast) -> io::Result<()> {
    let interface = libc::c_int::try_from(multicast.interface).unwrap_or(0);
    let ttl = libc::c_int::from(multicast.ttl);
    let loopback = libc::c_int::from(multicast.loopback);
    match group {
        IpAddr::V4(group) => {
            let request = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr { s_addr: u32::from(group).to_be() },
                imr_address: libc::in_addr { s_addr: 0 },
                imr_ifindex: interface,
            };
            set_option(fd, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)?;
            set_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)?;
            set_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, &ttl)?;
            set_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, &loopback)
        }
        IpAddr::V6(group) => {
            let request = libc::ipv6_mreq {
                ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
                ipv6mr_interface: multicast.interface,
            };
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)?;
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &interface)?;
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &ttl)?;
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, &loopback)
        }
    }
}

fn local_address(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    raw.length = STORAGE_LENGTH;
    // SAFETY: the storage has room for `length` bytes, which the kernel does not exceed.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut raw.storage).cast(), &raw mut raw.length) })?;
    from_raw(&raw.storage, raw.length).ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}
