//! Drained datacenters: which answers of the snapshot in force still name one, since when none
//! does, and how long caches keep the answers that did.
//!
//! Follows each snapshot as it is published and knows nothing of how a drain is stored. A
//! datacenter is watched while its state is draining or disabled. Only charts that differ from
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

/// The watched datacenters, and the answers of the snapshot in force that name one.
#[derive(Debug, Default)]
pub(super) struct DrainTracker {
    tracked: BTreeMap<Box<str>, TrackedDatacenter>,
    /// By service; only services whose answers name a watched datacenter.
    sightings: BTreeMap<ServiceId, Vec<AnsweredDatacenter>>,
}

/// A datacenter that is drained or disabled.
#[derive(Debug)]
struct TrackedDatacenter {
    id: DatacenterId,
    state: ServingState,
    reason: Option<Box<str>>,
    /// When the last answer that named it has left every cache, as far as known now.
    cached_until: i64,
    /// Set while no answer names it.
    effective: Option<DrainStatus>,
    /// The log has that services have no other member left.
    is_logged: bool,
}

/// A published snapshot and what its charts were compiled under.
#[derive(Clone, Copy)]
pub(super) struct PublishedSnapshot<'a> {
    pub snapshot: &'a Snapshot,
    pub conditions: &'a Conditions,
    /// The time of publication, in seconds since 1970-01-01T00:00:00Z.
    pub now: i64,
}

impl DrainTracker {
    /// Since when no answer names a datacenter; nothing while some do, or while it is in service.
    pub(super) fn effective(&self, name: &str) -> Option<DrainStatus> {
        self.tracked.get(name)?.effective
    }

    /// The answers that name a drained datacenter, in order of the services' names, A before AAAA.
    pub(super) fn still_answered(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (ServiceId, AnsweredDatacenter)> {
        let id = self.tracked.get(name).map(|watch| watch.id);
        let of = move |sighting: &&AnsweredDatacenter| Some(sighting.datacenter) == id;
        self.sightings.iter().flat_map(move |(service, found)| {
            found.iter().filter(of).map(|found| (*service, *found))
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
            self.sightings.clear();
            self.read_charts(published, |_| true);
            Vec::new()
        };
        self.update_effective(&ceased, published);
    }

    /// Whether the watched datacenters are those that these conditions drain or disable.
    fn tracks_same_datacenters(&self, topology: &Topology, conditions: &Conditions) -> bool {
        let watched = drained_or_disabled(topology, conditions);
        watched.len() == self.tracked.len()
            && watched.iter().all(|(id, state)| {
                let watch = self.tracked.get(&topology.datacenters[id.index()].name);
                watch.is_some_and(|watch| watch.state == *state)
            })
    }

    /// Makes the drained and disabled datacenters the watched ones. One that is new may be in
    /// caches because of any service that has a member in it; so may one of a changed
    /// configuration, unless no answer named it before.
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
                        let at = topology
                            .datacenters
                            .iter()
                            .position(|datacenter| datacenter.name == *name)?;
                        topology.longest_ttl_secs(DatacenterId(at as u32))
                    };
                    let longest = longest(&before.topology).max(longest(topology));
                    now + i64::from(longest.unwrap_or(0))
                }
            };
            let (effective, is_logged) =
                known.map_or((None, false), |watch| (watch.effective, watch.is_logged));
            let reason = datacenter.reason.clone();
            let watch = TrackedDatacenter { id, state, reason, cached_until, effective, is_logged };
            self.tracked.insert(name.clone(), watch);
        }
        for name in old
            .into_keys()
            .filter(|name| topology.datacenters.iter().any(|place| place.name == *name))
        {
            tracing::info!(datacenter = %name, "datacenter is no longer drained or disabled");
        }
    }

    /// Reads the charts of services that `is_wanted` names; each chart once, however many services
    /// share it.
    fn read_charts(
        &mut self,
        PublishedSnapshot { snapshot, conditions, .. }: PublishedSnapshot<'_>,
        is_wanted: impl Fn(usize) -> bool,
    ) {
        let watched: BTreeSet<DatacenterId> = self.tracked.values().map(|watch| watch.id).collect();
        if watched.is_empty() {
            return;
        }
        let presence =
            PresenceFinder::new(&snapshot.topology, conditions, |id| watched.contains(&id));
        let mut known: HashMap<*const Chart, Vec<AnsweredDatacenter>> = HashMap::new();
        for (at, chart) in snapshot.charts.iter().enumerate().filter(|(at, _)| is_wanted(*at)) {
            let found = known
                .entry(Arc::as_ptr(chart))
                .or_insert_with(|| presence.answered_datacenters(chart));
            if !found.is_empty() {
                self.sightings.insert(ServiceId(at as u32), found.clone());
            }
        }
    }

    /// Reads the charts that changed; the services and datacenters that are no longer answered.
    fn read_changed_charts(
        &mut self,
        before: &Snapshot,
        published: PublishedSnapshot<'_>,
    ) -> Vec<(ServiceId, AnsweredDatacenter)> {
        let charts = &published.snapshot.charts;
        let has_changed =
            |at: usize| !before.charts.get(at).is_some_and(|old| Arc::ptr_eq(old, &charts[at]));
        let mut old = Vec::new();
        self.sightings.retain(|service, found| {
            let is_kept = !has_changed(service.index());
            if !is_kept {
                old.extend(found.iter().map(|sighting| (*service, *sighting)));
            }
            is_kept
        });
        self.read_charts(published, has_changed);
        let is_gone = |(service, was): &(ServiceId, AnsweredDatacenter)| {
            let key = |one: &AnsweredDatacenter| (one.datacenter, one.family, one.is_binding);
            let is = |now: &AnsweredDatacenter| key(now) == key(was);
            !self.sightings.get(service).is_some_and(|found| found.iter().any(is))
        };
        old.retain(is_gone);
        old
    }

    /// Notes which watches became effective with this snapshot and which no longer are; the log has
    /// both.
    fn update_effective(
        &mut self,
        ceased: &[(ServiceId, AnsweredDatacenter)],
        PublishedSnapshot { snapshot, now, .. }: PublishedSnapshot<'_>,
    ) {
        let ttl =
            |service: &ServiceId| i64::from(snapshot.topology.services[service.index()].ttl_secs);
        for (name, watch) in &mut self.tracked {
            for (service, _) in
                ceased.iter().filter(|(_, sighting)| sighting.datacenter == watch.id)
            {
                watch.cached_until = watch.cached_until.max(now + ttl(service));
            }
            let of = |one: &AnsweredDatacenter| one.datacenter == watch.id;
            if !self.sightings.values().flatten().any(of) {
                if watch.effective.is_none() {
                    watch.take_effect(name, now);
                }
                continue;
            }
            watch.effective = None;
            let last_left =
                |one: &AnsweredDatacenter| of(one) && !matches!(one.cause, AnswerCause::Ramp(_));
            let stuck = self.sightings.iter().filter(|(_, found)| found.iter().any(last_left));
            let stuck: Vec<(ServiceId, AnsweredDatacenter)> = stuck
                .flat_map(|(service, found)| {
                    found
                        .iter()
                        .filter(|one| last_left(one))
                        .map(|one| (*service, *one))
                        .collect::<Vec<_>>()
                })
                .collect();
            if !stuck.is_empty() && !watch.is_logged {
                watch.is_logged = true;
                let (state, services) =
                    (watch.state.word(), service_list(&snapshot.topology, &stuck));
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
            state = self.state.word(),
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

/// The first services and types, and how many more there are: `www.example.com A, www.example.com
/// AAAA and 3 more`.
fn service_list(topology: &Topology, stuck: &[(ServiceId, AnsweredDatacenter)]) -> String {
    let name = |(id, sighting): &(ServiceId, AnsweredDatacenter)| {
        let service = &topology.services[id.index()];
        format!("{} {}", service.name, sighting.record_type(&service.kind))
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

    /// Two services over `fra` and `iad`, published again and again.
    struct DrainFixture {
        compiler: Arc<Compiler>,
        surveys: Surveys,
        conditions: Conditions,
        published: Arc<Snapshot>,
        drained: DrainTracker,
    }

    const TTLS: [u32; 2] = [30, 300];

    impl DrainFixture {
        fn new() -> Self {
            let places = ["fra", "iad"]
                .map(|name| Datacenter { name: name.into(), ..Datacenter::default() });
            let monitor = Monitor {
                name: "tcp".into(),
                check: Check::Tcp(TcpCheck { port: 80 }),
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(2),
                rise: NonZeroU8::MIN,
                fall: NonZeroU8::MIN,
            };
            let endpoint = |at: u32| Endpoint {
                name: format!("endpoint-{at}").into(),
                target: EndpointTarget::Addresses(vec![
                    format!("192.0.2.{}", at + 1).parse().unwrap(),
                ]),
                datacenters: vec![DatacenterId(at % 2)],
                monitor: Some(MonitorId(0)),
                state: ServingState::Active,
                force: None,
                load: None,
                ramp_times: RampTimes::default(),
            };
            let pool = |at: u32| Pool {
                name: format!("pool-{at}").into(),
                policy: Policy::Weighted,
                spread: Spread::Query,
                answers: AnswerCount::Count(std::num::NonZeroU32::MIN),
                min_up: MinUp::Members(std::num::NonZeroU32::MIN),
                families: Default::default(),
                members: [2 * at, 2 * at + 1]
                    .map(|id| Member {
                        kind: MemberKind::Endpoint(EndpointId(id)),
                        weight: 1,
                        bias: 0,
                    })
                    .into(),
                regulation: Regulation::default(),
            };
            let service = |at: u32| Service {
                name: format!("s{at}.example.com").parse().unwrap(),
                zone: ZoneId(0),
                kind: RecordKind::default(),
                pool: PoolId(at),
                ttl_secs: TTLS[at as usize],
                on_all_down: OnAllDown::All,
                ipv6: true,
                client_subnet: true,
            };
            let topology = Arc::new(Topology::new(
                places.into(),
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
                drained: DrainTracker::default(),
            }
        }

        /// Publishes what the conditions come to.
        fn publish(&mut self, now: i64) -> Option<DrainStatus> {
            let charts = self.compiler.compile(&self.conditions, &mut self.surveys).charts();
            let topology = Arc::clone(self.compiler.topology());
            let snapshot = Arc::new(Snapshot { charts, topology, ..Snapshot::default() });
            let before = std::mem::replace(&mut self.published, Arc::clone(&snapshot));
            self.drained.update(
                &before,
                PublishedSnapshot { snapshot: &snapshot, conditions: &self.conditions, now },
            );
            self.drained.effective("fra")
        }

        /// What a ramp leaves `fra`, but for an endpoint that is at its end.
        fn ramp(&mut self, part: Fraction, ended: u32) {
            self.conditions.adjustments.datacenter_fractions.insert(DatacenterId(0), part);
            self.conditions
                .adjustments
                .endpoint_fractions
                .insert(EndpointId(ended), Fraction::ZERO);
        }

        fn still(&self) -> Vec<ServiceId> {
            self.drained.still_answered("fra").map(|(service, _)| service).collect()
        }
    }

    #[test]
    fn a_drain_is_effective_when_the_last_service_leaves_and_expires_a_ttl_later() {
        let mut bench = DrainFixture::new();
        assert_eq!(bench.publish(100), None, "in service");
        bench.conditions.datacenters[0] = ServingState::Draining;
        bench.ramp(Fraction::from_share(0.5), 0);
        assert_eq!(bench.publish(1000), None);
        assert_eq!(bench.still(), [ServiceId(1)], "the long one has not left yet");
        bench.ramp(Fraction::ZERO, 0);
        let effective =
            |at: i64| Some(DrainStatus { effective: at, longest_ttl: 300, expires: at + 300 });
        assert_eq!(bench.publish(2000), effective(2000));
        assert_eq!((bench.publish(2500), bench.still()), (effective(2000), vec![]), "it stays so");
        bench.ramp(Fraction::from_share(0.5), 0);
        assert_eq!(
            (bench.publish(3000), bench.still()),
            (None, vec![ServiceId(1)]),
            "answers name it again"
        );
        bench.ramp(Fraction::ZERO, 0);
        assert_eq!(bench.publish(4000), effective(4000));
        bench.conditions.datacenters[0] = ServingState::Active;
        bench.conditions.adjustments = crate::steer::Adjustments::default();
        assert_eq!(
            (bench.publish(5000), bench.still()),
            (None, vec![]),
            "it is not drained any more"
        );
    }

    #[test]
    fn what_left_long_before_the_last_service_has_left_the_caches() {
        let mut bench = DrainFixture::new();
        bench.publish(100);
        bench.conditions.datacenters[0] = ServingState::Draining;
        bench.ramp(Fraction::from_share(0.5), 2);
        assert_eq!(
            (bench.publish(1000), bench.still()),
            (None, vec![ServiceId(0)]),
            "the long one has left"
        );
        bench.ramp(Fraction::ZERO, 2);
        let expected = DrainStatus { effective: 9000, longest_ttl: 30, expires: 9030 };
        assert_eq!(bench.publish(9000), Some(expected));
    }

    #[test]
    fn a_datacenter_that_is_alone_left_is_not_effective_until_another_is_there() {
        let mut bench = DrainFixture::new();
        bench.conditions.datacenters = vec![ServingState::Draining, ServingState::Disabled];
        assert_eq!((bench.publish(100), bench.still()), (None, vec![ServiceId(0), ServiceId(1)]));
        bench.conditions.datacenters[1] = ServingState::Active;
        assert_eq!(bench.publish(200).map(|drain| drain.effective), Some(200));
    }
}
