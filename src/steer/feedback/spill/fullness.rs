//! Fullness: how full a pool is, on one scale whatever it is measured by.

use super::super::equilibrium::bisect;

/// A unit is taken from so many connections and more.
const MIN_CONNECTIONS: f64 = 1.0;

/// What a pool's report says of its load. All fields but `unit` are 0 or more, in the unit of the
/// pool's own measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::steer::feedback) struct PoolLoad {
    /// At present.
    pub level: f64,
    /// Above this the excess goes to the next choice.
    pub target: f64,
    /// No less than the target.
    pub max: f64,
    /// How much load of all pools is one unit of the level: connections, where all report them.
    /// `None` is unknown.
    pub unit: Option<f64>,
}

impl PoolLoad {
    /// A load by this measure, of so many connections if they are known.
    pub(in crate::steer::feedback) fn new(
        [level, target, max]: [f64; 3],
        connections: Option<f64>,
    ) -> Self {
        let connections = connections.filter(|count| level > 0.0 && *count >= MIN_CONNECTIONS);
        Self { level, target, max: max.max(target), unit: connections.map(|count| count / level) }
    }

    /// The same loads, all with a unit: where one is not known, pools count as equally large.
    pub(super) fn with_common_unit(loads: &[Option<Self>]) -> Vec<Option<Self>> {
        let are_known = loads.iter().flatten().all(|load| load.unit.is_some());
        let unit = |load: &Self| load.unit.filter(|_| are_known).unwrap_or(1.0 / load.target);
        loads
            .iter()
            .map(|load| load.as_ref().map(|load| Self { unit: Some(unit(load)), ..*load }))
            .collect()
    }

    /// The level at a fullness: 1 is at the target, 2 at the max, and beyond that in proportion to
    /// the max.
    pub(super) fn level_at(&self, fullness: f64) -> f64 {
        if fullness <= 1.0 {
            fullness * self.target
        } else if fullness <= 2.0 {
            self.target + (fullness - 1.0) * (self.max - self.target)
        } else {
            fullness / 2.0 * self.max
        }
    }

    /// At its max or above.
    pub(super) fn is_at_max(&self) -> bool {
        self.level >= self.max
    }

    /// How much of the load of all pools it has at a level.
    pub(super) fn amount(&self, level: f64) -> f64 {
        level * self.unit.unwrap_or(1.0)
    }

    /// The level of so much of the load of all pools.
    pub(super) fn level_of_amount(&self, amount: f64) -> f64 {
        amount / self.unit.unwrap_or(1.0).max(f64::MIN_POSITIVE)
    }
}

/// The fullness at which these pools would be equally full if they shared their present total load.
pub(super) fn even_fullness(loads: &[&PoolLoad]) -> f64 {
    let sum: f64 = loads.iter().map(|load| load.amount(load.level)).sum();
    let at =
        |fullness: f64| loads.iter().map(|load| load.amount(load.level_at(fullness))).sum::<f64>();
    // Nobody's rest is fuller than the fullest is at present.
    let fullest =
        loads.iter().map(|load| 2.0 * (load.level / load.max).max(1.0)).fold(0.0, f64::max);
    bisect(0.0, fullest, |fullness| at(fullness) >= sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(level: f64, limit: f64) -> PoolLoad {
        PoolLoad::new([level, limit * 0.5, limit * 0.7], Some(level))
    }

    #[test]
    fn what_is_even_fills_all_targets_first_and_then_what_is_left_to_the_max() {
        for (levels, wanted) in [
            ([80.0, 0.0], 0.8),
            ([100.0, 0.0], 1.0),
            ([60.0, 60.0], 1.5),
            ([130.0, 30.0], 160.0 / 70.0),
        ] {
            let loads =
                levels.map(|level| PoolLoad { unit: Some(1.0), ..connections(level, 100.0) });
            let found = even_fullness(&[&loads[0], &loads[1]]);
            assert!((found - wanted).abs() < 1e-3, "{levels:?}: {found}, not {wanted}");
        }
    }

    #[test]
    fn a_larger_pool_takes_more_of_what_is_even() {
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
        let gauge = |level: f64| PoolLoad::new([level, 0.5, 0.7], None);
        let loads =
            PoolLoad::with_common_unit(&[Some(gauge(0.8)), None, Some(connections(10.0, 100.0))]);
        let amounts: Vec<f64> =
            loads.iter().flatten().map(|load| load.amount(load.target)).collect();
        assert_eq!(amounts, [1.0, 1.0]);
    }
}
