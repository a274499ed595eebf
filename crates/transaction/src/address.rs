//! Where messages come from and go to: protocols, flows, targets and our own listeners.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// A transport protocol of RFC 3261 §18 and RFC 7118.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A plain stream.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Protocol {
    /// Whether the transport retransmits by itself, so that we must not (RFC 3261 §17).
    #[inline]
    pub fn is_reliable(self) -> bool {
        self != Protocol::Udp
    }

    /// The name as a Via header writes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
            Protocol::Tls => "TLS",
            Protocol::Ws => "WS",
            Protocol::Wss => "WSS",
        }
    }

    /// The name as the `transport` parameter of a URI writes it.
    pub fn parameter(self) -> &'static str {
        match self {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            Protocol::Tls => "tls",
            Protocol::Ws => "ws",
            Protocol::Wss => "wss",
        }
    }

    /// The protocol of a Via or of a `transport` parameter, in any case.
    pub fn from_name(name: &[u8]) -> Option<Protocol> {
        const ALL: [Protocol; 5] = [Protocol::Udp, Protocol::Tcp, Protocol::Tls, Protocol::Ws, Protocol::Wss];
        ALL.into_iter().find(|protocol| name.eq_ignore_ascii_case(protocol.parameter().as_bytes()))
    }

    /// The port that an address without one means (RFC 3261 §18.2.2, RFC 7118 §9 for the web).
    pub fn default_port(self) -> u16 {
        match self {
            Protocol::Udp | Protocol::Tcp => 5060,
            Protocol::Tls => 5061,
            Protocol::Ws => 80,
            Protocol::Wss => 443,
        }
    }
}

/// Where a message came from: which of our listeners took it, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Index of the listener that received it.
    pub listener: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The peer's address as the network saw it.
    pub remote: SocketAddr,
    /// Identity of the connection, 0 where there is none.
    pub connection: u64,
}

impl Flow {
    /// The way back along this flow.
    pub fn target(&self) -> Target {
        Target {
            protocol: self.protocol,
            remote: self.remote,
            listener: Some(self.listener),
            connection: self.connection,
            name: 0,
        }
    }
}

/// Where to send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Protocol to use.
    pub protocol: Protocol,
    /// The next hop.
    pub remote: SocketAddr,
    /// Listener to send from; `None` lets the layer choose (SER: the receiving one if it fits, else the first that does).
    pub listener: Option<u16>,
    /// Connection to use, 0 to let the transport find or open one.
    pub connection: u64,
    /// Number of the name that the peer's certificate must bear, 0 for none.
    pub name: u64,
}

/// Where a transaction without a server side would answer to.
pub(crate) const NOWHERE: Target = Target {
    protocol: Protocol::Udp,
    remote: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
    listener: None,
    connection: 0,
    name: 0,
};

/// One of our own addresses, with the texts that every message sent from it needs.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its protocol.
    pub protocol: Protocol,
    /// The address it is bound to.
    pub address: SocketAddr,
    /// Host to name instead of the bound address in Via and Record-Route (`advertised_address`).
    pub advertised_host: Option<String>,
    /// Port to name instead of the bound one.
    pub advertised_port: Option<u16>,
    via: Bytes,
    sent_by: Bytes,
}

impl Listener {
    /// A listener; the texts for Via and Record-Route are made here, once.
    pub fn new(
        protocol: Protocol,
        address: SocketAddr,
        advertised_host: Option<String>,
        advertised_port: Option<u16>,
    ) -> Listener {
        let sent_by = sent_by(protocol, address, advertised_host.as_deref(), advertised_port);
        let via = format!("SIP/2.0/{} {sent_by};branch=", protocol.name());
        Listener { protocol, address, advertised_host, advertised_port, via: via.into(), sent_by: sent_by.into() }
    }

    /// The Via value up to and including `;branch=`.
    pub fn via(&self) -> &[u8] {
        &self.via
    }

    /// `host[:port]` as written in Via and Record-Route.
    pub fn sent_by(&self) -> &[u8] {
        &self.sent_by
    }
}

/// `host[:port]`: the advertised one where given, IPv6 in brackets, a default port left out unless advertised.
pub fn sent_by(protocol: Protocol, address: SocketAddr, host: Option<&str>, port: Option<u16>) -> String {
    let mut text = match host {
        Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        Some(host) => host.to_owned(),
        None => match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
    };
    match port {
        Some(port) => {
            let _ = write!(text, ":{port}");
        }
        None if address.port() != protocol.default_port() => {
            let _ = write!(text, ":{}", address.port());
        }
        None => {}
    }
    text
}

/// Whether a datagram may ever be sent there: no multicast, broadcast or unspecified address, no port 0.
///
/// A Via is written by a stranger; what it names must not turn us into an amplifier.
pub fn is_sane(remote: SocketAddr) -> bool {
    let ip = match remote.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        ip => ip,
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast() || ip.octets()[0] == 0);
    remote.port() != 0 && !ip.is_multicast() && !ip.is_unspecified() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn sent_by_names_what_a_peer_can_reach() {
        let udp = |text, host, port| sent_by(Protocol::Udp, address(text), host, port);
        assert_eq!(udp("192.0.2.1:5060", None, None), "192.0.2.1");
        assert_eq!(udp("192.0.2.1:5070", None, None), "192.0.2.1:5070");
        assert_eq!(udp("[2001:db8::1]:5060", None, None), "[2001:db8::1]");
        assert_eq!(udp("10.0.0.1:5060", Some("sip.example.com"), Some(5060)), "sip.example.com:5060");
        assert_eq!(udp("10.0.0.1:5070", Some("2001:db8::2"), None), "[2001:db8::2]:5070");
    }

    #[test]
    fn nobody_is_reached_through_many() {
        for bad in
            ["255.255.255.255:5060", "224.0.1.75:5060", "0.0.0.0:5060", "[ff02::1]:5060", "[::]:1", "192.0.2.1:0"]
        {
            assert!(!is_sane(address(bad)), "{bad}");
        }
        assert!(!is_sane(address("[::ffff:224.0.1.75]:5060")));
        assert!(is_sane(address("127.0.0.1:5060")) && is_sane(address("[2001:db8::1]:5060")));
    }
}
