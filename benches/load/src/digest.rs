//! The answer to a digest challenge (RFC 3261 §22.4) with MD5 and qop `auth`.

use crate::message::Head;
use md5::{Digest, Md5};

/// What every user of the benchmark has as password.
pub const PASSWORD: &str = "secret";

/// The header field that answers the challenge of a 401 or 407; None when there is no challenge in it.
pub fn answer(head: &Head<'_>, method: &str, uri: &str, user: &str) -> Option<String> {
    let (asked, name) = match head.value("WWW-Authenticate") {
        Some(value) => (value, "Authorization"),
        None => (head.value("Proxy-Authenticate")?, "Proxy-Authorization"),
    };
    let (realm, nonce) = (parameter(asked, "realm")?, parameter(asked, "nonce")?);
    let ha1 = hex(&format!("{user}:{realm}:{PASSWORD}"));
    let ha2 = hex(&format!("{method}:{uri}"));
    let (qop, response) = if asked.contains("qop=") {
        let response = hex(&format!("{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}"));
        (", qop=auth, nc=00000001, cnonce=\"c0ffee\"", response)
    } else {
        ("", hex(&format!("{ha1}:{nonce}:{ha2}")))
    };
    Some(format!(
        "{name}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm=MD5{qop}\r\n"
    ))
}

fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let start = value.find(&format!("{name}=\""))? + name.len() + 2;
    let length = value[start..].find('"')?;
    Some(&value[start..start + length])
}

fn hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
