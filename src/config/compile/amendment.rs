//! Compiles the tables that differ from those of an earlier configuration, and replaces the earlier
//! values by the new ones.
//!
//! The checks of a table by itself run as in a full load, by the same code. But checks of other
//! tables read some of its values:
//!
//! | value that checks of other tables read | module |
//! |---|---|
//! | the names in a table, and so which tables are used and which pools contain which | `symbols`, `pool_graph`, `load_source_check`, `services` |
//! | a pool's policy, `strict`, `capacity`, `measure`, `on-all-down`, `client-subnet` | `pool_graph`, `load_source_check`, `services` |
//! | the kind of each member, and the names that it answers | `zones`, `targets`, `cname_loops`, `aliases` |
//! | how many members answer, which of them are standbys (weight 0, or a state), their addresses (equal ones are answered once), the port of an SRV target: unless the records are few | `pool_graph`, `answer_size_check` |
//! | a service's type and its pool | `zones`, `services` |
//! | a service's `ipv6`, unless the records below its pools are few | `answer_size_check` |
//! | a datacenter's region, load, ramps, and whether it has a location | `datacenters`, `pools`, `pool_graph` |
//!
//! If any of these values differs, there is no amendment. A weight other than 0 may differ at any
//! number of records. A check that reads more values of another table must be added to this list.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    datacenters::{DatacenterNames, datacenter},
    name_scope::NameScope,
    pool_graph,
    pools::CompiledPools,
    services,
    symbols::SymbolTable,
};
use crate::{
    config::{
        amendment_base::AmendmentInvariants,
        configuration::Config,
        content_hash::PoolContentHashes,
        place::{FileId, SourcePlace},
        problems::Problems,
        sources::Sources,
        spec::{
            DatacenterSpec, MemberTarget, OnAllDownSpec, PoolSpec, ServicePool, ServiceSpec, Specs,
        },
    },
    steer::{
        Amendment, DatacenterId, Endpoint, EndpointId, EndpointTarget, MemberKind, Pool, PoolId,
        Service, ServiceId, Topology,
    },
};

/// The maximum number of records below a pool up to which its answers are far below every bound on
/// their size.
const MAX_UNCHECKED_RECORDS: usize = 100;

/// The problems of the old table and of the new one.
type TableProblems<'p> = [&'p mut Problems; 2];

/// Collects the domain values of the tables that differ.
pub(in crate::config) struct AmendmentCompiler<'c> {
    before: &'c Topology,
    invariants: &'c AmendmentInvariants,
    scope: NameScope<'c>,
    changes: Amendment,
    /// The pools among the tables that differ.
    pools: BTreeSet<PoolId>,
    /// By pool: how many records the amended pools in it have more than before.
    added_records: BTreeMap<PoolId, usize>,
}

impl<'c> AmendmentCompiler<'c> {
    pub(in crate::config) fn new(
        before: &'c Topology,
        invariants: &'c AmendmentInvariants,
    ) -> Self {
        let mut none = Problems::default();
        let mut scope = NameScope {
            datacenters: DatacenterNames::new(
                &invariants.datacenters,
                std::iter::empty(),
                &mut none,
            ),
            monitors: SymbolTable::new("monitor"),
            loads: SymbolTable::new("load"),
            pools: SymbolTable::new("pool"),
            datacenter_ramps: invariants.datacenters.iter().map(|spec| spec.ramps).collect(),
        };
        // All names are known to be distinct, and no problem of them is reported.
        for (index, monitor) in before.monitors.iter().enumerate() {
            scope.monitors.define(&monitor.name, dummy_place(), index, &mut none);
        }
        for (index, load) in before.load_sources.iter().enumerate() {
            scope.loads.define(&load.name, dummy_place(), index, &mut none);
        }
        Self {
            before,
            invariants,
            scope,
            changes: Amendment::default(),
            pools: BTreeSet::new(),
            added_records: BTreeMap::new(),
        }
    }

    /// Applies a table that changed from `was` to `is`. `None` where other tables may depend on the
    /// difference.
    pub(in crate::config) fn apply_table(
        &mut self,
        file: FileId,
        was: &Specs,
        is: &Specs,
        found: TableProblems<'_>,
    ) -> Option<()> {
        if let ([was], [is]) = (&was.datacenters[..], &is.datacenters[..]) {
            return self.apply_datacenter(was, is);
        }
        if let ([was], [is]) = (&was.pools[..], &is.pools[..]) {
            let id = self.invariants.pool_id(self.before, file, &was.name.value)?;
            return self.apply_pool(id, was, is, found);
        }
        if let ([was], [is]) = (&was.services[..], &is.services[..]) {
            return self.apply_service(was, is, found);
        }
        None
    }

    fn apply_datacenter(&mut self, was: &DatacenterSpec, is: &DatacenterSpec) -> Option<()> {
        let known = &self.before.datacenters;
        let index = known.binary_search_by(|known| known.name.cmp(&is.name.value)).ok()?;
        let name = |spec: &Option<crate::config::place::Placed<Box<str>>>| {
            spec.as_ref().map(|name| name.value.clone())
        };
        let is_alike = was.name.value == is.name.value
            && name(&was.region) == name(&is.region)
            && name(&was.load) == name(&is.load)
            && was.has_location == is.has_location
            && was.ramps == is.ramps;
        let load = known[index].load;
        (is_alike && datacenter(was, load) == known[index]).then_some(())?;
        self.changes.datacenters.push((DatacenterId(index as u32), datacenter(is, load)));
        Some(())
    }

    fn apply_service(
        &mut self,
        was: &ServiceSpec,
        is: &ServiceSpec,
        found: TableProblems<'_>,
    ) -> Option<()> {
        let key = was.name.value.to_string();
        let index =
            self.before.services.binary_search_by(|known| known.name.to_string().cmp(&key)).ok()?;
        let before = &self.before.services[index];
        let is_alike = was.name.value == is.name.value
            && was.kind == is.kind
            && fallback_pool(was.on_all_down.as_ref()) == fallback_pool(is.on_all_down.as_ref());
        is_alike.then_some(())?;
        match (&was.pool, &is.pool) {
            (ServicePool::Named(was), ServicePool::Named(is)) if was.value == is.value => {}
            (ServicePool::Inline(was), ServicePool::Inline(is)) => {
                self.apply_pool(before.pool, was, is, found)?
            }
            _ => return None,
        }
        if was.ipv6 != is.ipv6 {
            before.roots().all(|root| self.has_few_records(root)).then_some(())?;
        }
        (self.compile_service(was, was, before)? == *before).then_some(())?;
        let now = self.compile_service(was, is, before)?;
        if now != *before {
            self.changes.services.push((ServiceId(index as u32), now));
        }
        Some(())
    }

    /// Compiles the service of `spec`, whose earlier table was `was`. `None` where a value comes
    /// from its pool's table, which was not read.
    fn compile_service(
        &mut self,
        was: &ServiceSpec,
        spec: &ServiceSpec,
        before: &Service,
    ) -> Option<Service> {
        let is_inline = matches!(spec.pool, ServicePool::Inline(_));
        let on_all_down = match (&was.on_all_down, &spec.on_all_down) {
            (None, None) | (Some(OnAllDownSpec::Pool(_)), Some(OnAllDownSpec::Pool(_))) => {
                before.on_all_down
            }
            (Some(_), None) if !is_inline => return None,
            (_, written) => {
                services::on_all_down(written.as_ref(), &mut self.scope, &mut Problems::default())
            }
        };
        let inherited = match (was.client_subnet, spec.client_subnet) {
            (None, None) => Some(before.client_subnet),
            (Some(_), None) if !is_inline => return None,
            _ => None,
        };
        Some(services::service(spec, before.zone, before.pool, on_all_down, inherited))
    }

    fn apply_pool(
        &mut self,
        id: PoolId,
        was: &PoolSpec,
        is: &PoolSpec,
        found: TableProblems<'_>,
    ) -> Option<()> {
        let before = &*self.before.pools[id.index()];
        (was.name.value == is.name.value && referenced_names(was) == referenced_names(is))
            .then_some(())?;
        (cross_table_inputs(was) == cross_table_inputs(is)).then_some(())?;
        let first = first_endpoint(before);
        let [old_found, new_found] = found;
        let (old, old_endpoints) = self.compile_pool(before, was, first, old_found)?;
        let (new, new_endpoints) = self.compile_pool(before, is, first, new_found)?;
        pool_graph::check_members(is, &new, new_found);
        let unchanged = self.before.endpoints.get(first..first + old_endpoints.len())?;
        (old == *before
            && unchanged.iter().zip(&old_endpoints).all(|(before, old)| **before == *old))
        .then_some(())?;
        let is_alike = new.members.len() == old.members.len()
            && new.members.iter().zip(&old.members).all(|(new, old)| new.kind == old.kind)
            && new_endpoints.len() == old_endpoints.len()
            && new_endpoints.iter().zip(&old_endpoints).all(|(new, old)| is_alike(new, old));
        is_alike.then_some(())?;
        if answer_size_inputs(&new, &new_endpoints) != answer_size_inputs(&old, &old_endpoints) {
            self.check_growth(id, &old_endpoints, &new_endpoints)?;
        }
        if new != old || new_endpoints != old_endpoints {
            self.pools.insert(id);
        }
        let endpoints =
            (first..).map(|index| EndpointId(index as u32)).zip(new_endpoints).zip(old_endpoints);
        let differing = endpoints.filter(|((_, new), old)| new != old).map(|(new, _)| new);
        self.changes.endpoints.extend(differing);
        if new != old {
            self.changes.pools.push((id, new));
        }
        Some(())
    }

    /// Compiles a pool and its endpoints, the first of which has the position `first`.
    fn compile_pool(
        &mut self,
        before: &Pool,
        spec: &PoolSpec,
        first: usize,
        found: &mut Problems,
    ) -> Option<(Pool, Vec<Endpoint>)> {
        self.scope.pools = SymbolTable::new("pool");
        for member in &before.members {
            if let MemberKind::Pool(inner) = member.kind {
                let name = &self.before.pools[inner.index()].name;
                self.scope.pools.define(
                    name,
                    dummy_place(),
                    inner.index(),
                    &mut Problems::default(),
                );
            }
        }
        let mut compiled = CompiledPools::default();
        let (mut pool, _) = compiled.compile_pool(spec, &mut self.scope, found);
        if found.has_errors() {
            return None;
        }
        for member in &mut pool.members {
            if let MemberKind::Endpoint(id) = &mut member.kind {
                id.0 += first as u32;
            }
        }
        Some((pool, compiled.endpoints.iter().map(|endpoint| Endpoint::clone(endpoint)).collect()))
    }

    /// Counts the records that a pool gains. `None` unless answers stay far below every bound on
    /// their size.
    fn check_growth(&mut self, id: PoolId, old: &[Endpoint], new: &[Endpoint]) -> Option<()> {
        let count = |endpoints: &[Endpoint]| endpoints.iter().map(max_records).sum::<usize>();
        let more = count(new).saturating_sub(count(old));
        for pool in self.invariants.pool_references(self.before).ancestors(id) {
            // Several pools of one amendment may grow below the same pool, so that the sum counts.
            *self.added_records.entry(pool).or_default() += more;
            self.has_few_records(pool).then_some(())?;
        }
        Some(())
    }

    /// Whether the records below a pool, including those that the amendment adds, are so few that
    /// no bound on answers matters.
    fn has_few_records(&self, pool: PoolId) -> bool {
        let below = self.before.endpoints_below([pool]);
        let below: Vec<&Endpoint> =
            below.iter().map(|id| &*self.before.endpoints[id.index()]).collect();
        // A CNAME is the only record of its answer, so that any further record is an error.
        let has_cname =
            below.iter().any(|endpoint| matches!(endpoint.target, EndpointTarget::Cname(_)));
        let growth = self.added_records.get(&pool).copied().unwrap_or_default();
        !has_cname
            && below.iter().map(|endpoint| max_records(endpoint)).sum::<usize>() + growth
                <= MAX_UNCHECKED_RECORDS
    }

    /// Writes the values into the configuration, and updates the content hashes of zones.
    pub(in crate::config) fn finish(self, config: &mut Config, sources: &Sources) {
        let affected = self.affected_services();
        let (before, invariants) = (self.before, self.invariants);
        if !self.changes.is_empty() {
            config.topology = before.amended(self.changes).into();
        }
        if !affected.is_empty() {
            let after = &config.topology;
            let mut old = PoolContentHashes::new(&before.pools, &before.endpoints);
            let mut new = PoolContentHashes::new(&after.pools, &after.endpoints);
            for id in affected {
                let (was, is) = (&before.services[id.index()], &after.services[id.index()]);
                let serial = &mut config.zones[is.zone.index()].serial;
                serial.subtract(old.service_hash(was));
                serial.add(new.service_hash(is));
            }
        }
        let last_modified = invariants.zone_files.last_modified(sources);
        config
            .zones
            .iter_mut()
            .zip(last_modified)
            .for_each(|(zone, time)| zone.serial.set_last_modified(time));
    }

    /// The services whose content hash may differ.
    fn affected_services(&self) -> BTreeSet<ServiceId> {
        let mut affected: BTreeSet<ServiceId> =
            self.changes.services.iter().map(|(id, _)| *id).collect();
        for &pool in &self.pools {
            let users = self.invariants.pool_references(self.before);
            affected.extend(
                users.ancestors(pool).into_iter().flat_map(|pool| users.services_naming(pool)),
            );
        }
        affected
    }
}

/// A place for problems that are never reported.
fn dummy_place() -> SourcePlace {
    SourcePlace::whole_file(FileId(0))
}

/// The position of a pool's first endpoint; its other endpoints follow.
fn first_endpoint(pool: &Pool) -> usize {
    let endpoints = pool.members.iter().filter_map(|member| match member.kind {
        MemberKind::Endpoint(id) => Some(id.index()),
        MemberKind::Pool(_) => None,
    });
    endpoints.min().unwrap_or_default()
}

/// Every name in a pool's table, in a fixed order.
fn referenced_names(spec: &PoolSpec) -> Vec<Option<&str>> {
    fn name(written: Option<&crate::config::place::Placed<Box<str>>>) -> Option<&str> {
        written.map(|name| &*name.value)
    }
    let mut names = vec![
        name(spec.datacenter.as_ref()),
        name(spec.monitor.as_ref()),
        name(spec.regulation.load.as_ref()),
    ];
    for member in spec.all_members() {
        match &member.target {
            MemberTarget::Pool(pool) => names.push(Some(&pool.value)),
            MemberTarget::Endpoint(endpoint) => {
                let written = [&endpoint.datacenter, &endpoint.monitor, &endpoint.load];
                names.extend(written.map(|written| name(written.as_ref())));
            }
        }
    }
    names
}

/// The values of a pool's table that checks of other tables read, apart from names.
fn cross_table_inputs(spec: &PoolSpec) -> impl PartialEq + use<'_> {
    (
        spec.policy.value,
        spec.rules
            .iter()
            .map(|rule| (rule.strict.is_some(), rule.members.len()))
            .collect::<Vec<_>>(),
        spec.regulation.capacity.is_some(),
        &spec.regulation.load_policy.measure,
        fallback_pool(spec.on_all_down.as_ref()),
        matches!(spec.on_all_down, Some(OnAllDownSpec::Empty)),
        spec.client_subnet.map(|written| written.value),
    )
}

/// The pool that an `on-all-down` names.
fn fallback_pool(written: Option<&OnAllDownSpec>) -> Option<&str> {
    match written? {
        OnAllDownSpec::Pool(name) => Some(&name.value),
        OnAllDownSpec::All | OnAllDownSpec::Empty => None,
    }
}

/// Whether checks of other tables see no difference between two endpoints.
fn is_alike(new: &Endpoint, old: &Endpoint) -> bool {
    let is_target_alike = match (&new.target, &old.target) {
        (EndpointTarget::Addresses(_), EndpointTarget::Addresses(_)) => true,
        (EndpointTarget::Host(new), EndpointTarget::Host(old)) => new.name == old.name,
        (new, old) => new == old,
    };
    is_target_alike
        && new.datacenters == old.datacenters
        && new.monitor == old.monitor
        && new.load == old.load
}

/// The values on which the size of a pool's answers depends, except for values that no amendment
/// changes.
fn answer_size_inputs<'p>(pool: &'p Pool, endpoints: &'p [Endpoint]) -> impl PartialEq + use<'p> {
    let are_standbys: Vec<bool> = pool.members.iter().map(|member| member.weight == 0).collect();
    let records = endpoints.iter().map(|endpoint| match &endpoint.target {
        EndpointTarget::Addresses(addresses) => (endpoint.state, &addresses[..], None),
        EndpointTarget::Host(host) => (endpoint.state, &[][..], Some(host.port)),
        EndpointTarget::Cname(_) | EndpointTarget::Alias(_) => (endpoint.state, &[][..], None),
    });
    (pool.answers, are_standbys, records.collect::<Vec<_>>())
}

/// The maximum number of records of an endpoint in an answer. An alias counts as more than any
/// bound.
fn max_records(endpoint: &Endpoint) -> usize {
    match &endpoint.target {
        EndpointTarget::Addresses(addresses) => addresses.len(),
        EndpointTarget::Alias(_) => MAX_UNCHECKED_RECORDS + 1,
        EndpointTarget::Cname(_) | EndpointTarget::Host(_) => 1,
    }
}
