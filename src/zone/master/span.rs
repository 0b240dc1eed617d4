//! The location of a token in the text of one master file.

use std::ops::Range;

/// A range of octets in the text of one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextSpan {
    /// The first octet, counted from 0.
    pub(super) start: usize,
    /// The number of octets, quotes included.
    pub(super) length: usize,
    /// The line of the first octet, counted from 1.
    pub(super) line: u32,
}

impl TextSpan {
    /// The range of octets.
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.start + self.length
    }
}
