//! Fractions of shares, and cycles of turns.

use super::*;

/// Members of one group with these weights and fractions.
fn with_fractions(members: &[(u32, f64)]) -> Vec<WeightedMember> {
    let weights: Vec<u32> = members.iter().map(|(weight, _)| *weight).collect();
    let fractions = members.iter().map(|(_, share)| Fraction::from_share(*share));
    group(&weights)
        .into_iter()
        .zip(fractions)
        .map(|(member, fraction)| WeightedMember { fraction, ..member })
        .collect()
}

fn shares(members: &[(u32, f64)], filling: FillMethod) -> Vec<f64> {
    one(&with_fractions(members), filling).shares(members.len())
}

/// The shares by a naive model: each client is shared by weight among the members that accept it.
fn model(members: &[(u32, f64)]) -> Vec<f64> {
    const CLIENTS: usize = 20_000;
    let greatest = members.iter().map(|(_, fraction)| *fraction).fold(0.0, f64::max);
    let mut shares = vec![0.0; members.len()];
    for client in 0..CLIENTS {
        let position = (client as f64 + 0.5) / (CLIENTS as f64);
        let accepts = |(_, fraction): &(u32, f64)| position < fraction / greatest;
        let weight: f64 = members
            .iter()
            .filter(|member| accepts(member))
            .map(|(weight, _)| f64::from(*weight))
            .sum();
        let accepting = shares.iter_mut().zip(members).filter(|(_, member)| accepts(member));
        for (share, member) in accepting {
            *share += f64::from(member.0) / weight / CLIENTS as f64;
        }
    }
    shares
}

#[test]
fn a_member_that_sheds_a_fifth_loses_a_fifth_of_its_share_whatever_the_weights() {
    for weights in [[9, 1], [1, 1], [1, 9]] {
        let share = f64::from(weights[0]) / f64::from(weights[0] + weights[1]);
        let wanted = 0.8 * share;
        for (filling, error) in
            [(FillMethod::Exact, 0.0005), (FillMethod::Cycle, 0.0005), (STEADY, 0.01)]
        {
            let shares = shares(&[(weights[0], 0.8), (weights[1], 1.0)], filling);
            assert!((shares[0] - wanted).abs() < error, "{weights:?}, {filling:?}: {shares:?}");
        }
    }
}

#[test]
fn the_share_of_a_heavy_member_follows_its_ramp_evenly() {
    for second in (0..=20_u32).map(f64::from) {
        for (filling, error) in [(FillMethod::Exact, 0.001), (STEADY, 0.01)] {
            let shares = shares(&[(98, second / 20.0), (1, 1.0), (1, 1.0)], filling);
            let wanted = 0.98 * second / 20.0;
            assert!(
                (shares[0] - wanted).abs() < error,
                "after {second} s of 20, {filling:?}: {shares:?}"
            );
        }
    }
}

#[test]
fn clients_that_no_ranked_member_accepts_are_shared_in_proportion_to_the_accepted_ones() {
    for (fractions, wanted, why) in [
        (vec![0.5, 1.0], vec![0.5, 0.5], "the second accepts what the first leaves"),
        (vec![0.6, 0.8], vec![0.6 / 0.92, 0.32 / 0.92], "8 % are left"),
        (vec![0.5, 0.5], vec![2.0 / 3.0, 1.0 / 3.0], "a quarter is left"),
        (vec![0.2, 0.8, 0.4], vec![0.2 / 0.904, 0.64 / 0.904, 0.064 / 0.904], "9.6 % are left"),
        (vec![0.3], vec![1.0], "there is no other member"),
    ] {
        let groups: Vec<Vec<WeightedMember>> = fractions
            .iter()
            .zip(0..)
            .map(|(&fraction, name)| {
                vec![WeightedMember {
                    fraction: Fraction::from_share(fraction),
                    ..renamed(&[1], name)[0]
                }]
            })
            .collect();
        for filling in [FillMethod::Exact, FillMethod::Cycle, STEADY] {
            let shares = filled(&groups, Picks::Count(1), filling).shares(fractions.len());
            assert!(
                greatest_error(&shares, &wanted) < 0.005,
                "{fractions:?}, {filling:?}: {shares:?}: {why}"
            );
        }
    }
}

#[test]
fn clients_that_no_tied_member_accepts_go_to_the_next_group() {
    for (fractions, wanted, why) in [
        ([0.5, 1.0], [0.25, 0.75, 0.0], "the member that accepts all gets what the other leaves"),
        ([0.5, 0.5], [0.25, 0.25, 0.5], "half goes to the next group"),
        (
            [0.25, 0.5],
            [0.125, 0.375, 0.5],
            "half goes to the next group; of the other half the second accepts what the first leaves",
        ),
    ] {
        let tied = with_fractions(&[(1, fractions[0]), (1, fractions[1])]);
        let groups = [tied, renamed(&[1], 9)];
        for filling in [FillMethod::Exact, FillMethod::Cycle, STEADY] {
            let shares = filled(&groups, Picks::Count(1), filling).shares(3);
            assert!(
                greatest_error(&shares, &wanted) < 0.01,
                "{fractions:?}, {filling:?}: {shares:?}: {why}"
            );
        }
    }
}

#[test]
fn members_that_drain_or_start_together_move_each_slot_at_most_once() {
    let steps: Vec<f64> = (0..=20).map(|step| 1.0 - f64::from(step) / 20.0).collect();
    let tables = |fractions: fn(f64) -> [f64; 4]| -> Vec<Vec<u16>> {
        let table_at = |&step: &f64| {
            let [a, b, c, d] = fractions(step);
            table(&one(&with_fractions(&[(5, a), (2, b), (1, c), (3, d)]), STEADY)).to_vec()
        };
        steps.iter().map(table_at).collect()
    };
    let moves = |tables: &[Vec<u16>], slot: usize| {
        tables.windows(2).filter(|pair| pair[0][slot] != pair[1][slot]).count()
    };
    for (fractions, why) in [
        ((|step| [step, step, 1.0, 1.0]) as fn(f64) -> [f64; 4], "two drain"),
        (|step| [1.0 - step, 1.0 - step, 1.0, 1.0], "two start"),
        (|step| [step, 0.5, 1.0, 1.0], "one drains while another is held"),
        (|step| [1.0, 0.3, 0.6, step], "one drains while two are held"),
    ] {
        let tables = tables(fractions);
        assert!((0..SMALL_POOL_SLOTS).all(|slot| moves(&tables, slot) <= 1), "{why}");
    }
}

#[test]
fn a_changed_fraction_moves_only_slots_that_come_to_the_member_or_leave_it() {
    let (mut fractions, mut random) = ([1.0, 1.0, 1.0, 1.0, 1.0], fastrand::Rng::with_seed(3));
    let filled = |fractions: &[f64; 5]| {
        let weights = [5, 2, 1, 3, 9];
        let members: Vec<(u32, f64)> = weights.into_iter().zip(*fractions).collect();
        table(&one(&with_fractions(&members), STEADY)).to_vec()
    };
    let mut before = filled(&fractions);
    for _ in 0..60 {
        // The last member always accepts all, so that no fraction is divided by another.
        let changed = random.usize(0..4);
        fractions[changed] = random.f64();
        let now = filled(&fractions);
        let moved = before.iter().zip(&now).filter(|(before, now)| before != now);
        assert!(
            moved.clone().all(|(&a, &b)| [usize::from(a), usize::from(b)].contains(&changed)),
            "{fractions:?}"
        );
        before = now;
    }
}

#[test]
fn a_member_whose_fraction_is_nearly_zero_has_hardly_more_slots_than_a_removed_one() {
    let with = one(&with_fractions(&[(4, 1e-9), (2, 0.5), (3, 1.0)]), STEADY);
    let without = &with_fractions(&[(4, 1.0), (2, 0.5), (3, 1.0)])[1..];
    let without = table(&one(without, STEADY)).to_vec();
    let moved =
        table(&with).iter().zip(&without).filter(|&(&with, &without)| with != without + 1).count();
    assert!(moved <= SMALL_POOL_SLOTS / 1024, "{moved}");
}

#[test]
fn a_cycle_of_turns_is_even_and_as_long_as_the_sum_of_the_reduced_weights() {
    for (weights, length) in [
        (vec![70, 20, 10], 10),
        (vec![1, 2, 3, 4], 10),
        (vec![1, 1, 1], 3),
        (vec![5, 1, 1], 7),
        (vec![4000, 96], 128),
        (vec![4095, 1], 4096),
        // Beyond the limit, a power of two of slots is exact within a thousandth.
        (vec![65_535, 7, 1], 65_536),
    ] {
        let slots = one(&group(&weights), FillMethod::Cycle);
        assert_eq!(slots.count(), length, "{weights:?}");
        let (mut draws, cycle) = (DrawState::new(1), slots.cycle());
        draws.reserve_turns(1);
        let mut seen = Vec::new();
        for _ in 0..2 * length {
            let turn = draws.turn(0, cycle);
            seen.extend(drawn(&slots, DrawSeed::Turn(turn), &mut draws));
        }
        assert_eq!(seen[..length], seen[length..], "{weights:?}");
        let total: u32 = weights.iter().sum();
        for (member, &weight) in (0_u16..).zip(&weights) {
            let count = seen[..length].iter().filter(|&&turn| turn == member).count();
            if length < MAX_SLOTS {
                assert_eq!(
                    count as u64 * u64::from(total),
                    u64::from(weight) * length as u64,
                    "{weights:?}"
                );
            }
            // Between two turns of a member there are at most twice as many turns as on average.
            let turns: Vec<usize> = (0..seen.len()).filter(|&turn| seen[turn] == member).collect();
            let widest = turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            let even = f64::from(total) / f64::from(weight);
            assert!(
                widest as f64 <= 2.0 * even + 1.0,
                "{weights:?}: {widest} turns between two of member {member}"
            );
        }
    }
}

#[test]
fn a_counter_beyond_a_shorter_cycle_begins_again() {
    let mut draws = DrawState::new(1);
    draws.reserve_turns(1);
    let turns = |draws: &mut DrawState, cycle, count| -> Vec<u32> {
        (0..count).map(|_| draws.turn(0, cycle)).collect()
    };
    assert_eq!(turns(&mut draws, 10, 9), (0..9).collect::<Vec<_>>());
    assert_eq!(turns(&mut draws, 3, 5), [0, 1, 2, 0, 1]);
    assert_eq!(turns(&mut draws, 0, 3), [2, 3, 4]);
}

#[test]
fn answers_with_all_members_in_turn_begin_with_each_as_often_as_its_weight_demands() {
    let slots = filled(&[group(&[3, 2, 1])], Picks::All, FillMethod::Cycle);
    let mut draws = DrawState::new(1);
    let first: Vec<u16> =
        (0..slots.cycle()).map(|turn| drawn(&slots, DrawSeed::Turn(turn), &mut draws)[0]).collect();
    assert_eq!(
        [0, 1, 2].map(|member| first.iter().filter(|&&turn| turn == member).count()),
        [3, 2, 1]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn shares_are_those_of_a_model_that_shares_each_client_among_accepting_members(
        members in prop::collection::vec((1_u32..=100, prop_oneof![Just(1.0), 0.01..1.0_f64, Just(0.5)]), 2..12),
    ) {
        let wanted = model(&members);
        let exact = shares(&members, FillMethod::Exact);
        prop_assert!(greatest_error(&exact, &wanted) < 0.002, "{:?}, not {:?}", exact, wanted);
        let turns = shares(&members, FillMethod::Cycle);
        prop_assert!(greatest_error(&turns, &wanted) < 0.002, "{:?}, not {:?}", turns, wanted);
        let steady = shares(&members, STEADY);
        prop_assert!(greatest_error(&steady, &wanted) < 0.012, "{:?}, not {:?}", steady, wanted);
    }

    #[test]
    fn a_member_with_a_fraction_gets_that_fraction_of_its_share(
        weights in prop::collection::vec(1_u32..=100, 2..12),
        fraction in 0.0..1.0_f64,
    ) {
        let members: Vec<(u32, f64)> = weights.iter().map(|&weight| (weight, 1.0)).collect();
        let (full, fraction) = (weight_shares(&weights), Fraction::from_share(fraction).share());
        let mut reduced = members.clone();
        reduced[0].1 = fraction;
        let rest = (1.0 - full[0] * fraction) / (1.0 - full[0]);
        let wanted: Vec<f64> = full
            .iter()
            .enumerate()
            .map(|(at, share)| if at == 0 { share * fraction } else { share * rest })
            .collect();
        let exact = shares(&reduced, FillMethod::Exact);
        prop_assert!(greatest_error(&exact, &wanted) < 0.001, "{:?}, not {:?}", exact, wanted);
        let steady = shares(&reduced, STEADY);
        prop_assert!(greatest_error(&steady, &wanted) < 0.01, "{:?}, not {:?}", steady, wanted);
    }
}
