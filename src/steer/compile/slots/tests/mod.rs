//! Properties of slots and draws: shares, independence, minimal movement, memory.

mod fractions;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use proptest::prelude::*;

use super::{
    rendezvous::{LowestScores, scored_members},
    *,
};
use super::{
    table_spec::{FRACTION_SLOTS, MAX_FRACTION_ENTRIES, SMALL_POOL_SLOTS},
    weighted_member::MAX_SLOTS,
};
use crate::steer::{
    chart::{DrawSeed, DrawState, Permutation, ScoreCurves, Slots, drawn_shares, mix},
    model::Fraction,
};

const STEADY: FillMethod = FillMethod::Steady { slots: SMALL_POOL_SLOTS };

fn group(weights: &[u32]) -> Vec<WeightedMember> {
    let member = |(index, &weight): (usize, &u32)| WeightedMember {
        id: mix(1000 + index as u64),
        weight,
        fraction: Fraction::FULL,
    };
    weights.iter().enumerate().map(member).collect()
}

/// Members with the same weights and other names.
fn renamed(weights: &[u32], name: u64) -> Vec<WeightedMember> {
    group(weights)
        .into_iter()
        .map(|member| WeightedMember { id: mix(member.id ^ name), ..member })
        .collect()
}

fn filled(groups: &[Vec<WeightedMember>], picks: Picks, filling: FillMethod) -> Slots {
    TableSpec::new(groups.to_vec(), picks, filling).fill(&mut ScoreCurves::default())
}

fn one(group: &[WeightedMember], filling: FillMethod) -> Slots {
    filled(&[group.to_vec()], Picks::Count(1), filling)
}

/// The table of a single lookup.
fn table(slots: &Slots) -> &[u16] {
    match slots {
        Slots::Lookup(lookup) => &lookup.table,
        _ => panic!("{slots:?} is not a single lookup"),
    }
}

fn drawn(slots: &Slots, seed: DrawSeed, draws: &mut DrawState) -> Vec<u16> {
    let mut members = Vec::new();
    slots.draw(seed, draws, &mut |member, _| members.push(member));
    members
}

/// The number of entries of all tables and lists.
fn entries(slots: &Slots) -> usize {
    match slots {
        Slots::Lookup(lookup) => lookup.table.len(),
        Slots::Distinct(distinct) => distinct.owners.len() + distinct.members.count(),
        Slots::Rotated(rotated) => rotated.owners.len(),
        Slots::Chain(links) => links.iter().map(|link| entries(&link.slots)).sum(),
    }
}

fn weight_shares(weights: &[u32]) -> Vec<f64> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    weights.iter().map(|&weight| f64::from(weight) / total).collect()
}

fn greatest_error(shares: &[f64], wanted: &[f64]) -> f64 {
    shares.iter().zip(wanted).map(|(share, wanted)| (share - wanted).abs()).fold(0.0, f64::max)
}

/// Successive sampling by its definition: members are drawn by weight, and again if they have been
/// drawn before.
struct NaiveSampler {
    cumulative: Vec<u64>,
    random: fastrand::Rng,
}

impl NaiveSampler {
    fn new(weights: &[u32]) -> Self {
        let mut sum = 0;
        let cumulative = weights.iter().map(|&weight| {
            sum += u64::from(weight);
            sum
        });
        Self { cumulative: cumulative.collect(), random: fastrand::Rng::with_seed(5) }
    }

    fn draw(&mut self, picks: usize) -> Vec<u16> {
        let mut members = Vec::new();
        while members.len() < picks {
            let number = self.random.u64(0..*self.cumulative.last().unwrap());
            let member = self.cumulative.partition_point(|&sum| sum <= number) as u16;
            if !members.contains(&member) {
                members.push(member);
            }
        }
        members
    }
}

/// The difference of two samples of one size that should have the same distribution: the chi-square
/// statistic in standard deviations above its mean.
fn distance<K: std::hash::Hash + Eq>(samples: [&HashMap<K, u32>; 2]) -> f64 {
    let [a, b] = samples;
    let keys: std::collections::HashSet<&K> = a.keys().chain(b.keys()).collect();
    let count =
        |sample: &HashMap<K, u32>, key: &K| f64::from(sample.get(key).copied().unwrap_or(0));
    let term = |key: &&K| (count(a, key) - count(b, key)).powi(2) / (count(a, key) + count(b, key));
    let freedom = keys.len() as f64 - 1.0;
    (keys.iter().map(term).sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

/// For each two positions of an answer: how often each pair of classes occurred there.
#[derive(Default)]
struct PairCounts(HashMap<(usize, usize), HashMap<(u16, u16), u32>>);

impl PairCounts {
    fn note(&mut self, answer: &[u16], class: impl Fn(u16) -> u16) {
        for (a, first) in answer.iter().enumerate() {
            for (b, second) in answer.iter().enumerate().skip(a + 1) {
                *self
                    .0
                    .entry((a, b))
                    .or_default()
                    .entry((class(*first), class(*second)))
                    .or_default() += 1;
            }
        }
    }

    fn assert_equal(&self, other: &Self) {
        assert_eq!(self.0.len(), other.0.len());
        for (positions, pairs) in &self.0 {
            let distance = distance([pairs, &other.0[positions]]);
            assert!(
                distance < 5.0,
                "positions {positions:?} of an answer: {distance} standard deviations off"
            );
        }
    }
}

#[test]
fn a_single_member_needs_one_slot_and_three_to_one_needs_four() {
    assert_eq!(table(&one(&group(&[7]), FillMethod::Exact)).len(), 1);
    let slots = one(&group(&[3, 1]), FillMethod::Exact);
    assert_eq!(table(&slots).len(), 4);
    assert_eq!(table(&slots).iter().filter(|&&member| member == 0).count(), 3);
}

#[test]
fn turns_spread_each_member_evenly_over_the_cycle() {
    assert_eq!(table(&one(&group(&[1, 1]), FillMethod::Exact)), &[0, 1]);
    let slots = one(&group(&[2, 1, 1]), FillMethod::Exact);
    assert_eq!(table(&slots).len(), 4);
    assert_ne!(table(&slots)[0], table(&slots)[1]);
}

#[test]
fn ranked_members_are_picked_in_order_from_one_slot() {
    let groups: Vec<_> = (0..4)
        .map(|at| vec![WeightedMember { id: at, weight: 1, fraction: Fraction::FULL }])
        .collect();
    for filling in [FillMethod::Exact, STEADY] {
        assert_eq!(table(&filled(&groups, Picks::Count(2), filling)), &[0, 1]);
        assert_eq!(table(&filled(&groups, Picks::All, filling)), &[0, 1, 2, 3]);
    }
}

#[test]
fn two_of_four_equal_members_each_appear_in_half_of_the_answers() {
    let slots = filled(&[group(&[1, 1, 1, 1])], Picks::Count(2), FillMethod::Exact);
    assert!(slots.shares(4).iter().all(|share| (share - 0.5).abs() < 0.002));
    assert!(table(&slots).chunks(2).all(|slot| slot[0] != slot[1]));
}

#[test]
fn members_of_an_earlier_group_come_before_all_of_a_later_one() {
    let groups = [group(&[3, 1, 1, 1, 1, 1, 1, 2]), group(&[1]), group(&[1]), group(&[1])];
    for (filling, seed) in [
        (FillMethod::Exact, DrawSeed::Random),
        (STEADY, DrawSeed::Client(0)),
        (FillMethod::Exact, DrawSeed::Turn(0)),
    ] {
        for picks in [Picks::Count(10), Picks::All] {
            let slots = filled(&groups, picks, filling);
            let mut draws = DrawState::new(1);
            for number in 0..500_u32 {
                let seed = match seed {
                    DrawSeed::Client(_) => DrawSeed::Client(mix(number.into())),
                    DrawSeed::Turn(_) => DrawSeed::Turn(number),
                    DrawSeed::Random => seed,
                };
                let answer = drawn(&slots, seed, &mut draws);
                assert_eq!(
                    answer.iter().take(8).copied().collect::<BTreeSet<_>>(),
                    (0..8).collect()
                );
                assert_eq!(answer[8..], [8, 9, 10][..slots.picks() - 8], "{filling:?}");
            }
            assert!(
                slots
                    .used_members(11)
                    .iter()
                    .zip(0..)
                    .all(|(&is_named, at)| is_named == (at < slots.picks()))
            );
        }
    }
}

#[test]
fn all_members_are_answered_in_order_starting_with_a_drawn_one() {
    for filling in [FillMethod::Exact, STEADY] {
        let weights = [5, 1, 1, 1];
        let slots = filled(&[group(&weights)], Picks::All, filling);
        let mut first = [0.0; 4];
        for number in 0..20_000 {
            let seed = if filling == STEADY {
                DrawSeed::Client(mix(number))
            } else {
                DrawSeed::Turn(number as u32)
            };
            let answer = drawn(&slots, seed, &mut DrawState::new(1));
            let rotated: Vec<u16> = (0..4).map(|offset| (answer[0] + offset) % 4).collect();
            assert_eq!(answer, rotated);
            first[usize::from(answer[0])] += 1.0 / 20_000.0;
        }
        assert!(greatest_error(&first, &weight_shares(&weights)) < 0.012, "{filling:?}: {first:?}");
        assert_eq!(slots.shares(4), [1.0; 4]);
    }
}

#[test]
fn the_memory_of_tables_with_thousands_of_members_is_linear_in_the_members() {
    let all: Vec<u32> = (0..5_000).map(|at| at % 3 + 1).collect();
    for filling in [FillMethod::Exact, FillMethod::Steady { slots: steady_slots(all.len()) }] {
        for picks in [Picks::All, Picks::Count(5), Picks::Count(4_999), Picks::Count(5_000)] {
            let slots = filled(&[group(&all)], picks, filling);
            assert!(
                entries(&slots) <= 65_536 + 5_000,
                "{picks:?}, {filling:?}: {}",
                entries(&slots)
            );
        }
    }
    let ramped: Vec<_> = group(&all)
        .into_iter()
        .map(|member| vec![WeightedMember { fraction: Fraction::from_share(0.5), ..member }])
        .collect();
    assert!(entries(&filled(&ramped, Picks::All, STEADY)) <= 2 * MAX_FRACTION_ENTRIES);
}

#[test]
fn a_pool_may_have_65_535_members() {
    let all = group(&vec![1; 65_535]);
    for picks in [1, 3] {
        let slots = filled(std::slice::from_ref(&all), Picks::Count(picks), FillMethod::Exact);
        assert!(slots.used_members(65_535).iter().all(|is_named| *is_named));
    }
    let slots = filled(&[all], Picks::All, FillMethod::Exact);
    let answer = drawn(&slots, DrawSeed::Turn(65_534), &mut DrawState::new(1));
    assert_eq!(answer.iter().copied().collect::<BTreeSet<_>>().len(), 65_535);
}

#[test]
fn turns_of_several_members_are_exact_over_a_cycle() {
    let slots = filled(&[group(&[1; 40])], Picks::Count(3), FillMethod::Exact);
    let mut draws = DrawState::new(1);
    let (mut first, mut held) = ([0_usize; 40], [0_usize; 40]);
    for turn in 0..slots.count() as u32 {
        let answer = drawn(&slots, DrawSeed::Turn(turn), &mut draws);
        assert_eq!(answer.iter().collect::<BTreeSet<_>>().len(), 3);
        first[usize::from(answer[0])] += 1;
        answer.iter().for_each(|&member| held[usize::from(member)] += 1);
    }
    let quota = slots.count() / 40;
    assert!(first.iter().all(|&count| (quota..=quota + 1).contains(&count)), "{first:?}");
    assert!(held.iter().zip(first).all(|(&held, first)| held.abs_diff(first * 3) <= 3), "{held:?}");
}

#[test]
fn three_of_forty_are_drawn_by_weight_in_every_pair_of_positions() {
    let weights: Vec<u32> = (0..40).map(|at| [1, 2, 3, 10][at % 4]).collect();
    let (mut naive_pairs, mut by_query, mut by_client) =
        (PairCounts::default(), PairCounts::default(), PairCounts::default());
    let mut naive = NaiveSampler::new(&weights);
    let mut draws = DrawState::new(3);
    let query = filled(&[group(&weights)], Picks::Count(3), FillMethod::Exact);
    // Each table has errors within one percent, so that the sample has many tables.
    for name in 0..150 {
        let client = filled(&[renamed(&weights, name)], Picks::Count(3), STEADY);
        for number in 0..1_500 {
            naive_pairs.note(&naive.draw(3), |member| member);
            by_query.note(&drawn(&query, DrawSeed::Random, &mut draws), |member| member);
            by_client.note(
                &drawn(&client, DrawSeed::Client(mix(name << 32 | number)), &mut draws),
                |member| member,
            );
        }
    }
    naive_pairs.assert_equal(&by_query);
    naive_pairs.assert_equal(&by_client);
}

#[test]
fn members_beside_one_with_nearly_all_weight_are_drawn_by_their_weights() {
    let weights: Vec<u32> = (0..40).map(|at| if at == 7 { 60_000 } else { at % 3 + 1 }).collect();
    let (mut naive_pairs, mut by_query, mut by_client) =
        (PairCounts::default(), PairCounts::default(), PairCounts::default());
    let mut naive = NaiveSampler::new(&weights);
    let mut draws = DrawState::new(3);
    let query = filled(&[group(&weights)], Picks::Count(3), FillMethod::Exact);
    for name in 0..20 {
        let client = filled(&[renamed(&weights, name)], Picks::Count(3), STEADY);
        for number in 0..500 {
            naive_pairs.note(&naive.draw(3), |member| member);
            by_query.note(&drawn(&query, DrawSeed::Random, &mut draws), |member| member);
            by_client.note(
                &drawn(&client, DrawSeed::Client(mix(name << 32 | number)), &mut draws),
                |member| member,
            );
        }
    }
    naive_pairs.assert_equal(&by_query);
    naive_pairs.assert_equal(&by_client);
}

#[test]
fn five_of_a_thousand_are_drawn_by_weight_in_every_pair_of_positions() {
    let weights: Vec<u32> = (0..1_000).map(|at| [1, 2, 3, 100][at % 4]).collect();
    let (mut naive_pairs, mut by_query, mut by_client) =
        (PairCounts::default(), PairCounts::default(), PairCounts::default());
    let mut naive = NaiveSampler::new(&weights);
    let mut draws = DrawState::new(3);
    let class = |member| member % 24;
    let query = filled(&[group(&weights)], Picks::Count(5), FillMethod::Exact);
    for name in 0..30 {
        let client = filled(
            &[renamed(&weights, name)],
            Picks::Count(5),
            FillMethod::Steady { slots: steady_slots(1_000) },
        );
        for number in 0..2_000 {
            naive_pairs.note(&naive.draw(5), class);
            by_query.note(&drawn(&query, DrawSeed::Random, &mut draws), class);
            by_client.note(
                &drawn(&client, DrawSeed::Client(mix(name << 32 | number)), &mut draws),
                class,
            );
        }
    }
    naive_pairs.assert_equal(&by_query);
    naive_pairs.assert_equal(&by_client);
}

#[test]
fn members_with_similar_names_have_independent_ranks() {
    const BINS: usize = 16;
    for slots in [FRACTION_SLOTS, SMALL_POOL_SLOTS, MAX_SLOTS] {
        let bits = slots.ilog2() - 4;
        let mut random = fastrand::Rng::with_seed(11);
        let (mut sum, mut greatest, pairs) = (0.0, 0.0_f64, 192);
        for pair in 0..pairs {
            let seed = random.u64(..);
            let other = if pair < 64 { seed ^ 1 << pair } else { random.u64(..) };
            let members = [seed, other].map(|seed| Permutation::new(seed, slots));
            let mut cells = [0_u32; BINS * BINS];
            for slot in 0..slots {
                let [a, b] = members.map(|member| usize::from(member.rank(slot as u16) >> bits));
                cells[a * BINS + b] += 1;
            }
            let expected = slots as f64 / (BINS * BINS) as f64;
            let statistic: f64 =
                cells.iter().map(|&cell| (f64::from(cell) - expected).powi(2) / expected).sum();
            // The sums of rows and columns are fixed: a permutation has each rank once.
            let freedom = ((BINS - 1) * (BINS - 1)) as f64;
            let deviations = (statistic - freedom) / (2.0 * freedom).sqrt();
            (sum, greatest) = (sum + deviations, greatest.max(deviations.abs()));
        }
        let mean = sum / f64::from(pairs).sqrt();
        assert!(
            greatest < 6.0 && mean.abs() < 5.0,
            "{slots} slots: at most {greatest}, together {mean}"
        );
    }
}

#[test]
fn scores_are_the_quantiles_of_the_exponential_distribution() {
    for slots in [FRACTION_SLOTS, SMALL_POOL_SLOTS, MAX_SLOTS] {
        let curve = ScoreCurves::default().curve(slots);
        for (rank, score) in curve.iter().enumerate() {
            let wanted = -(-(rank as f64 + 0.5) / slots as f64).ln_1p();
            assert!((score / wanted - 1.0).abs() < 1e-13, "{rank}: {score}, not {wanted}");
        }
        assert!(curve.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn equal_members_share_a_table_whatever_the_scale_of_their_weights() {
    let mut tables = SlotTableCache::default();
    let mut table_of = |weights: &[u32], picks, filling| {
        tables.table(TableSpec::new(vec![group(weights)], picks, filling))
    };
    for filling in [FillMethod::Exact, STEADY] {
        for picks in [Picks::Count(1), Picks::Count(2), Picks::All] {
            assert!(Arc::ptr_eq(
                &table_of(&[1, 2, 3], picks, filling),
                &table_of(&[1024, 2048, 3072], picks, filling)
            ));
            assert!(!Arc::ptr_eq(
                &table_of(&[1, 2, 3], picks, filling),
                &table_of(&[1, 2, 4], picks, filling)
            ));
        }
    }
}

#[test]
fn exact_slots_do_not_depend_on_names_nor_steady_slots_on_the_order_written() {
    let weights = [3, 1, 2];
    assert_eq!(
        table(&one(&group(&weights), FillMethod::Exact)),
        table(&one(&renamed(&weights, 7), FillMethod::Exact))
    );
    let written = group(&weights);
    let reversed: Vec<WeightedMember> = written.iter().rev().copied().collect();
    let names = |slots: &Slots, group: &[WeightedMember]| -> Vec<u64> {
        table(slots).iter().map(|&member| group[usize::from(member)].id).collect()
    };
    assert_eq!(names(&one(&written, STEADY), &written), names(&one(&reversed, STEADY), &reversed));
}

#[test]
fn a_fraction_gets_exactly_its_share_of_the_slots_and_a_lesser_one_a_subset() {
    let accepted = |fraction: f64| -> BTreeSet<usize> {
        let first = WeightedMember { fraction: Fraction::from_share(fraction), ..group(&[1])[0] };
        let second = renamed(&[1], 1);
        let slots = filled(&[vec![first], second], Picks::Count(1), STEADY);
        (0..table(&slots).len()).filter(|&slot| table(&slots)[slot] == 0).collect()
    };
    let mut before = BTreeSet::new();
    for fraction in [0.0, 0.125, 0.25, 0.5, 0.75] {
        let now = accepted(fraction);
        assert_eq!(now.len(), (fraction * SMALL_POOL_SLOTS as f64) as usize);
        assert!(now.is_superset(&before));
        before = now;
    }
}

#[test]
fn clients_that_one_of_two_tied_members_does_not_accept_go_to_the_other() {
    let mut tied = group(&[1, 1]);
    tied[0].fraction = Fraction::from_share(0.5);
    let slots = filled(&[tied, renamed(&[1], 1)], Picks::Count(1), STEADY);
    // It accepts half of the slots, and of these the other member wins half.
    assert!(greatest_error(&slots.shares(3), &[0.25, 0.75, 0.0]) < 0.01, "{:?}", slots.shares(3));
}

/// The names of the members drawn for each of many clients.
fn answers(group: &[WeightedMember], picks: usize) -> Vec<Vec<u64>> {
    let slots = filled(&[group.to_vec()], Picks::Count(picks), STEADY);
    let answer = |client| {
        let members = drawn(&slots, DrawSeed::Client(mix(client)), &mut DrawState::new(1));
        members.iter().map(|&member| group[usize::from(member)].id).collect()
    };
    (0..1_000).map(answer).collect()
}

/// The members of `wanted` that `from` does not have.
fn missing(from: &[u64], wanted: &[u64]) -> Vec<u64> {
    wanted.iter().copied().filter(|member| !from.contains(member)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn exact_shares_are_the_weights(weights in prop::collection::vec(1_u32..=65535, 1..40)) {
        let slots = one(&group(&weights), FillMethod::Exact);
        prop_assert!(table(&slots).len().is_power_of_two() && table(&slots).len() <= MAX_SLOTS);
        prop_assert!(greatest_error(&slots.shares(weights.len()), &weight_shares(&weights)) < 0.001);
    }

    #[test]
    fn steady_shares_hold_to_one_percent(
        weights in prop_oneof![
            prop::collection::vec(1_u32..=100, 2..8),
            prop::collection::vec(1_u32..=65_535, 2..60),
            // Half of the slots against many small members: the worst case.
            (20..300_usize).prop_map(|others| [vec![others as u32], vec![1; others]].concat()),
        ],
        name: u64,
    ) {
        let slots = one(&renamed(&weights, name), STEADY);
        let error = greatest_error(&slots.shares(weights.len()), &weight_shares(&weights));
        prop_assert!(error < 0.01, "{error}");
    }

    #[test]
    fn scoring_by_rank_finds_the_least_score_of_each_slot(
        weights in prop_oneof![
            prop::collection::vec(1_u32..=4, 2..200),
            prop::collection::vec(1_u32..=67_000_000, 2..60),
        ],
        name: u64,
    ) {
        let curve = ScoreCurves::default().curve(FRACTION_SLOTS);
        let contenders = scored_members(&renamed(&weights, name), FRACTION_SLOTS);
        let mut by_rank = LowestScores::new(&contenders, &curve);
        by_rank.score_by_rank();
        by_rank.score_open_slots();
        let mut by_weight = LowestScores::new(&contenders, &curve);
        contenders.chunk_by(|a, b| a.inverse_weight == b.inverse_weight).fold(0, |first, class| {
            let end = first + class.len() as u16;
            by_weight.score_weight_class(&(first..end).collect::<Vec<_>>());
            end
        });
        for (slot, (by_rank, by_weight)) in by_rank.least.iter().zip(&by_weight.least).enumerate() {
            let scores = contenders.iter().zip(0..).map(|(member, at)| member.score(slot as u16, at, &curve));
            let least = scores.min().unwrap();
            prop_assert_eq!((*by_rank, *by_weight), (least, least), "slot {}", slot);
        }
    }

    #[test]
    fn each_slot_has_a_different_rank_and_the_inverse_finds_the_slot(seed: u64) {
        for slots in [FRACTION_SLOTS, SMALL_POOL_SLOTS, MAX_SLOTS] {
            let permutation = Permutation::new(seed, slots);
            let inverse = permutation.inverse();
            for slot in (0..slots).map(|slot| slot as u16) {
                prop_assert!(usize::from(permutation.rank(slot)) < slots);
                prop_assert_eq!(inverse.slot(permutation.rank(slot)), slot);
            }
        }
    }

    #[test]
    fn integrated_shares_are_those_of_all_orders_enumerated(
        weights in prop::collection::vec(1_u32..=100, 5..8),
        picks in 1_usize..4,
    ) {
        let counted = filled(&[group(&weights)], Picks::Count(picks), FillMethod::Exact);
        prop_assert!(matches!(counted, Slots::Lookup(_)));
        let integrated = drawn_shares(weights.iter().map(|&weight| f64::from(weight)).collect(), picks);
        prop_assert!(greatest_error(&counted.shares(weights.len()), &integrated) < 1e-3, "{:?}", integrated);
    }

    #[test]
    fn a_member_that_is_added_or_removed_moves_only_the_clients_that_have_it(
        weights in prop::collection::vec(1_u32..=20, 5..40),
        gone: prop::sample::Index,
        picks in 1_usize..5,
    ) {
        let all = group(&weights);
        let gone = all[gone.index(all.len())].id;
        let rest: Vec<WeightedMember> = all.iter().copied().filter(|member| member.id != gone).collect();
        for (before, now) in answers(&all, picks).iter().zip(&answers(&rest, picks)) {
            if !before.contains(&gone) {
                prop_assert_eq!(before, now);
                continue;
            }
            // One other member replaces the removed one; all others keep their positions.
            prop_assert_eq!(missing(now, before), vec![gone]);
            let new = missing(before, now);
            prop_assert_eq!(new.len(), 1);
            let position = before.iter().position(|member| *member == gone).unwrap();
            prop_assert_eq!(&before[..position], &now[..position]);
            let moved = before.iter().zip(now).filter(|(before, now)| before != now).count();
            let substitute = now[position];
            prop_assert!(moved == 1 && substitute == new[0] || moved > 1 && before.contains(&substitute));
        }
    }

    #[test]
    fn a_changed_weight_moves_only_clients_that_come_to_the_member_or_leave_it(
        weights in prop::collection::vec(1_u32..=20, 5..40),
        changed: prop::sample::Index,
        weight in 1_u32..=40,
        picks in 1_usize..5,
    ) {
        let before = group(&weights);
        let mut after = before.clone();
        let changed = changed.index(before.len());
        after[changed].weight = weight;
        let changed = before[changed].id;
        for (before, now) in answers(&before, picks).iter().zip(&answers(&after, picks)) {
            if !before.contains(&changed) && !now.contains(&changed) {
                prop_assert_eq!(before, now);
            }
            prop_assert!(missing(now, before).len() <= 1);
        }
    }
}
