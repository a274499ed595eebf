//! The one clock: CLOCK_MONOTONIC, which is also what Python's `time.monotonic()` and asyncio read.

#![allow(unsafe_code)] // clock_gettime writes through a pointer

/// Microseconds on the system's monotonic clock.
pub fn monotonic_micros() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to. The call cannot fail for CLOCK_MONOTONIC.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64) * 1_000_000 + (time.tv_nsec as u64) / 1000
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_does_not_go_back() {
        let first = super::monotonic_micros();
        assert!(first > 0 && super::monotonic_micros() >= first);
    }
}
