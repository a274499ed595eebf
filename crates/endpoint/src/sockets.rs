//! Our sockets: which listener each datagram belongs to, and queues of what leaves.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use sipyard_transaction::Transmit;
use sipyard_transport::{Epoll, ErrorBuffer, Interest, Outgoing, SendBatch, UdpSocket, BATCH};

use crate::listen::Wildcard;

/// Datagrams that may wait while a socket's buffer is full; older ones are dropped, retransmissions will follow.
const MOST_WAITING: usize = 8192;

/// A socket and the listeners that it stands for: one, or one for each local address of a wildcard.
pub(crate) struct Socket {
    pub(crate) udp: UdpSocket,
    pub(crate) listeners: RwLock<Vec<(SocketAddr, u16)>>,
    pub(crate) wildcard: Option<Wildcard>,
}

impl Socket {
    /// The listener of a datagram by the local address it was sent to.
    pub(crate) fn listener_at(&self, local: IpAddr) -> Option<(SocketAddr, u16)> {
        self.listeners.read().iter().find(|(address, _)| address.ip() == local).copied()
    }

    /// The listener where nobody knows better.
    pub(crate) fn first_listener(&self) -> Option<(SocketAddr, u16)> {
        self.listeners.read().first().copied()
    }
}

/// How a listener sends.
#[derive(Clone, Copy)]
pub(crate) struct Exit {
    pub(crate) socket: usize,
    pub(crate) source: Option<IpAddr>,
}

struct Outlet {
    socket: Arc<Socket>,
    queue: VecDeque<Outgoing>,
    blocked: bool,
}

/// A datagram that did not leave.
pub(crate) struct Unsent {
    pub(crate) data: Bytes,
    pub(crate) remote: SocketAddr,
}

/// What one flush did.
#[derive(Default)]
pub(crate) struct Flushed {
    pub(crate) sent: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
    /// The system refused these.
    pub(crate) unsent: Vec<Unsent>,
    /// ICMP says that these never arrived.
    pub(crate) undelivered: Vec<Unsent>,
}

/// All that leaves.
#[derive(Default)]
pub(crate) struct Sender {
    outlets: Vec<Outlet>,
    exits: Vec<Exit>,
    batch: SendBatch,
    errors: ErrorBuffer,
    waiting: usize,
}

impl Sender {
    /// Add a socket; its index.
    pub(crate) fn add_socket(&mut self, socket: Arc<Socket>) -> usize {
        self.outlets.push(Outlet { socket, queue: VecDeque::new(), blocked: false });
        self.outlets.len() - 1
    }

    /// How the next listener sends.
    pub(crate) fn add_exit(&mut self, exit: Exit) {
        self.exits.push(exit);
    }

    /// Queue a message.
    pub(crate) fn push(&mut self, transmit: Transmit, flushed: &mut Flushed) {
        let exit = transmit.target.listener.and_then(|index| self.exits.get(usize::from(index)).copied());
        let outlet = exit.and_then(|exit| Some((exit.source, self.outlets.get_mut(exit.socket)?)));
        let Some((source, outlet)) = outlet else {
            flushed.unsent.push(Unsent { data: transmit.data, remote: transmit.target.remote });
            return;
        };
        if outlet.queue.len() >= MOST_WAITING {
            outlet.queue.pop_front();
            self.waiting -= 1;
            flushed.dropped += 1;
        }
        outlet.queue.push_back(Outgoing { data: transmit.data, remote: transmit.target.remote, source });
        self.waiting += 1;
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Send what waits. A socket whose buffer is full is watched for room.
    pub(crate) fn flush(&mut self, epoll: &Epoll, flushed: &mut Flushed) {
        let Sender { outlets, batch, errors, waiting, .. } = self;
        for (index, outlet) in outlets.iter_mut().enumerate() {
            if outlet.queue.is_empty() {
                continue;
            }
            let before = outlet.queue.len();
            let blocked = outlet.flush(batch, errors, flushed);
            *waiting -= before - outlet.queue.len();
            if blocked != outlet.blocked {
                let interest = Interest { readable: true, writable: blocked };
                let fd = outlet.socket.udp.as_fd().as_raw_fd();
                // Without the watch the next flush tries again anyway.
                if epoll.modify(fd, index as u64, interest).is_ok() {
                    outlet.blocked = blocked;
                }
            }
        }
    }
}

impl Outlet {
    /// True when the socket's buffer is full.
    fn flush(&mut self, batch: &mut SendBatch, errors: &mut ErrorBuffer, flushed: &mut Flushed) -> bool {
        let mut retried = false;
        while !self.queue.is_empty() {
            let (head, tail) = self.queue.as_slices();
            // Only a queue that has wrapped around has two parts; the next round takes the rest.
            let part = if head.is_empty() { tail } else { head };
            match batch.send(&self.socket.udp, part.get(..BATCH).unwrap_or(part)) {
                Ok(count) => {
                    retried = false;
                    for outgoing in self.queue.drain(..count) {
                        flushed.sent += 1;
                        flushed.bytes += outgoing.data.len() as u64;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => {
                    // Either an ICMP error of an earlier datagram stood in the way, which reading the queue takes away,
                    // or the system will not send this one at all.
                    let cleared = read_errors(&self.socket.udp, errors, flushed);
                    if retried || !cleared {
                        if let Some(refused) = self.queue.pop_front() {
                            flushed.unsent.push(Unsent { data: refused.data, remote: refused.remote });
                        }
                        retried = false;
                    } else {
                        retried = true;
                    }
                }
            }
        }
        false
    }
}

/// Read the error queue of a socket; whether there was anything.
pub(crate) fn read_errors(udp: &UdpSocket, errors: &mut ErrorBuffer, flushed: &mut Flushed) -> bool {
    let mut found = false;
    while let Ok(Some(failed)) = errors.read(udp) {
        found = true;
        flushed.undelivered.push(Unsent { data: Bytes::copy_from_slice(failed.data), remote: failed.remote });
    }
    found
}
