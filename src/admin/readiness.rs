//! Readiness: the document of `/readyz`. A load balancer needs one bit of it, to decide whether
//! this server gets queries; an operator needs to know what is wrong even while the server answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{context::AdminContext, held_files::describe_held_files};
use crate::{
    control::{Concern, ConfigurationStatus, MonitorFault, Status, failing_loads},
    listing,
};

/// The maximum number of concerns about held files; files that are held for the same reason share
/// one concern.
const MAX_LISTED_FILES: usize = 20;

/// Shown by `/healthz` and `/readyz` while the server stops because of the failure.
pub(super) const THREAD_FAILED: &str = "a UDP shard, or a listener of TCP, TLS or HTTPS, has failed: \
    its queries get no answer, and the server stops; let the service manager restart it, and look in \
    the log for the failure";
/// The maximum number of concerns about requirements that do not hold.
const MAX_LISTED_REQUIREMENTS: usize = 20;

/// The document of `/readyz`. Only `is-ready` decides the HTTP status. With refused files, a broken
/// database or frozen health status, the server still answers from what it has, and so is ready. A
/// server whose health checks give no result for more than half of its targets is not ready: it
/// cannot detect that a datacenter is down, while another server may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Readiness {
    /// Whether queries are answered from a snapshot whose health status is current.
    pub is_ready: bool,
    /// The generation of that snapshot.
    pub generation: u64,
    /// What an operator should look at, one line each; empty when all is well.
    pub concerns: Vec<String>,
    /// The status of the configuration files; absent if the controller did not answer in time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub configuration: Option<ConfigurationStatus>,
}

impl Readiness {
    /// `status` is `None` if the controller did not answer in time.
    pub(super) fn new(context: &AdminContext, generation: u64, status: Option<&Status>) -> Self {
        let (is_alive, is_listening) = ((context.is_alive)(), (context.is_listening)());
        let concerns = concerns(context, status);
        Self {
            is_ready: generation > 0
                && is_alive
                && is_listening
                && !context.controller.unchecked().is_mostly_unchecked(),
            generation,
            concerns: concerns.into_iter().map(|concern| concern.text).collect(),
            configuration: status.map(|status| status.configuration.clone()),
        }
    }
}

/// Everything that an operator should look at, the most serious first.
pub(super) fn concerns(context: &AdminContext, status: Option<&Status>) -> Vec<Concern> {
    let mut concerns = Vec::new();
    if !(context.is_listening)() {
        concerns.push(Concern { text: startup_concern(status), is_grave: true });
    }
    if !(context.is_alive)() {
        concerns.push(Concern { text: THREAD_FAILED.to_owned(), is_grave: true });
    }
    if let Some(text) = context.controller.unchecked().targets_concern() {
        concerns.push(Concern { text, is_grave: true });
    }
    match status {
        Some(status) => concerns.extend(status_concerns(status)),
        None => {
            let text = "the controller does not respond; queries are still answered".to_owned();
            concerns.push(Concern { text, is_grave: false });
        }
    }
    concerns.sort_by_key(|concern| !concern.is_grave);
    concerns
}

/// The concern that DNS queries are not answered before the first round of health checks is
/// complete.
fn startup_concern(status: Option<&Status>) -> String {
    let progress =
        status.map(|status| format!(", {} of {}", status.checker.checked, status.checker.targets));
    let progress = progress.unwrap_or_default();
    format!(
        "waiting for the first round of health checks{progress}: DNS queries are answered after it, within 5 s"
    )
}

/// One concern for each distinct error of monitors, with the monitors that have it.
fn fault_texts(faults: &[MonitorFault]) -> Vec<String> {
    let mut monitors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for MonitorFault { monitor, error } in faults {
        monitors.entry(error).or_default().push(monitor);
    }
    let text = |(error, monitors): (&str, Vec<&str>)| match monitors[..] {
        [monitor] => {
            format!("monitor {monitor:?} gives no results, its targets keep their status: {error}")
        }
        _ => {
            let names = listing::join_first(
                monitors.iter().map(|name| format!("{name:?}")),
                3,
                monitors.len(),
            );
            format!("monitors {names} give no results, their targets keep their status: {error}")
        }
    };
    monitors.into_iter().map(text).collect()
}

/// Overrides that are lost, and those whose subject the configuration does not define.
fn override_concerns(status: &Status) -> Vec<String> {
    let undefined = status.overrides.iter().filter(|one| !one.is_defined);
    let undefined: Vec<&str> = undefined.map(|one| &*one.subject).collect();
    let waiting = (!undefined.is_empty()).then(|| {
        let names = listing::join_first(undefined.iter(), 3, undefined.len());
        format!(
            "overrides name nothing in the configuration, and wait until it defines it: {names} (help: remove them with \
             `portolan enable`, `portolan force none` or `portolan weight SUBJECT none`)"
        )
    });
    status.override_fault.iter().cloned().chain(waiting).collect()
}

fn status_concerns(status: &Status) -> Vec<Concern> {
    let mut grave = Vec::new();
    let mut concerns = Vec::new();
    let held = describe_held_files(&status.held);
    concerns.extend(held.iter().take(MAX_LISTED_FILES).cloned());
    if let Some(more) = held.len().checked_sub(MAX_LISTED_FILES).filter(|more| *more > 0) {
        concerns.push(format!(
            "{more} more about files that are not in use; `portolan status held` names all"
        ));
    }
    let errors = &status.configuration.errors;
    if let Some(first) = errors.first().filter(|_| status.held.is_empty()) {
        let more = errors.len() - 1;
        let more = if more > 0 { format!("; and {more} more errors") } else { String::new() };
        concerns.push(format!(
            "the newest files are refused, and the previous configuration stays in use: {first}{more}"
        ));
    }
    if let Some(why) = &status.unsaved {
        concerns.push(format!("state is not saved, so a restart would begin without it: {why}"));
    }
    concerns.extend(status.journal.concerns());
    grave.extend(status.safety.concerns());
    concerns.extend(status.configuration.geography.iter().cloned());
    concerns.extend(override_concerns(status));
    concerns.extend(status.requirements.iter().take(MAX_LISTED_REQUIREMENTS).cloned());
    let more = status.requirements.len().saturating_sub(MAX_LISTED_REQUIREMENTS);
    if more > 0 {
        concerns.push(format!(
            "{more} more expectations and assertions do not hold; `portolan status --json` names all"
        ));
    }
    for database in &status.databases {
        if let Some(error) = &database.error {
            concerns.push(format!(
                "database {}: the newest file is not in use: {error}",
                database.path
            ));
        }
    }
    if status.checker.doubt == "suspecting" {
        grave.push(
            "most targets failed at once: verdicts are frozen, the fault may be this server's own"
                .to_owned(),
        );
    }
    concerns.extend(fault_texts(&status.monitor_faults));
    concerns.extend(status.polls.loads_concern());
    concerns.extend(failing_loads(&status.loads, status.now));
    let (recovering, unusable): (Vec<_>, Vec<_>) =
        status.distressed.iter().partition(|service| service.is_recovering);
    let unusable_count = status.distressed_count.saturating_sub(recovering.len());
    for (services, count, what) in [
        (unusable, unusable_count, "no usable member for"),
        (recovering.clone(), recovering.len(), "recovering, too few usable members for"),
    ] {
        if count == 0 {
            continue;
        }
        let names = services.iter().map(|service| service.subject());
        grave.push(format!("{what} {}", listing::join_first(names, 3, count)));
    }
    let certificates =
        status.certificates.iter().filter_map(|certificate| certificate.concern(status.now));
    let concern = |is_grave: bool| move |text: String| Concern { text, is_grave };
    let others =
        grave.into_iter().map(concern(true)).chain(concerns.into_iter().map(concern(false)));
    others.chain(certificates).collect()
}
