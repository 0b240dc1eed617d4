//! Readiness: what `/readyz` says. Whoever decides by it whether this server gets queries needs one bit; whoever looks at it
//! wants to know what is wrong even while it serves.

use serde::{Deserialize, Serialize};

use super::api::held_text;
use crate::control::{ConfigurationStatus, Status};

/// As many held files are concerns of their own.
const LISTED: usize = 20;

/// What `/readyz` says. Only `is-ready` decides the HTTP status: newest files that are refused, a broken database or a checker
/// that doubts itself leave the server answering from what it has, and so leave it ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Readiness {
    /// Queries are answered from a snapshot.
    pub is_ready: bool,
    /// Of that snapshot.
    pub generation: u64,
    /// What an operator should look at, one line each; empty when all is well.
    pub concerns: Vec<String>,
    /// What became of the files; nothing while the controller is busy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub configuration: Option<ConfigurationStatus>,
}

impl Readiness {
    /// `status` is missing while the controller is busy or gone.
    pub(super) fn new(generation: u64, is_alive: bool, status: Option<&Status>) -> Self {
        let mut concerns = Vec::new();
        if !is_alive {
            concerns.push("a thread that answers queries has died".to_owned());
        }
        match status {
            Some(status) => concerns.extend(self::concerns(status)),
            None => concerns.push("the controller does not answer now; queries are answered all the same".to_owned()),
        }
        Self {
            is_ready: generation > 0 && is_alive,
            generation,
            concerns,
            configuration: status.map(|status| status.configuration.clone()),
        }
    }
}

fn concerns(status: &Status) -> Vec<String> {
    let mut concerns = Vec::new();
    if let Some(removal) = &status.configuration.removal {
        concerns.push(format!(
            "the files would remove too much, so that nothing is removed: {removal}; restore them, or accept it with \
             `portolan reload --accept-removal`"
        ));
    }
    let held = status.held.iter();
    concerns.extend(held.take(LISTED).map(|file| format!("held at its last good content: {}", held_text(file))));
    if let Some(more) = status.held.len().checked_sub(LISTED).filter(|more| *more > 0) {
        concerns.push(format!("{more} more files are held at their last good content; `portolan status` names them"));
    }
    let errors = status.configuration.errors.len();
    if errors > 0 && status.held.is_empty() {
        concerns.push(format!(
            "the newest files are refused, {errors} lines say why; the configuration before stays in use"
        ));
    }
    if let Some(why) = &status.unsaved {
        concerns.push(format!(
            "state is not saved, so that a restart would begin without it: {why}; make room on the disk, or let the server's \
             user write there"
        ));
    }
    for database in &status.databases {
        if let Some(error) = &database.error {
            concerns.push(format!("database {}: the newest file is not in use: {error}", database.path));
        }
    }
    if status.checker.doubt == "suspecting" {
        concerns
            .push("most targets failed at once: verdicts are frozen, the fault may be this server's own".to_owned());
    }
    if status.distressed_count > 0 {
        let (first, rest) = (&status.distressed[..status.distressed.len().min(3)], status.distressed_count);
        let names: Vec<String> = first.iter().map(|service| format!("{} {}", service.name, service.rtype)).collect();
        let more = rest.saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        concerns.push(format!("no usable member for {}{more}", names.join(", ")));
    }
    concerns
}
