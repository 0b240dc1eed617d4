//! A table's specification: everything that its content depends on.

use super::weighted_member::{MAX_SLOTS, WeightedMember, gcd};
use super::{fractions, quotas, rendezvous};
use crate::steer::{
    chart::{
        DistinctDraw, GroupSlots, LookupTable, RemainingDraw, RotatedOrder, ScoreCurves, Slots,
        padded_to_power_of_two,
    },
    model::Fraction,
};

/// The number of slots of a table whose ranked members take parts, where the parts cannot be made
/// exact quotas.
pub(super) const FRACTION_SLOTS: usize = 1 << 14;

/// The most entries of a table whose ranked members take parts: beyond, it has fewer slots.
pub(super) const MAX_FRACTION_ENTRIES: usize = 1 << 20;

/// The most members of a group for which an answer with all of them is in a drawn order. A larger
/// group is answered in the order written, from a drawn member on: drawing an order would cost each
/// query the square of the number of members.
const MAX_SHUFFLED_MEMBERS: usize = 32;

/// The most configured members of a pool for which `client` has [`SMALL_POOL_SLOTS`].
const MAX_SMALL_POOL: usize = 512;

pub(super) const SMALL_POOL_SLOTS: usize = 1 << 15;

/// How many members an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::steer) enum Picks {
    /// This many, or as many as there are.
    Count(usize),
    /// Every member that is selected.
    All,
}

impl Picks {
    /// The number of members in an answer, of so many that there are.
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
    /// With exact shares, of a power of two of slots.
    Exact,
    /// With exact shares, interleaved so that slots taken in turn spread each member evenly, of as
    /// many slots as a cycle of turns needs.
    Cycle,
    /// So that a change moves as few clients as it can.
    Steady {
        /// The number of slots. It depends on the configured members ([`steady_slots`]), so that
        /// health never changes it.
        slots: usize,
    },
    /// Each slot to the first member that takes part for it: members are layers of clients, in
    /// ascending order of their parts.
    Layers {
        /// The number of slots.
        slots: usize,
    },
}

impl FillMethod {
    /// By quotas, and not by hashes of names.
    fn is_exact(self) -> bool {
        matches!(self, Self::Exact | Self::Cycle)
    }
}

/// The number of slots for `client`, by the number of configured members.
///
/// A member's ranks are a permutation of the slots, so that its number of slots differs from the
/// share of its weight only because of the other members. The variance of a share is at most 1/6
/// divided by the number of slots: in the worst case, one member with half of all slots against
/// many small members. Two equal members have 1/12, independent scores 1/4. With 32,768 slots one
/// percent is 4.4 standard deviations in the worst case and 6.3 for equal members; with 65,536
/// slots it is 6.3 and more.
///
/// One boundary, far from the usual sizes of pools: the edit that crosses it moves clients to other
/// slots.
pub(in crate::steer) fn steady_slots(configured_members: usize) -> usize {
    if configured_members <= MAX_SMALL_POOL { SMALL_POOL_SLOTS } else { MAX_SLOTS }
}

/// All that a table's content depends on. Recipes are equal where the tables would be equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) struct TableSpec {
    groups: Vec<Vec<WeightedMember>>,
    picks: Picks,
    filling: FillMethod,
}

impl TableSpec {
    /// `groups` have at most 65,535 members together, and at least one.
    pub(in crate::steer) fn new(
        mut groups: Vec<Vec<WeightedMember>>,
        picks: Picks,
        filling: FillMethod,
    ) -> Self {
        fractions::normalise(&mut groups);
        if let [group] = &mut groups[..]
            && filling.is_exact()
            && !group.iter().all(|stake| stake.fraction.is_full())
        {
            *group = fractions::weights_from_fractions(std::slice::from_ref(group));
        }
        if all_whole(&groups) {
            let mut open = picks.of(groups.iter().map(Vec::len).sum());
            groups.retain(|group| {
                let is_reached = open > 0;
                open = open.saturating_sub(group.len());
                is_reached
            });
        }
        let mut recipe = Self { groups, picks, filling };
        recipe.reduce();
        recipe
    }

    /// The layers of clients for whom members with these parts take part, in ascending order; the
    /// last is the whole.
    pub(in crate::steer) fn layers(cuts: &[Fraction], slots: usize) -> Self {
        let layers =
            cuts.iter().map(|&part| WeightedMember { id: 0, weight: 1, fraction: part }).collect();
        Self { groups: vec![layers], picks: Picks::Count(1), filling: FillMethod::Layers { slots } }
    }

    /// Leaves out what does not matter: common factors of weights, and names where no slot depends
    /// on them.
    fn reduce(&mut self) {
        let names_matter = self.is_by_rendezvous();
        for group in &mut self.groups {
            let divisor = group.iter().fold(0, |divisor, stake| gcd(divisor, stake.weight)).max(1);
            for stake in group {
                stake.weight /= divisor;
                stake.id = if names_matter { stake.id } else { 0 };
            }
        }
    }

    fn is_by_rendezvous(&self) -> bool {
        match self.filling {
            FillMethod::Steady { .. } => !self.is_fixed(),
            FillMethod::Exact | FillMethod::Cycle => !all_whole(&self.groups) && self.picks() > 1,
            FillMethod::Layers { .. } => false,
        }
    }

    /// Whether every query gets the same members in the same order.
    fn is_fixed(&self) -> bool {
        all_whole(&self.groups) && self.groups.iter().all(|group| group.len() == 1)
    }

    fn members(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    fn picks(&self) -> usize {
        self.picks.of(self.members())
    }

    /// Fills the table that this recipe describes.
    pub(super) fn fill(&self, curves: &mut ScoreCurves) -> Slots {
        let picks = self.picks();
        if let FillMethod::Layers { slots } = self.filling {
            return Slots::Lookup(LookupTable::of(rendezvous::layers(&self.groups[0], slots), 1));
        }
        if self.is_fixed() {
            return Slots::Lookup(LookupTable::of((0..picks).map(|at| at as u16).collect(), picks));
        }
        if !all_whole(&self.groups) && self.groups.len() > 1 {
            return self.fill_parts(curves);
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

    /// Ranked members, some of which take parts.
    fn fill_parts(&self, curves: &mut ScoreCurves) -> Slots {
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

    /// A link for each group; successive groups of one member share a link.
    fn links(&self, curves: &mut ScoreCurves) -> Vec<GroupSlots> {
        let (mut links, mut first, mut open) = (Vec::new(), 0, self.picks());
        for run in self.groups.chunk_by(|a, b| a.len() == 1 && b.len() == 1) {
            let members: usize = run.iter().map(Vec::len).sum();
            let picks = open.min(members);
            let slots = match run {
                [group] if group.len() > 1 => self.group(group, picks, curves),
                _ => {
                    Slots::Lookup(LookupTable::of((0..picks).map(|at| at as u16).collect(), picks))
                }
            };
            links.push(GroupSlots { first: first as u16, slots });
            (first, open) = (first + members, open - picks);
        }
        links
    }

    /// The slots of one group, of which `picks` members are picked.
    fn group(&self, group: &[WeightedMember], picks: usize, curves: &mut ScoreCurves) -> Slots {
        let (owners, members) = match self.filling {
            FillMethod::Exact | FillMethod::Cycle => {
                let weights = group.iter().map(|stake| stake.weight).collect();
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

/// Whether every member takes all that comes to it.
fn all_whole(groups: &[Vec<WeightedMember>]) -> bool {
    groups.iter().flatten().all(|stake| stake.fraction.is_full())
}
