//! Slots: who gets how many, and in which order. The control side of the wheel.
//!
//! Members come in *groups*: those of an earlier group are always picked before those of a later one, and within a group
//! the order is drawn by weight. `weighted` is one group; `failover` is a group per member; `nearest` with a tie is one
//! group for the tied and one for each that follows.
//!
//! Exact shares and least movement pull against each other. `query` and `turn` need exact shares: slots are quotas by
//! largest remainder. `client` needs least movement: each slot goes to its members by weighted rendezvous (each member's
//! score depends on nothing but the slot, the member and its weight), so that a change moves only the slots it must.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::part::Part;

/// The slots of a wheel whose ranked members take but parts, where those cannot be counted out.
const PART_SLOTS: usize = 1 << 14;
/// The most slots a wheel has (Maglev, NSDI 2016, finds 65537 enough for 1 % balance; a power of two spares the division).
const MAX_SLOTS: usize = 1 << 16;
/// The fewest slots of a rendezvous-filled wheel.
const MIN_RENDEZVOUS_SLOTS: usize = 1 << 14;
/// The most orders of members that are counted out one by one; beyond, slots draw their orders by rendezvous.
const MAX_SEQUENCES: usize = 512;
/// The greatest error of quotas against weights, as the chi-square statistic of one query: a tenth of a unit over 100,000.
const QUOTA_ERROR: f64 = 1e-6;
/// The greatest absolute error of a rendezvous share, where more slots can still lower it.
const RENDEZVOUS_ERROR: f64 = 0.006;

/// A member as the slots see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stake {
    /// Stable over reloads, restarts and machines: a hash of the member's name.
    pub id: u64,
    /// Its share is this over the sum of its group; 0 only where the whole group is 0, which then shares alike.
    pub weight: u32,
    /// What it takes of the slots that come to it; the rest goes to the groups behind its own.
    pub part: Part,
}

/// A table of slots: `picks` positions of members a slot, the first pick first. The number of slots is a power of two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Slots {
    /// Slot-major.
    pub table: Box<[u16]>,
    /// Members a slot.
    pub picks: usize,
}

/// Fills slots with exact shares, interleaved so that slots taken in turn spread each member evenly.
/// `picks` is at most the number of members; there are at most 65535 of them.
pub(super) fn exact(groups: &[Vec<Stake>], picks: usize) -> Slots {
    if !takes_all(groups) {
        let shares = (picks == 1).then(|| ranked_shares(groups)).flatten();
        return shares.map_or_else(|| by_rendezvous(groups, picks, 0, PART_SLOTS), |shares| exact(&[shares], 1));
    }
    match sequences(groups, picks) {
        Some(sequences) => {
            let shares: Vec<f64> = sequences.iter().map(|(_, share)| *share).collect();
            let order = interleave(&quotas(&shares));
            let table = order.iter().flat_map(|&index| sequences[index as usize].0.iter().copied()).collect();
            Slots { table, picks }
        }
        None => by_rendezvous(groups, picks, 0, MAX_SLOTS),
    }
}

/// Fills slots with least movement. `configured` slots are those that the full membership asks for ([`steady_count`]),
/// whoever is usable now, so that health never changes their number.
pub(super) fn steady(groups: &[Vec<Stake>], picks: usize, salt: u64, configured: usize) -> Slots {
    if takes_all(groups) && groups.iter().take(picks).all(|group| group.len() == 1) {
        return Slots { table: (0..picks as u16).collect(), picks };
    }
    by_rendezvous(groups, picks, salt, configured)
}

/// Whether every member takes all that comes to it.
fn takes_all(groups: &[Vec<Stake>]) -> bool {
    groups.iter().flatten().all(|stake| stake.part.is_full())
}

/// Of members ranked one by one, each of which takes a part of what those before it left: one group of equal rank in which
/// they have the same shares. What nobody takes is the first one's. `None` where members share a rank.
fn ranked_shares(groups: &[Vec<Stake>]) -> Option<Vec<Stake>> {
    let ranked: Option<Vec<Stake>> =
        groups.iter().map(|group| if let [stake] = group[..] { Some(stake) } else { None }).collect();
    let mut left = 1.0;
    let mut shares: Vec<f64> = Vec::new();
    for stake in ranked.as_ref()? {
        shares.push(left * stake.part.share());
        left -= left * stake.part.share();
    }
    *shares.first_mut()? += left;
    let quotas = largest_remainder(&shares, Part::WHOLE as usize);
    let equals = ranked?.into_iter().zip(quotas);
    Some(equals.map(|(stake, weight)| Stake { weight, part: Part::FULL, ..stake }).collect())
}

/// The least number of slots at which every configured member's share holds to [`RENDEZVOUS_ERROR`].
pub(super) fn steady_count(configured: &[Stake], salt: u64) -> usize {
    let total: f64 = configured.iter().map(|stake| f64::from(stake.weight)).sum();
    let group = vec![configured.iter().copied().filter(|stake| stake.weight > 0).collect::<Vec<_>>()];
    let mut count = MIN_RENDEZVOUS_SLOTS;
    while count < MAX_SLOTS && group[0].len() > 1 {
        let slots = by_rendezvous(&group, 1, salt, count);
        let mut held = vec![0_u32; group[0].len()];
        slots.table.iter().for_each(|&member| held[usize::from(member)] += 1);
        let error =
            |(stake, held): (&Stake, &u32)| (f64::from(*held) / count as f64 - f64::from(stake.weight) / total).abs();
        if group[0].iter().zip(&held).map(error).fold(0.0, f64::max) <= RENDEZVOUS_ERROR {
            break;
        }
        count *= 2;
    }
    count
}

/// Each slot orders every group by weighted rendezvous (Efraimidis and Spirakis 2006: keys `-ln(u)/w` order a group as
/// drawing by weight without replacement would) and keeps the first `picks` of those that take it. A member that takes a part
/// takes the same slots whoever else there is, and of a greater part all of a lesser one: a ramp moves each slot once. Where
/// too few take a slot, the first of the others must.
fn by_rendezvous(groups: &[Vec<Stake>], picks: usize, salt: u64, count: usize) -> Slots {
    let all_take = takes_all(groups);
    if let (true, 1, [group]) = (all_take, picks, groups) {
        return Slots { table: owners(group, salt, count), picks };
    }
    let seed = |stake: &Stake| (seed(salt, stake.id), 1.0 / f64::from(stake.weight.max(1)), *stake);
    let seeded: Vec<Vec<_>> = groups.iter().map(|group| group.iter().map(seed).collect()).collect();
    let mut table = Vec::with_capacity(count * picks);
    let mut scored: Vec<(f64, u16)> = Vec::new();
    for slot in 0..count as u64 {
        let mut wanted = picks;
        for is_willing in [true, false] {
            let mut first = 0_u16;
            for group in &seeded {
                if wanted == 0 {
                    break;
                }
                scored.clear();
                for (at, (seed, inverse, stake)) in group.iter().enumerate() {
                    if all_take || takes(slot, *seed, stake.part) == is_willing {
                        scored.push((exponential(mix(seed, slot)) * inverse, first + at as u16));
                    }
                }
                let taken = wanted.min(scored.len());
                if taken == 1 {
                    table.extend(scored.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, member)| *member));
                } else {
                    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
                    table.extend(scored.iter().take(taken).map(|(_, member)| *member));
                }
                wanted -= taken;
                first += group.len() as u16;
            }
        }
    }
    Slots { table: table.into_boxed_slice(), picks }
}

/// The owner of each slot among members of one rank who all take all: the commonest case, without a list to sort.
fn owners(group: &[Stake], salt: u64, count: usize) -> Box<[u16]> {
    let mut owners = vec![0_u16; count];
    let mut least = vec![f64::INFINITY; count];
    for (stake, member) in group.iter().zip(0_u16..) {
        let (seed, inverse) = (seed(salt, stake.id), 1.0 / f64::from(stake.weight.max(1)));
        for (slot, (owner, least)) in owners.iter_mut().zip(&mut least).enumerate() {
            let score = exponential(mix(&seed, slot as u64)) * inverse;
            if score < *least {
                (*owner, *least) = (member, score);
            }
        }
    }
    owners.into_boxed_slice()
}

/// Where a member's numbers begin: the same on every machine and in every release.
fn seed(salt: u64, id: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(salt, id);
    hasher.write_u64(0);
    hasher.finish()
}

/// The member's number for a slot (SplitMix64, Steele, Lea and Flood 2014).
fn mix(seed: &u64, slot: u64) -> u64 {
    let mut z = seed.wrapping_add((slot + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Minus the binary logarithm of a number read as a fraction of 2^64: exponentially distributed. By a polynomial that is right
/// to 2e-5 (least squares over one octave), for two reasons: libraries' logarithms differ in the last digit, so that two
/// machines would fill different wheels, and this is most of what filling one costs.
fn exponential(number: u64) -> f64 {
    // Never 0, whose logarithm has no end.
    let number = number | 1;
    let octave = number.leading_zeros();
    let f = ((number << octave << 1) >> 12) as f64 / (1_u64 << 52) as f64;
    let log2 = f * (1.441_837 + f * (-0.708_390 + f * (0.413_615 + f * (-0.191_342 + f * 0.044_280))));
    f64::from(octave) + 1.0 - log2
}

/// Into (0, 1], by 53 bits.
fn uniform(number: u64) -> f64 {
    ((number >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// Whether a member that takes `part` takes this slot.
fn takes(slot: u64, seed: u64, part: Part) -> bool {
    part.is_full() || uniform(mix(&!seed, slot)) <= part.share()
}

/// Every order in which `picks` members can be drawn, with its probability; `None` when there are too many to count out.
fn sequences(groups: &[Vec<Stake>], picks: usize) -> Option<Vec<(Vec<u16>, f64)>> {
    let mut found = vec![(Vec::new(), 1.0)];
    let mut first = 0_u16;
    let mut wanted = picks;
    for group in groups {
        let last = first + group.len() as u16;
        for _ in 0..wanted.min(group.len()) {
            let mut longer = Vec::new();
            for (sequence, share) in &found {
                let open: Vec<u16> = (first..last).filter(|member| !sequence.contains(member)).collect();
                let weight = |member: u16| f64::from(group[usize::from(member - first)].weight);
                let total: f64 = open.iter().map(|&member| weight(member)).sum();
                let open_count = open.len() as f64;
                for member in open {
                    let odds = if total > 0.0 { weight(member) / total } else { 1.0 / open_count };
                    let mut next: Vec<u16> = sequence.clone();
                    next.push(member);
                    longer.push((next, share * odds));
                }
                if longer.len() > MAX_SEQUENCES.max(group.len()) {
                    return None;
                }
            }
            found = longer;
        }
        wanted -= wanted.min(group.len());
        first = last;
    }
    Some(found)
}

/// How many of the least sufficient power of two of slots each share gets, by largest remainder.
fn quotas(shares: &[f64]) -> Vec<u32> {
    let mut count = shares.len().next_power_of_two().min(MAX_SLOTS);
    if shares.len() == 1 {
        return vec![1];
    }
    loop {
        let quotas = largest_remainder(shares, count);
        let error = |(share, &quota): (&f64, &u32)| {
            let miss = f64::from(quota) / count as f64 - share;
            if *share > 0.0 { miss * miss / share } else { 0.0 }
        };
        if count == MAX_SLOTS || shares.iter().zip(&quotas).map(error).sum::<f64>() <= QUOTA_ERROR {
            return quotas;
        }
        count *= 2;
    }
}

fn largest_remainder(shares: &[f64], count: usize) -> Vec<u32> {
    let mut quotas: Vec<u32> = shares.iter().map(|share| (share * count as f64).floor() as u32).collect();
    let given: u32 = quotas.iter().sum();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    let remainder = |at: usize| (shares[at] * count as f64).fract();
    by_remainder.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(&b)));
    for &at in by_remainder.iter().cycle().take((count as u32).saturating_sub(given) as usize) {
        quotas[at] += 1;
    }
    quotas
}

/// `quotas[i]` times each `i`, every one spread evenly over the whole.
fn interleave(quotas: &[u32]) -> Vec<u32> {
    let mut places: Vec<(f64, u32)> = Vec::new();
    for (index, &quota) in quotas.iter().enumerate() {
        places.extend((0..quota).map(|turn| ((f64::from(turn) + 0.5) / f64::from(quota), index as u32)));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    places.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(weights: &[u32]) -> Vec<Stake> {
        weights
            .iter()
            .enumerate()
            .map(|(at, &weight)| Stake { id: 1000 + at as u64, weight, part: Part::FULL })
            .collect()
    }

    fn held(slots: &Slots, members: usize) -> Vec<f64> {
        let mut held = vec![0.0; members];
        for slot in slots.table.chunks(slots.picks) {
            held[usize::from(slot[0])] += slots.picks as f64 / slots.table.len() as f64;
        }
        held
    }

    #[test]
    fn a_single_member_needs_one_slot_and_three_to_one_needs_four() {
        assert_eq!(exact(&[group(&[7])], 1).table.len(), 1);
        let slots = exact(&[group(&[3, 1])], 1);
        assert_eq!(slots.table.len(), 4);
        assert_eq!(slots.table.iter().filter(|&&member| member == 0).count(), 3);
    }

    #[test]
    fn turns_spread_each_member_evenly_over_the_cycle() {
        let slots = exact(&[group(&[1, 1])], 1);
        assert_eq!(&slots.table[..], &[0, 1]);
        let slots = exact(&[group(&[2, 1, 1])], 1);
        assert_eq!(slots.table.len(), 4);
        assert_ne!(slots.table[0], slots.table[1]);
    }

    #[test]
    fn ranked_members_are_picked_in_order_from_one_slot() {
        let groups: Vec<_> = (0..4).map(|at| vec![Stake { id: at, weight: 1, part: Part::FULL }]).collect();
        assert_eq!(&exact(&groups, 2).table[..], &[0, 1]);
        assert_eq!(&steady(&groups, 2, 9, MIN_RENDEZVOUS_SLOTS).table[..], &[0, 1]);
    }

    #[test]
    fn two_of_four_equal_members_each_appear_in_half_of_the_answers() {
        let slots = exact(&[group(&[1, 1, 1, 1])], 2);
        let count = slots.table.len() / 2;
        for member in 0..4 {
            let seen = slots.table.iter().filter(|&&m| m == member).count();
            assert!((seen as f64 / count as f64 - 0.5).abs() < 0.002);
        }
        assert!(slots.table.chunks(2).all(|slot| slot[0] != slot[1]));
    }

    #[test]
    fn taking_one_of_ten_away_moves_only_its_own_slots() {
        let all = group(&[1; 10]);
        let full = steady(std::slice::from_ref(&all), 1, 5, steady_count(&all, 5));
        let less: Vec<Stake> = all.iter().copied().filter(|stake| stake.id != 1003).collect();
        let after = steady(std::slice::from_ref(&less), 1, 5, steady_count(&all, 5));
        assert_eq!(full.table.len(), after.table.len());
        let mut moved = 0;
        for (&before, &now) in full.table.iter().zip(&after.table) {
            if all[usize::from(before)].id == 1003 {
                moved += 1;
            } else {
                assert_eq!(all[usize::from(before)].id, less[usize::from(now)].id);
            }
        }
        assert!((moved as f64 / full.table.len() as f64) < 0.11);
    }

    #[test]
    fn the_logarithm_is_right_to_four_digits_everywhere() {
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..100_000_u32 {
            let number = random.u64(..) >> (round % 60);
            let wanted = -((number | 1) as f64 / 2.0_f64.powi(64)).log2();
            assert!((exponential(number) - wanted).abs() < 1e-4, "{number:#x}: {} {wanted}", exponential(number));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn exact_shares_are_the_weights(weights in prop::collection::vec(1_u32..=65535, 1..12)) {
            let slots = exact(&[group(&weights)], 1);
            prop_assert!(slots.table.len().is_power_of_two() && slots.table.len() <= MAX_SLOTS);
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            for (share, &weight) in held(&slots, weights.len()).iter().zip(&weights) {
                prop_assert!((share - f64::from(weight) / total).abs() < 0.001);
            }
        }

        #[test]
        fn steady_shares_hold_to_one_percent(weights in prop::collection::vec(1_u32..=100, 2..8), salt: u64) {
            let all = group(&weights);
            let slots = steady(std::slice::from_ref(&all), 1, salt, steady_count(&all, salt));
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            for (share, &weight) in held(&slots, weights.len()).iter().zip(&weights) {
                prop_assert!((share - f64::from(weight) / total).abs() < 0.01);
            }
        }
    }
}
