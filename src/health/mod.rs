//! Health as values: what to probe, what came of it, what follows. Layer 1: pure; time comes in as
//! an argument, as the time since the process started.
//!
//! Outcomes go into the [`Ledger`], which counts them in a [`Tracker`] for each target, doubts
//! itself when most of the world seems to fall down together ([`Doubt`]), and gives out
//! [`HealthStatus`]s.

mod census;
mod check;
mod doubt;
mod health_status;
mod ledger;
mod monitor;
mod outcome;
mod pending;
mod previous_verdict;
pub mod saved;
mod tracker;
mod verdict;

pub use check::{
    Check, ClientCertificate, CombineCheck, DnsCheck, ExecCheck, ExpiryLimit, GrpcCheck, HttpCheck,
    HttpVersion, OnExpiry, ProxyProtocol, StatusRange, TcpCheck, TlsCheck, TlsOptions,
};
pub use doubt::{Doubt, DoubtChange};
pub use health_status::HealthStatus;
pub use ledger::{InitialVerdict, Ledger, LedgerTarget, OutcomeEffect, VerdictChange};
pub use monitor::Monitor;
pub use outcome::{CertificateExpiry, Failure, Outcome, ProbeNote};
pub use previous_verdict::PreviousVerdict;
pub use tracker::Tracker;
pub use verdict::Verdict;
