//! Recovery from "everything is down": a service that answered all members because none was usable goes on doing so until enough
//! of them are back. Otherwise the first member that recovers gets the clients of all.
//!
//! | phase of a service's pool | begins | ends |
//! |---|---|---|
//! | dark | no member is usable, so that all are answered | a member is usable again |
//! | recovering | a member is usable, but less than half of the members by weight | half are, or `rise` × interval has passed, or none is again |
//!
//! It applies to services with `on-all-down = "all"` whose tree of pools divides clients among members. A `failover` over endpoints
//! does not: one member takes all clients there anyway. Where `min-up` is configured, that is the threshold, for which
//! the pool itself waits. Pure: the time comes in as the time since an epoch of the caller's.

use std::{collections::HashMap, time::Duration};

use super::{
    compiler::{Compiler, pools_below},
    conditions::Conditions,
    pool::{MemberKind, MinUp, Policy},
    service::OnAllDown,
    topology::{PoolId, Topology},
};

/// As much of a pool's weight must be back.
const ENOUGH: f64 = 0.5;

/// Which services' pools are dark or recovering.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The pools that this applies to, and how long each recovers at most.
    holds: HashMap<PoolId, Duration>,
    phases: HashMap<PoolId, Phase>,
    names: HashMap<PoolId, Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Dark,
    Recovering { until: Duration },
}

impl Recovery {
    /// Goes on with another topology: pools are found again by name.
    pub fn adopt(&mut self, topology: &Topology) {
        let mut old: HashMap<Box<str>, Phase> =
            self.phases.drain().filter_map(|(id, phase)| Some((self.names.get(&id)?.clone(), phase))).collect();
        self.holds = holds(topology);
        self.names = self.holds.keys().map(|id| (*id, topology.pools[id.index()].name.clone())).collect();
        self.phases = self.names.iter().filter_map(|(id, name)| Some((*id, old.remove(name)?))).collect();
    }

    /// Moves every pool that is dark or recovering on to what `conditions` say at `now`, and writes into them which are
    /// recovering. Returns the pools for which that changed.
    pub fn follow(&mut self, compiler: &mut Compiler, conditions: &mut Conditions, now: Duration) -> Vec<PoolId> {
        let pools: Vec<PoolId> = self.phases.keys().copied().collect();
        for (pool, back) in pools.iter().zip(compiler.shares_back(conditions, &pools)) {
            let hold = self.holds.get(pool).copied().unwrap_or_default();
            let phase = match self.phases.get(pool) {
                _ if back <= 0.0 => Some(Phase::Dark),
                _ if back >= ENOUGH => None,
                Some(Phase::Recovering { until }) if now >= *until => None,
                Some(Phase::Recovering { until }) => Some(Phase::Recovering { until: *until }),
                _ => Some(Phase::Recovering { until: now + hold }),
            };
            match phase {
                Some(phase) => _ = self.phases.insert(*pool, phase),
                None => _ = self.phases.remove(pool),
            }
        }
        let recovering = self.phases.iter().filter(|(_, phase)| **phase != Phase::Dark);
        let recovering = recovering.map(|(pool, _)| (*pool, self.hold_secs(*pool))).collect();
        let before = std::mem::replace(&mut conditions.recovering, recovering);
        let after = &conditions.recovering;
        before
            .keys()
            .chain(after.keys())
            .filter(|pool| before.contains_key(pool) != after.contains_key(pool))
            .copied()
            .collect()
    }

    /// Looks which of these pools, whose services found nothing usable for some clients, have no usable member at all.
    pub fn note_dark(&mut self, compiler: &mut Compiler, conditions: &Conditions, pools: impl Iterator<Item = PoolId>) {
        let new: Vec<_> =
            pools.filter(|pool| self.holds.contains_key(pool) && !self.phases.contains_key(pool)).collect();
        if new.is_empty() {
            return;
        }
        let backs = compiler.shares_back(conditions, &new);
        let dark = new.into_iter().zip(backs).filter(|(_, back)| *back <= 0.0);
        self.phases.extend(dark.map(|(pool, _)| (pool, Phase::Dark)));
    }

    /// When the next recovery ends by its time.
    pub fn next_due(&self) -> Option<Duration> {
        let ends = self.phases.values().filter_map(|phase| match phase {
            Phase::Dark => None,
            Phase::Recovering { until } => Some(*until),
        });
        ends.min()
    }

    fn hold_secs(&self, pool: PoolId) -> u32 {
        let hold = self.holds.get(&pool).copied().unwrap_or_default();
        u32::try_from(hold.as_secs()).unwrap_or(u32::MAX).max(1)
    }
}

/// The pools that recovery applies to: each with the longest `rise` × interval of the monitors below it.
fn holds(topology: &Topology) -> HashMap<PoolId, Duration> {
    let one = MinUp::Members(std::num::NonZeroU32::MIN);
    let applies = |pool: &PoolId| topology.pools[pool.index()].min_up == one && divides(topology, *pool);
    let roots = topology.services.iter().filter(|service| service.on_all_down == OnAllDown::All);
    let mut holds = HashMap::new();
    for pool in roots.map(|service| service.pool) {
        if !holds.contains_key(&pool) && applies(&pool) {
            holds.insert(pool, hold(topology, pool));
        }
    }
    holds
}

/// Whether some pool of the tree divides clients among its members.
fn divides(topology: &Topology, root: PoolId) -> bool {
    let divides = |id: &PoolId| {
        let pool = &topology.pools[id.index()];
        pool.policy != Policy::Failover && pool.members.len() > 1
    };
    pools_below(topology, &[root]).iter().any(divides)
}

fn hold(topology: &Topology, root: PoolId) -> Duration {
    let pools = pools_below(topology, &[root]);
    let members = pools.iter().flat_map(|id| &topology.pools[id.index()].members);
    let monitors = members.filter_map(|member| match member.kind {
        MemberKind::Endpoint(id) => Some(&topology.monitors[topology.endpoints[id.index()].monitor?.index()]),
        MemberKind::Pool(_) => None,
    });
    monitors.map(|monitor| monitor.interval * u32::from(monitor.rise.get())).max().unwrap_or_default()
}
