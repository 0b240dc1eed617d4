//! Load reports: what downstream balancers say of themselves, read from what they publish. Layer 1:
//! pure; octets come in as arguments, in pieces as they arrive.
//!
//! A [`LoadSource`] says where a balancer publishes and how to read it. Its [`Reader`] takes the
//! octets of one poll and makes a [`LoadReport`] of them; what has to be remembered from one poll
//! to the next is in a [`Memory`] that the poller keeps. One file per format: `haproxy`,
//! `stub_status`, `envoy`, `prometheus`, `json`, `orca`.
//!
//! Invariants: no octets make a reader panic; a reader holds a bounded part of a page; a report
//! that leaves this module has no absurd value in it; a [`Fault`] never quotes what was read.

mod envoy;
mod fault;
mod haproxy;
mod json;
mod lines;
mod memory;
mod orca;
mod prometheus;
mod reader;
mod report;
mod source;
mod stub_status;
mod wanted;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Quantity};
pub use json::{BadPointer, Pointer};
pub use memory::Memory;
pub use prometheus::{Aggregate, BadSelector, Matcher, Selector};
pub use reader::{End, Reader};
pub use report::{LoadReport, Servers};
pub use source::{Haproxy, Header, Host, LoadKind, LoadSource, Page};
pub use wanted::{ShareUnit, TimeUnit, Wanted};
