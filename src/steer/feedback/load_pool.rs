//! One `load` pool: its feeds and probes, and when its shares are updated.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    balance::{Balance, BalanceTiming, MemberReport, WeightFallback},
    equilibrium::LoadSignal,
    feed_reading::{FeedReading, SourcedReport, fresh_reports, load_source},
    latency::Latency,
    measured_load::MeasuredLoad,
    members::{new_position, probes_below},
    regulated_pools::{IDLE_UPDATE_INTERVAL, RegulatedPools},
};
use crate::steer::{
    model::{FeedId, PoolId, ProbeId, Topology},
    model::{LoadMeasure, LoadPolicy, Policy, Pool},
};

/// A latency is a moving average: it shows the load of this many intervals ago.
const LATENCY_LAG_INTERVALS: u32 = 3;
/// The response time of a probe expires after this many intervals without a newer one.
const LATENCY_STALE_INTERVALS: u32 = 3;

/// A `load` pool. Lists are in the order of the members.
#[derive(Debug)]
pub(super) struct LoadPool {
    pub id: PoolId,
    balance: Balance,
    policy: LoadPolicy,
    feeds: Vec<Vec<FeedId>>,
    /// Whether the member's reports contain its response time, so that its probes are not used.
    reports_response_time: Vec<bool>,
    timing: BalanceTiming,
    /// The age of the load that a report of the member shows, at the time the report is read.
    report_lags: Vec<Duration>,
    /// The end of the grace period after the first update, in which missing reports may arrive.
    grace_ends: Option<Duration>,
    /// Before this time, only a new report makes an update due.
    idle_until: Duration,
    /// The weights last returned, kept so that equal ones share one allocation.
    weights: Option<Arc<[u32]>>,
    /// Whether a report has arrived since the latest update.
    has_new_report: bool,
    /// Whether such a report shows a full member.
    is_urgent: bool,
}

impl LoadPool {
    /// The pool in a new topology, with the state that it had in the old one, if any.
    pub(super) fn new(
        topology: &Topology,
        id: PoolId,
        regulated: &RegulatedPools,
        old: Option<(&Topology, Self)>,
    ) -> Self {
        let pool = &topology.pools[id.index()];
        let Policy::Load(policy) = pool.policy.clone() else {
            unreachable!("`RegulatedPools::load_pools` holds pools with a `load` policy only")
        };
        let weights: Vec<u16> = pool.members.iter().map(|member| member.weight).collect();
        let feeds: Vec<Vec<FeedId>> =
            pool.members.iter().map(|member| topology.feeds_of_member(member.kind)).collect();
        let mut balance = Balance::new(policy.clone(), weights);
        let mut reports_response_time = vec![false; feeds.len()];
        if let Some((old_topology, old)) = old {
            let new_position = |member| new_position(topology, id, old_topology, old.id, member);
            balance.continue_from(&old.balance, new_position);
            for (old_member, reports) in old.reports_response_time.iter().enumerate() {
                if let Some(member) = new_position(old_member) {
                    reports_response_time[member] = *reports;
                }
            }
        }
        let probe_interval = longest_probe_interval(topology, pool);
        let uses_response_time = policy.measure == LoadMeasure::ResponseTime;
        let used_probe_interval = probe_interval.filter(|_| uses_response_time);
        let all_feeds = feeds.concat();
        let reports_stale_after =
            all_feeds.iter().map(|feed| load_source(topology, *feed).stale_after).max();
        let timing = BalanceTiming {
            period: regulated.period(topology, id, &all_feeds, used_probe_interval),
            urgent_period: regulated.urgent_period(topology, id, &all_feeds, used_probe_interval),
            ttl: regulated.longest_ttl(id),
            stale_after: probe_interval
                .map(|interval| interval * LATENCY_STALE_INTERVALS)
                .max(reports_stale_after)
                .unwrap_or(IDLE_UPDATE_INTERVAL),
        };
        let report_lag = |feeds: &Vec<FeedId>| {
            let feed_intervals = feeds.iter().map(|feed| load_source(topology, *feed).interval);
            let interval = feed_intervals.max().or(used_probe_interval).unwrap_or_default();
            if uses_response_time { interval * LATENCY_LAG_INTERVALS } else { interval }
        };
        let report_lags = feeds.iter().map(report_lag).collect();
        let weights = balance.weights().map(Into::into);
        Self {
            id,
            balance,
            policy,
            feeds,
            reports_response_time,
            timing,
            report_lags,
            grace_ends: None,
            idle_until: Duration::ZERO,
            weights,
            has_new_report: true,
            is_urgent: false,
        }
    }

    /// The members and probes whose response times the pool uses for members whose reports contain
    /// none.
    pub(super) fn probes<'t>(
        &self,
        topology: &'t Topology,
    ) -> impl Iterator<Item = (usize, ProbeId)> + use<'t> {
        let members = &topology.pools[self.id.index()].members;
        let uses_response_time = self.policy.measure == LoadMeasure::ResponseTime;
        members.iter().enumerate().filter(move |_| uses_response_time).flat_map(
            |(position, member)| {
                let probes = probes_below(topology, member.kind);
                probes.into_iter().map(move |probe| (position, probe))
            },
        )
    }

    /// Records a report of a feed.
    pub(super) fn record_report(
        &mut self,
        topology: &Topology,
        feed: FeedId,
        reading: &FeedReading,
    ) {
        self.has_new_report = true;
        for member in 0..self.feeds.len() {
            if !self.feeds[member].contains(&feed) {
                continue;
            }
            if let Some(response_time) = reading.report.response_time {
                // The times of a balancer and those of a probe are not comparable, so the history
                // of probes is dropped.
                let latency = &mut self.balance.latencies[member];
                if !std::mem::replace(&mut self.reports_response_time[member], true) {
                    *latency = Latency::default();
                }
                latency.record(response_time, reading.read_at);
                self.mark_urgent_if_slow(member);
            }
        }
        let source = load_source(topology, feed);
        let measured =
            MeasuredLoad::from_reports(&[(&reading.report, source)], &self.policy.measure);
        let load =
            measured.and_then(|measured| measured.load_signal(&self.policy, f64::INFINITY, None));
        self.is_urgent |= load.is_some_and(|load| load.signal.is_full());
    }

    fn mark_urgent_if_slow(&mut self, member: usize) {
        let slowdown = self.balance.latencies[member].slowdown_factor();
        self.is_urgent |= slowdown.is_some_and(|times| LoadSignal::Slowness { times }.is_full());
    }

    /// Records that a poll of a feed returned no report.
    pub(super) fn record_failure(&mut self) {
        self.has_new_report = true;
    }

    /// The feeds whose reports the pool uses, each once.
    pub(super) fn feeds(&self) -> impl Iterator<Item = FeedId> {
        self.feeds.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter()
    }

    /// Records the response time of a probe, unless the member's reports contain response times.
    pub(super) fn record_latency(&mut self, member: usize, latency: Duration, now: Duration) {
        if !self.reports_response_time[member] {
            self.has_new_report = true;
            self.balance.latencies[member].record(latency, now);
            self.mark_urgent_if_slow(member);
        }
    }

    /// Moves the shares one step, as far as that is due. Returns each member's weight, or `None`
    /// while they are as configured. `usable` says of each member whether clients may be sent to
    /// it.
    pub(super) fn update(
        &mut self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        usable: &[bool],
        now: Duration,
    ) -> Option<Arc<[u32]>> {
        let reports: Vec<Option<MemberReport>> = (0..self.feeds.len())
            .map(|member| self.member_report(topology, readings, member, now))
            .collect();
        (self.has_new_report, self.is_urgent) = (false, false);
        // After a start, and after a reload with new sources, reports arrive one by one. The first
        // must not count without the others.
        let grace_ends = *self.grace_ends.get_or_insert(now + self.timing.stale_after);
        let is_missing =
            |member: usize| usable.get(member) == Some(&true) && reports[member].is_none();
        if now < grace_ends && (0..reports.len()).any(is_missing) {
            self.idle_until = grace_ends;
            return self.weights.clone();
        }
        self.balance.update(&reports, usable, &self.timing, now);
        let weights = self.balance.weights();
        if self.weights.as_deref() != weights.as_deref() {
            self.weights = weights.map(Into::into);
        }
        self.weights.clone()
    }

    /// The reports of a member; `None` if they are missing or expired.
    fn member_report(
        &self,
        topology: &Topology,
        readings: &[Option<FeedReading>],
        member: usize,
        now: Duration,
    ) -> Option<MemberReport> {
        let feeds = &self.feeds[member];
        let reports = fresh_reports(topology, readings, feeds, now);
        let uses_probes =
            self.policy.measure == LoadMeasure::ResponseTime && !self.reports_response_time[member];
        let (measured, read_at) = if uses_probes {
            let measured = self.load_by_latency(member, &reports.unwrap_or_default(), now)?;
            (measured, self.balance.latencies[member].measured_at())
        } else {
            let oldest = feeds
                .iter()
                .filter_map(|feed| Some(readings.get(feed.index())?.as_ref()?.read_at))
                .min();
            (MeasuredLoad::from_reports(&reports?, &self.policy.measure)?, oldest?)
        };
        Some(MemberReport { measured, load_at: read_at.saturating_sub(self.report_lags[member]) })
    }

    /// The load of a member whose response time is measured by its probes. Its reports, if there
    /// are any, still say what capacity is left.
    fn load_by_latency(
        &self,
        member: usize,
        reports: &[SourcedReport<'_>],
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
        is_fresh.then(|| {
            MeasuredLoad::from_reports(reports, &self.policy.measure).unwrap_or(unreported)
        })
    }

    /// When the next update is due; `None` while the shares are as configured and no report
    /// arrives.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let due = self.balance.due();
        let due = if self.is_urgent { due.min(self.balance.urgent_due()) } else { due };
        match &self.weights {
            _ if self.has_new_report => Some(due),
            // Before the grace ends only a report is a reason for an update.
            Some(_) => Some(due.max(self.idle_until)),
            // If members never report, the update at the end of the grace says so.
            None => self.grace_ends.filter(|_| due.is_zero()),
        }
    }

    /// Why the configured weights apply, if they do.
    pub(super) fn fallback(&self) -> Option<WeightFallback> {
        self.balance.fallback()
    }

    /// Each member's weight; `None` while they are as configured.
    pub(super) fn weights(&self) -> Option<Arc<[u32]>> {
        self.weights.clone()
    }

    /// The present shares, which add up to 1.
    pub(super) fn shares(&self) -> &[f64] {
        self.balance.shares()
    }

    /// Continues with the shares of a previous run: names of members and the share of each.
    pub(super) fn restore(&mut self, topology: &Topology, saved: &[(Box<str>, f64)]) {
        let saved_share = |name: &str| {
            saved.iter().find(|(member, _)| **member == *name).map(|(_, share)| *share)
        };
        let members = topology.pools[self.id.index()].members.iter();
        self.balance.restore(members.map(|member| saved_share(topology.member_name(member.kind))));
        self.weights = self.balance.weights().map(Into::into);
    }
}

/// The longest interval of any probe below a pool; `None` if nothing is probed.
fn longest_probe_interval(topology: &Topology, pool: &Pool) -> Option<Duration> {
    let interval =
        |probe: ProbeId| topology.monitors[topology.probes[probe.index()].monitor.index()].interval;
    let members = pool.members.iter();
    members.flat_map(|member| probes_below(topology, member.kind)).map(interval).max()
}
