//! The scheduler, with checks whose results the tests control.

use std::{fmt, sync::atomic::AtomicBool};

use tokio::time::Instant;

use super::*;
use crate::probe::{
    CountsByReason,
    check_history::UncheckedChange,
    handle::SchedulerHandle,
    job::{Job, JobTiming},
};

/// A key with its interval, whose checks lack a descriptor, panic or hang while the script says so;
/// otherwise they pass.
#[derive(Debug, Clone)]
struct ScriptedKey(&'static str, Duration, Arc<Script>);

#[derive(Debug, Default)]
struct Script {
    is_short: AtomicBool,
    panics: AtomicBool,
    hangs: AtomicBool,
    attempts: AtomicUsize,
}

impl PartialEq for ScriptedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ScriptedKey {}

impl std::hash::Hash for ScriptedKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for ScriptedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Debug)]
struct ScriptedJob;

impl Job for ScriptedJob {
    const LOG_NAME: &'static str = "scripted check";

    type Key = ScriptedKey;
    type Prepared = ();
    type RunOutcome = ();
    type Report = &'static str;

    fn new(_limits: SchedulerLimits) -> Self {
        Self
    }

    fn timing(key: &ScriptedKey) -> JobTiming {
        JobTiming { interval: key.1, timeout: key.1 / 4 }
    }

    fn prepare(&self, keys: Vec<ScriptedKey>) -> Vec<(ScriptedKey, Arc<()>)> {
        keys.into_iter().map(|key| (key, Arc::new(()))).collect()
    }

    async fn run(
        ScriptedKey(.., script): &ScriptedKey,
        _: &Arc<()>,
        _: &AttemptTimer<'_>,
    ) -> Result<(), NoResult> {
        script.attempts.fetch_add(1, Relaxed);
        if script.hangs.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        assert!(!script.panics.load(Relaxed), "the script panics");
        if script.is_short.load(Relaxed) { Err(NoResult::Descriptors) } else { Ok(()) }
    }

    fn is_pass((): &()) -> bool {
        true
    }

    fn report(key: ScriptedKey, (): (), _: Duration) -> &'static str {
        key.0
    }

    fn log_change(_: &UncheckedChange, _: &CountsByReason, _: usize) {}
}

const INTERVAL: Duration = Duration::from_millis(50);

fn key(name: &'static str, interval: Duration) -> (ScriptedKey, Arc<Script>) {
    let script = Arc::<Script>::default();
    (ScriptedKey(name, interval, Arc::clone(&script)), script)
}

fn start(in_flight: usize) -> (SchedulerHandle<ScriptedJob>, mpsc::Receiver<&'static str>) {
    let (reports, inbox) = mpsc::channel(1024);
    let limits =
        SchedulerLimits { in_flight: NonZeroUsize::new(in_flight).unwrap(), extra_descriptors: 64 };
    (SchedulerHandle::start(limits, std::time::Instant::now(), reports), inbox)
}

/// Waits until the counts of unchecked keys equal `expected`.
async fn until_unchecked(scheduled: &SchedulerHandle<ScriptedJob>, expected: &[(NoResult, u64)]) {
    let wait = async {
        loop {
            let unchecked = scheduled.counts_handle().read().unchecked;
            let sum: u64 = expected.iter().map(|(_, count)| count).sum();
            let is_expected =
                |(reason, count): &(NoResult, u64)| unchecked.count(*reason) == *count;
            if unchecked.sum() == sum && expected.iter().all(is_expected) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

#[tokio::test]
async fn a_key_without_results_is_unchecked_until_a_check_gives_one() {
    let ((good, _), (short, script)) = (key("good", INTERVAL), key("short", INTERVAL));
    let (scheduled, mut inbox) = start(8);
    script.is_short.store(true, Relaxed);
    scheduled.set_keys(vec![good, short.clone()]).await;
    until_unchecked(&scheduled, &[(NoResult::Descriptors, 1)]).await;
    let counts = scheduled.counts_handle().read();
    assert_eq!(counts.targets, 2);
    assert!(counts.without_result.count(NoResult::Descriptors) >= 2, "{counts:?}");
    script.is_short.store(false, Relaxed);
    while inbox.recv().await.unwrap() != "short" {}
    until_unchecked(&scheduled, &[]).await;
    script.is_short.store(true, Relaxed);
    until_unchecked(&scheduled, &[(NoResult::Descriptors, 1)]).await;
    scheduled.set_keys(Vec::new()).await;
    until_unchecked(&scheduled, &[]).await;
}

#[tokio::test]
async fn a_check_that_lacks_a_resource_is_retried_before_it_is_next_due() {
    let (short, script) = key("short", Duration::from_secs(16));
    let (scheduled, mut inbox) = start(8);
    script.is_short.store(true, Relaxed);
    let start = Instant::now();
    scheduled.set_keys(vec![short]).await;
    while script.attempts.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    script.is_short.store(false, Relaxed);
    assert_eq!(inbox.recv().await, Some("short"));
    assert!(start.elapsed() < Duration::from_secs(8), "a retry after a sixteenth of the interval");
    assert_eq!(script.attempts.load(Relaxed), 2);
}

#[tokio::test]
async fn a_due_check_has_at_most_four_attempts_while_a_resource_is_missing() {
    let (short, script) = key("short", Duration::from_millis(400));
    let (scheduled, _inbox) = start(8);
    script.is_short.store(true, Relaxed);
    scheduled.set_keys(vec![short]).await;
    until_unchecked(&scheduled, &[(NoResult::Descriptors, 1)]).await;
    // The target is unchecked after five attempts: four for the first due check, and the first one
    // for the second.
    assert!(script.attempts.load(Relaxed) <= 5, "{}", script.attempts.load(Relaxed));
}

#[tokio::test]
async fn keys_whose_checks_exceed_the_limit_or_panic_are_unchecked() {
    let ((hangs, hanging), (waits, _)) = (key("hangs", INTERVAL), key("waits", INTERVAL));
    let (scheduled, _inbox) = start(1);
    hanging.hangs.store(true, Relaxed);
    scheduled.set_keys(vec![hangs]).await;
    while hanging.attempts.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    scheduled.set_keys(vec![key("hangs", INTERVAL).0, waits]).await;
    until_unchecked(&scheduled, &[(NoResult::Late, 2)]).await;
    let (panics, script) = key("panics", INTERVAL);
    script.panics.store(true, Relaxed);
    scheduled.set_keys(vec![panics]).await;
    until_unchecked(&scheduled, &[(NoResult::Internal, 1)]).await;
}
