//! Table specifications: everything that the content of a slot table depends on.

use super::weighted_member::{MAX_SLOTS, WeightedMember, gcd};
use super::{fractions, quotas, rendezvous};
use crate::steer::{
    chart::{
        DistinctDraw, GroupSlots, LookupTable, RemainingDraw, RotatedOrder, ScoreCurves, Slots,
        padded_to_power_of_two,
    },
    model::Fraction,
};

/// The number of slots of a table whose ranked members have fractions that cannot be made exact
/// quotas.
pub(super) const FRACTION_SLOTS: usize = 1 << 14;

/// The maximum number of entries of a table whose ranked members have fractions; the number of
/// slots is reduced to stay below it.
pub(super) const MAX_FRACTION_ENTRIES: usize = 1 << 20;

/// The maximum number of members of a group for which an answer with all of them is in a drawn
/// order. A larger group is answered in the order written, starting with a drawn member: drawing an
/// order would cost each query the square of the number of members.
const MAX_SHUFFLED_MEMBERS: usize = 32;

/// The maximum number of configured members for which a `client` pool has [`SMALL_POOL_SLOTS`].
const MAX_SMALL_POOL: usize = 512;

/// The number of slots of a `client` pool with up to [`MAX_SMALL_POOL`] members.
pub(super) const SMALL_POOL_SLOTS: usize = 1 << 15;

/// The number of members of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::steer) enum Picks {
    /// This number, or as many as there are.
    Count(usize),
    /// Every member that the policy selects.
    All,
}

impl Picks {
    /// The number of members in an answer if there are `members` in all.
    pub(in crate::steer) fn of(self, members: usize) -> usize {
        match self {
            Self::Count(count) => count.min(members),
            Self::All => members,
        }
    }
}

/// How slots are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::steer) enum FillMethod {
    /// With exact shares, in a power of two of slots.
    Exact,
    /// With exact shares, interleaved so that slots taken in turn spread each member evenly, in as
    /// many slots as a cycle of turns needs.
    Cycle,
    /// By rendezvous hashing, so that a change moves as few clients as possible.
    Steady {
        /// The number of slots. It depends on the configured members ([`steady_slots`]), so that
        /// health never changes it.
        slots: usize,
    },
    /// Each slot to the first member that accepts it. The members are layers of clients, in
    /// ascending order of their fractions.
    Layers {
        /// The number of slots.
        slots: usize,
    },
}

impl FillMethod {
    /// Whether slots are filled by quotas, and not by hashes of names.
    fn is_exact(self) -> bool {
        matches!(self, Self::Exact | Self::Cycle)
    }
}

/// The number of slots of a `client` pool, by its number of configured members.
///
/// A member's ranks are a permutation of the slots, so that its number of slots differs from the
/// share of its weight only because of the other members. The variance of a share is at most 1/6
/// divided by the number of slots: in the worst case, one member with half of all slots against
/// many small members. Two equal members have 1/12, independent scores 1/4. With 32,768 slots one
/// percent is 4.4 standard deviations in the worst case and 6.3 for equal members; with 65,536
/// slots it is 6.3 and more.
///
/// There is one boundary, far from the usual sizes of pools, since an edit that crosses it moves
/// clients to other slots.
pub(in crate::steer) fn steady_slots(configured_members: usize) -> usize {
    if configured_members <= MAX_SMALL_POOL { SMALL_POOL_SLOTS } else { MAX_SLOTS }
}

/// Everything that a table's content depends on. Specifications of equal tables are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) struct TableSpec {
    groups: Vec<Vec<WeightedMember>>,
    picks: Picks,
    filling: FillMethod,
}

impl TableSpec {
    /// The specification of a table for `groups`, which have from 1 to 65,535 members together.
    pub(in crate::steer) fn new(
        mut groups: Vec<Vec<WeightedMember>>,
        picks: Picks,
        filling: FillMethod,
    ) -> Self {
        fractions::normalise(&mut groups);
        if let [group] = &mut groups[..]
            && filling.is_exact()
            && !group.iter().all(|member| member.fraction.is_full())
        {
            *group = fractions::weights_from_fractions(std::slice::from_ref(group));
        }
        if all_full(&groups) {
            let mut remaining = picks.of(groups.iter().map(Vec::len).sum());
            groups.retain(|group| {
                let is_reached = remaining > 0;
                remaining = remaining.saturating_sub(group.len());
                is_reached
            });
        }
        let mut spec = Self { groups, picks, filling };
        spec.reduce();
        spec
    }

    /// The layers of clients that members with these fractions accept, in ascending order. The last
    /// fraction is the whole.
    pub(in crate::steer) fn layers(fractions: &[Fraction], slots: usize) -> Self {
        let layer = |&fraction: &Fraction| WeightedMember { id: 0, weight: 1, fraction };
        let layers = fractions.iter().map(layer).collect();
        Self { groups: vec![layers], picks: Picks::Count(1), filling: FillMethod::Layers { slots } }
    }

    /// Removes what does not change the table: common factors of weights, and names if no slot
    /// depends on them.
    fn reduce(&mut self) {
        let names_matter = self.is_by_rendezvous();
        for group in &mut self.groups {
            let divisor =
                group.iter().fold(0, |divisor, member| gcd(divisor, member.weight)).max(1);
            for member in group {
                member.weight /= divisor;
                member.id = if names_matter { member.id } else { 0 };
            }
        }
    }

    fn is_by_rendezvous(&self) -> bool {
        match self.filling {
            FillMethod::Steady { .. } => !self.is_fixed(),
            FillMethod::Exact | FillMethod::Cycle => !all_full(&self.groups) && self.picks() > 1,
            FillMethod::Layers { .. } => false,
        }
    }

    /// Whether every query gets the same members in the same order.
    fn is_fixed(&self) -> bool {
        all_full(&self.groups) && self.groups.iter().all(|group| group.len() == 1)
    }

    fn members(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    fn picks(&self) -> usize {
        self.picks.of(self.members())
    }

    /// Fills the table of this specification.
    pub(super) fn fill(&self, curves: &mut ScoreCurves) -> Slots {
        let picks = self.picks();
        if let FillMethod::Layers { slots } = self.filling {
            return Slots::Lookup(LookupTable::of(rendezvous::layers(&self.groups[0], slots), 1));
        }
        if self.is_fixed() {
            return Slots::Lookup(LookupTable::of((0..picks as u16).collect(), picks));
        }
        if !all_full(&self.groups) && self.groups.len() > 1 {
            return self.fill_with_fractions(curves);
        }
        if let ([group], FillMethod::Cycle) = (&self.groups[..], self.filling)
            && picks == 1
        {
            return Slots::Lookup(LookupTable::of_cycle(&quotas::cycle(group)));
        }
        if let Picks::Count(_) = self.picks
            && self.filling.is_exact()
            && let Some(sequences) = quotas::sequences(&self.groups, picks)
        {
            return Slots::Lookup(LookupTable::of(quotas::interleaved(&sequences), picks));
        }
        let mut links = self.links(curves);
        match links.len() {
            1 => links.remove(0).slots,
            _ => Slots::Chain(links.into()),
        }
    }

    /// Fills a table for ranked members, some of which have fractions.
    fn fill_with_fractions(&self, curves: &mut ScoreCurves) -> Slots {
        let picks = self.picks();
        let slots = match self.filling {
            FillMethod::Exact if picks == 1 => {
                return Slots::Lookup(LookupTable::of(
                    quotas::owners(&fractions::weights_from_fractions(&self.groups)),
                    1,
                ));
            }
            FillMethod::Cycle if picks == 1 => {
                return Slots::Lookup(LookupTable::of_cycle(&quotas::cycle(
                    &fractions::weights_from_fractions(&self.groups),
                )));
            }
            FillMethod::Exact | FillMethod::Cycle => FRACTION_SLOTS,
            FillMethod::Steady { slots } | FillMethod::Layers { slots } => slots,
        };
        let slots = slots.min((MAX_FRACTION_ENTRIES / picks).max(1).next_power_of_two());
        Slots::Lookup(LookupTable::of(
            rendezvous::ranked_with_fractions(&self.groups, picks, &curves.curve(slots)),
            picks,
        ))
    }

    /// The slots of each group; successive groups with one member each share them.
    fn links(&self, curves: &mut ScoreCurves) -> Vec<GroupSlots> {
        let (mut links, mut first, mut remaining) = (Vec::new(), 0, self.picks());
        for run in self.groups.chunk_by(|a, b| a.len() == 1 && b.len() == 1) {
            let members: usize = run.iter().map(Vec::len).sum();
            let picks = remaining.min(members);
            let slots = match run {
                [group] if group.len() > 1 => self.group(group, picks, curves),
                _ => Slots::Lookup(LookupTable::of((0..picks as u16).collect(), picks)),
            };
            links.push(GroupSlots { first: first as u16, slots });
            (first, remaining) = (first + members, remaining - picks);
        }
        links
    }

    /// The slots of one group, of which `picks` members are picked.
    fn group(&self, group: &[WeightedMember], picks: usize, curves: &mut ScoreCurves) -> Slots {
        let (owners, members) = match self.filling {
            FillMethod::Exact | FillMethod::Cycle => {
                let weights = group.iter().map(|member| member.weight).collect();
                (quotas::owners(group), RemainingDraw::ByWeight(weights))
            }
            FillMethod::Steady { slots } | FillMethod::Layers { slots } => {
                let (contenders, curve) =
                    (rendezvous::scored_members(group, slots), curves.curve(slots));
                (
                    rendezvous::owners_with_fractions(group, &contenders, &curve),
                    RemainingDraw::ByScore(contenders, curve),
                )
            }
        };
        let is_whole =
            picks == group.len() && (self.picks == Picks::All || picks > MAX_SHUFFLED_MEMBERS);
        if is_whole && picks > 1 && self.filling == FillMethod::Cycle {
            let cycle = quotas::cycle(group);
            return Slots::Rotated(RotatedOrder {
                owners: padded_to_power_of_two(&cycle),
                cycle: cycle.len(),
                members: group.len(),
            });
        }
        match picks {
            1 => Slots::Lookup(LookupTable::of(owners, 1)),
            _ if is_whole => {
                Slots::Rotated(RotatedOrder { cycle: owners.len(), owners, members: group.len() })
            }
            _ => Slots::Distinct(DistinctDraw { owners, picks, members }),
        }
    }
}

/// Whether every member accepts all clients that reach it.
fn all_full(groups: &[Vec<WeightedMember>]) -> bool {
    groups.iter().flatten().all(|member| member.fraction.is_full())
}
