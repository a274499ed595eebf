//! A stream is cut into the same messages whatever pieces it comes in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sipyard_wire::framer::{Frame, FrameError, StreamFramer};

fn messages(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut framer = StreamFramer::default();
    let mut found = Vec::new();
    for part in stream.chunks(piece.max(1)) {
        framer.push(part);
        loop {
            match framer.pop() {
                Ok(Some(Frame::Message(bytes))) => found.push(bytes.to_vec()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = messages(stream, stream.len());
    assert_eq!(messages(stream, usize::from(*piece)), whole, "pieces change nothing");
});
