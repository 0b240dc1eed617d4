//! Fullness: how full a pool is, on one scale for all measures.

use crate::steer::feedback::{bisection::bisect, measured_load::CapacityLevels};

/// The least connections from which the size of a unit is derived.
const MIN_CONNECTIONS: f64 = 1.0;

/// The load of a pool. Levels are 0 or more, in the unit of the pool's own measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::steer::feedback) struct PoolLoad {
    /// The present load level of the pool.
    pub level: f64,
    /// The level above which the pool spills clients.
    pub target: f64,
    /// The level that the pool should never exceed, at least `target`.
    pub max: f64,
    /// The amount of load that one unit of the level is, comparable between pools: connections, if
    /// all pools report them. `None` if it is unknown.
    pub unit: Option<f64>,
}

impl PoolLoad {
    /// The load at these levels, with the number of connections if it is known.
    pub(super) fn new(levels: CapacityLevels, connections: Option<f64>) -> Self {
        let CapacityLevels { level, target, max } = levels;
        let connections = connections.filter(|count| level > 0.0 && *count >= MIN_CONNECTIONS);
        Self { level, target, max: max.max(target), unit: connections.map(|count| count / level) }
    }

    /// The same loads, all with a unit. If any unit is unknown, the targets of all pools count as
    /// equal amounts.
    pub(super) fn with_common_unit(loads: &[Option<Self>]) -> Vec<Option<Self>> {
        let are_known = loads.iter().flatten().all(|load| load.unit.is_some());
        let unit = |load: &Self| load.unit.filter(|_| are_known).unwrap_or(1.0 / load.target);
        loads
            .iter()
            .map(|load| load.as_ref().map(|load| Self { unit: Some(unit(load)), ..*load }))
            .collect()
    }

    /// The load for a fullness. Fullness 1 is the target and 2 the maximum; between these points
    /// the load is interpolated, and above 2 it is `fullness / 2` times the maximum.
    pub(super) fn level_at(&self, fullness: f64) -> f64 {
        if fullness <= 1.0 {
            fullness * self.target
        } else if fullness <= 2.0 {
            self.target + (fullness - 1.0) * (self.max - self.target)
        } else {
            fullness / 2.0 * self.max
        }
    }

    /// Whether the level is at the maximum or above.
    pub(super) fn is_at_max(&self) -> bool {
        self.level >= self.max
    }

    /// The amount of load at a level, comparable between pools.
    pub(super) fn amount(&self, level: f64) -> f64 {
        level * self.unit.unwrap_or(1.0)
    }

    /// The level at an amount of load.
    pub(super) fn level_of_amount(&self, amount: f64) -> f64 {
        amount / self.unit.unwrap_or(1.0).max(f64::MIN_POSITIVE)
    }
}

/// The fullness that all of these pools would have if their present load were spread evenly.
pub(super) fn even_fullness(loads: &[&PoolLoad]) -> f64 {
    let present: f64 = loads.iter().map(|load| load.amount(load.level)).sum();
    let amount_at =
        |fullness: f64| loads.iter().map(|load| load.amount(load.level_at(fullness))).sum::<f64>();
    // Evenly spread, no pool is fuller than the fullest one is at present.
    let fullest =
        loads.iter().map(|load| 2.0 * (load.level / load.max).max(1.0)).fold(0.0, f64::max);
    bisect(0.0, fullest, |fullness| amount_at(fullness) >= present)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(level: f64, limit: f64) -> PoolLoad {
        let levels = CapacityLevels { level, target: limit * 0.5, max: limit * 0.7 };
        PoolLoad::new(levels, Some(level))
    }

    #[test]
    fn an_even_spread_fills_all_targets_first_and_then_up_to_the_maximum() {
        for (levels, expected) in [
            ([80.0, 0.0], 0.8),
            ([100.0, 0.0], 1.0),
            ([60.0, 60.0], 1.5),
            ([130.0, 30.0], 160.0 / 70.0),
        ] {
            let loads =
                levels.map(|level| PoolLoad { unit: Some(1.0), ..connections(level, 100.0) });
            let found = even_fullness(&[&loads[0], &loads[1]]);
            assert!((found - expected).abs() < 1e-3, "{levels:?}: {found}, not {expected}");
        }
    }

    #[test]
    fn a_larger_pool_takes_more_of_an_even_spread() {
        let loads = [connections(150.0, 100.0), connections(10.0, 300.0)];
        let loads = loads.map(|load| PoolLoad { unit: Some(1.0), ..load });
        let found = even_fullness(&[&loads[0], &loads[1]]);
        assert!(
            (loads[0].level_at(found) - 40.0).abs() < 0.1
                && (loads[1].level_at(found) - 120.0).abs() < 0.1,
            "{found}"
        );
    }

    #[test]
    fn pools_of_unknown_size_count_as_equally_large() {
        let gauge =
            |level: f64| PoolLoad::new(CapacityLevels { level, target: 0.5, max: 0.7 }, None);
        let loads =
            PoolLoad::with_common_unit(&[Some(gauge(0.8)), None, Some(connections(10.0, 100.0))]);
        let amounts: Vec<f64> =
            loads.iter().flatten().map(|load| load.amount(load.target)).collect();
        assert_eq!(amounts, [1.0, 1.0]);
    }
}
