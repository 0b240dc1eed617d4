//! Failbacks by command: the clients of a `failover` pool return to its first usable member, unless
//! a safety rule forbids it.

use std::time::Duration;

use super::{
    owner::Controller,
    pending_failbacks::PendingFailback,
    rule_checks::{ChangeRefusal, CheckedChange, DistressRule, refused_by},
    trial_outcome::{TrialOutcome, TrialRequest},
};
use crate::steer::PoolId;

impl Controller {
    /// Begins with the first failback, unless it is being tried already. Where no rule forbids
    /// anything, and where no member holds clients, nothing is tried.
    pub(super) fn begin_failback(&mut self) {
        while let Some(failback) = self.failbacks.next() {
            let topology = &self.loaded.topology;
            let found = topology.pools.iter().position(|pool| *pool.name == *failback.pool);
            let held = found.map(|index| PoolId(index as u32));
            let current = self.conditions.current();
            let held = held.filter(|id| current.adjustments.holders.contains_key(id));
            let (Some(id), true) = (held, self.has_rules()) else {
                self.carry_out_failback(None);
                continue;
            };
            let mut settled = current.clone();
            settled.adjustments.holders.remove(&id);
            settled.adjustments.failbacks.remove(&id);
            let measured = Some(settled.clone());
            let trial = self.begin_trial(TrialRequest { topology: None, settled, measured });
            self.failbacks.begin(trial);
        }
    }

    /// Continues the first failback with its trial; `None` if the worker dropped it.
    pub(super) fn end_failback_trial(&mut self, outcome: Option<TrialOutcome>) {
        self.failbacks.end_trial();
        if outcome.is_some() {
            self.carry_out_failback(outcome);
        }
        self.begin_failback();
    }

    fn carry_out_failback(&mut self, outcome: Option<TrialOutcome>) {
        let Some(PendingFailback { pool, consent, reply }) = self.failbacks.pop_first() else {
            return;
        };
        if let Some(outcome) = outcome {
            let (violations, movement) = self.judge(CheckedChange {
                topology: &self.loaded.topology,
                settled: outcome.charts.conditions(),
                outcome: &outcome,
                over: None,
                is_harmless: false,
            });
            let distress = DistressRule { distressed: &[], protects_members: false };
            match refused_by(violations, distress, &consent) {
                Ok(overridden) => {
                    self.report_overridden(&overridden, &consent);
                    self.note_movement(movement);
                }
                Err(ChangeRefusal::Rules(violations)) => {
                    self.report_refused("failback", &violations);
                    // The client may be gone.
                    let _ = reply.send(Err(violations));
                    return;
                }
                Err(ChangeRefusal::Distress) => {}
            }
        }
        let was_held = self.conditions.force_failback(&pool);
        if was_held == Some(true) {
            self.publication.schedule(Duration::ZERO);
        }
        // The client may be gone.
        let _ = reply.send(Ok(was_held));
    }
}
