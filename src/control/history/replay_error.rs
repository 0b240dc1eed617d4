//! Why an answer of the past cannot be repeated.

use std::fmt;

use super::configurations::ConfigurationGone;
use crate::{control::journal::time_text, engine::NameNotServed};

/// Why an answer of the past cannot be repeated.
#[derive(Debug)]
pub enum ReplayError {
    /// Nothing was recorded yet.
    NoHistory,
    /// The moment is before the first record, which is of this time in milliseconds since 1970.
    BeforeHistory(i64),
    /// The moment is in the future.
    InFuture,
    /// Records after this time, in milliseconds since 1970, were lost.
    NotRecorded(i64),
    /// The files of the configuration of then cannot be read.
    Gone(ConfigurationGone),
    /// The files of the configuration of then have errors for this version of the program.
    Unusable(String),
    /// The conditions of then are not those of the configuration of then.
    Inconsistent,
    /// The name was in no zone.
    NotServed(NameNotServed),
    /// The server is stopping.
    Stopped,
    /// The thread of the replay panicked; the log has the details.
    Panicked,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHistory => f.write_str("no history is recorded yet"),
            Self::BeforeHistory(begins) => {
                write!(f, "history begins at {}: ask for that time or a later one", time_text(*begins))
            }
            Self::InFuture => f.write_str("the time is in the future: ask for a time until now"),
            Self::NotRecorded(after) => write!(
                f,
                "the time is not recorded: records after {} were lost, because the state directory could not be written to",
                time_text(*after)
            ),
            Self::Gone(error) => {
                write!(f, "the configuration of that time cannot be read: {error}")
            }
            Self::Unusable(error) => write!(
                f,
                "the configuration of that time has an error for this version of portolan: {error}"
            ),
            Self::Inconsistent => {
                f.write_str("the conditions of that time name what its configuration does not have; report this as a bug")
            }
            Self::NotServed(error) => write!(f, "at that time, {error}"),
            Self::Stopped => f.write_str("the server is stopping"),
            Self::Panicked => f.write_str(
                "an internal error ended the replay; the log of the server has the details",
            ),
        }
    }
}

impl std::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Gone(error) => Some(error),
            Self::NotServed(error) => Some(error),
            _ => None,
        }
    }
}
