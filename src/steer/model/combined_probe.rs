//! Combined probes: the health status of a target under a combined monitor, derived from its status
//! under the monitors that are combined.

use super::ids::ProbeId;
use crate::health::{HealthStatus, Verdict};

/// Several probes of one target, of which a minimum must be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinedProbe {
    /// The number of probes that must be up for the target to be up; at least 1.
    pub min_up: u32,
    /// The probes that are combined, each once.
    pub probes: Vec<ProbeId>,
}

impl CombinedProbe {
    /// The health status that follows from those of the combined probes. A probe whose verdict is
    /// unknown counts as up. The combined verdict is unknown if it would be down without such
    /// probes. It is pending while fewer than `min_up` probes are usable and have an outcome.
    pub fn status(&self, statuses: &[HealthStatus]) -> HealthStatus {
        let combined = || self.probes.iter().filter_map(|probe| statuses.get(probe.index()));
        let count = |matches: fn(Verdict) -> bool| {
            combined().filter(|probe| matches(probe.verdict)).count()
        };
        let min_up = self.min_up as usize;
        let (usable, up) = (count(Verdict::is_usable), count(|verdict| verdict == Verdict::Up));
        let verdict = match (up >= min_up, usable >= min_up) {
            (true, _) => Verdict::Up,
            (false, true) => Verdict::Unknown,
            (false, false) => Verdict::Down,
        };
        // The combined verdict flips once `missing + 1` probes have flipped: the last of those
        // decides when.
        let missing = if usable >= min_up { usable - min_up } else { min_up - usable - 1 };
        let mut flips: Vec<u32> = combined()
            .filter(|probe| probe.verdict.is_usable() == verdict.is_usable())
            .filter_map(|probe| probe.flips_in_secs)
            .collect();
        flips.sort_unstable();
        let checked =
            combined().filter(|probe| probe.verdict.is_usable() && !probe.is_pending).count();
        let is_pending = verdict == Verdict::Unknown && checked < min_up;
        let first_wait = || {
            combined()
                .filter(|probe| probe.is_pending)
                .filter_map(|probe| probe.flips_in_secs)
                .min()
        };
        let flips_in_secs = if is_pending { first_wait() } else { flips.get(missing).copied() };
        HealthStatus { verdict, flips_in_secs, is_pending, is_held: false }
    }

    /// The number of combined probes that are up or unknown.
    pub fn usable(&self, statuses: &[HealthStatus]) -> usize {
        let combined = self.probes.iter().filter_map(|probe| statuses.get(probe.index()));
        combined.filter(|status| status.verdict.is_usable()).count()
    }
}

/// Updates the status of each combined probe from those of the probes that it combines. Returns the
/// combined probes whose status changed.
pub fn update_combined(
    combined_probes: &[Option<CombinedProbe>],
    statuses: &mut [HealthStatus],
) -> Vec<ProbeId> {
    let mut changed = Vec::new();
    // A combined probe comes after the probes that it combines, so that one pass is enough.
    for (combination, id) in combined_probes.iter().zip((0..).map(ProbeId)) {
        let Some(combination) = combination else { continue };
        let status = combination.status(statuses);
        if let Some(old) = statuses.get_mut(id.index()).filter(|old| **old != status) {
            *old = status;
            changed.push(id);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health_status((verdict, flips_in_secs): (Verdict, Option<u32>)) -> HealthStatus {
        HealthStatus { verdict, flips_in_secs, ..HealthStatus::default() }
    }

    #[test]
    fn a_combination_is_up_with_enough_probes_and_flips_with_the_last_that_it_needs() {
        use Verdict::{Down, Unknown, Up};
        for (min_up, probes, verdict, flips, why) in [
            (1, vec![(Up, None), (Down, None)], Up, None, "any: one is enough"),
            (
                1,
                vec![(Down, None), (Down, Some(4))],
                Down,
                Some(4),
                "any: the target recovers with the first probe that does",
            ),
            (1, vec![(Up, Some(3)), (Up, None)], Up, None, "any: the other probe stays up"),
            (
                1,
                vec![(Up, Some(3)), (Up, Some(9))],
                Up,
                Some(9),
                "any: flips when the last probe goes down",
            ),
            (2, vec![(Up, None), (Down, None)], Down, None, "all: one is not enough"),
            (
                2,
                vec![(Up, Some(3)), (Up, Some(9))],
                Up,
                Some(3),
                "all: flips when the first probe goes down",
            ),
            (
                2,
                vec![(Down, Some(3)), (Down, Some(9))],
                Down,
                Some(9),
                "all: flips when the last probe is up again",
            ),
            (
                2,
                vec![(Up, None), (Unknown, None)],
                Unknown,
                None,
                "all: depends on the unknown probe",
            ),
            (2, vec![(Up, None), (Unknown, None), (Up, None)], Up, None, "two are up without it"),
            (2, vec![(Up, Some(2)), (Up, Some(5)), (Up, None)], Up, Some(5), "two of three"),
            (
                2,
                vec![(Up, Some(2)), (Down, Some(1)), (Down, Some(7))],
                Down,
                Some(1),
                "one more probe is enough",
            ),
        ] {
            let statuses: Vec<_> = probes.into_iter().map(health_status).collect();
            let combination =
                CombinedProbe { min_up, probes: (0..statuses.len() as u32).map(ProbeId).collect() };
            assert_eq!(combination.status(&statuses), health_status((verdict, flips)), "{why}");
        }
    }

    #[test]
    fn a_combination_is_pending_while_it_depends_on_a_probe_without_a_verdict() {
        let pending = HealthStatus {
            verdict: Verdict::Unknown,
            flips_in_secs: Some(7),
            is_pending: true,
            is_held: false,
        };
        let (up, waited) = (health_status((Verdict::Up, None)), HealthStatus::default());
        for (min_up, probes, is_pending, why) in [
            (1, [up, pending], false, "any: one is up"),
            (2, [up, pending], true, "all: one has had no verdict yet"),
            (1, [waited, pending], false, "any: one counts as up, since its wait is over"),
            (2, [waited, pending], true, "all: the other probe is still pending"),
            (2, [waited, waited], false, "all: the wait of both is over"),
        ] {
            let combination = CombinedProbe { min_up, probes: vec![ProbeId(0), ProbeId(1)] };
            let status = combination.status(&probes);
            assert_eq!(status.is_pending, is_pending, "{why}");
            assert_eq!(status.flips_in_secs, is_pending.then_some(7), "{why}");
        }
    }
}
