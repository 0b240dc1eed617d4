//! The verdict of a previous run of the program.

use super::Verdict;

/// The verdict on a target in a previous run of the program, and the check that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousVerdict {
    /// The verdict of the same check as the present one.
    SameCheck(Verdict),
    /// The verdict of another check.
    OtherCheck(Verdict),
}
