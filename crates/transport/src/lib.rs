//! Sockets of Sipyard: TCP; UDP with batches, local addresses and the error queue; epoll, eventfd and the clock.
//!
//! A safe interface over Linux's system calls. This is the only crate that contains `unsafe`, each use with the reason
//! why it is sound. It knows nothing about SIP.

#![warn(clippy::undocumented_unsafe_blocks)]

mod address;
mod batch;
mod clock;
mod error_queue;
mod interfaces;
mod poll;
mod signals;
mod system;
mod tcp;
mod udp;

pub use batch::{Datagram, Outgoing, ReceiveBatch, SendBatch, BATCH};
pub use clock::{coarse_micros, monotonic_micros};
pub use error_queue::{ErrorBuffer, FailedDatagram};
pub use interfaces::{interface_addresses, interface_index};
pub use poll::{Epoll, EventFd, Interest, Ready, ReadyBuffer};
pub use signals::block_signals;
pub use tcp::{tcp_accept, tcp_connect, tcp_listen, TcpOptions};
pub use udp::{Multicast, UdpOptions, UdpSocket};
