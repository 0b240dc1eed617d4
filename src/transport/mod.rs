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
//! | `cores`, `preemption` | which core is whose, and that a shard gets its turn on it |
//! | `listener` | listeners of TCP, TLS and HTTPS |
//! | `stream`, `https` | one connection: messages with a length, or HTTP |
//! | `descriptors` | how the limit of open descriptors is shared out |
//! | `connections` | how many connections there may be, and which end |
//! | `tls`, `handshakes` | TLS within bounds, and the turns of what handshakes compute |
//! | `certificate` | what TLS and HTTPS show |
//! | `http3` | HTTP/3 through hickory-server |
//! | `panic_guard` | the call into the engine, safe against its panics |
//! | `counters` | what came in and how it ended; `totals` sums it up |

mod batch;
mod bind;
mod certificate;
mod connections;
mod cores;
mod counters;
mod descriptors;
mod handshakes;
mod http3;
mod https;
mod listener;
mod panic_guard;
mod preemption;
mod stream;
mod syscall;
#[cfg(test)]
mod tests;
mod tls;
mod totals;
mod udp;

pub use bind::{BindError, BoundSockets, bind, bind_http3, bind_streams};
pub use certificate::{
    Certificate, CertificateError, CertificateRegistry, CertificateState, RenewalFailure,
};
pub use connections::{ConnectionLimits, client_network};
pub use cores::CoreAssignment;
pub use counters::{ConnectionEvent, Counters, NoReplyReason};
pub use descriptors::DescriptorBudget;
pub use https::HttpsResource;
pub use listener::StreamListeners;
pub use preemption::{PreemptionGuard, PreemptionTimer};
pub use syscall::{
    map_large_allocations, raise_descriptor_limit, release_free_memory, shorten_time_slice,
};
pub use totals::{Totals, TransportTotals};
pub use udp::{Shards, StartError, serve as serve_udp};
