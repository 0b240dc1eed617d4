//! `plan`: what a change would move.
//!
//! | file | step |
//! |---|---|
//! | `base_side` | the side before the change |
//! | `server_side` | that side from a running server |
//! | `sides` | both sides, from files or a running server, compiled |
//! | `scenario` | drains and outages that are assumed in addition |
//! | `progress` | the step in progress, on a terminal |
//! | here | the comparison, and its output |
//!
//! Everything is computed in this process. The server only sends what its answers were compiled
//! from, so that a plan costs it no time that queries need.

mod base_side;
mod progress;
mod scenario;
mod server_side;
mod sides;

use serde_json::json;

use self::{progress::ProgressLine, sides::ComparedSides};
use super::{args::PlanArguments, client, exit::CommandExit, output::Output};
use crate::{
    control::unix_now,
    engine::{self, Plan, PlanLimits, PlanOptions},
    printable,
};

pub(super) fn run(plan: &PlanArguments, output: &Output) -> CommandExit {
    let reported = match compare(plan, output) {
        Ok((compared, planned)) => report(plan, &compared, &planned, output),
        Err(why) => Err(why),
    };
    reported.unwrap_or_else(|why| {
        output.fail(&why);
        CommandExit::Failure
    })
}

fn compare(plan: &PlanArguments, output: &Output) -> Result<(ComparedSides, Plan), String> {
    let progress = ProgressLine::start(output);
    let mut compared = sides::read(plan, output, &progress)?;
    let options = PlanOptions {
        demand: plan.demand,
        has_outages: plan.outages,
        has_map: plan.map.is_some(),
        now: unix_now(),
        ..std::mem::take(&mut compared.options)
    };
    progress.step("comparing the answers to all clients");
    let (before, after) = (compared.before.plan_side(), compared.after.plan_side());
    let mut planned = engine::plan(before, after, &options, &mut compared.surveys);
    planned.assumptions.splice(0..0, compared.notes.drain(..));
    Ok((compared, planned))
}

fn report(
    plan: &PlanArguments,
    compared: &ComparedSides,
    planned: &Plan,
    output: &Output,
) -> Result<CommandExit, String> {
    let limits = PlanLimits { max_moved_percent: plan.max_moved, ..PlanLimits::default() };
    let mut violations = planned.violations(&limits);
    violations.extend(rule_violations(plan, compared, planned));
    let (before, after) = (&compared.before.source, &compared.after.source);
    // A name or a reason must not forge a line.
    let shown = client::escape_document(planned.clone());
    write_map(plan, &shown)?;
    if output.json {
        output.print_document(&json!({
            "before": before, "after": after, "plan": planned, "violations": violations,
        }));
    } else {
        let [before, after] = [before, after].map(|source| printable::escaped(source));
        output.print_line(&format!("before: {before}\nafter:  {after}"));
        output.print_line(engine::render_plan(&shown, output.is_coloured()).trim_end());
        if let Some(path) = &plan.map {
            output.print_line(&format!("\nmap: {}", path.display()));
        }
    }
    violations
        .iter()
        .for_each(|violation| output.print_message(&format!("forbidden: {violation}")));
    Ok(if violations.is_empty() { CommandExit::Success } else { CommandExit::Forbidden })
}

/// The safety rules that would refuse the change. None with `--down`: an assumed outage is not a
/// change to judge.
fn rule_violations(plan: &PlanArguments, compared: &ComparedSides, planned: &Plan) -> Vec<String> {
    if !plan.down.is_empty() {
        return Vec::new();
    }
    let (before, after) = (compared.before.plan_side(), compared.after.plan_side());
    let moved = planned.moved_share();
    let changes_anything = !planned.changed.is_empty()
        || !planned.added.is_empty()
        || !planned.removed.is_empty()
        || !planned.datacenters.is_empty();
    let rules = &compared.rules;
    let violations = rules.violations(before.compiled, after.compiled, &moved, changes_anything);
    violations.iter().map(|violation| format!("safety rule {violation}")).collect()
}

/// Writes the map, if one is requested.
fn write_map(plan: &PlanArguments, planned: &Plan) -> Result<(), String> {
    let (Some(path), Some(map)) = (&plan.map, engine::render_map(planned)) else { return Ok(()) };
    std::fs::write(path, map).map_err(|error| {
        format!(
            "the map cannot be written to {}: {error}\n  help: name a file in a directory that exists and that you may write to",
            path.display()
        )
    })
}
