//! Connections of clients: how many there may be, which are evicted, and how much they may buffer.
//! Serves the stream transports and the admin API, each with a table of its own.
//!
//! | file | step |
//! |---|---|
//! | `limits` | the bounds |
//! | `client_network` | the client that a connection is counted for |
//! | `slot` | the state of one connection |
//! | `table` | all connections of a server, and eviction |
//! | `buffers` | octets reserved of the buffers that all connections share |
//! | `permit` | a connection's access to its slot |
//!
//! The server accepts every new connection. If there are then too many, of one client or in total,
//! it evicts connections that have made no progress for the longest time: an attacker that opens
//! connections and leaves them idle loses those, and a client that connects and sends a query at
//! once is answered. An evicted connection counts against a second, hard limit until it has ended,
//! and above that limit no new connection is served. So the number of descriptors that connections
//! use is bounded, too.

mod buffers;
mod client_network;
mod limits;
mod permit;
mod slot;
mod table;
#[cfg(test)]
mod tests;

pub(super) use buffers::BufferReservation;
pub(super) use client_network::client_network;
pub use limits::ConnectionLimits;
pub(crate) use permit::ConnectionPermit;
pub(super) use permit::UnsentReply;
pub(crate) use table::ConnectionTable;
