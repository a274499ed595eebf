//! STUN binding requests on the SIP port (RFC 8489): phones keep the way through their NAT open by them and see when it
//! has become another (RFC 5626 §4.4.2).

use std::net::{IpAddr, SocketAddr};

const COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0, 0x20];
const HEADER: usize = 20;
/// Attributes from here on may be passed over by who does not know them (§14).
const OPTIONAL: u16 = 0x8000;

/// The answer to a binding request: the address that it came from. `None` to anything else, and to a request that demands
/// what is not known here.
pub(crate) fn answer(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = request.split_at_checked(HEADER)?;
    let length = u16::from_be_bytes([*header.get(2)?, *header.get(3)?]);
    if header.get(..2)? != BINDING_REQUEST || usize::from(length) != attributes.len() || !are_optional(attributes) {
        return None;
    }
    let transaction = header.get(4..)?;
    let mapped = xor_mapped(source, transaction);
    let mut answer = Vec::with_capacity(HEADER + mapped.len());
    answer.extend_from_slice(&BINDING_SUCCESS);
    answer.extend_from_slice(&(mapped.len() as u16).to_be_bytes());
    answer.extend_from_slice(transaction);
    answer.extend_from_slice(&mapped);
    Some(answer)
}

/// Whether all attributes are whole and may be passed over.
fn are_optional(mut attributes: &[u8]) -> bool {
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let &[kind_high, kind_low, high, low] = head else { return false };
        let padded = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4);
        let Some((_, rest)) = rest.split_at_checked(padded) else { return false };
        if u16::from_be_bytes([kind_high, kind_low]) < OPTIONAL {
            return false;
        }
        attributes = rest;
    }
    attributes.is_empty()
}

/// The attribute with an address (§14.2): port and address, each made unreadable for boxes that rewrite what they take for
/// their own.
fn xor_mapped(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let mut mapped = XOR_MAPPED_ADDRESS.to_vec();
    let port = source.port() ^ (COOKIE >> 16) as u16;
    let octets = match source.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    mapped.extend_from_slice(&(4 + octets.len() as u16).to_be_bytes());
    mapped.extend_from_slice(&[0, if source.is_ipv4() { 1 } else { 2 }]);
    mapped.extend_from_slice(&port.to_be_bytes());
    mapped.extend(octets.iter().zip(transaction).map(|(octet, mask)| octet ^ mask));
    mapped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = (attributes.len() as u16).to_be_bytes();
        let id = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        [&BINDING_REQUEST[..], &length, &COOKIE.to_be_bytes(), &id, attributes].concat()
    }

    /// RFC 5769 §2.2 and §2.3: the addresses of the sample responses.
    #[test]
    fn addresses_are_those_of_the_samples() {
        let v4 = answer(&request(&[]), "192.0.2.1:32853".parse().expect("an address")).expect("an answer");
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let source = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().expect("an address");
        let v6 = answer(&request(&[]), source).expect("an answer");
        let address = [0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9];
        assert_eq!(v6[20..], [&[0, 0x20, 0, 20, 0, 2, 0xa1, 0x47][..], &address].concat());
    }

    #[test]
    fn what_is_not_answered() {
        let source = "192.0.2.1:1".parse().expect("an address");
        assert!(answer(&request(b"\x80\x22\x00\x03abc\x00"), source).is_some(), "an optional attribute");
        let answered = answer(&request(&[]), source).expect("an answer");
        let rows: [&[u8]; 7] = [
            &answered,                              // an answer
            &request(b"\x00\x06\x00\x04user"),      // demands to be understood
            &request(b"\x80\x22\x00\x05abc\x00"),   // longer than there is
            &request(b"\x80\x22"),                  // cut off
            &[&request(&[])[..], b"more"].concat(), // more than it says
            &request(&[])[..19],
            b"",
        ];
        for data in rows {
            assert_eq!(answer(data, source), None, "{data:?}");
        }
    }
}
