//! The movement window: how much demand has got other answers lately, by people and automation
//! together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Smaller movements are not kept.
const MIN_SHARE: f64 = 1e-4;
/// The maximum number of movements that are kept; the oldest are dropped.
const MAX_MOVEMENTS: usize = 1000;

/// One change that moved demand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::control) struct MeasuredMovement {
    /// When it began, in seconds since 1970.
    pub at: i64,
    /// The time over which clients move; 0 for all at once.
    pub over_secs: u64,
    /// The share of all demand that moves, from 0 to 1.
    pub share: f64,
}

/// The movements of the latest time, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::control) struct MovementWindow {
    movements: Vec<MeasuredMovement>,
}

impl MeasuredMovement {
    /// The largest share that moves within a time.
    pub(in crate::control) fn peak(self, within: Duration) -> f64 {
        let within = within.as_secs_f64();
        match self.over_secs as f64 {
            over if over > within => self.share * within / over,
            _ => self.share,
        }
    }

    /// The end of the last time that the movement counts in.
    fn counts_until(self, within: Duration) -> i64 {
        self.at.saturating_add_unsigned(self.over_secs.saturating_add(within.as_secs()))
    }
}

impl MovementWindow {
    /// Continues with the movements of a previous run.
    pub(in crate::control) fn restored(movements: Vec<MeasuredMovement>) -> Self {
        Self { movements }
    }

    /// The movements, for the next run.
    pub(in crate::control) fn movements(&self) -> &[MeasuredMovement] {
        &self.movements
    }

    /// Adds a movement. Those that count no longer are forgotten.
    pub(in crate::control) fn add(&mut self, movement: MeasuredMovement, within: Duration) {
        self.movements.retain(|one| one.counts_until(within) > movement.at);
        if movement.share < MIN_SHARE {
            return;
        }
        self.movements.push(movement);
        let excess = self.movements.len().saturating_sub(MAX_MOVEMENTS);
        self.movements.drain(..excess);
    }

    /// The share that moves within any time that contains `now` (seconds since 1970), at most. A
    /// movement that is dated in the future, because the clock was set back, counts.
    pub(in crate::control) fn used(&self, now: i64, within: Duration) -> f64 {
        let counting = self.movements.iter().filter(|one| one.counts_until(within) > now);
        counting.map(|one| one.peak(within)).sum()
    }

    /// When another share fits below the limit at the earliest, in seconds since 1970; `None` if it
    /// never does.
    pub(in crate::control) fn fits_at(
        &self,
        peak: f64,
        limit: f64,
        now: i64,
        within: Duration,
    ) -> Option<i64> {
        let mut ends: Vec<i64> =
            self.movements.iter().map(|one| one.counts_until(within)).collect();
        ends.push(now);
        ends.retain(|end| *end >= now);
        ends.sort_unstable();
        ends.into_iter().find(|end| self.used(*end, within) + peak <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(600);

    fn window(movements: &[(i64, u64, f64)]) -> MovementWindow {
        let mut window = MovementWindow::default();
        for (at, over_secs, share) in movements {
            window.add(MeasuredMovement { at: *at, over_secs: *over_secs, share: *share }, WITHIN);
        }
        window
    }

    #[test]
    fn movements_add_up_within_the_time_and_a_gradual_one_counts_by_its_pace() {
        for (movements, now, expected, why) in [
            (&[][..], 0, 0.0, "nothing moved"),
            (&[(0, 0, 0.2)], 599, 0.2, "it counts for the whole time"),
            (&[(0, 0, 0.2)], 600, 0.0, "and no longer"),
            (&[(0, 0, 0.2), (300, 0, 0.1)], 400, 0.3, "two add up"),
            (&[(0, 0, 0.2), (300, 0, 0.1)], 700, 0.1, "the first one has ended"),
            (&[(0, 3600, 0.6)], 1000, 0.1, "a sixth of an hour has a sixth of it"),
            (&[(0, 3600, 0.6)], 4100, 0.1, "until the time after its end"),
            (&[(0, 3600, 0.6)], 4200, 0.0, "and no longer"),
            (&[(0, 300, 0.6)], 100, 0.6, "a short one counts as a whole"),
            (&[(1000, 0, 0.2)], 0, 0.2, "the clock was set back"),
        ] {
            let used = window(movements).used(now, WITHIN);
            assert!((used - expected).abs() < 1e-9, "{why}: {used}");
        }
    }

    #[test]
    fn a_movement_fits_once_enough_of_the_earlier_ones_have_ended() {
        let full = window(&[(0, 0, 0.2), (300, 0, 0.1)]);
        assert_eq!(full.fits_at(0.1, 0.45, 400, WITHIN), Some(400));
        assert_eq!(full.fits_at(0.2, 0.31, 400, WITHIN), Some(600));
        assert_eq!(full.fits_at(0.3, 0.31, 400, WITHIN), Some(900));
        assert_eq!(full.fits_at(0.4, 0.31, 400, WITHIN), None, "it is too large by itself");
    }

    #[test]
    fn the_number_of_movements_is_bounded() {
        let mut window = MovementWindow::default();
        for at in 0..2000 {
            window.add(MeasuredMovement { at: at / 10, over_secs: 0, share: 0.001 }, WITHIN);
        }
        assert_eq!(window.movements().len(), MAX_MOVEMENTS);
    }
}
