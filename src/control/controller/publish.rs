//! Snapshots: what changed is compiled anew, and one pointer swap publishes it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant as TokioInstant;

use super::{Controller, SAVE, health};
use crate::{
    control::{drained::Published, load::World, report, state::unix_now},
    steer::{Changes, PoolId, ProbeId, ServiceId, combine},
};

/// The log names this many services of each kind of change.
const LOGGED: usize = 10;

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
            let groups = self.conditions.recovering.iter().filter(|(group, _)| group.pool == *id);
            match groups.map(|(_, secs)| *secs).max() {
                Some(secs) => {
                    tracing::info!(%pool, longest_secs = secs, "recovering: too few members are back, all are answered")
                }
                None => tracing::info!(%pool, "recovery ended"),
            }
        }
        if !changed.is_empty() {
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE);
        }
        changed
    }

    /// Notes the services that answer all of their members because none is usable.
    fn note_dark(&mut self) {
        let down =
            (0..).map(ServiceId).zip(self.charts.iter().map(|chart| &**chart)).filter(|(_, chart)| chart.is_down());
        self.recovery.note_dark(&mut self.world.compiler, &self.conditions, down);
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

    /// Tells the log which services and types ran out of usable members or are answered in another way since, and which have
    /// some again.
    pub(super) fn say_distress(&mut self) {
        let topology = &self.world.topology;
        let compiler = &self.world.compiler;
        let (mut now, mut new) = (BTreeMap::new(), Vec::new());
        for one in report::distressed(&self.charts) {
            let service = &topology.services[one.service.index()];
            let key = (service.name.clone(), service.kind.records(one.family));
            let way = (one.plight, one.pool.is_some());
            if self.distressed.get(&key) != Some(&way) && !now.contains_key(&key) {
                new.push(one);
            }
            // Of several ways the first stands for all.
            now.entry(key).or_insert(way);
        }
        for one in new.iter().take(LOGGED) {
            let (service, chart) = (&topology.services[one.service.index()], &self.charts[one.service.index()]);
            let (rtype, clients) = (service.kind.records(one.family), one.clients(compiler).join("; "));
            let clients = (!clients.is_empty()).then_some(clients);
            let answers = one.answers(compiler, chart);
            tracing::warn!(service = %service.name, rtype, clients, answers, "service has no usable member");
        }
        if let Some(services) = new.len().checked_sub(LOGGED).filter(|more| *more > 0) {
            tracing::warn!(services, "more services have no usable member: status lists them");
        }
        let mut recovered = self.distressed.keys().filter(|key| !now.contains_key(*key));
        for (name, rtype) in recovered.by_ref().take(LOGGED) {
            tracing::info!(service = %name, rtype, "service has usable members again");
        }
        match recovered.count() {
            0 => {}
            services => tracing::info!(services, "more services have usable members again"),
        }
        self.distressed = now;
    }
}
