//! Terms: what beside rank and weight decides how much a member gets, and whose doing that is.

use crate::steer::{
    compile::{LossRange, SearchResult},
    model::{Conditions, DatacenterId, EndpointId, Fraction, MemberKind, Pool, PoolId, Topology},
};

/// What beside rank and weight decides how much a member gets. Nothing of it holds for most members
/// most of the time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShareModifiers {
    /// What it takes of its share, amid a drain or a slow start.
    pub ramp: Option<RampEffect>,
    /// What it keeps of its clients, while it sheds or spills.
    pub retained: Option<RetainedShare>,
    /// Of a `load` pool whose shares follow reports: its weight, and that of all members, 1024 or
    /// about.
    pub load_weight: Option<(u32, u32)>,
    /// Of a `failover` pool: clients stay with it although a member before it is usable.
    pub is_holder: bool,
}

/// A member amid a drain or a slow start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RampEffect {
    /// What it takes of its share.
    pub fraction: Fraction,
    /// Whose drain or slow start it is.
    pub owner: RampOwner,
}

/// Whose drain or slow start it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RampOwner {
    /// A datacenter's.
    Datacenter(DatacenterId),
    /// An endpoint's own.
    Endpoint(EndpointId),
    /// That of a `failover` pool's clients, which return to the member.
    Failback(PoolId),
}

/// A member that keeps less than all of its clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetainedShare {
    /// Of all its clients.
    pub fraction: Fraction,
    /// Of this client's area: of a `nearest` pool's first member, those leave first who lose the
    /// least distance.
    pub fraction_in_area: Fraction,
    /// Where the area stands among those that have the same nearest member, by how little distance
    /// they lose: shares from 0 to 1. Nothing where clients leave evenly, wherever they are.
    pub loss_range: Option<(f64, f64)>,
    /// It is a pool that is loaded beyond its capacity; else an operator's `shed`.
    pub is_spilling: bool,
}

/// What is asked of a pool's members.
pub(super) struct ModifierContext<'a> {
    pub(super) topology: &'a Topology,
    pub(super) conditions: &'a Conditions,
    pub(super) id: PoolId,
    /// The first member of a `nearest` pool, and where the client's area stands among those that
    /// have the same one.
    pub(super) nearest: Option<(usize, LossRange)>,
}

impl ModifierContext<'_> {
    /// The terms of the member at a position, which came to `finding`.
    pub(super) fn modifiers(&self, at: usize, finding: &SearchResult) -> ShareModifiers {
        let pool = &self.topology.pools[self.id.index()];
        let steering = &self.conditions.adjustments;
        let by_load = steering
            .weights
            .get(&self.id)
            .and_then(|weights| Some((*weights.get(at)?, weights.iter().sum())));
        ShareModifiers {
            ramp: self.ramp(at, finding.fraction),
            retained: (!finding.kept_fraction.is_full())
                .then(|| self.kept(at, pool, finding.kept_fraction)),
            load_weight: by_load,
            is_holder: steering.holders.get(&self.id) == Some(&(at as u16)),
        }
    }

    /// What a member takes during a ramp of its own or a return of clients to it, whichever is
    /// less.
    fn ramp(&self, at: usize, own: Fraction) -> Option<RampEffect> {
        let returning = self
            .conditions
            .adjustments
            .failbacks
            .get(&self.id)
            .filter(|one| usize::from(one.to) == at);
        if let Some(one) = returning.filter(|one| one.fraction < own) {
            return Some(RampEffect {
                fraction: one.fraction,
                owner: RampOwner::Failback(self.id),
            });
        }
        let kind = self.topology.pools[self.id.index()].members[at].kind;
        let by = if own.is_full() { None } else { self.ramped_by(kind, own) };
        by.map(|by| RampEffect { fraction: own, owner: by })
    }

    fn kept(&self, at: usize, pool: &Pool, keep: Fraction) -> RetainedShare {
        let span = self.nearest.filter(|(first, _)| *first == at).map(|(_, span)| span);
        let is_spilling = match pool.members[at].kind {
            MemberKind::Pool(inner) => {
                self.conditions.adjustments.kept_fractions.contains_key(&inner)
            }
            MemberKind::Endpoint(_) => false,
        };
        RetainedShare {
            fraction: keep,
            fraction_in_area: span.map_or(keep, |span| span.kept_fraction(keep)),
            loss_range: span.map(|span| (span.from, span.to)),
            is_spilling,
        }
    }

    /// Whose ramp leaves a member this part: the first found below it.
    fn ramped_by(&self, kind: MemberKind, part: Fraction) -> Option<RampOwner> {
        let steering = &self.conditions.adjustments;
        match kind {
            MemberKind::Pool(id) => {
                let mut members = self.topology.pools[id.index()].members.iter();
                members.find_map(|member| self.ramped_by(member.kind, part))
            }
            MemberKind::Endpoint(id) if steering.endpoint_fractions.get(&id) == Some(&part) => {
                Some(RampOwner::Endpoint(id))
            }
            MemberKind::Endpoint(id) => {
                let mut places = self.topology.endpoints[id.index()].datacenters.iter();
                let place =
                    places.find(|place| steering.datacenter_fractions.get(place) == Some(&part));
                place.copied().map(RampOwner::Datacenter)
            }
        }
    }
}
