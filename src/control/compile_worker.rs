//! The compile worker: a thread that compiles charts, so that the controller's task, health checks
//! and the admin server never wait for it.
//!
//! The controller posts requests to a mailbox, where a newer request replaces an older one of its
//! kind. The worker checks the mailbox after each service that it compiled. The services that a
//! newer request touches are compiled first, and published before the rest is done.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::{oneshot, watch};

use crate::{
    geo::Databases,
    steer::{Compilation, CompiledCharts, Compiler, Conditions, Surveys, Topology, WheelCache},
    transport::PreemptionTimer,
};

/// The handle to the worker. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct CompileWorker {
    mailbox: Arc<Mailbox>,
    outputs: watch::Receiver<Option<Arc<CompileOutput>>>,
}

/// What the worker compiled.
#[derive(Debug)]
pub(super) struct CompileOutput {
    /// The charts. Services that are still to be compiled have their earlier charts.
    pub compiled: CompiledCharts,
    /// Whether no service is still to be compiled.
    pub is_complete: bool,
}

/// What the worker continues from after a load.
#[derive(Debug)]
pub(super) struct CompilerSwitch {
    /// Charts of the same compiler, perhaps under earlier conditions: only what differs is
    /// compiled. `None` compiles all.
    pub compiled: Option<CompiledCharts>,
    pub compiler: Arc<Compiler>,
    pub conditions: Arc<Conditions>,
    /// `None` continues with the caches that the worker has.
    pub caches: Option<CompileCache>,
}

/// What compilations reuse of earlier ones.
#[derive(Debug, Default)]
pub(super) struct CompileCache {
    pub surveys: Surveys,
    /// The tables that the wheels of the charts share.
    pub wheels: WheelCache,
}

/// Charts to compile that are not published.
#[derive(Debug)]
pub(super) struct TrialSpec {
    /// The topology of the charts, with the databases; `None` for that of the charts in force. It
    /// has the pools and endpoints of that one, with the same numbers.
    pub topology: Option<(Arc<Topology>, Arc<Databases>)>,
    pub conditions: Arc<Conditions>,
}

type CompiledSender = oneshot::Sender<CompiledCharts>;

#[derive(Debug, Default)]
struct CompileRequests {
    is_stopped: bool,
    switch: Option<(Box<CompilerSwitch>, CompiledSender)>,
    conditions: Option<Arc<Conditions>>,
    dry_runs: Vec<(TrialSpec, CompiledSender)>,
    copy_wheels: Option<oneshot::Sender<WheelCache>>,
}

impl CompileRequests {
    fn is_empty(&self) -> bool {
        !self.is_stopped
            && self.switch.is_none()
            && self.conditions.is_none()
            && self.dry_runs.is_empty()
            && self.copy_wheels.is_none()
    }
}

#[derive(Debug, Default)]
struct Mailbox {
    requests: Mutex<CompileRequests>,
    has_requests: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, CompileRequests> {
        // Requests are replaced whole: a panic leaves no half of one.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, change: impl FnOnce(&mut CompileRequests)) {
        change(&mut self.lock());
        self.has_requests.notify_one();
    }

    fn wait(&self) -> CompileRequests {
        let requests = self.has_requests.wait_while(self.lock(), |requests| requests.is_empty());
        std::mem::take(&mut *requests.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for CompileWorker {
    fn drop(&mut self) {
        self.mailbox.post(|requests| requests.is_stopped = true);
    }
}

impl CompileWorker {
    /// Starts the thread, with nothing to compile yet.
    ///
    /// # Errors
    /// The system cannot start the thread.
    pub(super) fn start(metronome: PreemptionTimer) -> std::io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let (output, outputs) = watch::channel(None);
        let worker =
            CompileThread { mailbox: Arc::clone(&mailbox), output, metronome, state: None };
        thread::Builder::new().name("compile".to_owned()).spawn(move || worker.run())?;
        Ok(Self { mailbox, outputs })
    }

    /// Switches to another compiler. The receiver gets its charts under the conditions once every
    /// service is compiled. Earlier requests for charts are dropped.
    pub(super) fn switch_compiler(
        &self,
        switch: CompilerSwitch,
    ) -> oneshot::Receiver<CompiledCharts> {
        let (reply, compiled) = oneshot::channel();
        self.mailbox.post(|requests| {
            *requests = CompileRequests {
                switch: Some((Box::new(switch), reply)),
                is_stopped: requests.is_stopped,
                // A load that begins waits for them.
                copy_wheels: requests.copy_wheels.take(),
                ..CompileRequests::default()
            };
        });
        compiled
    }

    /// Compiles the services that newer conditions touch. [`CompileWorker::next_output`] returns
    /// their charts.
    pub(super) fn compile_under(&self, conditions: Arc<Conditions>) {
        self.mailbox.post(|requests| requests.conditions = Some(conditions));
    }

    /// Compiles charts that are not published, one request after the other. The sender is dropped
    /// if the worker switches to another compiler before.
    pub(super) fn dry_run(&self, spec: TrialSpec) -> oneshot::Receiver<CompiledCharts> {
        let (reply, compiled) = oneshot::channel();
        self.mailbox.post(|requests| requests.dry_runs.push((spec, reply)));
        compiled
    }

    /// Copies the cache of the wheels' tables, for a load that compiles on its own thread. The
    /// tables themselves are shared.
    pub(super) fn copy_wheels(&self) -> oneshot::Receiver<WheelCache> {
        let (reply, wheels) = oneshot::channel();
        self.mailbox.post(|requests| requests.copy_wheels = Some(reply));
        wheels
    }

    /// Waits for charts that were not returned yet, and returns the newest ones. `None` where the
    /// worker has ended.
    pub(super) async fn next_output(&mut self) -> Option<Arc<CompileOutput>> {
        loop {
            self.outputs.changed().await.ok()?;
            if let Some(output) = &*self.outputs.borrow_and_update() {
                return Some(Arc::clone(output));
            }
        }
    }
}

struct CompileThread {
    mailbox: Arc<Mailbox>,
    output: watch::Sender<Option<Arc<CompileOutput>>>,
    metronome: PreemptionTimer,
    state: Option<CompileState>,
}

/// The charts that the worker continues from, and what it is compiling.
struct CompileState {
    /// The latest complete charts.
    base: CompiledCharts,
    caches: CompileCache,
    active_pass: Option<Compilation>,
    /// The conditions of the next pass.
    queued_conditions: Option<Arc<Conditions>>,
    dry_runs: VecDeque<(Compilation, CompiledSender)>,
}

impl CompileThread {
    fn run(mut self) {
        loop {
            let is_idle = self.state.as_ref().is_none_or(|state| !state.is_busy());
            let requests = if is_idle {
                self.mailbox.wait()
            } else {
                std::mem::take(&mut *self.mailbox.lock())
            };
            if requests.is_stopped {
                return;
            }
            let _guard = self.metronome.activate();
            if let Some((switch, reply)) = requests.switch {
                self.switch_compiler(*switch, reply);
            }
            let Some(state) = &mut self.state else { continue };
            if let Some(reply) = requests.copy_wheels {
                // The receiver is gone where the system could not start the load's thread.
                let _ = reply.send(state.caches.wheels.clone());
            }
            state.accept_requests(requests.conditions, requests.dry_runs);
            let mailbox = &self.mailbox;
            if let Some(output) = state.run_until_interrupted(&mut || !mailbox.lock().is_empty()) {
                self.output.send_replace(Some(Arc::new(output)));
            }
        }
    }

    /// Switches to another compiler. Newer requests do not interrupt the switch, because the
    /// controller waits for its charts; the charts in force answer queries meanwhile.
    fn switch_compiler(&mut self, switch: CompilerSwitch, reply: CompiledSender) {
        let CompilerSwitch { compiled, compiler, conditions, caches } = switch;
        let own_caches = || self.state.take().map(|state| state.caches).unwrap_or_default();
        let mut caches = caches.unwrap_or_else(own_caches);
        let compilation = match compiled {
            Some(base) => Compilation::after(&base, compiler, conditions),
            None => Compilation::new(compiler, conditions),
        };
        let base = compilation.finish(&mut caches.surveys, &mut caches.wheels);
        // The controller has no use for charts of the previous compiler.
        self.output.send_replace(None);
        caches.surveys.prune();
        self.state = Some(CompileState {
            base: base.clone(),
            caches,
            active_pass: None,
            queued_conditions: None,
            dry_runs: VecDeque::new(),
        });
        // The controller is gone where a signal ended the start.
        let _ = reply.send(base);
    }
}

impl CompileState {
    fn is_busy(&self) -> bool {
        self.active_pass.is_some() || self.queued_conditions.is_some() || !self.dry_runs.is_empty()
    }

    /// Accepts requests. Conditions that touch few services are compiled before the rest of the
    /// pass in progress. Others wait for its end, so that every pass ends, however fast conditions
    /// change.
    fn accept_requests(
        &mut self,
        conditions: Option<Arc<Conditions>>,
        dry_runs: Vec<(TrialSpec, CompiledSender)>,
    ) {
        if let Some(conditions) = conditions {
            let is_taken = match (&mut self.active_pass, self.dry_runs.front()) {
                (Some(pass), _) => pass.overtake(&conditions),
                // The check of a drain is not interrupted. Only conditions that affect few services
                // are compiled before it ends.
                (None, Some(_)) => {
                    let mut pass = self.new_pass(Arc::clone(self.base.conditions()));
                    let is_taken = pass.overtake(&conditions);
                    self.active_pass = is_taken.then_some(pass);
                    is_taken
                }
                (None, None) => false,
            };
            self.queued_conditions = (!is_taken).then_some(conditions);
        }
        for (TrialSpec { topology, conditions }, reply) in dry_runs {
            let base = self.base.compiler();
            let compiler = match topology {
                Some((topology, databases)) => {
                    base.next(topology, &databases, &mut self.caches.surveys)
                }
                None => Arc::clone(base),
            };
            let dry_run = Compilation::after(&self.base, compiler, conditions);
            self.dry_runs.push_back((dry_run, reply));
        }
    }

    fn new_pass(&self, conditions: Arc<Conditions>) -> Compilation {
        Compilation::after(&self.base, Arc::clone(self.base.compiler()), conditions)
    }

    /// Compiles until done or interrupted; returns charts to publish. A drain that waits for its
    /// check is checked after each pass.
    fn run_until_interrupted(
        &mut self,
        is_interrupted: &mut dyn FnMut() -> bool,
    ) -> Option<CompileOutput> {
        if self.active_pass.is_none() && self.dry_runs.is_empty() {
            self.active_pass =
                self.queued_conditions.take().map(|conditions| self.new_pass(conditions));
        }
        if let Some(mut pass) = self.active_pass.take() {
            pass.run(&mut self.caches.surveys, &mut self.caches.wheels, is_interrupted);
            let is_complete = pass.remaining() == 0;
            if !is_complete && !pass.has_caught_up() {
                self.active_pass = Some(pass);
                return None;
            }
            let compiled = pass.compiled(&self.caches.wheels)?;
            if is_complete {
                self.base = compiled.clone();
                self.caches.surveys.prune();
            } else {
                self.active_pass = Some(pass);
            }
            return Some(CompileOutput { compiled, is_complete });
        }
        let (mut dry_run, reply) = self.dry_runs.pop_front()?;
        dry_run.run(&mut self.caches.surveys, &mut self.caches.wheels, is_interrupted);
        match dry_run.compiled(&self.caches.wheels).filter(|_| dry_run.remaining() == 0) {
            // The receiver is gone if the client is.
            Some(compiled) => _ = reply.send(compiled),
            None => self.dry_runs.push_front((dry_run, reply)),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::{
        config::{Colours, SourceOptions},
        control::LoadedConfig,
        health::{HealthStatus, Verdict},
        steer::{Chart, FallbackStage},
    };

    const SERVICES: usize = 40;

    /// The state of a worker for services of two members each. The first members are in `fra` and
    /// have no monitor; the second ones are probed.
    fn state(services: usize) -> (CompileState, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let mut text = String::from(
            "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
             [datacenter.fra]\n[datacenter.iad]\n[monitor.m]\ntcp = { port = 80 }\n",
        );
        for index in 0..services {
            writeln!(
                text,
                "[service.\"s{index:04}.x.example\"]\nmembers = [{{ addresses = [\"10.0.{}.{}\"], datacenter = \"fra\" }}, \
                 {{ addresses = [\"198.51.100.{}\"], datacenter = \"iad\", monitor = \"m\" }}]",
                index / 250,
                index % 250,
                index % SERVICES
            )
            .unwrap();
        }
        std::fs::write(directory.path().join("x.toml"), text).unwrap();
        let locations =
            SourceOptions { zones: Some(directory.path().to_owned()), ..SourceOptions::default() };
        let mut loaded = LoadedConfig::load(&locations, Colours::Plain).unwrap();
        let conditions = Arc::new(Conditions::unprobed(&loaded.topology, 0));
        let base = loaded.compiler.compile(&conditions, &mut loaded.surveys);
        let (surveys, wheels) = (loaded.surveys, WheelCache::default());
        (
            CompileState {
                base,
                caches: CompileCache { surveys, wheels },
                active_pass: None,
                queued_conditions: None,
                dry_runs: VecDeque::new(),
            },
            directory,
        )
    }

    /// The conditions of `state` with `fra` drained, and the status of one service's second member.
    fn drained(state: &CompileState, down: Option<usize>) -> Arc<Conditions> {
        let mut conditions = Conditions::clone(state.base.conditions());
        conditions.datacenters[0] = crate::steer::ServingState::Draining;
        if let Some(service) = down {
            let topology = state.base.compiler().topology();
            let target = format!("198.51.100.{service}");
            let probe = topology
                .probes
                .iter()
                .position(|probe| probe.target.to_string() == target)
                .unwrap();
            conditions.health_statuses[probe] =
                HealthStatus { verdict: Verdict::Down, ..HealthStatus::default() };
        }
        Arc::new(conditions)
    }

    /// A dry run of a drain of `fra`.
    fn dry_run(state: &CompileState) -> TrialSpec {
        TrialSpec { topology: None, conditions: drained(state, None) }
    }

    fn changed(before: &[Arc<Chart>], now: &[Arc<Chart>]) -> usize {
        before.iter().zip(now).filter(|(before, now)| !Arc::ptr_eq(before, now)).count()
    }

    #[test]
    fn a_newer_request_is_published_before_the_rest_of_the_older_one() {
        let (mut state, _directory) = state(SERVICES);
        let before = state.base.charts();
        state.accept_requests(Some(drained(&state, None)), Vec::new());
        let mut count = 0;
        let mut is_tenth = || {
            count += 1;
            count == 10
        };
        let output = state.run_until_interrupted(&mut is_tenth).unwrap();
        assert_eq!((output.is_complete, changed(&before, &output.compiled.charts())), (false, 10));
        // The drain has not reached the last service yet, whose other member fails now.
        let last = SERVICES - 1;
        state.accept_requests(Some(drained(&state, Some(last))), Vec::new());
        let output = state.run_until_interrupted(&mut || false).unwrap();
        let charts = output.compiled.charts();
        assert_eq!((output.is_complete, changed(&before, &charts)), (false, 11));
        assert_eq!(
            charts[last].fallback_stage(crate::steer::Family::V4),
            FallbackStage::AllDown,
            "it has no other member"
        );
        let output = state.run_until_interrupted(&mut || false).unwrap();
        assert_eq!(
            (output.is_complete, changed(&before, &output.compiled.charts())),
            (true, SERVICES)
        );
        assert!(!state.is_busy());
    }

    #[test]
    fn a_pass_ends_though_newer_conditions_touch_many_services_and_a_drain_is_checked_after_it() {
        let (mut state, _directory) = state(5000);
        let before = state.base.charts();
        state.accept_requests(Some(drained(&state, None)), Vec::new());
        assert!(!state.run_until_interrupted(&mut || true).unwrap().is_complete);
        let back = Arc::clone(state.base.conditions());
        let (reply, mut dry_charts) = oneshot::channel();
        state.accept_requests(Some(Arc::clone(&back)), vec![(dry_run(&state), reply)]);
        let output = state.run_until_interrupted(&mut || false).unwrap();
        assert_eq!((output.is_complete, changed(&before, &output.compiled.charts())), (true, 5000));
        assert!(
            state.run_until_interrupted(&mut || false).is_none() && dry_charts.try_recv().is_ok(),
            "before the next pass"
        );
        let output = state.run_until_interrupted(&mut || false).unwrap();
        assert_eq!((output.is_complete, output.compiled.conditions()), (true, &back));
        assert!(!state.is_busy());
    }

    #[test]
    fn a_dry_run_publishes_nothing_and_newer_conditions_interrupt_it() {
        let (mut state, _directory) = state(SERVICES);
        let before = state.base.charts();
        let (reply, mut dry_charts) = oneshot::channel();
        state.accept_requests(None, vec![(dry_run(&state), reply)]);
        assert!(
            state.run_until_interrupted(&mut || true).is_none() && dry_charts.try_recv().is_err(),
            "interrupted after one service"
        );
        let mut conditions = Conditions::clone(&drained(&state, Some(3)));
        conditions.datacenters.clone_from(&state.base.conditions().datacenters);
        state.accept_requests(Some(Arc::new(conditions)), Vec::new());
        let output = state.run_until_interrupted(&mut || false).unwrap();
        assert_eq!(
            (output.is_complete, changed(&before, &output.compiled.charts())),
            (true, 1),
            "no drain"
        );
        assert!(state.run_until_interrupted(&mut || false).is_none());
        assert_eq!(changed(&before, &dry_charts.try_recv().unwrap().charts()), SERVICES);
        assert!(!state.is_busy());
    }

    #[test]
    fn a_worker_publishes_what_was_requested_last() {
        let (state, _directory) = state(SERVICES);
        let mut worker = CompileWorker::start(PreemptionTimer::default()).unwrap();
        let conditions = Arc::clone(state.base.conditions());
        let compiler = Arc::clone(state.base.compiler());
        let drain = drained(&state, None);
        let before = state.base.charts();
        let charts = worker.switch_compiler(CompilerSwitch {
            compiled: Some(state.base),
            compiler,
            conditions,
            caches: Some(state.caches),
        });
        let charts = charts.blocking_recv().unwrap();
        assert_eq!(
            changed(&before, &charts.charts()),
            0,
            "unchanged charts are not compiled again"
        );
        worker.compile_under(drain);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let output = runtime.block_on(worker.next_output()).unwrap();
        assert_eq!(
            (output.is_complete, changed(&before, &output.compiled.charts())),
            (true, SERVICES)
        );
    }
}
