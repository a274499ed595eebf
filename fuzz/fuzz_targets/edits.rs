//! Edits anywhere in a message: writing never panics, and a removed header is gone for the next reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sipyard_wire::{Bytes, Edits, HeaderName, Limits, Message};

fuzz_target!(|data: &[u8]| {
    let Some((plan, text)) = data.split_at_checked(16) else { return };
    let Ok(message) = Message::parse(Bytes::copy_from_slice(text), &Limits::default()) else { return };
    let mut edits = Edits::default();
    for step in plan.chunks_exact(4) {
        let (start, end) = (usize::from(step[1]) * 4, usize::from(step[1]) * 4 + usize::from(step[2]));
        let inserted = Bytes::from(vec![b'x'; usize::from(step[3] % 8)]);
        match step[0] % 6 {
            0 => edits.insert(start, inserted),
            1 => edits.remove(start, end),
            2 => edits.replace(start, end, inserted),
            3 => edits.append_header(&message, Bytes::from_static(b"X-New: 1\r\n")),
            4 => edits.set_body(&message, inserted),
            _ => {
                if let Some(field) = message.field_at(usize::from(step[1])) {
                    edits.remove_field(&field);
                }
            }
        }
    }
    let mut out = Vec::new();
    edits.write(&message, &mut out);

    let mut clean = Edits::default();
    for field in message.all(HeaderName::Subject) {
        clean.remove_field(&field);
    }
    out.clear();
    clean.write(&message, &mut out);
    if let Ok(again) = Message::parse(Bytes::from(out), &Limits::default()) {
        assert_eq!(again.all(HeaderName::Subject).count(), 0, "what was removed is gone");
    }
});
