//! Why a poll brought no report.

use std::fmt;

use crate::{health::Failure, load::ReportError};

/// Why a poll brought no report. The text is what an operator reads in `status` and in the log;
/// what was received is never quoted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollFailure {
    /// The balancer did not answer as it should.
    Balancer(Failure),
    /// It answered, and what it said is no report, or an absurd one.
    Report(ReportError),
    /// The source itself cannot work, whatever the balancer: its authorities cannot be read, its
    /// socket is not there.
    Source(Box<str>),
}

impl From<Failure> for PollFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::MonitorUnusable(why) => Self::Source(why),
            failure @ Failure::NoSystemAuthorities => Self::Source(failure.to_string().into()),
            failure => Self::Balancer(failure),
        }
    }
}

impl From<ReportError> for PollFailure {
    fn from(fault: ReportError) -> Self {
        Self::Report(fault)
    }
}

impl fmt::Display for PollFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer(failure) => failure.fmt(f),
            Self::Report(fault) => fault.fmt(f),
            Self::Source(why) => write!(f, "the load source cannot work: {why}"),
        }
    }
}

impl std::error::Error for PollFailure {}
