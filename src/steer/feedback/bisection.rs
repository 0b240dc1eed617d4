//! Bisection of an interval.

/// Halvings of the interval: the result is exact to a millionth of its length.
const BISECTION_STEPS: u32 = 24;

/// The least number between `low` and `high` for which `holds` is true, approximately. If `holds`
/// is true for a number, it must be true for every greater one.
pub(super) fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..BISECTION_STEPS {
        let middle = (low + high) / 2.0;
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}
