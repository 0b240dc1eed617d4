//! Recovery from an outage of all members: clients that were answered with all members, because
//! none was usable, are still answered with all of them until enough members have recovered.
//! Otherwise the first member that recovers would get all clients.
//!
//! | phase of a group of clients | begins | ends |
//! |---|---|---|
//! | all down | no member is usable, so that all are answered | a member is usable again |
//! | recovering | a member is usable, but less than half of the members by weight | half are usable, or `rise` × interval has passed, or none is usable again |
//!
//! A group is the clients of a service's pool that are offered the same members: all clients, or
//! those of the areas for which a `geo` pool offers the same members. The clients of a strict rule
//! are one group.
//!
//! Only health starts a recovery, and it waits only for health. It ends at once if clients are
//! served by a member that the outage did not affect: a standby, or a member that an operator has
//! just put into service.
//!
//! It applies to services that answer all members when none is usable, and whose tree of pools
//! divides clients among members. A `failover` over endpoints does not: one member gets all clients
//! there in any case. A pool with `min-up` waits for that threshold itself, so that recovery does
//! not apply. Pure: the time is an argument, counted from an epoch that the caller chooses.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::steer::{
    chart::Chart,
    compile::{Compiler, EndpointAvailability, GroupAvailability, PoolEndpoint, stable_hash},
    model::{ClientGroup, Conditions, MemberKind, MinUp, Policy, PoolId, ServiceId, Topology},
};

/// The share of a group's weight, from 0 to 1, that must be usable to end a recovery.
const RECOVERED_SHARE: f64 = 0.5;

/// A recovery in progress, saved for the next run of the program, with names in place of positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRecovery {
    /// The name of the service's pool.
    pub pool: Box<str>,
    /// The names of the members that its clients are offered, the first choice first.
    pub members: Vec<Box<str>>,
    /// Whether a rule with `strict = true` offers these members.
    pub is_strict: bool,
    /// The time after which the recovery ends even if too few members are usable.
    pub remaining: Duration,
}

/// The groups of clients that are without a usable member, or recovering from that.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The topology that groups and members are positions in.
    topology: Arc<Topology>,
    outages: BTreeMap<ClientGroup, Outage>,
}

/// An outage of every member that a group of clients is offered.
#[derive(Debug)]
struct Outage {
    phase: OutagePhase,
    /// The endpoints that the outage affects, by [`name_hash`]; empty after a restart, until the
    /// group is first examined.
    lost_endpoints: HashSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutagePhase {
    AllDown,
    Recovering { until: Duration },
}

impl Recovery {
    /// Replaces the topology; pools and members of outages are found in the new one by name.
    pub fn set_topology(&mut self, new: &Arc<Topology>) {
        let old = std::mem::replace(&mut self.topology, Arc::clone(new));
        let outages = std::mem::take(&mut self.outages);
        let carry_over = |(group, outage): (ClientGroup, Outage)| {
            let pool = old.pools.get(group.pool.index())?;
            let members =
                group.members.iter().filter_map(|&member| pool.members.get(usize::from(member)));
            let members: Vec<_> = members.map(|member| old.member_name(member.kind)).collect();
            Some((group_of(new, &pool.name, &members, group.is_strict)?, outage))
        };
        self.outages = outages.into_iter().filter_map(carry_over).collect();
    }

    /// Continues the recoveries that a previous run saved, from `now` on.
    pub fn restore(&mut self, saved: &[SavedRecovery], now: Duration) {
        let topology = &self.topology;
        for SavedRecovery { pool, members, is_strict, remaining } in saved {
            let names: Vec<&str> = members.iter().map(|name| &**name).collect();
            let Some(group) = group_of(topology, pool, &names, *is_strict) else { continue };
            let Some(limit) = max_recovery(topology, &group) else { continue };
            let phase = OutagePhase::Recovering { until: now + limit.min(*remaining) };
            self.outages.insert(group, Outage { phase, lost_endpoints: HashSet::new() });
        }
    }

    /// The recoveries in progress at `now`.
    pub fn saved(&self, now: Duration) -> Vec<SavedRecovery> {
        let topology = &self.topology;
        let saved = |(group, outage): (&ClientGroup, &Outage)| {
            let OutagePhase::Recovering { until } = outage.phase else { return None };
            let pool = topology.pools.get(group.pool.index())?;
            let members =
                group.members.iter().filter_map(|&member| pool.members.get(usize::from(member)));
            Some(SavedRecovery {
                pool: pool.name.clone(),
                members: members.map(|member| topology.member_name(member.kind).into()).collect(),
                is_strict: group.is_strict,
                remaining: until.saturating_sub(now),
            })
        };
        self.outages.iter().filter_map(saved).collect()
    }

    /// Updates every outage to `conditions` at `now`, and writes into the conditions which groups
    /// are recovering. Returns the pools for which that changed.
    pub fn follow(
        &mut self,
        compiler: &Compiler,
        conditions: &mut Conditions,
        now: Duration,
    ) -> Vec<PoolId> {
        let groups: Vec<ClientGroup> = self.outages.keys().cloned().collect();
        let topology = Arc::clone(&self.topology);
        for (group, availability) in
            groups.iter().zip(compiler.group_availability(conditions, &groups))
        {
            let Some(outage) = self.outages.get_mut(group) else { continue };
            match max_recovery(&topology, group)
                .and_then(|limit| outage.phase_after(&topology, &availability, limit, now))
            {
                Some(phase) => outage.phase = phase,
                None => _ = self.outages.remove(group),
            }
        }
        let recovering =
            self.outages.iter().filter(|(_, outage)| outage.phase != OutagePhase::AllDown);
        let recovering = recovering
            .map(|(group, _)| (group.clone(), max_recovery_secs(&topology, group)))
            .collect();
        let before = std::mem::replace(&mut conditions.recovering, recovering);
        let after = &conditions.recovering;
        let is_changed =
            |group: &&ClientGroup| before.contains_key(*group) != after.contains_key(*group);
        let mut changed: Vec<_> =
            before.keys().chain(after.keys()).filter(is_changed).map(|group| group.pool).collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Records an outage for each group of clients that is offered no usable member. `services` are
    /// those for which some area has nothing usable.
    pub fn note_outages<'c>(
        &mut self,
        compiler: &Compiler,
        conditions: &Conditions,
        services: impl Iterator<Item = (ServiceId, &'c Chart)>,
    ) {
        let topology = Arc::clone(&self.topology);
        let mut new = Vec::new();
        for (service, chart) in services {
            let groups = compiler.unserved_groups(conditions, service, chart);
            let is_new = |group: &ClientGroup| {
                !self.outages.contains_key(group) && max_recovery(&topology, group).is_some()
            };
            new.extend(groups.into_iter().filter(is_new));
        }
        let availabilities = compiler.group_availability(conditions, &new);
        let unserved = new.into_iter().zip(availabilities).filter(|(_, group)| !group.is_served);
        for (group, availability) in unserved {
            let lost_endpoints = availability
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.availability != EndpointAvailability::Withheld)
                .map(|endpoint| name_hash(&topology, endpoint))
                .collect();
            self.outages.insert(group, Outage { phase: OutagePhase::AllDown, lost_endpoints });
        }
    }

    /// The earliest time at which a recovery reaches its time limit.
    pub fn next_due(&self) -> Option<Duration> {
        let ends = self.outages.values().filter_map(|outage| match outage.phase {
            OutagePhase::AllDown => None,
            OutagePhase::Recovering { until } => Some(until),
        });
        ends.min()
    }
}

impl Outage {
    /// The phase that follows from how the clients are served at `now`; `None` if the outage and
    /// the recovery are over. A recovery that begins lasts for `limit` at most.
    fn phase_after(
        &mut self,
        topology: &Topology,
        availability: &GroupAvailability,
        limit: Duration,
        now: Duration,
    ) -> Option<OutagePhase> {
        if self.lost_endpoints.is_empty() {
            self.lost_endpoints.extend(
                availability.endpoints.iter().map(|endpoint| name_hash(topology, endpoint)),
            );
        }
        let has_unaffected =
            availability.endpoints.iter().any(|endpoint| match endpoint.availability {
                EndpointAvailability::ForcedUp => true,
                EndpointAvailability::Healthy => {
                    !self.lost_endpoints.contains(&name_hash(topology, endpoint))
                }
                EndpointAvailability::Unhealthy | EndpointAvailability::Withheld => false,
            });
        if has_unaffected {
            return None;
        }
        let failed = availability
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.availability == EndpointAvailability::Unhealthy);
        self.lost_endpoints.extend(failed.map(|endpoint| name_hash(topology, endpoint)));
        match self.phase {
            _ if !availability.is_served => Some(OutagePhase::AllDown),
            _ if availability.recovered_share <= 0.0 => None,
            _ if availability.recovered_share >= RECOVERED_SHARE => None,
            OutagePhase::Recovering { until } => {
                (now < until).then_some(OutagePhase::Recovering { until })
            }
            OutagePhase::AllDown => Some(OutagePhase::Recovering { until: now + limit }),
        }
    }
}

/// A hash of the names of an endpoint and its pool, which stay the same across loads.
fn name_hash(topology: &Topology, endpoint: &PoolEndpoint) -> u64 {
    let pool = &topology.pools[endpoint.pool.index()].name;
    let endpoint = &topology.endpoints[endpoint.endpoint.index()].name;
    stable_hash([pool.as_bytes(), b"/", endpoint.as_bytes()].concat().as_slice())
}

/// The group of clients that is offered those `members` that the pool still has; `None` if it has
/// none of them.
fn group_of(
    topology: &Topology,
    pool: &str,
    members: &[&str],
    is_strict: bool,
) -> Option<ClientGroup> {
    let id = topology.pools.iter().position(|other| *other.name == *pool)?;
    let pool_members = &topology.pools[id].members;
    let position = |name: &&str| {
        pool_members.iter().position(|member| topology.member_name(member.kind) == *name)
    };
    let members: Box<[u16]> =
        members.iter().filter_map(position).filter_map(|at| u16::try_from(at).ok()).collect();
    (!members.is_empty()).then_some(ClientGroup { pool: PoolId(id as u32), members, is_strict })
}

/// The maximum duration of a group's recovery: the longest `rise` × interval of the monitors of all
/// endpoints that it can be answered. `None` if recovery does not apply.
fn max_recovery(topology: &Topology, group: &ClientGroup) -> Option<Duration> {
    let one_member = MinUp::Members(std::num::NonZeroU32::MIN);
    let pool = &topology.pools[group.pool.index()];
    let kinds: Vec<MemberKind> = group
        .members
        .iter()
        .filter_map(|&member| Some(pool.members.get(usize::from(member))?.kind))
        .collect();
    let inner: Vec<PoolId> = kinds
        .iter()
        .filter_map(|kind| match kind {
            MemberKind::Pool(id) => Some(*id),
            MemberKind::Endpoint(_) => None,
        })
        .collect();
    let below = topology.pools_below(inner);
    // The clients of a strict rule are one group, and its members are tried in order.
    let divides_itself =
        pool.policy != Policy::Failover && !group.is_strict && pool.members.len() > 1;
    let divides = |id: &PoolId| {
        let pool = &topology.pools[id.index()];
        pool.policy != Policy::Failover && pool.members.len() > 1
    };
    if pool.min_up != one_member || !(divides_itself || below.iter().any(divides)) {
        return None;
    }
    let members =
        below.iter().flat_map(|id| &topology.pools[id.index()].members).map(|member| member.kind);
    let monitors = kinds.iter().copied().chain(members).filter_map(|kind| match kind {
        MemberKind::Endpoint(id) => {
            Some(&topology.monitors[topology.endpoints[id.index()].monitor?.index()])
        }
        MemberKind::Pool(_) => None,
    });
    Some(
        monitors
            .map(|monitor| monitor.interval * u32::from(monitor.rise.get()))
            .max()
            .unwrap_or_default(),
    )
}

/// The maximum duration of a group's recovery in seconds; at least 1.
fn max_recovery_secs(topology: &Topology, group: &ClientGroup) -> u32 {
    u32::try_from(max_recovery(topology, group).unwrap_or_default().as_secs())
        .unwrap_or(u32::MAX)
        .max(1)
}
