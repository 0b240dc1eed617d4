//! Health checks as values: monitors, outcomes, and the verdicts that follow from them. Layer 1:
//! pure; the time is an argument, counted from the start of the process.
//!
//! The [`Ledger`] records the outcomes of all probes, in a [`Tracker`] for each target. While most
//! targets fail at the same time it suspects its own network ([`Doubt`]) and freezes all verdicts.
//! Its result is the [`HealthStatus`] of each target.

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
