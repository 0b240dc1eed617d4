//! Agreement: whether a balancer's word on its servers is what our own probes find.
//!
//! A balancer that says that all of its servers are down while our probe passes hides an outage
//! behind an error page; one that says that they are up while our probe fails has a problem in
//! front of it, or our monitor asks the wrong thing. Neither changes an answer: health is what
//! probes say. But somebody should look.

use std::time::Duration;

use crate::{
    health::Verdict,
    load::LoadReport,
    steer::model::{Conditions, EndpointId, Topology},
};

/// Both must differ for so long, and for as many reports: verdicts need some probes, reports are
/// seconds old.
const MIN_DISAGREEMENT_DURATION: Duration = Duration::from_secs(30);
const MIN_DISAGREEMENT_REPORTS: u32 = 3;

/// A balancer and our probes say different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disagreement {
    /// Our probes pass; it says that none of its servers is up.
    OnlyProbesUp,
    /// Our probes fail; it says that servers are up.
    OnlyBalancerUp,
}

impl Disagreement {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::OnlyProbesUp => {
                "our probes pass, but the balancer says that none of its servers is up"
            }
            Self::OnlyBalancerUp => "our probes fail, but the balancer says that servers are up",
        }
    }
}

/// How one feed and the probes of those it describes get on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Agreement {
    since: Option<(Disagreement, Duration, u32)>,
    is_lasting: bool,
}

impl Agreement {
    /// Takes note of a report. Whether a lasting disagreement began (`Some(Some)`) or ended
    /// (`Some(None)`) with it.
    pub(super) fn record(
        &mut self,
        found: Option<Disagreement>,
        now: Duration,
    ) -> Option<Option<Disagreement>> {
        let Some(found) = found else {
            self.since = None;
            return std::mem::take(&mut self.is_lasting).then_some(None);
        };
        let (since, count) = match self.since {
            Some((same, since, count)) if same == found => (since, count + 1),
            _ => (now, 1),
        };
        self.since = Some((found, since, count));
        let lasts = count >= MIN_DISAGREEMENT_REPORTS
            && now.saturating_sub(since) >= MIN_DISAGREEMENT_DURATION;
        let begins = lasts && !self.is_lasting;
        self.is_lasting |= lasts;
        begins.then_some(Some(found))
    }

    /// The disagreement, once it lasts.
    pub(super) fn lasting_disagreement(&self) -> Option<Disagreement> {
        self.since.filter(|_| self.is_lasting).map(|(found, ..)| found)
    }
}

/// What a report and the probes of `endpoints` differ in. Nothing where one of the two has nothing
/// to say.
pub(super) fn find_disagreement(
    topology: &Topology,
    conditions: &Conditions,
    endpoints: &[EndpointId],
    report: &LoadReport,
) -> Option<Disagreement> {
    let theirs = report.servers.filter(|servers| servers.total > 0)?.up > 0;
    let probes =
        endpoints.iter().flat_map(|id| topology.endpoint_probes[id.index()].iter().flatten());
    let verdicts: Vec<Verdict> =
        probes.map(|&probe| conditions.standing(Some(probe)).verdict).collect();
    let ours = verdicts.contains(&Verdict::Up);
    if !ours && !verdicts.contains(&Verdict::Down) {
        return None;
    }
    match (ours, theirs) {
        (true, false) => Some(Disagreement::OnlyProbesUp),
        (false, true) => Some(Disagreement::OnlyBalancerUp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_disagreement_that_lasts_is_told_and_once() {
        let mut agreement = Agreement::default();
        let found = Some(Disagreement::OnlyProbesUp);
        assert_eq!(agreement.record(found, SECOND), None);
        assert_eq!(agreement.record(None, 6 * SECOND), None);
        let told: Vec<_> = (2..20).map(|at| agreement.record(found, at * 5 * SECOND)).collect();
        assert_eq!(told.iter().filter(|told| told.is_some()).count(), 1);
        assert_eq!(told[6], Some(found));
        assert_eq!(agreement.lasting_disagreement(), found);
        assert_eq!(agreement.record(None, 200 * SECOND), Some(None));
        assert_eq!(agreement.lasting_disagreement(), None);
    }
}
