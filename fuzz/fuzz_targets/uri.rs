//! Any text is a URI or not; one that is equals itself, and two that are equal are so both ways.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sipyard_wire::{NameAddr, Uri, Via};

fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let (first, second) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let _ = (NameAddr::parse(first), Via::parse(first));
    let (Ok(one), Ok(two)) = (Uri::parse(first), Uri::parse(second)) else { return };
    assert!(one.equivalent(&one), "a URI equals itself");
    assert_eq!(one.equivalent(&two), two.equivalent(&one), "equality has no direction");
});
