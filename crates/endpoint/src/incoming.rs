//! A message with where it came from, as scripts see it.

use std::net::SocketAddr;

use sipyard_transaction::{Flow, Micros, Request};
use sipyard_wire::Message;

/// What arrived, in the form that the transaction layer wants back.
#[derive(Clone, Debug)]
pub enum Received {
    /// A request, with its transaction's key.
    Request(Request),
    /// A reply.
    Reply(Message, Flow),
    /// An HTTP request, made to look like a message.
    Http(Message, Flow),
    /// A message that did not come from the network.
    Local(Message),
}

/// A message for scripts. Cloning shares its bytes.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Counts up in the order of reception.
    pub id: u64,
    /// When it came, on the core's clock.
    pub at: Micros,
    /// The local address that it was sent to.
    pub destination: Option<SocketAddr>,
    /// The message.
    pub received: Received,
}

impl Incoming {
    /// A message that did not come from the network.
    pub fn local(message: Message) -> Incoming {
        Incoming { id: 0, at: 0, destination: None, received: Received::Local(message) }
    }

    /// The message.
    #[inline]
    pub fn message(&self) -> &Message {
        match &self.received {
            Received::Request(request) => &request.message,
            Received::Reply(message, _) | Received::Http(message, _) | Received::Local(message) => message,
        }
    }

    /// Where it came from.
    #[inline]
    pub fn flow(&self) -> Option<&Flow> {
        match &self.received {
            Received::Request(request) => Some(&request.flow),
            Received::Reply(_, flow) | Received::Http(_, flow) => Some(flow),
            Received::Local(_) => None,
        }
    }

    /// The request, if it is one that was received.
    #[inline]
    pub fn request(&self) -> Option<&Request> {
        match &self.received {
            Received::Request(request) => Some(request),
            Received::Reply(..) | Received::Http(..) | Received::Local(_) => None,
        }
    }
}
