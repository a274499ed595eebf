//! Signals belong to the main thread.

#![allow(unsafe_code)] // sigset_t is filled through a pointer

use std::mem::MaybeUninit;
use std::ptr;

/// Block all signals in the calling thread, so that the system delivers them to another one.
pub fn block_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set, pthread_sigmask reads it; neither fails with these arguments.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}
