//! The share of answers that hold each member, if members are drawn one after the other by weight.
//! Only reports use it.
//!
//! Drawing by weight without replacement is a race: each member arrives after an exponentially
//! distributed time with its weight as the rate, and the first ones are drawn. So a member's share
//! is the integral, over the time of its arrival, of the probability that fewer than `picks` others
//! have arrived by then.

/// The maximum product of members and picks for which shares are integrated. Beyond, a share is the
/// probability that the member has arrived by the time at which `picks` arrivals are expected.
const MAX_INTEGRATED: usize = 1 << 14;

/// The share of answers that hold each member, from 0 to 1. The shares add up to `picks`. Weights
/// are above 0.
pub(in crate::steer) fn drawn_shares(weights: Vec<f64>, picks: usize) -> Vec<f64> {
    let is_equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
    if is_equal || picks >= weights.len() {
        return vec![(picks as f64 / weights.len() as f64).min(1.0); weights.len()];
    }
    let race = ExponentialRace::new(weights, picks);
    let by_rate = if race.rates.len() * picks <= MAX_INTEGRATED {
        race.integrated()
    } else {
        race.expected()
    };
    let scale = picks as f64 / by_rate.iter().sum::<f64>();
    by_rate.iter().map(|share| (share * scale).min(1.0)).collect()
}

/// Members that arrive after exponentially distributed times.
struct ExponentialRace {
    /// The rate of each member, scaled so that `picks` arrivals are expected by the time 1.
    rates: Vec<f64>,
    picks: usize,
}

impl ExponentialRace {
    fn new(mut rates: Vec<f64>, picks: usize) -> Self {
        let arrived = |time: f64| rates.iter().map(|rate| 1.0 - (-rate * time).exp()).sum::<f64>();
        let mut late = 1.0 / rates.iter().copied().fold(f64::INFINITY, f64::min);
        while arrived(late) < picks as f64 {
            late *= 2.0;
        }
        let mut early = 0.0;
        for _ in 0..60 {
            let middle = (early + late) / 2.0;
            *(if arrived(middle) < picks as f64 { &mut early } else { &mut late }) = middle;
        }
        rates.iter_mut().for_each(|rate| *rate *= late);
        Self { rates, picks }
    }

    /// The shares approximated by the probability of an arrival by the time 1.
    fn expected(&self) -> Vec<f64> {
        self.rates.iter().map(|rate| 1.0 - (-rate).exp()).collect()
    }

    /// The shares by the trapezoidal rule over the logarithm of the time, which converges fast: the
    /// integrand falls off exponentially at both ends.
    fn integrated(&self) -> Vec<f64> {
        let step = 0.4 / (self.picks as f64).sqrt();
        let max_rate = self.rates.iter().copied().fold(0.0, f64::max);
        let (first, last) = (-18.0 - max_rate.ln().max(0.0), 3.5);
        let mut classes = self.rates.clone();
        classes.sort_unstable_by(f64::total_cmp);
        classes.dedup();
        let mut sums = vec![0.0; classes.len()];
        for node in 0..((last - first) / step) as u32 {
            let time = (first + f64::from(node) * step).exp();
            let arrivals = self.arrivals(time, None);
            for (rate, sum) in classes.iter().zip(&mut sums) {
                *sum +=
                    step * time * rate * (-rate * time).exp() * self.others(*rate, time, &arrivals);
            }
        }
        let sum_of = |rate: &f64| {
            classes.binary_search_by(|class| class.total_cmp(rate)).map_or(0.0, |index| sums[index])
        };
        self.rates.iter().map(sum_of).collect()
    }

    /// The probability of each number of arrivals below `picks` by `time`. One member with the rate
    /// `without` is not counted.
    fn arrivals(&self, time: f64, without: Option<f64>) -> Vec<f64> {
        let mut without = without;
        let mut counts = vec![0.0; self.picks];
        counts[0] = 1.0;
        for rate in &self.rates {
            if without == Some(*rate) {
                without = None;
                continue;
            }
            let absent = (-rate * time).exp();
            for count in (1..counts.len()).rev() {
                counts[count] = counts[count] * absent + counts[count - 1] * (1.0 - absent);
            }
            counts[0] *= absent;
        }
        counts
    }

    /// The probability that, by `time`, fewer than `picks` members have arrived besides one member
    /// with this `rate`.
    fn others(&self, rate: f64, time: f64, arrivals: &[f64]) -> f64 {
        let absent = (-rate * time).exp();
        if absent < 0.5 {
            // Removing the member from the sum would lose all digits.
            return self.arrivals(time, Some(rate)).iter().sum();
        }
        let mut before = 0.0;
        let mut sum = 0.0;
        for arrived in arrivals {
            before = (arrived - before * (1.0 - absent)) / absent;
            sum += before;
        }
        sum
    }
}
