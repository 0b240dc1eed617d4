//! An override in the status document and in the report of a request.

use serde::{Deserialize, Serialize};

use crate::control::remaining_answer::RemainingAnswer;

/// An override, and whether answers follow it. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OverrideStatus {
    /// The subject: `fra`, `web/a`, `service:www.example.com/a`.
    pub subject: String,
    /// The kind of subject: `datacenter`, `region`, `pool`, `member` or `service-member`.
    pub subject_kind: String,
    /// What the override decides on: `state`, `force` or `weight`.
    pub kind: String,
    /// What it sets: `active`, `standby`, `draining`, `disabled`, `returning`, `forced up`, `forced
    /// down` or `weight 5`.
    pub value: String,
    /// The user who set it, as the client named them.
    pub author: String,
    /// The address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The reason that the operator gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was set.
    pub since: i64,
    /// When it starts, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<i64>,
    /// When it ends; what the files say is then in force again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<i64>,
    /// The time over which clients leave or return, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_secs: Option<u64>,
    /// The share of its clients that the subject keeps while its drain is paused, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_share: Option<f64>,
    /// Whether the configuration defines the subject. If not, the override waits until it does.
    pub is_defined: bool,
    /// Whether it has started, and the snapshot in force was made with it.
    pub in_force: bool,
    /// The longest TTL of the services that the subject answers, in seconds: caches keep answers
    /// that name it for so long after it is effective.
    pub longest_ttl: u32,
    /// Whether it has its whole effect: for a drain, `disabled` and `forced down`, no answer of the
    /// snapshot in force names the subject.
    pub effective: bool,
    /// The names and types that are still answered from the subject, and why.
    pub still_answered: Vec<RemainingAnswer>,
    /// The number of all such names and types.
    pub still_answered_count: usize,
}
