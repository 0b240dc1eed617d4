//! Recovery from "everything is down": clients that are answered all members because none was
//! usable go on getting all until enough of them are back. Otherwise the first member that recovers
//! gets the clients of all.
//!
//! | phase of a group of clients | begins | ends |
//! |---|---|---|
//! | dark | no member is usable, so that all are answered | a member is usable again |
//! | recovering | a member is usable, but less than half of the members by weight | half are, or `rise` × interval has passed, or none is again |
//!
//! A group is the clients of a service's pool that are offered the same members: all clients, or
//! those of the areas for which a `geo` pool offers the same ones. A strict rule's clients are one.
//!
//! Only health begins it and only health is waited for. It is over at once where clients are served
//! without a member that the outage took: by a standby, or by a member that an operator has just
//! put into service.
//!
//! It applies to services that answer all members when none is usable, and whose tree of pools
//! divides clients among members. A `failover` over endpoints does not: one member takes all
//! clients there anyway. Where `min-up` is configured, that is the threshold, for which the pool
//! itself waits. Pure: the time comes in as the time since an epoch of the caller's.

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

/// As much of a pool's weight must be back.
const RECOVERED_SHARE: f64 = 0.5;

/// A recovery in progress, for the next run of the program: everything by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRecovery {
    /// The service's pool.
    pub pool: Box<str>,
    /// The members that its clients are offered, the first choice first.
    pub members: Vec<Box<str>>,
    /// A rule with `strict = true` offers them.
    pub is_strict: bool,
    /// How long it lasts at most from now on.
    pub remaining: Duration,
}

/// Which groups of clients are without a usable member, or recovering from that.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What groups and members are positions in.
    topology: Arc<Topology>,
    outages: BTreeMap<ClientGroup, Outage>,
}

/// An outage of every member that a group of clients is offered.
#[derive(Debug)]
struct Outage {
    phase: OutagePhase,
    /// The endpoints that it took, by [`name_hash`]; empty after a restart, until they were looked
    /// at.
    lost_endpoints: HashSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutagePhase {
    AllDown,
    Recovering { until: Duration },
}

impl Recovery {
    /// Goes on with another topology: pools and members are found again by name.
    pub fn set_topology(&mut self, new: &Arc<Topology>) {
        let old = std::mem::replace(&mut self.topology, Arc::clone(new));
        let outages = std::mem::take(&mut self.outages);
        let renamed = |(group, outage): (ClientGroup, Outage)| {
            let pool = old.pools.get(group.pool.index())?;
            let members = group.members.iter().filter_map(|&at| pool.members.get(usize::from(at)));
            let members: Vec<_> = members.map(|member| old.member_name(member.kind)).collect();
            Some((group_of(new, &pool.name, &members, group.is_strict)?, outage))
        };
        self.outages = outages.into_iter().filter_map(renamed).collect();
    }

    /// Goes on where a previous run was at `now`.
    pub fn restore(&mut self, saved: &[SavedRecovery], now: Duration) {
        let topology = &self.topology;
        for SavedRecovery { pool, members, is_strict, remaining: left } in saved {
            let names: Vec<&str> = members.iter().map(|name| &**name).collect();
            let Some(group) = group_of(topology, pool, &names, *is_strict) else { continue };
            let Some(hold) = max_recovery(topology, &group) else { continue };
            let phase = OutagePhase::Recovering { until: now + hold.min(*left) };
            self.outages.insert(group, Outage { phase, lost_endpoints: HashSet::new() });
        }
    }

    /// The recoveries in progress at `now`.
    pub fn saved(&self, now: Duration) -> Vec<SavedRecovery> {
        let topology = &self.topology;
        let saved = |(group, outage): (&ClientGroup, &Outage)| {
            let OutagePhase::Recovering { until } = outage.phase else { return None };
            let pool = topology.pools.get(group.pool.index())?;
            let members = group.members.iter().filter_map(|&at| pool.members.get(usize::from(at)));
            Some(SavedRecovery {
                pool: pool.name.clone(),
                members: members.map(|member| topology.member_name(member.kind).into()).collect(),
                is_strict: group.is_strict,
                remaining: until.saturating_sub(now),
            })
        };
        self.outages.iter().filter_map(saved).collect()
    }

    /// Moves every outage on to what `conditions` say at `now`, and writes into them which groups
    /// are recovering. Returns the pools for which that changed.
    pub fn follow(
        &mut self,
        compiler: &Compiler,
        conditions: &mut Conditions,
        now: Duration,
    ) -> Vec<PoolId> {
        let groups: Vec<ClientGroup> = self.outages.keys().cloned().collect();
        let topology = Arc::clone(&self.topology);
        for (group, supply) in groups.iter().zip(compiler.group_availability(conditions, &groups)) {
            let Some(outage) = self.outages.get_mut(group) else { continue };
            match max_recovery(&topology, group)
                .and_then(|hold| outage.phase_after(&topology, &supply, hold, now))
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

    /// Looks which clients of these services, of which some found nothing usable, are offered no
    /// usable member at all.
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
        let supplies = compiler.group_availability(conditions, &new);
        for (group, supply) in new.into_iter().zip(supplies).filter(|(_, supply)| !supply.is_served)
        {
            let lost = supply
                .endpoints
                .iter()
                .filter(|seen| seen.availability != EndpointAvailability::Withheld);
            let lost = lost.map(|seen| name_hash(&topology, seen)).collect();
            self.outages
                .insert(group, Outage { phase: OutagePhase::AllDown, lost_endpoints: lost });
        }
    }

    /// When the next recovery ends by its time.
    pub fn next_due(&self) -> Option<Duration> {
        let ends = self.outages.values().filter_map(|outage| match outage.phase {
            OutagePhase::AllDown => None,
            OutagePhase::Recovering { until } => Some(until),
        });
        ends.min()
    }
}

impl Outage {
    /// The phase that follows from how the clients are served now; `None` where the outage and the
    /// recovery are over.
    fn phase_after(
        &mut self,
        topology: &Topology,
        supply: &GroupAvailability,
        hold: Duration,
        now: Duration,
    ) -> Option<OutagePhase> {
        if self.lost_endpoints.is_empty() {
            self.lost_endpoints
                .extend(supply.endpoints.iter().map(|seen| name_hash(topology, seen)));
        }
        let is_given = supply.endpoints.iter().any(|seen| match seen.availability {
            EndpointAvailability::ForcedUp => true,
            EndpointAvailability::Healthy => {
                !self.lost_endpoints.contains(&name_hash(topology, seen))
            }
            EndpointAvailability::Unhealthy | EndpointAvailability::Withheld => false,
        });
        if is_given {
            return None;
        }
        let failed = supply
            .endpoints
            .iter()
            .filter(|seen| seen.availability == EndpointAvailability::Unhealthy);
        self.lost_endpoints.extend(failed.map(|seen| name_hash(topology, seen)));
        match self.phase {
            _ if !supply.is_served => Some(OutagePhase::AllDown),
            _ if supply.recovered_share <= 0.0 || supply.recovered_share >= RECOVERED_SHARE => None,
            OutagePhase::Recovering { until } => {
                (now < until).then_some(OutagePhase::Recovering { until })
            }
            OutagePhase::AllDown => Some(OutagePhase::Recovering { until: now + hold }),
        }
    }
}

/// An endpoint by its name and its pool's, which a reload keeps.
fn name_hash(topology: &Topology, seen: &PoolEndpoint) -> u64 {
    let (pool, endpoint) =
        (&topology.pools[seen.pool.index()], &topology.endpoints[seen.endpoint.index()]);
    stable_hash([pool.name.as_bytes(), b"/", endpoint.name.as_bytes()].concat().as_slice())
}

/// The group that is offered these members of a pool, as far as there still are any.
fn group_of(
    topology: &Topology,
    pool: &str,
    members: &[&str],
    is_strict: bool,
) -> Option<ClientGroup> {
    let id = topology.pools.iter().position(|at| *at.name == *pool)?;
    let of_pool = &topology.pools[id].members;
    let position =
        |name: &&str| of_pool.iter().position(|member| topology.member_name(member.kind) == *name);
    let members: Box<[u16]> =
        members.iter().filter_map(position).filter_map(|at| u16::try_from(at).ok()).collect();
    (!members.is_empty()).then_some(ClientGroup { pool: PoolId(id as u32), members, is_strict })
}

/// How long a group recovers at most: the longest `rise` × interval of the monitors below what it
/// is offered. `None` where recovery does not apply.
fn max_recovery(topology: &Topology, group: &ClientGroup) -> Option<Duration> {
    let one = MinUp::Members(std::num::NonZeroU32::MIN);
    let pool = &topology.pools[group.pool.index()];
    let kinds: Vec<MemberKind> = group
        .members
        .iter()
        .filter_map(|&at| Some(pool.members.get(usize::from(at))?.kind))
        .collect();
    let inner: Vec<PoolId> = kinds
        .iter()
        .filter_map(|kind| match kind {
            MemberKind::Pool(id) => Some(*id),
            MemberKind::Endpoint(_) => None,
        })
        .collect();
    let below = topology.pools_below(inner);
    // Clients of a strict rule are one group, and its members a failover.
    let divides_itself =
        pool.policy != Policy::Failover && !group.is_strict && pool.members.len() > 1;
    let divides = |id: &PoolId| {
        let pool = &topology.pools[id.index()];
        pool.policy != Policy::Failover && pool.members.len() > 1
    };
    if pool.min_up != one || !(divides_itself || below.iter().any(divides)) {
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

fn max_recovery_secs(topology: &Topology, group: &ClientGroup) -> u32 {
    u32::try_from(max_recovery(topology, group).unwrap_or_default().as_secs())
        .unwrap_or(u32::MAX)
        .max(1)
}
