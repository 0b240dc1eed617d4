//! The DNS protocol as bytes: names, types, codes, requests, EDNS. Layer 1: no I/O, no clock, no
//! allocation on the query path.

#![warn(clippy::indexing_slicing)]

mod code;
mod cookie;
mod edns;
mod freshness;
mod lookup_name;
mod name;
mod reply;
mod request;
mod rtype;
mod subnet;

pub use code::{Opcode, Rcode};
pub use cookie::{CookieKey, CookieKeys};
pub use edns::{Cookie, Edns, EdnsEcho};
pub use freshness::freshness_secs;
pub use lookup_name::LookupName;
pub use name::{Name, NameError};
pub use reply::{BufferFull, ReplyCheckpoint, ReplyWriter, Section};
pub use request::{AdditionalSection, Flags, Header, Malformed, Question, Tsig};
pub use rtype::{Rtype, UnknownRtype};
pub use subnet::ClientSubnet;
