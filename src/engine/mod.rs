//! The engine: the only door in, for every transport. Layer 5: pure.

mod answer;

pub use answer::{Ignored, Query, Reply, Tally, Transport, answer};
