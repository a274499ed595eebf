//! Where responses go, and what a request's top Via tells of where it came from: RFC 3261 §18.2, RFC 3581.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use sipyard_wire::{Message, Via, ViaMark};

use crate::address::{is_sane, Flow, Protocol, Target};

/// The address in a host of a Via or a URI, with or without brackets; `None` for a name.
pub fn numeric_host(host: &[u8]) -> Option<IpAddr> {
    let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    std::str::from_utf8(host).ok()?.parse().ok()
}

/// Where the responses to a request go.
///
/// The source address, and its port if `rport` asks for it, else that of the Via (RFC 3261 §18.2.2, RFC 3581 §4). With
/// `to_via` (SER: `reply_to_via`) the address in the Via, where it is one that may be sent to.
pub fn reply_target(message: &Message, flow: &Flow, force_rport: bool, to_via: bool) -> Target {
    let mut target = flow.target();
    let Ok(via) = message.top_via() else { return target };
    if flow.protocol != Protocol::Udp {
        return target;
    }
    let port = via.port.unwrap_or(flow.protocol.default_port());
    if to_via {
        let host = via.param(b"maddr").flatten().unwrap_or(via.host);
        let named = numeric_host(host).map(|ip| SocketAddr::new(ip, port));
        if let Some(named) = named.filter(|named| is_sane(*named) && named.is_ipv4() == flow.remote.is_ipv4()) {
            target.remote = named;
            return target;
        }
    }
    if via.rport().is_none() && !force_rport && port != 0 {
        target.remote.set_port(port);
    }
    target
}

/// An address as text, on the stack.
pub struct AddressText {
    bytes: [u8; 46],
    length: usize,
}

impl AddressText {
    /// The text of an address, without brackets.
    pub fn new(ip: IpAddr) -> AddressText {
        let mut text = AddressText { bytes: [0; 46], length: 0 };
        match ip {
            IpAddr::V4(ip) => text.write_v4(ip.octets()),
            IpAddr::V6(ip) => {
                let mut rest = &mut text.bytes[..];
                let written = write!(rest, "{ip}").is_ok();
                text.length = if written { 46 - rest.len() } else { 0 };
            }
        }
        text
    }

    /// Every request needs its source address as text: the standard formatter takes ten times as long.
    fn write_v4(&mut self, octets: [u8; 4]) {
        for (place, octet) in octets.into_iter().enumerate() {
            if place > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What the top Via must be marked with: `received` if the sender named another address or asks for `rport`, `rport` if
/// it asks or the script forces it (RFC 3261 §18.2.1, RFC 3581 §4).
pub fn via_mark<'a>(message: &Message, flow: &Flow, force_rport: bool, text: &'a AddressText) -> ViaMark<'a> {
    let Ok(via) = message.top_via() else { return ViaMark::default() };
    let wants_port = force_rport || via.param(b"rport").is_some();
    let names_source = || via.host == text.as_bytes() || numeric_host(via.host) == Some(flow.remote.ip());
    let differs = || via.received().is_some() || !names_source();
    let received = (wants_port || differs()).then(|| text.as_bytes());
    ViaMark { received, rport: wants_port.then(|| flow.remote.port()) }
}

/// Where a response goes by a Via alone (stateless relaying): received, else a numeric sent-by; rport, else its port.
pub fn via_target(via: &Via<'_>) -> Option<Target> {
    let protocol = Protocol::from_name(via.transport)?;
    let ip = via.received().and_then(numeric_host).or_else(|| numeric_host(via.host))?;
    let port = via.rport().flatten().or(via.port).unwrap_or(protocol.default_port());
    let remote = SocketAddr::new(ip, port);
    // Our own connection number, if the request came over one.
    let connection = via.param(b"i").flatten().and_then(|text| {
        let text = std::str::from_utf8(text).ok()?;
        u64::from_str_radix(text, 16).ok()
    });
    is_sane(remote).then_some(Target { protocol, remote, listener: None, connection: connection.unwrap_or(0), name: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_the_standard_library_writes_it() {
        for text in ["0.0.0.0", "1.20.255.9", "127.0.0.1", "192.0.2.100", "2001:db8::1", "::ffff:192.0.2.1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(AddressText::new(ip).as_bytes(), ip.to_string().as_bytes());
        }
    }
}
