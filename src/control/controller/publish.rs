//! Snapshots: what changed is compiled anew, and one pointer swap publishes it.

use std::{collections::HashSet, sync::Arc};

use tokio::time::Instant as TokioInstant;

use super::{Controller, SAVE, health};
use crate::{
    control::{drained::Published, load::World, report, state::unix_now},
    dns::Name,
    steer::{Changes, PoolId, ProbeId, combine},
};

impl Controller {
    /// Compiles every chart and publishes.
    pub(super) fn compile_all(&mut self) {
        let _beat = self.metronome.beat();
        let now = self.epoch.elapsed();
        self.conditions.standings = self.keys.iter().map(|key| self.ledger.standing(key, now)).collect();
        combine(&self.world.topology, &mut self.conditions.standings);
        self.touched.clear();
        self.follow_aliases();
        self.regulator.follow(&mut self.world.compiler, &mut self.conditions, true);
        self.recovery.adopt(&self.world.topology);
        self.recovery.follow(&mut self.world.compiler, &mut self.conditions, now);
        self.charts = self.world.compiler.compile(&self.conditions, &mut self.world.surveys);
        self.send_out();
    }

    /// Compiles what the touched probes have a part in and publishes.
    pub(super) fn publish(&mut self) {
        let now = self.epoch.elapsed();
        // A combined probe follows its parts below; the ledger knows nothing of it.
        let combinations = &self.world.topology.combinations;
        let touched: Vec<ProbeId> = self.touched.drain().filter(|id| combinations[id.index()].is_none()).collect();
        let mut changes = Changes::default();
        for id in touched {
            let standing = self.ledger.standing(&self.keys[id.index()], now);
            if self.conditions.standings[id.index()] != standing {
                self.conditions.standings[id.index()] = standing;
                changes.probes.push(id);
            }
        }
        self.publish_at = None;
        changes.probes.extend(self.combine());
        changes.aliases = self.follow_aliases();
        let has_news = std::mem::take(&mut self.is_given_back) || !changes.is_empty();
        changes.recoveries = self.follow_recovery();
        changes.pools = self.regulator.follow(&mut self.world.compiler, &mut self.conditions, has_news);
        if !changes.pools.is_empty() {
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE);
        }
        if !changes.is_empty() {
            let _beat = self.metronome.beat();
            let World { compiler, surveys, .. } = &mut self.world;
            compiler.recompile(&self.conditions, &changes, surveys, &mut self.charts);
            self.send_out();
        }
    }

    /// Moves services that recover from an outage of all members on; those pools for which that changed.
    fn follow_recovery(&mut self) -> Vec<PoolId> {
        let changed = self.recovery.follow(&mut self.world.compiler, &mut self.conditions, self.epoch.elapsed());
        for id in &changed {
            let pool = &self.world.topology.pools[id.index()].name;
            match self.conditions.recovering.get(id) {
                Some(secs) => {
                    tracing::info!(%pool, longest_secs = secs, "recovering: too few members are back, all are answered")
                }
                None => tracing::info!(%pool, "recovery ended"),
            }
        }
        changed
    }

    /// Notes the services that answer all of their members because none is usable.
    fn note_dark(&mut self) {
        let topology = Arc::clone(&self.world.topology);
        let down = topology.services.iter().zip(&self.charts).filter(|(_, chart)| chart.is_down());
        self.recovery.note_dark(&mut self.world.compiler, &self.conditions, down.map(|(service, _)| service.pool));
    }

    /// Makes the standings of combined targets follow their parts; those that changed.
    pub(super) fn combine(&mut self) -> Vec<ProbeId> {
        let before = self.conditions.standings.clone();
        let combined = combine(&self.world.topology, &mut self.conditions.standings);
        for id in &combined {
            let (from, to) = (before[id.index()].verdict, self.conditions.standings[id.index()].verdict);
            if from != to {
                health::log_turn(&self.keys[id.index()], from, to, Some("combined from its parts"));
            }
        }
        combined
    }

    pub(super) fn send_out(&mut self) {
        self.publish_at = None;
        self.note_dark();
        let generation = self.published.load().generation + 1;
        let identity = Arc::clone(&self.identity);
        let snapshot = self.world.snapshot(generation, self.charts.clone(), &self.conditions, identity);
        self.counters.prepare(&snapshot.topology);
        let snapshot = Arc::new(snapshot);
        let before = self.published.swap(Arc::clone(&snapshot));
        let (conditions, now) = (&self.conditions, unix_now());
        self.drained.follow(&before, Published { snapshot: &snapshot, conditions, now });
        drop(snapshot);
        self.retired.push(before);
        self.drop_retired();
        self.world.surveys.prune();
        self.say_distress();
    }

    /// Drops the snapshots that nobody else holds any more. Each shard holds one at most.
    pub(super) fn drop_retired(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    /// Tells the log which services ran out of usable members, and which have some again.
    pub(super) fn say_distress(&mut self) {
        let now = report::distressed(&self.world.topology, &self.charts);
        let names: HashSet<Name> = now.iter().map(|(name, ..)| name.clone()).collect();
        let new: Vec<_> = now.iter().filter(|(name, ..)| !self.distressed.contains(name)).collect();
        for (name, rtype, plight) in new.iter().take(10) {
            let answers = report::plight_text(*plight);
            tracing::warn!(service = %name, rtype, answers, "service has no usable member");
        }
        if new.len() > 10 {
            tracing::warn!(services = new.len() - 10, "more services have no usable member: status lists them");
        }
        let recovered: Vec<_> = self.distressed.difference(&names).collect();
        for name in recovered.iter().take(10) {
            tracing::info!(service = %name, "service has usable members again");
        }
        if recovered.len() > 10 {
            tracing::info!(services = recovered.len() - 10, "more services have usable members again");
        }
        self.distressed = names;
    }
}
