//! A range of one master file's text.

/// Where in one file's text something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextSpan {
    /// The first octet, counted from 0.
    pub(super) start: usize,
    /// How many octets, quotes included.
    pub(super) length: usize,
    /// The line, counted from 1.
    pub(super) line: u32,
}
