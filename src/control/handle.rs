//! The handle: what transports, the admin API and the signals may ask of the controller.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::{
    status::{
        CertificateStatus, DrainStatus, HeldStatus, RampStatus, RemainingAnswer, ServerStatus,
        Status,
    },
    unchecked::UncheckedStatus,
};
use crate::{
    engine::{ExplainRequest, Explanation, NameNotServed},
    listing,
    probe::CountsHandle,
    snapshot::Snapshot,
    transport::CertificateRegistry,
};

/// A message names this many services.
const MAX_NAMED_SERVICES: usize = 10;
/// Of so many it is said what they would be answered with.
const MAX_EXPLAINED_SERVICES: usize = 3;

/// Asks the controller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControllerHandle {
    pub(super) commands: mpsc::Sender<ControllerCommand>,
    pub(super) published: Arc<ArcSwap<Snapshot>>,
    pub(super) server: Arc<ServerStatus>,
    pub(super) probe_counts: CountsHandle,
    pub(super) certificates: CertificateRegistry,
}

/// What the controller can be asked.
#[derive(Debug)]
pub(super) enum ControllerCommand {
    Status(ListDetail, oneshot::Sender<Status>),
    Explain(Box<ExplainRequest>, oneshot::Sender<Result<Explanation, NameNotServed>>),
    SetState(DrainRequest, oneshot::Sender<Result<DrainReport, DrainError>>),
    ForceFailback(String, oneshot::Sender<Option<bool>>),
    Reload(ReloadRequest, oneshot::Sender<Result<ReloadReport, ReloadError>>),
    Stop(oneshot::Sender<()>),
}

/// How much of a status document's long lists is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListDetail {
    /// The first 100 of each, and how many there are.
    Short,
    /// Every entry of each list.
    Full,
}

/// How a reload is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadRequest {
    /// By an operator: the files are complete.
    Apply,
    /// By an operator who accepts whatever the files remove.
    AcceptRemoval,
    /// By a signal. The second within 10 seconds, both after a removal was held, accepts it.
    Signal,
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadReport {
    /// The snapshot that holds what was applied.
    pub generation: u64,
    /// Files that are not in use as they are.
    pub held: Vec<HeldStatus>,
    /// What the files would remove if an operator accepted it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removal: Option<String>,
    /// Why certificate files are not in use, one line each: the certificates read before are.
    #[serde(default)]
    pub certificates: Vec<String>,
}

impl ReloadReport {
    /// Whether every file is in use as it is.
    pub fn is_complete(&self) -> bool {
        self.held.is_empty() && self.certificates.is_empty()
    }
}

/// What is to become of a datacenter, or of all datacenters of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainRequest {
    /// A datacenter's name, or a region's.
    pub datacenter: String,
    /// What is asked for.
    pub action: DrainAction,
}

/// What an operator can do about a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainAction {
    /// Begin it.
    Drain(DrainOptions),
    /// Hold it where it is.
    Pause,
    /// Let it go on.
    Resume,
    /// End it: clients come back.
    Undrain,
}

impl DrainAction {
    /// Its name in the API and in the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Undrain => "undrain",
        }
    }
}

/// A drain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainOptions {
    /// For how many seconds; without it until somebody ends it.
    pub for_secs: Option<u64>,
    /// Over how many seconds clients leave; without it as the datacenter's `drain-over` says, or at
    /// once.
    pub over_secs: Option<u64>,
    /// Reason for the drain, shown with the state: one line of at most 200 octets.
    pub reason: Option<String>,
    /// Even if a service is left with nothing usable.
    pub force: bool,
}

/// What a drain came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainReport {
    /// The snapshot that first held it.
    pub generation: u64,
    /// The files that were edited.
    pub files: Vec<String>,
    /// Each datacenter, and since when its drain is effective; nothing while it is not.
    pub datacenters: Vec<(String, Option<DrainStatus>)>,
    /// What holds of each datacenter in the snapshot of that generation.
    #[serde(default)]
    pub outcomes: Vec<DrainOutcome>,
    /// Drains and returns that go on over a time.
    #[serde(default)]
    pub ramps: Vec<RampStatus>,
    /// Whom it leaves without a usable member, under `force`.
    pub distressed: Vec<NewlyDistressed>,
}

/// Clients of a service that a drain leaves without a usable member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewlyDistressed {
    /// Service, type and clients: `www.example.com AAAA (country DE)`.
    pub subject: String,
    /// What they are answered with once the drain is complete, in a phrase.
    pub answers: String,
}

/// What holds of a datacenter after a drain, an undrain, a pause or a resume, read from the
/// snapshot in force.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DrainOutcome {
    /// The datacenter's name.
    pub datacenter: String,
    /// Why its table was not edited, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<String>,
    /// `active`, `standby`, `draining` or `disabled`.
    pub state: String,
    /// The operator's reason for that state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the state ends, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// It is drained or disabled, and no answer names it.
    pub effective: bool,
    /// Names and types whose answers name it.
    pub answered_count: usize,
    /// While it is drained or disabled: those names and types, all of them, and why.
    pub still_answered: Vec<RemainingAnswer>,
    /// Services with a member in it.
    pub services: usize,
    /// Targets of its endpoints.
    pub targets: usize,
}

/// Why a datacenter's state was not changed. Nothing was edited, but for `Refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainError {
    /// No datacenter and no region has this name; the nearest that one has.
    Unknown(String, Option<String>),
    /// These would be left without a usable member.
    Distress(Vec<NewlyDistressed>),
    /// This datacenter is not draining.
    NotDraining(String),
    /// This datacenter is disabled or a standby, so that there is nothing to drain.
    #[serde(rename_all = "kebab-case")]
    NotInService {
        /// The datacenter's name.
        datacenter: String,
        /// `disabled` or `standby`.
        state: String,
        /// The file, line and column of its table.
        origin: String,
    },
    /// What was asked for cannot be written into a file: which value, and what it may be.
    Invalid(String),
    /// The file cannot be edited.
    Edit(String),
    /// The file of its table is held at its last good content for these reasons. Nothing was
    /// edited.
    Held(String, Vec<String>),
    /// The file was edited, but has these errors, or the configuration as a whole has: nothing
    /// changed.
    Refused(Vec<String>),
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
            Self::Distress(darkened) => {
                let subjects = darkened.iter().map(|one| &one.subject);
                let shown = listing::join_first(subjects, MAX_NAMED_SERVICES, darkened.len());
                write!(
                    f,
                    "no usable member would be left for {shown}; nothing was edited. --force drains all the same, and"
                )?;
                for (one, at) in darkened.iter().take(MAX_EXPLAINED_SERVICES).zip(0..) {
                    let and = if at == 0 { " answers" } else { "," };
                    write!(f, "{and} {} with {}", one.subject, one.answers)?;
                }
                match darkened.len().saturating_sub(MAX_EXPLAINED_SERVICES) {
                    0 => Ok(()),
                    more => write!(f, ", and {more} more; --json has all"),
                }
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
            Self::Edit(why) => f.write_str(why),
            Self::Invalid(why) => write!(f, "{why}; nothing was edited"),
            Self::Held(file, errors) => write!(
                f,
                "nothing was changed: the datacenter's table is in {file}, which is held at its last good content: {}; \
                 once that is resolved, or the last good version is back in its place, repeat the command",
                errors.join("; ")
            ),
            Self::Refused(errors) => write!(
                f,
                "the file was edited, but it is not in use because of these errors, so that nothing changed: {}; \
                 the edit takes effect once they are fixed",
                errors.join("; ")
            ),
            Self::Gone => ControllerStopped.fmt(f),
        }
    }
}

impl std::error::Error for DrainError {}

/// Why there is nothing to drain of a datacenter in this state, and what to do instead.
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
    /// The files have errors; what was in use stays in use.
    Refused(Vec<String>),
    /// The server is stopping.
    ControllerStopped,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errors) => write!(f, "the files have errors: {}", errors.join("; ")),
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

    /// Which server this is.
    pub fn server(&self) -> &ServerStatus {
        &self.server
    }

    /// Which targets are unchecked at this moment, whether the controller has time or not.
    pub fn unchecked(&self) -> UncheckedStatus {
        self.probe_counts.read().into()
    }

    /// The whole state at this moment.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped.
    pub async fn status(&self, listing: ListDetail) -> Result<Status, ControllerStopped> {
        let mut status = self.request(|reply| ControllerCommand::Status(listing, reply)).await?;
        status.certificates =
            self.certificates.states().into_iter().map(CertificateStatus::from).collect();
        Ok(status)
    }

    /// What a client would be answered, and why.
    ///
    /// # Errors
    /// [`ControllerStopped`]; within, [`NameNotServed`] for a name outside of every zone.
    pub async fn explain(
        &self,
        request: ExplainRequest,
    ) -> Result<Result<Explanation, NameNotServed>, ControllerStopped> {
        self.request(|reply| ControllerCommand::Explain(Box::new(request), reply)).await
    }

    /// Drains a datacenter by editing its file, or ends its drain; returns once answers follow.
    ///
    /// # Errors
    /// [`DrainError`] says why nothing changed.
    pub async fn set_state(&self, request: DrainRequest) -> Result<DrainReport, DrainError> {
        self.request(|reply| ControllerCommand::SetState(request, reply))
            .await
            .unwrap_or(Err(DrainError::Gone))
    }

    /// Gives the clients of a `failover` pool back to its first usable member. `None` where no pool
    /// has this name, else whether others held them.
    ///
    /// # Errors
    /// [`ControllerStopped`] once the controller has stopped.
    pub async fn force_failback(&self, pool: String) -> Result<Option<bool>, ControllerStopped> {
        self.request(|reply| ControllerCommand::ForceFailback(pool, reply)).await
    }

    /// Reads all files again, certificates included; returns once what they say is in use. Files
    /// with errors are held, and the report names them.
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

    /// Saves what must survive and ends the controller.
    pub async fn stop(&self) {
        // Gone is what was asked for.
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
