//! The progress of a drain as text.

use super::progress::{DrainProgress, DrainStage, SessionCount};
use crate::{
    cli::{
        screen::Screen,
        text::{format_relative_time, format_time},
    },
    number_format::percent,
};

/// The number of steps of the bar.
const BAR_STEPS: usize = 20;

/// The progress for a terminal: a bar, the stage, and what load reports show.
pub(super) fn progress_text(progress: &DrainProgress, screen: Screen) -> String {
    let bar = bar(progress);
    let mut lines = screen.wrap(&format!("{bar} {}", progress_line(progress)), bar.len() + 1);
    if !matches!(progress.stage, DrainStage::Drained { .. } | DrainStage::KeptSessions { .. }) {
        let sessions: Vec<String> = progress.sessions.iter().map(session_text).collect();
        if !sessions.is_empty() {
            let indent = " ".repeat(bar.len() + 1);
            lines.push(screen.cut(&format!("{indent}load reports: {}", sessions.join("; "))));
        }
    }
    lines.join("\n") + "\n"
}

/// The share of clients that have left, as a bar: `[############--------]`.
fn bar(progress: &DrainProgress) -> String {
    let moved = match &progress.stage {
        DrainStage::Begun | DrainStage::StillAnswered { .. } | DrainStage::Undone { .. } => 0.0,
        DrainStage::Leaving { share, .. } => 1.0 - share,
        DrainStage::Cached { .. }
        | DrainStage::InUse { .. }
        | DrainStage::Drained { .. }
        | DrainStage::KeptSessions { .. } => 1.0,
    };
    let filled = (moved * BAR_STEPS as f64) as usize;
    format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR_STEPS - filled.min(BAR_STEPS)))
}

/// The stage in one line: `fra: 62% of its clients moved, all of them in 3 m 48 s`.
pub(super) fn progress_line(progress: &DrainProgress) -> String {
    let DrainProgress { subject, stage, now, sessions } = progress;
    let what = match stage {
        DrainStage::Begun => "the drain has begun".to_owned(),
        DrainStage::Leaving { share, ends } => {
            let moved = percent(1.0 - share);
            match ends {
                Some(ends) => format!(
                    "{moved} of its clients moved, all of them {}",
                    format_relative_time((ends - now).max(0))
                ),
                None => format!("{moved} of its clients moved; the drain is paused"),
            }
        }
        DrainStage::StillAnswered { count: 1, example } => {
            format!("still in the answers of 1 name and type: {example}")
        }
        DrainStage::StillAnswered { count, example } => {
            format!("still in the answers of {count} names and types, such as {example}")
        }
        DrainStage::Cached { effective, expires } => format!(
            "out of every new answer since {}; the last cached answer expires at {} ({})",
            format_time(*effective),
            format_time(*expires),
            format_relative_time(expires - now),
        ),
        DrainStage::InUse { expired } => format!(
            "out of every answer and cache since {}; {}",
            format_time(*expired),
            sessions_left(sessions, "waiting for its sessions to end"),
        ),
        DrainStage::Drained { .. } if sessions.iter().any(|source| source.now.is_some()) => {
            "drained: DNS answers 0%, and its load reports show no sessions".to_owned()
        }
        DrainStage::Drained { .. } => {
            "drained: DNS answers 0%; no load report counts its sessions".to_owned()
        }
        DrainStage::KeptSessions { .. } => {
            format!("DNS answers 0%, {}", sessions_left(sessions, "its sessions are not known"))
        }
        DrainStage::Undone { state } => format!("not drained: its state is {state}"),
    };
    format!("{subject}: {what}")
}

/// `HAProxy still has 3.1% of its sessions`, for each source that has some.
fn sessions_left(sessions: &[SessionCount], without: &str) -> String {
    let left: Vec<String> = sessions
        .iter()
        .filter(|source| source.now.is_none_or(|now| now > 0.0))
        .map(|source| match (source.now, source.maximum) {
            (Some(now), maximum) if maximum > 0.0 => {
                format!("{} still has {} of its sessions", source.source, percent(now / maximum))
            }
            _ => format!("{} sends no report", source.source),
        })
        .collect();
    if left.is_empty() { without.to_owned() } else { left.join(", ") }
}

/// `edge-fra has 12 of 387 sessions (3.1%)`.
fn session_text(source: &SessionCount) -> String {
    let SessionCount { source, now, maximum } = source;
    match now {
        Some(now) if *maximum > 0.0 => {
            format!("{source} has {now:.0} of {maximum:.0} sessions ({})", percent(now / maximum))
        }
        Some(now) => format!("{source} has {now:.0} sessions"),
        None => format!("{source} sends no report"),
    }
}
