//! `explain` and `plan`: what clients get and why, and what a change would move.

use std::process::ExitCode;

use super::{
    args::{Explain, Plan, Remote},
    output::Output,
    remote::{ask, encoded},
};
use crate::{
    config::Locations,
    control::World,
    engine::{self, Explanation, Request, Rules},
};

/// The exit code of a plan that a rule forbids.
const FORBIDDEN: u8 = 3;

pub(super) fn explain(explain: &Explain, output: &Output) -> ExitCode {
    let explained = match &explain.server {
        Some(server) => from_server(explain, server),
        None => from_files(explain, output),
    };
    match explained {
        Ok(explanation) if output.json => output.document(&explanation),
        Ok(explanation) => output.line(engine::render_text(&explanation, output.is_coloured()).trim_end()),
        Err(why) => return output.fail(&why),
    }
    ExitCode::SUCCESS
}

fn from_files(explain: &Explain, output: &Output) -> Result<Explanation, String> {
    let loaded = World::load(&explain.files.locations(), output.message_colours());
    let mut world = loaded.map_err(|refusal| refusal.rendered)?;
    let (snapshot, conditions) = world.first_snapshot();
    let seen = engine::World { snapshot: &snapshot, databases: world.databases(), conditions: &conditions };
    let request = Request {
        name: explain.name.clone(),
        rtype: explain.rtype,
        client: explain.client,
        subnet: explain.subnet,
        seed: fastrand::u64(..),
    };
    engine::explain(&seen, &request).map_err(|not_ours| not_ours.to_string())
}

fn from_server(explain: &Explain, server: &str) -> Result<Explanation, String> {
    let remote = Remote { server: Some(server.to_owned()), config: None };
    let (name, rtype, client) = (encoded(&explain.name.to_string()), explain.rtype, explain.client);
    let subnet = explain.subnet.map(|subnet| format!("&subnet={}", encoded(&subnet.to_string()))).unwrap_or_default();
    let path = format!("/api/v1/explain?name={name}&type={rtype}&client={}{subnet}", encoded(&client.to_string()));
    ask(&remote, &path, None).map_err(|error| error.to_string())
}

pub(super) fn plan(plan: &Plan, output: &Output) -> ExitCode {
    let after = plan.files.locations();
    let before = Locations { zones: Some(plan.against.clone()), ..after.clone() };
    let load = |locations: &Locations| World::load(locations, output.message_colours());
    let (mut before, mut after) = match (load(&before), load(&after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            let refusals = [before.err(), after.err()].into_iter().flatten();
            return output.fail(&refusals.map(|refusal| refusal.rendered).collect::<String>());
        }
    };
    let (old_snapshot, old_conditions) = before.first_snapshot();
    let (new_snapshot, new_conditions) = after.first_snapshot();
    let was = engine::World { snapshot: &old_snapshot, databases: before.databases(), conditions: &old_conditions };
    let is = engine::World { snapshot: &new_snapshot, databases: after.databases(), conditions: &new_conditions };
    let planned = engine::plan(&was, &is);
    let violations = planned.violations(&Rules { max_moved_percent: plan.max_moved, ..Rules::default() });
    if output.json {
        output.document(&serde_json::json!({ "plan": planned, "violations": violations }));
    } else {
        output.line(engine::render_plan(&planned, output.is_coloured()).trim_end());
    }
    violations.iter().for_each(|violation| output.message(&format!("forbidden: {violation}")));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FORBIDDEN) }
}
