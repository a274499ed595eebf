//! The one clock: CLOCK_MONOTONIC, which is also what Python's `time.monotonic()` and asyncio read.

#![allow(unsafe_code)] // clock_gettime writes through a pointer

/// Microseconds on the system's monotonic clock.
pub fn monotonic_micros() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The same clock as of the system's last tick, up to some milliseconds ago: a fifth of the cost.
pub fn coarse_micros() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to. The call cannot fail for the clocks above.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64) * 1_000_000 + (time.tv_nsec as u64) / 1000
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_does_not_go_back() {
        let first = super::monotonic_micros();
        assert!(first > 0 && super::monotonic_micros() >= first);
        let coarse = super::coarse_micros();
        assert!(coarse <= super::monotonic_micros() && coarse + 1_000_000 > first);
    }
}
