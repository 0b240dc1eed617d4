//! From specifications to domain values: names become positions, and what does not fit together is
//! reported.
//!
//! Each step goes on after a mistake with what is left, so that one run finds all of them; only a
//! run without any error yields a configuration.

use std::sync::{Arc, OnceLock};

use super::{
    Config, DefinitionOrigin, LoadMode,
    amend::{AmendmentBase, AmendmentInvariants},
    place::{FileId, SourcePlace},
    problems::Problems,
    settings::{DatabaseFault, DatabaseSource, Settings},
    sources::{FileRole, SourceReadError, Sources, ToleratedDatabases},
    spec::{
        DatacenterSpec, PoolSpec, RampSpec, ServicePool, Specs, monitor::credentials::Credential,
    },
};
use crate::{
    dns::Name,
    steer::{Datacenter, LoadSourceId, Topology},
};

mod aliases;
mod amendment;
mod answer_size;
mod cname_loops;
mod content_hash;
mod credentials;
mod datacenters;
mod geo;
mod monitors;
mod pool_graph;
mod pools;
mod regulation;
mod services;
mod symbols;
mod targets;
mod zone_files;
mod zones;

pub(super) use amendment::AmendmentCompiler;
use content_hash::PoolContentHashes;
use datacenters::DatacenterNames;
use symbols::SymbolTable;
pub(super) use zone_files::ZoneFiles;
pub use zones::{SerialSource, ZoneConfig};

/// Everything that later steps refer to by name.
struct NameScope<'s> {
    datacenters: DatacenterNames<'s>,
    monitors: SymbolTable<'s>,
    loads: SymbolTable<'s>,
    pools: SymbolTable<'s>,
    /// By datacenter.
    datacenter_ramps: Vec<RampSpec>,
}

/// Puts together what the files say.
pub(super) fn compile(
    sources: &Sources,
    settings: Settings,
    mut specs: Specs,
    problems: &mut Problems,
) -> (Config, AmendmentBase) {
    let tables = specs.table_count();
    let geoip = resolve_databases(sources, &settings, problems);
    credentials::check_system(&specs, problems);
    let of_credentials = credential_faults(sources, &specs.credentials);
    let credential_faults = of_credentials.list();
    problems.merge(of_credentials);
    specs.datacenters.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    specs.monitors.sort_by(|a, b| a.value.name.cmp(&b.value.name));
    specs.loads.sort_by(|a, b| a.value.name.cmp(&b.value.name));
    // Reports list both in this order, in which people look for them.
    specs.services.sort_by_cached_key(|spec| spec.name.value.to_string());
    specs.zones.sort_by_cached_key(|spec| spec.apex.value.to_string());

    let mut scope = NameScope {
        datacenters: DatacenterNames::new(
            &specs.datacenters,
            unreadable_names(&specs, "datacenter"),
            problems,
        ),
        monitors: SymbolTable::new("monitor"),
        loads: SymbolTable::new("load"),
        pools: SymbolTable::new("pool"),
        datacenter_ramps: specs.datacenters.iter().map(|spec| spec.ramps).collect(),
    };
    for (index, monitor) in specs.monitors.iter().enumerate() {
        scope.monitors.define(&monitor.value.name, monitor.place, index, problems);
    }
    for (index, load) in specs.loads.iter().enumerate() {
        scope.loads.define(&load.value.name, load.place, index, problems);
    }
    unreadable_names(&specs, "monitor").for_each(|name| scope.monitors.define_broken(name));
    unreadable_names(&specs, "load").for_each(|name| scope.loads.define_broken(name));
    unreadable_names(&specs, "pool").for_each(|name| scope.pools.define_broken(name));
    for (index, pool) in specs.pools.iter().enumerate() {
        scope.pools.define(&pool.name.value, pool.name.place, index, problems);
    }

    let is_followable = monitors::check(&specs, &mut scope.monitors, problems);
    let all_pools = named_and_inline_pools(&specs);
    let loads: Vec<_> = specs
        .datacenters
        .iter()
        .map(|spec| regulation::resolve_load(&mut scope, spec.load.as_ref(), problems))
        .collect();
    let compiled = pools::compile(&all_pools, &mut scope, problems);
    regulation::LoadSourceCheck {
        specs: &specs,
        pools: &all_pools,
        compiled: &compiled,
        loads: &loads,
    }
    .run(problems);
    let reach = pool_graph::check(&all_pools, &compiled, &specs.datacenters, problems);
    let has_nameless = unreadable_names(&specs, "zone").next().is_some();
    let mut zones = zones::compile(
        sources,
        &specs.zones,
        &specs.delegates,
        &tracked_names(&specs),
        has_nameless,
        problems,
    );
    aliases::check(&all_pools, &zones, problems);
    zones::check_whoami(&specs.zones, &specs.services, &zones, problems);
    let services =
        services::compile(&specs, &all_pools, &compiled, &reach, &zones, &mut scope, problems);
    // After an error what seems unused may be what the mistake meant.
    if !problems.has_errors() {
        scope.monitors.warn_unused("no endpoint and no pool uses it: it probes nothing", problems);
        scope
            .loads
            .warn_unused("no pool, endpoint or datacenter names it: it is not polled", problems);
        scope.pools.warn_unused("no service and no pool uses it: it answers nobody", problems);
        zones.settle();
        let served = zones::ServiceNames::new(&services, |service| {
            cname_loops::may_answer_cname(service, &reach)
        });
        zones.warn(
            sources,
            &served,
            &zones::TableRecords::new(&specs.zones, &specs.delegates),
            problems,
        );
        targets::warn(&all_pools, &zones, &served, problems);
        services::warn_of_client_subnet(&specs, &all_pools, &compiled, &services, problems);
        cname_loops::warn((&zones, &served), (&all_pools, &compiled, &reach), &services, problems);
    }
    let mut zone_files = ZoneFiles::default();
    // Pools with errors may lead back to themselves.
    if !problems.has_errors() {
        zones.add_services(
            &services,
            &mut PoolContentHashes::new(&compiled.pools, &compiled.endpoints),
        );
        let pools = (&all_pools[..], &compiled.pools[..]);
        zone_files = ZoneFiles::new(&zones.files, pools, (&specs.services, &services));
        zones
            .list
            .iter_mut()
            .zip(zone_files.last_modified(sources))
            .for_each(|(zone, newest)| zone.serial.set_newest(newest));
    }

    let master_files = std::mem::take(&mut zones.master_files);
    drop(scope);
    drop(all_pools);
    // Most of what was written is in domain values by now: a large configuration is not held twice.
    specs.pools = Vec::new();
    specs.services = Vec::new();
    let datacenter_origins =
        specs.datacenters.iter().map(|dc| DefinitionOrigin::new(sources, dc.name.place)).collect();
    let datacenters =
        specs.datacenters.iter().zip(&loads).map(|(spec, load)| datacenter(spec, *load)).collect();
    // What leads back to itself is an error by now, and is not to be followed on the way out.
    let monitors = if is_followable { specs.monitors } else { Vec::new() };
    let monitors = monitors.into_iter().map(|monitor| monitor.value).collect();
    let loads = specs.loads.into_iter().map(|load| load.value).collect();
    let structure = AmendmentInvariants {
        file_set_hash: sources.file_set_hash(),
        named_paths: sources.named_paths(),
        datacenters: specs.datacenters,
        credentials: specs.credentials,
        credential_faults,
        pools_by_file: specs.pools_by_file,
        zone_files,
        pool_references: OnceLock::new(),
    };
    let config = Config {
        server: settings.server,
        geoip,
        topology: Arc::new(
            Topology::from_shared(
                datacenters,
                monitors,
                compiled.endpoints,
                compiled.pools,
                services,
            )
            .with_load_sources(loads),
        ),
        zones: zones.list,
        datacenter_origins,
        master_files,
        load_mode: LoadMode::Full { tables },
        amendment_base: Arc::default(),
    };
    let foundation = AmendmentBase::new(
        sources,
        &config.master_files,
        structure,
        specs.table_starts,
        specs.value_count,
    );
    (config, foundation)
}

/// A datacenter as a domain value.
fn datacenter(spec: &DatacenterSpec, load: Option<LoadSourceId>) -> Datacenter {
    Datacenter {
        name: spec.name.value.clone(),
        location: spec.location,
        region: spec.region.as_ref().map(|region| region.value.clone()),
        state: spec.state,
        reason: spec.reason.clone(),
        until: spec.until,
        load,
        ramp_times: spec.ramps.ramp_times(),
        drain_hold_fraction: spec.drain_hold,
        keep: spec.keep,
    }
}

/// What is wrong with the monitors' certificates and keys.
pub(super) fn credential_faults(
    sources: &Sources,
    credentials: &[(Box<str>, Credential)],
) -> Problems {
    let mut problems = Problems::default();
    problems.begin_checking();
    credentials::check_files(sources, credentials, &mut problems);
    problems
}

/// Names of tables of a kind that could not be read.
fn unreadable_names<'s>(specs: &'s Specs, kind: &'static str) -> impl Iterator<Item = &'s str> {
    specs.unreadable.iter().filter(move |(broken, _)| *broken == kind).map(|(_, name)| &**name)
}

/// The names whose place in the zones later steps ask for.
fn tracked_names(specs: &Specs) -> Vec<&Name> {
    let services = specs.services.iter().map(|service| &service.name.value);
    let delegates = specs.delegates.iter().map(|delegate| &delegate.name.value);
    let whoami = specs.zones.iter().filter_map(|zone| Some(&zone.whoami.as_ref()?.value));
    services
        .chain(delegates)
        .chain(whoami)
        .chain(aliases::names(&named_and_inline_pools(specs)))
        .collect()
}

/// Named pools, then the inline pools of services; a pool's position here is its id.
fn named_and_inline_pools(specs: &Specs) -> Vec<&PoolSpec> {
    let inline = specs.services.iter().filter_map(|service| match &service.pool {
        ServicePool::Inline(pool) => Some(&**pool),
        ServicePool::Named(_) => None,
    });
    specs.pools.iter().chain(inline).collect()
}

pub(super) fn resolve_databases(
    sources: &Sources,
    settings: &Settings,
    problems: &mut Problems,
) -> Vec<DatabaseSource> {
    let named = settings.databases.as_deref().unwrap_or_default();
    let from_flags = !sources.locations.geoip.is_empty();
    let mut list = Vec::new();
    if let Some((directory, reason)) = &sources.databases.listing_error {
        let what =
            format!("the database directory {} cannot be listed: {reason}", directory.display());
        let help =
            format!("{}; or name the files with [geoip] databases", reason.remedy_outside_zones());
        if sources.tolerated_databases == ToleratedDatabases::None {
            problems.error(sources.place_of_databases(), what).help(help);
        } else {
            let line = format!("{what} (help: {help})");
            let fault = Some(DatabaseFault { line, is_transient: reason.is_transient() });
            list.push(DatabaseSource { path: directory.clone(), origin: None, place: None, fault });
        }
    }
    for (index, (path, reason)) in sources.databases.files.iter().enumerate() {
        let place = if from_flags { None } else { named.get(index).map(|at| at.place) };
        let origin = place.map(|place| DefinitionOrigin::new(sources, place).to_string());
        let least =
            if place.is_some() { ToleratedDatabases::All } else { ToleratedDatabases::Unnamed };
        let mut fault = None;
        if let Some(reason) = reason {
            let what = format!("there is no database file {}: {reason}", path.display());
            let help = "name an .mmdb file; the path is relative to portolan.toml, that of --geoip to the working directory";
            if sources.tolerated_databases >= least {
                let at = origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
                let line = format!("{at}{what} (help: {help})");
                fault = Some(DatabaseFault { line, is_transient: reason.is_transient() });
            } else {
                problems
                    .error(place.unwrap_or(SourcePlace::whole_file(sources.zones)), what)
                    .help(help);
            }
        }
        list.push(DatabaseSource { path: path.clone(), origin, place, fault });
    }
    list
}

/// Reads every file of tables.
pub(super) fn read_specs(sources: &Sources, problems: &mut Problems) -> Specs {
    let mut specs = Specs::default();
    for id in sources.ids_with_role(FileRole::Directory) {
        if let Err(reason) = &sources.file(id).content {
            unread_directory(id, id == sources.zones, reason, problems);
        }
    }
    for id in sources.ids_with_role(FileRole::Tables) {
        let file = sources.file(id);
        if specs.exceed_value_limit() {
            problems.mute(id);
            continue;
        }
        match &file.content {
            Ok(octets) => {
                specs.read(
                    id,
                    octets,
                    file.path.parent().unwrap_or(std::path::Path::new("")),
                    problems,
                );
            }
            Err(reason) => {
                problems
                    .error(
                        SourcePlace::whole_file(id),
                        format!("the file cannot be read: {reason}"),
                    )
                    .help(reason.remedy());
                problems.mute(id);
            }
        }
    }
    specs
}

/// Reports that a directory, or an entry of one, could not be read: which zones it holds is not
/// known.
fn unread_directory(id: FileId, is_root: bool, reason: &SourceReadError, problems: &mut Problems) {
    let place = SourcePlace::whole_file(id);
    match reason {
        SourceReadError::Io(Some(libc::ENOENT), _) if is_root => problems
            .error(place, format!("the zones directory cannot be read: {reason}"))
            .help("create it and put your *.toml and *.zone files there, or name another with --zones DIR"),
        _ => problems
            .error(place, format!("cannot be read, and which zones it holds is not known: {reason}"))
            .help(reason.remedy()),
    };
}
