//! Bounds that several readers share.

/// The longest line, in octets. A reader that works line by line holds no more of a page.
pub(super) const MAX_LINE_OCTETS: usize = 64 << 10;
