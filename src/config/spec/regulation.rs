//! Reads the keys that shift clients from one choice to the next: load, capacity, shedding,
//! trickle, failback, and the durations of ramps.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::policy_name::{PolicyName, report_wrong_policy};
use crate::{
    config::{
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
        values,
    },
    steer::{Capacity, Failback, Fraction, LoadLevel, LoadMeasure, LoadPolicy, RampTimes},
};

/// The longest ramp, and the longest wait for a failback.
const MAX_RAMP: Duration = RampTimes::MAX_RAMP;
const MIN_RAMP: Duration = Duration::from_secs(1);
/// The default marks of a gauge: from the soft mark on, the gauge reduces a member's share; at the
/// hard mark only the minimum is left.
const DEFAULT_SOFT: f64 = 0.7;
const DEFAULT_HARD: f64 = 0.9;

/// The keys of a pool's table that regulate it.
#[derive(Debug, PartialEq)]
pub(in crate::config) struct RegulationSpec {
    pub(in crate::config) load: Option<Placed<Box<str>>>,
    pub(in crate::config) capacity: Option<Placed<Capacity>>,
    pub(in crate::config) keep: Fraction,
    pub(in crate::config) trickle: Option<f64>,
    pub(in crate::config) failback: Failback,
    /// The settings of the policy `load`.
    pub(in crate::config) load_policy: LoadPolicy,
    pub(in crate::config) ramps: RampSpec,
}

/// The specification of a pool without any of these keys, as nearly all pools are: a hundred
/// thousand pools share one value.
static DEFAULT_REGULATION: LazyLock<Arc<RegulationSpec>> = LazyLock::new(|| {
    let policy =
        LoadPolicy { measure: LoadMeasure::Connections, soft: DEFAULT_SOFT, hard: DEFAULT_HARD };
    Arc::new(RegulationSpec {
        load: None,
        capacity: None,
        keep: Fraction::default(),
        trickle: None,
        failback: Failback::default(),
        load_policy: policy,
        ramps: RampSpec::default(),
    })
});

/// The durations over which clients return and leave, as written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::config) struct RampSpec {
    slow_start: Option<Duration>,
    drain_over: Option<Duration>,
}

impl RampSpec {
    /// Reads the keys of a table. `subject` is the object that has them, for messages.
    pub(super) fn read<'t>(
        table: &mut TableReader<'t>,
        subject: TableSubject<'t>,
        problems: &mut Problems,
    ) -> Self {
        let mut ramp = |key: &'static str| {
            table.optional(key, problems, |item, problems| {
                ramp(item.with_subject(subject), problems)
            })
        };
        Self { slow_start: ramp("slow-start"), drain_over: ramp("drain-over") }
    }

    /// Replaces the duration of drains by that of the drain in progress, if an operator set one.
    pub(super) fn with_drain_over(self, over: Option<Duration>) -> Self {
        Self { drain_over: over.or(self.drain_over), ..self }
    }

    /// Keys that are not written here have their value from `other`.
    pub(in crate::config) fn or(self, other: Self) -> Self {
        Self {
            slow_start: self.slow_start.or(other.slow_start),
            drain_over: self.drain_over.or(other.drain_over),
        }
    }

    pub(in crate::config) fn ramp_times(self) -> RampTimes {
        RampTimes {
            slow_start: self.slow_start.unwrap_or_default(),
            drain_over: self.drain_over.unwrap_or_default(),
        }
    }
}

fn ramp(item: ValueReader<'_>, problems: &mut Problems) -> Option<Duration> {
    values::duration(item, MIN_RAMP, MAX_RAMP, problems).map(|time| time.value)
}

/// Reads the duration of the drain in progress: `portolan drain --over` writes the key, and the end
/// of the drain removes it.
pub(super) fn draining_over(item: ValueReader<'_>, problems: &mut Problems) -> Option<Duration> {
    values::duration(item, Duration::ZERO, RampTimes::MAX_RAMP, problems).map(|time| time.value)
}

impl RegulationSpec {
    /// Reads the keys of a pool's table, or of a service's. `policy` is the pool's, `None` where it
    /// could not be read.
    pub(super) fn read(
        table: &mut TableReader<'_>,
        policy: Option<PolicyName>,
        problems: &mut Problems,
    ) -> Arc<Self> {
        let load = table.optional("load", problems, values::name_reference);
        let capacity = table.value("capacity").and_then(|item| {
            let place = item.place;
            capacity(item, problems).map(|capacity| Placed::new(capacity, place))
        });
        let keep = table.optional("shed", problems, shed).unwrap_or_default();
        let trickle = policy_key(table, "trickle", PolicyName::Failover, policy, problems);
        let failback = policy_key(table, "failback", PolicyName::Failover, policy, problems);
        let [by, soft, hard] = ["by", "soft", "hard"]
            .map(|key| policy_key(table, key, PolicyName::Load, policy, problems));
        let spec = Self {
            load,
            capacity,
            keep,
            trickle: trickle.and_then(|item| share(item, 50.0, problems)),
            failback: failback.and_then(|item| self::failback(item, problems)).unwrap_or_default(),
            load_policy: load_policy(by, soft, hard, problems),
            ramps: RampSpec::read(table, table.subject, problems),
        };
        if spec == **DEFAULT_REGULATION { Arc::clone(&DEFAULT_REGULATION) } else { Arc::new(spec) }
    }
}

/// The value of a key that only pools of one policy have; in other pools it is reported.
fn policy_key<'t>(
    table: &mut TableReader<'t>,
    key: &'static str,
    only: PolicyName,
    policy: Option<PolicyName>,
    problems: &mut Problems,
) -> Option<ValueReader<'t>> {
    let item = table.value(key)?;
    if policy.is_some_and(|policy| policy != only) {
        report_wrong_policy(
            item,
            if only == PolicyName::Load { "load" } else { "failover" },
            problems,
        );
        return None;
    }
    Some(item)
}

/// Reads the share of clients to shed, as the fraction that the member keeps.
pub(super) fn shed(item: ValueReader<'_>, problems: &mut Problems) -> Option<Fraction> {
    share(item, 100.0, problems).map(|shed| Fraction::from_share(1.0 - shed))
}

/// Reads a share such as `"20%"`, as 0.2.
pub(super) fn share(
    item: ValueReader<'_>,
    max_percent: f64,
    problems: &mut Problems,
) -> Option<f64> {
    if !item.is_text() {
        problems
            .error(
                item.place,
                format!("{} must be a share, in quotes and with its sign", item.description()),
            )
            .help(format!("write a share above 0% and of at most {max_percent}%: \"1%\""));
        return None;
    }
    let text = item.text(problems)?;
    let share = values::share(text.value, max_percent);
    if share.is_none() {
        problems
            .error(text.place, format!("{} has {} {}", item.subject, item.key, Quoted(text.value)))
            .help(format!("write a share above 0% and of at most {max_percent}%: \"1%\""));
    }
    share
}

fn failback(item: ValueReader<'_>, problems: &mut Problems) -> Option<Failback> {
    const HELP: &str = "write \"auto\", \"manual\", or how long a member must have been usable: \"after 10m\" (from 1s to 168h)";
    if item.as_number().is_some() {
        problems.error(item.place, format!("{} is not a number", item.description())).help(HELP);
        return None;
    }
    let text = item.text(problems)?;
    let after = text.value.strip_prefix("after ");
    let wait = |text: &str| {
        jiff::fmt::friendly::SpanParser::new().parse_unsigned_duration(text.trim_start()).ok()
    };
    let failback = match (text.value, after.and_then(wait)) {
        ("auto", _) => Some(Failback::Auto),
        ("manual", _) => Some(Failback::Manual),
        (_, Some(time)) if (MIN_RAMP..=MAX_RAMP).contains(&time) => Some(Failback::After(time)),
        _ => None,
    };
    if failback.is_none() {
        problems
            .error(text.place, format!("{} has failback {}", item.subject, Quoted(text.value)))
            .help(HELP);
    }
    failback
}

fn capacity(item: ValueReader<'_>, problems: &mut Problems) -> Option<Capacity> {
    const HELP: &str = "write capacity = { target = \"80%\", max = \"95%\" }, or numbers of what is measured: { target = 800, max = 1000 }";
    let mut table =
        item.table(TableSubject { kind: "the capacity of", name: item.subject.name }, problems)?;
    let measure = table.optional("by", problems, measure).unwrap_or(LoadMeasure::Connections);
    let target = table.required("target", HELP, problems).and_then(|item| level(item, problems));
    let max = table.required("max", HELP, problems).and_then(|item| level(item, problems));
    let (subject, place) = (table.subject, table.place);
    table.finish(problems);
    let (target, max) = (target?, max?);
    let is_below = match (target, max) {
        (LoadLevel::Amount(target), LoadLevel::Amount(max))
        | (LoadLevel::Share(target), LoadLevel::Share(max)) => target <= max,
        (LoadLevel::Share(_), LoadLevel::Amount(_))
        | (LoadLevel::Amount(_), LoadLevel::Share(_)) => true,
    };
    if !is_below {
        problems
            .error(place, format!("{subject} has a target above its max"))
            .help("above `target` the excess goes to the next choice gradually, above `max` as fast as allowed");
        return None;
    }
    Some(Capacity { measure, target, max })
}

/// Reads `"80%"`, or a number above 0 in the measure's unit.
fn level(item: ValueReader<'_>, problems: &mut Problems) -> Option<LoadLevel> {
    if item.is_text() {
        return share(item, 1000.0, problems).map(LoadLevel::Share);
    }
    let number = item.number(problems)?;
    if number > 0.0 && number.is_finite() {
        return Some(LoadLevel::Amount(number));
    }
    problems.error(item.place, format!("{} must be above 0", item.description())).help(
        "write a number of what is measured, 800, or a share of the most that is reported, \"80%\"",
    );
    None
}

fn measure(item: ValueReader<'_>, problems: &mut Problems) -> Option<LoadMeasure> {
    let text = item.text(problems)?;
    Some(match text.value {
        "connections" => LoadMeasure::Connections,
        "response-time" => LoadMeasure::ResponseTime,
        _ => LoadMeasure::Gauge(values::gauge(text, problems)?.value),
    })
}

fn load_policy(
    measure_item: Option<ValueReader<'_>>,
    soft: Option<ValueReader<'_>>,
    hard: Option<ValueReader<'_>>,
    problems: &mut Problems,
) -> LoadPolicy {
    let is_written = measure_item.is_some();
    let written_measure = measure_item.and_then(|item| measure(item, problems));
    // A measure that cannot be read may be a gauge.
    let has_no_marks = written_measure
        .as_ref()
        .map_or(!is_written, |measure| !matches!(measure, LoadMeasure::Gauge(_)));
    let measure = written_measure.unwrap_or(LoadMeasure::Connections);
    let written = [soft, hard];
    let [low, high] = written.map(|item| item.and_then(|item| mark(item, problems)));
    let soft_or_default =
        low.unwrap_or_else(|| high.map_or(DEFAULT_SOFT, |hard| DEFAULT_SOFT.min(hard * 0.8)));
    let hard_or_default = high.unwrap_or(DEFAULT_HARD);
    for item in written.into_iter().flatten().filter(|_| has_no_marks) {
        problems
            .error(item.place, format!("{} has `{}`, which is for gauges", item.subject, item.key))
            .help(format!("by = \"{}\" has no marks; by = \"cpu\" has", measure.as_str()));
    }
    if let (Some(item), true) = (hard.or(soft), soft_or_default >= hard_or_default) {
        problems
            .error(
                item.place,
                format!(
                    "{} has a soft mark of {} that is not below its hard one of {}",
                    item.subject,
                    mark_text(soft_or_default, low),
                    mark_text(hard_or_default, high)
                ),
            )
            .help("below `soft` a gauge does not reduce a member's share, at `hard` only the minimum is left: soft = \"70%\", hard = \"90%\"");
    }
    LoadPolicy { measure, soft: soft_or_default, hard: hard_or_default }
}

/// Reads `"70%"`, or a number in the gauge's unit.
fn mark(item: ValueReader<'_>, problems: &mut Problems) -> Option<f64> {
    level(item, problems).map(|level| match level {
        LoadLevel::Amount(amount) | LoadLevel::Share(amount) => amount,
    })
}

/// A mark as people write it, and whether it is the default.
fn mark_text(mark: f64, written: Option<f64>) -> String {
    let text =
        if mark <= 1.0 { format!("{}%", (mark * 1000.0).round() / 10.0) } else { mark.to_string() };
    if written.is_some() { text } else { format!("{text} (the default)") }
}
