//! Drained datacenters: which answers of the snapshot in force still name one, since when none
//! does, and how long caches keep the answers that did.
//!
//! The tracker follows each published snapshot, and does not depend on how a drain is stored. A
//! datacenter is tracked while its state is draining or disabled. Only charts that differ from
//! those of the snapshot before are read, so that a change of one service costs nothing for the
//! 100,000 others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::status::DrainStatus;
use crate::{
    listing,
    snapshot::Snapshot,
    steer::{
        AnswerCause, AnsweredDatacenter, Chart, Conditions, DatacenterId, PresenceFinder,
        ServiceId, ServingState, Topology,
    },
};

/// The log names this many services.
const MAX_LOGGED_SERVICES: usize = 5;

/// The tracked datacenters, and the answers of the snapshot in force that name one.
#[derive(Debug, Default)]
pub(super) struct DrainTracker {
    tracked: BTreeMap<Box<str>, TrackedDatacenter>,
    /// By service; only services whose answers name a tracked datacenter.
    answers: BTreeMap<ServiceId, Vec<AnsweredDatacenter>>,
}

/// A datacenter that is drained or disabled.
#[derive(Debug)]
struct TrackedDatacenter {
    id: DatacenterId,
    state: ServingState,
    reason: Option<Box<str>>,
    /// The time at which the last answer that named it will have left every cache, in seconds since
    /// 1970.
    cached_until: i64,
    /// `None` while an answer names it.
    effective: Option<DrainStatus>,
    /// Whether the log has that services have no other member left.
    is_logged: bool,
}

/// A published snapshot with the conditions that its charts were compiled under.
#[derive(Clone, Copy)]
pub(super) struct PublishedSnapshot<'a> {
    pub snapshot: &'a Snapshot,
    pub conditions: &'a Conditions,
    /// The time of publication, in seconds since 1970-01-01T00:00:00Z, rounded up: no earlier
    /// snapshot answers after it.
    pub now: i64,
}

impl DrainTracker {
    /// The time since which no answer names a datacenter; `None` while an answer does, or while the
    /// datacenter is in service.
    pub(super) fn effective(&self, name: &str) -> Option<DrainStatus> {
        self.tracked.get(name)?.effective
    }

    /// The answers that name a drained datacenter, in order of the services' names, A before AAAA.
    pub(super) fn still_answered(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (ServiceId, AnsweredDatacenter)> {
        let id = self.tracked.get(name).map(|tracked| tracked.id);
        let names_it = move |answer: &&AnsweredDatacenter| Some(answer.datacenter) == id;
        self.answers.iter().flat_map(move |(service, found)| {
            found.iter().filter(names_it).map(|found| (*service, *found))
        })
    }

    /// Follows a snapshot that was just published after `before`.
    pub(super) fn update(&mut self, before: &Snapshot, published: PublishedSnapshot<'_>) {
        let topology = &published.snapshot.topology;
        let is_same = Arc::ptr_eq(&before.topology, topology)
            && self.tracks_same_datacenters(topology, published.conditions);
        if is_same && self.tracked.is_empty() {
            return;
        }
        let ceased = if is_same {
            self.read_changed_charts(before, published)
        } else {
            self.reset_tracked(before, published);
            self.answers.clear();
            self.read_charts(published, |_| true);
            Vec::new()
        };
        self.update_effective(&ceased, published);
    }

    /// Whether the tracked datacenters are those that these conditions drain or disable.
    fn tracks_same_datacenters(&self, topology: &Topology, conditions: &Conditions) -> bool {
        let drained = drained_or_disabled(topology, conditions);
        drained.len() == self.tracked.len()
            && drained.iter().all(|(id, state)| {
                let tracked = self.tracked.get(&topology.datacenters[id.index()].name);
                tracked.is_some_and(|tracked| tracked.state == *state)
            })
    }

    /// Tracks the datacenters that are drained or disabled now. Any service with a member in a
    /// newly tracked datacenter may have left answers that name it in caches. After a change of the
    /// configuration the same holds for datacenters that an answer named before.
    fn reset_tracked(
        &mut self,
        before: &Snapshot,
        PublishedSnapshot { snapshot, conditions, now }: PublishedSnapshot<'_>,
    ) {
        let topology = &snapshot.topology;
        let drained = drained_or_disabled(topology, conditions);
        let mut old = std::mem::take(&mut self.tracked);
        for (id, state) in drained {
            let datacenter = &topology.datacenters[id.index()];
            let name = &datacenter.name;
            let known = old.remove(name);
            let cached_until = match &known {
                Some(TrackedDatacenter { cached_until, effective: Some(_), .. }) => *cached_until,
                _ => {
                    let longest = |topology: &Topology| {
                        let index = topology
                            .datacenters
                            .iter()
                            .position(|datacenter| datacenter.name == *name)?;
                        topology.longest_ttl_secs(DatacenterId(index as u32))
                    };
                    let longest = longest(&before.topology).max(longest(topology));
                    now + i64::from(longest.unwrap_or(0))
                }
            };
            let (effective, is_logged) =
                known.map_or((None, false), |tracked| (tracked.effective, tracked.is_logged));
            let reason = datacenter.reason.clone();
            let tracked =
                TrackedDatacenter { id, state, reason, cached_until, effective, is_logged };
            self.tracked.insert(name.clone(), tracked);
        }
        for name in old
            .into_keys()
            .filter(|name| topology.datacenters.iter().any(|datacenter| datacenter.name == *name))
        {
            tracing::info!(datacenter = %name, "datacenter is no longer drained or disabled");
        }
    }

    /// Reads the charts of services for which `is_wanted` holds, by index. A chart is read once,
    /// however many services share it.
    fn read_charts(
        &mut self,
        PublishedSnapshot { snapshot, conditions, .. }: PublishedSnapshot<'_>,
        is_wanted: impl Fn(usize) -> bool,
    ) {
        let drained: BTreeSet<DatacenterId> =
            self.tracked.values().map(|tracked| tracked.id).collect();
        if drained.is_empty() {
            return;
        }
        let presence =
            PresenceFinder::new(&snapshot.topology, conditions, |id| drained.contains(&id));
        let mut known: HashMap<*const Chart, Vec<AnsweredDatacenter>> = HashMap::new();
        for (index, chart) in
            snapshot.charts.iter().enumerate().filter(|(index, _)| is_wanted(*index))
        {
            let found = known
                .entry(Arc::as_ptr(chart))
                .or_insert_with(|| presence.answered_datacenters(chart));
            if !found.is_empty() {
                self.answers.insert(ServiceId(index as u32), found.clone());
            }
        }
    }

    /// Reads the charts that changed. Returns the services whose answers no longer name a
    /// datacenter, with that datacenter.
    fn read_changed_charts(
        &mut self,
        before: &Snapshot,
        published: PublishedSnapshot<'_>,
    ) -> Vec<(ServiceId, AnsweredDatacenter)> {
        let charts = &published.snapshot.charts;
        let has_changed = |index: usize| {
            !before.charts.get(index).is_some_and(|old| Arc::ptr_eq(old, &charts[index]))
        };
        let mut old = Vec::new();
        self.answers.retain(|service, found| {
            let is_kept = !has_changed(service.index());
            if !is_kept {
                old.extend(found.iter().map(|answer| (*service, *answer)));
            }
            is_kept
        });
        self.read_charts(published, has_changed);
        let is_gone = |(service, was): &(ServiceId, AnsweredDatacenter)| {
            let key =
                |answer: &AnsweredDatacenter| (answer.datacenter, answer.family, answer.is_binding);
            let is = |now: &AnsweredDatacenter| key(now) == key(was);
            !self.answers.get(service).is_some_and(|found| found.iter().any(is))
        };
        old.retain(is_gone);
        old
    }

    /// Updates and logs which drains are effective with this snapshot. `ceased` are the answers
    /// that no longer name their datacenter.
    fn update_effective(
        &mut self,
        ceased: &[(ServiceId, AnsweredDatacenter)],
        PublishedSnapshot { snapshot, now, .. }: PublishedSnapshot<'_>,
    ) {
        let ttl =
            |service: &ServiceId| i64::from(snapshot.topology.services[service.index()].ttl_secs);
        for (name, tracked) in &mut self.tracked {
            for (service, _) in ceased.iter().filter(|(_, answer)| answer.datacenter == tracked.id)
            {
                tracked.cached_until = tracked.cached_until.max(now + ttl(service));
            }
            let names_it = |answer: &AnsweredDatacenter| answer.datacenter == tracked.id;
            if !self.answers.values().flatten().any(names_it) {
                if tracked.effective.is_none() {
                    tracked.take_effect(name, now);
                }
                continue;
            }
            tracked.effective = None;
            let last_left = |answer: &AnsweredDatacenter| {
                names_it(answer) && !matches!(answer.cause, AnswerCause::Ramp(_))
            };
            let stuck = self.answers.iter().filter(|(_, found)| found.iter().any(last_left));
            let stuck: Vec<(ServiceId, AnsweredDatacenter)> = stuck
                .flat_map(|(service, found)| {
                    found
                        .iter()
                        .filter(|answer| last_left(answer))
                        .map(|answer| (*service, *answer))
                        .collect::<Vec<_>>()
                })
                .collect();
            if !stuck.is_empty() && !tracked.is_logged {
                tracked.is_logged = true;
                let (state, services) =
                    (tracked.state.as_str(), service_list(&snapshot.topology, &stuck));
                tracing::warn!(datacenter = %name, state, services, "answers still name a drained datacenter: no other member is left");
            }
        }
    }
}

impl TrackedDatacenter {
    fn take_effect(&mut self, name: &str, now: i64) {
        let longest_ttl = u32::try_from(self.cached_until - now).unwrap_or(0);
        let expires = now + i64::from(longest_ttl);
        self.effective = Some(DrainStatus { effective: now, longest_ttl, expires });
        self.is_logged = false;
        tracing::info!(
            datacenter = %name,
            state = self.state.as_str(),
            reason = self.reason.as_deref(),
            longest_ttl_secs = longest_ttl,
            "drain is effective: no new answer names the datacenter"
        );
    }
}

/// The datacenters that are drained or disabled.
fn drained_or_disabled(
    topology: &Topology,
    conditions: &Conditions,
) -> Vec<(DatacenterId, ServingState)> {
    let states = conditions.datacenters.iter().take(topology.datacenters.len()).copied();
    let with_id = (0..).map(DatacenterId).zip(states);
    with_id
        .filter(|(_, state)| matches!(state, ServingState::Draining | ServingState::Disabled))
        .collect()
}

/// The first services and types, and the number of the others: `www.example.com A, www.example.com
/// AAAA and 3 more`.
fn service_list(topology: &Topology, stuck: &[(ServiceId, AnsweredDatacenter)]) -> String {
    let name = |(id, answer): &(ServiceId, AnsweredDatacenter)| {
        let service = &topology.services[id.index()];
        format!("{} {}", service.name, answer.record_type(&service.kind))
    };
    listing::join_first(stuck.iter().map(name), MAX_LOGGED_SERVICES, stuck.len())
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU8, time::Duration};

    use super::*;
    use crate::{
        geo::Databases,
        health::{Check, Monitor, TcpCheck},
        steer::{
            AnswerCount, Compiler, Datacenter, Endpoint, EndpointId, EndpointTarget, Fraction,
            Member, MemberKind, MinUp, MonitorId, OnAllDown, Policy, Pool, PoolId, RampTimes,
            RecordKind, Regulation, Service, Spread, Surveys, ZoneId,
        },
    };

    /// Two services with members in `fra` and `iad`, and the snapshots of them.
    struct DrainFixture {
        compiler: Arc<Compiler>,
        surveys: Surveys,
        conditions: Conditions,
        published: Arc<Snapshot>,
        tracker: DrainTracker,
    }

    const TTLS: [u32; 2] = [30, 300];

    impl DrainFixture {
        fn new() -> Self {
            let datacenters = ["fra", "iad"]
                .map(|name| Datacenter { name: name.into(), ..Datacenter::default() });
            let monitor = Monitor {
                name: "tcp".into(),
                check: Check::Tcp(TcpCheck { port: 80 }),
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(2),
                rise: NonZeroU8::MIN,
                fall: NonZeroU8::MIN,
            };
            let endpoint = |id: u32| Endpoint {
                name: format!("endpoint-{id}").into(),
                target: EndpointTarget::Addresses(vec![
                    format!("192.0.2.{}", id + 1).parse().unwrap(),
                ]),
                datacenters: vec![DatacenterId(id % 2)],
                monitor: Some(MonitorId(0)),
                state: ServingState::Active,
                force: None,
                load: None,
                ramp_times: RampTimes::default(),
            };
            let pool = |id: u32| Pool {
                name: format!("pool-{id}").into(),
                policy: Policy::Weighted,
                spread: Spread::Query,
                answers: AnswerCount::Count(std::num::NonZeroU32::MIN),
                min_up: MinUp::Members(std::num::NonZeroU32::MIN),
                families: Default::default(),
                members: [2 * id, 2 * id + 1]
                    .map(|id| Member {
                        kind: MemberKind::Endpoint(EndpointId(id)),
                        weight: 1,
                        bias: 0,
                    })
                    .into(),
                regulation: Regulation::default(),
            };
            let service = |id: u32| Service {
                name: format!("s{id}.example.com").parse().unwrap(),
                zone: ZoneId(0),
                kind: RecordKind::default(),
                pool: PoolId(id),
                ttl_secs: TTLS[id as usize],
                on_all_down: OnAllDown::All,
                ipv6: true,
                client_subnet: true,
            };
            let topology = Arc::new(Topology::new(
                datacenters.into(),
                vec![monitor],
                (0..4).map(endpoint).collect(),
                (0..2).map(pool).collect(),
                (0..2).map(service).collect(),
            ));
            let mut surveys = Surveys::default();
            let compiler =
                Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
            let conditions = Conditions::unprobed(&topology, 0);
            Self {
                compiler,
                surveys,
                conditions,
                published: Arc::default(),
                tracker: DrainTracker::default(),
            }
        }

        /// Publishes a snapshot of the current conditions.
        fn publish(&mut self, now: i64) -> Option<DrainStatus> {
            let charts = self.compiler.compile(&self.conditions, &mut self.surveys).charts();
            let topology = Arc::clone(self.compiler.topology());
            let snapshot = Arc::new(Snapshot { charts, topology, ..Snapshot::default() });
            let before = std::mem::replace(&mut self.published, Arc::clone(&snapshot));
            self.tracker.update(
                &before,
                PublishedSnapshot { snapshot: &snapshot, conditions: &self.conditions, now },
            );
            self.tracker.effective("fra")
        }

        /// Leaves `fra` the share of a ramp, and nothing to the endpoint whose ramp has `ended`.
        fn ramp(&mut self, left: Fraction, ended: u32) {
            self.conditions.adjustments.datacenter_fractions.insert(DatacenterId(0), left);
            self.conditions
                .adjustments
                .endpoint_fractions
                .insert(EndpointId(ended), Fraction::ZERO);
        }

        fn still(&self) -> Vec<ServiceId> {
            self.tracker.still_answered("fra").map(|(service, _)| service).collect()
        }
    }

    #[test]
    fn a_drain_is_effective_when_the_last_service_leaves_and_expires_a_ttl_later() {
        let mut fixture = DrainFixture::new();
        assert_eq!(fixture.publish(100), None, "in service");
        fixture.conditions.datacenters[0] = ServingState::Draining;
        fixture.ramp(Fraction::from_share(0.5), 0);
        assert_eq!(fixture.publish(1000), None);
        assert_eq!(fixture.still(), [ServiceId(1)], "the long one has not left yet");
        fixture.ramp(Fraction::ZERO, 0);
        let effective = |time: i64| {
            Some(DrainStatus { effective: time, longest_ttl: 300, expires: time + 300 })
        };
        assert_eq!(fixture.publish(2000), effective(2000));
        assert_eq!(
            (fixture.publish(2500), fixture.still()),
            (effective(2000), vec![]),
            "it stays so"
        );
        fixture.ramp(Fraction::from_share(0.5), 0);
        assert_eq!(
            (fixture.publish(3000), fixture.still()),
            (None, vec![ServiceId(1)]),
            "answers name it again"
        );
        fixture.ramp(Fraction::ZERO, 0);
        assert_eq!(fixture.publish(4000), effective(4000));
        fixture.conditions.datacenters[0] = ServingState::Active;
        fixture.conditions.adjustments = crate::steer::Adjustments::default();
        assert_eq!(
            (fixture.publish(5000), fixture.still()),
            (None, vec![]),
            "it is not drained any more"
        );
    }

    #[test]
    fn only_services_that_left_recently_may_be_in_caches() {
        let mut fixture = DrainFixture::new();
        fixture.publish(100);
        fixture.conditions.datacenters[0] = ServingState::Draining;
        fixture.ramp(Fraction::from_share(0.5), 2);
        assert_eq!(
            (fixture.publish(1000), fixture.still()),
            (None, vec![ServiceId(0)]),
            "the long one has left"
        );
        fixture.ramp(Fraction::ZERO, 2);
        let expected = DrainStatus { effective: 9000, longest_ttl: 30, expires: 9030 };
        assert_eq!(fixture.publish(9000), Some(expected));
    }

    #[test]
    fn a_drain_is_not_effective_while_no_other_datacenter_is_left() {
        let mut fixture = DrainFixture::new();
        fixture.conditions.datacenters = vec![ServingState::Draining, ServingState::Disabled];
        assert_eq!(
            (fixture.publish(100), fixture.still()),
            (None, vec![ServiceId(0), ServiceId(1)])
        );
        fixture.conditions.datacenters[1] = ServingState::Active;
        assert_eq!(fixture.publish(200).map(|drain| drain.effective), Some(200));
    }
}
