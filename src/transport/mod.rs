//! Transports: the sockets in front of the engine. Layer 8.
//!
//! Each transport receives messages, passes them to [`crate::engine`] with the current snapshot,
//! and sends the replies; none builds a reply of its own.
//!
//! | file | step |
//! |---|---|
//! | `bind` | binds all sockets before anything starts |
//! | `udp` | shards: threads that receive, answer and send batches of datagrams |
//! | `listener` | the listeners of TCP, TLS and HTTPS |
//! | `stream`, `https` | one connection: messages with a length prefix, or HTTP |
//! | `connections` | bounds on connections and their buffers, and which connections are evicted |
//! | `tls`, `handshakes` | TLS within bounds, and the queue of handshake computations |
//! | `certificate` | the certificates of TLS and HTTPS, and their renewal |
//! | `http3` | HTTP/3 through hickory-server |
//! | `engine`, `panic_guard` | the call into the engine, after whose panic the server goes on |
//! | `counters` | counts of messages, replies and connections, and their sums |
//! | `clock`, `log_throttle` | the time of a query; one log line a second for each event |

mod bind;
mod certificate;
mod clock;
mod connections;
mod counters;
mod engine;
mod handshakes;
mod http3;
mod https;
mod listener;
mod log_throttle;
mod panic_guard;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod udp;

pub use bind::{BindError, BoundSockets, bind, bind_http3, bind_streams};
pub use certificate::{
    Certificate, CertificateError, CertificateRegistry, CertificateState, RenewalFailure,
};
pub use connections::ConnectionLimits;
pub(crate) use connections::{ConnectionPermit, ConnectionTable};
pub use counters::{ConnectionEvent, Counters, NoReplyReason, Totals, TransportTotals};
pub use https::HttpsResource;
pub use listener::StreamListeners;
pub use udp::{Shards, StartError, serve as serve_udp};

/// The parts of [`crate::os`] that the control side uses as well.
pub use crate::os::{CoreAssignment, PreemptionGuard, PreemptionTimer, release_free_memory};
