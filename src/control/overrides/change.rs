//! What a request did to the override of one subject.

use serde::{Deserialize, Serialize};

/// What happened to the override of a subject, for the report of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OverrideChange {
    /// The subject: `fra`, `web/a`.
    pub subject: String,
    /// `set`, `removed` or `unchanged`.
    pub change: String,
    /// The override that was set or removed, or why nothing changed, in words.
    pub text: String,
}
