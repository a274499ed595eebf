//! A small SIP load generator: caller and callee in one thread, a tenth of the CPU that sipp needs.
//!
//! `make bench` uses it where sipp itself would be the limit: to find the highest rate without a failure
//! and to register up to a million users. Traffic goes to loopback addresses only.
//!
//!     sipyard-load register 127.0.0.1:5070 --users 1000 --contacts 6000
//!     sipyard-load call 127.0.0.1:5070 --users 1000 --contacts 6000 --rate 2000 --seconds 5
//!
//! Prints one line of JSON.

mod callee;
mod caller;
mod digest;
mod message;
mod timers;

use caller::{Caller, Outcome};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What one operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// REGISTER, 200.
    Register,
    /// INVITE, 302, ACK.
    Redirect,
    /// INVITE, 180, 200, ACK, BYE, 200.
    Call,
}

/// The command line.
pub struct Options {
    workload: Workload,
    server: SocketAddr,
    users: usize,
    contacts: Vec<u16>,
    rate: u64,
    seconds: f64,
}

fn main() -> ExitCode {
    match options(&std::env::args().skip(1).collect::<Vec<_>>()).and_then(|o| run(&o)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("sipyard-load: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Reads `WORKLOAD SERVER [--name value]...`.
fn options(words: &[String]) -> Result<Options, String> {
    let workload = match words.first().map(String::as_str) {
        Some("register") => Workload::Register,
        Some("redirect") => Workload::Redirect,
        Some("call") => Workload::Call,
        _ => return Err("first argument: register, redirect or call".into()),
    };
    let server: SocketAddr =
        words.get(1).and_then(|w| w.parse().ok()).ok_or("second argument: address:port of the server")?;
    if !server.ip().is_loopback() {
        return Err("the server must be on a loopback address".into());
    }
    let mut found = Options { workload, server, users: 1000, contacts: vec![6000], rate: 0, seconds: 5.0 };
    for pair in words[2..].chunks(2) {
        let value = pair.get(1).ok_or("an option without its value")?;
        let bad = |_| format!("{} {value}: not a number", pair[0]);
        match pair[0].as_str() {
            "--users" => found.users = value.parse().map_err(bad)?,
            "--rate" => found.rate = value.parse().map_err(bad)?,
            "--seconds" => found.seconds = value.parse::<u32>().map_err(bad)?.into(),
            "--contacts" => {
                found.contacts = value.split(',').map(|p| p.parse().map_err(bad)).collect::<Result<_, _>>()?;
            }
            other => return Err(format!("{other}: no such option")),
        }
    }
    Ok(found)
}

/// A non-blocking socket with as large a buffer as the kernel gives.
fn socket(port: u16) -> Result<UdpSocket, String> {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_send_buffer_size(8 << 20)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        Ok::<UdpSocket, std::io::Error>(socket.into())
    };
    open().map_err(|e| format!("port {port}: {e}"))
}

/// Runs the load to its end: every operation answered, or given up after ten seconds.
fn run(options: &Options) -> Result<String, String> {
    let calls = options.workload == Workload::Call;
    let mut ports = options.contacts.clone();
    ports.sort_unstable();
    ports.dedup();
    let mut callees = Vec::new();
    if calls {
        for port in ports {
            callees.push(callee::Callee::new(socket(port)?, options.server, port));
        }
    }
    let own = socket(0)?;
    let port = own.local_addr().map_err(|e| e.to_string())?.port();
    let mut caller = Caller::new(own, port, options);
    let start = Instant::now();
    let last = loop {
        let now = start.elapsed();
        let mut worked = caller.work(now);
        for callee in &mut callees {
            worked |= callee.work(now);
        }
        if caller.finished() {
            break now;
        }
        if !worked {
            // Short enough to keep the pace, long enough not to burn what the server could use.
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    let repeated: u64 = callees.iter().map(|c| c.retransmissions).sum();
    Ok(report(&caller.outcome, repeated, last))
}

fn report(outcome: &Outcome, repeated: u64, elapsed: Duration) -> String {
    format!(
        concat!(
            "{{\"started\": {}, \"succeeded\": {}, \"failed\": {}, \"retransmissions\": {}, ",
            "\"late\": {}, \"seconds\": {:.3}}}"
        ),
        outcome.started,
        outcome.succeeded,
        outcome.failed,
        outcome.retransmissions + repeated,
        outcome.late,
        elapsed.as_secs_f64()
    )
}
