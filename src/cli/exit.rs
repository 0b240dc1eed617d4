//! The exit codes of commands.

use std::process::ExitCode;

/// How a command ends, the worst last: over several servers, the worst of them decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CommandExit {
    /// Everything was done and is well.
    Success,
    /// Something is wrong that an operator must act on (`status --exit-code`).
    MustAct,
    /// A rule, or a limit of `plan`, forbids the change.
    Forbidden,
    /// The command could not be done, or not on every server.
    Failure,
}

impl CommandExit {
    /// The code of the process.
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Success => 0,
            Self::MustAct => 4,
            Self::Forbidden => 3,
            Self::Failure => 1,
        })
    }
}
