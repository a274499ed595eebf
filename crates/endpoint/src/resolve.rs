//! The numeric part of RFC 3263 §4: where a URI with an address in it points to. Names are somebody else's work.

use std::net::{IpAddr, SocketAddr};

use sipyard_transaction::Protocol;
use sipyard_wire::{ErrorKind, ParseError, Uri};

/// Where a URI points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// At this address.
    Address(Protocol, SocketAddr),
    /// Its host is a name: ask a resolver.
    Name,
}

/// Find the destination of a sip or sips URI. `maddr` goes before the host, `transport` chooses the protocol (UDP by
/// default), sips makes it secure, and a missing port is the protocol's own. ParseError: not SIP, an unknown transport,
/// port 0.
pub fn destination(text: &[u8]) -> Result<Destination, ParseError> {
    let uri = Uri::parse(text)?;
    if !uri.is_sip() {
        return Err(ParseError { status: 416, ..ParseError::bad(ErrorKind::Uri, 0, "Unsupported URI scheme") });
    }
    let protocol = protocol(&uri)?;
    let host = uri.param(b"maddr").flatten().unwrap_or(uri.host);
    let port = uri.port.unwrap_or_else(|| protocol.default_port());
    if port == 0 {
        return Err(ParseError::bad(ErrorKind::Uri, 0, "Port 0 in a URI"));
    }
    Ok(match numeric_host(host) {
        Some(ip) => Destination::Address(protocol, SocketAddr::new(ip, port)),
        None => Destination::Name,
    })
}

fn protocol(uri: &Uri<'_>) -> Result<Protocol, ParseError> {
    let protocol = match uri.param(b"transport").flatten() {
        None => Protocol::Udp,
        Some(name) => {
            Protocol::from_name(name).ok_or_else(|| ParseError::bad(ErrorKind::Uri, 0, "Unknown transport in a URI"))?
        }
    };
    Ok(match (uri.is_sips(), protocol) {
        (false, protocol) => protocol,
        // RFC 3261 §26.2.2: sips is TLS all the way; RFC 7118 §5.4 has it over WebSocket.
        (true, Protocol::Ws | Protocol::Wss) => Protocol::Wss,
        (true, _) => Protocol::Tls,
    })
}

/// The address that a host is, with or without brackets; None when it is a name.
pub fn numeric_host(host: &[u8]) -> Option<IpAddr> {
    let bare = host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]"));
    // Most names begin with a letter that no address has: do not try to parse them.
    let first = *bare.unwrap_or(host).first()?;
    if !(first.is_ascii_hexdigit() || first == b':') {
        return None;
    }
    let text = std::str::from_utf8(bare.unwrap_or(host)).ok()?;
    // RFC 5118 §4.10: a bug in RFC 3261's grammar made some write three colons where two are meant.
    let third = || text.contains(":::").then(|| text.replacen(":::", "::", 1));
    text.parse().ok().or_else(|| third()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_uris_point_somewhere() {
        let rows: [(&str, &str); 15] = [
            ("sip:bob@[2001:db8:::192.0.2.1]", "udp [2001:db8::c000:201]:5060"),
            ("sip:192.0.2.1", "udp 192.0.2.1:5060"),
            ("sip:bob@192.0.2.1:5070", "udp 192.0.2.1:5070"),
            ("sip:bob@192.0.2.1;transport=TCP", "tcp 192.0.2.1:5060"),
            ("sip:bob@192.0.2.1;transport=tls", "tls 192.0.2.1:5061"),
            ("sips:bob@192.0.2.1", "tls 192.0.2.1:5061"),
            ("sips:bob@192.0.2.1;transport=tcp", "tls 192.0.2.1:5061"),
            ("sips:bob@192.0.2.1;transport=ws", "wss 192.0.2.1:443"),
            ("sip:bob@[2001:db8::1]:5080", "udp [2001:db8::1]:5080"),
            ("sip:bob@[::ffff:192.0.2.1]", "udp [::ffff:192.0.2.1]:5060"),
            ("sip:bob@example.com", "name"),
            ("sip:bob@example.com;maddr=192.0.2.9", "udp 192.0.2.9:5060"),
            ("sip:bob@192.0.2.1;maddr=example.com", "name"),
            ("sip:bob@cafe.example.com", "name"),
            ("sip:bob@192.0.2.300", "name"),
        ];
        for (uri, expected) in rows {
            let found = match destination(uri.as_bytes()) {
                Ok(Destination::Address(protocol, address)) => format!("{} {address}", protocol.parameter()),
                Ok(Destination::Name) => "name".to_owned(),
                Err(error) => format!("{error}"),
            };
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn what_is_no_sip_uri_is_an_error() {
        assert_eq!(destination(b"tel:+123").map_err(|error| error.status), Err(416));
        assert_eq!(destination(b"sip:a@192.0.2.1;transport=pigeon").map_err(|error| error.status), Err(400));
        assert_eq!(destination(b"sip:a@192.0.2.1:0").map_err(|error| error.status), Err(400));
        assert!(destination(b"").is_err());
    }
}
