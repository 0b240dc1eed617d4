//! The part of `status` about problems, in the order of urgency.

use std::fmt::Write;

use crate::{
    cli::text::{MAX_SERVICES, StatusStyle, format_time, write_hidden_count},
    control::Status,
};

/// The maximum number of warnings that are shown.
const MAX_WARNINGS: usize = 20;
/// The maximum number of requirements that are shown.
const MAX_REQUIREMENTS: usize = 20;
/// The maximum number of held files that are shown.
const MAX_HELD_FILES: usize = 20;

pub(super) fn render(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    held_files(text, status, style, MAX_HELD_FILES)?;
    refused_files(text, status, style)?;
    unsaved_state(text, status, style)?;
    journal_faults(text, status, style)?;
    databases(text, status, style)?;
    unchecked_targets(text, status, style)?;
    certificates(text, status, style)?;
    frozen_verdicts(text, status, style)?;
    monitor_faults(text, status, style)?;
    distressed_services(text, status, style)?;
    safety_rules(text, status, style)?;
    requirements(text, status, style)?;
    warnings(text, status, style)
}

/// What safety rules hold, and the rules that are broken.
fn safety_rules(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let concerns = status.safety.concerns();
    if !concerns.is_empty() {
        writeln!(text, "\n{}", style.bad("safety rules"))?;
        concerns.iter().try_for_each(|concern| writeln!(text, "  {concern}"))?;
    }
    if status.safety.is_frozen {
        writeln!(
            text,
            "\nfrozen: only health, aliases and what began before change answers, until `freeze` of [safety] is false"
        )?;
    }
    Ok(())
}

/// The expectations and assertions of the files that do not hold.
fn requirements(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.requirements.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{}", style.bad("requirements of the files that do not hold"))?;
    let mut shown = status.requirements.iter().take(MAX_REQUIREMENTS);
    shown.try_for_each(|requirement| writeln!(text, "  {requirement}"))?;
    let hidden = status.requirements.len().saturating_sub(MAX_REQUIREMENTS);
    write_hidden_count(text, hidden, "requirements")
}

/// What of the files is not in use as it is, and why.
pub(super) fn held(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    held_files(text, status, style, usize::MAX)?;
    refused_files(text, status, style)
}

/// The files whose newest content is not in use.
fn held_files(
    text: &mut String,
    status: &Status,
    style: StatusStyle,
    max_files: usize,
) -> std::fmt::Result {
    if let Some(removal) = &status.configuration.removal {
        writeln!(text, "\n{} {removal}", style.bad("a removal waits for an operator:"))?;
    }
    if status.held.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{}", style.bad("files whose newest content is not in use"))?;
    for file in status.held.iter().take(max_files) {
        writeln!(text, "  {} since {}: {}", file.file, format_time(file.since), file.in_use())?;
        // A removal that waits is printed only once, above.
        let mut errors = file
            .errors
            .iter()
            .filter(|error| Some(*error) != status.configuration.removal.as_ref());
        errors.try_for_each(|error| writeln!(text, "    {error}"))?;
    }
    match status.held.len().checked_sub(max_files) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(text, "  and {more} more: portolan status held"),
    }
}

fn refused_files(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    // Held files have their own list, with their errors.
    let Some(since) = status.configuration.refused.filter(|_| status.held.is_empty()) else {
        return Ok(());
    };
    let heading = format!(
        "the newest files have been refused since {}; the previous ones stay in use:",
        format_time(since)
    );
    writeln!(text, "\n{}", style.bad(&heading))?;
    status.configuration.errors.iter().try_for_each(|error| writeln!(text, "  {error}"))
}

fn unsaved_state(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let Some(why) = &status.unsaved else { return Ok(()) };
    let heading = style.bad("the state is not saved, and a restart would begin without it:");
    writeln!(text, "\n{heading} {why}")
}

fn journal_faults(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let mut concerns = status.journal.concerns().into_iter();
    concerns.try_for_each(|concern| writeln!(text, "\n{}", style.bad(&concern)))
}

fn databases(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let heading = style.bad("GeoIP database refused:");
    for database in &status.databases {
        if let Some(error) = &database.error {
            writeln!(text, "\n{heading} {}: {error}", database.path)?;
        }
    }
    Ok(())
}

fn unchecked_targets(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let concerns = [status.checker.checks.targets_concern(), status.polls.loads_concern()];
    concerns.iter().flatten().try_for_each(|concern| writeln!(text, "\n{}", style.bad(concern)))
}

fn certificates(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let concerns = status.certificates.iter().filter_map(|file| file.concern(status.now));
    for concern in concerns {
        let line =
            if concern.is_grave { style.bad(&concern.text) } else { style.warn(&concern.text) };
        writeln!(text, "\n{line}")?;
    }
    Ok(())
}

fn frozen_verdicts(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.checker.doubt != "suspecting" {
        return Ok(());
    }
    let why = "most targets fail at once: verdicts are frozen, because the cause may be the network of this server";
    writeln!(text, "\n{}", style.bad(why))
}

fn monitor_faults(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.monitor_faults.is_empty() {
        return Ok(());
    }
    let heading = "monitors that cannot work; their targets keep their status";
    writeln!(text, "\n{}", style.bad(heading))?;
    let mut faults = status.monitor_faults.iter();
    faults.try_for_each(|fault| writeln!(text, "  {}: {}", fault.monitor, fault.error))
}

fn distressed_services(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    if status.distressed.is_empty() {
        return Ok(());
    }
    let is_recovering = status.distressed.iter().any(|service| service.is_recovering);
    let heading = if is_recovering {
        "no usable member, or too few yet after an outage, for"
    } else {
        "no usable member for"
    };
    writeln!(text, "\n{}", style.bad(heading))?;
    for service in status.distressed.iter().take(MAX_SERVICES) {
        writeln!(text, "  {}: answered with {}", service.subject(), service.plight)?;
    }
    let hidden = status.distressed_count.saturating_sub(MAX_SERVICES);
    write_hidden_count(text, hidden, "names and types")
}

fn warnings(text: &mut String, status: &Status, style: StatusStyle) -> std::fmt::Result {
    let warnings = &status.configuration.warnings;
    if warnings.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{}", style.warn("warnings"))?;
    let mut shown = warnings.iter().take(MAX_WARNINGS);
    shown.try_for_each(|warning| writeln!(text, "  {warning}"))?;
    write_hidden_count(text, warnings.len().saturating_sub(MAX_WARNINGS), "warnings")
}
