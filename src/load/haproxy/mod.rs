//! HAProxy: `show stat` in CSV, over HTTP or from its socket, and `show servers state` from the
//! socket.
//!
//! Columns are found by name, since releases add columns. A server's configured weight, which its
//! agent may reduce, is only in `show servers state`. Without that the highest weight that the
//! server has had is used instead (see [`PollHistory`]).
//!
//! [`PollHistory`]: crate::load::PollHistory

mod bounds;
mod columns;
mod csv;
mod parser;
mod proxy;
mod statistics;

#[cfg(test)]
mod tests;

pub(super) use statistics::Statistics;
