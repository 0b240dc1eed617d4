//! What a service answered: records, an alias to follow, or nothing.

/// What a service gave.
pub(in crate::engine) enum ServiceAnswer<'s> {
    /// No record of the type: NODATA.
    NoData,
    /// Records of the type.
    Records,
    /// A CNAME, whose target the message has at `target_at`.
    Alias { target_at: u16, target: &'s [u8] },
}
