//! Transports: sockets in front of the engine. Layer 6.
//!
//! Each transport receives messages, hands them to [`crate::engine`] with the current snapshot, and
//! sends the replies; none builds a reply of its own.
//!
//! | file | step |
//! |---|---|
//! | `bind` | all sockets, before anything starts |
//! | `udp` | shards: threads that receive and send batches |
//! | `batch`, `syscall` | datagrams, and whatever else is asked of the kernel; the only `unsafe` |
//! | `cores`, `metronome` | which core is whose, and that a shard gets its turn on it |
//! | `listener` | listeners of TCP, TLS and HTTPS |
//! | `stream`, `https` | one connection: messages with a length, or HTTP |
//! | `descriptors` | how the limit of open descriptors is shared out |
//! | `connections` | how many connections there may be, and which end |
//! | `secure`, `handshakes` | TLS within bounds, and the turns of what handshakes compute |
//! | `certificate` | what TLS and HTTPS show |
//! | `http3` | HTTP/3 through hickory-server |
//! | `guard` | the call into the engine, safe against its panics |
//! | `counters` | what came in and how it ended; `totals` sums it up |

mod batch;
mod bind;
mod certificate;
mod connections;
mod cores;
mod counters;
mod descriptors;
mod guard;
mod handshakes;
mod http3;
mod https;
mod listener;
mod metronome;
mod secure;
mod stream;
mod syscall;
#[cfg(test)]
mod tests;
mod totals;
mod udp;

pub use bind::{BindError, Bound, bind, bind_datagrams, bind_streams};
pub use certificate::{
    Certificate, CertificateError, CertificateState, Certificates, RenewalFailure,
};
pub use connections::{Limits, client_of};
pub use cores::Cores;
pub use counters::{ConnectionEvent, Counters, Silence};
pub use descriptors::Descriptors;
pub use https::HttpsResource;
pub use listener::Streams;
pub use metronome::{Beat, Metronome};
pub use syscall::{
    give_memory_back, keep_large_blocks_apart, raise_descriptor_limit, wake_promptly,
};
pub use totals::{Totals, TransportTotals};
pub use udp::{Shards, StartError, serve as serve_udp};
