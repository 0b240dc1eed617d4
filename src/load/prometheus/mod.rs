//! The Prometheus text exposition format, and selectors of series in it.
//!
//! Lines of other metrics are skipped without being parsed: a page of 4 MiB costs a few
//! milliseconds and no memory.

mod labels;
mod selector;
mod series;

#[cfg(test)]
mod tests;

pub use selector::{Aggregate, Matcher, Selector, SelectorError};
pub(super) use series::{SeriesReader, report};
