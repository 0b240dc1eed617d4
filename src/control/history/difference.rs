//! Conditions as facts, and facts as conditions. Every field of [`Conditions`] is here: a field
//! that is added to it does not compile until it is.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use super::{
    fact::{FactChange, FactKey, FactValue},
    names::NameTable,
};
use crate::{
    health::{HealthStatus, Verdict},
    steer::{
        Adjustments, ClientGroup, Conditions, DatacenterId, FailbackProgress, Fraction,
        ResolvedAlias, ServingState, Topology,
    },
};

/// The number of steps of a fraction.
const FRACTION_STEPS: f64 = 1024.0;

/// Facts by their subject.
pub(super) type Facts = BTreeMap<FactKey, FactValue>;

/// The conditions of a topology in which every fact is absent.
fn plain(topology: &Topology) -> Conditions {
    Conditions {
        datacenters: vec![ServingState::default(); topology.datacenters.len()],
        health_statuses: vec![HealthStatus::default(); topology.probes.len()],
        aliases: vec![Arc::default(); topology.aliases.len()],
        adjustments: Adjustments::default(),
        recovering: BTreeMap::new(),
    }
}

/// All facts of conditions.
pub(super) fn facts(names: &NameTable, conditions: &Conditions) -> Facts {
    let changes = difference(names, &plain(&names.topology), conditions).into_iter();
    changes.filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The facts in which `after` differs from `before`, which belongs to the same topology.
pub(super) fn difference(
    names: &NameTable,
    before: &Conditions,
    after: &Conditions,
) -> Vec<FactChange> {
    let Conditions { datacenters, health_statuses, aliases, adjustments, recovering } = after;
    let mut changes = Vec::new();
    let topology = &names.topology;
    for index in differing(&before.datacenters, datacenters) {
        let Some(datacenter) = topology.datacenters.get(index) else { continue };
        changes.push((FactKey::Datacenter(datacenter.name.to_string()), state(datacenters[index])));
    }
    for index in differing(&before.health_statuses, health_statuses) {
        let Some(probe) = topology.probes.get(index) else { continue };
        let monitor = topology.monitors[probe.monitor.index()].name.to_string();
        let key = FactKey::Target(monitor, probe.target.to_string());
        changes.push((key, health(health_statuses[index])));
    }
    for index in differing(&before.aliases, aliases) {
        let Some(alias) = topology.aliases.get(index) else { continue };
        changes.push((FactKey::Alias(alias.to_string()), addresses(&aliases[index])));
    }
    adjustment_changes(names, &before.adjustments, adjustments, &mut changes);
    let groups = before.recovering.keys().chain(recovering.keys());
    for group in groups.filter(|group| before.recovering.get(*group) != recovering.get(*group)) {
        let Some(pool) = names.pool_key(group.pool) else { continue };
        let key = FactKey::Recovering(pool.to_owned(), group.members.to_vec(), group.is_strict);
        changes.push((key, recovering.get(group).copied().map(FactValue::Secs)));
    }
    changes
}

/// The positions at which two lists differ; all of the new one beyond the length of the old one.
fn differing<'l, T: PartialEq>(
    before: &'l [T],
    after: &'l [T],
) -> impl Iterator<Item = usize> + use<'l, T> {
    (0..after.len()).filter(|&index| before.get(index) != after.get(index))
}

fn adjustment_changes(
    names: &NameTable,
    before: &Adjustments,
    after: &Adjustments,
    changes: &mut Vec<FactChange>,
) {
    let Adjustments {
        datacenter_fractions,
        endpoint_fractions,
        kept_fractions,
        weights,
        holders,
        failbacks,
    } = after;
    let datacenter = |id: DatacenterId| {
        let datacenter = names.topology.datacenters.get(id.index())?;
        Some(FactKey::DatacenterFraction(datacenter.name.to_string()))
    };
    let pool = |id| names.pool_key(id).map(str::to_owned);
    let endpoint = |id| {
        let (pool, name) = names.endpoint_key(id)?;
        Some(FactKey::EndpointFraction(pool.to_owned(), name.to_owned()))
    };
    push_map(changes, &before.datacenter_fractions, datacenter_fractions, datacenter, fraction);
    push_map(changes, &before.endpoint_fractions, endpoint_fractions, endpoint, fraction);
    let key = |id| pool(id).map(FactKey::KeptFraction);
    push_map(changes, &before.kept_fractions, kept_fractions, key, fraction);
    let key = |id| pool(id).map(FactKey::Weights);
    push_map(changes, &before.weights, weights, key, |weights| {
        FactValue::Weights(weights.to_vec())
    });
    let key = |id| pool(id).map(FactKey::Holder);
    push_map(changes, &before.holders, holders, key, |member| FactValue::Member(*member));
    let key = |id| pool(id).map(FactKey::Failback);
    push_map(changes, &before.failbacks, failbacks, key, |progress| {
        let FailbackProgress { from, to, fraction } = *progress;
        FactValue::Failback(from, to, steps(fraction))
    });
}

/// Adds the keys for which two maps differ.
fn push_map<K: Copy + Eq + Hash, V: PartialEq>(
    changes: &mut Vec<FactChange>,
    before: &HashMap<K, V>,
    after: &HashMap<K, V>,
    key: impl Fn(K) -> Option<FactKey>,
    value: impl Fn(&V) -> FactValue,
) {
    let removed = before.keys().filter(|id| !after.contains_key(id));
    changes.extend(removed.filter_map(|id| Some((key(*id)?, None))));
    let set = after.iter().filter(|(id, now)| before.get(id) != Some(*now));
    changes.extend(set.filter_map(|(id, now)| Some((key(*id)?, Some(value(now))))));
}

fn state(state: ServingState) -> Option<FactValue> {
    (state != ServingState::Active).then(|| FactValue::State(state.as_str().to_owned()))
}

/// The word for a target that is down and that a safety rule keeps in the answers.
const HELD: &str = "held";

fn health(status: HealthStatus) -> Option<FactValue> {
    let HealthStatus { verdict, flips_in_secs, is_pending, is_held } = status;
    let word = if is_held { HELD } else { verdict.as_str() };
    let is_plain = status == HealthStatus::default();
    (!is_plain).then(|| FactValue::Health(word.to_owned(), flips_in_secs, is_pending))
}

fn addresses(resolved: &ResolvedAlias) -> Option<FactValue> {
    let is_plain = resolved.addresses().is_empty();
    (!is_plain).then(|| FactValue::Addresses(resolved.addresses().to_vec(), resolved.ttl_secs()))
}

fn fraction(fraction: &Fraction) -> FactValue {
    FactValue::Fraction(steps(*fraction))
}

fn steps(fraction: Fraction) -> u16 {
    (fraction.share() * FRACTION_STEPS).round() as u16
}

fn fraction_of(steps: u16) -> Fraction {
    Fraction::from_share(f64::from(steps) / FRACTION_STEPS)
}

/// The conditions of a topology that has these facts. `None` if a fact does not fit: its subject is
/// not in the topology.
pub(super) fn conditions(names: &NameTable, facts: &Facts) -> Option<Conditions> {
    let mut conditions = plain(&names.topology);
    let index = PositionIndex::new(&names.topology);
    for (key, value) in facts {
        set(names, &index, &mut conditions, key, value)?;
    }
    Some(conditions)
}

/// The positions of datacenters, targets and aliases by name.
struct PositionIndex {
    datacenters: HashMap<String, usize>,
    targets: HashMap<(String, String), usize>,
    aliases: HashMap<String, usize>,
}

impl PositionIndex {
    fn new(topology: &Topology) -> Self {
        let datacenters = topology.datacenters.iter().map(|datacenter| datacenter.name.to_string());
        let monitor = |id: usize| topology.monitors[id].name.to_string();
        let targets = topology
            .probes
            .iter()
            .map(|probe| (monitor(probe.monitor.index()), probe.target.to_string()));
        let aliases = topology.aliases.iter().map(ToString::to_string);
        Self {
            datacenters: datacenters.zip(0..).collect(),
            targets: targets.zip(0..).collect(),
            aliases: aliases.zip(0..).collect(),
        }
    }
}

fn set(
    names: &NameTable,
    index: &PositionIndex,
    conditions: &mut Conditions,
    key: &FactKey,
    value: &FactValue,
) -> Option<()> {
    let Conditions { datacenters, health_statuses, aliases, adjustments, recovering } = conditions;
    match (key, value) {
        (FactKey::Datacenter(name), FactValue::State(word)) => {
            datacenters[*index.datacenters.get(name)?] = state_of(word)?;
        }
        (FactKey::Target(monitor, target), FactValue::Health(word, flips, is_pending)) => {
            let position = index.targets.get(&(monitor.clone(), target.clone()))?;
            health_statuses[*position] = HealthStatus {
                verdict: if word == HELD { Verdict::Up } else { verdict_of(word)? },
                flips_in_secs: *flips,
                is_pending: *is_pending,
                is_held: word == HELD,
            };
        }
        (FactKey::Alias(name), FactValue::Addresses(addresses, ttl_secs)) => {
            let resolved = ResolvedAlias::new(addresses.clone(), *ttl_secs);
            aliases[*index.aliases.get(name)?] = Arc::new(resolved);
        }
        (FactKey::DatacenterFraction(name), FactValue::Fraction(steps)) => {
            let id = DatacenterId(u32::try_from(*index.datacenters.get(name)?).ok()?);
            adjustments.datacenter_fractions.insert(id, fraction_of(*steps));
        }
        (FactKey::EndpointFraction(pool, name), FactValue::Fraction(steps)) => {
            let id = names.endpoint(pool, name)?;
            adjustments.endpoint_fractions.insert(id, fraction_of(*steps));
        }
        (FactKey::KeptFraction(pool), FactValue::Fraction(steps)) => {
            adjustments.kept_fractions.insert(names.pool(pool)?, fraction_of(*steps));
        }
        (FactKey::Weights(pool), FactValue::Weights(weights)) => {
            adjustments.weights.insert(names.pool(pool)?, weights.clone().into());
        }
        (FactKey::Holder(pool), FactValue::Member(member)) => {
            adjustments.holders.insert(names.pool(pool)?, *member);
        }
        (FactKey::Failback(pool), FactValue::Failback(from, to, steps)) => {
            let progress = FailbackProgress { from: *from, to: *to, fraction: fraction_of(*steps) };
            adjustments.failbacks.insert(names.pool(pool)?, progress);
        }
        (FactKey::Recovering(pool, members, is_strict), FactValue::Secs(secs)) => {
            let (pool, members) = (names.pool(pool)?, members.clone().into());
            recovering.insert(ClientGroup { pool, members, is_strict: *is_strict }, *secs);
        }
        _ => return None,
    }
    Some(())
}

fn state_of(word: &str) -> Option<ServingState> {
    use ServingState::{Active, Disabled, Draining, Standby};
    [Active, Standby, Draining, Disabled].into_iter().find(|state| state.as_str() == word)
}

fn verdict_of(word: &str) -> Option<Verdict> {
    [Verdict::Unknown, Verdict::Up, Verdict::Down]
        .into_iter()
        .find(|verdict| verdict.as_str() == word)
}
