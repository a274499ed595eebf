//! ACK and CANCEL made from a request that we sent: RFC 3261 §17.1.1.3 and §9.1.
//!
//! Both are needed for failed and cancelled calls only, so the sent bytes are read again then instead of keeping pieces
//! of every request.

use bytes::Bytes;
use sipyard_wire::{build, Limits, Message, ParseError};

/// The ACK to a failure.
pub fn ack(sent: &Bytes, response: &Message) -> Option<Bytes> {
    write(sent, |request, out| build::ack_for(request, response, out))
}

/// The CANCEL of a request.
pub fn cancel(sent: &Bytes) -> Option<Bytes> {
    write(sent, build::cancel_for)
}

fn write(sent: &Bytes, make: impl FnOnce(&Message, &mut Vec<u8>) -> Result<(), ParseError>) -> Option<Bytes> {
    // No limit: it was within ours when it came, and what we added counts no more.
    let limits = Limits { message: usize::MAX, fields: usize::MAX };
    let request = Message::parse(sent.clone(), &limits).ok()?;
    let mut out = Vec::with_capacity(512);
    make(&request, &mut out).ok()?;
    Some(out.into())
}
