//! Which local address the system sends from: for a wildcard listener on a host with several.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use hashbrown::HashMap;
use sipyard_transaction::Micros;
use sipyard_transport::monotonic_micros;

/// Answers are kept this long: routes change, but not from one call to the next.
const FRESH: Micros = 10_000_000;
const MOST: usize = 4096;

/// Answers of the system, remembered.
#[derive(Default)]
pub(crate) struct Routes {
    known: HashMap<IpAddr, Option<IpAddr>>,
    since: Micros,
}

impl Routes {
    /// The local address for datagrams to `remote`; None when there is no route.
    pub(crate) fn source_for(&mut self, remote: IpAddr) -> Option<IpAddr> {
        let now = monotonic_micros();
        if self.known.len() >= MOST || now.saturating_sub(self.since) > FRESH {
            self.known.clear();
            self.since = now;
        }
        *self.known.entry(remote).or_insert_with(|| ask(remote))
    }
}

/// Connecting a UDP socket sends nothing; it only makes the system choose.
fn ask(remote: IpAddr) -> Option<IpAddr> {
    let any = if remote.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(remote, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        let mut routes = Routes::default();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(routes.source_for(loopback), Some(loopback));
        assert_eq!(routes.source_for("127.9.9.9".parse().unwrap()).map(|ip| ip.is_loopback()), Some(true));
    }
}
