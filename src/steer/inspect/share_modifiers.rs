//! Share modifiers: what changes the share of a member besides rank and weight, and the cause.

use crate::steer::{
    compile::{LossRange, SearchResult},
    model::{Conditions, DatacenterId, EndpointId, Fraction, MemberKind, Pool, PoolId, Topology},
};

/// What changes the share of a member besides rank and weight. All are unset for a member in normal
/// service.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShareModifiers {
    /// The effect of a drain or a slow start.
    pub ramp: Option<RampEffect>,
    /// What the member keeps of its clients while it sheds or spills.
    pub retained: Option<RetainedShare>,
    /// In a `load` pool whose shares follow reports: the weight of the member and the sum of all
    /// weights, which is about 1024.
    pub load_weight: Option<(u32, u32)>,
    /// In a `failover` pool: clients stay with the member although one before it is usable.
    pub is_holder: bool,
}

/// The effect of a drain or a slow start on a member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RampEffect {
    /// The fraction of its normal traffic that the member receives.
    pub fraction: Fraction,
    /// What is drained or starts slowly.
    pub owner: RampOwner,
}

/// What is drained or starts slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RampOwner {
    /// A datacenter of the member.
    Datacenter(DatacenterId),
    /// The number of the endpoint.
    Endpoint(EndpointId),
    /// The clients of a `failover` pool, which return to the member.
    Failback(PoolId),
}

/// What a member keeps of its clients, where it is less than all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetainedShare {
    /// The fraction of all its clients that it keeps.
    pub fraction: Fraction,
    /// The fraction that it keeps of the clients of this area. The first member of a `nearest` pool
    /// gives away first the clients that lose the least distance.
    pub fraction_in_area: Fraction,
    /// The begin and the end, from 0 to 1, of the client's area among the areas with the same
    /// nearest member, in the order of the distance that their clients would lose. `None` if the
    /// same fraction of clients leaves in every area.
    pub loss_range: Option<(f64, f64)>,
    /// The member is a pool that is loaded beyond its capacity; else an operator sheds its clients.
    pub is_spilling: bool,
}

/// The pool whose members are inspected for modifiers.
pub(super) struct ModifierContext<'a> {
    pub(super) topology: &'a Topology,
    pub(super) conditions: &'a Conditions,
    pub(super) id: PoolId,
    /// In a `nearest` pool: the first member, and the range of the client's area among the areas
    /// with the same one.
    pub(super) nearest: Option<(usize, LossRange)>,
}

impl ModifierContext<'_> {
    /// The modifiers of the member at a position, by its search result.
    pub(super) fn modifiers(&self, position: usize, result: &SearchResult) -> ShareModifiers {
        let pool = &self.topology.pools[self.id.index()];
        let adjustments = &self.conditions.adjustments;
        let load_weight = adjustments
            .weights
            .get(&self.id)
            .and_then(|weights| Some((*weights.get(position)?, weights.iter().sum())));
        ShareModifiers {
            ramp: self.ramp(position, result.fraction),
            retained: (!result.kept_fraction.is_full())
                .then(|| self.kept(position, pool, result.kept_fraction)),
            load_weight,
            is_holder: adjustments.holders.get(&self.id) == Some(&(position as u16)),
        }
    }

    /// The effect of the member's own ramp or of the return of clients to it, whichever leaves
    /// less.
    fn ramp(&self, position: usize, fraction: Fraction) -> Option<RampEffect> {
        let returning = self
            .conditions
            .adjustments
            .failbacks
            .get(&self.id)
            .filter(|failback| usize::from(failback.to) == position);
        if let Some(failback) = returning.filter(|failback| failback.fraction < fraction) {
            return Some(RampEffect {
                fraction: failback.fraction,
                owner: RampOwner::Failback(self.id),
            });
        }
        let kind = self.topology.pools[self.id.index()].members[position].kind;
        let owner = if fraction.is_full() { None } else { self.ramp_owner(kind, fraction) };
        owner.map(|owner| RampEffect { fraction, owner })
    }

    fn kept(&self, position: usize, pool: &Pool, fraction: Fraction) -> RetainedShare {
        let range = self.nearest.filter(|(first, _)| *first == position).map(|(_, range)| range);
        let is_spilling = match pool.members[position].kind {
            MemberKind::Pool(inner) => {
                self.conditions.adjustments.kept_fractions.contains_key(&inner)
            }
            MemberKind::Endpoint(_) => false,
        };
        RetainedShare {
            fraction,
            fraction_in_area: range.map_or(fraction, |range| range.kept_fraction(fraction)),
            loss_range: range.map(|range| (range.from, range.to)),
            is_spilling,
        }
    }

    /// The endpoint or datacenter whose ramp leaves this fraction to a member: the first one found
    /// below it.
    fn ramp_owner(&self, kind: MemberKind, fraction: Fraction) -> Option<RampOwner> {
        let adjustments = &self.conditions.adjustments;
        match kind {
            MemberKind::Pool(id) => {
                let mut members = self.topology.pools[id.index()].members.iter();
                members.find_map(|member| self.ramp_owner(member.kind, fraction))
            }
            MemberKind::Endpoint(id)
                if adjustments.endpoint_fractions.get(&id) == Some(&fraction) =>
            {
                Some(RampOwner::Endpoint(id))
            }
            MemberKind::Endpoint(id) => {
                let has_fraction = |datacenter: &&DatacenterId| {
                    adjustments.datacenter_fractions.get(datacenter) == Some(&fraction)
                };
                let mut datacenters = self.topology.endpoints[id.index()].datacenters.iter();
                datacenters.find(has_fraction).copied().map(RampOwner::Datacenter)
            }
        }
    }
}
