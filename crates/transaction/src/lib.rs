//! SIP transactions: the four machines of RFC 3261 §17 with RFC 6026, and the proxy's response context of §16.7 in SER's
//! ways.
//!
//! Sans-I/O: [`Layer`] takes messages, commands and the time, and gives messages to send and events. It reads no clock
//! and opens no socket.
//!
//! | file | knows |
//! | --- | --- |
//! | `invite_client` `invite_server` `non_invite_client` `non_invite_server` | the machines: pure functions |
//! | `client` `server` `cancel` | carrying out what a machine asks for |
//! | `relay` `pick` `fork` | the response context: what goes upstream, what is tried next |
//! | `key` `branch_id` `loops` `table` | who belongs to whom |
//! | `outgoing` `upstream` `reply_path` `acknowledge` | messages as they leave |
//! | `layer` `commands` `stateless` `local` `facts` | the way in and out |

#![forbid(unsafe_code)]

mod acknowledge;
pub mod address;
mod blacklist;
mod branch_id;
mod breadth;
mod cancel;
mod client;
mod commands;
mod config;
mod event;
mod facts;
mod fork;
pub mod invite_client;
pub mod invite_server;
mod io;
mod key;
mod layer;
mod local;
mod loops;
pub mod machine;
pub mod non_invite_client;
pub mod non_invite_server;
mod outgoing;
mod pending;
mod pick;
mod relay;
mod reply_path;
mod server;
mod siphash;
mod stateless;
mod table;
mod timers;
mod transaction;
mod upstream;

pub use address::{is_sane, Flow, Listener, Protocol, Target};
pub use blacklist::{Blacklist, BlacklistConfig, ENTRY as BLACKLIST_ENTRY};
pub use branch_id::is_of_a_transaction;
pub use config::{Config, Generation, Micros, Timers};
pub use event::{
    Advertised, Arm, Branch, CancelOutcome, ClientId, Counters, Counts, Disposition, Event, NewTransaction, Outgoing,
    RecordRoute, RelayError, Reply, ReplyError, ReplyToken, Request, ResponseDisposition, Transmit, TxId,
};
pub use facts::{BranchFacts, Facts};
pub use key::Key;
pub use layer::Layer;
pub use reply_path::numeric_host;
pub use stateless::{ForwardError, StrayReply};
