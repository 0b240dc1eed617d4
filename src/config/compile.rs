//! From specifications to domain values: names become positions, and what does not fit together is
//! reported.
//!
//! Each step goes on after a mistake with what is left, so that one run finds all of them; only a
//! run without any error yields a configuration.

use std::sync::{Arc, OnceLock};

use super::{
    Config, Making, Origin,
    amend::{Foundation, Structure},
    place::{FileId, Place},
    problems::Problems,
    settings::{Database, DatabaseFault, Settings},
    sources::{Role, Sources, ToleratedDatabases, Unreadable},
    spec::{Chooser, DatacenterSpec, PaceSpec, PoolSpec, Specs, monitor::credentials::Credential},
};
use crate::{
    dns::Name,
    steer::{Datacenter, LoadId, Topology},
};

mod aliases;
mod amendment;
mod circles;
mod content;
mod credentials;
mod files;
mod fit;
mod geo;
mod monitors;
mod names;
mod places;
mod pools;
mod regulation;
mod services;
mod shape;
mod targets;
mod zones;

pub(super) use amendment::Amending;
use content::PoolContents;
pub(super) use files::ZoneFiles;
use names::Names;
use places::Places;
pub use zones::{SerialSource, ZoneConfig};

/// Everything that later steps refer to by name.
struct Scope<'s> {
    places: Places<'s>,
    monitors: Names<'s>,
    loads: Names<'s>,
    pools: Names<'s>,
    /// By datacenter.
    paces: Vec<PaceSpec>,
}

/// Puts together what the files say.
pub(super) fn compile(
    sources: &Sources,
    settings: Settings,
    mut specs: Specs,
    problems: &mut Problems,
) -> (Config, Foundation) {
    let tables = specs.table_count();
    let geoip = databases(sources, &settings, problems);
    credentials::check_system(&specs, problems);
    let of_credentials = credential_faults(sources, &specs.credentials);
    let credential_faults = of_credentials.list();
    problems.take(of_credentials);
    specs.datacenters.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    specs.monitors.sort_by(|a, b| a.value.name.cmp(&b.value.name));
    specs.loads.sort_by(|a, b| a.value.name.cmp(&b.value.name));
    // Reports list both in this order, in which people look for them.
    specs.services.sort_by_cached_key(|spec| spec.name.value.to_string());
    specs.zones.sort_by_cached_key(|spec| spec.apex.value.to_string());

    let mut scope = Scope {
        places: Places::new(&specs.datacenters, broken_of(&specs, "datacenter"), problems),
        monitors: Names::new("monitor"),
        loads: Names::new("load"),
        pools: Names::new("pool"),
        paces: specs.datacenters.iter().map(|spec| spec.pace).collect(),
    };
    for (index, monitor) in specs.monitors.iter().enumerate() {
        scope.monitors.define(&monitor.value.name, monitor.place, index, problems);
    }
    for (index, load) in specs.loads.iter().enumerate() {
        scope.loads.define(&load.value.name, load.place, index, problems);
    }
    broken_of(&specs, "monitor").for_each(|name| scope.monitors.define_broken(name));
    broken_of(&specs, "load").for_each(|name| scope.loads.define_broken(name));
    broken_of(&specs, "pool").for_each(|name| scope.pools.define_broken(name));
    for (index, pool) in specs.pools.iter().enumerate() {
        scope.pools.define(&pool.name.value, pool.name.place, index, problems);
    }

    let is_followable = monitors::check(&specs, &mut scope.monitors, problems);
    let all_pools = with_inline(&specs);
    let loads: Vec<_> = specs
        .datacenters
        .iter()
        .map(|spec| regulation::load(&mut scope, spec.load.as_ref(), problems))
        .collect();
    let compiled = pools::compile(&all_pools, &mut scope, problems);
    regulation::Checking { specs: &specs, pools: &all_pools, compiled: &compiled, loads: &loads }
        .run(problems);
    let reach = shape::check(&all_pools, &compiled, &specs.datacenters, problems);
    let has_nameless = broken_of(&specs, "zone").next().is_some();
    let mut zones = zones::compile(
        sources,
        &specs.zones,
        &specs.delegates,
        &wanted_names(&specs),
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
        let served =
            zones::Served::new(&services, |service| circles::may_answer_cname(service, &reach));
        zones.warn(
            sources,
            &served,
            &zones::Written::new(&specs.zones, &specs.delegates),
            problems,
        );
        targets::warn(&all_pools, &zones, &served, problems);
        services::warn_of_client_subnet(&specs, &all_pools, &compiled, &services, problems);
        circles::warn((&zones, &served), (&all_pools, &compiled, &reach), &services, problems);
    }
    let mut zone_files = ZoneFiles::default();
    // Pools with errors may lead back to themselves.
    if !problems.has_errors() {
        zones.add_services(&services, &mut PoolContents::new(&compiled.pools, &compiled.endpoints));
        let pools = (&all_pools[..], &compiled.pools[..]);
        zone_files = ZoneFiles::new(&zones.files, pools, (&specs.services, &services));
        zones
            .list
            .iter_mut()
            .zip(zone_files.newest(sources))
            .for_each(|(zone, newest)| zone.serial.changed(newest));
    }

    let master_files = std::mem::take(&mut zones.master_files);
    drop(scope);
    drop(all_pools);
    // Most of what was written is in domain values by now: a large configuration is not held twice.
    specs.pools = Vec::new();
    specs.services = Vec::new();
    let datacenter_origins =
        specs.datacenters.iter().map(|dc| Origin::new(sources, dc.name.place)).collect();
    let datacenters =
        specs.datacenters.iter().zip(&loads).map(|(spec, load)| datacenter(spec, *load)).collect();
    // What leads back to itself is an error by now, and is not to be followed on the way out.
    let monitors = if is_followable { specs.monitors } else { Vec::new() };
    let monitors = monitors.into_iter().map(|monitor| monitor.value).collect();
    let loads = specs.loads.into_iter().map(|load| load.value).collect();
    let structure = Structure {
        layout: sources.layout(),
        names: sources.names(),
        datacenters: specs.datacenters,
        credentials: specs.credentials,
        credential_faults,
        pools_of: specs.pools_of,
        zone_files,
        users: OnceLock::new(),
    };
    let config = Config {
        server: settings.server,
        geoip,
        topology: Arc::new(
            Topology::of_shared(
                datacenters,
                monitors,
                compiled.endpoints,
                compiled.pools,
                services,
            )
            .with_loads(loads),
        ),
        zones: zones.list,
        datacenter_origins,
        master_files,
        making: Making::Whole { tables },
        foundation: Arc::default(),
    };
    let foundation =
        Foundation::new(sources, &config.master_files, structure, specs.starts, specs.values);
    (config, foundation)
}

/// A datacenter as a domain value.
fn datacenter(spec: &DatacenterSpec, load: Option<LoadId>) -> Datacenter {
    Datacenter {
        name: spec.name.value.clone(),
        location: spec.location,
        region: spec.region.as_ref().map(|region| region.value.clone()),
        state: spec.state,
        reason: spec.reason.clone(),
        until: spec.until,
        load,
        pace: spec.pace.pace(),
        drain_hold: spec.drain_hold,
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
fn broken_of<'s>(specs: &'s Specs, kind: &'static str) -> impl Iterator<Item = &'s str> {
    specs.broken.iter().filter(move |(broken, _)| *broken == kind).map(|(_, name)| &**name)
}

/// The names whose place in the zones later steps ask for.
fn wanted_names(specs: &Specs) -> Vec<&Name> {
    let services = specs.services.iter().map(|service| &service.name.value);
    let delegates = specs.delegates.iter().map(|delegate| &delegate.name.value);
    let whoami = specs.zones.iter().filter_map(|zone| Some(&zone.whoami.as_ref()?.value));
    services.chain(delegates).chain(whoami).chain(aliases::names(&with_inline(specs))).collect()
}

/// Named pools, then the inline pools of services; a pool's position here is its id.
fn with_inline(specs: &Specs) -> Vec<&PoolSpec> {
    let inline = specs.services.iter().filter_map(|service| match &service.chooser {
        Chooser::Inline(pool) => Some(&**pool),
        Chooser::Named(_) => None,
    });
    specs.pools.iter().chain(inline).collect()
}

pub(super) fn databases(
    sources: &Sources,
    settings: &Settings,
    problems: &mut Problems,
) -> Vec<Database> {
    let named = settings.databases.as_deref().unwrap_or_default();
    let from_flags = !sources.locations.geoip.is_empty();
    let mut list = Vec::new();
    if let Some((directory, reason)) = &sources.databases.unlisted {
        let what =
            format!("the database directory {} cannot be listed: {reason}", directory.display());
        let help =
            format!("{}; or name the files with [geoip] databases", reason.remedy_outside_zones());
        if sources.tolerated == ToleratedDatabases::None {
            problems.error(sources.place_of_databases(), what).help(help);
        } else {
            let line = format!("{what} (help: {help})");
            let fault = Some(DatabaseFault { line, is_passing: reason.is_passing() });
            list.push(Database { path: directory.clone(), origin: None, place: None, fault });
        }
    }
    for (index, (path, reason)) in sources.databases.files.iter().enumerate() {
        let place = if from_flags { None } else { named.get(index).map(|at| at.place) };
        let origin = place.map(|place| Origin::new(sources, place).to_string());
        let least =
            if place.is_some() { ToleratedDatabases::All } else { ToleratedDatabases::Unnamed };
        let mut fault = None;
        if let Some(reason) = reason {
            let what = format!("there is no database file {}: {reason}", path.display());
            let help = "name an .mmdb file; the path is relative to portolan.toml, that of --geoip to the working directory";
            if sources.tolerated >= least {
                let at = origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
                let line = format!("{at}{what} (help: {help})");
                fault = Some(DatabaseFault { line, is_passing: reason.is_passing() });
            } else {
                problems.error(place.unwrap_or(Place::whole(sources.zones)), what).help(help);
            }
        }
        list.push(Database { path: path.clone(), origin, place, fault });
    }
    list
}

/// Reads every file of tables.
pub(super) fn read_specs(sources: &Sources, problems: &mut Problems) -> Specs {
    let mut specs = Specs::default();
    for id in sources.ids(Role::Directory) {
        if let Err(reason) = &sources.file(id).content {
            unread_directory(id, id == sources.zones, reason, problems);
        }
    }
    for id in sources.ids(Role::Tables) {
        let file = sources.file(id);
        if specs.are_full() {
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
                    .error(Place::whole(id), format!("the file cannot be read: {reason}"))
                    .help(reason.remedy());
                problems.mute(id);
            }
        }
    }
    specs
}

/// Reports that a directory, or an entry of one, could not be read: which zones it holds is not
/// known.
fn unread_directory(id: FileId, is_root: bool, reason: &Unreadable, problems: &mut Problems) {
    let place = Place::whole(id);
    match reason {
        Unreadable::Io(Some(libc::ENOENT), _) if is_root => problems
            .error(place, format!("the zones directory cannot be read: {reason}"))
            .help("create it and put your *.toml and *.zone files there, or name another with --zones DIR"),
        _ => problems
            .error(place, format!("cannot be read, and which zones it holds is not known: {reason}"))
            .help(reason.remedy()),
    };
}
