//! What a service answered: records, an alias to follow, or nothing.

/// The outcome of a draw from a service.
pub(in crate::engine) enum ServiceAnswer<'s> {
    /// The service has no record of the type; nothing was written.
    NoData,
    /// Records of the type were written.
    Records,
    /// A CNAME was written, whose target is at `target_offset` in the message.
    Alias { target_offset: u16, target: &'s [u8] },
}
