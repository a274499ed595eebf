//! Loops: RFC 5393 §4.2. A request that comes back with the same inputs to routing is one; with others it is a spiral.

use sipyard_wire::Message;

use crate::branch_id;

/// Whether a Via of the request carries our hash of the very inputs that it has now.
///
/// The hash is keyed, so a branch with it is one of ours: no address has to be compared.
pub fn comes_back(message: &Message, loop_hash: u64) -> bool {
    message.vias().filter_map(Result::ok).any(|via| via.branch().and_then(branch_id::loop_hash) == Some(loop_hash))
}
