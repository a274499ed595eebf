//! Loops: RFC 5393 §4.2. A request that comes back with the same inputs to routing is one; with others it is a spiral.

use sipyard_wire::{HeaderName, Message, Via};

use crate::branch_id;

/// The shortest Via with a branch of ours; most are shorter and need not be parsed.
const SHORTEST: usize = "SIP/2.0/WS a;branch=".len() + branch_id::LENGTH;

/// Whether a Via of the request carries our hash of the very inputs that it has now.
///
/// The hash is keyed, so a branch with it is one of ours: no address has to be compared.
pub fn comes_back(message: &Message, loop_hash: u64) -> bool {
    let long_enough =
        message.values(HeaderName::Via).filter_map(Result::ok).filter(|value| value.text.len() >= SHORTEST);
    let mut vias = long_enough.filter_map(|value| Via::parse(value.text).ok());
    vias.any(|via| via.branch().and_then(branch_id::loop_hash) == Some(loop_hash))
}
