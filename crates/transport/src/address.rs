//! Conversion between `SocketAddr` and the kernel's `sockaddr_storage`.

#![allow(unsafe_code)] // reinterpreting a sockaddr by its family is what the C interface asks for

use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address in the kernel's form, with the length that goes with it.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    pub(crate) storage: libc::sockaddr_storage,
    pub(crate) length: libc::socklen_t,
}

impl RawAddress {
    /// Room for any address.
    pub(crate) fn empty() -> RawAddress {
        // SAFETY: sockaddr_storage is plain data; all zero bytes are a valid value (family AF_UNSPEC).
        let storage = unsafe { mem::zeroed() };
        RawAddress { storage, length: STORAGE_LENGTH }
    }
}

/// The room that a kernel call may fill.
pub(crate) const STORAGE_LENGTH: libc::socklen_t = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> RawAddress {
        let mut raw = RawAddress::empty();
        match address {
            SocketAddr::V4(v4) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                raw.length = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
                // SAFETY: sockaddr_storage is larger than sockaddr_in and aligned for every address family.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(value) };
            }
            SocketAddr::V6(v6) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                raw.length = mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                // SAFETY: as above, for sockaddr_in6.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in6>().write(value) };
            }
        }
        raw
    }
}

/// The address that the kernel wrote, or None when it is of another family or too short.
pub(crate) fn from_raw(storage: &libc::sockaddr_storage, length: libc::socklen_t) -> Option<SocketAddr> {
    let length = length as usize;
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET if length >= mem::size_of::<libc::sockaddr_in>() => {
            // SAFETY: the family says that it is a sockaddr_in, and storage is large and aligned enough for one.
            let value = unsafe { (&raw const *storage).cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(value.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(value.sin_port))))
        }
        libc::AF_INET6 if length >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above, for sockaddr_in6.
            let value = unsafe { (&raw const *storage).cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(value.sin6_addr.s6_addr);
            let port = u16::from_be(value.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, value.sin6_flowinfo, value.sin6_scope_id)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["192.0.2.1:5060", "0.0.0.0:0", "[2001:db8::1]:65535", "[fe80::1%3]:5061"] {
            let address: SocketAddr = text.parse().unwrap();
            let raw = RawAddress::from(address);
            assert_eq!(from_raw(&raw.storage, raw.length), Some(address), "{text}");
        }
    }

    #[test]
    fn a_short_or_foreign_address_is_none() {
        let raw = RawAddress::from("192.0.2.1:5060".parse::<SocketAddr>().unwrap());
        assert_eq!(from_raw(&raw.storage, 4), None);
        assert_eq!(from_raw(&RawAddress::empty().storage, STORAGE_LENGTH), None);
    }
}
