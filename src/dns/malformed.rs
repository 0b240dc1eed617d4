//! The only error of reading a message.

/// The message violates the wire format; the reply to it is FORMERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;
