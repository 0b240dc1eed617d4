//! A poll as a job of the scheduler.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::field::display;

use super::{
    failure::{PollError, PollFailure},
    key::{PollKey, PollReport},
    page::PageClient,
    socket,
};
use crate::{
    health::Failure,
    load::{HaproxySource, LoadKind, LoadReport, PollHistory, ReportReader},
    probe::{
        attempt_timer::{AttemptTimer, TimedAttempt},
        check_history::UncheckedChange,
        job::{Job, JobTiming},
        limits::SchedulerLimits,
        no_result::{CountsByReason, NoResult},
    },
};

/// The job of polling: one request to one load source.
#[derive(Debug, Default)]
pub struct PollJob {
    /// The history of each key. [`Job::prepare`] replaces the map; only the poll of a key, of which
    /// one runs at a time, writes the key's history.
    histories: Mutex<HashMap<PollKey, Arc<Mutex<PollHistory>>>>,
}

/// A poll with its files read and its request headers built.
#[derive(Debug)]
pub struct PreparedPoll {
    /// For a source that is a page: its client, or why no request can be made.
    page_client: Option<Arc<Result<PageClient, PollFailure>>>,
    history: Arc<Mutex<PollHistory>>,
}

impl Job for PollJob {
    const LOG_NAME: &'static str = "poll";

    type Key = PollKey;
    type Prepared = PreparedPoll;
    type RunOutcome = Result<LoadReport, PollFailure>;
    type Report = PollReport;

    /// A poll tries the addresses of a name one after the other, so one descriptor is enough.
    fn new(_limits: SchedulerLimits) -> Self {
        Self::default()
    }

    fn timing(key: &PollKey) -> JobTiming {
        JobTiming { interval: key.source.interval, timeout: key.source.timeout }
    }

    /// Ignores sources whose reports arrive with the replies to health checks (ORCA).
    fn prepare(&self, keys: Vec<PollKey>) -> Vec<(PollKey, Arc<PreparedPoll>)> {
        let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        let mut previous = std::mem::take(&mut *histories);
        let mut pages = HashMap::new();
        let polled = keys.into_iter().filter(|key| key.source.is_polled());
        polled
            .map(|key| {
                let page_client = pages.entry(Arc::clone(&key.source)).or_insert_with(|| {
                    key.source.page().map(|page| Arc::new(PageClient::new(page)))
                });
                let history = histories
                    .entry(key.clone())
                    .or_insert_with(|| previous.remove(&key).unwrap_or_default());
                let prepared =
                    PreparedPoll { page_client: page_client.clone(), history: Arc::clone(history) };
                (key, Arc::new(prepared))
            })
            .collect()
    }

    async fn run(
        key: &PollKey,
        prepared: &Arc<PreparedPoll>,
        timer: &AttemptTimer<'_>,
    ) -> Result<Self::RunOutcome, NoResult> {
        let (load, endpoint) = (&key.source.name, key.target.map(display));
        let timeout = key.source.timeout;
        let timed = timer.run(timeout, || poll(key, prepared), is_affected_by_delay).await.inspect_err(|_| {
            tracing::debug!(%load, endpoint, "poll failure discarded: this process was suspended or short of CPU");
        });
        let TimedAttempt { result, .. } = timed?;
        match result {
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

    fn report(key: PollKey, result: Self::RunOutcome, ended_at: Duration) -> PollReport {
        PollReport { key, result, ended_at }
    }

    fn log_change(change: &UncheckedChange, unchecked: &CountsByReason, source_count: usize) {
        match change {
            UncheckedChange::Began => tracing::warn!(
                unchecked = unchecked.sum(),
                loads = source_count,
                reasons = %unchecked,
                help = "see `portolan status` or /readyz for the remedy of each reason",
                "load sources cannot be polled: pools keep their shares, then use configured weights"
            ),
            UncheckedChange::Ended { lasted } => {
                tracing::info!(
                    loads = source_count,
                    secs = lasted.as_secs(),
                    "all load sources are polled again"
                );
            }
        }
    }
}

/// Whether a delay of this process may have caused the result of a poll.
fn is_affected_by_delay(polled: &Result<LoadReport, PollError>) -> bool {
    match polled {
        Err(PollError::Failure(PollFailure::Balancer(failure))) => failure.is_affected_by_delay(),
        // The page may have been cut off.
        Err(PollError::Failure(PollFailure::Report(_))) => true,
        Ok(_) | Err(PollError::Failure(PollFailure::Source(_)) | PollError::Local(..)) => false,
    }
}

async fn poll(key: &PollKey, prepared: &PreparedPoll) -> Result<LoadReport, PollError> {
    let Some(reader) = key.source.reader() else {
        return Err(PollFailure::Source("it is not polled".into()).into());
    };
    let finish = |reader: ReportReader<'_>| {
        let mut history = prepared.history.lock().unwrap_or_else(PoisonError::into_inner);
        reader.finish(&mut history)
    };
    let reader = match (&key.source.kind, prepared.page_client.as_deref()) {
        (LoadKind::Haproxy(HaproxySource::Socket { path, .. }), _) => {
            socket::read_statistics(path, reader).await?
        }
        (_, Some(Ok(page))) => page.read(key.target, reader).await?,
        (_, Some(Err(failure))) => return Err(failure.clone().into()),
        (_, None) => return Err(PollFailure::Source("it is not polled".into()).into()),
    };
    Ok(finish(reader)?)
}
