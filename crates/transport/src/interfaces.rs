//! The host's own addresses: what a wildcard listener stands for, and where multicast is joined.

#![allow(unsafe_code)] // getifaddrs gives a C list

use std::ffi::{CStr, CString};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ptr;

use crate::address::{from_raw, RawAddress, STORAGE_LENGTH};
use crate::system::check;

/// Addresses of all interfaces that are up, in the system's order, with their interface's index. Link-local IPv6
/// addresses are left out: they mean nothing in a Via that travels.
pub fn interface_addresses() -> io::Result<Vec<(IpAddr, u32)>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the call fills `list`, which is freed below.
    check(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut found = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a non-null element of the list, which lives until freeifaddrs.
        let item = unsafe { &*entry };
        entry = item.ifa_next;
        if item.ifa_addr.is_null() || item.ifa_flags & libc::IFF_UP as libc::c_uint == 0 {
            continue;
        }
        // SAFETY: `ifa_addr` is a valid sockaddr, whose real length follows from its family; `ifa_name` is a C string
        // that lives as long as the list.
        let (address, index) = unsafe { (copy_address(item.ifa_addr), libc::if_nametoindex(item.ifa_name)) };
        if let Some(address) = address.filter(|address| !is_link_local(address.ip())) {
            found.push((address.ip(), index));
        }
    }
    // SAFETY: `list` came from getifaddrs and is not used any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// Copy a socket address of the list.
///
/// # Safety
/// `address` must point to a sockaddr that is as long as its family says.
unsafe fn copy_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    let mut raw = RawAddress::empty();
    // SAFETY: every sockaddr begins with its family, as the caller promises.
    let length = match libc::c_int::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: the source is `length` bytes long by its family, the destination is longer, and they do not overlap.
    unsafe { ptr::copy_nonoverlapping(address.cast::<u8>(), (&raw mut raw.storage).cast::<u8>(), length) };
    from_raw(&raw.storage, STORAGE_LENGTH)
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

/// Index of the interface that has this name or this address; None when there is none.
pub fn interface_index(name_or_address: &str) -> Option<u32> {
    if let Ok(ip) = name_or_address.parse::<IpAddr>() {
        let addresses = interface_addresses().ok()?;
        return addresses.into_iter().find(|(address, _)| *address == ip).map(|(_, index)| index);
    }
    let name = CString::new(name_or_address).ok()?;
    let name: &CStr = &name;
    // SAFETY: `name` is a valid C string for the time of the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_by_address_and_name() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let addresses = interface_addresses().unwrap();
        let (_, index) = addresses.iter().find(|(ip, _)| *ip == loopback).copied().unwrap();
        assert_eq!(interface_index("127.0.0.1"), Some(index));
        assert_eq!(interface_index("lo"), Some(index));
        assert_eq!(interface_index("no such one"), None);
        assert_eq!(interface_index("203.0.113.77"), None);
    }
}
