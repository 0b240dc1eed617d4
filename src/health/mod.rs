//! Health as values: what to probe, what came of it, what follows. Layer 1: pure; time comes in as an argument.

mod monitor;
mod standing;

pub use monitor::{Check, HttpCheck, Monitor, StatusRange, TcpCheck};
pub use standing::{Standing, Verdict};
