//! `drain`, `undrain`, `failback`: changes on a running server, and their effect on the snapshot in
//! force.

use std::process::ExitCode;

use super::{
    args::{DrainArguments, FailbackArguments, ServerArguments, UndrainArguments},
    client::{ServerReply, percent_encoded, request},
    output::Output,
    text::{format_relative_time, format_time, ramp_text},
};
use crate::{
    admin::DrainBody,
    control::{DrainOutcome, DrainReport, DrainStatus, NewlyDistressed, unix_now},
};

/// The maximum number of names and types that are shown of those still answered from a drained
/// datacenter.
const MAX_SHOWN: usize = 10;

pub(super) fn drain(drain: &DrainArguments, output: &Output) -> ExitCode {
    let change = DrainBody {
        for_secs: drain.duration.map(|duration| duration.as_secs()),
        over_secs: drain.over.map(|duration| duration.as_secs()),
        reason: drain.reason.clone(),
        force: drain.force,
    };
    let verb = match (drain.pause, drain.resume) {
        (true, _) => "pause",
        (_, true) => "resume",
        _ => "drain",
    };
    set_state(&drain.remote, &drain.datacenter, verb, &change, output)
}

pub(super) fn undrain(undrain: &UndrainArguments, output: &Output) -> ExitCode {
    set_state(&undrain.remote, &undrain.datacenter, "undrain", &DrainBody::default(), output)
}

pub(super) fn failback(failback: &FailbackArguments, output: &Output) -> ExitCode {
    let path = format!("/api/v1/pools/{}/failback", percent_encoded(&failback.pool));
    let reply: ServerReply<serde_json::Value> =
        match request(&failback.remote, &path, Some(&DrainBody::default())) {
            Ok(reply) => reply,
            Err(error) => return error.report(output),
        };
    if output.json {
        output.print_document(&reply);
        return ExitCode::SUCCESS;
    }
    let was_held =
        reply.document.get("given-back").and_then(serde_json::Value::as_bool) == Some(true);
    let what = if was_held {
        "clients return to the first usable member"
    } else {
        "no clients wait for a failback"
    };
    output.print_line(&reply.server_line());
    output.print_line(&format!("{}: {what}", failback.pool));
    ExitCode::SUCCESS
}

fn set_state(
    remote: &ServerArguments,
    datacenter: &str,
    verb: &str,
    change: &DrainBody,
    output: &Output,
) -> ExitCode {
    let path = format!("/api/v1/datacenters/{}/{verb}", percent_encoded(datacenter));
    let reply: ServerReply<DrainReport> = match request(remote, &path, Some(change)) {
        Ok(reply) => reply,
        Err(error) => return error.report(output),
    };
    if output.json {
        output.print_document(&reply);
        return ExitCode::SUCCESS;
    }
    let reply = reply.escaped();
    let report = &reply.document;
    output.print_line(&reply.server_line());
    report.files.iter().for_each(|file| output.print_line(&format!("edited {file}")));
    for outcome in &report.outcomes {
        output.print_line(&outcome_text(outcome, report));
        still_answered(outcome).iter().for_each(|line| output.print_line(line));
    }
    for NewlyDistressed { subject, answers } in report.distressed.iter().take(MAX_SHOWN) {
        output.print_message(&format!(
            "warning: the drain leaves no usable member for {subject}: answered with {answers}"
        ));
    }
    if let Some(more) = report.distressed.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        output.print_message(&format!(
            "warning: the drain leaves no usable member for {more} more; `portolan status --json` lists all"
        ));
    }
    ExitCode::SUCCESS
}

/// The outcome for one datacenter, in one line.
fn outcome_text(outcome: &DrainOutcome, report: &DrainReport) -> String {
    let DrainOutcome { datacenter: name, unchanged, state, effective, .. } = outcome;
    if let Some(why) = unchanged {
        return format!("{name}: {why}{}", planned_end_text(outcome));
    }
    let drain = report
        .datacenters
        .iter()
        .find(|(datacenter, _)| datacenter == name)
        .and_then(|(_, drain)| *drain);
    let ramp = report.ramps.iter().find(|ramp| ramp.name == *name && ramp.pool.is_none());
    match (state.as_str(), ramp, drain) {
        ("draining" | "disabled", _, Some(drain)) if *effective => {
            format!("{name}: {}{}", effective_text(drain), planned_end_text(outcome))
        }
        ("draining", Some(ramp), _) => {
            format!(
                "{name}: draining, not effective yet: {}{}",
                ramp_text(ramp),
                planned_end_text(outcome)
            )
        }
        ("active", Some(ramp), _) => {
            format!("{name}: coming back into service: {}", ramp_text(ramp))
        }
        ("active", None, _) if outcome.answered_count > 0 => {
            format!("{name}: in service, in {}", answers_text(outcome.answered_count))
        }
        ("active", None, _) if outcome.services == 0 => {
            format!("{name}: active; no service has a member in it")
        }
        ("active", None, _) if outcome.targets == 0 => format!(
            "{name}: active, but no answer names it: other members come first; see `portolan explain NAME`"
        ),
        ("active", None, _) => {
            format!(
                "{name}: active, but no answer names it; `portolan status` shows the health of its targets"
            )
        }
        _ => format!(
            "{name}: {state}, not effective: still in {}{}",
            answers_text(outcome.answered_count),
            planned_end_text(outcome)
        ),
    }
}

fn effective_text(drain: DrainStatus) -> String {
    format!(
        "out of every new answer since {}; the longest TTL handed out is {} s, so the last cached answer expires at {} ({})",
        format_time(drain.effective),
        drain.longest_ttl,
        format_time(drain.expires),
        format_relative_time(drain.expires - unix_now()),
    )
}

/// `; until 2026-12-01 06:00:00 UTC, then active ("kernel upgrade")`.
fn planned_end_text(outcome: &DrainOutcome) -> String {
    let until = outcome
        .until
        .map(|until| format!("; until {}, then active", format_time(until)))
        .unwrap_or_default();
    let reason =
        outcome.reason.as_deref().map(|reason| format!(" ({reason:?})")).unwrap_or_default();
    until + &reason
}

fn answers_text(count: usize) -> String {
    match count {
        1 => "the answers of 1 name and type".to_owned(),
        many => format!("the answers of {many} names and types"),
    }
}

/// The names and types that are still answered from a drained datacenter, one per line. The ramp is
/// in the line of the datacenter.
fn still_answered(outcome: &DrainOutcome) -> Vec<String> {
    let all = &outcome.still_answered;
    let mut lines: Vec<String> = all
        .iter()
        .take(MAX_SHOWN)
        .map(|still| format!("  {} {}: {}", still.service, still.rtype, still.why))
        .collect();
    if all.len() > MAX_SHOWN {
        lines.push(format!(
            "  and {} more; `portolan status --json` lists all",
            all.len() - MAX_SHOWN
        ));
    }
    lines
}
