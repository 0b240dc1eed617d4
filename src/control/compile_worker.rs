//! The compile worker: a thread that compiles charts, so that the controller's task, health checks
//! and the admin server never wait for it.
//!
//! The controller leaves orders in a mailbox, in which a newer order of a kind replaces the older
//! one. The worker looks into the mailbox after each service that it compiled. What a newer order
//! touches comes first, and is handed over before the rest is done.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::{oneshot, watch};

use crate::{
    steer::{Compilation, Compiled, Compiler, Conditions, Surveys, Wheels},
    transport::PreemptionTimer,
};

/// The handle to the worker. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct CompileWorker {
    mailbox: Arc<Mailbox>,
    products: watch::Receiver<Option<Arc<Product>>>,
}

/// What the worker compiled.
#[derive(Debug)]
pub(super) struct Product {
    /// The charts. Those of services that are still to be compiled are the earlier ones.
    pub compiled: Compiled,
    /// Whether no service is still to be compiled.
    pub is_complete: bool,
}

/// What a worker is to start from.
#[derive(Debug)]
pub(super) struct Adoption {
    /// Charts of the same compiler, perhaps under earlier conditions: only what differs is
    /// compiled. `None` compiles all.
    pub compiled: Option<Compiled>,
    pub compiler: Arc<Compiler>,
    pub conditions: Arc<Conditions>,
    pub surveys: Surveys,
    /// What the wheels of the charts share.
    pub wheels: Wheels,
}

type Reply = oneshot::Sender<Compiled>;

#[derive(Debug, Default)]
struct Orders {
    is_ended: bool,
    adopt: Option<(Box<Adoption>, Reply)>,
    follow: Option<Arc<Conditions>>,
    rehearse: Option<(Arc<Conditions>, Reply)>,
    copy_wheels: Option<oneshot::Sender<Wheels>>,
}

impl Orders {
    fn is_empty(&self) -> bool {
        !self.is_ended
            && self.adopt.is_none()
            && self.follow.is_none()
            && self.rehearse.is_none()
            && self.copy_wheels.is_none()
    }
}

#[derive(Debug, Default)]
struct Mailbox {
    orders: Mutex<Orders>,
    has_orders: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        // Orders are replaced whole: a panic leaves no half of one.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.lock());
        self.has_orders.notify_one();
    }

    fn wait(&self) -> Orders {
        let orders = self.has_orders.wait_while(self.lock(), |orders| orders.is_empty());
        std::mem::take(&mut *orders.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for CompileWorker {
    fn drop(&mut self) {
        self.mailbox.leave(|orders| orders.is_ended = true);
    }
}

impl CompileWorker {
    /// Starts the thread, with nothing to compile yet.
    ///
    /// # Errors
    /// The system cannot start the thread.
    pub(super) fn start(metronome: PreemptionTimer) -> std::io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let (product, products) = watch::channel(None);
        let worker = Worker { mailbox: Arc::clone(&mailbox), product, metronome, state: None };
        thread::Builder::new().name("compile".to_owned()).spawn(move || worker.run())?;
        Ok(Self { mailbox, products })
    }

    /// Switches to another compiler. The receiver gets its charts under the conditions once every
    /// service is compiled. Orders in progress are dropped.
    pub(super) fn adopt(&self, adoption: Adoption) -> oneshot::Receiver<Compiled> {
        let (reply, compiled) = oneshot::channel();
        self.mailbox.leave(|orders| {
            *orders = Orders {
                adopt: Some((Box::new(adoption), reply)),
                is_ended: orders.is_ended,
                ..Orders::default()
            };
        });
        compiled
    }

    /// Compiles what newer conditions touch. The charts come by [`CompileWorker::product`].
    pub(super) fn follow(&self, conditions: Arc<Conditions>) {
        self.mailbox.leave(|orders| orders.follow = Some(conditions));
    }

    /// Compiles under conditions that are not in force, apart from all else. The sender is dropped
    /// where a later order takes its place.
    pub(super) fn rehearse(&self, conditions: Arc<Conditions>) -> oneshot::Receiver<Compiled> {
        let (reply, compiled) = oneshot::channel();
        self.mailbox.leave(|orders| orders.rehearse = Some((conditions, reply)));
        compiled
    }

    /// Copies what the wheels share, for a load that compiles on its own thread. The tables
    /// themselves are shared.
    pub(super) fn copy_wheels(&self) -> oneshot::Receiver<Wheels> {
        let (reply, wheels) = oneshot::channel();
        self.mailbox.leave(|orders| orders.copy_wheels = Some(reply));
        wheels
    }

    /// Waits for charts that were not returned yet, and returns the newest ones. `None` where the
    /// worker has ended.
    pub(super) async fn product(&mut self) -> Option<Arc<Product>> {
        loop {
            self.products.changed().await.ok()?;
            if let Some(product) = &*self.products.borrow_and_update() {
                return Some(Arc::clone(product));
            }
        }
    }
}

struct Worker {
    mailbox: Arc<Mailbox>,
    product: watch::Sender<Option<Arc<Product>>>,
    metronome: PreemptionTimer,
    state: Option<State>,
}

/// What the worker starts from, and what it is compiling.
struct State {
    /// The latest complete charts.
    base: Compiled,
    surveys: Surveys,
    wheels: Wheels,
    following: Option<Compilation>,
    /// The conditions of the next pass.
    next: Option<Arc<Conditions>>,
    rehearsal: Option<(Compilation, Reply)>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let is_idle = self.state.as_ref().is_none_or(|state| !state.is_busy());
            let orders = if is_idle {
                self.mailbox.wait()
            } else {
                std::mem::take(&mut *self.mailbox.lock())
            };
            if orders.is_ended {
                return;
            }
            let _beat = self.metronome.activate();
            if let Some((adoption, reply)) = orders.adopt {
                self.adopt(*adoption, reply);
            }
            let Some(state) = &mut self.state else { continue };
            if let Some(reply) = orders.copy_wheels {
                // The receiver is gone where the system could not start the load's thread.
                let _ = reply.send(state.wheels.clone());
            }
            state.take(orders.follow, orders.rehearse);
            let mailbox = &self.mailbox;
            if let Some(product) = state.work(&mut || !mailbox.lock().is_empty()) {
                self.product.send_replace(Some(Arc::new(product)));
            }
        }
    }

    /// Switches to another compiler. This is not interrupted: the controller waits for it, and the
    /// charts in force keep serving.
    fn adopt(&mut self, adoption: Adoption, reply: Reply) {
        let Adoption { compiled, compiler, conditions, mut surveys, mut wheels } = adoption;
        let compilation = match compiled {
            Some(base) => Compilation::after(&base, compiler, conditions),
            None => Compilation::new(compiler, conditions),
        };
        let base = compilation.finish(&mut surveys, &mut wheels);
        // Charts of the compiler before are no longer wanted.
        self.product.send_replace(None);
        surveys.prune();
        self.state = Some(State {
            base: base.clone(),
            surveys,
            wheels,
            following: None,
            next: None,
            rehearsal: None,
        });
        // The controller is gone where a signal ended the start.
        let _ = reply.send(base);
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.following.is_some() || self.next.is_some() || self.rehearsal.is_some()
    }

    /// Takes orders. Conditions that touch few services come before the rest of the pass in
    /// progress; others wait for its end, so that every pass ends, however fast conditions change.
    fn take(
        &mut self,
        follow: Option<Arc<Conditions>>,
        rehearse: Option<(Arc<Conditions>, Reply)>,
    ) {
        if let Some(conditions) = follow {
            let is_taken = match (&mut self.following, &self.rehearsal) {
                (Some(following), _) => following.overtake(&conditions),
                // A check of a drain goes on until it is done, but for a change of few services.
                (None, Some(_)) => {
                    let mut pass = self.pass(Arc::clone(self.base.conditions()));
                    let is_taken = pass.overtake(&conditions);
                    self.following = is_taken.then_some(pass);
                    is_taken
                }
                (None, None) => false,
            };
            self.next = (!is_taken).then_some(conditions);
        }
        if let Some((conditions, reply)) = rehearse {
            self.rehearsal = Some((self.pass(conditions), reply));
        }
    }

    fn pass(&self, conditions: Arc<Conditions>) -> Compilation {
        Compilation::after(&self.base, Arc::clone(self.base.compiler()), conditions)
    }

    /// Compiles until done or interrupted; returns charts to hand over. After each pass a drain
    /// that waits is checked.
    fn work(&mut self, is_interrupted: &mut dyn FnMut() -> bool) -> Option<Product> {
        if self.following.is_none() && self.rehearsal.is_none() {
            self.following = self.next.take().map(|conditions| self.pass(conditions));
        }
        if let Some(mut following) = self.following.take() {
            following.run(&mut self.surveys, &mut self.wheels, is_interrupted);
            let is_complete = following.left() == 0;
            if !is_complete && !following.has_caught_up() {
                self.following = Some(following);
                return None;
            }
            let compiled = following.compiled(&self.wheels)?;
            if is_complete {
                self.base = compiled.clone();
                self.surveys.prune();
            } else {
                self.following = Some(following);
            }
            return Some(Product { compiled, is_complete });
        }
        let (mut rehearsal, reply) = self.rehearsal.take()?;
        rehearsal.run(&mut self.surveys, &mut self.wheels, is_interrupted);
        match rehearsal.compiled(&self.wheels).filter(|_| rehearsal.left() == 0) {
            // The receiver is gone where the client is.
            Some(compiled) => _ = reply.send(compiled),
            None => self.rehearsal = Some((rehearsal, reply)),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::{
        config::{Colours, Locations},
        control::World,
        health::{Standing, Verdict},
        steer::{Chart, Plight},
    };

    const SERVICES: usize = 40;

    /// Services of two members each. The first members are in `fra` and have no monitor; the second
    /// ones are probed.
    fn state(services: usize) -> (State, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let mut text = String::from(
            "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
             [datacenter.fra]\n[datacenter.iad]\n[monitor.m]\ntcp = { port = 80 }\n",
        );
        for at in 0..services {
            writeln!(
                text,
                "[service.\"s{at:04}.x.example\"]\nmembers = [{{ addresses = [\"10.0.{}.{}\"], datacenter = \"fra\" }}, \
                 {{ addresses = [\"198.51.100.{}\"], datacenter = \"iad\", monitor = \"m\" }}]",
                at / 250,
                at % 250,
                at % SERVICES
            )
            .unwrap();
        }
        std::fs::write(directory.path().join("x.toml"), text).unwrap();
        let locations =
            Locations { zones: Some(directory.path().to_owned()), ..Locations::default() };
        let mut world = World::load(&locations, Colours::Plain).unwrap();
        let conditions = Arc::new(Conditions::unknown(&world.topology, 0));
        let base = world.compiler.compile(&conditions, &mut world.surveys);
        let (surveys, wheels) = (world.surveys, Wheels::default());
        (State { base, surveys, wheels, following: None, next: None, rehearsal: None }, directory)
    }

    /// The conditions of `state` with `fra` drained, and the status of one service's second member.
    fn drained(state: &State, down: Option<usize>) -> Arc<Conditions> {
        let mut conditions = Conditions::clone(state.base.conditions());
        conditions.datacenters[0] = crate::steer::State::Draining;
        if let Some(at) = down {
            let topology = state.base.compiler().topology();
            let target = format!("198.51.100.{at}");
            let probe = topology
                .probes
                .iter()
                .position(|probe| probe.target.to_string() == target)
                .unwrap();
            conditions.standings[probe] =
                Standing { verdict: Verdict::Down, ..Standing::default() };
        }
        Arc::new(conditions)
    }

    fn changed(before: &[Arc<Chart>], now: &[Arc<Chart>]) -> usize {
        before.iter().zip(now).filter(|(before, now)| !Arc::ptr_eq(before, now)).count()
    }

    #[test]
    fn a_newer_order_is_handed_over_before_the_rest_of_the_older_one() {
        let (mut state, _directory) = state(SERVICES);
        let before = state.base.charts();
        state.take(Some(drained(&state, None)), None);
        let mut count = 0;
        let mut is_tenth = || {
            count += 1;
            count == 10
        };
        let product = state.work(&mut is_tenth).unwrap();
        assert_eq!(
            (product.is_complete, changed(&before, &product.compiled.charts())),
            (false, 10)
        );
        // The last service, which the drain has not reached yet, and whose other member fails now.
        let last = SERVICES - 1;
        state.take(Some(drained(&state, Some(last))), None);
        let product = state.work(&mut || false).unwrap();
        let charts = product.compiled.charts();
        assert_eq!((product.is_complete, changed(&before, &charts)), (false, 11));
        assert_eq!(
            charts[last].plight(crate::steer::Family::V4),
            Plight::AllDown,
            "it has no other member"
        );
        let product = state.work(&mut || false).unwrap();
        assert_eq!(
            (product.is_complete, changed(&before, &product.compiled.charts())),
            (true, SERVICES)
        );
        assert!(!state.is_busy());
    }

    #[test]
    fn a_pass_ends_whatever_touches_many_services_meanwhile_and_a_drain_is_checked_after_it() {
        let (mut state, _directory) = state(5000);
        let before = state.base.charts();
        state.take(Some(drained(&state, None)), None);
        assert!(!state.work(&mut || true).unwrap().is_complete);
        let back = Arc::clone(state.base.conditions());
        let (reply, mut rehearsed) = oneshot::channel();
        state.take(Some(Arc::clone(&back)), Some((drained(&state, None), reply)));
        let product = state.work(&mut || false).unwrap();
        assert_eq!(
            (product.is_complete, changed(&before, &product.compiled.charts())),
            (true, 5000)
        );
        assert!(
            state.work(&mut || false).is_none() && rehearsed.try_recv().is_ok(),
            "before the next pass"
        );
        let product = state.work(&mut || false).unwrap();
        assert_eq!((product.is_complete, product.compiled.conditions()), (true, &back));
        assert!(!state.is_busy());
    }

    #[test]
    fn a_rehearsal_changes_nothing_that_is_in_force_and_gives_way_to_orders() {
        let (mut state, _directory) = state(SERVICES);
        let before = state.base.charts();
        let (reply, mut rehearsed) = oneshot::channel();
        state.take(None, Some((drained(&state, None), reply)));
        assert!(
            state.work(&mut || true).is_none() && rehearsed.try_recv().is_err(),
            "interrupted after one service"
        );
        let mut conditions = Conditions::clone(&drained(&state, Some(3)));
        conditions.datacenters.clone_from(&state.base.conditions().datacenters);
        state.take(Some(Arc::new(conditions)), None);
        let product = state.work(&mut || false).unwrap();
        assert_eq!(
            (product.is_complete, changed(&before, &product.compiled.charts())),
            (true, 1),
            "no drain"
        );
        assert!(state.work(&mut || false).is_none());
        assert_eq!(changed(&before, &rehearsed.try_recv().unwrap().charts()), SERVICES);
        assert!(!state.is_busy());
    }

    #[test]
    fn a_worker_hands_over_what_was_ordered_last() {
        let (state, _directory) = state(SERVICES);
        let mut worker = CompileWorker::start(PreemptionTimer::default()).unwrap();
        let conditions = Arc::clone(state.base.conditions());
        let compiler = Arc::clone(state.base.compiler());
        let drain = drained(&state, None);
        let before = state.base.charts();
        let adopted = worker.adopt(Adoption {
            compiled: Some(state.base),
            compiler,
            conditions,
            surveys: state.surveys,
            wheels: state.wheels,
        });
        let adopted = adopted.blocking_recv().unwrap();
        assert_eq!(
            changed(&before, &adopted.charts()),
            0,
            "nothing is compiled that is good already"
        );
        worker.follow(drain);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let product = runtime.block_on(worker.product()).unwrap();
        assert_eq!(
            (product.is_complete, changed(&before, &product.compiled.charts())),
            (true, SERVICES)
        );
    }
}
