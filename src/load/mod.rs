//! Load reports: the load of downstream balancers, read from the pages that they publish. Layer 1:
//! pure; the octets of a page are arguments, in pieces as they arrive.
//!
//! A [`LoadSource`] describes a balancer's page and its format. Its [`ReportReader`] turns the
//! octets of one poll into a [`LoadReport`]. State that lasts from one poll to the next is in a
//! [`PollHistory`], which the poller keeps. There is one module per format: `haproxy`,
//! `stub_status`, `envoy`, `prometheus`, `json` and `orca`.
//!
//! Invariants:
//! - No octets make a reader panic.
//! - A reader holds a bounded amount of a page.
//! - A report that leaves this module contains no impossible value.
//! - A [`ReportError`] never quotes what was received.

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
