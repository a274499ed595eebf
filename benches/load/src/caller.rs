//! The calling side: starts operations at a rate (or as fast as answers come) and sees each to its end.

use crate::digest;
use crate::message::{in_brackets, Head, SDP};
use crate::timers::Fixed;
use crate::{Options, Workload};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Operations under way at once when no rate is given.
const WINDOW: usize = 128;
/// An operation without its end after this long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the operations.
#[derive(Default)]
pub struct Outcome {
    pub started: usize,
    pub succeeded: usize,
    pub failed: usize,
    pub retransmissions: u64,
    /// Operations started more than 20 ms after their time: the generator could not keep the pace.
    pub late: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Inviting,
    Talking,
    Leaving,
    Registering,
    Done,
}

struct Operation {
    state: State,
    /// Credentials were sent: another challenge is a refusal.
    has_proven: bool,
    started: Duration,
    sent: String,
    dialog: String,
    target: String,
}

/// All operations of one run.
pub struct Caller {
    socket: UdpSocket,
    server: SocketAddr,
    workload: Workload,
    port: u16,
    users: usize,
    contacts: Vec<u16>,
    rate: u64,
    total: usize,
    salt: u32,
    operations: Vec<Operation>,
    repeat: Fixed<(usize, State)>,
    hold: Fixed<usize>,
    /// Counts.
    pub outcome: Outcome,
}

impl Caller {
    /// A caller on `socket`, which is bound to `port`.
    pub fn new(socket: UdpSocket, port: u16, options: &Options) -> Self {
        let fork = options.contacts.len();
        let total = if options.rate == 0 {
            options.users * if options.workload == Workload::Register { fork } else { 1 }
        } else {
            (options.rate as f64 * options.seconds) as usize
        };
        Caller {
            socket,
            server: options.server,
            workload: options.workload,
            port,
            users: options.users,
            contacts: options.contacts.clone(),
            rate: options.rate,
            total,
            salt: std::process::id(),
            operations: Vec::with_capacity(total),
            repeat: Fixed::new(Duration::from_millis(500)),
            hold: Fixed::new(Duration::from_millis(100)),
            outcome: Outcome::default(),
        }
    }

    /// All operations have ended.
    pub fn finished(&self) -> bool {
        self.operations.len() == self.total && self.outcome.succeeded + self.outcome.failed == self.total
    }

    /// Handles what has come and what is due; true when there was something.
    pub fn work(&mut self, now: Duration) -> bool {
        let mut buffer = [0_u8; 4096];
        let mut worked = false;
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            self.receive(now, &buffer[..length]);
            worked = true;
        }
        while let Some(index) = self.hold.due(now) {
            self.hang_up(now, index);
            worked = true;
        }
        while let Some((index, state)) = self.repeat.due(now) {
            self.again(now, index, state);
        }
        while self.operations.len() < self.due(now) {
            self.start(now);
            worked = true;
        }
        worked
    }

    /// How many operations should have been started by now.
    fn due(&self, now: Duration) -> usize {
        let wanted = if self.rate == 0 {
            self.outcome.succeeded + self.outcome.failed + WINDOW
        } else {
            (now.as_secs_f64() * self.rate as f64) as usize + 1
        };
        wanted.min(self.total)
    }

    fn start(&mut self, now: Duration) {
        let index = self.operations.len();
        if self.rate > 0 && now.as_secs_f64() - index as f64 / self.rate as f64 > 0.020 {
            self.outcome.late += 1;
        }
        let sent = self.first_request(index, "");
        self.send(&sent);
        let registers = self.workload == Workload::Register;
        let state = if registers { State::Registering } else { State::Inviting };
        self.repeat.set(now, (index, state));
        let (dialog, target) = (String::new(), String::new());
        self.operations.push(Operation { state, has_proven: false, started: now, sent, dialog, target });
        self.outcome.started += 1;
    }

    /// The request that an operation begins with; `credentials` is a header field, or empty the first time.
    fn first_request(&self, index: usize, credentials: &str) -> String {
        let cseq = if credentials.is_empty() { 1 } else { 2 };
        let common = format!(
            "{credentials}Call-ID: {index}-{}@127.0.0.1\r\nMax-Forwards: 70\r\nUser-Agent: load\r\n",
            self.salt
        );
        let via = format!("Via: SIP/2.0/UDP 127.0.0.1:{};branch=z9hG4bK{}-{index}-{cseq}", self.port, self.salt);
        if self.workload == Workload::Register {
            return self.register(index, cseq, &common, &via);
        }
        let (server, user, caller) = (self.server, index % self.users, self.caller_of(index));
        format!(
            "INVITE sip:u{user}@{server} SIP/2.0\r\n{via}\r\n\
             From: \"u{caller}\" <sip:u{caller}@{server}>;tag=f{index}\r\nTo: <sip:u{user}@{server}>\r\n\
             CSeq: {cseq} INVITE\r\n{common}Contact: <sip:u{caller}@127.0.0.1:{}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            self.port,
            SDP.len()
        )
    }

    fn register(&self, index: usize, cseq: u32, common: &str, via: &str) -> String {
        let (server, (user, which)) = (self.server, self.registered(index));
        let suffix = if self.contacts.len() > 1 { ["a", "b", "c"][which % 3] } else { "" };
        format!(
            "REGISTER sip:{server} SIP/2.0\r\n{via}\r\nFrom: <sip:u{user}@{server}>;tag=f{index}\r\n\
             To: <sip:u{user}@{server}>\r\nCSeq: {cseq} REGISTER\r\n{common}\
             Contact: <sip:u{user}{suffix}@127.0.0.1:{}>\r\nExpires: 7200\r\nContent-Length: 0\r\n\r\n",
            self.contacts[which]
        )
    }

    /// Which user's which contact an operation registers. A refresh changes one contact of a user; the first
    /// registration goes through all of them.
    fn registered(&self, index: usize) -> (usize, usize) {
        let fork = self.contacts.len();
        if self.rate == 0 {
            (index / fork, index % fork)
        } else {
            (index % self.users, 0)
        }
    }

    fn caller_of(&self, index: usize) -> usize {
        (index * 7 + 1) % self.users
    }

    /// Sends the first request again with what the challenge asks for; false when that was refused too.
    fn prove(&mut self, index: usize, head: &Head<'_>) -> bool {
        if self.operations[index].has_proven {
            let is_repeated = head.value("CSeq").is_some_and(|v| v.starts_with("1 "));
            return is_repeated;
        }
        let (method, uri, user) = if self.workload == Workload::Register {
            ("REGISTER", format!("sip:{}", self.server), self.registered(index).0)
        } else {
            ("INVITE", format!("sip:u{}@{}", index % self.users, self.server), self.caller_of(index))
        };
        let Some(field) = digest::answer(head, method, &uri, &format!("u{user}")) else { return false };
        let sent = self.first_request(index, &field);
        self.send(&sent);
        let operation = &mut self.operations[index];
        operation.has_proven = true;
        operation.sent = sent; // the timer that would have repeated the first try repeats this one
        true
    }

    fn receive(&mut self, now: Duration, data: &[u8]) {
        let Some(head) = Head::new(data) else { return };
        let (Some(status), Some(call)) = (head.status(), head.value("Call-ID")) else { return };
        let Some(index) = call.split('-').next().and_then(|n| n.parse::<usize>().ok()) else { return };
        let Some(operation) = self.operations.get(index) else { return };
        match (operation.state, status) {
            (_, 100..=199) => {
                if operation.state == State::Inviting {
                    self.operations[index].sent.clear(); // answered: no more retransmission
                }
            }
            (State::Registering, 401) if self.prove(index, &head) => {}
            (State::Inviting, 407) => {
                self.refused(index, &head);
                if !self.prove(index, &head) {
                    self.end(index, false);
                }
            }
            (State::Registering | State::Leaving, 200) => self.end(index, true),
            (State::Inviting, 200) if self.workload == Workload::Call => self.answered(now, index, &head),
            (State::Inviting, 302) if self.workload == Workload::Redirect => {
                self.refused(index, &head);
                self.end(index, true);
            }
            (State::Inviting, 300..=699) => {
                self.refused(index, &head);
                self.end(index, false);
            }
            (State::Done | State::Talking, _) => {}
            _ => self.end(index, false),
        }
    }

    /// Acknowledges a 2xx along the recorded route.
    fn answered(&mut self, now: Duration, index: usize, head: &Head<'_>) {
        let mut routes: Vec<&str> = head.values("Record-Route").flat_map(|v| v.split(',')).collect();
        routes.reverse();
        let mut dialog = String::new();
        for route in routes {
            dialog.push_str("Route: ");
            dialog.push_str(route.trim());
            dialog.push_str("\r\n");
        }
        for name in ["From", "To", "Call-ID"] {
            dialog.push_str(&format!("{name}: {}\r\n", head.value(name).unwrap_or("")));
        }
        let target = in_brackets(head.value("Contact").unwrap_or("")).to_owned();
        let operation = &mut self.operations[index];
        operation.dialog = dialog;
        operation.target = target;
        operation.state = State::Talking;
        let cseq = if self.operations[index].has_proven { 2 } else { 1 };
        let ack = self.in_dialog(index, "ACK", cseq);
        self.send(&ack);
        self.hold.set(now, index);
    }

    /// Acknowledges a refusal, on the branch of the INVITE (RFC 3261 §17.1.1.3).
    fn refused(&mut self, index: usize, head: &Head<'_>) {
        let user = index % self.users;
        let text = format!(
            "ACK sip:u{user}@{} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.server,
            head.value("Via").unwrap_or(""),
            head.value("From").unwrap_or(""),
            head.value("To").unwrap_or(""),
            head.value("Call-ID").unwrap_or(""),
            head.value("CSeq").and_then(|v| v.split(' ').next()).unwrap_or("1")
        );
        self.send(&text);
    }

    fn hang_up(&mut self, now: Duration, index: usize) {
        let bye = self.in_dialog(index, "BYE", 3);
        self.send(&bye);
        let operation = &mut self.operations[index];
        operation.state = State::Leaving;
        operation.sent = bye;
        self.repeat.set(now, (index, State::Leaving));
    }

    fn in_dialog(&self, index: usize, method: &str, cseq: u32) -> String {
        let Operation { dialog, target, .. } = &self.operations[index];
        format!(
            "{method} {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{};branch=z9hG4bK{}-{index}-{method}\r\n{dialog}\
             CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.port, self.salt
        )
    }

    /// Half a second later: sends again what got no answer, gives up what is too old.
    fn again(&mut self, now: Duration, index: usize, state: State) {
        let operation = &self.operations[index];
        if operation.state != state {
            return;
        }
        if now.saturating_sub(operation.started) > PATIENCE {
            self.end(index, false);
            return;
        }
        if !operation.sent.is_empty() {
            let sent = operation.sent.clone();
            self.outcome.retransmissions += 1;
            self.send(&sent);
        }
        self.repeat.set(now, (index, state));
    }

    fn end(&mut self, index: usize, well: bool) {
        let operation = &mut self.operations[index];
        operation.state = State::Done;
        operation.sent = String::new();
        operation.dialog = String::new();
        operation.target = String::new();
        if well {
            self.outcome.succeeded += 1;
        } else {
            self.outcome.failed += 1;
        }
    }

    fn send(&self, text: &str) {
        // A full socket buffer is a lost packet, as it would be on a wire.
        let _lost = self.socket.send_to(text.as_bytes(), self.server);
    }
}
