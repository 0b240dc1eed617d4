//! Equilibrium: the shares at which a pool would rest if each member's load followed its share.
//!
//! Shares that merely follow headroom overshoot: at 90 % of capacity a point of share is worth nine
//! points of headroom, and a report comes a cache lifetime late. So each report is read as a point
//! on a line: a member that now has share `c` and load `l` would at share `s` have `l · s / c`. The
//! shares that fit their own consequences are where the pool is steered to. Where load does not
//! follow (half of it may come past the DNS), the next report says so, and the point of rest is the
//! same: shares in proportion to what is reported to be left.

/// What is known of one member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LoadMember {
    /// Its configured weight, above 0.
    pub weight: f64,
    /// The share that its load comes from.
    pub share: f64,
    /// The part of its load that follows its share, from 0 to 1: all of it but where reports have
    /// shown otherwise.
    pub following_fraction: f64,
    /// Its load may be greater than what it reports.
    pub may_exceed_report: bool,
    /// What its report says.
    pub signal: LoadSignal,
}

/// A load report as the policy reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LoadSignal {
    /// Connections of a capacity: what is left of it counts.
    Headroom {
        load: f64,
        capacity: f64,
        /// The capacity is a limit, and not a guess.
        is_limit: bool,
    },
    /// A gauge: nothing is taken below `soft`, all but the least at `hard`.
    Gauge { level: f64, soft: f64, hard: f64 },
    /// How many times its usual time a member takes to respond.
    Slowness { times: f64 },
}

/// A member that is full keeps this much of its weight: a metric never empties one, only health and
/// drains do.
const MIN_REMAINING: f64 = 0.02;
/// The slowest counts as so many times slower than usual.
const MAX_SLOWDOWN: f64 = 20.0;
/// The least share that a load is extrapolated from.
const MIN_EXTRAPOLATED_SHARE: f64 = 0.005;
/// Halvings of an interval: to a millionth.
const BISECTION_STEPS: u32 = 24;

impl LoadSignal {
    /// What is left for clients where load is so many times the present one.
    fn remaining_at(self, times: f64) -> f64 {
        match self {
            Self::Headroom { load, capacity, .. } => {
                (capacity - load * times).max(capacity * MIN_REMAINING)
            }
            Self::Gauge { level, soft, hard } => {
                let excess = (level * times - soft) / (hard - soft);
                1.0 - excess.clamp(0.0, 1.0) * (1.0 - MIN_REMAINING)
            }
            Self::Slowness { times: slower } => 1.0 / (slower * times).clamp(1.0, MAX_SLOWDOWN),
        }
    }
}

impl LoadSignal {
    /// Whether the member has nothing left: it is at its limit, at its gauge's hard mark, or
    /// `MAX_SLOWDOWN` times as slow as usual.
    pub(super) fn is_full(self) -> bool {
        match self {
            Self::Headroom { load, capacity, is_limit } => {
                is_limit && load >= capacity * (1.0 - MIN_REMAINING)
            }
            Self::Gauge { level, hard, .. } => level >= hard,
            Self::Slowness { times } => times >= MAX_SLOWDOWN,
        }
    }

    /// The load in its own unit.
    pub(super) fn load(self) -> f64 {
        match self {
            Self::Headroom { load, .. } => load,
            Self::Gauge { level, .. } => level,
            Self::Slowness { times } => times,
        }
    }

    /// Whether the load is at its limit, or at 1 on a gauge from 0 to 1: the true load may be
    /// greater.
    pub(super) fn is_at_limit(self) -> bool {
        self.fraction_of_limit().is_some_and(|part| (1.0 - MIN_REMAINING..=1.0).contains(&part))
    }

    /// Whether the load is more than that, so that reports do not end there.
    pub(super) fn is_above_limit(self) -> bool {
        self.fraction_of_limit().is_some_and(|part| part > 1.0)
    }

    fn fraction_of_limit(self) -> Option<f64> {
        match self {
            Self::Headroom { load, capacity, is_limit } => is_limit.then_some(load / capacity),
            Self::Gauge { level, hard, .. } => (hard <= 1.0).then_some(level),
            Self::Slowness { .. } => None,
        }
    }
}

impl LoadMember {
    /// The share that fits its own consequences where all that is left is worth `worth` a unit.
    /// Falls in no part as `worth` rises.
    fn share_at(&self, worth: f64) -> f64 {
        let times = |share: f64| {
            1.0 + self.following_fraction * (share / self.share.max(MIN_EXTRAPOLATED_SHARE) - 1.0)
        };
        let wanted = |share: f64| worth * self.weight * self.signal.remaining_at(times(share));
        bisect(0.0, 1.0, |share| share >= wanted(share))
    }
}

/// The shares at equilibrium; they add up to 1. None for no members.
pub(super) fn equilibrium_shares(members: &[LoadMember]) -> Vec<f64> {
    let sum_at = |worth: f64| members.iter().map(|member| member.share_at(worth)).sum::<f64>();
    // Nobody wants less than the least that is left of its weight.
    let least = |member: &LoadMember| member.weight * member.signal.remaining_at(f64::INFINITY);
    let most_worth =
        members.iter().map(|member| 1.0 / least(member).max(f64::MIN_POSITIVE)).fold(0.0, f64::max);
    // By its logarithm: capacities may be a handful or millions.
    let worth = bisect(-60.0, 0.0, |halvings| sum_at(most_worth * halvings.exp2()) >= 1.0).exp2()
        * most_worth;
    let shares: Vec<f64> = members.iter().map(|member| member.share_at(worth)).collect();
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        shares.iter().map(|share| share / sum).collect()
    } else {
        shares_by_weight(members)
    }
}

/// The shares by what is reported to be left, as if no load followed; they add up to 1.
pub(super) fn reported_shares(members: &[LoadMember]) -> Vec<f64> {
    let left: Vec<f64> =
        members.iter().map(|member| member.weight * member.signal.remaining_at(1.0)).collect();
    let sum: f64 = left.iter().sum();
    if sum > 0.0 { left.iter().map(|left| left / sum).collect() } else { shares_by_weight(members) }
}

fn shares_by_weight(members: &[LoadMember]) -> Vec<f64> {
    let sum: f64 = members.iter().map(|member| member.weight).sum();
    members.iter().map(|member| member.weight / sum).collect()
}

/// The least number between the two, about, at which `holds` does, which then holds for all greater
/// ones.
pub(super) fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..BISECTION_STEPS {
        let middle = (low + high) / 2.0;
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headroom(weight: f64, share: f64, load: f64, capacity: f64) -> LoadMember {
        LoadMember {
            weight,
            share,
            following_fraction: 1.0,
            may_exceed_report: false,
            signal: LoadSignal::Headroom { load, capacity, is_limit: true },
        }
    }

    #[test]
    fn load_that_follows_shares_rests_where_all_are_equally_full() {
        for (share, total) in [(0.5, 900.0), (0.2, 500.0), (0.9, 100.0)] {
            let members = [
                headroom(1.0, share, share * total, 700.0),
                headroom(1.0, 1.0 - share, (1.0 - share) * total, 300.0),
            ];
            let shares = equilibrium_shares(&members);
            assert!((shares[0] - 0.7).abs() < 1e-3, "{share} {total}: {shares:?}");
        }
    }

    #[test]
    fn load_that_does_not_follow_rests_in_proportion_to_what_is_left() {
        // Reports that never change: shares are carried along step by step.
        let mut shares = vec![0.5, 0.5];
        for _ in 0..200 {
            shares = equilibrium_shares(&[
                headroom(1.0, shares[0], 50.0, 100.0),
                headroom(1.0, shares[1], 0.0, 100.0),
            ]);
        }
        assert!((shares[0] - 1.0 / 3.0).abs() < 1e-3, "{shares:?}");
    }

    #[test]
    fn weights_count_where_all_are_idle() {
        let shares =
            equilibrium_shares(&[headroom(3.0, 0.5, 0.0, 10.0), headroom(1.0, 0.5, 0.0, 10.0)]);
        assert!((shares[0] - 0.75).abs() < 1e-4, "{shares:?}");
    }

    #[test]
    fn a_gauge_below_its_soft_mark_takes_nothing() {
        let gauge = |level| LoadMember {
            weight: 1.0,
            share: 0.5,
            following_fraction: 1.0,
            may_exceed_report: false,
            signal: LoadSignal::Gauge { level, soft: 0.7, hard: 0.9 },
        };
        assert!((equilibrium_shares(&[gauge(0.6), gauge(0.1)])[0] - 0.5).abs() < 1e-4);
        assert!(equilibrium_shares(&[gauge(0.85), gauge(0.1)])[0] < 0.47);
    }

    #[test]
    fn twice_as_slow_as_usual_is_sent_less() {
        let slow = |times| LoadMember {
            weight: 1.0,
            share: 0.5,
            following_fraction: 1.0,
            may_exceed_report: false,
            signal: LoadSignal::Slowness { times },
        };
        let shares = equilibrium_shares(&[slow(2.0), slow(1.0)]);
        assert!(shares[0] < 0.45 && shares[0] > 0.3, "{shares:?}");
    }

    proptest! {
        #[test]
        fn shares_add_up_and_nobody_is_emptied(
            members in prop::collection::vec((1.0_f64..65535.0, 0.0_f64..1.0, 0.0_f64..1e9, 1.0_f64..1e9), 1..8)
        ) {
            let members: Vec<_> = members.into_iter().map(|(w, s, l, c)| headroom(w, s, l, c)).collect();
            let shares = equilibrium_shares(&members);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
            prop_assert!(shares.iter().all(|share| *share > 0.0), "{shares:?}");
        }
    }
}
