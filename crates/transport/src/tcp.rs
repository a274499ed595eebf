//! TCP: listening, connecting without waiting, and what a stream of SIP wants of the kernel.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::system::set_option;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Silence after which the kernel asks whether the peer is still there, and how long it waits between its questions:
/// half-open connections of phones that were switched off are found without any traffic of ours.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));
const KEEPALIVE_TRIES: u32 = 4;

/// How to open TCP sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpOptions {
    /// IP type of service (SER: 0x10), traffic class for IPv6.
    pub tos: u8,
    /// Share the address with other processes (SO_REUSEPORT).
    pub reuse_port: bool,
}

/// Listen. IPv6 sockets take IPv6 only. The error is the system's.
pub fn tcp_listen(address: SocketAddr, options: TcpOptions) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    // An address whose last connections are still in TIME_WAIT can be listened on again.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Take a connection that waits; `ErrorKind::WouldBlock` when there is none.
pub fn tcp_accept(listener: &TcpListener, options: TcpOptions) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, remote) = listener.accept()?;
    stream.set_nonblocking(true)?;
    prepare(&stream, remote, options);
    Ok((stream, remote))
}

/// Begin to connect, from an address of ours if one is given. The stream is writable once it stands or has failed;
/// `TcpStream::take_error` tells which.
pub fn tcp_connect(remote: SocketAddr, local: Option<IpAddr>, options: TcpOptions) -> io::Result<TcpStream> {
    let socket = new_socket(remote)?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    match socket.connect(&remote.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let stream: TcpStream = socket.into();
    prepare(&stream, remote, options);
    Ok(stream)
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Options that are an improvement and no condition: without them the connection works too.
fn prepare(stream: &TcpStream, remote: SocketAddr, options: TcpOptions) {
    let (time, interval) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(KEEPALIVE_TRIES);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    let _ = stream.set_nodelay(true);
    let tos = libc::c_int::from(options.tos);
    let (level, name) =
        if remote.is_ipv4() { (libc::IPPROTO_IP, libc::IP_TOS) } else { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) };
    let _ = set_option(stream.as_fd(), level, name, &tos);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_is_accepted_and_who_cannot_is_told() {
        let options = TcpOptions { tos: 0x10, reuse_port: false };
        let listener = tcp_listen("127.0.0.1:0".parse().unwrap(), options).unwrap();
        assert_eq!(tcp_accept(&listener, options).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let address = listener.local_addr().unwrap();
        let stream = tcp_connect(address, Some(address.ip()), options).unwrap();
        let (accepted, remote) = (0..1000)
            .find_map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                tcp_accept(&listener, options).ok()
            })
            .unwrap();
        assert_eq!((accepted.local_addr().unwrap(), remote), (address, stream.local_addr().unwrap()));
        drop(listener);
        let refused = tcp_connect(address, None, options).map(|stream| {
            std::thread::sleep(Duration::from_millis(20));
            stream.take_error().unwrap().map(|error| error.kind())
        });
        assert!(matches!(refused, Ok(Some(io::ErrorKind::ConnectionRefused)) | Err(_)));
    }
}
