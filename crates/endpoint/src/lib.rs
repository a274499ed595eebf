//! The endpoint: parser, transactions and policy as one core without I/O, and the driver that gives it sockets and time.
//!
//! | file | knows |
//! | --- | --- |
//! | `core` `pipeline` `commands` `own_requests` | the core: in, out, what scripts may ask |
//! | `classify` `rate` `myself` `resolve` `tokens` | its parts |
//! | `draft` `lines` `values` `incoming` `event` | messages and events as scripts see them |
//! | `streams` `connections` `names` | connections: which there are, who may use which, when they end |
//! | `settings` `counters` | what can be set and what is counted |
//! | `online` `listen` `sockets` `route` | the driver on sockets, in a script's thread or one of its own |
//! | `channels` `channel` `tls` | its connections |
//! | `handle` | the core behind its lock |
//! | `offline` | the same core with time and datagrams handed in |

#![forbid(unsafe_code)]

mod channel;
mod channels;
mod classify;
mod commands;
mod connections;
mod core;
mod counters;
mod draft;
mod event;
mod handle;
mod http;
mod incoming;
mod lines;
mod listen;
mod myself;
mod names;
mod offline;
mod online;
mod own_requests;
mod peers;
mod pipeline;
mod rate;
mod resolve;
mod route;
mod settings;
mod sockets;
mod streams;
mod stun;
mod tls;
mod tokens;
mod values;
mod websocket;

pub use crate::core::{Core, Kept, Router, SharedDraft, TargetError};
pub use connections::ConnectionFacts;
pub use counters::Counters;
pub use draft::Draft;
pub use event::Event;
pub use handle::Handle;
pub use incoming::{Incoming, Received};
pub use lines::{is_one_line, whole_lines, LinesError};
pub use listen::ListenOptions;
pub use myself::Alias;
pub use offline::{OfflineAction, OfflineEndpoint};
pub use online::{Endpoint, ReadyDescriptor};
pub use own_requests::RequestError;
pub use resolve::{destination, numeric_host, Destination};
pub use settings::{protocol, Setting};
pub use sipyard_transport::Interest;
pub use streams::{CloseReason, Closed, Connect, StreamAction, StreamSetting, StreamSettings};
pub use tls::{TlsContext, TlsDomain, TlsFacts, TlsIdentity};
pub use values::values_by_name;
pub use websocket::Origins;
