//! Combinations: how a target stands with a combined monitor, out of how it stands with the parts.

use super::ids::ProbeId;
use crate::health::{HealthStatus, Verdict};

/// Several probes of one target, of which enough must be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinedProbe {
    /// How many.
    pub min_up: u32,
    /// Which, each once.
    pub probes: Vec<ProbeId>,
}

impl CombinedProbe {
    /// The standing that follows from those of the parts. An unknown part counts as up; a verdict
    /// that depends on it is unknown itself, and pending while the parts that are not pending are
    /// too few.
    pub fn standing(&self, standings: &[HealthStatus]) -> HealthStatus {
        let parts = || self.probes.iter().filter_map(|part| standings.get(part.index()));
        let count = |is_it: fn(Verdict) -> bool| parts().filter(|part| is_it(part.verdict)).count();
        let least = self.min_up as usize;
        let (usable, up) = (count(Verdict::is_usable), count(|verdict| verdict == Verdict::Up));
        let verdict = match (up >= least, usable >= least) {
            (true, _) => Verdict::Up,
            (false, true) => Verdict::Unknown,
            (false, false) => Verdict::Down,
        };
        // So many parts must flip for this to flip; the last of them decides when.
        let missing = if usable >= least { usable - least } else { least - usable - 1 };
        let mut flips: Vec<u32> = parts()
            .filter(|part| part.verdict.is_usable() == verdict.is_usable())
            .filter_map(|part| part.flips_in_secs)
            .collect();
        flips.sort_unstable();
        let judged = parts().filter(|part| part.verdict.is_usable() && !part.is_pending).count();
        let is_pending = verdict == Verdict::Unknown && judged < least;
        let first_wait =
            || parts().filter(|part| part.is_pending).filter_map(|part| part.flips_in_secs).min();
        let flips_in_secs = if is_pending { first_wait() } else { flips.get(missing).copied() };
        HealthStatus { verdict, flips_in_secs, is_pending }
    }

    /// How many parts are up or unknown.
    pub fn usable(&self, standings: &[HealthStatus]) -> usize {
        let parts = self.probes.iter().filter_map(|part| standings.get(part.index()));
        parts.filter(|part| part.verdict.is_usable()).count()
    }
}

/// Makes the standings of all combined probes follow those of their parts, and says which changed.
pub fn update_combined(
    combined_probes: &[Option<CombinedProbe>],
    standings: &mut [HealthStatus],
) -> Vec<ProbeId> {
    let mut changed = Vec::new();
    // Parts stand before what is made of them, so that one pass is enough.
    for (combination, id) in combined_probes.iter().zip((0..).map(ProbeId)) {
        let Some(combination) = combination else { continue };
        let standing = combination.standing(standings);
        if let Some(old) = standings.get_mut(id.index()).filter(|old| **old != standing) {
            *old = standing;
            changed.push(id);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing((verdict, flips_in_secs): (Verdict, Option<u32>)) -> HealthStatus {
        HealthStatus { verdict, flips_in_secs, ..HealthStatus::default() }
    }

    #[test]
    fn enough_parts_make_a_combination_and_the_last_that_counts_flips_it() {
        use Verdict::{Down, Unknown, Up};
        for (least, parts, verdict, flips, why) in [
            (1, vec![(Up, None), (Down, None)], Up, None, "any: one is enough"),
            (1, vec![(Down, None), (Down, Some(4))], Down, Some(4), "any: the one that comes back"),
            (1, vec![(Up, Some(3)), (Up, None)], Up, None, "any: the other stays"),
            (1, vec![(Up, Some(3)), (Up, Some(9))], Up, Some(9), "any: when the last goes"),
            (2, vec![(Up, None), (Down, None)], Down, None, "all: one is not enough"),
            (2, vec![(Up, Some(3)), (Up, Some(9))], Up, Some(3), "all: when the first goes"),
            (
                2,
                vec![(Down, Some(3)), (Down, Some(9))],
                Down,
                Some(9),
                "all: when the last is back",
            ),
            (2, vec![(Up, None), (Unknown, None)], Unknown, None, "hangs on what is unknown"),
            (2, vec![(Up, None), (Unknown, None), (Up, None)], Up, None, "does not"),
            (2, vec![(Up, Some(2)), (Up, Some(5)), (Up, None)], Up, Some(5), "two of three"),
            (
                2,
                vec![(Up, Some(2)), (Down, Some(1)), (Down, Some(7))],
                Down,
                Some(1),
                "one more is enough",
            ),
        ] {
            let standings: Vec<_> = parts.into_iter().map(standing).collect();
            let combination = CombinedProbe {
                min_up: least,
                probes: (0..standings.len() as u32).map(ProbeId).collect(),
            };
            assert_eq!(combination.standing(&standings), standing((verdict, flips)), "{why}");
        }
    }

    #[test]
    fn a_combination_is_pending_while_it_depends_on_a_part_never_judged() {
        let pending =
            HealthStatus { verdict: Verdict::Unknown, flips_in_secs: Some(7), is_pending: true };
        let (up, late) = (standing((Verdict::Up, None)), HealthStatus::default());
        for (least, parts, is_pending, why) in [
            (1, [up, pending], false, "any: one is up"),
            (2, [up, pending], true, "all: one was never judged"),
            (1, [late, pending], false, "any: one counts as up, for it has waited long enough"),
            (2, [late, pending], true, "all: the other still waits"),
            (2, [late, late], false, "all: both have waited long enough"),
        ] {
            let combination = CombinedProbe { min_up: least, probes: vec![ProbeId(0), ProbeId(1)] };
            let standing = combination.standing(&parts);
            assert_eq!(standing.is_pending, is_pending, "{why}");
            assert_eq!(standing.flips_in_secs, is_pending.then_some(7), "{why}");
        }
    }
}
