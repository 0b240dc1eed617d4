//! HAProxy: `show stat` in CSV, over HTTP or its socket, and from the socket also `show servers
//! state`.
//!
//! Columns are found by their names: releases add some. What a server's weight would be without its
//! agent stands only in `show servers state`; without that the highest weight that the server had
//! has to do (see [`PollHistory`]).

mod bounds;
mod columns;
mod csv;
mod parser;
mod proxy;
mod statistics;

#[cfg(test)]
mod tests;

pub(super) use statistics::Statistics;
