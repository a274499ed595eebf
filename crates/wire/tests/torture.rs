//! The torture messages of RFC 4475 and RFC 5118, held to what a proxy must make of them before it routes.

#![allow(clippy::unwrap_used)] // a test may fail

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use sipyard_wire::{Limits, Message};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/torture")
}

/// Status with which parsing refuses, 0 for a silent drop, `None` when it may be routed.
fn refusal(data: Bytes) -> Option<u16> {
    match Message::parse(data, &Limits::default()) {
        Err(malformed) => Some(malformed.error.status),
        Ok(message) => message.check_routable().err().map(|error| error.status),
    }
}

#[test]
fn each_message_gets_what_the_manifest_allows() {
    let manifest = fs::read_to_string(folder().join("manifest.tsv")).unwrap();
    let mut failures = Vec::new();
    let mut seen = 0;
    for row in manifest.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (file, kind, allowed) = (columns[0], columns[5], columns[8]);
        let allowed: Vec<&str> = allowed.split('|').collect();
        seen += 1;
        let verdict = refusal(Bytes::from(fs::read(folder().join(file)).unwrap()));
        // Past the parser the script goes on: any of its answers may follow.
        let may_go_on = allowed.iter().any(|word| !["400", "505", "drop"].contains(word));
        let fits = match verdict {
            // A response that parses is judged where it is relayed: whose Via it bears, where it would go.
            None => may_go_on || kind == "response",
            Some(_) if kind == "response" => allowed.contains(&"drop"),
            Some(status) => allowed.contains(&status.to_string().as_str()),
        };
        if !fits {
            failures.push(format!("{file}: {verdict:?}, allowed {allowed:?}"));
        }
    }
    assert_eq!(seen, 61);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_taken_is_written_unchanged() {
    let manifest = fs::read_to_string(folder().join("manifest.tsv")).unwrap();
    for row in manifest.lines().skip(1) {
        let file = row.split('\t').next().unwrap();
        let data = Bytes::from(fs::read(folder().join(file)).unwrap());
        if let Ok(message) = Message::parse(data, &Limits::default()) {
            let mut out = Vec::new();
            sipyard_wire::Edits::default().write(&message, &mut out);
            assert_eq!(out, message.own_bytes(), "{file}");
        }
    }
}
