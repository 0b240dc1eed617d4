//! The replay: compiles what was in force at a moment, and explains an answer of then.
//!
//! The configuration in force is used as it is. An earlier one is read back and checked again. Only
//! the services that the answer needs are compiled. GeoIP databases are not kept: those in use now
//! are used, and a note says so where they differ.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    configurations, difference,
    handle::History,
    names::NameTable,
    past::{self, PastMoment},
    published::{DatabaseIdentity, PublishedConfiguration},
    replay_error::ReplayError,
};
use crate::{
    config::{SourceOptions, Sources},
    control::{clock::format_time, config_load::PastConfig, journal::time_text, overrides},
    dns::Name,
    engine::{self, ExplainRequest, Explanation, SnapshotContext},
    geo::Databases,
    snapshot::Snapshot,
    steer::{
        Compilation, CompiledCharts, Compiler, Conditions, Numbering, OverrideSet, ServiceId,
        Surveys, Topology, WheelCache, apply_overrides,
    },
    zone::Zones,
};

/// The maximum number of names that one answer leads to by CNAME.
const MAX_ALIASES: usize = 16;

/// What a replay starts from: parts of the configuration in force.
#[derive(Debug)]
pub(in crate::control) struct ReplayBase {
    pub locations: SourceOptions,
    pub configuration: Arc<PublishedConfiguration>,
    pub compiler: Arc<Compiler>,
    pub surveys: Surveys,
    pub zones: Arc<Zones>,
    pub databases: Arc<Databases>,
}

/// An answer of the past, with the reasons for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Replay {
    /// The moment that was asked for, by RFC 3339.
    pub at: String,
    /// Since when these conditions were in force, by RFC 3339.
    pub since: String,
    /// What a reader should know about the replay.
    pub notes: Vec<String>,
}

/// The overrides of a moment.
struct PastOverrideSet {
    set: OverrideSet,
    /// When they were applied, in seconds since 1970.
    applied_at: i64,
}

impl PastOverrideSet {
    /// The effective topology of `configured`, and its compiler.
    fn compiler(
        &self,
        configured: &Arc<Topology>,
        databases: &Databases,
        surveys: &mut Surveys,
    ) -> (Arc<Topology>, Arc<Compiler>) {
        let topology = apply_overrides(configured, &self.set, self.applied_at);
        let compiler = Compiler::new(Arc::clone(&topology), databases, surveys);
        (topology, compiler)
    }
}

/// A configuration, compiled as far as a replay needs it.
struct ReplayedConfiguration {
    names: NameTable,
    compiler: Arc<Compiler>,
    surveys: Surveys,
    zones: Arc<Zones>,
}

impl History {
    /// Explains the answer of a moment, in milliseconds since 1970. This may take seconds.
    ///
    /// # Errors
    /// The moment cannot be repeated, or the name was not served.
    pub(in crate::control) fn explain_at(
        &self,
        base: ReplayBase,
        request: &ExplainRequest,
        time_ms: i64,
    ) -> Result<(Replay, Explanation), ReplayError> {
        let moment = past::find(self.directory(), time_ms)?;
        let databases = Arc::clone(&base.databases);
        let mut notes = moment.notes.clone();
        notes
            .extend(database_notes(&moment.configuration.databases, &base.configuration.databases));
        let identity = &moment.configuration;
        let set = match &identity.overrides {
            Some(text) => overrides::decode(text.as_bytes())
                .map_err(|error| ReplayError::Unusable(error.to_string()))?,
            None => OverrideSet::default(),
        };
        let past = PastOverrideSet { set, applied_at: identity.overrides_at };
        let has_same_files = self.digest_of(&base.configuration).as_ref() == Some(&identity.digest);
        let configuration = match has_same_files {
            true => base.into_configuration(&past),
            false => earlier(&self.configurations(), &identity.digest, &base, &past)?,
        };
        let explanation = configuration.explain(&moment, &databases, request)?;
        let (at, since) = (time_text(time_ms), time_text(moment.since_ms));
        Ok((Replay { at, since, notes }, explanation))
    }
}

impl ReplayBase {
    /// The configuration in force, with the overrides of then.
    fn into_configuration(mut self, past: &PastOverrideSet) -> ReplayedConfiguration {
        let PublishedConfiguration {
            topology, configured, numbering, overrides, overrides_at, ..
        } = &*self.configuration;
        let has_same_overrides = past.set == **overrides && past.applied_at == *overrides_at;
        let (topology, compiler) = match has_same_overrides {
            true => (Arc::clone(topology), self.compiler),
            false => past.compiler(configured, &self.databases, &mut self.surveys),
        };
        ReplayedConfiguration {
            names: NameTable::new(&topology, numbering),
            compiler,
            surveys: self.surveys,
            zones: self.zones,
        }
    }
}

/// Reads an earlier configuration back.
fn earlier(
    directory: &Path,
    digest: &str,
    base: &ReplayBase,
    past: &PastOverrideSet,
) -> Result<ReplayedConfiguration, ReplayError> {
    let stored = configurations::load(directory, digest).map_err(ReplayError::Gone)?;
    let sources = Sources::from_files(&base.locations, stored.files)
        .with_credentials_in_use(Arc::new(stored.credentials));
    let PastConfig { topology, zones } =
        PastConfig::load(sources, stored.serials).map_err(ReplayError::Unusable)?;
    let mut surveys = base.surveys.clone();
    let (topology, compiler) = past.compiler(&topology, &base.databases, &mut surveys);
    let names = NameTable::new(&topology, &Numbering::default());
    Ok(ReplayedConfiguration { names, compiler, surveys, zones })
}

impl ReplayedConfiguration {
    fn explain(
        mut self,
        moment: &PastMoment,
        databases: &Arc<Databases>,
        request: &ExplainRequest,
    ) -> Result<Explanation, ReplayError> {
        let conditions = difference::conditions(&self.names, &moment.facts);
        let conditions = Arc::new(conditions.ok_or(ReplayError::Inconsistent)?);
        let topology = Arc::clone(&self.names.topology);
        let mut names = vec![request.name.clone()];
        loop {
            let services = services_of(&topology, &names);
            let charts = self.compile(&conditions, &services);
            let snapshot = self.snapshot(moment.generation, &charts, databases);
            let context =
                SnapshotContext { snapshot: &snapshot, databases, conditions: &conditions };
            let explanation = engine::explain(&context, request).map_err(ReplayError::NotServed)?;
            // The answer may lead to another service of this server.
            let known = names.len();
            names.extend(alias_targets(&explanation, &names));
            let has_more = services_of(&topology, &names) != services;
            if names.len() == known || !has_more || names.len() > MAX_ALIASES {
                return Ok(explanation);
            }
        }
    }

    fn compile(
        &mut self,
        conditions: &Arc<Conditions>,
        services: &BTreeSet<ServiceId>,
    ) -> CompiledCharts {
        let (compiler, conditions) = (Arc::clone(&self.compiler), Arc::clone(conditions));
        let compilation = Compilation::of_services(compiler, conditions, services.iter().copied());
        compilation.finish(&mut self.surveys, &mut WheelCache::default())
    }

    fn snapshot(
        &self,
        generation: u64,
        charts: &CompiledCharts,
        databases: &Arc<Databases>,
    ) -> Snapshot {
        Snapshot {
            generation,
            zones: Arc::clone(&self.zones),
            charts: charts.charts(),
            turn_counters: charts.turn_counters(),
            identity: Arc::default(),
            databases: Arc::clone(databases),
            topology: Arc::clone(&self.names.topology),
            health_statuses: charts.conditions().health_statuses.clone().into(),
        }
    }
}

/// The services that these names may be answered by: those of the same name, and wildcards above.
fn services_of(topology: &Topology, names: &[Name]) -> BTreeSet<ServiceId> {
    let texts: Vec<String> = names.iter().map(|name| name.to_string().to_lowercase()).collect();
    let is_wanted = |service: &Name| {
        let service = service.to_string().to_lowercase();
        texts.iter().any(|text| match service.strip_prefix('*') {
            Some(parent) => text.ends_with(parent),
            None => *text == service,
        })
    };
    let services = topology.services.iter().zip((0..).map(ServiceId));
    services.filter(|(service, _)| is_wanted(&service.name)).map(|(_, id)| id).collect()
}

/// The targets of the CNAME records of an answer that are not among `known`.
fn alias_targets(explanation: &Explanation, known: &[Name]) -> Vec<Name> {
    let records = explanation.reply.answers.iter().filter(|record| record.rtype == "CNAME");
    let targets = records.filter_map(|record| record.rdata.parse().ok());
    targets.filter(|target| !known.contains(target)).collect()
}

/// A note for each database of then that is not in use now.
fn database_notes(then: &[DatabaseIdentity], now: &[DatabaseIdentity]) -> Vec<String> {
    let built = |database: &DatabaseIdentity| {
        format_time(i64::try_from(database.built).unwrap_or(i64::MAX))
    };
    let note = |database: &DatabaseIdentity| {
        let newer = now.iter().find(|newer| newer.path == database.path);
        let instead = match newer {
            Some(newer) => format!("the one built {} is used", built(newer)),
            None => "no other one is used in its place".to_owned(),
        };
        let DatabaseIdentity { path, kind, .. } = database;
        format!(
            "the {kind} database {path} of that time, built {}, is not kept: {instead}",
            built(database)
        )
    };
    let lost = then.iter().filter(|database| !now.contains(database)).map(note);
    let is_new = |database: &&DatabaseIdentity| !then.iter().any(|old| old.path == database.path);
    let new = now.iter().filter(is_new).map(|database| {
        format!(
            "the {} database {} is used, which was not in use at that time",
            database.kind, database.path
        )
    });
    lost.chain(new).collect()
}
