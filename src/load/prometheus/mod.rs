//! The Prometheus text exposition format, and selectors of series in it.
//!
//! Lines whose metric nobody wants are passed by without being looked into: a page of 4 MiB costs a
//! few milliseconds and no memory.

mod labels;
mod selector;
mod series;

#[cfg(test)]
mod tests;

pub use selector::{Aggregate, Matcher, Selector, SelectorError};
pub(super) use series::{SeriesReader, report};
