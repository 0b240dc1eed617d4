//! Deviation: how far a load is from where it is to rest, as far as that is more than noise.

/// The least mean difference that counts over many reports. A single report must differ by the sum
/// of `MIN_LASTING_DIFFERENCE` and `SINGLE_REPORT_MARGIN`.
const MIN_LASTING_DIFFERENCE: f64 = 0.005;
const SINGLE_REPORT_MARGIN: f64 = 0.05;
/// A mean of reports counts where it is so many times its standard error.
const STANDARD_ERRORS: f64 = 2.0;
/// The mean is over so many reports at most.
const MAX_REPORT_COUNT: f64 = 16.0;
/// The weight of the newest report in the variance.
const VARIANCE_WEIGHT: f64 = 0.2;

/// Relative differences since the last step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Deviation {
    count: f64,
    mean: f64,
    newest: f64,
    /// Of single reports. Kept over steps.
    variance: f64,
}

impl Deviation {
    /// Takes note of a report's difference. The mean since the last step.
    pub(super) fn record(&mut self, difference: f64) -> f64 {
        if self.count > 0.0 {
            // Of successive reports, so that a mean that drifts is not taken for noise.
            let square = (difference - self.newest).powi(2) / 2.0;
            self.variance += VARIANCE_WEIGHT * (square - self.variance);
        }
        self.newest = difference;
        self.count = (self.count + 1.0).min(MAX_REPORT_COUNT);
        self.mean += (difference - self.mean) / self.count;
        self.mean
    }

    /// Whether the mean is to be corrected.
    pub(super) fn is_significant(&self) -> bool {
        let root = self.count.sqrt();
        self.mean.abs()
            > (MIN_LASTING_DIFFERENCE + SINGLE_REPORT_MARGIN / root)
                .max(STANDARD_ERRORS * self.variance.sqrt() / root)
    }

    /// Begins a new mean: a step was taken.
    pub(super) fn restart(&mut self) {
        (self.count, self.mean) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_counts_once_it_lasts_and_noise_never_does() {
        let mut lasting = Deviation::default();
        let counts: Vec<bool> = (0..10)
            .map(|_| {
                lasting.record(0.04);
                lasting.is_significant()
            })
            .collect();
        assert_eq!(counts.iter().position(|counts| *counts), Some(2), "{counts:?}");
        let mut noisy = Deviation::default();
        for at in 0..100 {
            noisy.record(if at % 2 == 0 { 0.15 } else { -0.15 });
            assert!(at == 0 || !noisy.is_significant(), "report {at}");
        }
    }
}
