//! The channels by which events reach the controller's task.

use tokio::sync::mpsc;

use crate::{
    control::handle::ControllerCommand,
    health::Outcome,
    probe::{PollReport, ProbeReport},
    resolve::AliasReport,
};

/// The receiving ends of the controller's channels.
pub(super) struct EventChannels {
    pub commands: mpsc::Receiver<ControllerCommand>,
    pub probe_reports: mpsc::Receiver<ProbeReport>,
    pub alias_reports: mpsc::Receiver<AliasReport>,
    pub poll_reports: mpsc::Receiver<PollReport>,
    /// Receives `()` when an edit of the files is complete.
    pub edits: mpsc::Receiver<()>,
    pub canary_outcomes: mpsc::Receiver<Outcome>,
}

/// The sending ends of the same channels.
pub(super) struct EventSenders {
    pub commands: mpsc::Sender<ControllerCommand>,
    pub probe_reports: mpsc::Sender<ProbeReport>,
    pub alias_reports: mpsc::Sender<AliasReport>,
    pub poll_reports: mpsc::Sender<PollReport>,
    pub edits: mpsc::Sender<()>,
    pub canary_outcomes: mpsc::Sender<Outcome>,
}

/// Opens all channels. Their bounds slow the senders down instead of the controller's memory
/// growing; the channel of edits holds one, because further edits before the reload are part of it.
pub(super) fn open() -> (EventSenders, EventChannels) {
    let (command_sender, commands) = mpsc::channel(64);
    let (probe_sender, probe_reports) = mpsc::channel(1024);
    let (alias_sender, alias_reports) = mpsc::channel(64);
    let (poll_sender, poll_reports) = mpsc::channel(1024);
    let (edit_sender, edits) = mpsc::channel(1);
    let (canary_sender, canary_outcomes) = mpsc::channel(8);
    let senders = EventSenders {
        commands: command_sender,
        probe_reports: probe_sender,
        alias_reports: alias_sender,
        poll_reports: poll_sender,
        edits: edit_sender,
        canary_outcomes: canary_sender,
    };
    let channels = EventChannels {
        commands,
        probe_reports,
        alias_reports,
        poll_reports,
        edits,
        canary_outcomes,
    };
    (senders, channels)
}
