//! The table of names that are ours: addresses of listeners and aliases (SER's `myself`).

use std::net::{IpAddr, Ipv6Addr};

use hashbrown::HashMap;
use sipyard_transaction::Protocol;

/// The longest name that can stand in the DNS, with room for brackets.
const LONGEST: usize = 256;

/// A name that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Host name or address, in any case.
    pub host: String,
    /// Its port, 0 for any.
    pub port: u16,
    /// Its protocol, None for any.
    pub protocol: Option<Protocol>,
}

/// Port and protocol of a name.
type Place = (u16, Option<Protocol>);

/// The table. Hosts are kept in lower case, addresses in their canonical text.
#[derive(Default)]
pub(crate) struct Myself {
    hosts: HashMap<Box<[u8]>, Vec<Place>>,
}

impl Myself {
    /// Add one name.
    pub(crate) fn add(&mut self, host: &[u8], port: u16, protocol: Option<Protocol>) {
        with_canonical(host, |host| {
            let entries = self.hosts.entry_ref(host).or_default();
            if !entries.contains(&(port, protocol)) {
                entries.push((port, protocol));
            }
        });
    }

    /// Forget all names.
    pub(crate) fn clear(&mut self) {
        self.hosts.clear();
    }

    /// Is it ours? Port 0 and protocol None mean any, on both sides.
    pub(crate) fn contains(&self, host: &[u8], port: u16, protocol: Option<Protocol>) -> bool {
        with_canonical(host, |host| {
            self.hosts.get(host).is_some_and(|entries| {
                entries.iter().any(|(known_port, known_protocol)| {
                    let same_port = port == 0 || *known_port == 0 || *known_port == port;
                    same_port && (protocol.is_none() || known_protocol.is_none() || *known_protocol == protocol)
                })
            })
        })
        .unwrap_or(false)
    }
}

/// Call `then` with the host as the table spells it: lower case, without brackets or a final dot, IPv6 in its canonical
/// text (RFC 5952), so that any spelling of an address finds it. None when it is longer than any host.
fn with_canonical<T>(host: &[u8], then: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let host = host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host);
    if host.contains(&b':') {
        let address: Option<Ipv6Addr> = std::str::from_utf8(host).ok().and_then(|text| text.parse().ok());
        if let Some(address) = address {
            return Some(then(IpAddr::V6(address).to_string().as_bytes()));
        }
    }
    let host = host.strip_suffix(b".").unwrap_or(host);
    let mut buffer = [0_u8; LONGEST];
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host);
    lower.make_ascii_lowercase();
    Some(then(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_spelling() {
        let mut table = Myself::default();
        table.add(b"192.0.2.1", 5060, Some(Protocol::Udp));
        table.add(b"[2001:DB8:0::1]", 5060, Some(Protocol::Udp));
        table.add(b"Example.COM.", 0, None);
        let rows: [(&str, u16, Option<Protocol>, bool); 14] = [
            ("192.0.2.1", 5060, None, true),
            ("192.0.2.1", 0, None, true),
            ("192.0.2.1", 5061, None, false),
            ("192.0.2.1", 5060, Some(Protocol::Udp), true),
            ("192.0.2.1", 5060, Some(Protocol::Tcp), false),
            ("2001:db8::1", 5060, None, true),
            ("[2001:0db8:0:0::0001]", 5060, None, true),
            ("2001:db8::2", 5060, None, false),
            ("example.com", 5060, None, true),
            ("EXAMPLE.com", 9999, Some(Protocol::Tls), true),
            ("example.com.", 0, None, true),
            ("sub.example.com", 0, None, false),
            ("", 0, None, false),
            ("[", 0, None, false),
        ];
        for (host, port, protocol, expected) in rows {
            assert_eq!(table.contains(host.as_bytes(), port, protocol), expected, "{host}:{port}");
        }
        assert!(!table.contains(&[b'a'; 1000], 0, None));
        table.clear();
        assert!(!table.contains(b"example.com", 0, None));
    }
}
