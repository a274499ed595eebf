//! Waiting: epoll for descriptors and eventfd for waking another thread.

#![allow(unsafe_code)] // system calls through libc

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::system::check;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Data to read, or a connection to accept.
    pub readable: bool,
    /// Room to write.
    pub writable: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Interest = Interest { readable: true, writable: false };

    fn bits(self) -> u32 {
        let mut bits = 0;
        if self.readable {
            bits |= libc::EPOLLIN as u32;
        }
        if self.writable {
            bits |= libc::EPOLLOUT as u32;
        }
        bits
    }
}

/// One descriptor that is ready. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number given with `Epoll::add`.
    pub token: u64,
    /// Reading will not block.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// An error waits: for a UDP socket, something is in its error queue.
    pub error: bool,
}

/// Room for what one wait reports.
pub struct ReadyBuffer {
    events: Vec<libc::epoll_event>,
    filled: usize,
}

impl ReadyBuffer {
    /// Room for `capacity` descriptors (at least one).
    pub fn new(capacity: usize) -> ReadyBuffer {
        ReadyBuffer { events: vec![libc::epoll_event { events: 0, u64: 0 }; capacity.max(1)], filled: 0 }
    }

    /// What the last wait found.
    pub fn iter(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events.iter().take(self.filled).map(|event| {
            let bits = event.events;
            let broken = bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            Ready {
                token: event.u64,
                readable: broken || bits & libc::EPOLLIN as u32 != 0,
                writable: broken || bits & libc::EPOLLOUT as u32 != 0,
                error: bits & libc::EPOLLERR as u32 != 0,
            }
        })
    }
}

/// An epoll instance, level-triggered.
pub struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// A new one; the error is the system's (out of descriptors).
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no memory is passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call just made this descriptor and nobody else knows it.
        Ok(Epoll { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Watch `fd`; `token` comes back when it is ready.
    pub fn add(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Watch `fd` for something else.
    pub fn modify(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    /// Stop watching `fd`.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest { readable: false, writable: false })
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        // SAFETY: `event` is valid during the call, and the kernel checks the descriptors.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
    }

    /// Wait until something is ready or `timeout` microseconds have passed (None: for ever), rounded up to whole
    /// milliseconds so that a timer never wakes early and spins. Returns how many are in `buffer`; an interrupting
    /// signal is `ErrorKind::Interrupted`.
    pub fn wait(&self, buffer: &mut ReadyBuffer, timeout: Option<u64>) -> io::Result<usize> {
        buffer.filled = 0;
        let milliseconds = match timeout {
            None => -1,
            Some(micros) => libc::c_int::try_from(micros.div_ceil(1000)).unwrap_or(libc::c_int::MAX),
        };
        let capacity = libc::c_int::try_from(buffer.events.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the buffer has room for `capacity` events.
        let count = check(unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), buffer.events.as_mut_ptr(), capacity, milliseconds)
        })?;
        buffer.filled = count as usize;
        Ok(buffer.filled)
    }
}

/// A counter in the kernel that makes its descriptor readable: wakes a thread that waits in epoll or select.
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// A new one, not readable; the error is the system's (out of descriptors).
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: no memory is passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the call just made this descriptor and nobody else knows it.
        Ok(EventFd { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Make it readable.
    pub fn notify(&self) {
        let one = 1_u64;
        // SAFETY: eight readable bytes. The only possible failure is a full counter, and then it is readable already.
        unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Make it unreadable again.
    pub fn reset(&self) {
        let mut count = 0_u64;
        // SAFETY: eight writable bytes. The only possible failure is an empty counter, which is what is wanted.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eventfd_wakes_epoll_until_it_is_reset() {
        let epoll = Epoll::new().unwrap();
        let event = EventFd::new().unwrap();
        epoll.add(event.as_fd().as_raw_fd(), 7, Interest::READ).unwrap();
        let mut buffer = ReadyBuffer::new(4);
        assert_eq!(epoll.wait(&mut buffer, Some(0)).unwrap(), 0);
        event.notify();
        event.notify();
        assert_eq!(epoll.wait(&mut buffer, None).unwrap(), 1);
        let ready: Vec<Ready> = buffer.iter().collect();
        assert_eq!(ready, [Ready { token: 7, readable: true, writable: false, error: false }]);
        event.reset();
        assert_eq!(epoll.wait(&mut buffer, Some(0)).unwrap(), 0);
        epoll.remove(event.as_fd().as_raw_fd()).unwrap();
        event.notify();
        assert_eq!(epoll.wait(&mut buffer, Some(1)).unwrap(), 0);
        assert!(epoll.modify(event.as_fd().as_raw_fd(), 7, Interest::READ).is_err());
    }
}
