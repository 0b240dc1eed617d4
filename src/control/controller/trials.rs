//! Trials: charts as if a change were in force, and what they would break. The worker compiles
//! them; what they move, and whether the requirements hold, is found out on a thread of its own.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use super::{
    owner::Controller,
    trial_outcome::{TrialOutcome, TrialRequest},
};
use crate::{
    config::WrittenRequirements,
    control::{clock::unix_now, compile_worker::TrialSpec},
    engine::{MovedShare, PlanOptions, PlanSide, moved_share},
    geo::Databases,
    steer::{CompiledCharts, Conditions, verify},
};

/// What is found out about charts beside the worker.
struct Assessment {
    before: CompiledCharts,
    databases: Arc<Databases>,
    options: PlanOptions,
    is_measured: bool,
    requirements: Option<Arc<WrittenRequirements>>,
}

impl Controller {
    /// Has the worker compile a trial. The sender is dropped if the worker switches to another
    /// compiler before.
    pub(super) fn begin_trial(&self, request: TrialRequest) -> oneshot::Receiver<TrialOutcome> {
        let TrialRequest { topology, settled, measured } = request;
        let databases = self.loaded.databases();
        let spec = |conditions: Conditions| TrialSpec {
            topology: topology.as_ref().map(|known| (Arc::clone(known), Arc::clone(databases))),
            conditions: Arc::new(conditions),
        };
        let assessment = measured.as_ref().and_then(|_| self.assessment());
        let other = measured.filter(|measured| {
            assessment.as_ref().is_some_and(|one| one.is_measured) && *measured != settled
        });
        let other = other.map(|conditions| self.worker.dry_run(spec(conditions)));
        let charts = self.worker.dry_run(spec(settled));
        let (reply, outcome) = oneshot::channel();
        let demand = self.persistence.demand();
        // It ends by itself: the worker replies or drops the sender.
        tokio::spawn(async move {
            let Ok(charts) = charts.await else { return };
            let measured = match other {
                Some(other) => match other.await {
                    Ok(measured) => measured,
                    Err(_) => return,
                },
                None => charts.clone(),
            };
            let (moved, failing) = match assessment {
                Some(mut assessment) => {
                    if assessment.is_measured {
                        assessment.options.observed = demand.observed().await;
                    }
                    assessment.run(measured).await
                }
                None => (None, Vec::new()),
            };
            // The receiver is gone if the change is.
            let _ = reply.send(TrialOutcome { charts, moved, failing });
        });
        outcome
    }

    /// What rules ask about charts; `None` if none does, or before the first charts.
    fn assessment(&self) -> Option<Assessment> {
        let config = &self.loaded.config;
        let is_measured = config.safety.rules.movement.is_some();
        let requirements = Arc::clone(&config.requirements);
        let requirements =
            Some(requirements).filter(|list| list.are_enforced && !list.list.is_empty());
        (is_measured || requirements.is_some()).then_some(())?;
        Some(Assessment {
            before: self.publication.charts()?.clone(),
            databases: Arc::clone(self.loaded.databases()),
            options: PlanOptions {
                answers: self.answer_counts(),
                now: unix_now(),
                ..PlanOptions::default()
            },
            is_measured,
            requirements,
        })
    }

    /// The answers counted for each service, where a rule weighs services by them.
    pub(super) fn answer_counts(&self) -> HashMap<String, u64> {
        if self.loaded.config.safety.rules.movement.is_none() {
            return HashMap::new();
        }
        let services = self.publication.counters().collect().services.into_iter();
        services
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_string(), count))
            .collect()
    }
}

impl Assessment {
    /// What the charts move, and the requirements that do not hold with their topology.
    async fn run(self, charts: CompiledCharts) -> (Option<MovedShare>, Vec<String>) {
        let assess = move || {
            let moved = self.is_measured.then(|| {
                let before = PlanSide { compiled: &self.before, databases: &self.databases };
                let after = PlanSide { compiled: &charts, databases: &self.databases };
                moved_share(before, after, &self.options)
            });
            let failing = self.requirements.map(|requirements| {
                let topology = charts.compiler().topology();
                let list = &requirements.list;
                requirements.lines(&verify(topology, &self.databases, list, unix_now()))
            });
            (moved, failing.unwrap_or_default())
        };
        match tokio::task::spawn_blocking(assess).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "a change was not measured: rules about movement and requirements are not applied to it");
                (None, Vec::new())
            }
        }
    }
}
