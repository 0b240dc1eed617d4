//! The safety rules in the status document.

use serde::{Deserialize, Serialize};

/// The safety rules, and what they hold at present.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct SafetyStatus {
    /// Whether nothing but health may change answers: `freeze`.
    pub is_frozen: bool,
    /// The names of the active datacenters, while a rule counts them.
    pub active_datacenters: Vec<String>,
    /// The rules that the answers in force break: an operator went around them, or the rules came
    /// later.
    pub broken: Vec<RuleStatus>,
    /// The datacenters that health checks take out, and that a rule keeps in the answers.
    pub held_datacenters: Vec<String>,
    /// The changes by the clock that a rule holds: overrides and states that would begin or end.
    pub held_timers: Vec<RuleStatus>,
    /// The weights of load feedback that a rule holds.
    pub held_feedback: Vec<RuleStatus>,
    /// The share of all demand that has moved within `within-secs`, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_percent: Option<f64>,
    /// The share that may move within `within-secs`, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_moved_percent: Option<f64>,
    /// The time over which movements add up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_secs: Option<u64>,
    /// The number of changes that each rule has refused since the start, by the name of the rule.
    pub refusals: Vec<(String, u64)>,
}

impl SafetyStatus {
    /// What an operator should look at, one sentence each.
    pub fn concerns(&self) -> Vec<String> {
        let held = self.held_datacenters.iter().map(|name| {
            format!(
                "{name} is down by its health checks, and a safety rule holds it in the answers: its clients may get no reply \
                 (help: repair it; or take it out with `portolan drain {name}`, and the `--override` that its refusal names)"
            )
        });
        let broken = self.broken.iter().map(|RuleStatus { rule, text }| {
            format!(
                "safety rule {rule} is broken: {text} (help: put a datacenter back into service)"
            )
        });
        let timers = self.held_timers.iter().map(|RuleStatus { rule, text }| {
            format!(
                "a scheduled change (the start or end of an override or state) is held by safety rule {rule}: {text} (help: it is retried at least once a minute; to stop it, end the override that `portolan status overrides` lists, or edit the `until` of the datacenter)"
            )
        });
        let feedback = self.held_feedback.iter().map(|RuleStatus { rule, text }| {
            format!("load feedback is held by safety rule {rule}: {text} (consequence: the shares of `load` pools no longer follow the load reports; it is retried every 5 s)")
        });
        held.chain(broken).chain(timers).chain(feedback).collect()
    }
}

/// A rule, and why it matters now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RuleStatus {
    /// The name of the rule.
    pub rule: String,
    /// What is broken or held, as a sentence without its full stop.
    pub text: String,
}
