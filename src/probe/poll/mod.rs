//! Polls of load sources: asks each once per interval and reports what it says of itself.
//!
//! A poll is a connection of its own (`page` over HTTP, `socket` to HAProxy), within the source's
//! timeout. What comes is read as it arrives by the source's [`crate::load::ReportReader`], which
//! bounds what is read and what is held; nothing is followed or decompressed. Connections are not
//! kept: at 200 polls a second opening them costs less than one part in a hundred of a core, and an
//! idle connection to each balancer would have to be watched.

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

pub use failure::LoadFailure;
use page::PageAsker;
use tokio::sync::mpsc;
use tracing::field::display;

use super::{
    attempt::Trouble,
    currency::Change,
    job::{Job, Pace},
    no_result::{ByReason, NoResult},
    scheduler::{Limits, Scheduled},
    stopwatch::{Stopwatch, Timed},
    tally::Tally,
};
use crate::{
    health::Failure,
    load::{HaproxySource, LoadKind, LoadReport, LoadSource, PollHistory, ReportReader},
};

/// What is polled, by content: a source, and where each endpoint has a page of its own, whose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadKey {
    /// Where and how.
    pub source: Arc<LoadSource>,
    /// The address that `{address}` stands for; `None` where the source is one place for all.
    pub target: Option<IpAddr>,
}

impl LoadKey {
    /// What is polled for an endpoint with this address.
    pub fn new(source: Arc<LoadSource>, address: IpAddr) -> Self {
        let target = source.is_per_address().then_some(address);
        Self { source, target }
    }
}

impl fmt::Display for LoadKey {
    /// `web` or `web 192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.name)?;
        self.target.map_or(Ok(()), |address| write!(f, " {address}"))
    }
}

/// What came of one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadReading {
    /// Of what.
    pub key: LoadKey,
    /// What the balancer says, or why it says nothing.
    pub result: Result<LoadReport, LoadFailure>,
    /// When the poll ended, since the epoch given to [`Poller::start`].
    pub at: Duration,
}

/// The handle to the task that polls load sources. Dropped, all polling ends.
#[derive(Debug)]
pub struct Poller(Scheduled<Polling>);

impl Poller {
    /// Starts the task, with nothing to poll yet, on the runtime of the caller. Readings carry the
    /// time since `epoch`. Each poll holds one open file, and what its reader keeps, which is 4 MiB
    /// of a hostile page at most and some KiB of others.
    pub fn start(
        limits: Limits,
        epoch: std::time::Instant,
        readings: mpsc::Sender<LoadReading>,
    ) -> Self {
        Self(Scheduled::start(limits, epoch, readings))
    }

    /// Makes `keys` what is polled; sources that are not polled are left out. A key polled before
    /// keeps its place in the timetable; the polls of one that is gone end unreported, but for a
    /// reading already on its way. Reads the authorities that sources name anew.
    pub async fn set(&self, keys: Vec<LoadKey>) {
        self.0.set(keys).await;
    }

    /// Waits until each of the latest [`Poller::set`] was polled once, but no longer than the
    /// longest of their intervals.
    pub async fn first_round(&self) {
        self.0.first_round().await;
    }

    /// What it has done since its start; a report is a pass.
    pub fn tally(&self) -> Tally {
        self.0.counts().tally()
    }
}

/// Polling load sources.
#[derive(Debug, Default)]
struct Polling {
    /// What is remembered of each key. Written by the key's poll, of which there is one at a time;
    /// the table itself by [`Job::prepare`].
    memories: Mutex<HashMap<LoadKey, Arc<Mutex<PollHistory>>>>,
}

/// A key made ready.
#[derive(Debug)]
struct Ready {
    /// For a source that is a page: how to ask for it, or why nobody can.
    page: Option<Arc<Result<PageAsker, LoadFailure>>>,
    memory: Arc<Mutex<PollHistory>>,
}

impl Job for Polling {
    const WORD: &'static str = "poll";

    type Key = LoadKey;
    type Ready = Ready;
    type Outcome = Result<LoadReport, LoadFailure>;
    type Report = LoadReading;

    /// A poll tries the addresses of a name one after the other: one descriptor is enough.
    fn new(_limits: Limits) -> Self {
        Self::default()
    }

    fn pace(key: &LoadKey) -> Pace {
        Pace { interval: key.source.interval, timeout: key.source.timeout }
    }

    /// Leaves out sources that are not polled.
    fn prepare(&self, keys: Vec<LoadKey>) -> Vec<(LoadKey, Arc<Ready>)> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *memories);
        let mut pages = HashMap::new();
        let polled = keys.into_iter().filter(|key| key.source.is_polled());
        polled
            .map(|key| {
                let asker = pages.entry(Arc::clone(&key.source)).or_insert_with(|| {
                    key.source.page().map(|page| Arc::new(PageAsker::new(page)))
                });
                let memory = memories
                    .entry(key.clone())
                    .or_insert_with(|| old.remove(&key).unwrap_or_default());
                let ready = Ready { page: asker.clone(), memory: Arc::clone(memory) };
                (key, Arc::new(ready))
            })
            .collect()
    }

    async fn run(
        key: &LoadKey,
        ready: &Arc<Ready>,
        stopwatch: &Stopwatch<'_>,
    ) -> Result<Self::Outcome, NoResult> {
        let (load, endpoint) = (&key.source.name, key.target.map(display));
        let timeout = key.source.timeout;
        let timed = stopwatch.time(timeout, || poll(key, ready), is_affected_by_delay).await.inspect_err(|_| {
            tracing::debug!(%load, endpoint, "poll failure discarded: this process was suspended or short of CPU");
        });
        let Timed { ended, .. } = timed?;
        match ended {
            Some(Ok(report)) => Ok(Ok(report)),
            Some(Err(Stop::Failure(failure))) => Ok(Err(failure)),
            Some(Err(Stop::Ours(reason, error))) => {
                tracing::debug!(%load, endpoint, reason = reason.word(), %error, "poll not possible");
                Err(reason)
            }
            None => Ok(Err(Failure::TimedOut(timeout).into())),
        }
    }

    fn is_pass(outcome: &Self::Outcome) -> bool {
        outcome.is_ok()
    }

    fn report(key: LoadKey, result: Self::Outcome, at: Duration) -> LoadReading {
        LoadReading { key, result, at }
    }

    fn log_change(change: &Change, unchecked: &ByReason, all: usize) {
        match change {
            Change::Began => tracing::warn!(
                unchecked = unchecked.sum(),
                loads = all,
                reasons = %unchecked,
                help = "see `portolan status` or /readyz for the remedy of each reason",
                "load sources cannot be polled: pools keep their shares, then use configured weights"
            ),
            Change::Ended { lasted } => {
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
fn is_affected_by_delay(polled: &Result<LoadReport, Stop>) -> bool {
    match polled {
        Err(Stop::Failure(LoadFailure::Balancer(failure))) => failure.is_affected_by_delay(),
        // What was read may be cut off.
        Err(Stop::Failure(LoadFailure::Report(_))) => true,
        Ok(_) | Err(Stop::Failure(LoadFailure::Source(_)) | Stop::Ours(..)) => false,
    }
}

/// Why there is no report.
#[derive(Debug)]
enum Stop {
    /// The balancer's doing, or the source's.
    Failure(LoadFailure),
    /// This process lacks what a poll needs.
    Ours(NoResult, std::io::Error),
}

impl<F: Into<LoadFailure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        stop_of(trouble)
    }
}

fn stop_of(trouble: Trouble) -> Stop {
    match trouble {
        Trouble::Target(failure) => failure.into(),
        Trouble::Ours(reason, error) => Stop::Ours(reason, error),
    }
}

async fn poll(key: &LoadKey, ready: &Ready) -> Result<LoadReport, Stop> {
    let Some(reader) = key.source.reader() else {
        return Err(LoadFailure::Source("it is not polled".into()).into());
    };
    let finish = |reader: ReportReader<'_>| {
        let mut memory = ready.memory.lock().unwrap_or_else(PoisonError::into_inner);
        reader.finish(&mut memory)
    };
    let reader = match (&key.source.kind, ready.page.as_deref()) {
        (LoadKind::Haproxy(HaproxySource::Socket { path, .. }), _) => {
            socket::read(path, reader).await?
        }
        (_, Some(Ok(page))) => page.read(key.target, reader).await?,
        (_, Some(Err(failure))) => return Err(failure.clone().into()),
        (_, None) => return Err(LoadFailure::Source("it is not polled".into()).into()),
    };
    Ok(finish(reader)?)
}

#[cfg(test)]
mod tests;
