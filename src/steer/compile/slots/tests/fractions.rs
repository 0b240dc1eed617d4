//! Parts of shares, and cycles of turns.

use super::*;

/// Members with these weights and parts, all of one group.
fn parted(members: &[(u32, f64)]) -> Vec<WeightedMember> {
    let weights: Vec<u32> = members.iter().map(|(weight, _)| *weight).collect();
    let parts = members.iter().map(|(_, part)| Fraction::from_share(*part));
    group(&weights)
        .into_iter()
        .zip(parts)
        .map(|(stake, part)| WeightedMember { fraction: part, ..stake })
        .collect()
}

fn shares(members: &[(u32, f64)], filling: FillMethod) -> Vec<f64> {
    one(&parted(members), filling).shares(members.len())
}

/// Client by client: each is shared by weight among the members that take part for it.
fn model(members: &[(u32, f64)]) -> Vec<f64> {
    const CLIENTS: usize = 20_000;
    let greatest = members.iter().map(|(_, part)| *part).fold(0.0, f64::max);
    let mut shares = vec![0.0; members.len()];
    for client in 0..CLIENTS {
        let takes_part =
            |(_, part): &(u32, f64)| (client as f64 + 0.5) / (CLIENTS as f64) < part / greatest;
        let weight: f64 = members
            .iter()
            .filter(|one| takes_part(one))
            .map(|(weight, _)| f64::from(*weight))
            .sum();
        for (share, one) in shares.iter_mut().zip(members).filter(|(_, one)| takes_part(one)) {
            *share += f64::from(one.0) / weight / CLIENTS as f64;
        }
    }
    shares
}

#[test]
fn a_fifth_shed_is_a_fifth_of_the_share_whatever_the_weights() {
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
fn a_ramp_of_a_heavy_member_goes_as_evenly_as_its_part() {
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
fn what_no_ranked_member_takes_is_shared_in_proportion_to_what_they_take() {
    for (parts, wanted, why) in [
        (vec![0.5, 1.0], vec![0.5, 0.5], "the second takes what the first leaves"),
        (vec![0.6, 0.8], vec![0.6 / 0.92, 0.32 / 0.92], "8 % are left"),
        (vec![0.5, 0.5], vec![2.0 / 3.0, 1.0 / 3.0], "a quarter is left"),
        (vec![0.2, 0.8, 0.4], vec![0.2 / 0.904, 0.64 / 0.904, 0.064 / 0.904], "9.6 % are left"),
        (vec![0.3], vec![1.0], "there is nobody else"),
    ] {
        let groups: Vec<Vec<WeightedMember>> = parts
            .iter()
            .zip(0..)
            .map(|(&part, name)| {
                vec![WeightedMember {
                    fraction: Fraction::from_share(part),
                    ..renamed(&[1], name)[0]
                }]
            })
            .collect();
        for filling in [FillMethod::Exact, FillMethod::Cycle, STEADY] {
            let shares = filled(&groups, Picks::Count(1), filling).shares(parts.len());
            assert!(
                greatest_error(&shares, &wanted) < 0.005,
                "{parts:?}, {filling:?}: {shares:?}: {why}"
            );
        }
    }
}

#[test]
fn tied_members_pass_on_what_none_of_them_takes() {
    for (parts, wanted, why) in [
        ([0.5, 1.0], [0.25, 0.75, 0.0], "the one that takes all gets what the other leaves"),
        ([0.5, 0.5], [0.25, 0.25, 0.5], "half goes on"),
        (
            [0.25, 0.5],
            [0.125, 0.375, 0.5],
            "half goes on, and the second takes what the first leaves of the other half",
        ),
    ] {
        let tied = parted(&[(1, parts[0]), (1, parts[1])]);
        let groups = [tied, renamed(&[1], 9)];
        for filling in [FillMethod::Exact, FillMethod::Cycle, STEADY] {
            let shares = filled(&groups, Picks::Count(1), filling).shares(3);
            assert!(
                greatest_error(&shares, &wanted) < 0.01,
                "{parts:?}, {filling:?}: {shares:?}: {why}"
            );
        }
    }
}

#[test]
fn members_that_drain_or_start_together_move_each_slot_at_most_once() {
    let steps: Vec<f64> = (0..=20).map(|step| 1.0 - f64::from(step) / 20.0).collect();
    let tables = |parts: fn(f64) -> [f64; 4]| -> Vec<Vec<u16>> {
        let of = |&step: &f64| {
            let [a, b, c, d] = parts(step);
            table(&one(&parted(&[(5, a), (2, b), (1, c), (3, d)]), STEADY)).to_vec()
        };
        steps.iter().map(of).collect()
    };
    let moves = |tables: &[Vec<u16>], slot: usize| {
        tables.windows(2).filter(|pair| pair[0][slot] != pair[1][slot]).count()
    };
    for (parts, why) in [
        ((|step| [step, step, 1.0, 1.0]) as fn(f64) -> [f64; 4], "two drain"),
        (|step| [1.0 - step, 1.0 - step, 1.0, 1.0], "two start"),
        (|step| [step, 0.5, 1.0, 1.0], "one drains while another is held"),
        (|step| [1.0, 0.3, 0.6, step], "one drains while two are held"),
    ] {
        let tables = tables(parts);
        assert!((0..SMALL_POOL_SLOTS).all(|slot| moves(&tables, slot) <= 1), "{why}");
    }
}

#[test]
fn a_part_that_changes_moves_only_slots_that_come_to_the_member_or_leave_it() {
    let (mut parts, mut random) = ([1.0, 1.0, 1.0, 1.0, 1.0], fastrand::Rng::with_seed(3));
    let filled = |parts: &[f64; 5]| {
        let weights = [5, 2, 1, 3, 9];
        let members: Vec<(u32, f64)> = weights.into_iter().zip(*parts).collect();
        table(&one(&parted(&members), STEADY)).to_vec()
    };
    let mut before = filled(&parts);
    for _ in 0..60 {
        // The last one always takes all, so that no part is divided by another.
        let changed = random.usize(0..4);
        parts[changed] = random.f64();
        let now = filled(&parts);
        let moved = before.iter().zip(&now).filter(|(before, now)| before != now);
        assert!(
            moved.clone().all(|(&a, &b)| [usize::from(a), usize::from(b)].contains(&changed)),
            "{parts:?}"
        );
        before = now;
    }
}

#[test]
fn a_part_that_has_fallen_to_nothing_is_that_of_a_member_that_is_gone() {
    let with = one(&parted(&[(4, 1e-9), (2, 0.5), (3, 1.0)]), STEADY);
    let without = &parted(&[(4, 1.0), (2, 0.5), (3, 1.0)])[1..];
    let without = table(&one(without, STEADY)).to_vec();
    let moved =
        table(&with).iter().zip(&without).filter(|&(&with, &without)| with != without + 1).count();
    assert!(moved <= SMALL_POOL_SLOTS / 1024, "{moved}");
}

#[test]
fn a_cycle_of_turns_is_as_long_as_the_weights_and_even() {
    for (weights, length) in [
        (vec![70, 20, 10], 10),
        (vec![1, 2, 3, 4], 10),
        (vec![1, 1, 1], 3),
        (vec![5, 1, 1], 7),
        (vec![4000, 96], 128),
        (vec![4095, 1], 4096),
        // Beyond, a power of two of slots is right within a thousandth.
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
            let count = seen[..length].iter().filter(|&&one| one == member).count();
            if length < MAX_SLOTS {
                assert_eq!(
                    count as u64 * u64::from(total),
                    u64::from(weight) * length as u64,
                    "{weights:?}"
                );
            }
            // Between two turns of a member there are never many more than on average.
            let places: Vec<usize> = (0..seen.len()).filter(|&at| seen[at] == member).collect();
            let widest = places.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            let even = f64::from(total) / f64::from(weight);
            assert!(
                widest as f64 <= 2.0 * even + 1.0,
                "{weights:?}: {widest} turns between two of member {member}"
            );
        }
    }
}

#[test]
fn a_counter_goes_on_in_a_shorter_cycle() {
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
fn all_in_turn_begin_with_each_member_as_often_as_its_weight_says() {
    let slots = filled(&[group(&[3, 2, 1])], Picks::All, FillMethod::Cycle);
    let mut draws = DrawState::new(1);
    let first: Vec<u16> =
        (0..slots.cycle()).map(|turn| drawn(&slots, DrawSeed::Turn(turn), &mut draws)[0]).collect();
    assert_eq!(
        [0, 1, 2].map(|member| first.iter().filter(|&&one| one == member).count()),
        [3, 2, 1]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn shares_are_those_of_the_members_that_take_part_for_each_client(
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
    fn a_part_of_one_member_is_that_part_of_its_share(
        weights in prop::collection::vec(1_u32..=100, 2..12),
        part in 0.0..1.0_f64,
    ) {
        let members: Vec<(u32, f64)> = weights.iter().map(|&weight| (weight, 1.0)).collect();
        let (whole, part) = (weight_shares(&weights), Fraction::from_share(part).share());
        let mut parted = members.clone();
        parted[0].1 = part;
        let wanted: Vec<f64> = whole
            .iter()
            .enumerate()
            .map(|(at, share)| if at == 0 { share * part } else { share * (1.0 - whole[0] * part) / (1.0 - whole[0]) })
            .collect();
        let exact = shares(&parted, FillMethod::Exact);
        prop_assert!(greatest_error(&exact, &wanted) < 0.001, "{:?}, not {:?}", exact, wanted);
        let steady = shares(&parted, STEADY);
        prop_assert!(greatest_error(&steady, &wanted) < 0.01, "{:?}, not {:?}", steady, wanted);
    }
}
