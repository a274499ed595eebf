//! The error queue of a socket: what ICMP says about datagrams that we sent.

#![allow(unsafe_code)] // recvmsg and its control messages

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use crate::address::{from_raw, RawAddress};
use crate::system::check;
use crate::udp::UdpSocket;

/// As much of the original as a host gives back: RFC 1812 §4.3.2.3 says 576 bytes, IPv6 the minimum MTU.
const ORIGINAL: usize = 2048;
const CONTROL: usize = 512;

/// A datagram that the network could not deliver.
pub struct FailedDatagram<'a> {
    /// The beginning of its payload, as far as the ICMP message quotes it.
    pub data: &'a [u8],
    /// Where it was sent to.
    pub remote: SocketAddr,
    /// What the system calls it, such as ECONNREFUSED.
    pub error: i32,
}

/// A control-message buffer with the alignment that its headers need.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Buffers for reading the error queue.
pub struct ErrorBuffer {
    data: Vec<u8>,
    control: Box<Control>,
}

impl Default for ErrorBuffer {
    fn default() -> ErrorBuffer {
        ErrorBuffer { data: vec![0; ORIGINAL], control: Box::new(Control([0; CONTROL])) }
    }
}

impl ErrorBuffer {
    /// Take one entry off the socket's error queue; None when it is empty. Reading it also clears the error that the
    /// next send or receive would otherwise report. An entry that names no address is skipped.
    pub fn read(&mut self, socket: &UdpSocket) -> io::Result<Option<FailedDatagram<'_>>> {
        loop {
            let mut name = RawAddress::empty();
            let mut vector = libc::iovec { iov_base: self.data.as_mut_ptr().cast(), iov_len: self.data.len() };
            // SAFETY: msghdr is plain data; zero means null pointers and zero lengths.
            let mut header: libc::msghdr = unsafe { mem::zeroed() };
            header.msg_name = (&raw mut name.storage).cast();
            header.msg_namelen = name.length;
            header.msg_iov = &raw mut vector;
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut *self.control).cast();
            header.msg_controllen = CONTROL;
            let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
            // SAFETY: all pointers are to buffers that live during the call, with their lengths.
            let result = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
            let length = match check(libc::c_int::try_from(result).unwrap_or(-1)) {
                Ok(length) => length as usize,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let error = extended_error(&header);
            if let (Some(remote), Some(error)) = (from_raw(&name.storage, header.msg_namelen), error) {
                let data = self.data.get(..length).unwrap_or_default();
                return Ok(Some(FailedDatagram { data, remote, error }));
            }
        }
    }
}

/// The errno of an ICMP error; None for anything else that may stand in the queue (time stamps).
fn extended_error(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: `msg_control` points to `msg_controllen` bytes of control messages; the CMSG functions stay inside.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: `message` is a control message inside the buffer.
        let (level, kind, data) = unsafe { ((*message).cmsg_level, (*message).cmsg_type, libc::CMSG_DATA(message)) };
        let v4 = level == libc::IPPROTO_IP && kind == libc::IP_RECVERR;
        let v6 = level == libc::IPPROTO_IPV6 && kind == libc::IPV6_RECVERR;
        if v4 || v6 {
            // SAFETY: the data of both is a sock_extended_err, possibly not aligned.
            let error = unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() };
            let icmp = error.ee_origin == libc::SO_EE_ORIGIN_ICMP || error.ee_origin == libc::SO_EE_ORIGIN_ICMP6;
            return icmp.then(|| i32::try_from(error.ee_errno).unwrap_or(libc::EIO));
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}
