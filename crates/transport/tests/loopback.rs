//! The sockets against the real kernel, over loopback.
#![allow(clippy::unwrap_used)] // a test that cannot go on shall panic

use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsFd, AsRawFd};

use bytes::Bytes;
use sipyard_transport::{
    Epoll, ErrorBuffer, Interest, Multicast, Outgoing, ReadyBuffer, ReceiveBatch, SendBatch, UdpOptions, UdpSocket,
    BATCH,
};

const SECOND: u64 = 1_000_000;

fn open(address: &str) -> UdpSocket {
    let options = UdpOptions { tos: 0x10, receive_buffer: 1 << 20, ..UdpOptions::default() };
    UdpSocket::bind(address.parse().unwrap(), &options).unwrap()
}

fn wait_readable(socket: &UdpSocket) -> bool {
    let epoll = Epoll::new().unwrap();
    epoll.add(socket.as_fd().as_raw_fd(), 1, Interest::READ).unwrap();
    epoll.wait(&mut ReadyBuffer::new(1), Some(5 * SECOND)).unwrap() == 1
}

fn outgoing(data: &[u8], remote: SocketAddr) -> Outgoing {
    Outgoing { data: Bytes::copy_from_slice(data), remote, source: None }
}

/// Hosts without IPv6 (containers) cannot run the IPv6 half.
fn has_ipv6() -> bool {
    StdSocket::bind("[::1]:0").is_ok()
}

fn families() -> Vec<&'static str> {
    if has_ipv6() {
        vec!["127.0.0.1:0", "[::1]:0"]
    } else {
        vec!["127.0.0.1:0"]
    }
}

#[test]
fn a_batch_goes_out_and_comes_in() {
    for address in families() {
        let (left, right) = (open(address), open(address));
        assert_ne!(left.local_address().port(), 0);
        let queue: Vec<Outgoing> =
            (0..BATCH + 3).map(|n| outgoing(format!("datagram {n}").as_bytes(), right.local_address())).collect();
        let mut send = SendBatch::new();
        let first = send.send(&left, &queue).unwrap();
        assert_eq!(first, BATCH);
        assert_eq!(send.send(&left, &queue[first..]).unwrap(), 3);
        assert_eq!(send.send(&left, &[]).unwrap(), 0);
        let mut receive = ReceiveBatch::new();
        let mut seen = Vec::new();
        while seen.len() < queue.len() && wait_readable(&right) {
            receive.receive(&right).unwrap();
            for datagram in receive.iter() {
                assert_eq!(datagram.remote, left.local_address());
                assert_eq!(datagram.local, None);
                seen.push(String::from_utf8(datagram.data.to_vec()).unwrap());
            }
        }
        let expected: Vec<String> = (0..BATCH + 3).map(|n| format!("datagram {n}")).collect();
        assert_eq!(seen, expected, "{address}");
        assert_eq!(receive.receive(&right).unwrap(), 0);
    }
}

#[test]
fn the_largest_and_the_empty_datagram_arrive_whole() {
    let (left, right) = (open("127.0.0.1:0"), open("127.0.0.1:0"));
    let mut receive = ReceiveBatch::new();
    for size in [0, 65507] {
        SendBatch::new().send(&left, &[outgoing(&vec![b'x'; size], right.local_address())]).unwrap();
        assert!(wait_readable(&right));
        receive.receive(&right).unwrap();
        assert_eq!(receive.iter().map(|datagram| datagram.data.len()).collect::<Vec<_>>(), [size]);
    }
}

#[test]
fn a_wildcard_socket_knows_and_keeps_the_local_address() {
    // 127.0.0.2 is ours as well on Linux, so the answer must come from there and not from 127.0.0.1.
    let mut cases = vec![("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"), ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.1")];
    if has_ipv6() {
        cases.push(("[::]:0", "[::1]:0", "::1"));
    }
    for (wildcard, client, asked) in cases {
        let (server, client) = (open(wildcard), open(client));
        let asked: IpAddr = asked.parse().unwrap();
        let there = SocketAddr::new(asked, server.local_address().port());
        SendBatch::new().send(&client, &[outgoing(b"ping", there)]).unwrap();
        assert!(wait_readable(&server));
        let mut receive = ReceiveBatch::new();
        receive.receive(&server).unwrap();
        let reply: Vec<Outgoing> = receive
            .iter()
            .map(|datagram| {
                assert_eq!(datagram.local, Some(asked));
                Outgoing { data: Bytes::from_static(b"pong"), remote: datagram.remote, source: datagram.local }
            })
            .collect();
        SendBatch::new().send(&server, &reply).unwrap();
        assert!(wait_readable(&client));
        receive.receive(&client).unwrap();
        assert_eq!(receive.iter().map(|datagram| datagram.remote).collect::<Vec<_>>(), [there]);
    }
}

#[test]
fn a_closed_port_gives_the_datagram_back() {
    for address in families() {
        let socket = open(address);
        let closed = StdSocket::bind(address).unwrap().local_addr().unwrap();
        SendBatch::new().send(&socket, &[outgoing(b"is anybody there?", closed)]).unwrap();
        assert!(wait_readable(&socket));
        let mut errors = ErrorBuffer::default();
        let failed = errors.read(&socket).unwrap().unwrap();
        assert_eq!(failed.data, b"is anybody there?");
        assert_eq!(failed.remote, closed);
        assert_eq!(failed.error, libc::ECONNREFUSED);
        assert!(errors.read(&socket).unwrap().is_none());
        // The error is used up: the socket works on.
        assert_eq!(ReceiveBatch::new().receive(&socket).unwrap(), 0);
    }
}

#[test]
fn a_group_is_joined_and_loops_back() {
    let multicast = Multicast { interface: sipyard_transport::interface_index("lo").unwrap(), ttl: 0, loopback: true };
    let options = UdpOptions { multicast, ..UdpOptions::default() };
    let Ok(group) = UdpSocket::bind("224.0.1.75:0".parse().unwrap(), &options) else {
        return; // no multicast on this host's loopback interface
    };
    assert!(group.reports_local());
    if SendBatch::new().send(&group, &[outgoing(b"hello group", group.local_address())]).is_err() {
        return; // the loopback interface has no route for groups
    }
    assert!(wait_readable(&group));
    let mut receive = ReceiveBatch::new();
    receive.receive(&group).unwrap();
    let heard: Vec<Vec<u8>> = receive.iter().map(|datagram| datagram.data.to_vec()).collect();
    assert_eq!(heard, [b"hello group".to_vec()]);
    assert!(receive.iter().all(|datagram| datagram.local.is_some()));
}

#[test]
fn an_address_in_use_or_foreign_is_an_error() {
    let socket = open("127.0.0.1:0");
    assert!(UdpSocket::bind(socket.local_address(), &UdpOptions::default()).is_err());
    assert!(UdpSocket::bind("203.0.113.7:5060".parse().unwrap(), &UdpOptions::default()).is_err());
    let shared = UdpOptions { reuse_port: true, ..UdpOptions::default() };
    let first = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &shared).unwrap();
    assert!(UdpSocket::bind(first.local_address(), &shared).is_ok());
}
