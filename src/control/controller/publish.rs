//! Snapshots: what changed is compiled again by the worker, and one pointer swap publishes it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{task::spawn_blocking, time::Instant as TokioInstant};

use super::{Controller, SAVE, health};
use crate::{
    control::{
        compile_worker::{Adoption, Product},
        distress,
        drained::Published,
        state::unix_now,
    },
    snapshot::Snapshot,
    steer::{Chart, Compiled, Family, PoolId, ProbeId, ServiceId, combine},
};

/// The log names this many services of each kind of change.
const LOGGED: usize = 10;

/// Drops a large value on a thread of its own: nothing waits while 100,000 charts are freed.
pub(super) fn discard<T: Send + 'static>(value: T) {
    // The thread ends by itself, or with the runtime.
    drop(spawn_blocking(move || drop(value)));
}

impl Controller {
    /// The snapshot in force.
    pub(in crate::control) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Switches the worker to the world's compiler, waits for its charts, and publishes them.
    pub(super) async fn adopt_charts(&mut self) {
        let _beat = self.metronome.activate();
        self.renew_conditions();
        self.publish_at = None;
        self.rehearsed = None;
        let for_loads = self.world.surveys.without_folds();
        let adoption = Adoption {
            compiled: self.world.compiled.take(),
            compiler: Arc::clone(&self.world.compiler),
            conditions: Arc::new(self.conditions.clone()),
            surveys: std::mem::replace(&mut self.world.surveys, for_loads),
            wheels: std::mem::take(&mut self.world.wheels),
        };
        // Without an answer the worker has ended, and so will this task.
        if let Ok(compiled) = self.worker.adopt(adoption).await {
            self.send_out(compiled);
        }
    }

    /// Updates the conditions from the ledger, aliases, ramps and load reports.
    pub(super) fn renew_conditions(&mut self) {
        let now = self.epoch.elapsed();
        self.conditions.standings =
            self.keys.iter().map(|key| self.ledger.standing(key, now)).collect();
        combine(&self.world.topology, &mut self.conditions.standings);
        self.touched.clear();
        self.follow_aliases();
        self.regulator.follow(&self.world.compiler, &mut self.conditions, true);
        self.recovery.adopt(&self.world.topology);
        self.recovery.follow(&self.world.compiler, &mut self.conditions, now);
    }

    /// Has the worker compile what differs between the conditions and those in force.
    pub(super) fn compile(&mut self) {
        self.publish_at = None;
        self.worker.follow(Arc::new(self.conditions.clone()));
    }

    /// Updates the conditions from touched probes, aliases, load reports and recoveries. Returns
    /// whether the worker has to compile anything for that.
    pub(super) fn publish(&mut self) -> bool {
        let now = self.epoch.elapsed();
        // A combined probe follows its parts below; the ledger knows nothing of it.
        let combinations = &self.world.topology.combinations;
        let touched: Vec<ProbeId> =
            self.touched.drain().filter(|id| combinations[id.index()].is_none()).collect();
        let mut is_changed = false;
        for id in touched {
            let standing = self.ledger.standing(&self.keys[id.index()], now);
            is_changed |=
                std::mem::replace(&mut self.conditions.standings[id.index()], standing) != standing;
        }
        self.publish_at = None;
        is_changed |= !self.combine().is_empty();
        is_changed |= !self.follow_aliases().is_empty();
        let has_news = std::mem::take(&mut self.is_given_back) || is_changed;
        is_changed |= !self.follow_recovery().is_empty();
        if !self.regulator.follow(&self.world.compiler, &mut self.conditions, has_news).is_empty() {
            is_changed = true;
            self.save_at.get_or_insert_with(|| TokioInstant::now() + SAVE);
        }
        if is_changed {
            self.compile();
        }
        is_changed
    }

    /// Publishes what the worker compiled.
    pub(super) fn take_product(&mut self, product: &Product) {
        let compiled = &product.compiled;
        // Charts of another configuration have no place in this one's snapshot.
        if !Arc::ptr_eq(compiled.compiler(), &self.world.compiler) {
            return;
        }
        if product.is_complete {
            self.send_out(compiled.clone());
        } else {
            let before = self.put_in_force(compiled);
            match self.unmixed {
                Some(_) => self.retired.push(before),
                None => self.unmixed = Some(before),
            }
        }
    }

    /// Moves services that recover from an outage of all members on; those pools for which that
    /// changed.
    fn follow_recovery(&mut self) -> Vec<PoolId> {
        let changed =
            self.recovery.follow(&self.world.compiler, &mut self.conditions, self.epoch.elapsed());
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
    fn note_dark(&mut self, charts: &[Arc<Chart>]) {
        let troubled = self.troubled.iter().map(|id| (*id, &*charts[id.index()]));
        let down = troubled.filter(|(_, chart)| chart.is_down());
        self.recovery.note_dark(&self.world.compiler, &self.in_force, down);
    }

    /// Makes the standings of combined targets follow their parts; those that changed.
    pub(super) fn combine(&mut self) -> Vec<ProbeId> {
        let before = self.conditions.standings.clone();
        let combined = combine(&self.world.topology, &mut self.conditions.standings);
        for id in &combined {
            let (from, to) =
                (before[id.index()].verdict, self.conditions.standings[id.index()].verdict);
            if from != to {
                health::log_turn(&self.keys[id.index()], from, to, Some("combined from its parts"));
            }
        }
        combined
    }

    /// Publishes charts that were all compiled under their conditions.
    pub(super) fn send_out(&mut self, compiled: Compiled) {
        self.in_force = Arc::clone(compiled.conditions());
        let last = self.put_in_force(&compiled);
        let before = match self.unmixed.take() {
            Some(before) => {
                self.retired.push(last);
                before
            }
            None => last,
        };
        let snapshot = self.published.load_full();
        self.list_troubled(&before, &snapshot);
        self.note_dark(&snapshot.charts);
        let (conditions, now) = (&*self.in_force, unix_now());
        self.drained.follow(&before, Published { snapshot: &snapshot, conditions, now });
        self.retired.push(before);
        discard(self.compiled.replace(compiled));
        self.say_distress(&snapshot.charts);
        drop(snapshot);
        self.drop_retired();
        for command in std::mem::take(&mut self.deferred) {
            self.obey(command);
        }
    }

    /// Brings the list of services in distress up to date. Only charts that changed are read.
    fn list_troubled(&mut self, before: &Snapshot, now: &Snapshot) {
        let is_same_topology = Arc::ptr_eq(&before.topology, &now.topology);
        if !is_same_topology {
            self.troubled.clear();
        }
        let is_kept = |at: usize, chart: &Arc<Chart>| {
            is_same_topology && before.charts.get(at).is_some_and(|old| Arc::ptr_eq(old, chart))
        };
        for (at, chart) in now.charts.iter().enumerate().filter(|(at, chart)| !is_kept(*at, chart))
        {
            let is_troubled =
                [Family::V4, Family::V6].iter().any(|family| !chart.distress(*family).is_empty());
            match is_troubled {
                true => self.troubled.insert(ServiceId(at as u32)),
                false => self.troubled.remove(&ServiceId(at as u32)),
            };
        }
    }

    /// Publishes the charts in force with the server's new identity.
    pub(super) fn send_out_again(&mut self) {
        let now = self.snapshot();
        let (generation, identity) = (now.generation + 1, Arc::clone(&self.identity));
        let before = self.published.swap(Arc::new(Snapshot {
            generation,
            identity,
            ..Snapshot::clone(&now)
        }));
        drop(now);
        self.retired.push(before);
        self.drop_retired();
    }

    /// Makes these charts what is answered from; the snapshot before.
    fn put_in_force(&self, compiled: &Compiled) -> Arc<Snapshot> {
        let generation = self.published.load().generation + 1;
        let snapshot = self.world.snapshot(generation, compiled, Arc::clone(&self.identity));
        self.counters.assign_slots(&snapshot.topology);
        self.published.swap(Arc::new(snapshot))
    }

    /// Drops the snapshots that nobody else holds any more. Each shard holds one at most.
    pub(super) fn drop_retired(&mut self) {
        let is_free = |snapshot: &mut Arc<Snapshot>| Arc::strong_count(snapshot) == 1;
        let free: Vec<_> = self.retired.extract_if(.., is_free).collect();
        if !free.is_empty() {
            discard(free);
        }
    }

    /// Tells the log which services and types ran out of usable members or are answered in another
    /// way since, and which have some again.
    fn say_distress(&mut self, charts: &[Arc<Chart>]) {
        let topology = &self.world.topology;
        let compiler = &self.world.compiler;
        let (mut now, mut new) = (BTreeMap::new(), Vec::new());
        let of = |id: &ServiceId| distress::of((*id, &charts[id.index()]), |_, _| true);
        // A start does not wait for aliases: until all were looked up once, services that wait for
        // one are not reported.
        let is_awaited =
            |id: &&ServiceId| charts[id.index()].awaits_alias() && !self.aliases.is_complete();
        for one in self.troubled.iter().filter(|id| !is_awaited(id)).flat_map(of) {
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
            let (service, chart) =
                (&topology.services[one.service.index()], &charts[one.service.index()]);
            let (rtype, clients) =
                (service.kind.records(one.family), one.clients(compiler).join("; "));
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
