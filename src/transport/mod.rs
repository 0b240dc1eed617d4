//! Transports: sockets in front of the engine. Layer 6.
//!
//! Each transport receives messages, hands them to [`crate::engine`] with the current snapshot, and sends the replies;
//! none builds a reply of its own.
//!
//! | file | step |
//! |---|---|
//! | `bind` | all sockets, before anything starts |
//! | `udp` | shards: threads that receive and send batches |
//! | `batch`, `syscall` | datagrams, and whatever else is asked of the kernel; the only `unsafe` |
//! | `cores`, `metronome` | which core is whose, and that a shard gets its turn on it |
//! | `tcp`, `stream` | listeners of TCP and TLS; one connection |
//! | `connections` | how many there may be, and who goes |
//! | `certificate` | what TLS and HTTPS show |
//! | `hickory` | HTTPS through hickory-server |
//! | `guard` | the call into the engine, safe against its panics |
//! | `counters` | what came in and how it ended; `totals` sums it up |

mod batch;
mod bind;
mod certificate;
mod connections;
mod cores;
mod counters;
mod guard;
mod hickory;
mod metronome;
mod stream;
mod syscall;
mod tcp;
#[cfg(test)]
mod tests;
mod totals;
mod udp;

pub use bind::{BindError, Bound, bind, bind_streams};
pub use certificate::{Certificate, CertificateError};
pub use connections::Limits;
pub use cores::Cores;
pub use counters::{ConnectionEvent, Counters, Silence};
pub use hickory::{Https, serve_https};
pub use metronome::{Beat, Metronome};
pub use syscall::{give_memory_back, keep_large_blocks_apart, raise_descriptor_limit, wake_promptly};
pub use tcp::Streams;
pub use totals::{Totals, TransportTotals};
pub use udp::{Shards, StartError, serve as serve_udp};
