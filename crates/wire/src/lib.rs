//! SIP messages as bytes: RFC 3261 §7, §19, §20 and §25.
//!
//! A [`Message`] is the received bytes with an index of its header fields, found in one pass; a value is parsed when
//! somebody asks. What nobody edits leaves as it came: bytes, order and spelling survive. [`Edits`] are SER's lumps:
//! splices over the original bytes that take effect when the message is written. No I/O, no clock, no unsafe code, and
//! nothing here takes more than linear time.

#![forbid(unsafe_code)]

pub mod build;
mod check;
mod edits;
mod error;
mod essentials;
pub mod framer;
mod header_name;
mod index;
pub mod lexer;
mod message;
mod method;
mod name_addr;
mod params;
mod uri;
mod values;
mod via;

pub use bytes::Bytes;
pub use edits::{Edits, Prologue, ViaMark};
pub use error::{ErrorKind, Malformed, ParseError};
pub use header_name::HeaderName;
pub use message::{CSeq, Contacts, Field, Limits, Message};
pub use method::Method;
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use uri::{OwnedUri, Uri};
pub use values::{Value, Values};
pub use via::Via;
