//! The driver on real sockets over loopback, in both modes.
#![allow(clippy::unwrap_used)] // a test that cannot go on shall panic

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sipyard_endpoint::{Core, Endpoint, Event, Interest, ListenOptions};
use sipyard_transaction::{Protocol, Reply};

const LONG: u64 = 10_000_000;

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn options(local: SocketAddr) -> String {
    format!(
        "OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKo1;rport\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: o@h\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn open(threaded: bool, address: &str) -> (Endpoint, SocketAddr) {
    let endpoint = Endpoint::new(Core::new([3, 4], 100), threaded).unwrap();
    let index = endpoint.listen(Protocol::Udp, address.parse().unwrap(), &ListenOptions::default()).unwrap();
    let address = endpoint.handle().with(|core| core.listeners()[usize::from(index)].address);
    (endpoint, address)
}

fn answer(endpoint: &Endpoint) -> usize {
    let events: Vec<Event> = endpoint.handle().with(|core| std::iter::from_fn(|| core.poll_event()).collect());
    for event in &events {
        if let Event::Request(incoming) = event {
            let request = incoming.request().unwrap();
            endpoint.handle().with(|core| core.reply_stateless(request, &Default::default(), &Reply::new(200, b"OK")));
        }
    }
    events.len()
}

fn received(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

#[test]
fn selector_mode_returns_when_there_is_something_to_decide() {
    let (endpoint, server) = open(false, "127.0.0.1:0");
    let phone = client();
    assert!(endpoint.wait(Some(0)).unwrap().is_empty());
    phone.send_to(options(phone.local_addr().unwrap()).as_bytes(), server).unwrap();
    endpoint.wait(Some(LONG)).unwrap();
    assert_eq!(answer(&endpoint), 1);
    endpoint.wait(Some(0)).unwrap(); // sends what the decision queued
    let (text, from) = received(&phone);
    assert!(text.starts_with("SIP/2.0 200 OK\r\n"), "{text}");
    assert_eq!(from, server);
    let sent = endpoint.handle().with(|core| core.counters_mut().sent);
    assert_eq!(sent, 1);
}

#[test]
fn selector_mode_watches_foreign_descriptors_and_wakes() {
    let (endpoint, _) = open(false, "127.0.0.1:0");
    let (mut left, right) = UnixStream::pair().unwrap();
    endpoint.register(right.as_raw_fd(), Interest::READ).unwrap();
    assert!(endpoint.wait(Some(1000)).unwrap().is_empty());
    left.write_all(b"x").unwrap();
    assert_eq!(endpoint.wait(Some(LONG)).unwrap(), [(right.as_raw_fd(), Interest::READ)]);
    endpoint.modify(right.as_raw_fd(), Interest { readable: false, writable: true }).unwrap();
    let ready = endpoint.wait(Some(LONG)).unwrap();
    assert_eq!(ready, [(right.as_raw_fd(), Interest { readable: false, writable: true })]);
    endpoint.unregister(right.as_raw_fd()).unwrap();
    endpoint.wake();
    assert!(endpoint.wait(None).unwrap().is_empty());
    assert!(endpoint.register(-1, Interest::READ).is_err());
}

#[test]
fn thread_mode_signals_events_and_sends_on_flush() {
    let (endpoint, server) = open(true, "127.0.0.1:0");
    let phone = client();
    phone.send_to(options(phone.local_addr().unwrap()).as_bytes(), server).unwrap();
    let epoll = sipyard_transport::Epoll::new().unwrap();
    epoll.add(endpoint.events_fd().as_raw_fd(), 1, Interest::READ).unwrap();
    let mut ready = sipyard_transport::ReadyBuffer::new(1);
    assert_eq!(epoll.wait(&mut ready, Some(LONG)).unwrap(), 1);
    endpoint.acknowledge();
    assert_eq!(answer(&endpoint), 1);
    endpoint.flush();
    assert!(received(&phone).0.starts_with("SIP/2.0 200"));
    assert_eq!(epoll.wait(&mut ready, Some(0)).unwrap(), 0);
    endpoint.close();
    assert!(endpoint.is_closed());
    endpoint.close();
    // The port is free again.
    assert!(UdpSocket::bind(server).is_ok());
}

#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    for (wildcard, loopback) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let Ok(phone) = UdpSocket::bind((loopback, 0)) else { continue }; // a host without IPv6
        phone.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (endpoint, first) = open(false, wildcard);
        let asked = SocketAddr::new(loopback.parse().unwrap(), first.port());
        phone.send_to(options(phone.local_addr().unwrap()).as_bytes(), asked).unwrap();
        endpoint.wait(Some(LONG)).unwrap();
        assert_eq!(answer(&endpoint), 1);
        endpoint.flush();
        assert_eq!(received(&phone).1, asked);
        assert!(endpoint.handle().with(|core| core.is_myself(loopback.as_bytes(), asked.port(), None)));
    }
}

#[test]
fn a_closed_port_fails_its_transaction_at_once() {
    let (endpoint, _) = open(false, "127.0.0.1:0");
    let closed = client().local_addr().unwrap();
    endpoint.handle().with(|core| {
        let target = core.target(format!("sip:{closed}").as_bytes(), None).unwrap().unwrap();
        let headers = b"From: <sip:a@127.0.0.1>\r\nTo: <sip:b@127.0.0.1>\r\n";
        core.request(b"OPTIONS", b"sip:b@127.0.0.1", headers, b"", vec![target]).unwrap();
    });
    endpoint.wait(Some(LONG)).unwrap();
    let event = endpoint.handle().with(Core::poll_event);
    assert!(matches!(event, Some(Event::ClientTimeout { status: 503, .. })), "{event:?}");
    assert!(endpoint.handle().with(|core| core.counters_mut().icmp) >= 1);
}

#[test]
fn a_closed_endpoint_does_nothing() {
    let (endpoint, _) = open(false, "127.0.0.1:0");
    endpoint.close();
    assert!(endpoint.wait(None).unwrap().is_empty());
    assert!(endpoint.listen(Protocol::Udp, "127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).is_err());
    endpoint.flush();
}
