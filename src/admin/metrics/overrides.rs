//! Metrics of overrides: what operators set over the files.

use std::fmt;

use super::page::MetricsPage;
use crate::control::{OverrideStatus, Status};

pub(super) fn write(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let labels = |one: &'_ OverrideStatus| -> [(&'static str, String); 3] {
        [("subject", one.subject.clone()), ("kind", one.kind.clone()), ("value", one.value.clone())]
    };
    let in_force = status.overrides.iter().map(|one| (labels(one), i64::from(one.in_force)));
    let help = "1 for each override of an operator that is in force; 0 for one that begins later, or whose subject the configuration does not define.";
    page.gauges("portolan_override", help, in_force)?;
    let still = status.overrides.iter();
    let still = still.map(|one| (labels(one), one.still_answered_count as i64));
    let help = "Names and record types whose answers name the subject although the override takes it away; 0 once it is effective.";
    page.gauges("portolan_override_still_answered", help, still)?;
    let since = status.overrides.iter().map(|one| (labels(one), one.since));
    let help = "When the override was set, in seconds since 1970.";
    page.gauges("portolan_override_set_timestamp_seconds", help, since)?;
    let help = "1 while overrides of the previous run are lost, because their file was damaged; 0 once an operator sets one.";
    page.gauge("portolan_overrides_lost", help, i64::from(status.override_fault.is_some()))
}
