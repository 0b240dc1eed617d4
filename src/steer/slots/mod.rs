//! Slots: how many each member gets, and in which order. The control side of the wheel; `draw` is
//! its query side.
//!
//! Members come in *groups*: those of an earlier group are always picked before those of a later
//! one, and within a group the order is drawn by weight. `weighted` is one group; `failover` is a
//! group per member; `nearest` with a tie is one group for the tied and one for each that follows.
//!
//! Exact shares and least movement exclude each other. `query` and `turn` need exact shares: slots
//! are quotas by largest remainder (`quotas`). `client` needs least movement: each slot goes to its
//! members by weighted rendezvous (`rendezvous`), where a member's score depends on nothing but the
//! slot, the member and its weight, so that a change moves only the slots it must.
//!
//! Slots depend on the hashes of their members' names and not on the pool, so that equal pools
//! share one table (`table_cache`). A client's draws from two pools are still independent: the hash
//! that picks its slot is keyed by the pool's name.

mod draw;
mod fractions;
mod inclusion;
mod quotas;
mod rendezvous;
mod table_cache;

#[cfg(test)]
mod tests;

use rendezvous::{ScoreCurve, ScoreCurves, ScoredMember};

pub(super) use draw::DrawSeed;
pub(super) use fractions::{distinct_fractions, normalise, raised_to_cover_all, shares};
pub(super) use table_cache::SlotTableCache;

use super::fraction::Fraction;

/// The number of slots of a table whose ranked members take parts, where the parts cannot be made
/// exact quotas.
const FRACTION_SLOTS: usize = 1 << 14;
/// The most slots a table has (Maglev, NSDI 2016, finds 65537 enough for 1 % balance; a power of
/// two spares the division).
const MAX_SLOTS: usize = 1 << 16;
/// The most entries of a table whose ranked members take parts: beyond, it has fewer slots.
const MAX_FRACTION_ENTRIES: usize = 1 << 20;
/// The most members of a group for which an answer with all of them is in a drawn order. A larger
/// group is answered in the order written, from a drawn member on: drawing an order would cost each
/// query the square of the number of members.
const MAX_SHUFFLED_MEMBERS: usize = 32;
/// The most configured members of a pool for which `client` has [`SMALL_POOL_SLOTS`].
const MAX_SMALL_POOL: usize = 512;
const SMALL_POOL_SLOTS: usize = 1 << 15;

/// What slots depend on of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WeightedMember {
    /// Stable over reloads, restarts and machines: a hash of the member's name.
    pub id: u64,
    /// Its share is this over the sum of its group. Never 0.
    pub weight: u32,
    /// What it takes of its share (`fractions`).
    pub fraction: Fraction,
}

/// How many members an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Picks {
    /// This many, or as many as there are.
    Count(usize),
    /// Every member that is selected.
    All,
}

impl Picks {
    /// The number of members in an answer, of so many that there are.
    pub(super) fn of(self, members: usize) -> usize {
        match self {
            Self::Count(count) => count.min(members),
            Self::All => members,
        }
    }
}

/// How slots are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FillMethod {
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
pub(super) fn steady_slots(configured_members: usize) -> usize {
    if configured_members <= MAX_SMALL_POOL { SMALL_POOL_SLOTS } else { MAX_SLOTS }
}

/// All that a table's content depends on. Recipes are equal where the tables would be equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TableSpec {
    groups: Vec<Vec<WeightedMember>>,
    picks: Picks,
    filling: FillMethod,
}

impl TableSpec {
    /// `groups` have at most 65,535 members together, and at least one.
    pub(super) fn new(
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
    pub(super) fn layers(cuts: &[Fraction], slots: usize) -> Self {
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
    fn fill(&self, curves: &mut ScoreCurves) -> Slots {
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
                let (contenders, curve) = (ScoredMember::all(group, slots), curves.curve(slots));
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

/// What a query draws positions of members from. Every table has a power of two of slots.
#[derive(Debug)]
pub(super) enum Slots {
    /// One slot names all members of an answer.
    Lookup(LookupTable),
    /// One slot for each member of an answer.
    Distinct(DistinctDraw),
    /// One slot names the first member, and all others follow.
    Rotated(RotatedOrder),
    /// Groups, one after the other.
    Chain(Box<[GroupSlots]>),
}

/// Slots that each name all members of an answer.
#[derive(Debug)]
pub(super) struct LookupTable {
    /// Slot-major, the first pick first.
    table: Box<[u16]>,
    picks: usize,
    /// The number of slots less one.
    mask: usize,
    /// How many slots, from the first on, make one cycle of turns: all of them, but where the rest
    /// only fills the table up to a power of two.
    cycle: usize,
}

impl LookupTable {
    fn of(table: Box<[u16]>, picks: usize) -> Self {
        let cycle = table.len() / picks;
        Self { table, picks, mask: cycle - 1, cycle }
    }

    /// Slots with one member each, of which turns come to those of the cycle only.
    fn of_cycle(cycle: &[u16]) -> Self {
        Self { cycle: cycle.len(), ..Self::of(padded_to_power_of_two(cycle), 1) }
    }

    /// The slots of the cycle, each of which has the same share of the answers.
    fn used(&self) -> &[u16] {
        &self.table[..self.cycle * self.picks]
    }
}

/// Distinct members of one group, each drawn by weight among those that are left.
#[derive(Debug)]
pub(super) struct DistinctDraw {
    /// The member of each slot.
    owners: Box<[u16]>,
    picks: usize,
    members: RemainingDraw,
}

/// What draws among the remaining members where the owner of a slot has been drawn before.
#[derive(Debug)]
enum RemainingDraw {
    /// By the weights of the remaining members.
    ByWeight(Box<[u32]>),
    /// By their scores for the slot; in order of preference where these are equal.
    ByScore(Box<[ScoredMember]>, ScoreCurve),
}

impl RemainingDraw {
    fn count(&self) -> usize {
        match self {
            Self::ByWeight(weights) => weights.len(),
            Self::ByScore(contenders, _) => contenders.len(),
        }
    }

    /// The weight of each member, by position in the group.
    fn weights(&self) -> Vec<f64> {
        match self {
            Self::ByWeight(weights) => weights.iter().map(|&weight| f64::from(weight)).collect(),
            Self::ByScore(contenders, _) => {
                let mut weights = vec![0.0; contenders.len()];
                contenders.iter().for_each(|one| {
                    weights[usize::from(one.member)] = (1.0 / one.inverse_weight).round()
                });
                weights
            }
        }
    }
}

/// All members of one group in the order written, from a drawn one on; after the last comes the
/// first.
#[derive(Debug)]
pub(super) struct RotatedOrder {
    /// The first member for each slot.
    owners: Box<[u16]>,
    /// How many slots make one cycle of turns.
    cycle: usize,
    members: usize,
}

/// Slots of one group, or of several with one member each.
#[derive(Debug)]
pub(super) struct GroupSlots {
    /// The position of the group's first member.
    first: u16,
    slots: Slots,
}

impl Slots {
    /// Slots that nothing is drawn from.
    pub(super) fn undrawn() -> Self {
        Self::Lookup(LookupTable::of(Box::new([0]), 1))
    }

    /// How many members an answer has.
    pub(super) fn picks(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.picks,
            Self::Distinct(distinct) => distinct.picks,
            Self::Rotated(round) => round.members,
            Self::Chain(links) => links.iter().map(|link| link.slots.picks()).sum(),
        }
    }

    /// The number of slots; of several groups, that of the group with most.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Lookup(lookup) => lookup.cycle,
            Self::Distinct(distinct) => distinct.owners.len(),
            Self::Rotated(round) => round.cycle,
            Self::Chain(links) => links.iter().map(|link| link.slots.count()).max().unwrap_or(1),
        }
    }

    /// The number of turns after which they begin again; 0 where they go on and on.
    pub(super) fn cycle(&self) -> u32 {
        match self {
            Self::Lookup(LookupTable { cycle, .. }) | Self::Rotated(RotatedOrder { cycle, .. }) => {
                *cycle as u32
            }
            Self::Distinct(_) | Self::Chain(_) => 0,
        }
    }

    /// Of each of so many members, whether any answer holds it.
    pub(super) fn used_members(&self, members: usize) -> Vec<bool> {
        let mut named = vec![false; members];
        self.for_each_member(0, &mut |member| named[member] = true);
        named
    }

    fn for_each_member(&self, first: usize, note: &mut impl FnMut(usize)) {
        match self {
            Self::Lookup(lookup) => {
                lookup.table.iter().for_each(|&member| note(first + usize::from(member)))
            }
            Self::Distinct(distinct) => {
                (0..distinct.members.count()).for_each(|member| note(first + member))
            }
            Self::Rotated(round) => (0..round.members).for_each(|member| note(first + member)),
            Self::Chain(links) => {
                links.iter().for_each(|link| {
                    link.slots.for_each_member(first + usize::from(link.first), note)
                });
            }
        }
    }

    /// Of each of so many members, the share of the answers that hold it, from 0 to 1.
    pub(super) fn shares(&self, members: usize) -> Vec<f64> {
        let mut shares = vec![0.0; members];
        self.add_shares(&mut shares);
        shares
    }

    fn add_shares(&self, shares: &mut [f64]) {
        match self {
            Self::Lookup(lookup) => {
                let one = 1.0 / lookup.cycle as f64;
                lookup.used().iter().for_each(|&member| shares[usize::from(member)] += one);
            }
            Self::Distinct(distinct) => {
                let found = inclusion::shares(distinct.members.weights(), distinct.picks);
                shares.iter_mut().zip(found).for_each(|(share, found)| *share += found);
            }
            Self::Rotated(round) => {
                shares.iter_mut().take(round.members).for_each(|share| *share += 1.0)
            }
            Self::Chain(links) => links
                .iter()
                .for_each(|link| link.slots.add_shares(&mut shares[link.first.into()..])),
        }
    }
}

/// A cycle of slots repeated up to a power of two.
fn padded_to_power_of_two(cycle: &[u16]) -> Box<[u16]> {
    cycle.iter().copied().cycle().take(cycle.len().next_power_of_two()).collect()
}

/// Whether every member takes all that comes to it.
fn all_whole(groups: &[Vec<WeightedMember>]) -> bool {
    groups.iter().flatten().all(|stake| stake.fraction.is_full())
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
