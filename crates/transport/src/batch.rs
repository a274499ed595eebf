//! Batches: one recvmmsg or sendmmsg for up to `BATCH` datagrams, with buffers that are made once.

#![allow(unsafe_code)] // message headers carry raw pointers into the batch's own buffers

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::{mem, ptr};

use bytes::Bytes;

use crate::address::{from_raw, RawAddress, STORAGE_LENGTH};
use crate::system::check;
use crate::udp::UdpSocket;

/// Datagrams in one system call.
pub const BATCH: usize = 32;
/// The largest UDP payload and one, so that nothing is ever cut.
const SLOT: usize = 65536;
/// Room for one packet-information control message, which is 40 bytes at most with its header.
const CONTROL: usize = 64;

/// A control-message buffer with the alignment that its headers need.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// A received datagram, in the batch's own buffer.
pub struct Datagram<'a> {
    /// What was sent.
    pub data: &'a [u8],
    /// By whom.
    pub remote: SocketAddr,
    /// The local address it was sent to, when the socket reports it; for a group it may be the group.
    pub local: Option<IpAddr>,
}

/// Buffers for receiving.
pub struct ReceiveBatch {
    data: Vec<u8>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    filled: usize,
}

// SAFETY: the raw pointers in `vectors` and `headers` point into the heap buffers of the same value, which move with it.
unsafe impl Send for ReceiveBatch {}

impl Default for ReceiveBatch {
    fn default() -> ReceiveBatch {
        ReceiveBatch::new()
    }
}

impl ReceiveBatch {
    /// Buffers for `BATCH` datagrams of any size. The memory is touched only as far as datagrams fill it.
    pub fn new() -> ReceiveBatch {
        let mut batch = ReceiveBatch {
            data: vec![0; BATCH * SLOT],
            names: vec![RawAddress::empty().storage; BATCH],
            controls: vec![Control([0; CONTROL]); BATCH],
            vectors: Vec::with_capacity(BATCH),
            headers: Vec::with_capacity(BATCH),
            filled: 0,
        };
        for slot in batch.data.chunks_exact_mut(SLOT) {
            batch.vectors.push(libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT });
        }
        for ((vector, name), control) in batch.vectors.iter_mut().zip(&mut batch.names).zip(&mut batch.controls) {
            let mut header = empty_header();
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = (&raw mut *control).cast();
            batch.headers.push(header);
        }
        batch
    }

    /// Take what waits in the socket, up to `BATCH` datagrams; 0 when nothing does. An ICMP error that waits may come as
    /// `Err` instead: read the error queue and try again.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // The kernel has overwritten the lengths of the headers that it filled the last time, and at most of one more.
        let control = if socket.reports_local() { CONTROL } else { 0 };
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = STORAGE_LENGTH;
            header.msg_hdr.msg_controllen = control;
        }
        self.filled = 0;
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: every header points to live buffers of this value with the lengths given (see `new`).
        let result = check(unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                flags,
                ptr::null_mut(),
            )
        });
        match result {
            Ok(count) => self.filled = count as usize,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(self.filled)
    }

    /// What the last `receive` took.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.data.chunks_exact(SLOT);
        let filled = self.headers.iter().zip(slots).zip(&self.names).take(self.filled);
        filled.filter_map(|((header, slot), name)| {
            Some(Datagram {
                data: slot.get(..header.msg_len as usize)?,
                remote: from_raw(name, header.msg_hdr.msg_namelen)?,
                local: local_address(&header.msg_hdr),
            })
        })
    }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is plain data; zero means null pointers and zero lengths.
    unsafe { mem::zeroed() }
}

/// The address in a packet-information control message.
fn local_address(header: &libc::msghdr) -> Option<IpAddr> {
    if header.msg_controllen == 0 {
        return None;
    }
    // SAFETY: `msg_control` points to `msg_controllen` bytes that the kernel filled with control messages; the CMSG
    // functions stay inside them.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: `message` is a control message inside the buffer; its level and type say what its data is.
        let (level, kind, data) = unsafe { ((*message).cmsg_level, (*message).cmsg_type, libc::CMSG_DATA(message)) };
        if level == libc::IPPROTO_IP && kind == libc::IP_PKTINFO {
            // SAFETY: the data of IP_PKTINFO is an in_pktinfo, possibly not aligned.
            let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
            return Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))));
        }
        if level == libc::IPPROTO_IPV6 && kind == libc::IPV6_PKTINFO {
            // SAFETY: the data of IPV6_PKTINFO is an in6_pktinfo, possibly not aligned.
            let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
            return Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// A datagram to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The payload.
    pub data: Bytes,
    /// To whom.
    pub remote: SocketAddr,
    /// The local address to leave from, for a wildcard socket; None: the system chooses.
    pub source: Option<IpAddr>,
}

/// Buffers for sending.
pub struct SendBatch {
    names: Vec<RawAddress>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the raw pointers are only used within `send`, which sets them anew each time.
unsafe impl Send for SendBatch {}

impl Default for SendBatch {
    fn default() -> SendBatch {
        SendBatch::new()
    }
}

impl SendBatch {
    /// Buffers for `BATCH` datagrams.
    pub fn new() -> SendBatch {
        SendBatch {
            names: vec![RawAddress::empty(); BATCH],
            controls: vec![Control([0; CONTROL]); BATCH],
            vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH],
            headers: (0..BATCH).map(|_| empty_header()).collect(),
        }
    }

    /// Send the first datagrams of `queue`, up to `BATCH`, in one system call. Returns how many went. `WouldBlock`: the
    /// socket's buffer is full. Any other error is either about the first datagram, or an ICMP error of an earlier one.
    pub fn send(&mut self, socket: &UdpSocket, queue: &[Outgoing]) -> io::Result<usize> {
        let count = queue.len().min(BATCH);
        let slots = self.headers.iter_mut().zip(&mut self.vectors).zip(self.names.iter_mut().zip(&mut self.controls));
        for (outgoing, ((header, vector), (name, control))) in queue.iter().zip(slots) {
            *name = RawAddress::from(outgoing.remote);
            vector.iov_base = outgoing.data.as_ptr().cast_mut().cast();
            vector.iov_len = outgoing.data.len();
            header.msg_hdr.msg_name = (&raw mut name.storage).cast();
            header.msg_hdr.msg_namelen = name.length;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = ptr::null_mut();
            header.msg_hdr.msg_controllen = 0;
            if let (Some(source), true) = (outgoing.source, socket.reports_local()) {
                write_source(&mut header.msg_hdr, control, source);
            }
        }
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: the first `count` headers were set above to buffers that live during the call: names, vectors and
        // controls of this value, and payloads of `queue`, which the kernel only reads.
        let sent = check(unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        })?;
        Ok(sent as usize)
    }
}

/// Put packet information into `control`, so that the datagram leaves from `source`.
fn write_source(header: &mut libc::msghdr, control: &mut Control, source: IpAddr) {
    header.msg_control = (&raw mut *control).cast();
    match source {
        IpAddr::V4(v4) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(v4).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        IpAddr::V6(v6) => {
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: v6.octets() }, ipi6_ifindex: 0 };
            write_control(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
    }
}

/// Write the one control message of a header whose `msg_control` is a `Control`.
fn write_control<T>(header: &mut libc::msghdr, level: libc::c_int, kind: libc::c_int, value: T) {
    const { assert!(mem::size_of::<T>() + 2 * mem::size_of::<libc::cmsghdr>() <= CONTROL) };
    let length = mem::size_of::<T>() as libc::c_uint;
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute. `msg_control` points to CONTROL aligned bytes, enough for the header
    // and the value (asserted above), so CMSG_FIRSTHDR is not null and both writes stay inside.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(length) as usize;
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(length) as usize;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
}
