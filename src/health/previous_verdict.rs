//! What a previous run of the program left behind of one target.

use super::Verdict;

/// What a previous run of the program knew of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousVerdict {
    /// The same check came to this verdict.
    SameCheck(Verdict),
    /// Another check came to this verdict.
    OtherCheck(Verdict),
}
