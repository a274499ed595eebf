//! The answering side. A user whose name ends in "b" or "c" never answers and waits for its CANCEL.

use crate::message::{Head, SDP};
use crate::timers::Fixed;
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// One contact's socket and the calls that it has been offered.
pub struct Callee {
    socket: UdpSocket,
    server: SocketAddr,
    contact: String,
    legs: HashMap<String, Leg>,
    ringing: Fixed<String>,
    ringing_long: Fixed<String>,
    unacknowledged: Fixed<String>,
    /// Final answers sent more than once.
    pub retransmissions: u64,
}

struct Leg {
    answer: String,
    acknowledged: bool,
    repeats: u8,
}

impl Callee {
    /// A callee at `port`, behind `server`.
    pub fn new(socket: UdpSocket, server: SocketAddr, port: u16) -> Self {
        Callee {
            socket,
            server,
            contact: format!("Contact: <sip:127.0.0.1:{port}>\r\n"),
            legs: HashMap::new(),
            ringing: Fixed::new(Duration::from_millis(20)),
            ringing_long: Fixed::new(Duration::from_millis(60)),
            unacknowledged: Fixed::new(Duration::from_millis(500)),
            retransmissions: 0,
        }
    }

    /// Handles what has come and what is due; true when there was something.
    pub fn work(&mut self, now: Duration) -> bool {
        let mut buffer = [0_u8; 4096];
        let mut worked = false;
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            self.receive(now, &buffer[..length]);
            worked = true;
        }
        while let Some(key) = self.ringing.due(now).or_else(|| self.ringing_long.due(now)) {
            self.answer(now, key);
            worked = true;
        }
        while let Some(key) = self.unacknowledged.due(now) {
            self.repeat(now, key);
        }
        worked
    }

    fn receive(&mut self, now: Duration, data: &[u8]) {
        let Some(head) = Head::new(data) else { return };
        let (Some(call), user) = (head.value("Call-ID"), user(head.uri())) else { return };
        // ACK and BYE go to our Contact, which has no user; ACK to 487 and CANCEL to the forked contact.
        match head.method() {
            "INVITE" => self.offered(now, &head, format!("{call}{}", leg(user)), user),
            "ACK" => {
                if let Some(found) = self.legs.get_mut(&format!("{call}{}", leg(user))) {
                    found.acknowledged = true;
                }
            }
            "CANCEL" => {
                self.send(&head.response("200 OK", Some("cancel"), "Content-Length: 0\r\n\r\n"));
                let key = format!("{call}{}", leg(user));
                if let Some(found) = self.legs.get(&key).filter(|l| l.repeats == 0) {
                    self.send(&found.answer);
                    self.unacknowledged.set(now, key);
                }
            }
            "BYE" => {
                self.legs.remove(&format!("{call}-"));
                self.send(&head.response("200 OK", None, "Content-Length: 0\r\n\r\n"));
            }
            _ => {}
        }
    }

    fn offered(&mut self, now: Duration, head: &Head<'_>, key: String, user: &str) {
        if self.legs.contains_key(&key) {
            return; // a retransmission
        }
        let tag = format!("t{}", leg(user));
        let ringing = format!("{}Content-Length: 0\r\n\r\n", self.contact);
        self.send(&head.response("180 Ringing", Some(&tag), &ringing));
        let waits = matches!(leg(user), "-b" | "-c");
        let answer = if waits {
            head.response("487 Request Terminated", Some(&tag), "Content-Length: 0\r\n\r\n")
        } else {
            let rest =
                format!("{}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}", self.contact, SDP.len());
            head.response("200 OK", Some(&tag), &rest)
        };
        self.legs.insert(key.clone(), Leg { answer, acknowledged: false, repeats: 0 });
        match leg(user) {
            "-" => self.ringing.set(now, key),
            "-a" => self.ringing_long.set(now, key),
            _ => {}
        }
    }

    fn answer(&mut self, now: Duration, key: String) {
        if let Some(leg) = self.legs.get(&key) {
            self.send(&leg.answer);
            // The answering leg of a fork gets its ACK at our Contact, without a user.
            let base = key.trim_end_matches('a');
            if base.len() != key.len() {
                if let Some(leg) = self.legs.remove(&key) {
                    self.legs.insert(base.to_owned(), leg);
                }
            }
            self.unacknowledged.set(now, base.to_owned());
        }
    }

    fn repeat(&mut self, now: Duration, key: String) {
        let Some(leg) = self.legs.get_mut(&key) else { return };
        leg.repeats += 1;
        if leg.acknowledged || leg.repeats > 8 {
            // An answered call stays until its BYE, a cancelled leg is over.
            if key.ends_with(['b', 'c']) {
                self.legs.remove(&key);
            }
            return;
        }
        self.retransmissions += 1;
        let answer = leg.answer.clone();
        self.send(&answer);
        self.unacknowledged.set(now, key);
    }

    fn send(&self, text: &str) {
        // A full socket buffer is a lost packet, as it would be on a wire.
        let _lost = self.socket.send_to(text.as_bytes(), self.server);
    }
}

/// User part of a URI, "" when it has none.
fn user(uri: &str) -> &str {
    let rest = uri.strip_prefix("sip:").unwrap_or(uri);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// Which leg of a fork a contact's user names: "-a", "-b", "-c", or "-" when it is not a fork.
fn leg(user: &str) -> &'static str {
    match user.as_bytes().last() {
        Some(b'a') => "-a",
        Some(b'b') => "-b",
        Some(b'c') => "-c",
        _ => "-",
    }
}
