//! Who asks for a change.

/// The operator who asks, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OverrideAuthor {
    /// The user that the client names.
    pub user: Option<String>,
    /// The address that the request came from.
    pub peer: Option<String>,
}
