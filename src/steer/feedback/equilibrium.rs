//! Equilibrium: the shares at which a pool would settle if each member's load followed its share.
//!
//! Shares that merely follow headroom overshoot: at 90 % of capacity, one point of share changes
//! the headroom by nine points, and the report of it comes one TTL late. So each report is read as
//! a point on a line: a member that has share `c` and load `l` now would have load `l · s / c` at
//! share `s`. The target is the set of shares that are consistent with the loads that they cause.
//! If load does not follow (half of it may not come through DNS), the next report shows that, and
//! the shares settle at the same point: in proportion to the remaining capacity that is reported.

use super::bisection::bisect;

/// One active member of a pool, as its report shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LoadMember {
    /// The configured weight, above 0, scaled by the capacity that is left.
    pub weight: f64,
    /// The share that caused the reported load, from 0 to 1.
    pub share: f64,
    /// The fraction of the load that follows the share, from 0 to 1. It is 1 unless reports have
    /// shown otherwise.
    pub following_fraction: f64,
    /// Whether the true load may be greater than the reported one.
    pub may_exceed_report: bool,
    /// The load of the report.
    pub signal: LoadSignal,
}

/// The load of a report, in the terms of the pool's policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LoadSignal {
    /// The number of connections and the capacity. A member gets clients in proportion to the
    /// capacity that remains.
    Headroom {
        load: f64,
        capacity: f64,
        /// Whether the capacity is a known limit rather than an assumed one.
        is_limit: bool,
    },
    /// The level of a gauge. The weight is not reduced up to the level `soft`, and reduced to
    /// [`MIN_REMAINING`] from the level `hard` on.
    Gauge { level: f64, soft: f64, hard: f64 },
    /// The response time as a multiple of its baseline.
    Slowness { times: f64 },
}

/// The fraction of its weight that a full member keeps: a metric never empties a member, only
/// verdicts and drains do.
const MIN_REMAINING: f64 = 0.02;
/// The greatest slowdown that counts.
const MAX_SLOWDOWN: f64 = 20.0;
/// The smallest share from which a load is extrapolated.
const MIN_EXTRAPOLATED_SHARE: f64 = 0.005;

impl LoadSignal {
    /// The remaining capacity if the load were `factor` times the present one.
    fn remaining_at(self, factor: f64) -> f64 {
        match self {
            Self::Headroom { load, capacity, .. } => {
                (capacity - load * factor).max(capacity * MIN_REMAINING)
            }
            Self::Gauge { level, soft, hard } => {
                let excess = (level * factor - soft) / (hard - soft);
                1.0 - excess.clamp(0.0, 1.0) * (1.0 - MIN_REMAINING)
            }
            Self::Slowness { times } => 1.0 / (times * factor).clamp(1.0, MAX_SLOWDOWN),
        }
    }

    /// Whether no capacity remains: the load is at its limit, the gauge is at `hard`, or the member
    /// is [`MAX_SLOWDOWN`] times slower than its baseline.
    pub(super) fn is_full(self) -> bool {
        match self {
            Self::Headroom { load, capacity, is_limit } => {
                is_limit && load >= capacity * (1.0 - MIN_REMAINING)
            }
            Self::Gauge { level, hard, .. } => level >= hard,
            Self::Slowness { times } => times >= MAX_SLOWDOWN,
        }
    }

    /// The load in its own unit: connections, gauge level or slowdown.
    pub(super) fn load(self) -> f64 {
        match self {
            Self::Headroom { load, .. } => load,
            Self::Gauge { level, .. } => level,
            Self::Slowness { times } => times,
        }
    }

    /// Whether the load is at its limit, or at 1 on a gauge from 0 to 1, so that the true load may
    /// be greater.
    pub(super) fn is_at_limit(self) -> bool {
        self.fraction_of_limit()
            .is_some_and(|fraction| (1.0 - MIN_REMAINING..=1.0).contains(&fraction))
    }

    /// Whether the load is above its limit, which shows that reports are not capped there.
    pub(super) fn is_above_limit(self) -> bool {
        self.fraction_of_limit().is_some_and(|fraction| fraction > 1.0)
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
    /// The consistent share if a unit of weighted remaining capacity gets a share of `unit_share`.
    /// It never falls as `unit_share` rises.
    fn share_at(&self, unit_share: f64) -> f64 {
        let load_factor = |share: f64| {
            1.0 + self.following_fraction * (share / self.share.max(MIN_EXTRAPOLATED_SHARE) - 1.0)
        };
        let target =
            |share: f64| unit_share * self.weight * self.signal.remaining_at(load_factor(share));
        bisect(0.0, 1.0, |share| share >= target(share))
    }
}

/// The shares at equilibrium, which add up to 1; empty if there are no members.
pub(super) fn equilibrium_shares(members: &[LoadMember]) -> Vec<f64> {
    let sum_at =
        |unit_share: f64| members.iter().map(|member| member.share_at(unit_share)).sum::<f64>();
    // At this unit share the smallest member alone would get all clients.
    let min_remaining =
        |member: &LoadMember| member.weight * member.signal.remaining_at(f64::INFINITY);
    let max_unit_share = members
        .iter()
        .map(|member| 1.0 / min_remaining(member).max(f64::MIN_POSITIVE))
        .fold(0.0, f64::max);
    // Bisect the logarithm: capacities range from a handful to millions.
    let halvings = bisect(-60.0, 0.0, |halvings| sum_at(max_unit_share * halvings.exp2()) >= 1.0);
    let unit_share = halvings.exp2() * max_unit_share;
    let shares: Vec<f64> = members.iter().map(|member| member.share_at(unit_share)).collect();
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        shares.iter().map(|share| share / sum).collect()
    } else {
        shares_by_weight(members)
    }
}

/// The shares in proportion to the reported remaining capacity, as if no load followed the share.
/// They add up to 1.
pub(super) fn reported_shares(members: &[LoadMember]) -> Vec<f64> {
    let remaining: Vec<f64> =
        members.iter().map(|member| member.weight * member.signal.remaining_at(1.0)).collect();
    let sum: f64 = remaining.iter().sum();
    if sum > 0.0 {
        remaining.iter().map(|remaining| remaining / sum).collect()
    } else {
        shares_by_weight(members)
    }
}

fn shares_by_weight(members: &[LoadMember]) -> Vec<f64> {
    let sum: f64 = members.iter().map(|member| member.weight).sum();
    members.iter().map(|member| member.weight / sum).collect()
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
    fn load_that_follows_shares_settles_where_all_are_equally_full() {
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
    fn load_that_does_not_follow_settles_in_proportion_to_remaining_capacity() {
        // The reports never change; the shares of one step are the input of the next.
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
    fn weights_decide_while_all_are_idle() {
        let shares =
            equilibrium_shares(&[headroom(3.0, 0.5, 0.0, 10.0), headroom(1.0, 0.5, 0.0, 10.0)]);
        assert!((shares[0] - 0.75).abs() < 1e-4, "{shares:?}");
    }

    #[test]
    fn a_gauge_below_its_soft_mark_reduces_no_share() {
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
    fn a_member_twice_as_slow_as_its_baseline_gets_fewer_clients() {
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
        fn shares_add_up_and_no_member_is_emptied(
            members in prop::collection::vec((1.0_f64..65535.0, 0.0_f64..1.0, 0.0_f64..1e9, 1.0_f64..1e9), 1..8)
        ) {
            let members: Vec<_> = members.into_iter().map(|(w, s, l, c)| headroom(w, s, l, c)).collect();
            let shares = equilibrium_shares(&members);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
            prop_assert!(shares.iter().all(|share| *share > 0.0), "{shares:?}");
        }
    }
}
