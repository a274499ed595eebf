//! Any datagram is taken or refused; what is taken is read in every way that there is and leaves as it came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sipyard_wire::{Bytes, Edits, HeaderName, Limits, Message, NameAddr, Uri, Via};

/// What a message remembers of its values is what parsing them says.
fn compare_remembered(message: &Message) {
    let addresses = [
        (HeaderName::From, message.from().ok(), message.from_tag()),
        (HeaderName::To, message.to().ok(), message.to_tag()),
    ];
    for (id, address, tag) in addresses {
        let Some(field) = message.first(id).filter(|field| !field.value.is_empty()) else { continue };
        assert_eq!(address, NameAddr::parse(field.value).ok());
        assert_eq!(tag, NameAddr::scan(field.value).ok().and_then(|one| one.tag()));
    }
    let via = message.top_via_value().ok().and_then(|value| Via::parse(value.text).ok());
    assert_eq!(message.top_via().ok(), via);
    assert_eq!(message.branch(), via.and_then(|via| via.branch()).unwrap_or_default());
}

fn read_everything(message: &Message) {
    for field in message.fields() {
        // Another parser could see a line end there.
        if field.value.contains(&b'\r') {
            assert!(field.value.split(|byte| *byte == b'\r').skip(1).all(|rest| rest.first() == Some(&b'\n')));
        }
        assert!(field.start <= field.value_start && field.value_start <= field.end);
        for value in message.values(field.id).flatten() {
            let _ = Via::parse(value.text);
            if let Ok(address) = NameAddr::parse(value.text) {
                let _ = (address.tag(), Uri::parse(address.uri));
            }
        }
        assert!(message.by_name(field.name).count() > 0, "a field is found by its name");
    }
    compare_remembered(message);
    let _ = (message.top_via(), message.cseq(), message.call_id(), message.from(), message.to());
    let _ = (message.from_tag(), message.to_tag(), message.branch(), message.contacts());
    let _ = (message.routes(), message.record_routes(), message.max_forwards(), message.expires());
    let _ = (message.vias().count(), message.values(HeaderName::Contact).count(), message.content_length());
}

fuzz_target!(|data: &[u8]| {
    match Message::parse(Bytes::copy_from_slice(data), &Limits::default()) {
        Ok(message) => {
            read_everything(&message);
            let _ = message.check_routable();
            let mut out = Vec::new();
            Edits::default().write(&message, &mut out);
            let again = Message::parse(Bytes::from(out), &Limits::default()).expect("what was taken is taken again");
            assert_eq!(message.fields().count(), again.fields().count());
            assert_eq!(message.body(), again.body());
            assert_eq!(message.request_uri(), again.request_uri());
            assert_eq!(message.check_routable().is_ok(), again.check_routable().is_ok());
        }
        Err(refused) => {
            if let Some(message) = refused.message {
                read_everything(&message);
            }
        }
    }
});
