//! The reasons why a poll gives no load report.

use std::fmt;

use crate::{
    health::Failure,
    load::ReportError,
    probe::{no_result::NoResult, result::ProbeError},
};

/// Why a poll gave no load report. Operators read the text in `status` and in the log; it quotes
/// nothing of what was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollFailure {
    /// The balancer did not answer, or its reply is invalid.
    Balancer(Failure),
    /// The balancer answered, and its page is no report or has impossible values.
    Report(ReportError),
    /// The source cannot work, whatever the balancer does: its authorities cannot be read, or its
    /// socket does not exist.
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
    fn from(error: ReportError) -> Self {
        Self::Report(error)
    }
}

impl fmt::Display for PollFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer(failure) => failure.fmt(f),
            Self::Report(error) => error.fmt(f),
            Self::Source(why) => write!(f, "the load source cannot work: {why}"),
        }
    }
}

impl std::error::Error for PollFailure {}

/// The error of one poll.
#[derive(Debug)]
pub(super) enum PollError {
    /// The balancer or the source failed.
    Failure(PollFailure),
    /// This process lacks what a poll needs, so the poll has no result.
    Local(NoResult, std::io::Error),
}

impl<F: Into<PollFailure>> From<F> for PollError {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

impl From<ProbeError> for PollError {
    fn from(error: ProbeError) -> Self {
        poll_error(error)
    }
}

pub(super) fn poll_error(error: ProbeError) -> PollError {
    match error {
        ProbeError::Target(failure) => failure.into(),
        ProbeError::Local(reason, error) => PollError::Local(reason, error),
    }
}
