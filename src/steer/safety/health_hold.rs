//! The hold of health: health checks must not take a datacenter out of the answers where a minimum
//! of active datacenters would be broken. Its endpoints then keep the status of the last allowed
//! state.

use std::collections::{BTreeSet, HashMap};

use super::{
    activity::{active, datacenter_health},
    rules::SafetyRules,
};
use crate::{
    health::HealthStatus,
    steer::{DatacenterId, Probe, ProbeId, ProbeTarget, ServingState, Topology},
};

/// Holds datacenters in the answers against their health checks. Invariant: a datacenter is held
/// only while its state is active, its checks take it out, and a minimum would be broken without
/// it. A datacenter that was out already when the rule came is never put back.
#[derive(Debug, Clone, Default)]
pub struct HealthHold {
    held: BTreeSet<Box<str>>,
    /// The datacenters that were active after the latest change.
    active: BTreeSet<Box<str>>,
    /// The status of each target of a held datacenter, by monitor and target.
    kept: HashMap<(Box<str>, ProbeTarget), HealthStatus>,
    /// The targets of held datacenters that were in the answers of a previous run, until the first
    /// statuses.
    restored: Option<BTreeSet<(String, String)>>,
}

impl HealthHold {
    /// Continues with what a previous run held: datacenters, and those of their targets that were
    /// in the answers, by the names of their monitor and target.
    pub fn restored(
        held: impl IntoIterator<Item = Box<str>>,
        targets: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            held: held.into_iter().collect(),
            restored: Some(targets.into_iter().collect()),
            ..Self::default()
        }
    }

    /// The targets of the held datacenters that are in the answers, by the names of their monitor
    /// and target.
    pub fn kept_targets(&self) -> BTreeSet<(String, String)> {
        let name =
            |(monitor, target): &(Box<str>, ProbeTarget)| (monitor.to_string(), target.to_string());
        let kept = self.kept.iter().filter(|(_, status)| status.verdict.is_usable());
        kept.map(|(key, _)| name(key)).collect()
    }

    /// The names of the datacenters that are held.
    pub fn held(&self) -> &BTreeSet<Box<str>> {
        &self.held
    }

    /// The health statuses to answer with: those of the health checks, except for datacenters that
    /// must be held. `states` has those of the datacenters at present; `so_far` has the statuses
    /// until now, and is `None` if they belong to another topology.
    pub fn follow(
        &mut self,
        topology: &Topology,
        rules: &SafetyRules,
        (states, so_far): (&[ServingState], Option<&[HealthStatus]>),
        checked: Vec<HealthStatus>,
    ) -> Vec<HealthStatus> {
        if rules.minimums.is_empty() {
            *self = Self::default();
            return checked;
        }
        let health = datacenter_health(topology, &checked);
        let mut is_active = active(states, &health);
        let renamed = self.datacenters_of_kept_targets(topology);
        let mut candidates: Vec<DatacenterId> =
            (0..topology.datacenters.len() as u32).map(DatacenterId).collect();
        candidates.retain(|id| {
            let name = &topology.datacenters[id.index()].name;
            states.get(id.index()) == Some(&ServingState::Active)
                && !is_active[id.index()]
                && health[id.index()].total > 0
                && (self.held.contains(name) || self.active.contains(name) || renamed.contains(id))
        });
        // Those that are held already stay held; of others, the least damaged one is.
        candidates.sort_by(|a, b| {
            let is_new =
                |id: &DatacenterId| !self.held.contains(&topology.datacenters[id.index()].name);
            let fraction = |id: &DatacenterId| health[id.index()].fraction();
            is_new(a).cmp(&is_new(b)).then(fraction(b).total_cmp(&fraction(a))).then(a.cmp(b))
        });
        let mut held = Vec::new();
        for minimum in &rules.minimums {
            for id in candidates.iter().filter(|id| minimum.of.contains(id)) {
                if minimum.active_count(&is_active) >= minimum.count {
                    break;
                }
                if !std::mem::replace(&mut is_active[id.index()], true) {
                    held.push(*id);
                }
            }
        }
        let name = |id: &DatacenterId| topology.datacenters[id.index()].name.clone();
        self.held = held.iter().map(name).collect();
        let all = (0..).map(DatacenterId).zip(&is_active);
        self.active = all.filter(|(_, active)| **active).map(|(id, _)| name(&id)).collect();
        self.keep(topology, so_far, &held, checked)
    }

    /// The datacenters with a target that is kept: they may have another name than before.
    fn datacenters_of_kept_targets(&self, topology: &Topology) -> BTreeSet<DatacenterId> {
        if self.kept.is_empty() {
            return BTreeSet::new();
        }
        let is_kept = |id: &ProbeId| {
            self.kept.get(&key(topology, *id)).is_some_and(|status| status.verdict.is_usable())
        };
        let endpoints = topology.endpoints.iter().zip(topology.endpoint_probes.iter());
        let kept = endpoints.filter(|(_, probes)| probes.iter().flatten().any(is_kept));
        kept.flat_map(|(endpoint, _)| endpoint.datacenters.iter().copied()).collect()
    }

    /// The statuses in which those of held datacenters are no worse than in the last allowed state.
    fn keep(
        &mut self,
        topology: &Topology,
        so_far: Option<&[HealthStatus]>,
        held: &[DatacenterId],
        mut statuses: Vec<HealthStatus>,
    ) -> Vec<HealthStatus> {
        let before = std::mem::take(&mut self.kept);
        let restored = self.restored.take();
        if held.is_empty() {
            return statuses;
        }
        let endpoints = topology.endpoints.iter().zip(topology.endpoint_probes.iter());
        let is_held = |ids: &[DatacenterId]| ids.iter().any(|id| held.contains(id));
        let probes = endpoints
            .filter(|(endpoint, _)| is_held(&endpoint.datacenters))
            .flat_map(|(_, probes)| probes.iter().flatten());
        for id in probes {
            let status = &mut statuses[id.index()];
            let key = key(topology, *id);
            if !status.verdict.is_usable() {
                let so_far = so_far.and_then(|statuses| statuses.get(id.index()));
                let is_restored = || {
                    let name = (key.0.to_string(), key.1.to_string());
                    restored.as_ref().is_none_or(|targets| targets.contains(&name))
                };
                let unknown = || if is_restored() { HealthStatus::default() } else { *status };
                let kept = before.get(&key).or(so_far).copied().unwrap_or_else(unknown);
                if kept.verdict.is_usable() {
                    // Nothing is known of when the hold ends.
                    *status = HealthStatus { flips_in_secs: None, is_held: true, ..kept };
                }
            }
            self.kept.insert(key, HealthStatus { is_held: false, ..*status });
        }
        statuses
    }
}

fn key(topology: &Topology, id: ProbeId) -> (Box<str>, ProbeTarget) {
    let Probe { monitor, target } = &topology.probes[id.index()];
    (topology.monitors[monitor.index()].name.clone(), target.clone())
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use super::*;
    use crate::{
        health::Verdict,
        steer::{
            ActiveMinimum, AnswerCount, Datacenter, Endpoint, EndpointId, EndpointTarget, Member,
            MemberKind, MinUp, MonitorId, Policy, Pool, SafetyRule, Spread,
        },
    };

    const UP: HealthStatus = HealthStatus {
        verdict: Verdict::Up,
        flips_in_secs: None,
        is_pending: false,
        is_held: false,
    };
    const DOWN: HealthStatus = HealthStatus { verdict: Verdict::Down, ..UP };

    /// Datacenters a, b and c with two endpoints each, of which each has a target of its own.
    fn topology() -> Topology {
        let datacenters =
            ["a", "b", "c"].map(|name| Datacenter { name: name.into(), ..Datacenter::default() });
        let endpoint = |number: u8| {
            Arc::new(Endpoint {
                name: format!("e{number}").into(),
                target: EndpointTarget::Addresses(vec![[192, 0, 2, number].into()]),
                datacenters: vec![DatacenterId(u32::from(number / 2))],
                monitor: Some(MonitorId(0)),
                state: ServingState::Active,
                force: None,
                load: None,
                ramp_times: Default::default(),
            })
        };
        let monitor = crate::steer::tests::monitor();
        let endpoints: Vec<Arc<Endpoint>> = (0..6).map(endpoint).collect();
        let member = |id| Member { kind: MemberKind::Endpoint(EndpointId(id)), weight: 1, bias: 0 };
        let pool = Pool {
            name: "p".into(),
            policy: Policy::Weighted,
            spread: Spread::Query,
            answers: AnswerCount::Count(NonZeroU32::MIN),
            min_up: MinUp::Members(NonZeroU32::MIN),
            families: Default::default(),
            members: (0..6).map(member).collect(),
            regulation: Default::default(),
        };
        let pools = vec![Arc::new(pool)];
        Topology::from_shared(datacenters.into(), vec![monitor], endpoints, pools, Vec::new())
    }

    fn rules(count: usize) -> SafetyRules {
        SafetyRules {
            minimums: vec![ActiveMinimum {
                rule: SafetyRule::MinActiveDatacenters,
                count,
                of: (0..3).map(DatacenterId).collect(),
                names: "".into(),
            }],
            ..SafetyRules::default()
        }
    }

    /// The statuses for a pattern such as `ud ud uu`: by datacenter, whether each is up.
    fn statuses(pattern: &str) -> Vec<HealthStatus> {
        let letters = pattern.chars().filter(|letter| *letter != ' ');
        letters.map(|letter| if letter == 'u' { UP } else { DOWN }).collect()
    }

    /// The pattern of the usable statuses, and the names of what is held.
    fn shown(hold: &HealthHold, statuses: &[HealthStatus]) -> (String, String) {
        let letter = |status: &HealthStatus| if status.verdict.is_usable() { 'u' } else { 'd' };
        let letters: Vec<String> =
            statuses.chunks(2).map(|pair| pair.iter().map(letter).collect()).collect();
        let held: Vec<&str> = hold.held().iter().map(|name| &**name).collect();
        (letters.join(" "), held.join(" "))
    }

    #[test]
    fn a_datacenter_that_a_minimum_needs_keeps_its_last_allowed_status_until_another_is_active() {
        let (topology, rules) = (topology(), rules(2));
        let states = [ServingState::Active; 3];
        let mut hold = HealthHold::default();
        let mut current: Option<Vec<HealthStatus>> = None;
        for (checked, expected, held, why) in [
            ("uu uu uu", "uu uu uu", "", "all are up"),
            ("dd uu uu", "dd uu uu", "", "one may go"),
            ("dd ud uu", "dd ud uu", "", "half of b is active"),
            ("dd dd uu", "dd ud uu", "b", "b keeps what it had last"),
            ("dd dd dd", "dd ud uu", "b c", "c is held as well, a stays away"),
            ("dd du dd", "dd du uu", "c", "b recovers with its other endpoint"),
            ("dd dd uu", "dd du uu", "b", "b is held at what it has now"),
            ("uu dd uu", "uu dd uu", "", "a is back, b goes"),
        ] {
            let basis = (&states[..], current.as_deref());
            let followed = hold.follow(&topology, &rules, basis, statuses(checked));
            assert_eq!(shown(&hold, &followed), (expected.into(), held.into()), "{why}");
            let differs = |(status, checked): (&HealthStatus, HealthStatus)| {
                status.is_held == (status.verdict.is_usable() && !checked.verdict.is_usable())
            };
            assert!(followed.iter().zip(statuses(checked)).all(differs), "{why}");
            current = Some(followed);
        }
    }

    #[test]
    fn what_was_out_before_the_rule_came_stays_out_and_what_was_held_stays_held_over_a_restart() {
        let (topology, rules) = (topology(), rules(2));
        let states = [ServingState::Active; 3];
        let mut hold = HealthHold::default();
        let followed = hold.follow(&topology, &rules, (&states, None), statuses("dd dd uu"));
        assert_eq!(shown(&hold, &followed), ("dd dd uu".into(), String::new()));
        let kept = (topology.monitors[0].name.to_string(), "192.0.2.3".to_owned());
        let mut hold = HealthHold::restored(["b".into()], [kept.clone()]);
        let followed = hold.follow(&topology, &rules, (&states, None), statuses("dd dd uu"));
        assert_eq!(shown(&hold, &followed), ("dd du uu".into(), "b".into()));
        assert_eq!(hold.kept_targets(), [kept].into(), "and so over the next restart");
        let mut renamed = topology.clone();
        renamed.datacenters[1].name = "x".into();
        let followed = hold.follow(&renamed, &rules, (&states, None), statuses("dd dd uu"));
        assert_eq!(shown(&hold, &followed), ("dd du uu".into(), "x".into()), "another name");
        let drained = [ServingState::Active, ServingState::Draining, ServingState::Active];
        let followed = hold.follow(&topology, &rules, (&drained, None), statuses("dd dd uu"));
        assert_eq!(shown(&hold, &followed), ("dd dd uu".into(), String::new()), "it is drained");
        let none = SafetyRules::default();
        hold.follow(&topology, &rules, (&states, None), statuses("uu uu uu"));
        let followed = hold.follow(&topology, &none, (&states, None), statuses("dd dd dd"));
        assert_eq!(shown(&hold, &followed), ("dd dd dd".into(), String::new()), "without rules");
    }
}
