//! Deviation: how far a load is from its equilibrium, as far as that is more than noise.

/// The least mean difference that counts over many reports, relative to the load. A single report
/// must differ by `MIN_LASTING_DIFFERENCE + SINGLE_REPORT_MARGIN`.
const MIN_LASTING_DIFFERENCE: f64 = 0.005;
const SINGLE_REPORT_MARGIN: f64 = 0.05;
/// A mean counts if it is at least this many times its standard error.
const STANDARD_ERRORS: f64 = 2.0;
/// The maximum number of reports that a mean is taken over.
const MAX_REPORT_COUNT: f64 = 16.0;
/// The weight of the newest report in the variance.
const VARIANCE_WEIGHT: f64 = 0.2;

/// The relative differences of the reports since the latest step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Deviation {
    count: f64,
    mean: f64,
    newest: f64,
    /// The variance of single reports. It is kept when a new mean begins.
    variance: f64,
}

impl Deviation {
    /// Records the difference of a report. Returns the mean since the latest step.
    pub(super) fn record(&mut self, difference: f64) -> f64 {
        if self.count > 0.0 {
            // Compare successive reports, so that a drifting mean does not count as noise.
            let square = (difference - self.newest).powi(2) / 2.0;
            self.variance += VARIANCE_WEIGHT * (square - self.variance);
        }
        self.newest = difference;
        self.count = (self.count + 1.0).min(MAX_REPORT_COUNT);
        self.mean += (difference - self.mean) / self.count;
        self.mean
    }

    /// Whether the mean is large enough to be corrected.
    pub(super) fn is_significant(&self) -> bool {
        let root = self.count.sqrt();
        let min_difference = MIN_LASTING_DIFFERENCE + SINGLE_REPORT_MARGIN / root;
        let noise = STANDARD_ERRORS * self.variance.sqrt() / root;
        self.mean.abs() > min_difference.max(noise)
    }

    /// Begins a new mean after a step.
    pub(super) fn restart(&mut self) {
        (self.count, self.mean) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_counts_once_it_lasts_and_noise_never_counts() {
        let mut lasting = Deviation::default();
        let significant: Vec<bool> = (0..10)
            .map(|_| {
                lasting.record(0.04);
                lasting.is_significant()
            })
            .collect();
        let first = significant.iter().position(|is_significant| *is_significant);
        assert_eq!(first, Some(2), "{significant:?}");
        let mut noisy = Deviation::default();
        for report in 0..100 {
            noisy.record(if report % 2 == 0 { 0.15 } else { -0.15 });
            assert!(report == 0 || !noisy.is_significant(), "report {report}");
        }
    }
}
