//! Agreement: whether a balancer's report on its servers matches the verdicts of our own probes.
//!
//! A balancer that reports all of its servers down while our probe passes hides an outage behind an
//! error page. One that reports servers up while our probe fails has a problem in front of it, or
//! our monitor checks the wrong thing. Neither changes an answer, because health is decided by
//! probes alone; but an operator should look.

use std::time::Duration;

use crate::{
    health::Verdict,
    load::LoadReport,
    steer::model::{Conditions, EndpointId, Topology},
};

/// How long a disagreement must last before it is reported: a verdict needs several probes, and
/// reports are seconds old.
const MIN_DISAGREEMENT_DURATION: Duration = Duration::from_secs(30);
/// The number of reports in a row that must show a disagreement before it is reported.
const MIN_DISAGREEMENT_REPORTS: u32 = 3;

/// How a balancer's report and our probes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disagreement {
    /// Our probes pass; the balancer reports that none of its servers is up.
    OnlyProbesUp,
    /// Our probes fail; the balancer reports that servers are up.
    OnlyBalancerUp,
}

impl Disagreement {
    /// The disagreement as a clause for operators.
    pub fn text(self) -> &'static str {
        match self {
            Self::OnlyProbesUp => {
                "our probes pass, but the balancer says that none of its servers is up"
            }
            Self::OnlyBalancerUp => "our probes fail, but the balancer says that servers are up",
        }
    }
}

/// A lasting disagreement that began or ended with a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisagreementChange {
    /// The disagreement has lasted long enough to be reported.
    Began(Disagreement),
    /// The report agrees with our probes again.
    Ended,
}

/// The disagreement between one feed and the probes of the endpoints that it describes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Agreement {
    /// The disagreement that the newest report shows, even if it has not lasted long enough yet.
    present: Option<PresentDisagreement>,
    is_lasting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct PresentDisagreement {
    disagreement: Disagreement,
    since: Duration,
    /// Reports in a row with this disagreement.
    report_count: u32,
}

impl Agreement {
    /// Records the disagreement that a report shows, if any. Returns the change if the report
    /// begins or ends a lasting disagreement.
    pub(super) fn record(
        &mut self,
        found: Option<Disagreement>,
        now: Duration,
    ) -> Option<DisagreementChange> {
        let Some(found) = found else {
            self.present = None;
            return std::mem::take(&mut self.is_lasting).then_some(DisagreementChange::Ended);
        };
        let present = match self.present {
            Some(present) if present.disagreement == found => {
                PresentDisagreement { report_count: present.report_count + 1, ..present }
            }
            _ => PresentDisagreement { disagreement: found, since: now, report_count: 1 },
        };
        self.present = Some(present);
        let lasts = present.report_count >= MIN_DISAGREEMENT_REPORTS
            && now.saturating_sub(present.since) >= MIN_DISAGREEMENT_DURATION;
        let begins = lasts && !self.is_lasting;
        self.is_lasting |= lasts;
        begins.then_some(DisagreementChange::Began(found))
    }

    /// The disagreement, once it lasts.
    pub(super) fn lasting_disagreement(&self) -> Option<Disagreement> {
        self.present.filter(|_| self.is_lasting).map(|present| present.disagreement)
    }
}

/// How a report differs from the verdicts of the probes of `endpoints`. `None` if they agree, if
/// the report counts no servers, or if no probe has a verdict yet.
pub(super) fn find_disagreement(
    topology: &Topology,
    conditions: &Conditions,
    endpoints: &[EndpointId],
    report: &LoadReport,
) -> Option<Disagreement> {
    let balancer_up = report.servers.filter(|servers| servers.total > 0)?.up > 0;
    let probes =
        endpoints.iter().flat_map(|id| topology.endpoint_probes[id.index()].iter().flatten());
    let verdicts: Vec<Verdict> =
        probes.map(|&probe| conditions.health_status(Some(probe)).verdict).collect();
    let probes_up = verdicts.contains(&Verdict::Up);
    if !probes_up && !verdicts.contains(&Verdict::Down) {
        return None;
    }
    match (probes_up, balancer_up) {
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
    fn only_a_lasting_disagreement_is_reported_and_only_once() {
        let mut agreement = Agreement::default();
        let found = Some(Disagreement::OnlyProbesUp);
        assert_eq!(agreement.record(found, SECOND), None);
        assert_eq!(agreement.record(None, 6 * SECOND), None);
        let changes: Vec<_> =
            (2..20).map(|step| agreement.record(found, step * 5 * SECOND)).collect();
        assert_eq!(changes.iter().filter(|change| change.is_some()).count(), 1);
        assert_eq!(changes[6], found.map(DisagreementChange::Began));
        assert_eq!(agreement.lasting_disagreement(), found);
        assert_eq!(agreement.record(None, 200 * SECOND), Some(DisagreementChange::Ended));
        assert_eq!(agreement.lasting_disagreement(), None);
    }
}
