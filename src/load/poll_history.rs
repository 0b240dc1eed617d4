//! What is remembered of a source from one poll to the next.

use std::collections::BTreeMap;

/// What is remembered of one source. The poller keeps it; readers look at it and write it.
#[derive(Debug, Clone, Default)]
pub struct PollHistory {
    /// The highest weight that each server had, by `proxy/server`. HAProxy's CSV shows only the
    /// weight in force; against this one is seen how much of it an agent took away.
    highest_weights: BTreeMap<Box<str>, f64>,
    /// A histogram's sum and count: only what came since is a response time of now.
    request_sum_and_count: Option<(f64, f64)>,
}

impl PollHistory {
    /// The highest weight that a server had, now that it has this one.
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

    /// Forgets the servers that are gone.
    pub(super) fn retain_servers(&mut self, is_there: impl Fn(&str) -> bool) {
        self.highest_weights.retain(|server, _| is_there(server));
    }

    /// The mean of what a histogram counted since the poll before; `None` where it counted nothing,
    /// or started anew.
    pub(super) fn mean_since(&mut self, sum: f64, count: f64) -> Option<f64> {
        let (old_sum, old_count) = self.request_sum_and_count.replace((sum, count))?;
        (count > old_count && sum >= old_sum).then(|| (sum - old_sum) / (count - old_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_what_came_since() {
        let mut memory = PollHistory::default();
        assert_eq!(memory.mean_since(1000.0, 10.0), None, "nothing to compare with");
        assert_eq!(memory.mean_since(1600.0, 12.0), Some(300.0));
        assert_eq!(memory.mean_since(1600.0, 12.0), None, "no request since");
        assert_eq!(memory.mean_since(50.0, 1.0), None, "the balancer started anew");
        assert_eq!(memory.mean_since(90.0, 2.0), Some(40.0));
    }
}
