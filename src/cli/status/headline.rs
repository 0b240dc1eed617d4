//! The first line of a status: whether an operator must act.

use crate::{
    cli::text::{StatusStyle, format_duration},
    control::Status,
};

/// One line: version, whether an operator must act, generation, time since the start.
pub(super) fn headline(status: &Status, style: StatusStyle) -> String {
    let word = if !status.is_listening {
        style.bad("starting: DNS queries are not answered before the first round of health checks")
    } else if status.concerns.iter().any(|concern| concern.is_grave) {
        style.bad("serving, but an operator must act")
    } else if !status.concerns.is_empty() {
        style.warn("serving, but an operator must act")
    } else if status.targets.iter().any(|target| target.verdict == "down") {
        style.warn("serving, with failures")
    } else {
        style.good("serving")
    };
    format!(
        "portolan {}: {word}; generation {}, up {}",
        status.version,
        status.generation,
        format_duration(status.now - status.started)
    )
}
