//! The handle: the commands that transports, the admin API and signals can send to the controller.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::{
    config_errors::ConfigErrors,
    demand_tracker::DemandHandle,
    history::{History, Replay, ReplayBase, ReplayError},
    journal::{Event, Journal},
    last_good::LastGood,
    newly_distressed::{DistressText, NewlyDistressed},
    overrides::{OverrideChange, OverrideError, OverrideRequest, OverrideStatus},
    remaining_answer::RemainingAnswer,
    safety::{RefusalText, RuleConsent, RuleViolation},
    service_status::ServiceStatus,
    status::{
        CertificateStatus, DrainStatus, HeldStatus, RampStatus, ServerStatus, Status,
        UncheckedStatus,
    },
    steering_document::SteeringDocument,
    subject::{SubjectReport, UnknownSubject},
};
use crate::{
    engine::{ExplainRequest, Explanation, NameNotServed},
    probe::CountsHandle,
    snapshot::Snapshot,
    transport::CertificateRegistry,
};

/// Sends commands to the controller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControllerHandle {
    pub(super) commands: mpsc::Sender<ControllerCommand>,
    pub(super) published: Arc<ArcSwap<Snapshot>>,
    pub(super) server: Arc<ServerStatus>,
    pub(super) probe_counts: CountsHandle,
    pub(super) certificates: CertificateRegistry,
    pub(super) journal: Journal,
    pub(super) history: History,
    pub(super) demand: DemandHandle,
    /// Locked during a replay: it takes memory and time.
    pub(super) replays: Arc<tokio::sync::Mutex<()>>,
}

/// Receives whether another member held the clients of a pool; `None` if there is no such pool; or
/// the rules that forbid the failback.
pub(super) type FailbackReplySender = oneshot::Sender<Result<Option<bool>, Vec<RuleViolation>>>;

/// A command, with the sender of its reply.
#[derive(Debug)]
pub(super) enum ControllerCommand {
    Status(ListDetail, oneshot::Sender<Status>),
    Services(oneshot::Sender<Vec<ServiceStatus>>),
    Subject(String, oneshot::Sender<(Result<SubjectReport, UnknownSubject>, Arc<LastGood>)>),
    Explain(Box<ExplainRequest>, oneshot::Sender<Result<Explanation, NameNotServed>>),
    ReplayBase(oneshot::Sender<ReplayBase>),
    Steering(oneshot::Sender<SteeringDocument>),
    SetState(DrainRequest, oneshot::Sender<Result<DrainReport, DrainError>>),
    SetOverrides(OverrideRequest, oneshot::Sender<Result<DrainReport, OverrideError>>),
    ForceFailback(String, RuleConsent, FailbackReplySender),
    Reload(ReloadRequest, oneshot::Sender<Result<ReloadReport, ReloadError>>),
    Stop(oneshot::Sender<()>),
}

/// How many entries of its long lists a status document contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListDetail {
    /// The first 100 entries of each list, and the number of all.
    Short,
    /// Every entry of each list.
    Full,
}

impl ListDetail {
    /// The maximum number of entries of a list.
    pub(super) fn limit(self) -> usize {
        match self {
            Self::Short => 100,
            Self::Full => usize::MAX,
        }
    }
}

/// What asks for a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadRequest {
    /// An operator: the files are complete, so that missing ones are not waited for.
    Apply(RuleConsent),
    /// A signal. The second signal within 10 seconds accepts a removal, if both came after the
    /// removal was held.
    Signal,
}

/// The report of a reload that was applied, except for held files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadReport {
    /// The generation of the snapshot with the new configuration.
    pub generation: u64,
    /// Files that are not in use as they are.
    pub held: Vec<HeldStatus>,
    /// What the files would remove if an operator accepted it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removal: Option<String>,
    /// The safety rules that held files would break.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub forbidden: Vec<RuleViolation>,
    /// The errors of certificate files that cannot be used, one line each. The certificates that
    /// were read before stay in use.
    #[serde(default)]
    pub certificates: Vec<String>,
}

impl ReloadReport {
    /// Whether every file is in use as it is.
    pub fn is_complete(&self) -> bool {
        self.held.is_empty() && self.certificates.is_empty()
    }
}

/// A request to change the state of a datacenter, or of all datacenters of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainRequest {
    /// The name of the datacenter or region.
    pub datacenter: String,
    /// The change that is requested.
    pub action: DrainAction,
    /// The rules that the request goes around.
    pub consent: RuleConsent,
}

/// What an operator can do with a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainAction {
    /// Begins a drain, or changes the one in progress.
    Drain(DrainOptions),
    /// Pauses the drain at its present share.
    Pause,
    /// Resumes a paused drain.
    Resume,
    /// Ends the drain: clients return.
    Undrain,
}

impl DrainAction {
    /// The name of the action in the API and in the log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Undrain => "undrain",
        }
    }
}

/// The options of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainOptions {
    /// The seconds until the drain ends; `None` for a drain that an operator ends.
    pub for_secs: Option<u64>,
    /// The seconds over which clients leave; `None` for the datacenter's `drain-over`, or at once.
    pub over_secs: Option<u64>,
    /// The reason for the drain, shown with the state: one line of at most 200 octets.
    pub reason: Option<String>,
    /// Whether to drain even if a service has no usable member then.
    pub force: bool,
}

/// The report of a drain or of another change by an operator.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainReport {
    /// The generation of the first snapshot with the change.
    pub generation: u64,
    /// The files that were edited.
    pub files: Vec<String>,
    /// Each datacenter, and since when its drain is effective; `None` while it is not.
    pub datacenters: Vec<(String, Option<DrainStatus>)>,
    /// The state of each datacenter in the snapshot of that generation.
    #[serde(default)]
    pub outcomes: Vec<DrainOutcome>,
    /// Drains and returns of clients that are gradual and in progress.
    #[serde(default)]
    pub ramps: Vec<RampStatus>,
    /// The clients that the change left without a usable member.
    pub distressed: Vec<NewlyDistressed>,
    /// What happened to the override of each subject.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<OverrideChange>,
    /// The overrides of these subjects after the change.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub overrides: Vec<OverrideStatus>,
}

/// The state of a datacenter after a drain, an undrain, a pause or a resume, read from the snapshot
/// in force.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DrainOutcome {
    /// The name of the datacenter.
    pub datacenter: String,
    /// Why its table was not edited, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<String>,
    /// `active`, `standby`, `draining` or `disabled`.
    pub state: String,
    /// The operator's reason for that state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The time at which the state ends, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The state that follows at `until`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state_after: String,
    /// What the state comes from: the place in a file, or an override in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// Whether the datacenter is drained or disabled, and no answer names it.
    pub effective: bool,
    /// The number of names and types whose answers name the datacenter.
    pub answered_count: usize,
    /// While the datacenter is drained or disabled: all of those names and types, and why.
    pub still_answered: Vec<RemainingAnswer>,
    /// The number of services with a member in the datacenter.
    pub services: usize,
    /// The number of targets of the datacenter's endpoints.
    pub targets: usize,
}

/// Why a datacenter's state was not changed. Only for `Refused` a file was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainError {
    /// No datacenter and no region has this name. The second is the most similar name, if one is
    /// similar.
    Unknown(String, Option<String>),
    /// The drain would leave these clients without a usable member.
    Distress(Vec<NewlyDistressed>),
    /// These rules forbid the change.
    Forbidden(Vec<RuleViolation>),
    /// This datacenter is not draining.
    NotDraining(String),
    /// This datacenter is disabled or a standby, so that there is nothing to drain.
    #[serde(rename_all = "kebab-case")]
    NotInService {
        /// The name of the datacenter.
        datacenter: String,
        /// The state of the datacenter: `disabled` or `standby`.
        state: String,
        /// The file, line and column of its table.
        origin: String,
    },
    /// The request has a value that cannot be written into a file. The text names the value and the
    /// valid ones.
    Invalid(String),
    /// The file cannot be edited.
    Edit(String),
    /// The file of the datacenter's table is held at its last good content because of these errors.
    Held(String, ConfigErrors),
    /// The file was edited, but the file or the whole configuration has these errors, so that the
    /// edit is not in use.
    Refused(ConfigErrors),
    /// The server is stopping.
    Gone,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name, nearest) => {
                write!(f, "there is no datacenter and no region {name:?}")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            Self::Distress(distressed) => {
                let without = DistressText { distressed, unchanged: "nothing was edited" };
                without.fmt(f)
            }
            Self::Forbidden(violations) => {
                RefusalText { violations, unchanged: "nothing was edited" }.fmt(f)
            }
            Self::NotDraining(name) => {
                write!(f, "{name} is not draining: there is nothing to pause or to resume")
            }
            Self::NotInService { datacenter, state, origin } => {
                write!(
                    f,
                    "{datacenter} is not in service: {}; nothing was edited",
                    not_in_service(state, origin)
                )
            }
            Self::Edit(error) => f.write_str(error),
            Self::Invalid(error) => write!(f, "{error}; nothing was edited"),
            Self::Held(file, errors) => write!(
                f,
                "nothing was changed: the datacenter's table is in {file}, which is held at its last good content: {errors}; \
                 once that is resolved, or the last good version is back in its place, repeat the command"
            ),
            Self::Refused(errors) => write!(
                f,
                "the file was edited, but it is not in use because of these errors, so that nothing changed: {errors}; \
                 the edit takes effect once they are fixed"
            ),
            Self::Gone => ControllerStopped.fmt(f),
        }
    }
}

impl std::error::Error for DrainError {}

/// Why a datacenter in this state cannot be drained, and what to do instead.
pub(super) fn not_in_service(state: &str, origin: &str) -> String {
    let instead = match state {
        "standby" => {
            "it is used only when nothing else is usable. To take it out altogether, set state = \"disabled\" there"
        }
        _ => {
            "no answer names it while anything else is left. To drain it, put it into service first: state = \"active\" there"
        }
    };
    format!("its state is {state} in {origin}, and {instead}")
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub enum ReloadError {
    /// The files have these errors. The previous configuration stays in force.
    Refused(ConfigErrors),
    /// The server is stopping.
    ControllerStopped,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errors) => write!(f, "the files have errors: {errors}"),
            Self::ControllerStopped => ControllerStopped.fmt(f),
        }
    }
}

impl std::error::Error for ReloadError {}

/// The controller has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControllerStopped;

impl fmt::Display for ControllerStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server is stopping")
    }
}

impl std::error::Error for ControllerStopped {}

impl ControllerHandle {
    /// The snapshot that queries are answered from.
    pub fn published(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.published
    }

    /// The identity of this server.
    pub fn server(&self) -> &ServerStatus {
        &self.server
    }

    /// The journal of every change that can alter answers.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Appends the event of an operator's command to the journal, after the events of what the
    /// command changed.
    pub fn record_command(&self, event: Event) {
        let (history, journal) = (self.history.clone(), self.journal.clone());
        // It ends by itself: the wait is bounded.
        tokio::spawn(async move {
            history.flush().await;
            journal.append(event);
        });
    }

    /// The targets that are unchecked now. This does not wait for the controller's task.
    pub fn unchecked(&self) -> UncheckedStatus {
        self.probe_counts.read().into()
    }

    /// The status document now.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped.
    pub async fn status(&self, detail: ListDetail) -> Result<Status, ControllerStopped> {
        let mut status = self.request(|reply| ControllerCommand::Status(detail, reply)).await?;
        status.certificates =
            self.certificates.states().into_iter().map(CertificateStatus::from).collect();
        status.journal = self.journal.status();
        status.journal.history_unsaved = self.history.unsaved();
        Ok(status)
    }

    /// Every service, in order of name.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped.
    pub async fn services(&self) -> Result<Vec<ServiceStatus>, ControllerStopped> {
        self.request(ControllerCommand::Services).await
    }

    /// Everything that has a name. Finding its tables in the files may take long, and waits for no
    /// other request.
    ///
    /// # Errors [`ControllerStopped`] once the controller has stopped. The inner error is
    /// [`UnknownSubject`], for a name that nothing has.
    pub async fn subject(
        &self,
        name: String,
    ) -> Result<Result<SubjectReport, UnknownSubject>, ControllerStopped> {
        let (report, files) = self.request(|reply| ControllerCommand::Subject(name, reply)).await?;
        let Ok(report) = report else { return Ok(report) };
        let located = tokio::task::spawn_blocking(move || report.located(&files));
        located.await.map(Ok).map_err(|_| ControllerStopped)
    }

    /// What a client would be answered now, and why.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped. The inner error is [`NameNotServed`],
    /// for a name outside of every zone.
    pub async fn explain(
        &self,
        request: ExplainRequest,
    ) -> Result<Result<Explanation, NameNotServed>, ControllerStopped> {
        self.request(|reply| ControllerCommand::Explain(Box::new(request), reply)).await
    }

    /// What a client was answered at a moment, in milliseconds since 1970, and why. One such
    /// request is served at a time.
    ///
    /// # Errors
    /// [`ReplayError`] says why the answer cannot be repeated.
    pub async fn explain_at(
        &self,
        request: ExplainRequest,
        time_ms: i64,
    ) -> Result<(Replay, Explanation), ReplayError> {
        if time_ms > super::unix_now().saturating_add(1).saturating_mul(1000) {
            return Err(ReplayError::InFuture);
        }
        let _turn = self.replays.lock().await;
        self.history.flush().await;
        let base =
            self.request(ControllerCommand::ReplayBase).await.map_err(|_| ReplayError::Stopped)?;
        let history = self.history.clone();
        let replay = move || history.explain_at(base, &request, time_ms);
        tokio::task::spawn_blocking(replay).await.unwrap_or(Err(ReplayError::Panicked))
    }

    /// What the answers in force were compiled from, and the observed demand.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped.
    pub async fn steering(&self) -> Result<SteeringDocument, ControllerStopped> {
        let document = self.request(ControllerCommand::Steering).await?;
        Ok(SteeringDocument { demand: self.demand.observed().await, ..document })
    }

    /// Begins, pauses, resumes or ends a drain by an edit of the datacenter's file; returns once
    /// answers follow the edit.
    ///
    /// # Errors
    /// [`DrainError`] says why nothing changed.
    pub async fn set_state(&self, request: DrainRequest) -> Result<DrainReport, DrainError> {
        self.request(|reply| ControllerCommand::SetState(request, reply))
            .await
            .unwrap_or(Err(DrainError::Gone))
    }

    /// Sets or removes overrides; returns once the state directory has them and answers follow.
    ///
    /// # Errors
    /// [`OverrideError`] says why nothing changed.
    pub async fn set_overrides(
        &self,
        request: OverrideRequest,
    ) -> Result<DrainReport, OverrideError> {
        self.request(|reply| ControllerCommand::SetOverrides(request, reply))
            .await
            .unwrap_or(Err(OverrideError::Gone))
    }

    /// Returns the clients of a `failover` pool to its first usable member. `None` if no pool has
    /// this name, else whether another member held them.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped. The inner error has the rules that
    /// forbid it.
    pub async fn force_failback(
        &self,
        pool: String,
        consent: RuleConsent,
    ) -> Result<Result<Option<bool>, Vec<RuleViolation>>, ControllerStopped> {
        self.request(|reply| ControllerCommand::ForceFailback(pool, consent, reply)).await
    }

    /// Reads all files again, certificates included; returns once they are in use. Files with
    /// errors are held, and the report names them.
    ///
    /// # Errors
    /// [`ReloadError`] says why nothing changed, except for certificates.
    pub async fn reload(&self, request: ReloadRequest) -> Result<ReloadReport, ReloadError> {
        let certificates = self.certificates.clone();
        let certificates = tokio::task::spawn_blocking(move || certificates.reload());
        let report = self
            .request(|reply| ControllerCommand::Reload(request, reply))
            .await
            .unwrap_or(Err(ReloadError::ControllerStopped))?;
        // A panic is in the log; the state of each certificate is in the status document.
        Ok(ReloadReport { certificates: certificates.await.unwrap_or_default(), ..report })
    }

    /// Saves what must survive a restart, and ends the controller.
    pub async fn stop(&self) {
        // A controller that has stopped already is what was asked for.
        let _ = self.request(ControllerCommand::Stop).await;
    }

    async fn request<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> ControllerCommand,
    ) -> Result<T, ControllerStopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| ControllerStopped)?;
        answer.await.map_err(|_| ControllerStopped)
    }
}
