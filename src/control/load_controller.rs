//! The load controller: it polls load reports and gives them to feedback, which makes shares and
//! ramps of them. The conditions get the result, and the controller publishes it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::Instant as TokioInstant};
use tracing::field::display;

use super::{clock::unix_now, transition_log::TransitionLog};
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

/// Owns the polls, the feedback and the log of its transitions. `feed_ids` has each feed that is
/// polled; `header_feeds` has the others.
#[derive(Debug)]
pub(super) struct LoadController {
    feedback: Feedback,
    poller: Poller,
    topology: Arc<Topology>,
    sources: Vec<Arc<LoadSource>>,
    feed_ids: HashMap<PollKey, FeedId>,
    /// Feeds whose reports come in the replies to health checks, by the target of the check.
    header_feeds: HashMap<ProbeTarget, Vec<FeedId>>,
    /// By feed: the monitor of kind `http` whose replies must have the report.
    header_monitors: Vec<Option<Box<str>>>,
    /// By feed: why its latest poll brought no report.
    failures: Vec<Option<FeedFailure>>,
    /// The number of polls that brought no report since the start.
    failed_polls: u64,
    /// Pools that use their configured weights, and why.
    fallbacks: HashMap<PoolId, WeightFallback>,
    /// Logs ramps, spilling pools and holders.
    transition_log: TransitionLog,
    epoch: Instant,
}

/// A feed whose latest poll brought no report.
#[derive(Debug, Clone)]
pub(super) struct FeedFailure {
    /// Why the latest poll brought no report.
    pub reason: String,
    /// The end of the first poll since the last report, in seconds since 1970.
    pub since: i64,
}

/// A report of a feed, or why there is none.
struct FeedResult<'a> {
    /// The name of the load source and, if it is polled, of its target.
    load: &'a str,
    /// The health check whose reply had the report; `None` for a poll.
    health_check: Option<&'a ProbeKey>,
    result: Result<LoadReport, String>,
    /// The time at which the report was read, as the time since the epoch.
    read_at: Duration,
}

impl LoadController {
    /// Polls nothing until [`LoadController::set_topology`]. Results of polls go to `reports` and
    /// come back by [`LoadController::record_poll`].
    pub(super) fn new(
        limits: SchedulerLimits,
        epoch: Instant,
        reports: mpsc::Sender<PollReport>,
    ) -> Self {
        Self {
            feedback: Feedback::default(),
            poller: Poller::start(limits, epoch, reports),
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

    /// Polls the load sources of `topology`, and no others. A feed that stays keeps its failure.
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
                        old.get(&key).and_then(|id| old_failures[id.index()].clone())
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

    /// Continues from the state of a previous run.
    pub(super) fn restore(&mut self, saved: SavedFeedback, conditions: &mut Conditions) {
        conditions.adjustments = self.feedback.restore(saved);
    }

    /// The state for the next run.
    pub(super) fn saved(&self) -> SavedFeedback {
        self.feedback.to_saved(self.epoch.elapsed())
    }

    /// Records the result of a poll.
    pub(super) fn record_poll(&mut self, report: PollReport, conditions: &Conditions) {
        // The result may belong to an earlier configuration.
        let Some(&feed) = self.feed_ids.get(&report.key) else { return };
        let result = report.result.map_err(|failure| failure.to_string());
        let load = report.key.to_string();
        let result =
            FeedResult { load: &load, health_check: None, result, read_at: report.ended_at };
        self.record_result(feed, result, conditions);
    }

    /// Records what a health check says besides its outcome: its latency, and the load that its
    /// reply carries.
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
            let result = match &report.outcome.load_metrics {
                Some(metrics) => source.read_header(metrics).map_err(|fault| fault.to_string()),
                None if self.header_monitors[feed.index()].as_ref()
                    == Some(&report.key.monitor.name) =>
                {
                    Err("the reply carries no endpoint-load-metrics".to_owned())
                }
                // The replies to another monitor of the target need not have a report.
                None => continue,
            };
            let result = FeedResult {
                load: &source.name,
                health_check: Some(&report.key),
                result,
                read_at: report.ended_at,
            };
            self.record_result(feed, result, conditions);
        }
    }

    /// Records a report of a feed, or why there is none, and logs a change between both.
    fn record_result(&mut self, feed: FeedId, result: FeedResult<'_>, conditions: &Conditions) {
        let FeedResult { load, health_check, result, read_at } = result;
        let (monitor, endpoint) =
            health_check.map(|key| (display(&key.monitor.name), display(&key.target))).unzip();
        let before = self.failures[feed.index()].take();
        match result {
            Ok(report) => {
                if before.is_some() {
                    tracing::info!(%load, monitor, endpoint, "load report received again");
                }
                self.record_report(feed, FeedReading { report, read_at }, conditions);
            }
            Err(reason) => {
                if before.as_ref().is_none_or(|before| before.reason != reason) {
                    tracing::warn!(%load, monitor, endpoint, %reason, "no load report");
                }
                let age = self.epoch.elapsed().saturating_sub(read_at).as_secs();
                let since = before
                    .map_or_else(|| unix_now().saturating_sub_unsigned(age), |before| before.since);
                self.failures[feed.index()] = Some(FeedFailure { reason, since });
                self.failed_polls += 1;
                self.feedback.record_failure(feed);
            }
        }
    }

    fn record_report(&mut self, feed: FeedId, reading: FeedReading, conditions: &Conditions) {
        let LoadFeed { source, target } = &self.topology.feeds.list[feed.index()];
        let load = &self.sources[source.index()].name;
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

    /// Updates shares, ramps and holders in the conditions, and logs what changed. `has_news` says
    /// that other conditions changed. Returns the pools for which anything differs.
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
                let (pool, reason) = (self.pool_name(*id), self.fallback_text(*id, *fallback));
                tracing::warn!(%pool, %reason, "pool uses its configured weights");
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

    /// The topology to whose pools the feedback applies.
    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    fn pool_name(&self, id: PoolId) -> &str {
        &self.topology.pools[id.index()].name
    }

    /// Why a pool uses its configured weights, in words.
    pub(super) fn fallback_text(&self, id: PoolId, fallback: WeightFallback) -> String {
        let member = |index: u16| {
            let member = self.topology.pools[id.index()].members.get(usize::from(index));
            member.map_or("", |member| self.topology.member_name(member.kind)).to_owned()
        };
        match fallback {
            WeightFallback::NoReport(index) => {
                format!("member {:?} has no recent load report", member(index))
            }
            WeightFallback::NoMeasure(index) => {
                format!(
                    "the load report of member {:?} lacks the measure that the pool uses",
                    member(index)
                )
            }
        }
    }

    /// The time at which [`LoadController::update`] is due by the clock.
    pub(super) fn wake_at(&self) -> Option<TokioInstant> {
        let due = self.feedback.next_due(self.epoch.elapsed())?;
        Some(TokioInstant::from_std(self.epoch + due))
    }

    /// Whether [`LoadController::update`] is due by the clock.
    pub(super) fn is_due(&self) -> bool {
        let now = self.epoch.elapsed();
        self.feedback.next_due(now).is_some_and(|due| due <= now)
    }

    /// Returns the clients of a `failover` pool to its first usable member. `None` if no pool has
    /// this name, else whether another member held them.
    pub(super) fn force_failback(&mut self, pool: &str) -> Option<bool> {
        let index = self.topology.pools.iter().position(|known| *known.name == *pool)?;
        Some(self.feedback.fail_back(PoolId(index as u32)))
    }

    /// The state of all feeds, pools and ramps now.
    pub(super) fn report(&self) -> FeedbackReport<'_> {
        self.feedback.report(self.epoch.elapsed())
    }

    /// Why a feed's latest poll brought no report, and since when; `None` if it brought one.
    pub(super) fn failure(&self, feed: FeedId) -> Option<&FeedFailure> {
        self.failures[feed.index()].as_ref()
    }

    /// The number of polls that brought no report since the start.
    pub(super) fn failed_polls(&self) -> u64 {
        self.failed_polls
    }

    /// The counts of polls since the start.
    pub(super) fn polls(&self) -> SchedulerCounts {
        self.poller.read_counts()
    }

    /// The time since the epoch, in the clock of reports and ramps.
    pub(super) fn elapsed(&self) -> Duration {
        self.epoch.elapsed()
    }
}

/// By feed: the `http` monitor of the endpoints that name the feed, if they have one. A feed that
/// is not polled takes its reports from the replies to the health checks of this monitor.
fn header_monitors(topology: &Topology) -> Vec<Option<Box<str>>> {
    let mut monitors = vec![None; topology.feeds.list.len()];
    for (feed, endpoints) in monitors.iter_mut().zip(topology.endpoints_by_feed()) {
        let monitor = |id: &EndpointId| topology.endpoints[id.index()].monitor;
        let monitor = endpoints.iter().find_map(monitor).map(|id| &topology.monitors[id.index()]);
        *feed = monitor
            .filter(|monitor| matches!(monitor.check, Check::Http(_)))
            .map(|monitor| monitor.name.clone());
    }
    monitors
}
