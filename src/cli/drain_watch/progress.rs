//! How far a drain is: what clients still get, until when caches have it, and what the load reports
//! of the drained balancers show. Everything is read from status documents of the server.

use serde::Serialize;

use crate::{
    cli::exit::CommandExit,
    control::{
        DatacenterStatus, DrainReport, DrainStatus, LoadStatus, OverrideStatus, RampStatus,
        RemainingAnswer, Status,
    },
};

/// After the last cached answer has expired, sessions may still go on: the watch waits for their
/// end at least this long, in seconds.
const MIN_SESSION_WAIT_SECS: i64 = 60;

/// How far a drain is. Times are in seconds since 1970, by the server's clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "stage", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum DrainStage {
    /// The first status document has not come yet.
    Begun,
    /// Clients are leaving: `share` of them is still there, from 0 to 1.
    Leaving {
        share: f64,
        /// When none of them is left. The drain is paused if it is `None`.
        ends: Option<i64>,
    },
    /// Answers still name it although no ramp is in progress.
    StillAnswered {
        /// The number of names and types.
        count: usize,
        /// The first of them, and why.
        example: String,
    },
    /// No new answer names it; caches may keep earlier answers.
    Cached { effective: i64, expires: i64 },
    /// Caches have forgotten it; the load reports still show sessions, or are awaited.
    InUse { expired: i64 },
    /// It has no clients any more.
    Drained { effective: i64 },
    /// The watch ended while load reports still showed sessions.
    KeptSessions { expired: i64 },
    /// It is not drained any more, but in this state.
    Undone { state: String },
}

impl DrainStage {
    /// The exit code if the watch ends at this stage; `None` if it goes on.
    pub(super) fn exit(&self) -> Option<CommandExit> {
        match self {
            Self::Begun
            | Self::Leaving { .. }
            | Self::StillAnswered { .. }
            | Self::Cached { .. }
            | Self::InUse { .. } => None,
            Self::Drained { .. } => Some(CommandExit::Success),
            Self::KeptSessions { .. } => Some(CommandExit::MustAct),
            Self::Undone { .. } => Some(CommandExit::Failure),
        }
    }

    /// The stage without what changes from second to second: a share in steps of a tenth.
    pub(super) fn without_numbers(&self) -> Self {
        match self.clone() {
            Self::Leaving { share, ends } => {
                Self::Leaving { share: (share * 10.0).ceil() / 10.0, ends: ends.map(|_| 0) }
            }
            other => other,
        }
    }
}

/// The sessions that a load source sees in a drained datacenter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SessionCount {
    /// The load source, with its target if it has several.
    pub(super) source: String,
    /// The number of connections in the newest report; `None` without a report in force.
    pub(super) now: Option<f64>,
    /// The maximum that was seen since the watch began.
    pub(super) maximum: f64,
}

/// A drain as it was when the server answered last.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DrainProgress {
    pub(super) subject: String,
    #[serde(flatten)]
    pub(super) stage: DrainStage,
    /// The time of the status document.
    pub(super) now: i64,
    pub(super) sessions: Vec<SessionCount>,
}

/// A drain that is watched.
#[derive(Debug)]
pub(super) struct WatchedDrain {
    is_datacenter: bool,
    /// For a subject other than a datacenter: when it was first seen to be effective.
    effective_since: Option<i64>,
    progress: DrainProgress,
}

impl WatchedDrain {
    fn new(subject: &str, is_datacenter: bool) -> Self {
        let progress = DrainProgress {
            subject: subject.to_owned(),
            stage: DrainStage::Begun,
            now: 0,
            sessions: Vec::new(),
        };
        Self { is_datacenter, effective_since: None, progress }
    }

    /// What a report names: its datacenters, and its subjects of other kinds.
    pub(super) fn of_report(report: &DrainReport) -> Vec<Self> {
        let datacenters =
            report.outcomes.iter().map(|outcome| Self::new(&outcome.datacenter, true));
        let others = report.overrides.iter().filter(|one| {
            one.kind == "state" && !matches!(one.subject_kind.as_str(), "datacenter" | "region")
        });
        datacenters.chain(others.map(|one| Self::new(&one.subject, false))).collect()
    }

    pub(super) fn progress(&self) -> &DrainProgress {
        &self.progress
    }

    /// Follows the newest status document. A drain that has ended stays as it ended.
    pub(super) fn follow(&mut self, status: &Status) {
        if self.progress.stage.exit().is_some() {
            return;
        }
        self.progress.now = status.now;
        if self.is_datacenter {
            self.follow_sessions(&status.loads);
        }
        self.progress.stage = match self.is_datacenter {
            true => self.datacenter_stage(status),
            false => self.override_stage(status),
        };
    }

    fn follow_sessions(&mut self, loads: &[LoadStatus]) {
        let name = &self.progress.subject;
        for load in loads.iter().filter(|load| is_about_alone(load, name)) {
            let source = match &load.target {
                Some(target) => format!("{} {target}", load.load),
                None => load.load.clone(),
            };
            let now = load.connections.filter(|_| !load.is_stale);
            let sessions = &mut self.progress.sessions;
            match sessions.iter_mut().find(|known| known.source == source) {
                Some(known) => {
                    known.now = now;
                    known.maximum = known.maximum.max(now.unwrap_or_default());
                }
                None => {
                    sessions.push(SessionCount { source, now, maximum: now.unwrap_or_default() })
                }
            }
        }
    }

    fn datacenter_stage(&self, status: &Status) -> DrainStage {
        let name = &self.progress.subject;
        let Some(found) = status.datacenters.iter().find(|found| found.name == *name) else {
            return DrainStage::Undone { state: "not configured".to_owned() };
        };
        let DatacenterStatus { state, still_answered, still_answered_count, drain, .. } = found;
        if !matches!(state.as_str(), "draining" | "disabled") {
            return DrainStage::Undone { state: state.clone() };
        }
        if let Some(drain) = drain {
            return self.stage_after_effect(*drain, status);
        }
        let ramp = status.ramps.iter().find(|ramp| ramp.name == *name && ramp.pool.is_none());
        stage_before_effect(ramp, still_answered, *still_answered_count)
    }

    fn override_stage(&mut self, status: &Status) -> DrainStage {
        let subject = &self.progress.subject;
        let is_of_subject = |one: &&OverrideStatus| one.subject == *subject && one.kind == "state";
        let Some(found) = status.overrides.iter().find(is_of_subject) else {
            return DrainStage::Undone { state: "what the files say".to_owned() };
        };
        if !matches!(found.value.as_str(), "draining" | "disabled") {
            return DrainStage::Undone { state: found.value.clone() };
        }
        if found.effective {
            // The last answer before may have been in the second of the first document.
            let effective = *self.effective_since.get_or_insert(status.now + 1);
            let expires = effective + i64::from(found.longest_ttl);
            let drain = DrainStatus { effective, longest_ttl: found.longest_ttl, expires };
            return self.stage_after_effect(drain, status);
        }
        let ramp = status.ramps.iter().find(|ramp| ramp.is_of(found));
        stage_before_effect(ramp, &found.still_answered, found.still_answered_count)
    }

    /// The stage once no new answer names the subject.
    fn stage_after_effect(&self, drain: DrainStatus, status: &Status) -> DrainStage {
        let DrainStatus { effective, longest_ttl, expires } = drain;
        if status.now < expires {
            return DrainStage::Cached { effective, expires };
        }
        let name = &self.progress.subject;
        let reports = || status.loads.iter().filter(|load| is_about_alone(load, name));
        // Only reports from after the expiry tell what is left.
        let read_at = |load: &LoadStatus| {
            let age = load.age_secs.and_then(|secs| i64::try_from(secs).ok());
            age.map_or(i64::MIN, |age| status.now - age)
        };
        let counts_sessions = |load: &&LoadStatus| load.connections.is_some() || load.is_stale;
        let is_empty = reports()
            .filter(counts_sessions)
            .all(|load| load.connections == Some(0.0) && read_at(load) >= expires);
        let wait = MIN_SESSION_WAIT_SECS.max(i64::from(longest_ttl));
        match is_empty {
            true => DrainStage::Drained { effective },
            false if status.now < expires + wait => DrainStage::InUse { expired: expires },
            false => DrainStage::KeptSessions { expired: expires },
        }
    }
}

/// The stage while answers may still name the subject: `count` names and types, of which
/// `still_answered` has the first.
fn stage_before_effect(
    ramp: Option<&RampStatus>,
    still_answered: &[RemainingAnswer],
    count: usize,
) -> DrainStage {
    match (ramp, still_answered.first()) {
        (Some(ramp), _) => {
            let is_paused = ramp.kind == "held-drain";
            DrainStage::Leaving { share: ramp.at, ends: (!is_paused).then_some(ramp.ends) }
        }
        (None, Some(first)) => DrainStage::StillAnswered {
            count,
            example: format!("{} {}: {}", first.service, first.rtype, first.why),
        },
        (None, None) => DrainStage::Begun,
    }
}

/// Whether a load report is about this datacenter and no other.
fn is_about_alone(load: &LoadStatus, datacenter: &str) -> bool {
    matches!(&*load.datacenters, [only] if only == datacenter)
}
