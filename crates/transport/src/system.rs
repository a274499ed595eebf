//! The smallest steps towards the kernel: checking results, socket options.

#![allow(unsafe_code)] // setsockopt takes untyped memory

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The value of a system call, or the error it left in errno.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Set a socket option whose value is the plain structure `value`.
pub(crate) fn set_option<T: Copy>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is valid for `length` bytes for the time of the call and the kernel only reads it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const *value).cast(), length) };
    check(result).map(drop)
}
