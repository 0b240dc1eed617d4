//! The pools that feedback has a part in, each with what it needs of the topology.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Reading,
    balance::{Balance, Fallback, Known, Pace},
    equilibrium::Demand,
    latency::Latency,
    measure::Measured,
};
use crate::{
    load::{LoadReport, LoadSource},
    steer::{
        chart_plan::pools_below,
        pool::{Failback, LoadMeasure, LoadPolicy, MemberKind, Policy},
        topology::{FeedId, PoolId, ProbeId, Topology},
    },
};

/// How often a pool without reports is looked at.
const IDLE_PERIOD: Duration = Duration::from_secs(5);
/// The most changes of shares within a TTL while a member is full. It bounds the history that must
/// be kept.
const URGENT_STEPS: u32 = 32;
/// A latency is a moving average: it shows the load of so many intervals ago.
const LATENCY_INTERVALS: u32 = 3;

/// The pools of a topology that feedback has a part in.
pub(super) struct Watched {
    pub loaded: Vec<PoolId>,
    pub spilling: Vec<PoolId>,
    pub held: Vec<PoolId>,
    /// The longest TTL of any service that a pool answers for.
    longest_ttl: HashMap<PoolId, Duration>,
}

impl Watched {
    pub(super) fn of(topology: &Topology) -> Self {
        let pools = || topology.pools.iter().zip((0..).map(PoolId));
        let ids = |is_one: fn(&crate::steer::Pool) -> bool| -> Vec<PoolId> {
            pools().filter(|(pool, _)| is_one(pool)).map(|(_, id)| id).collect()
        };
        let loaded = ids(|pool| matches!(pool.policy, Policy::Load(_)));
        let spilling = ids(|pool| pool.regulation.capacity.is_some());
        let held = ids(|pool| pool.regulation.failback != Failback::Auto);
        let paced: HashSet<PoolId> = loaded.iter().chain(&spilling).copied().collect();
        Self { longest_ttl: longest_ttls(topology, &paced), loaded, spilling, held }
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
    pub(super) fn seen_period(
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
        (self.ttl(id) / URGENT_STEPS).max(Self::shortest_period(topology, feeds, timed))
    }

    /// Twice the interval of the reports, so that a step is seen before the next.
    fn shortest_period(topology: &Topology, feeds: &[FeedId], timed: Option<Duration>) -> Duration {
        let interval = feeds.iter().map(|feed| source(topology, *feed).interval).chain(timed).max();
        interval.map_or(IDLE_PERIOD, |interval| interval * 2).max(Duration::from_secs(1))
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
        for id in pools_below(topology, &[root]).into_iter().filter(|id| wanted.contains(id)) {
            longest
                .entry(id)
                .and_modify(|known: &mut Duration| *known = ttl.max(*known))
                .or_insert(ttl);
        }
    }
    longest
}

pub(super) fn source(topology: &Topology, feed: FeedId) -> &LoadSource {
    &topology.load_sources[topology.feeds.list[feed.index()].source.index()]
}

/// The reports of these feeds, if all of them are young enough.
pub(super) fn fresh<'a>(
    topology: &'a Topology,
    readings: &'a [Option<Reading>],
    feeds: &[FeedId],
    now: Duration,
) -> Option<Vec<(&'a LoadReport, &'a LoadSource)>> {
    let one = |feed: &FeedId| {
        let source = source(topology, *feed);
        let reading = readings.get(feed.index())?.as_ref()?;
        (now.saturating_sub(reading.at) <= source.stale_after).then_some((&reading.report, source))
    };
    feeds.iter().map(one).collect()
}

pub(super) fn gauge(by: &LoadMeasure) -> Option<&str> {
    match by {
        LoadMeasure::Gauge(name) => Some(name),
        LoadMeasure::Connections | LoadMeasure::ResponseTime => None,
    }
}

/// A `source` pool.
#[derive(Debug)]
pub(super) struct Loaded {
    pub id: PoolId,
    balance: Balance,
    policy: LoadPolicy,
    /// By member.
    feeds: Vec<Vec<FeedId>>,
    /// By member: whether a report told its response time.
    is_told: Vec<bool>,
    /// How often its shares may change. A latency older than `stale_after` says nothing.
    pace: Pace,
    /// By member: the age of the load that a report shows, at the time it is read.
    lags: Vec<Duration>,
    /// When the first reports must be in.
    grace: Option<Duration>,
    /// Until then nothing is looked at but for a report.
    held_until: Duration,
    /// As last compiled, to share what stays the same.
    weights: Option<Arc<[u32]>>,
    /// A report came in since the last look.
    has_heard: bool,
    /// It said that a member is full.
    is_urgent: bool,
}

impl Loaded {
    pub(super) fn new(
        topology: &Topology,
        id: PoolId,
        watched: &Watched,
        old: Option<(&Topology, Self)>,
    ) -> Self {
        let pool = &topology.pools[id.index()];
        let Policy::Load(policy) = pool.policy.clone() else {
            unreachable!("only load pools are watched for their load")
        };
        let weights: Vec<u16> = pool.members.iter().map(|member| member.weight).collect();
        let feeds: Vec<Vec<FeedId>> = pool
            .members
            .iter()
            .map(|member| topology.feeds.describing(topology, member.kind))
            .collect();
        let (mut balance, mut is_told) =
            (Balance::new(policy.clone(), weights), vec![false; feeds.len()]);
        if let Some((old_topology, old)) = old {
            let now_at = |at| moved_to(topology, id, old_topology, old.id, at);
            balance.go_on_from(&old.balance, now_at);
            for (at, told) in old.is_told.iter().enumerate() {
                now_at(at).into_iter().for_each(|at| is_told[at] = *told);
            }
        }
        let probes = |at: usize| probes_below(topology, pool.members[at].kind);
        let interval = |probe: ProbeId| {
            topology.monitors[topology.probes[probe.index()].monitor.index()].interval
        };
        let probed = (0..pool.members.len()).flat_map(probes).map(interval).max();
        let is_timed = policy.measure == LoadMeasure::ResponseTime;
        let timed = probed.filter(|_| is_timed);
        let reported = feeds.iter().flatten().map(|feed| source(topology, *feed).stale_after).max();
        let stale_after = probed.map(|interval| interval * 3).max(reported).unwrap_or(IDLE_PERIOD);
        let pace = Pace {
            period: watched.period(topology, id, &feeds.concat(), timed),
            urgent_period: watched.urgent_period(topology, id, &feeds.concat(), timed),
            ttl: watched.ttl(id),
            stale_after,
        };
        let lag = |feeds: &Vec<FeedId>| {
            let interval = feeds
                .iter()
                .map(|feed| source(topology, *feed).interval)
                .max()
                .or(timed)
                .unwrap_or_default();
            if is_timed { interval * LATENCY_INTERVALS } else { interval }
        };
        let lags = feeds.iter().map(lag).collect();
        let weights = balance.weights().map(Into::into);
        Self {
            id,
            balance,
            policy,
            feeds,
            pace,
            lags,
            is_told,
            grace: None,
            held_until: Duration::ZERO,
            weights,
            has_heard: true,
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

    pub(super) fn note(&mut self, topology: &Topology, feed: FeedId, reading: &Reading) {
        self.has_heard = true;
        for at in 0..self.feeds.len() {
            if !self.feeds[at].contains(&feed) {
                continue;
            }
            if let Some(time) = reading.report.response_time {
                // What a balancer measures and what a probe takes are not to be compared.
                let latency = &mut self.balance.latencies[at];
                if !std::mem::replace(&mut self.is_told[at], true) {
                    *latency = Latency::default();
                }
                latency.note(time, reading.at);
                self.note_slowness(at);
            }
        }
        let source = source(topology, feed);
        let measured = Measured::of(&[(&reading.report, source)], gauge(&self.policy.measure));
        let demand =
            measured.and_then(|measured| measured.demand(&self.policy, f64::INFINITY, None));
        self.is_urgent |= demand.is_some_and(|(_, demand)| demand.is_full());
    }

    fn note_slowness(&mut self, member: usize) {
        let times = self.balance.latencies[member].times_usual();
        self.is_urgent |= times.is_some_and(|times| Demand::Slowness { times }.is_full());
    }

    pub(super) fn note_failure(&mut self) {
        self.has_heard = true;
    }

    /// What it goes by, each once.
    pub(super) fn feeds(&self) -> impl Iterator<Item = FeedId> {
        self.feeds.iter().flatten().copied().collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    pub(super) fn note_latency(&mut self, member: usize, latency: Duration, now: Duration) {
        if !self.is_told[member] {
            self.has_heard = true;
            self.balance.latencies[member].note(latency, now);
            self.note_slowness(member);
        }
    }

    pub(super) fn follow(
        &mut self,
        topology: &Topology,
        readings: &[Option<Reading>],
        usable: &[bool],
        now: Duration,
    ) -> Option<Arc<[u32]>> {
        let known: Vec<Option<Known>> =
            (0..self.feeds.len()).map(|at| self.known(topology, readings, at, now)).collect();
        (self.has_heard, self.is_urgent) = (false, false);
        // At the start, and after a reload that brings new sources, reports come in one by one: the
        // first is not to be looked at without the others.
        let grace = *self.grace.get_or_insert(now + self.pace.stale_after);
        let is_missing = |at: usize| usable.get(at) == Some(&true) && known[at].is_none();
        if now < grace && (0..known.len()).any(is_missing) {
            self.held_until = grace;
            return self.weights.clone();
        }
        self.balance.follow(&known, usable, &self.pace, now);
        let weights = self.balance.weights();
        if self.weights.as_deref() != weights.as_deref() {
            self.weights = weights.map(Into::into);
        }
        self.weights.clone()
    }

    /// What is known of a member.
    fn known(
        &self,
        topology: &Topology,
        readings: &[Option<Reading>],
        at: usize,
        now: Duration,
    ) -> Option<Known> {
        let reports = fresh(topology, readings, &self.feeds[at], now);
        let (measured, read) =
            if self.policy.measure == LoadMeasure::ResponseTime && !self.is_told[at] {
                (
                    self.by_latency(at, &reports.unwrap_or_default(), now)?,
                    self.balance.latencies[at].at(),
                )
            } else {
                let oldest = self.feeds[at]
                    .iter()
                    .filter_map(|feed| Some(readings.get(feed.index())?.as_ref()?.at))
                    .min();
                (Measured::of(&reports?, gauge(&self.policy.measure))?, oldest?)
            };
        Some(Known { measured, of: read.saturating_sub(self.lags[at]) })
    }

    /// A member that is timed by its probes; its reports, if there are any, tell what is left of
    /// it.
    fn by_latency(
        &self,
        member: usize,
        reports: &[(&LoadReport, &LoadSource)],
        now: Duration,
    ) -> Option<Measured> {
        let latency: &Latency = &self.balance.latencies[member];
        let is_fresh = latency.times_usual().is_some()
            && now.saturating_sub(latency.at()) <= self.pace.stale_after;
        let unreported = Measured {
            connections: None,
            limit: None,
            left: 1.0,
            gauge: None,
            response_time: None,
        };
        is_fresh.then(|| Measured::of(reports, None).unwrap_or(unreported))
    }

    /// When its shares are to be looked at; `None` while they rest as configured and no report
    /// comes in.
    pub(super) fn due(&self) -> Option<Duration> {
        let due = self.balance.due();
        let due = if self.is_urgent { due.min(self.balance.urgent_due()) } else { due };
        match &self.weights {
            _ if self.has_heard => Some(due),
            // Within the grace only a report is a reason to look again.
            Some(_) => Some(due.max(self.held_until)),
            // Who never reports is told of when the grace ends.
            None => self.grace.filter(|_| due.is_zero()),
        }
    }

    pub(super) fn fallback(&self) -> Option<Fallback> {
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
pub(super) fn moved_to(
    new: &Topology,
    id: PoolId,
    old: &Topology,
    old_id: PoolId,
    at: usize,
) -> Option<usize> {
    let name = old.member_name(old.pools[old_id.index()].members.get(at)?.kind);
    new.pools[id.index()].members.iter().position(|member| new.member_name(member.kind) == name)
}
