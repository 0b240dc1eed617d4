//! Text that several commands print: times, ramps, colours, and what a shortened list omits.

pub(super) use crate::control::format_time;
use std::fmt::Write;

use crate::{
    control::{RampStatus, ServerStatus, unix_now},
    number_format::percent,
    printable,
};

/// The maximum number of services that are shown: of those without a usable member, and of those
/// that are still answered from a drained datacenter.
pub(super) const MAX_SERVICES: usize = 20;
/// The maximum number of targets without problems that are shown; all failing ones are shown.
pub(super) const MAX_TARGETS: usize = 20;

/// The colours of `status`.
#[derive(Clone, Copy)]
pub(super) struct StatusStyle {
    pub(super) is_coloured: bool,
}

impl StatusStyle {
    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// `server http://127.0.0.1:8053: node gslb1, process 4711, started 2026-12-01 06:00:00 UTC`.
pub(super) fn server_line(server: &ServerStatus) -> String {
    let url = server.url.as_deref().unwrap_or("-");
    let (node, started) = (printable::escaped(&server.node), format_time(server.started));
    format!("server {url}: node {node}, process {}, started {started}", server.pid)
}

/// Writes how many items a list omits, and the command that prints all of them.
pub(super) fn write_hidden_count(text: &mut String, hidden: usize, what: &str) -> std::fmt::Result {
    if hidden == 0 {
        return Ok(());
    }
    writeln!(text, "    and {hidden} more {what}; `portolan status --json` lists all")
}

/// `in 25 s`, `4 m ago`.
pub(super) fn format_relative_time(secs: i64) -> String {
    match secs {
        0 => "now".to_owned(),
        1.. => format!("in {}", format_duration(secs)),
        _ => format!("{} ago", format_duration(-secs)),
    }
}

/// `45 s`, `12 m 3 s`, `5 h 10 m`, `3 d 4 h`.
pub(super) fn format_duration(secs: i64) -> String {
    match secs {
        ..60 => format!("{secs} s"),
        60..3600 => format!("{} m {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} m", secs / 3600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3600 % 24),
    }
}

/// The progress of a ramp: `receives 40% of its normal traffic, and 0% in 6 m`;
/// `paused at 40% of its normal traffic`; of a failback, `40% already moved, and 100% in 6 m`.
///
/// "Normal traffic" is the member's share without the ramp. What that is of a service depends on
/// the other members.
pub(super) fn ramp_text(ramp: &RampStatus) -> String {
    let secs_left = ramp.ends - unix_now();
    let is_paused =
        ramp.kind == "held-drain" || secs_left <= 0 && ramp.goal > 0.0 && ramp.goal < 1.0;
    if is_paused {
        return format!("paused at {} of its normal traffic", percent(ramp.goal));
    }
    let (now, goal) = (percent(ramp.at), percent(ramp.goal));
    let end = format_relative_time(secs_left);
    match ramp.kind.as_str() {
        "failback" => format!("{now} already moved, and {goal} {end}"),
        _ => format!("receives {now} of its normal traffic, and {goal} {end}"),
    }
}
