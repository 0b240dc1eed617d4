//! The compilation of a full load: every table becomes a domain value, and what does not fit
//! together is reported.
//!
//! Each step continues after a mistake with what is left, so that one run finds all mistakes. Only
//! a run without errors yields a configuration.

use std::sync::{Arc, OnceLock};

use super::{
    aliases, cname_loops,
    credentials::{self, credential_faults},
    databases::resolve_databases,
    datacenters::{DatacenterNames, datacenter},
    load_source_check::LoadSourceCheck,
    monitors,
    name_scope::NameScope,
    pool_graph::{self, PoolGraph},
    pools::{self, CompiledPools},
    regulation, requirements, safety, services,
    symbols::SymbolTable,
    targets,
    zones::{self, CompiledZones},
};
use crate::{
    config::{
        amendment_base::{AmendmentBase, AmendmentInvariants},
        configuration::Config,
        content_hash::PoolContentHashes,
        definition_origin::DefinitionOrigin,
        diagnostic::Diagnostic,
        load_mode::LoadMode,
        problems::Problems,
        requirements::WrittenRequirements,
        safety::WrittenSafety,
        settings::Settings,
        sources::Sources,
        spec::{PoolSpec, ServicePool, Specs},
        zone_files::ZoneFiles,
    },
    dns::Name,
    steer::{LoadSourceId, Service, Topology},
};

/// The domain values that need more than one table.
struct CompiledTables {
    /// The load source of each datacenter.
    datacenter_loads: Vec<Option<LoadSourceId>>,
    /// Whether no combined monitor contains itself and none is nested too deep.
    are_monitors_bounded: bool,
    pools: CompiledPools,
    services: Vec<Service>,
    requirements: WrittenRequirements,
    safety: WrittenSafety,
    zones: CompiledZones,
    zone_files: ZoneFiles,
}

/// Makes a configuration of all tables. It is valid only if `problems` has no errors afterwards.
pub(in crate::config) fn compile_full(
    sources: &Sources,
    settings: Settings,
    mut specs: Specs,
    problems: &mut Problems,
) -> (Config, AmendmentBase) {
    let table_count = specs.table_count();
    let geoip = resolve_databases(sources, &settings, problems);
    let credential_faults = check_credentials(sources, &specs, problems);
    sort_by_name(&mut specs);
    let compiled = compile_tables(sources, &specs, problems);
    // Most of what was written is in domain values by now: a large configuration is not held twice.
    specs.pools = Vec::new();
    specs.services = Vec::new();
    let datacenter_origins =
        specs.datacenters.iter().map(|dc| DefinitionOrigin::new(sources, dc.name.place)).collect();
    let datacenters = specs
        .datacenters
        .iter()
        .zip(&compiled.datacenter_loads)
        .map(|(spec, load)| datacenter(spec, *load))
        .collect();
    // `Topology` follows the parts of combined monitors, so it gets none that contain themselves.
    let monitors = if compiled.are_monitors_bounded { specs.monitors } else { Vec::new() };
    let monitors = monitors.into_iter().map(|monitor| monitor.value).collect();
    let load_sources = specs.loads.into_iter().map(|load| load.value).collect();
    let invariants = AmendmentInvariants {
        file_set_hash: sources.file_set_hash(),
        named_paths: sources.named_paths(),
        datacenters: specs.datacenters,
        credentials: specs.credentials,
        credential_faults,
        pools_by_file: specs.pools_by_file,
        zone_files: compiled.zone_files,
        pool_references: OnceLock::new(),
    };
    let CompiledPools { pools, endpoints, .. } = compiled.pools;
    let topology =
        Topology::from_shared(datacenters, monitors, endpoints, pools, compiled.services)
            .with_load_sources(load_sources);
    let config = Config {
        server: settings.server,
        geoip,
        topology: Arc::new(topology),
        requirements: Arc::new(compiled.requirements),
        safety: Arc::new(compiled.safety),
        zones: compiled.zones.list,
        datacenter_origins,
        master_files: compiled.zones.master_files,
        load_mode: LoadMode::Full { tables: table_count },
        amendment_base: Arc::default(),
    };
    let base = AmendmentBase::new(
        sources,
        &config.master_files,
        invariants,
        specs.table_starts,
        specs.value_count,
    );
    (config, base)
}

/// Reports monitors whose certificates or keys cannot be used, and returns these problems by
/// themselves: an amendment compares them.
fn check_credentials(sources: &Sources, specs: &Specs, problems: &mut Problems) -> Vec<Diagnostic> {
    credentials::check_system(specs, problems);
    let faults = credential_faults(sources, &specs.credentials);
    let list = faults.list();
    problems.merge(faults);
    list
}

/// Sorts tables by name. Services and zones are in the order of their names as text, since reports
/// list them in this order.
fn sort_by_name(specs: &mut Specs) {
    specs.datacenters.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    specs.monitors.sort_by(|a, b| a.value.name.cmp(&b.value.name));
    specs.loads.sort_by(|a, b| a.value.name.cmp(&b.value.name));
    specs.services.sort_by_cached_key(|spec| spec.name.value.to_string());
    specs.zones.sort_by_cached_key(|spec| spec.apex.value.to_string());
}

/// Resolves the names in all tables, checks the tables against each other, and makes the zones.
fn compile_tables(sources: &Sources, specs: &Specs, problems: &mut Problems) -> CompiledTables {
    let mut scope = define_names(specs, problems);
    let are_monitors_bounded = monitors::check(specs, &mut scope.monitors, problems);
    let pool_specs = named_and_inline_pools(specs);
    let datacenter_loads: Vec<_> = specs
        .datacenters
        .iter()
        .map(|spec| regulation::resolve_load(&mut scope, spec.load.as_ref(), problems))
        .collect();
    let pools = pools::compile(&pool_specs, &mut scope, problems);
    LoadSourceCheck { specs, pools: &pool_specs, compiled: &pools, loads: &datacenter_loads }
        .run(problems);
    let subtrees = pool_graph::check(&pool_specs, &pools, &specs.datacenters, problems);
    let graph = PoolGraph { specs: &pool_specs, compiled: &pools, subtrees: &subtrees };
    let mut zones = zones::compile(
        sources,
        &specs.zones,
        &specs.delegates,
        &tracked_names(specs),
        unreadable_names(specs, "zone").next().is_some(),
        problems,
    );
    aliases::check(&pool_specs, &zones, problems);
    zones::check_whoami(&specs.zones, &specs.services, &zones, problems);
    let services = services::compile(specs, graph, &zones, &mut scope, problems);
    let requirements =
        requirements::compile(sources, specs, &services, &mut scope.datacenters, problems);
    let endpoints = pools.endpoints.iter().map(|endpoint| &**endpoint);
    let safety = safety::compile(sources, specs, endpoints, &mut scope.datacenters, problems);
    // After an error, what seems unused may be what the mistake meant.
    if !problems.has_errors() {
        warn(sources, specs, graph, &services, &mut zones, &scope, problems);
    }
    let mut zone_files = ZoneFiles::default();
    // Pools with errors may contain themselves.
    if !problems.has_errors() {
        zones.add_services(&services, &mut PoolContentHashes::new(&pools.pools, &pools.endpoints));
        zone_files =
            ZoneFiles::new(&zones.files, &pool_specs, &pools.pools, &specs.services, &services);
        let last_modified = zone_files.last_modified(sources);
        zones.list.iter_mut().zip(last_modified).for_each(|(zone, time)| {
            zone.serial.set_last_modified(time);
        });
    }
    CompiledTables {
        datacenter_loads,
        are_monitors_bounded,
        pools,
        services,
        requirements,
        safety,
        zones,
        zone_files,
    }
}

/// Collects the names that tables define; a name that is defined twice is reported.
fn define_names<'s>(specs: &'s Specs, problems: &mut Problems) -> NameScope<'s> {
    let broken_datacenters = unreadable_names(specs, "datacenter");
    let mut scope = NameScope {
        datacenters: DatacenterNames::new(&specs.datacenters, broken_datacenters, problems),
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
    unreadable_names(specs, "monitor").for_each(|name| scope.monitors.define_broken(name));
    unreadable_names(specs, "load").for_each(|name| scope.loads.define_broken(name));
    unreadable_names(specs, "pool").for_each(|name| scope.pools.define_broken(name));
    for (index, pool) in specs.pools.iter().enumerate() {
        scope.pools.define(&pool.name.value, pool.name.place, index, problems);
    }
    scope
}

/// Warns of everything in a valid configuration that is probably a mistake.
fn warn(
    sources: &Sources,
    specs: &Specs,
    graph: PoolGraph<'_>,
    services: &[Service],
    zones: &mut CompiledZones,
    scope: &NameScope<'_>,
    problems: &mut Problems,
) {
    scope.monitors.warn_unused("no endpoint and no pool uses it: it probes nothing", problems);
    scope.loads.warn_unused("no pool, endpoint or datacenter names it: it is not polled", problems);
    scope.pools.warn_unused("no service and no pool uses it: it answers no client", problems);
    zones.settle();
    let service_names = zones::ServiceNames::new(services, |service| {
        cname_loops::may_answer_cname(service, graph.subtrees)
    });
    let table_records = zones::TableRecords::new(&specs.zones, &specs.delegates);
    zones.warn(sources, &service_names, &table_records, problems);
    targets::warn(graph.specs, zones, &service_names, problems);
    services::warn_of_client_subnet(specs, graph, services, problems);
    cname_loops::warn(zones, &service_names, graph, services, problems);
}

/// The names of tables of a kind that could not be read.
fn unreadable_names<'s>(specs: &'s Specs, kind: &'static str) -> impl Iterator<Item = &'s str> {
    specs.unreadable.iter().filter(move |(broken, _)| *broken == kind).map(|(_, name)| &**name)
}

/// The names of which later steps need the static records.
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

/// Named pools, then the inline pools of services. The position of a pool in this list is its id.
fn named_and_inline_pools(specs: &Specs) -> Vec<&PoolSpec> {
    let inline = specs.services.iter().filter_map(|service| match &service.pool {
        ServicePool::Inline(pool) => Some(&**pool),
        ServicePool::Named(_) => None,
    });
    specs.pools.iter().chain(inline).collect()
}
