//! Reloads: what asks for one, the one in progress, the clients that wait for a reply, and what the
//! status document says about the files.
//!
//! Invariants: at most one load is in progress, on a thread of its own. A change of the files
//! during a load causes another load after it, so that the configuration in use always follows the
//! newest files. A client waits for the first load that began after its request: `replies` belong
//! to the load in progress, `next_replies` to the one after it.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant as TokioInstant,
};

use super::background::received;
use crate::{
    config::{Colours, Footprint, ServerSettings, SourceOptions},
    control::{
        LoadedConfig,
        clock::unix_now,
        config_errors::ConfigErrors,
        config_load::{
            self, ConfigLoadError, JudgementBase, ReloadBase, ReloadOutcome, ReloadTrigger,
        },
        handle::{DrainError, DrainReport, ReloadError, ReloadReport, ReloadRequest},
        held_file::HoldReport,
        hold_tracker::HoldTracker,
        safety::RuleConsent,
        status::{ConfigurationStatus, HeldStatus},
        watch::{FileWatch, MAX_REPORT_DELAY},
    },
    steer::{SafetyRule, WheelCache},
    transport::PreemptionGuard,
};

/// The niceness of the thread that reads and compiles the files. It gives the thread a third of the
/// weight of others: on a host without idle time the files are still read.
const LOADING_NICENESS: i32 = 5;
/// A second SIGHUP within this time accepts a removal, if both came after the removal was held.
const SECOND_SIGNAL_WINDOW: Duration = Duration::from_secs(10);

/// The result of a load.
pub(super) type LoadResult = Result<ReloadOutcome, ConfigLoadError>;

/// A client that waits for a reload.
#[derive(Debug)]
pub(super) enum PendingReply {
    Reload(oneshot::Sender<Result<ReloadReport, ReloadError>>),
    /// A drain, whose edit the reload applies.
    SetState(Box<DrainReport>, oneshot::Sender<Result<DrainReport, DrainError>>),
}

/// Owns the reload in progress, and decides when the next one begins.
#[derive(Debug)]
pub(super) struct Reloads {
    locations: SourceOptions,
    /// The settings of the start. A change of some of them takes effect at the next start only.
    start_settings: ServerSettings,
    watch: FileWatch,
    /// Receives the result of the load in progress.
    running: Option<oneshot::Receiver<LoadResult>>,
    /// When to load without a further change of the files: to read again what could not be read,
    /// or at the end of a missing file's grace.
    due_at: Option<TokioInstant>,
    /// Whether the files changed during the load in progress.
    has_newer_edit: bool,
    replies: Vec<PendingReply>,
    next_replies: Vec<PendingReply>,
    /// What asked for the next load.
    trigger: ReloadTrigger,
    /// The rules that the next load goes around.
    consent: RuleConsent,
    /// What asked for the load in progress, and the rules that it goes around.
    running_request: (ReloadTrigger, RuleConsent),
    /// When a signal asked for a reload last, if the removal that is held now was held then.
    removal_signalled_at: Option<TokioInstant>,
    hold_tracker: HoldTracker,
    configuration: ConfigurationStatus,
}

impl Reloads {
    /// Watches nothing until [`Reloads::watch_and_wait`]. `edits` gets `()` after each edit;
    /// `loaded` is the configuration of the start, loaded at `now`, in seconds since 1970.
    pub(super) fn new(
        locations: SourceOptions,
        loaded: &LoadedConfig,
        edits: mpsc::Sender<()>,
        now: i64,
    ) -> Self {
        Self {
            locations,
            start_settings: loaded.config.server.clone(),
            watch: FileWatch::start(edits),
            running: None,
            due_at: None,
            has_newer_edit: false,
            replies: Vec::new(),
            next_replies: Vec::new(),
            trigger: ReloadTrigger::default(),
            consent: RuleConsent::default(),
            running_request: Default::default(),
            removal_signalled_at: None,
            hold_tracker: HoldTracker::default(),
            configuration: ConfigurationStatus {
                loaded: now,
                warnings: loaded.warnings.clone(),
                geography: loaded.geography_warnings.clone(),
                ..ConfigurationStatus::default()
            },
        }
    }

    /// Watches what the first load depended on; returns once that is watched.
    pub(super) async fn watch_and_wait(&self, footprint: Footprint) {
        self.watch.follow_and_wait(footprint).await;
    }

    /// Where the files are.
    pub(super) fn locations(&self) -> &SourceOptions {
        &self.locations
    }

    /// What the status document says about the files.
    pub(super) fn configuration(&self) -> &ConfigurationStatus {
        &self.configuration
    }

    /// The files that are not in use as they are.
    pub(super) fn hold_tracker(&self) -> &HoldTracker {
        &self.hold_tracker
    }

    /// Adds to `loaded` a warning for each changed setting that takes effect at the next start.
    pub(super) fn warn_of_required_restart(&self, loaded: &mut LoadedConfig) {
        let keys = self.start_settings.keys_requiring_restart(&loaded.config.server);
        loaded.warnings.extend(keys.iter().map(|key| {
            format!("`{key}` of `server` has changed: it takes effect at the next start (help: restart the server)")
        }));
    }

    // Requests

    /// Records a request for a reload; `reply` gets the result of the load that follows.
    pub(super) fn request(
        &mut self,
        request: ReloadRequest,
        reply: oneshot::Sender<Result<ReloadReport, ReloadError>>,
    ) {
        self.note_trigger(request);
        self.add_reply(PendingReply::Reload(reply));
    }

    /// Has a client wait for the next load.
    pub(super) fn add_reply(&mut self, reply: PendingReply) {
        self.next_replies.push(reply);
    }

    fn note_trigger(&mut self, request: ReloadRequest) {
        let now = TokioInstant::now();
        let trigger = match request {
            ReloadRequest::Apply(consent) => {
                let removes = consent.accepted.contains(&SafetyRule::MaxRemoved);
                self.consent.merge(consent);
                if removes { ReloadTrigger::AcceptRemoval } else { ReloadTrigger::Operator }
            }
            ReloadRequest::Signal => {
                // A signal accepts what was reported before it, and nothing else.
                let is_held = self.hold_tracker.report().is_signal_acceptable;
                let first =
                    std::mem::replace(&mut self.removal_signalled_at, is_held.then_some(now));
                let is_second = first.is_some_and(|first| now - first <= SECOND_SIGNAL_WINDOW);
                if is_second && is_held {
                    ReloadTrigger::AcceptRemoval
                } else {
                    ReloadTrigger::Operator
                }
            }
        };
        self.trigger = self.trigger.max(trigger);
    }

    /// Whether a file of the configuration is open for writing: its closing causes a reload.
    pub(super) fn is_being_written(&self) -> bool {
        self.watch.is_being_written()
    }

    /// Schedules a reload for the case that files stay open for writing for long: it applies the
    /// others.
    pub(super) fn schedule(&mut self) {
        let latest = TokioInstant::now() + MAX_REPORT_DELAY;
        self.due_at = Some(self.due_at.map_or(latest, |at| at.min(latest)));
    }

    /// Schedules another attempt to read the files: what kept them from being read may end. The
    /// pause doubles from attempt to attempt.
    fn schedule_retry(&mut self) {
        self.due_at = Some(TokioInstant::now() + self.hold_tracker.next_retry());
    }

    /// The time at which to load without a further change of the files.
    pub(super) fn due(&self) -> Option<TokioInstant> {
        self.due_at
    }

    // The load in progress

    /// Whether a load is in progress.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Has another load follow the one in progress.
    pub(super) fn note_newer_edit(&mut self) {
        self.has_newer_edit = true;
    }

    /// Whether a load is in progress or is to follow at once: the configuration in use may change.
    pub(super) fn is_pending(&self) -> bool {
        self.is_running() || self.has_newer_edit || !self.next_replies.is_empty()
    }

    /// Begins a load on a thread of its own. It continues from `base`, to which this adds the
    /// missing files, the watch, and the `wheels` that the compile worker sends. `guard` is dropped
    /// when the load ends.
    ///
    /// # Errors
    /// The system cannot start the thread. Another attempt is scheduled.
    pub(super) fn start(
        &mut self,
        base: ReloadBase,
        wheels: oneshot::Receiver<WheelCache>,
        guard: PreemptionGuard,
    ) -> Result<(), ConfigErrors> {
        self.due_at = None;
        self.replies.append(&mut self.next_replies);
        let locations = self.locations.clone();
        let trigger = std::mem::take(&mut self.trigger);
        let consent = std::mem::take(&mut self.consent);
        self.running_request = (trigger, consent.clone());
        let base = ReloadBase {
            judgement: JudgementBase { consent, ..base.judgement },
            missing_files: self.hold_tracker.report().missing_files.clone(),
            watch: Some(self.watch.clone()),
            ..base
        };
        let (reply, running) = oneshot::channel();
        let load = move || {
            // Threads that answer queries go first.
            let _ = rustix::process::setpriority_process(None, LOADING_NICENESS);
            // There are no wheels if a panic ended the worker.
            let wheels = wheels.blocking_recv().unwrap_or_default();
            let base = ReloadBase { wheels, ..base };
            // The receiver is gone when the server stops.
            let _ = reply.send(config_load::load(&locations, base, trigger, Colours::Plain));
            drop(guard);
        };
        match thread::Builder::new().name("load".to_owned()).spawn(load) {
            Ok(_ends_by_itself) => {
                self.running = Some(running);
                Ok(())
            }
            Err(error) => Err(self.record_missing_thread(&error)),
        }
    }

    fn record_missing_thread(&mut self, error: &io::Error) -> ConfigErrors {
        self.schedule_retry();
        self.record_failure(format!("the system cannot start a thread to read the files: {error}"))
    }

    /// Waits for the result of the load in progress: `None` if a panic ended it. Without a load in
    /// progress, this waits forever.
    pub(super) async fn finished(&mut self) -> Option<LoadResult> {
        received(self.running.as_mut()).await
    }

    /// The rules that the load goes around that is in progress or has ended last.
    pub(super) fn running_consent(&self) -> &RuleConsent {
        &self.running_request.1
    }

    /// Adds rules that the next load goes around: it has the edit of an operator.
    pub(super) fn accept(&mut self, consent: RuleConsent) {
        self.consent.merge(consent);
    }

    /// Has the load that has ended begin again, for the same clients: what it was judged by has
    /// changed meanwhile.
    pub(super) fn repeat(&mut self) {
        let (trigger, consent) = std::mem::take(&mut self.running_request);
        self.trigger = self.trigger.max(trigger);
        self.consent.merge(consent);
        self.next_replies.append(&mut self.replies);
    }

    /// Records that the load in progress has ended.
    pub(super) fn end(&mut self) {
        self.running = None;
    }

    /// The clients that wait for the load that has ended.
    pub(super) fn take_replies(&mut self) -> Vec<PendingReply> {
        std::mem::take(&mut self.replies)
    }

    /// Whether another load has to follow the one that has ended. A request during a write waits
    /// for the end of the write.
    pub(super) fn take_needs_another(&mut self) -> bool {
        let has_requests = !self.next_replies.is_empty() && !self.is_being_written();
        std::mem::take(&mut self.has_newer_edit) || has_requests
    }

    // Results

    /// Records that a configuration was applied.
    pub(super) fn record_applied(&mut self, loaded: &LoadedConfig) {
        self.apply_hold_report(loaded.hold_report.clone(), loaded);
        self.configuration.reloads += 1;
        self.configuration.loaded = unix_now();
        self.configuration.warnings = loaded.warnings.clone();
        self.configuration.geography = loaded.geography_warnings.clone();
    }

    /// Records which files are held after a load, and schedules when to read them again. `loaded`
    /// is the configuration in use.
    pub(super) fn apply_hold_report(&mut self, report: HoldReport, loaded: &LoadedConfig) {
        let is_transient =
            report.is_transient() || loaded.databases.iter().any(|file| file.is_transient);
        let grace_end =
            report.missing_files.next_grace_end(Instant::now()).map(TokioInstant::from_std);
        if report.held_removal != self.configuration.removal {
            self.removal_signalled_at = None;
        }
        self.configuration.removal.clone_from(&report.held_removal);
        if self.hold_tracker.update(report, unix_now()) {
            self.configuration.failures += 1;
        }
        self.configuration.refused = self.hold_tracker.since();
        self.configuration.errors = self.hold_tracker.errors();
        if is_transient {
            self.schedule_retry();
        } else {
            self.hold_tracker.reset_retries();
        }
        self.due_at = [self.due_at, grace_end].into_iter().flatten().min();
    }

    /// Records that nothing of a load is in use.
    pub(super) fn record_refusal(&mut self, refusal: ConfigLoadError) -> ConfigErrors {
        if self.configuration.errors != refusal.lines {
            for line in &refusal.lines {
                tracing::error!(error = %line, "configuration refused: the previous one stays in force");
            }
        }
        self.record_errors(refusal.lines.clone());
        if refusal.is_transient {
            self.schedule_retry();
        }
        ConfigErrors::new(refusal.lines)
    }

    /// Records that a panic ended a load.
    pub(super) fn record_panic(&mut self) -> ConfigErrors {
        self.record_failure(
            "reading the files ended with an internal error: see the log, and report it as a bug"
                .to_owned(),
        )
    }

    /// Records that a load failed for a reason that is not in the files.
    fn record_failure(&mut self, reason: String) -> ConfigErrors {
        if self.configuration.errors != [reason.clone()] {
            tracing::error!(%reason, "load failed: the previous configuration stays in force");
        }
        self.record_errors(vec![reason]);
        ConfigErrors::new(self.configuration.errors.clone())
    }

    fn record_errors(&mut self, errors: Vec<String>) {
        if self.configuration.errors == errors {
            return;
        }
        self.configuration.failures += 1;
        self.configuration.refused = Some(unix_now());
        self.configuration.errors = errors;
    }

    /// The files that are not in use as they are, as the status document has them.
    pub(super) fn held(&self) -> Vec<HeldStatus> {
        self.hold_tracker.status()
    }
}
