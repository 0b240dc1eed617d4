//! The one error of reading a message.

/// The message breaks the format; FORMERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;
