//! The DNS wire format: names, types, codes, requests, replies and EDNS. Layer 1: no I/O, no clock,
//! no allocation on the query path.

#![warn(clippy::indexing_slicing)]

mod code;
mod cookie;
mod edns;
mod freshness;
mod header;
mod lookup_name;
mod malformed;
mod name;
mod reply;
mod request;
mod rtype;
mod subnet;
mod wire;

pub use code::{Opcode, Rcode};
pub use cookie::{CookieKey, CookieKeys};
pub use edns::{Cookie, Edns, EdnsEcho};
pub use freshness::freshness_secs;
pub use header::{Flags, Header};
pub use lookup_name::LookupName;
pub use malformed::Malformed;
pub use name::{Name, NameError};
pub use reply::{BufferFull, ReplyCheckpoint, ReplyWriter, Section};
pub use request::{AdditionalSection, Question, Tsig};
pub use rtype::{Rtype, UnknownRtype};
pub use subnet::ClientSubnet;
