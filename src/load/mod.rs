//! Load reports: what downstream balancers say of themselves, read from what they publish. Layer 1:
//! pure; octets come in as arguments, in pieces as they arrive.
//!
//! A [`LoadSource`] says where a balancer publishes and how to read it. Its [`ReportReader`] takes
//! the octets of one poll and makes a [`LoadReport`] of them; what has to be remembered from one
//! poll to the next is in a [`PollHistory`] that the poller keeps. One file per format: `haproxy`,
//! `stub_status`, `envoy`, `prometheus`, `json`, `orca`.
//!
//! Invariants: no octets make a reader panic; a reader holds a bounded part of a page; a report
//! that leaves this module has no absurd value in it; a [`ReportError`] never quotes what was read.

mod envoy;
mod haproxy;
mod json;
mod limits;
mod line_splitter;
mod orca;
mod poll_history;
mod prometheus;
mod reader;
mod report;
mod report_error;
mod report_mapping;
mod source;
mod stub_status;

#[cfg(test)]
mod tests;

pub use json::{JsonPointer, JsonPointerError};
pub use poll_history::PollHistory;
pub use prometheus::{Aggregate, Matcher, Selector, SelectorError};
pub use reader::{PageEnd, ReportReader};
pub use report::{LoadReport, ServerCount};
pub use report_error::{Quantity, ReportError};
pub use report_mapping::{ReportMapping, ShareUnit, TimeUnit};
pub use source::{HaproxySource, LoadKind, LoadPage, LoadSource, PageHeader, PageHost};
