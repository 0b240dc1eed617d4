//! The regulator: load reports are polled and taken in, ramps and feedback go on, and what they
//! come to goes into the conditions. The controller publishes it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::Instant as TokioInstant};
use tracing::field::display;

use super::{state::unix_now, transition_log::TransitionLog};
use crate::{
    health::Check,
    load::{LoadReport, LoadSource},
    probe::{PollKey, PollReport, Poller, ProbeKey, ProbeReport, SchedulerCounts, SchedulerLimits},
    steer::{
        Compiler, Conditions, DisagreementChange, EndpointId, FeedId, FeedReading, Feedback,
        FeedbackReport, LoadFeed, PoolId, ProbeId, ProbeTarget, SavedFeedback, Topology,
        WeightFallback,
    },
};

/// Owns all that follows load reports and ramps.
#[derive(Debug)]
pub(super) struct LoadController {
    feedback: Feedback,
    poller: Poller,
    topology: Arc<Topology>,
    sources: Vec<Arc<LoadSource>>,
    feed_ids: HashMap<PollKey, FeedId>,
    /// Feeds that report in the replies to health checks, by whom those ask.
    header_feeds: HashMap<ProbeTarget, Vec<FeedId>>,
    /// By feed: the monitor of kind http whose replies carry it.
    header_monitors: Vec<Option<Box<str>>>,
    /// By feed: why its latest poll brought no report.
    failures: Vec<Option<FeedFailure>>,
    /// Polls that brought no report since the start.
    failed_polls: u64,
    /// Pools that go by their configured weights because of this.
    fallbacks: HashMap<PoolId, WeightFallback>,
    /// What the log knows of ramps, spilling pools and holders.
    transition_log: TransitionLog,
    epoch: Instant,
}

/// A feed whose latest poll brought no report.
#[derive(Debug, Clone)]
pub(super) struct FeedFailure {
    /// Why the latest poll brought none.
    pub reason: String,
    /// The end of the first poll since the last report, in seconds since 1970.
    pub since: i64,
}

impl LoadController {
    /// Polls nothing yet. Readings go to `readings` and come back by
    /// [`LoadController::record_poll`].
    pub(super) fn new(
        limits: SchedulerLimits,
        epoch: Instant,
        readings: mpsc::Sender<PollReport>,
    ) -> Self {
        Self {
            feedback: Feedback::default(),
            poller: Poller::start(limits, epoch, readings),
            topology: Arc::default(),
            sources: Vec::new(),
            feed_ids: HashMap::new(),
            header_feeds: HashMap::new(),
            header_monitors: Vec::new(),
            failures: Vec::new(),
            failed_polls: 0,
            fallbacks: HashMap::new(),
            transition_log: TransitionLog::default(),
            epoch,
        }
    }

    /// Goes on with another topology.
    pub(super) async fn set_topology(
        &mut self,
        topology: &Arc<Topology>,
        conditions: &mut Conditions,
    ) {
        self.topology = Arc::clone(topology);
        conditions.adjustments = self.feedback.apply_topology(topology);
        self.sources = topology.load_sources.iter().cloned().map(Arc::new).collect();
        let old: HashMap<PollKey, FeedId> = std::mem::take(&mut self.feed_ids);
        let old_failures = std::mem::take(&mut self.failures);
        self.failures = vec![None; topology.feeds.list.len()];
        self.header_feeds.clear();
        self.header_monitors = header_monitors(topology);
        self.fallbacks.clear();
        for (feed, id) in topology.feeds.list.iter().zip((0..).map(FeedId)) {
            let source = &self.sources[feed.source.index()];
            match (&feed.target, source.is_polled()) {
                (Some(target), false) => {
                    self.header_feeds.entry(target.clone()).or_default().push(id)
                }
                (target, _) => {
                    let target = match target {
                        Some(ProbeTarget::Address(address)) => Some(*address),
                        _ => None,
                    };
                    let key = PollKey { source: Arc::clone(source), target };
                    if let Some(failure) =
                        old.get(&key).and_then(|at| old_failures[at.index()].clone())
                    {
                        self.failures[id.index()] = Some(failure);
                        self.feedback.record_failure(id);
                    }
                    self.feed_ids.insert(key, id);
                }
            }
        }
        self.poller.set_keys(self.feed_ids.keys().cloned().collect()).await;
    }

    /// Goes on where an earlier life ended.
    pub(super) fn restore(&mut self, saved: SavedFeedback, conditions: &mut Conditions) {
        conditions.adjustments = self.feedback.restore(saved);
    }

    /// What must survive a restart.
    pub(super) fn saved(&self) -> SavedFeedback {
        self.feedback.to_saved(self.epoch.elapsed())
    }

    /// Takes in what a poll came to.
    pub(super) fn record_poll(&mut self, reading: PollReport, conditions: &Conditions) {
        // A reading of a configuration that is gone is nobody's.
        let Some(&feed) = self.feed_ids.get(&reading.key) else { return };
        let read = reading.result.map_err(|failure| failure.to_string());
        self.record_result(
            feed,
            (&reading.key.to_string(), None),
            (read, reading.ended_at),
            conditions,
        );
    }

    /// Takes in what a health check says beside its outcome: how long it took, and what the reply
    /// carries.
    pub(super) fn record_probe(
        &mut self,
        probe: ProbeId,
        report: &ProbeReport,
        conditions: &Conditions,
    ) {
        if report.outcome.is_pass() {
            self.feedback.record_latency(probe, report.outcome.latency, report.ended_at);
        }
        if self.header_feeds.is_empty() || !report.outcome.is_pass() {
            return;
        }
        for feed in self.header_feeds.get(&report.key.target).cloned().unwrap_or_default() {
            let source =
                Arc::clone(&self.sources[self.topology.feeds.list[feed.index()].source.index()]);
            let read = match &report.outcome.load_metrics {
                Some(metrics) => source.read_header(metrics).map_err(|fault| fault.to_string()),
                None if self.header_monitors[feed.index()].as_ref()
                    == Some(&report.key.monitor.name) =>
                {
                    Err("the reply carries no endpoint-load-metrics".to_owned())
                }
                // Another monitor of the same target need not carry it.
                None => continue,
            };
            self.record_result(
                feed,
                (&source.name, Some(&report.key)),
                (read, report.ended_at),
                conditions,
            );
        }
    }

    /// Takes in a report, or why there is none; the log is told where that changes.
    fn record_result(
        &mut self,
        feed: FeedId,
        (load, target): (&str, Option<&ProbeKey>),
        (read, at): (Result<LoadReport, String>, Duration),
        conditions: &Conditions,
    ) {
        let (monitor, endpoint) =
            target.map(|key| (display(&key.monitor.name), display(&key.target))).unzip();
        let before = self.failures[feed.index()].take();
        match read {
            Ok(report) => {
                if before.is_some() {
                    tracing::info!(%load, monitor, endpoint, "load report received again");
                }
                self.record_report(feed, FeedReading { report, read_at: at }, conditions);
            }
            Err(why) => {
                if before.as_ref().is_none_or(|before| before.reason != why) {
                    tracing::warn!(%load, monitor, endpoint, reason = %why, "no load report");
                }
                let age = self.epoch.elapsed().saturating_sub(at).as_secs();
                let since = before
                    .map_or_else(|| unix_now().saturating_sub_unsigned(age), |before| before.since);
                self.failures[feed.index()] = Some(FeedFailure { reason: why, since });
                self.failed_polls += 1;
                self.feedback.record_failure(feed);
            }
        }
    }

    fn record_report(&mut self, feed: FeedId, reading: FeedReading, conditions: &Conditions) {
        let LoadFeed { source: load, target } = &self.topology.feeds.list[feed.index()];
        let load = &self.sources[load.index()].name;
        let endpoint = target.as_ref().map(display);
        match self.feedback.record_report(feed, reading, conditions) {
            Some(DisagreementChange::Began(found)) => {
                tracing::warn!(%load, endpoint, difference = found.text(), "probes and load report disagree")
            }
            Some(DisagreementChange::Ended) => {
                tracing::info!(%load, endpoint, "probes and load report agree again")
            }
            None => {}
        }
    }

    /// Looks at all whose time has come; the pools for which anything differs.
    pub(super) fn update(
        &mut self,
        compiler: &Compiler,
        conditions: &mut Conditions,
        has_news: bool,
    ) -> Vec<PoolId> {
        let changed = self.feedback.update(compiler, conditions, has_news, self.epoch.elapsed());
        let now: HashMap<PoolId, WeightFallback> = self.feedback.fallbacks().collect();
        for (id, fallback) in &now {
            if self.fallbacks.get(id) != Some(fallback) {
                let (pool, why) = (self.pool_name(*id), self.fallback_text(*id, *fallback));
                tracing::warn!(%pool, reason = %why, "pool uses its configured weights");
            }
        }
        for id in self.fallbacks.keys().filter(|id| !now.contains_key(id)) {
            tracing::info!(pool = %self.pool_name(*id), "pool uses load reports again");
        }
        self.fallbacks = now;
        if has_news || !changed.is_empty() {
            let now = self.epoch.elapsed();
            self.transition_log.log_changes(&self.feedback, &self.topology, now);
        }
        changed
    }

    fn pool_name(&self, id: PoolId) -> &str {
        &self.topology.pools[id.index()].name
    }

    /// Why a pool goes by its configured weights.
    pub(super) fn fallback_text(&self, id: PoolId, fallback: WeightFallback) -> String {
        let member = |at: u16| {
            let member = self.topology.pools[id.index()].members.get(usize::from(at));
            member.map_or("", |member| self.topology.member_name(member.kind)).to_owned()
        };
        match fallback {
            WeightFallback::NoReport(at) => {
                format!("member {:?} has no load report that is young enough", member(at))
            }
            WeightFallback::NoMeasure(at) => {
                format!("the load report of member {:?} lacks what the pool goes by", member(at))
            }
        }
    }

    /// When there is something to look at again.
    pub(super) fn wake_at(&self) -> Option<TokioInstant> {
        let due = self.feedback.next_due(self.epoch.elapsed())?;
        Some(TokioInstant::from_std(self.epoch + due))
    }

    /// Whether there is something to look at now.
    pub(super) fn is_due(&self) -> bool {
        let now = self.epoch.elapsed();
        self.feedback.next_due(now).is_some_and(|due| due <= now)
    }

    /// Gives the clients of a `failover` pool back; `None` where there is no such pool, else
    /// whether it held any.
    pub(super) fn force_failback(&mut self, pool: &str) -> Option<bool> {
        let at = self.topology.pools.iter().position(|one| *one.name == *pool)?;
        Some(self.feedback.fail_back(PoolId(at as u32)))
    }

    /// All that is under way.
    pub(super) fn report(&self) -> FeedbackReport<'_> {
        self.feedback.report(self.epoch.elapsed())
    }

    /// Why a feed's latest poll brought no report, and since when none did.
    pub(super) fn failure(&self, feed: FeedId) -> Option<&FeedFailure> {
        self.failures[feed.index()].as_ref()
    }

    /// Polls that brought no report since the start.
    pub(super) fn failed_polls(&self) -> u64 {
        self.failed_polls
    }

    /// What the poller has done since the start.
    pub(super) fn polls(&self) -> SchedulerCounts {
        self.poller.read_counts()
    }

    /// The time since the epoch of readings and ramps.
    pub(super) fn elapsed(&self) -> Duration {
        self.epoch.elapsed()
    }
}

/// By feed that comes in the replies to health checks: the monitor of those who name it.
fn header_monitors(topology: &Topology) -> Vec<Option<Box<str>>> {
    let mut carries = vec![None; topology.feeds.list.len()];
    for (feed, endpoints) in carries.iter_mut().zip(topology.endpoints_by_feed()) {
        let monitor = |id: &EndpointId| topology.endpoints[id.index()].monitor;
        let monitor = endpoints.iter().find_map(monitor).map(|id| &topology.monitors[id.index()]);
        *feed = monitor
            .filter(|monitor| matches!(monitor.check, Check::Http(_)))
            .map(|monitor| monitor.name.clone());
    }
    carries
}
