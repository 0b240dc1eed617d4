//! The side of a running server, from the document of what its answers were compiled from.

use std::sync::Arc;

use super::{
    base_side::{BaseSide, identity, shown_databases},
    scenario::SideInputs,
};
use crate::{
    cli::{
        args::PlanArguments,
        client::{self, RemoteError, ServerList, ServerReply},
        server_args::ServerArguments,
    },
    config::SourceOptions,
    control::{DatabaseStatus, LoadedConfig, SteeringDocument, open_databases},
    engine::PlanOptions,
    geo::Databases,
};

/// The side of a running server: its configuration, health and states now.
///
/// # Errors
/// The text for the operator: no server answers, or its databases are not on this host.
pub(super) fn server_side(
    plan: &PlanArguments,
    files: Option<&LoadedConfig>,
) -> Result<BaseSide, String> {
    let named = plan.against.clone().or_else(|| plan.server.clone());
    let remote = ServerArguments {
        server: named.into_iter().collect(),
        ca: plan.ca.clone(),
        config: plan.files.config.clone(),
    };
    let server = ServerList::new(&remote).and_then(ServerList::single);
    let reply: Result<ServerReply<SteeringDocument>, _> =
        server.and_then(|server| client::read_document(&server, "/api/v1/steering"));
    let reply = reply.map_err(|error| match error {
        RemoteError::Unreachable { url, cause } => format!(
            "no portolan server answers at {url}: {cause}\n  help: start it with `portolan serve`, name its admin address with \
             --server URL, or compare with files by --against DIR"
        ),
        error => error.to_string(),
    })?;
    let line = reply.server_line();
    let document = reply.document;
    let mut notes = Vec::new();
    let databases = databases_of(&document.databases, plan, files, &mut notes)?;
    let overrides = document
        .override_set()
        .map_err(|error| format!("the server's overrides cannot be read: {error}"))?;
    let topology = document.effective_topology(&overrides);
    let conditions = document.conditions.after_ramps(&topology);
    Ok(BaseSide {
        source: format!("the running {line}; generation {}", document.generation),
        inputs: SideInputs { topology, conditions },
        databases,
        notes,
        options: PlanOptions {
            answers: document.answers.into_iter().collect(),
            observed: document.demand,
            pool_loads: document.pool_loads.into_iter().collect(),
            ..PlanOptions::default()
        },
        overrides: Arc::new(overrides),
        rules: document.rules,
    })
}

/// The databases of a server: those of the files if they are equal, else the server's files if they
/// are on this host, else those of the files, with a note.
fn databases_of(
    wanted: &[DatabaseStatus],
    plan: &PlanArguments,
    files: Option<&LoadedConfig>,
    notes: &mut Vec<String>,
) -> Result<Arc<Databases>, String> {
    if wanted.is_empty() {
        return Ok(Arc::default());
    }
    let identities: Vec<_> = wanted
        .iter()
        .map(|database| (database.kind.clone(), database.built, database.networks))
        .collect();
    let is_wanted = |found: &Arc<Databases>| identity(found) == identities;
    let known = files.filter(|_| plan.files.geoip.is_empty()).map(LoadedConfig::databases);
    if let Some(known) = known.filter(|known| is_wanted(known)) {
        return Ok(Arc::clone(known));
    }
    let paths = wanted.iter().map(|database| (&database.path).into()).collect();
    let theirs = open_databases(&SourceOptions { geoip: paths, ..SourceOptions::default() });
    if let Some(found) = theirs.ok().filter(is_wanted) {
        return Ok(found);
    }
    let local = SourceOptions { geoip: Vec::new(), ..plan.files.locations() };
    let ours = open_databases(&local).ok().filter(|found| !found.list().is_empty());
    let paths: Vec<&str> = wanted.iter().map(|database| &*database.path).collect();
    let Some(found) = ours else {
        return Err(format!(
            "the GeoIP databases of the server are not on this host: {}\n  help: run `portolan plan` on the server's host, or \
             copy them to the same paths, or into geoip/ here",
            paths.join(", ")
        ));
    };
    if !is_wanted(&found) {
        notes.push(format!(
            "the server locates clients by {}, which is not on this host; both sides are located by {}",
            paths.join(", "),
            shown_databases(&found)
        ));
    }
    Ok(found)
}
