//! Health as values: what to probe, what came of it, what follows. Layer 1: pure; time comes in as
//! an argument, as the time since the process started.
//!
//! Outcomes go into the [`Ledger`], which counts them in a [`Tracker`] for each target, doubts
//! itself when most of the world seems to fall down together ([`Doubt`]), and gives out
//! [`Standing`]s.

mod check;
mod doubt;
mod ledger;
mod monitor;
mod outcome;
mod pending;
pub mod saved;
mod standing;
mod tracker;

pub use check::{
    Check, ClientCertificate, CombineCheck, DnsCheck, ExecCheck, Expiry, GrpcCheck, HttpCheck,
    HttpVersion, OnExpiry, ProxyProtocol, StatusRange, TcpCheck, TlsCheck, TlsTerms,
};
pub use doubt::{Doubt, Doubts};
pub use ledger::{Effect, Ledger, Memory, Start, Target, Turn};
pub use monitor::Monitor;
pub use outcome::{Expiring, Failure, Note, Outcome};
pub use standing::{Standing, Verdict};
pub use tracker::Tracker;
