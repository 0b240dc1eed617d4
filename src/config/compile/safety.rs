//! Resolves the names in the safety rules, and reports minimums that can never be reached.

use std::collections::BTreeSet;

use super::datacenters::DatacenterNames;
use crate::{
    config::{
        definition_origin::DefinitionOrigin,
        place::SourcePlace,
        problems::Problems,
        safety::WrittenSafety,
        sources::Sources,
        spec::{MinimumSpec, Specs},
    },
    listing,
    steer::{ActiveMinimum, DatacenterId, Endpoint, MovementLimit, SafetyRule, SafetyRules},
};

/// A whole share, in percent.
const PERCENT: f64 = 100.0;

/// Makes the rules of what is written. `endpoints` are those of all pools: a datacenter that none
/// of them names never becomes active.
pub(super) fn compile<'e>(
    sources: &Sources,
    specs: &Specs,
    endpoints: impl Iterator<Item = &'e Endpoint>,
    datacenters: &mut DatacenterNames<'_>,
    problems: &mut Problems,
) -> WrittenSafety {
    let Some(spec) = &specs.safety else { return WrittenSafety::default() };
    let mut rules = SafetyRules {
        movement: spec
            .max_moved
            .map(|limit| MovementLimit { share: limit.share, within: limit.within }),
        is_frozen: spec.freeze,
        ..SafetyRules::default()
    };
    if let Some(share) = spec.max_removed {
        rules.max_removed_percent = share * PERCENT;
    }
    let used: BTreeSet<DatacenterId> =
        endpoints.flat_map(|endpoint| endpoint.datacenters.iter().copied()).collect();
    if let Some(count) = spec.min_active {
        let minimum = ActiveMinimum {
            rule: SafetyRule::MinActiveDatacenters,
            count: count.value,
            of: (0..specs.datacenters.len() as u32).map(DatacenterId).collect(),
            names: "".into(),
        };
        report_unreachable(&minimum, count.place, &used, problems);
        rules.minimums.push(minimum);
    }
    for spec in &spec.at_least {
        if let Some(minimum) = at_least(spec, datacenters, problems) {
            report_unreachable(&minimum, spec.count.place, &used, problems);
            rules.minimums.push(minimum);
        }
    }
    WrittenSafety { rules, origin: Some(DefinitionOrigin::new(sources, spec.place)) }
}

/// `None` if a name is unknown, or if it may be that of a table that could not be read.
fn at_least(
    spec: &MinimumSpec,
    datacenters: &mut DatacenterNames<'_>,
    problems: &mut Problems,
) -> Option<ActiveMinimum> {
    let found: Vec<Vec<DatacenterId>> =
        spec.of.iter().map(|name| datacenters.find(name, problems)).collect();
    if found.iter().any(Vec::is_empty) {
        return None;
    }
    let of: BTreeSet<DatacenterId> = found.concat().into_iter().collect();
    let names: Vec<&str> = spec.of.iter().map(|name| &*name.value).collect();
    Some(ActiveMinimum {
        rule: SafetyRule::AtLeast,
        count: spec.count.value,
        of: of.into_iter().collect(),
        names: names.join(", ").into(),
    })
}

/// Reports a minimum that is not reached even if every datacenter is active.
fn report_unreachable(
    minimum: &ActiveMinimum,
    place: SourcePlace,
    used: &BTreeSet<DatacenterId>,
    problems: &mut Problems,
) {
    // What has errors may be what the rule counts.
    if problems.has_errors() {
        return;
    }
    let possible = minimum.of.iter().filter(|id| used.contains(id)).count();
    if minimum.count <= possible {
        return;
    }
    let of =
        if minimum.names.is_empty() { String::new() } else { format!(" of {}", minimum.names) };
    let message = format!(
        "`{}` of [safety] can never be kept: it demands {}{of}, and {} with members",
        minimum.rule.as_str(),
        listing::counted(minimum.count, "active datacenter"),
        match possible {
            1 => "there is 1".to_owned(),
            _ => format!("there are {possible}"),
        },
    );
    let help = match possible {
        0 => "remove the rule, or name datacenters that members are in".to_owned(),
        _ => format!("demand {possible} at most, or add a datacenter with members"),
    };
    problems.error(place, message).help(help);
}
