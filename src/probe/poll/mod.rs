//! Polls of load sources: asks each once per interval and reports what it says of itself.
//!
//! A poll is a connection of its own (`page_client` over HTTP, `socket` to HAProxy), within the
//! source's timeout. What comes is read as it arrives by the source's
//! [`crate::load::ReportReader`], which bounds what is read and what is held; nothing is followed
//! or decompressed. Connections are not kept: at 200 polls a second opening them costs less than
//! one part in a hundred of a core, and an idle connection to each balancer would have to be
//! watched.

mod failure;
mod page;
mod socket;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use failure::PollFailure;
use page::PageClient;
use tokio::sync::mpsc;
use tracing::field::display;

use super::{
    attempt_timer::{AttemptTimer, TimedAttempt},
    check::ProbeError,
    check_history::UncheckedChange,
    counts::SchedulerCounts,
    job::{Job, JobTiming},
    no_result::{CountsByReason, NoResult},
    scheduler::{SchedulerHandle, SchedulerLimits},
};
use crate::{
    health::Failure,
    load::{HaproxySource, LoadKind, LoadReport, LoadSource, PollHistory, ReportReader},
};

/// What is polled, by content: a source, and where each endpoint has a page of its own, whose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PollKey {
    /// Where and how.
    pub source: Arc<LoadSource>,
    /// The address that `{address}` stands for; `None` where the source is one place for all.
    pub target: Option<IpAddr>,
}

impl PollKey {
    /// What is polled for an endpoint with this address.
    pub fn new(source: Arc<LoadSource>, address: IpAddr) -> Self {
        let target = source.is_per_address().then_some(address);
        Self { source, target }
    }
}

impl fmt::Display for PollKey {
    /// `web` or `web 192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.name)?;
        self.target.map_or(Ok(()), |address| write!(f, " {address}"))
    }
}

/// What came of one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct PollReport {
    /// Of what.
    pub key: PollKey,
    /// What the balancer says, or why it says nothing.
    pub result: Result<LoadReport, PollFailure>,
    /// When the poll ended, since the epoch given to [`Poller::start`].
    pub ended_at: Duration,
}

/// The handle to the task that polls load sources. Dropped, all polling ends.
#[derive(Debug)]
pub struct Poller(SchedulerHandle<PollJob>);

impl Poller {
    /// Starts the task, with nothing to poll yet, on the runtime of the caller. Readings carry the
    /// time since `epoch`. Each poll holds one open file, and what its reader keeps, which is 4 MiB
    /// of a hostile page at most and some KiB of others.
    pub fn start(
        limits: SchedulerLimits,
        epoch: std::time::Instant,
        readings: mpsc::Sender<PollReport>,
    ) -> Self {
        Self(SchedulerHandle::start(limits, epoch, readings))
    }

    /// Makes `keys` what is polled; sources that are not polled are left out. A key polled before
    /// keeps its place in the timetable; the polls of one that is gone end unreported, but for a
    /// reading already on its way. Reads the authorities that sources name anew.
    pub async fn set_keys(&self, keys: Vec<PollKey>) {
        self.0.set_keys(keys).await;
    }

    /// Waits until each of the latest [`Poller::set_keys`] was polled once, but no longer than the
    /// longest of their intervals.
    pub async fn wait_for_first_round(&self) {
        self.0.wait_for_first_round().await;
    }

    /// What it has done since its start; a report is a pass.
    pub fn read_counts(&self) -> SchedulerCounts {
        self.0.counts_handle().read()
    }
}

/// Polling load sources.
#[derive(Debug, Default)]
struct PollJob {
    /// What is remembered of each key. Written by the key's poll, of which there is one at a time;
    /// the table itself by [`Job::prepare`].
    memories: Mutex<HashMap<PollKey, Arc<Mutex<PollHistory>>>>,
}

/// A key made ready.
#[derive(Debug)]
struct PreparedPoll {
    /// For a source that is a page: how to ask for it, or why nobody can.
    page_client: Option<Arc<Result<PageClient, PollFailure>>>,
    memory: Arc<Mutex<PollHistory>>,
}

impl Job for PollJob {
    const LOG_NAME: &'static str = "poll";

    type Key = PollKey;
    type Prepared = PreparedPoll;
    type RunOutcome = Result<LoadReport, PollFailure>;
    type Report = PollReport;

    /// A poll tries the addresses of a name one after the other: one descriptor is enough.
    fn new(_limits: SchedulerLimits) -> Self {
        Self::default()
    }

    fn timing(key: &PollKey) -> JobTiming {
        JobTiming { interval: key.source.interval, timeout: key.source.timeout }
    }

    /// Leaves out sources that are not polled.
    fn prepare(&self, keys: Vec<PollKey>) -> Vec<(PollKey, Arc<PreparedPoll>)> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *memories);
        let mut pages = HashMap::new();
        let polled = keys.into_iter().filter(|key| key.source.is_polled());
        polled
            .map(|key| {
                let asker = pages.entry(Arc::clone(&key.source)).or_insert_with(|| {
                    key.source.page().map(|page| Arc::new(PageClient::new(page)))
                });
                let memory = memories
                    .entry(key.clone())
                    .or_insert_with(|| old.remove(&key).unwrap_or_default());
                let ready = PreparedPoll { page_client: asker.clone(), memory: Arc::clone(memory) };
                (key, Arc::new(ready))
            })
            .collect()
    }

    async fn run(
        key: &PollKey,
        ready: &Arc<PreparedPoll>,
        stopwatch: &AttemptTimer<'_>,
    ) -> Result<Self::RunOutcome, NoResult> {
        let (load, endpoint) = (&key.source.name, key.target.map(display));
        let timeout = key.source.timeout;
        let timed = stopwatch.run(timeout, || poll(key, ready), is_affected_by_delay).await.inspect_err(|_| {
            tracing::debug!(%load, endpoint, "poll failure discarded: this process was suspended or short of CPU");
        });
        let TimedAttempt { result: ended, .. } = timed?;
        match ended {
            Some(Ok(report)) => Ok(Ok(report)),
            Some(Err(PollError::Failure(failure))) => Ok(Err(failure)),
            Some(Err(PollError::Local(reason, error))) => {
                tracing::debug!(%load, endpoint, reason = reason.label(), %error, "poll not possible");
                Err(reason)
            }
            None => Ok(Err(Failure::TimedOut(timeout).into())),
        }
    }

    fn is_pass(outcome: &Self::RunOutcome) -> bool {
        outcome.is_ok()
    }

    fn report(key: PollKey, result: Self::RunOutcome, at: Duration) -> PollReport {
        PollReport { key, result, ended_at: at }
    }

    fn log_change(change: &UncheckedChange, unchecked: &CountsByReason, all: usize) {
        match change {
            UncheckedChange::Began => tracing::warn!(
                unchecked = unchecked.sum(),
                loads = all,
                reasons = %unchecked,
                help = "see `portolan status` or /readyz for the remedy of each reason",
                "load sources cannot be polled: pools keep their shares, then use configured weights"
            ),
            UncheckedChange::Ended { lasted } => {
                tracing::info!(
                    loads = all,
                    secs = lasted.as_secs(),
                    "all load sources are polled again"
                );
            }
        }
    }
}

/// Whether a delay of this process can have caused what a poll came to.
fn is_affected_by_delay(polled: &Result<LoadReport, PollError>) -> bool {
    match polled {
        Err(PollError::Failure(PollFailure::Balancer(failure))) => failure.is_affected_by_delay(),
        // What was read may be cut off.
        Err(PollError::Failure(PollFailure::Report(_))) => true,
        Ok(_) | Err(PollError::Failure(PollFailure::Source(_)) | PollError::Local(..)) => false,
    }
}

/// Why there is no report.
#[derive(Debug)]
enum PollError {
    /// The balancer's doing, or the source's.
    Failure(PollFailure),
    /// This process lacks what a poll needs.
    Local(NoResult, std::io::Error),
}

impl<F: Into<PollFailure>> From<F> for PollError {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

impl From<ProbeError> for PollError {
    fn from(trouble: ProbeError) -> Self {
        poll_error(trouble)
    }
}

fn poll_error(trouble: ProbeError) -> PollError {
    match trouble {
        ProbeError::Target(failure) => failure.into(),
        ProbeError::Local(reason, error) => PollError::Local(reason, error),
    }
}

async fn poll(key: &PollKey, ready: &PreparedPoll) -> Result<LoadReport, PollError> {
    let Some(reader) = key.source.reader() else {
        return Err(PollFailure::Source("it is not polled".into()).into());
    };
    let finish = |reader: ReportReader<'_>| {
        let mut memory = ready.memory.lock().unwrap_or_else(PoisonError::into_inner);
        reader.finish(&mut memory)
    };
    let reader = match (&key.source.kind, ready.page_client.as_deref()) {
        (LoadKind::Haproxy(HaproxySource::Socket { path, .. }), _) => {
            socket::read_statistics(path, reader).await?
        }
        (_, Some(Ok(page))) => page.read(key.target, reader).await?,
        (_, Some(Err(failure))) => return Err(failure.clone().into()),
        (_, None) => return Err(PollFailure::Source("it is not polled".into()).into()),
    };
    Ok(finish(reader)?)
}

#[cfg(test)]
mod tests;
