//! Snapshots: what changed is compiled again by the worker, and one pointer swap publishes it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{task::spawn_blocking, time::Instant as TokioInstant};

use super::{Controller, SAVE_DELAY, health};
use crate::{
    control::{
        compile_worker::{CompileOutput, CompilerSwitch},
        distress,
        drain_tracker::PublishedSnapshot,
        state::unix_now,
    },
    snapshot::Snapshot,
    steer::{Chart, CompiledCharts, Family, PoolId, ProbeId, ServiceId, update_combined},
};

/// The log names this many services of each kind of change.
const MAX_LOGGED_SERVICES: usize = 10;

/// Drops a large value on a thread of its own: nothing waits while 100,000 charts are freed.
pub(super) fn drop_in_background<T: Send + 'static>(value: T) {
    // The thread ends by itself, or with the runtime.
    drop(spawn_blocking(move || drop(value)));
}

impl Controller {
    /// The snapshot in force.
    pub(in crate::control) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Switches the worker to the world's compiler, waits for its charts, and publishes them.
    pub(super) async fn switch_compiler(&mut self) {
        let _beat = self.metronome.activate();
        self.rebuild_conditions();
        self.publish_at = None;
        self.dry_run_charts = None;
        let for_loads = self.loaded.surveys.without_folds();
        let adoption = CompilerSwitch {
            compiled: self.loaded.compiled.take(),
            compiler: Arc::clone(&self.loaded.compiler),
            conditions: Arc::new(self.conditions.clone()),
            surveys: std::mem::replace(&mut self.loaded.surveys, for_loads),
            wheels: std::mem::take(&mut self.loaded.wheels),
        };
        // Without an answer the worker has ended, and so will this task.
        if let Ok(compiled) = self.worker.switch_compiler(adoption).await {
            self.publish_compiled(compiled);
        }
    }

    /// Updates the conditions from the ledger, aliases, ramps and load reports.
    pub(super) fn rebuild_conditions(&mut self) {
        let now = self.epoch.elapsed();
        self.conditions.standings =
            self.probe_keys.iter().map(|key| self.ledger.health_status(key, now)).collect();
        update_combined(&self.loaded.topology.combined_probes, &mut self.conditions.standings);
        self.changed_probes.clear();
        self.update_aliases();
        self.load_controller.update(&self.loaded.compiler, &mut self.conditions, true);
        self.recovery.set_topology(&self.loaded.topology);
        self.recovery.follow(&self.loaded.compiler, &mut self.conditions, now);
    }

    /// Has the worker compile what differs between the conditions and those in force.
    pub(super) fn request_compile(&mut self) {
        self.publish_at = None;
        self.worker.compile_under(Arc::new(self.conditions.clone()));
    }

    /// Updates the conditions from touched probes, aliases, load reports and recoveries. Returns
    /// whether the worker has to compile anything for that.
    pub(super) fn update_conditions(&mut self) -> bool {
        let now = self.epoch.elapsed();
        // A combined probe follows its parts below; the ledger knows nothing of it.
        let combinations = &self.loaded.topology.combined_probes;
        let touched: Vec<ProbeId> =
            self.changed_probes.drain().filter(|id| combinations[id.index()].is_none()).collect();
        let mut is_changed = false;
        for id in touched {
            let standing = self.ledger.health_status(&self.probe_keys[id.index()], now);
            is_changed |=
                std::mem::replace(&mut self.conditions.standings[id.index()], standing) != standing;
        }
        self.publish_at = None;
        is_changed |= !self.combine().is_empty();
        is_changed |= !self.update_aliases().is_empty();
        let has_news = std::mem::take(&mut self.has_forced_failback) || is_changed;
        is_changed |= !self.update_recoveries().is_empty();
        if !self
            .load_controller
            .update(&self.loaded.compiler, &mut self.conditions, has_news)
            .is_empty()
        {
            is_changed = true;
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE_DELAY);
        }
        if is_changed {
            self.request_compile();
        }
        is_changed
    }

    /// Publishes what the worker compiled.
    pub(super) fn publish_output(&mut self, product: &CompileOutput) {
        let compiled = &product.compiled;
        // Charts of another configuration have no place in this one's snapshot.
        if !Arc::ptr_eq(compiled.compiler(), &self.loaded.compiler) {
            return;
        }
        if product.is_complete {
            self.publish_compiled(compiled.clone());
        } else {
            let before = self.swap_snapshot(compiled);
            match self.consistent_snapshot {
                Some(_) => self.retired_snapshots.push(before),
                None => self.consistent_snapshot = Some(before),
            }
        }
    }

    /// Moves services that recover from an outage of all members on; those pools for which that
    /// changed.
    fn update_recoveries(&mut self) -> Vec<PoolId> {
        let changed =
            self.recovery.follow(&self.loaded.compiler, &mut self.conditions, self.epoch.elapsed());
        for id in &changed {
            let pool = &self.loaded.topology.pools[id.index()].name;
            let groups = self.conditions.recovering.iter().filter(|(group, _)| group.pool == *id);
            match groups.map(|(_, secs)| *secs).max() {
                Some(secs) => {
                    tracing::info!(%pool, longest_secs = secs, "recovering: too few members are back, all are answered")
                }
                None => tracing::info!(%pool, "recovery ended"),
            }
        }
        if !changed.is_empty() {
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE_DELAY);
        }
        changed
    }

    /// Notes the services that answer all of their members because none is usable.
    fn note_outages(&mut self, charts: &[Arc<Chart>]) {
        let troubled = self.distressed_services.iter().map(|id| (*id, &*charts[id.index()]));
        let down = troubled.filter(|(_, chart)| chart.is_down());
        self.recovery.note_outages(&self.loaded.compiler, &self.conditions_in_force, down);
    }

    /// Makes the standings of combined targets follow their parts; those that changed.
    pub(super) fn combine(&mut self) -> Vec<ProbeId> {
        let before = self.conditions.standings.clone();
        let combined =
            update_combined(&self.loaded.topology.combined_probes, &mut self.conditions.standings);
        for id in &combined {
            let (from, to) =
                (before[id.index()].verdict, self.conditions.standings[id.index()].verdict);
            if from != to {
                health::log_verdict_change(
                    &self.probe_keys[id.index()],
                    from,
                    to,
                    Some("combined from its parts"),
                );
            }
        }
        combined
    }

    /// Publishes charts that were all compiled under their conditions.
    pub(super) fn publish_compiled(&mut self, compiled: CompiledCharts) {
        self.conditions_in_force = Arc::clone(compiled.conditions());
        let last = self.swap_snapshot(&compiled);
        let before = match self.consistent_snapshot.take() {
            Some(before) => {
                self.retired_snapshots.push(last);
                before
            }
            None => last,
        };
        let snapshot = self.published.load_full();
        self.update_distressed_services(&before, &snapshot);
        self.note_outages(&snapshot.charts);
        let (conditions, now) = (&*self.conditions_in_force, unix_now());
        self.drain_tracker
            .update(&before, PublishedSnapshot { snapshot: &snapshot, conditions, now });
        self.retired_snapshots.push(before);
        drop_in_background(self.compiled.replace(compiled));
        self.log_distress(&snapshot.charts);
        drop(snapshot);
        self.drop_retired();
        for command in std::mem::take(&mut self.deferred_commands) {
            self.handle_command(command);
        }
    }

    /// Brings the list of services in distress up to date. Only charts that changed are read.
    fn update_distressed_services(&mut self, before: &Snapshot, now: &Snapshot) {
        let is_same_topology = Arc::ptr_eq(&before.topology, &now.topology);
        if !is_same_topology {
            self.distressed_services.clear();
        }
        let is_kept = |at: usize, chart: &Arc<Chart>| {
            is_same_topology && before.charts.get(at).is_some_and(|old| Arc::ptr_eq(old, chart))
        };
        for (at, chart) in now.charts.iter().enumerate().filter(|(at, chart)| !is_kept(*at, chart))
        {
            let is_troubled = [Family::V4, Family::V6]
                .iter()
                .any(|family| !chart.unusable_areas(*family).is_empty());
            match is_troubled {
                true => self.distressed_services.insert(ServiceId(at as u32)),
                false => self.distressed_services.remove(&ServiceId(at as u32)),
            };
        }
    }

    /// Publishes the charts in force with the server's new identity.
    pub(super) fn republish(&mut self) {
        let now = self.snapshot();
        let (generation, identity) = (now.generation + 1, Arc::clone(&self.identity));
        let before = self.published.swap(Arc::new(Snapshot {
            generation,
            identity,
            ..Snapshot::clone(&now)
        }));
        drop(now);
        self.retired_snapshots.push(before);
        self.drop_retired();
    }

    /// Makes these charts what is answered from; the snapshot before.
    fn swap_snapshot(&self, compiled: &CompiledCharts) -> Arc<Snapshot> {
        let generation = self.published.load().generation + 1;
        let snapshot = self.loaded.snapshot(generation, compiled, Arc::clone(&self.identity));
        self.counters.assign_slots(&snapshot.topology);
        self.published.swap(Arc::new(snapshot))
    }

    /// Drops the snapshots that nobody else holds any more. Each shard holds one at most.
    pub(super) fn drop_retired(&mut self) {
        let is_free = |snapshot: &mut Arc<Snapshot>| Arc::strong_count(snapshot) == 1;
        let free: Vec<_> = self.retired_snapshots.extract_if(.., is_free).collect();
        if !free.is_empty() {
            drop_in_background(free);
        }
    }

    /// Tells the log which services and types ran out of usable members or are answered in another
    /// way since, and which have some again.
    fn log_distress(&mut self, charts: &[Arc<Chart>]) {
        let topology = &self.loaded.topology;
        let compiler = &self.loaded.compiler;
        let (mut now, mut new) = (BTreeMap::new(), Vec::new());
        let of =
            |id: &ServiceId| distress::distressed_clients((*id, &charts[id.index()]), |_, _| true);
        // A start does not wait for aliases: until all were looked up once, services that wait for
        // one are not reported.
        let is_awaited =
            |id: &&ServiceId| charts[id.index()].awaits_alias() && !self.aliases.is_complete();
        for one in self.distressed_services.iter().filter(|id| !is_awaited(id)).flat_map(of) {
            let service = &topology.services[one.service.index()];
            let key = (service.name.clone(), service.kind.record_type(one.family));
            let way = (one.stage, one.pool.is_some());
            if self.logged_distress.get(&key) != Some(&way) && !now.contains_key(&key) {
                new.push(one);
            }
            // Of several ways the first stands for all.
            now.entry(key).or_insert(way);
        }
        for one in new.iter().take(MAX_LOGGED_SERVICES) {
            let (service, chart) =
                (&topology.services[one.service.index()], &charts[one.service.index()]);
            let (rtype, clients) =
                (service.kind.record_type(one.family), one.client_texts(compiler).join("; "));
            let clients = (!clients.is_empty()).then_some(clients);
            let answers = one.answer_text(compiler, chart);
            tracing::warn!(service = %service.name, rtype, clients, answers, "service has no usable member");
        }
        if let Some(services) = new.len().checked_sub(MAX_LOGGED_SERVICES).filter(|more| *more > 0)
        {
            tracing::warn!(services, "more services have no usable member: status lists them");
        }
        let mut recovered = self.logged_distress.keys().filter(|key| !now.contains_key(*key));
        for (name, rtype) in recovered.by_ref().take(MAX_LOGGED_SERVICES) {
            tracing::info!(service = %name, rtype, "service has usable members again");
        }
        match recovered.count() {
            0 => {}
            services => tracing::info!(services, "more services have usable members again"),
        }
        self.logged_distress = now;
    }
}
