//! An answer that still names what an operator drained.

use serde::{Deserialize, Serialize};

/// A service whose answers name what was drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemainingAnswer {
    /// The name of the service.
    pub service: String,
    /// The record type: `A`, `AAAA` or `SRV`.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The reason, in a phrase.
    pub why: String,
}
