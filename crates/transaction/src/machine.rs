//! What the four state machines have in common: the actions that a step asks for.
//!
//! A machine is a pure function of state and input. It knows no message, no timer queue and no other machine; who calls
//! it carries the actions out.

use std::ops::{BitOr, Sub};

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Act(u16);

impl Act {
    /// Nothing to do.
    pub const NONE: Act = Act(0);
    /// Client: hand the response to the response context. Server: hand the request (an ACK) to the script.
    pub const DELIVER: Act = Act(1);
    /// Server: send the given response.
    pub const SEND: Act = Act(2);
    /// Send the stored message again.
    pub const RESEND: Act = Act(4);
    /// Client: acknowledge the failure; the ACK replaces the stored request.
    pub const ACK: Act = Act(8);
    /// Start retransmitting (timers A, E, G) at T1, on unreliable transports.
    pub const RETRANSMIT: Act = Act(16);
    /// Set the retransmission timer to its next, longer interval.
    pub const BACK_OFF: Act = Act(32);
    /// Stop retransmitting.
    pub const QUIET: Act = Act(64);
    /// Start the timer that ends the state: D, H, J, L or M; immediately over where the state is only for retransmissions
    /// and the transport is reliable.
    pub const LINGER: Act = Act(128);
    /// Start the shorter such timer: I or K.
    pub const WAIT: Act = Act(256);
    /// Tell the user: no response in time.
    pub const TIMEOUT: Act = Act(512);
    /// Tell the user: the message could not be sent.
    pub const FAILED: Act = Act(1024);
    /// Keep the response for retransmissions of the request.
    pub const STORE: Act = Act(2048);
    /// Client: the INVITE was given up, yet the peer rings: send the CANCEL that was due.
    pub const CANCEL: Act = Act(4096);
    /// Drop the stored message: no state to come needs it.
    pub const FREE: Act = Act(8192);

    /// Whether `action` is asked for.
    #[inline]
    pub fn has(self, action: Act) -> bool {
        self.0 & action.0 != 0
    }
}

impl BitOr for Act {
    type Output = Act;
    fn bitor(self, other: Act) -> Act {
        Act(self.0 | other.0)
    }
}

impl Sub for Act {
    type Output = Act;
    fn sub(self, other: Act) -> Act {
        Act(self.0 & !other.0)
    }
}
