//! The state of a source that lasts from one poll to the next.

use std::collections::BTreeMap;

/// The state of one source between polls. The poller keeps it; readers use and update it.
#[derive(Debug, Clone, Default)]
pub struct PollHistory {
    /// The highest weight that each server has had, by `proxy/server`. HAProxy's CSV shows only the
    /// effective weight; the ratio to the highest weight shows how far an agent has reduced it.
    highest_weights: BTreeMap<Box<str>, f64>,
    /// The histogram of response times at the previous poll. Only requests since then count towards
    /// the present response time.
    response_times: Option<HistogramTotals>,
}

/// The sum and the number of the values that a histogram has counted.
#[derive(Debug, Clone, Copy)]
struct HistogramTotals {
    sum: f64,
    count: f64,
}

impl PollHistory {
    /// Records the present weight of a server. Returns the highest weight that it has had.
    pub(super) fn highest_weight(&mut self, server: &str, weight: f64) -> f64 {
        match self.highest_weights.get_mut(server) {
            Some(highest) => {
                *highest = highest.max(weight);
                *highest
            }
            None => {
                self.highest_weights.insert(server.into(), weight);
                weight
            }
        }
    }

    /// Forgets all servers for which `is_present` is false.
    pub(super) fn retain_servers(&mut self, is_present: impl Fn(&str) -> bool) {
        self.highest_weights.retain(|server, _| is_present(server));
    }

    /// The mean of the values that a histogram has counted since the previous poll; `None` if it
    /// has counted none or has been reset.
    pub(super) fn mean_since(&mut self, sum: f64, count: f64) -> Option<f64> {
        let old = self.response_times.replace(HistogramTotals { sum, count })?;
        (count > old.count && sum >= old.sum).then(|| (sum - old.sum) / (count - old.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_values_since_the_previous_poll() {
        let mut history = PollHistory::default();
        assert_eq!(history.mean_since(1000.0, 10.0), None, "nothing to compare with");
        assert_eq!(history.mean_since(1600.0, 12.0), Some(300.0));
        assert_eq!(history.mean_since(1600.0, 12.0), None, "no request since");
        assert_eq!(history.mean_since(50.0, 1.0), None, "the balancer was restarted");
        assert_eq!(history.mean_since(90.0, 2.0), Some(40.0));
    }
}
