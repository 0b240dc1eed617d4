//! The pools that feedback has a part in, each with what it needs of the topology.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    FeedReading,
    balance::{Balance, BalanceTiming, MemberReport, WeightFallback},
    equilibrium::LoadSignal,
    latency::Latency,
    measured_load::MeasuredLoad,
};
use crate::{
    load::{LoadReport, LoadSource},
    steer::model::{
        Failback, FeedId, LoadMeasure, LoadPolicy, MemberKind, Policy, PoolId, ProbeId, Topology,
    },
};

/// How often a pool without reports is looked at.
const IDLE_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The most changes of shares within a TTL while a member is full. It bounds the history that must
/// be kept.
const MAX_URGENT_STEPS_PER_TTL: u32 = 32;
/// A latency is a moving average: it shows the load of so many intervals ago.
const LATENCY_INTERVALS: u32 = 3;

/// The pools of a topology that feedback has a part in.
pub(super) struct RegulatedPools {
    pub load_pools: Vec<PoolId>,
    pub capped_pools: Vec<PoolId>,
    pub delayed_failbacks: Vec<PoolId>,
    /// The longest TTL of any service that a pool answers for.
    longest_ttl: HashMap<PoolId, Duration>,
}

impl RegulatedPools {
    pub(super) fn new(topology: &Topology) -> Self {
        let pools = || topology.pools.iter().zip((0..).map(PoolId));
        let ids = |is_one: fn(&crate::steer::Pool) -> bool| -> Vec<PoolId> {
            pools().filter(|(pool, _)| is_one(pool)).map(|(_, id)| id).collect()
        };
        let load_pools = ids(|pool| matches!(pool.policy, Policy::Load(_)));
        let capped_pools = ids(|pool| pool.regulation.capacity.is_some());
        let delayed_failbacks = ids(|pool| pool.regulation.failback != Failback::Auto);
        let paced: HashSet<PoolId> = load_pools.iter().chain(&capped_pools).copied().collect();
        Self {
            longest_ttl: longest_ttls(topology, &paced),
            load_pools,
            capped_pools,
            delayed_failbacks,
        }
    }

    /// How often a pool's shares may change: after its longest TTL, and after twice the interval of
    /// its reports, or of the probes that are timed where there are none.
    fn period(
        &self,
        topology: &Topology,
        id: PoolId,
        feeds: &[FeedId],
        timed: Option<Duration>,
    ) -> Duration {
        self.ttl(id).max(Self::shortest_period(topology, feeds, timed))
    }

    /// How often what a pool keeps may change: when the last change has reached every cache, and a
    /// report that was begun after that has come.
    pub(super) fn settled_period(
        &self,
        topology: &Topology,
        id: PoolId,
        feeds: &[FeedId],
    ) -> Duration {
        self.ttl(id) + Self::shortest_period(topology, feeds, None)
    }

    /// How often a pool's shares may change while a member is full.
    fn urgent_period(
        &self,
        topology: &Topology,
        id: PoolId,
        feeds: &[FeedId],
        timed: Option<Duration>,
    ) -> Duration {
        (self.ttl(id) / MAX_URGENT_STEPS_PER_TTL).max(Self::shortest_period(topology, feeds, timed))
    }

    /// Twice the interval of the reports, so that a step is seen before the next.
    fn shortest_period(topology: &Topology, feeds: &[FeedId], timed: Option<Duration>) -> Duration {
        let interval =
            feeds.iter().map(|feed| load_source(topology, *feed).interval).chain(timed).max();
        interval.map_or(IDLE_LOOK_INTERVAL, |interval| interval * 2).max(Duration::from_secs(1))
    }

    fn ttl(&self, id: PoolId) -> Duration {
        self.longest_ttl.get(&id).copied().unwrap_or_default()
    }
}

/// For each of these pools, the longest TTL of the services that reach it.
fn longest_ttls(topology: &Topology, wanted: &HashSet<PoolId>) -> HashMap<PoolId, Duration> {
    let mut longest = HashMap::new();
    if wanted.is_empty() {
        return longest;
    }
    let mut by_root: HashMap<PoolId, u32> = HashMap::new();
    for service in topology.services.iter() {
        for root in service.roots() {
            let ttl = by_root.entry(root).or_default();
            *ttl = service.ttl_secs.max(*ttl);
        }
    }
    for (root, ttl_secs) in by_root {
        let ttl = Duration::from_secs(ttl_secs.into());
        for id in topology.pools_below([root]).into_iter().filter(|id| wanted.contains(id)) {
            longest
                .entry(id)
                .and_modify(|known: &mut Duration| *known = ttl.max(*known))
                .or_insert(ttl);
        }
    }
    longest
}

pub(super) fn load_source(topology: &Topology, feed: FeedId) -> &LoadSource {
    &topology.load_sources[topology.feeds.list[feed.index()].source.index()]
}

/// The reports of these feeds, if all of them are young enough.
pub(super) fn fresh_reports<'a>(
    topology: &'a Topology,
    readings: &'a [Option<FeedReading>],
    feeds: &[FeedId],
    now: Duration,
) -> Option<Vec<(&'a LoadReport, &'a LoadSource)>> {
    let one = |feed: &FeedId| {
        let source = load_source(topology, *feed);
        let reading = readings.get(feed.index())?.as_ref()?;
        (now.saturating_sub(reading.read_at) <= source.stale_after)
            .then_some((&reading.report, source))
    };
    feeds.iter().map(one).collect()
}

pub(super) fn gauge_name(by: &LoadMeasure) -> Option<&str> {
    match by {
        LoadMeasure::Gauge(name) => Some(name),
        LoadMeasure::Connections | LoadMeasure::ResponseTime => None,
    }
}

/// A `source` pool.
#[derive(Debug)]
pub(super) struct LoadPool {
    pub id: PoolId,
    balance: Balance,
    policy: LoadPolicy,
    /// By member.
    feeds: Vec<Vec<FeedId>>,
    /// By member: whether a report told its response time.
    reports_response_time: Vec<bool>,
    /// How often its shares may change. A latency older than `stale_after` says nothing.
    timing: BalanceTiming,
    /// By member: the age of the load that a report shows, at the time it is read.
    report_lags: Vec<Duration>,
    /// When the first reports must be in.
    grace_ends: Option<Duration>,
    /// Until then nothing is looked at but for a report.
    idle_until: Duration,
    /// As last compiled, to share what stays the same.
    weights: Option<Arc<[u32]>>,
    /// A report came in since the last look.
    has_new_report: bool,
    /// It said that a member is full.
    is_urgent: bool,
}

impl LoadPool {
    pub(super) fn new(
        topology: &Topology,
        id: PoolId,
        watched: &RegulatedPools,
        old: Option<(&Topology, Self)>,
    ) -> Self {
        let pool = &topology.pools[id.index()];
        let Policy::Load(policy) = pool.policy.clone() else {
            unreachable!("only load pools are watched for their load")
        };
        let weights: Vec<u16> = pool.members.iter().map(|member| member.weight).collect();
        let feeds: Vec<Vec<FeedId>> =
            pool.members.iter().map(|member| topology.feeds_of_member(member.kind)).collect();
        let (mut balance, mut reports_response_time) =
            (Balance::new(policy.clone(), weights), vec![false; feeds.len()]);
        if let Some((old_topology, old)) = old {
            let now_at = |at| new_position(topology, id, old_topology, old.id, at);
            balance.continue_from(&old.balance, now_at);
            for (at, told) in old.reports_response_time.iter().enumerate() {
                now_at(at).into_iter().for_each(|at| reports_response_time[at] = *told);
            }
        }
        let probes = |at: usize| probes_below(topology, pool.members[at].kind);
        let interval = |probe: ProbeId| {
            topology.monitors[topology.probes[probe.index()].monitor.index()].interval
        };
        let probed = (0..pool.members.len()).flat_map(probes).map(interval).max();
        let is_timed = policy.measure == LoadMeasure::ResponseTime;
        let timed = probed.filter(|_| is_timed);
        let reported =
            feeds.iter().flatten().map(|feed| load_source(topology, *feed).stale_after).max();
        let stale_after =
            probed.map(|interval| interval * 3).max(reported).unwrap_or(IDLE_LOOK_INTERVAL);
        let timing = BalanceTiming {
            period: watched.period(topology, id, &feeds.concat(), timed),
            urgent_period: watched.urgent_period(topology, id, &feeds.concat(), timed),
            ttl: watched.ttl(id),
            stale_after,
        };
        let lag = |feeds: &Vec<FeedId>| {
            let interval = feeds
                .iter()
                .map(|feed| load_source(topology, *feed).interval)
                .max()
                .or(timed)
                .unwrap_or_default();
            if is_timed { interval * LATENCY_INTERVALS } else { interval }
        };
        let report_lags = feeds.iter().map(lag).collect();
        let weights = balance.weights().map(Into::into);
        Self {
            id,
            balance,
            policy,
            feeds,
            timing,
            report_lags,
            reports_response_time,
            grace_ends: None,
            idle_until: Duration::ZERO,
            weights,
            has_new_report: true,
            is_urgent: false,
        }
    }

    /// The probes whose latency stands for a member whose reports tell no response time: members
    /// and probes.
    pub(super) fn probes<'t>(
        &self,
        topology: &'t Topology,
    ) -> impl Iterator<Item = (usize, ProbeId)> + use<'t> {
        let members = &topology.pools[self.id.index()].members;
        let is_timed = self.policy.measure == LoadMeasure::ResponseTime;
        let timed = members.iter().enumerate().filter(move |_| is_timed);
        timed.flat_map(|(at, member)| {
            probes_below(topology, member.kind).into_iter().map(move |probe| (at, probe))
        })
    }

    pub(super) fn record_report(
        &mut self,
        topology: &Topology,
        feed: FeedId,
        reading: &FeedReading,
    ) {
        self.has_new_report = true;
        for at in 0..self.feeds.len() {
            if !self.feeds[at].contains(&feed) {
                continue;
            }
            if let Some(time) = reading.report.response_time {
                // What a balancer measures and what a probe takes are not to be compared.
                let latency = &mut self.balance.latencies[at];
                if !std::mem::replace(&mut self.reports_response_time[at], true) {
                    *latency = Latency::default();
                }
                latency.record(time, reading.read_at);
                self.mark_urgent_if_slow(at);
            }
        }
        let source = load_source(topology, feed);
        let measured = MeasuredLoad::from_reports(
            &[(&reading.report, source)],
            gauge_name(&self.policy.measure),
        );
        let demand =
            measured.and_then(|measured| measured.load_signal(&self.policy, f64::INFINITY, None));
        self.is_urgent |= demand.is_some_and(|(_, demand)| demand.is_full());
    }

    fn mark_urgent_if_slow(&mut self, member: usize) {
        let times = self.balance.latencies[member].slowdown_factor();
        self.is_urgent |= times.is_some_and(|times| LoadSignal::Slowness { times }.is_full());
    }

    pub(super) fn record_failure(&mut self) {
        self.has_new_report = true;
    }

    /// What it goes by, each once.
    pub(super) fn feeds(&self) -> impl Iterator<Item = FeedId> {
        self.feeds.iter().flatten().copied().collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    pub(super) fn record_latency(&mut self, member: usize, latency: Duration, now: Duration) {
        if !self.reports_response_time[member] {
            self.has_new_report = true;
            self.balance.latencies[member].record(latency, now);
            self.mark_urgent_if_slow(member);
        }
    }

    pub(super) fn update(
        &mut self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        usable: &[bool],
        now: Duration,
    ) -> Option<Arc<[u32]>> {
        let known: Vec<Option<MemberReport>> = (0..self.feeds.len())
            .map(|at| self.member_report(topology, readings, at, now))
            .collect();
        (self.has_new_report, self.is_urgent) = (false, false);
        // At the start, and after a reload that brings new sources, reports come in one by one: the
        // first is not to be looked at without the others.
        let grace = *self.grace_ends.get_or_insert(now + self.timing.stale_after);
        let is_missing = |at: usize| usable.get(at) == Some(&true) && known[at].is_none();
        if now < grace && (0..known.len()).any(is_missing) {
            self.idle_until = grace;
            return self.weights.clone();
        }
        self.balance.update(&known, usable, &self.timing, now);
        let weights = self.balance.weights();
        if self.weights.as_deref() != weights.as_deref() {
            self.weights = weights.map(Into::into);
        }
        self.weights.clone()
    }

    /// What is known of a member.
    fn member_report(
        &self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        at: usize,
        now: Duration,
    ) -> Option<MemberReport> {
        let reports = fresh_reports(topology, readings, &self.feeds[at], now);
        let (measured, read) = if self.policy.measure == LoadMeasure::ResponseTime
            && !self.reports_response_time[at]
        {
            (
                self.load_by_latency(at, &reports.unwrap_or_default(), now)?,
                self.balance.latencies[at].measured_at(),
            )
        } else {
            let oldest = self.feeds[at]
                .iter()
                .filter_map(|feed| Some(readings.get(feed.index())?.as_ref()?.read_at))
                .min();
            (MeasuredLoad::from_reports(&reports?, gauge_name(&self.policy.measure))?, oldest?)
        };
        Some(MemberReport { measured, load_at: read.saturating_sub(self.report_lags[at]) })
    }

    /// A member that is timed by its probes; its reports, if there are any, tell what is left of
    /// it.
    fn load_by_latency(
        &self,
        member: usize,
        reports: &[(&LoadReport, &LoadSource)],
        now: Duration,
    ) -> Option<MeasuredLoad> {
        let latency: &Latency = &self.balance.latencies[member];
        let is_fresh = latency.slowdown_factor().is_some()
            && now.saturating_sub(latency.measured_at()) <= self.timing.stale_after;
        let unreported = MeasuredLoad {
            connections: None,
            limit: None,
            capacity_left: 1.0,
            gauge: None,
            response_time: None,
        };
        is_fresh.then(|| MeasuredLoad::from_reports(reports, None).unwrap_or(unreported))
    }

    /// When its shares are to be looked at; `None` while they rest as configured and no report
    /// comes in.
    pub(super) fn due(&self) -> Option<Duration> {
        let due = self.balance.due();
        let due = if self.is_urgent { due.min(self.balance.urgent_due()) } else { due };
        match &self.weights {
            _ if self.has_new_report => Some(due),
            // Within the grace only a report is a reason to look again.
            Some(_) => Some(due.max(self.idle_until)),
            // Who never reports is told of when the grace ends.
            None => self.grace_ends.filter(|_| due.is_zero()),
        }
    }

    pub(super) fn fallback(&self) -> Option<WeightFallback> {
        self.balance.fallback()
    }

    /// Each member's weight, where they are not as configured.
    pub(super) fn weights(&self) -> Option<Arc<[u32]>> {
        self.weights.clone()
    }

    pub(super) fn shares(&self) -> &[f64] {
        self.balance.shares()
    }

    /// Goes on with the shares of an earlier life, by member.
    pub(super) fn restore(&mut self, topology: &Topology, shares: &[(Box<str>, f64)]) {
        let members = &topology.pools[self.id.index()].members;
        let of = |kind| {
            shares
                .iter()
                .find(|(name, _)| **name == *topology.member_name(kind))
                .map(|(_, share)| *share)
        };
        self.balance.restore(members.iter().map(|member| of(member.kind)));
        self.weights = self.balance.weights().map(Into::into);
    }
}

/// The probes of every endpoint of a member, each once.
fn probes_below(topology: &Topology, kind: MemberKind) -> Vec<ProbeId> {
    let mut probes = Vec::new();
    let mut open = vec![kind];
    while let Some(kind) = open.pop() {
        match kind {
            MemberKind::Pool(id) => {
                open.extend(topology.pools[id.index()].members.iter().map(|member| member.kind))
            }
            MemberKind::Endpoint(id) => {
                probes.extend(topology.endpoint_probes[id.index()].iter().flatten())
            }
        }
    }
    probes.sort_unstable();
    probes.dedup();
    probes
}

/// Where a member of an old pool is in the new one, by its name.
pub(super) fn new_position(
    new: &Topology,
    id: PoolId,
    old: &Topology,
    old_id: PoolId,
    at: usize,
) -> Option<usize> {
    let name = old.member_name(old.pools[old_id.index()].members.get(at)?.kind);
    new.pools[id.index()].members.iter().position(|member| new.member_name(member.kind) == name)
}
