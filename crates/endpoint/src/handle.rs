//! The core behind its lock, with the clock of whoever drives it.

use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;

use parking_lot::Mutex;
use sipyard_transaction::Micros;

use crate::core::Core;

struct Inner {
    core: Mutex<Core>,
    clock: Option<fn() -> Micros>,
}

/// A shared core. The lock is held only for one call into it.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

impl Handle {
    /// Share a core. With a clock each call sees the time, without one the core knows what it was told last.
    pub fn new(core: Core, clock: Option<fn() -> Micros>) -> Handle {
        Handle(Arc::new(Inner { core: Mutex::new(core), clock }))
    }

    /// Call into the core. A panic in it is counted and goes on to the caller.
    #[inline]
    pub fn with<T>(&self, call: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.0.core.lock();
        if let Some(clock) = self.0.clock {
            core.tick(clock());
        }
        match catch_unwind(AssertUnwindSafe(|| call(&mut core))) {
            Ok(result) => result,
            Err(panic) => {
                // A bug in the core. The lock is not poisoned by it: other calls go on.
                core.counters_mut().panics += 1;
                resume_unwind(panic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_the_next_call_goes_on() {
        let handle = Handle::new(Core::new([1, 2], 16), None);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            handle.with(|core| {
                core.advance(1);
                let nothing: Option<u8> = None;
                nothing.map_or_else(|| std::panic::panic_any("a bug"), drop);
            });
        }));
        assert!(outcome.is_err());
        let panics = |core: &mut Core| core.counters().into_iter().find(|(name, _)| *name == "panics");
        assert_eq!(handle.with(panics), Some(("panics", 1)));
    }
}
