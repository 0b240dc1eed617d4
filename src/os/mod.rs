//! The operating system: what std, socket2 and tokio do not offer. The only module that may hold
//! `unsafe`; `tests/layering.rs` checks it.
//!
//! | file | what it asks of the kernel or the allocator |
//! |---|---|
//! | `datagrams` | receive and send UDP datagrams in batches: recvmmsg, sendmmsg, PKTINFO |
//! | `poll` | wait until a socket can be read or written |
//! | `socket_options` | socket options without a safe wrapper |
//! | `cores` | core affinity: which cores the shards and the control side run on |
//! | `scheduler` | a short time slice for the threads that answer queries |
//! | `preemption` | wake-ups that let a shard run while the control side computes |
//! | `descriptors` | the limit of open descriptors, and how it is divided |
//! | `memory` | how the allocator requests memory of the kernel and returns it |
//!
//! It knows threads, sockets, addresses and octets, and nothing of DNS.

mod cores;
mod datagrams;
mod descriptors;
mod memory;
mod poll;
mod preemption;
mod scheduler;
mod socket_options;

pub use cores::CoreAssignment;
#[cfg(test)]
pub(crate) use cores::allowed_cores;
pub(crate) use cores::pin_to_cores;
pub(crate) use datagrams::{Batch, ControlMessages, Datagram, MAX_DATAGRAMS, OutgoingReply};
pub use descriptors::{DescriptorBudget, raise_descriptor_limit};
pub use memory::{map_large_allocations, release_free_memory};
pub(crate) use poll::{PollSet, wait_writable};
pub use preemption::{PreemptionGuard, PreemptionTimer};
pub use scheduler::shorten_time_slice;
pub(crate) use socket_options::{choose_socket_by_core, dropped_datagrams, set_option};
