//! The compile worker: a thread that compiles charts, so that the controller's task, health checks and the admin server never
//! wait for it.
//!
//! The controller leaves orders in a mailbox, in which a newer order of a kind replaces the older one. The worker looks into
//! the mailbox after each service that it compiled. What a newer order touches comes first, and is handed over
//! before the rest is done.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::{oneshot, watch};

use crate::{
    steer::{Compilation, Compiled, Compiler, Conditions, Surveys},
    transport::Metronome,
};

/// The handle to the worker. Dropped, it ends the thread.
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

/// What a worker is to go on from.
#[derive(Debug)]
pub(super) struct Adoption {
    /// Charts of the same compiler that are still good under the same conditions; `None` compiles every service.
    pub compiled: Option<Compiled>,
    pub compiler: Arc<Compiler>,
    pub conditions: Arc<Conditions>,
    pub surveys: Surveys,
}

type Reply = oneshot::Sender<Compiled>;

#[derive(Debug, Default)]
struct Orders {
    is_ended: bool,
    adopt: Option<(Box<Adoption>, Reply)>,
    follow: Option<Arc<Conditions>>,
    rehearse: Option<(Arc<Conditions>, Reply)>,
}

impl Orders {
    fn is_empty(&self) -> bool {
        !self.is_ended && self.adopt.is_none() && self.follow.is_none() && self.rehearse.is_none()
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
    /// The system has no thread.
    pub(super) fn start(metronome: Metronome) -> std::io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let (product, products) = watch::channel(None);
        let worker = Worker { mailbox: Arc::clone(&mailbox), product, metronome, state: None };
        thread::Builder::new().name("compile".to_owned()).spawn(move || worker.run())?;
        Ok(Self { mailbox, products })
    }

    /// Goes on with another compiler; what it compiles under the conditions, once every service is compiled. Orders that
    /// are in progress are dropped.
    pub(super) fn adopt(&self, adoption: Adoption) -> oneshot::Receiver<Compiled> {
        let (reply, compiled) = oneshot::channel();
        self.mailbox.leave(|orders| {
            *orders =
                Orders { adopt: Some((Box::new(adoption), reply)), is_ended: orders.is_ended, ..Orders::default() };
        });
        compiled
    }

    /// Compiles what newer conditions touch. The charts come by [`CompileWorker::product`].
    pub(super) fn follow(&self, conditions: Arc<Conditions>) {
        self.mailbox.leave(|orders| orders.follow = Some(conditions));
    }

    /// Compiles under conditions that are not in force, apart from all else. The sender is dropped where a later order
    /// takes its place.
    pub(super) fn rehearse(&self, conditions: Arc<Conditions>) -> oneshot::Receiver<Compiled> {
        let (reply, compiled) = oneshot::channel();
        self.mailbox.leave(|orders| orders.rehearse = Some((conditions, reply)));
        compiled
    }

    /// Waits for charts that were not seen yet; the newest ones. `None` where the worker has ended.
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
    metronome: Metronome,
    state: Option<State>,
}

/// What the worker goes on from, and what it is compiling.
struct State {
    /// The latest complete charts.
    base: Compiled,
    surveys: Surveys,
    following: Option<Compilation>,
    rehearsal: Option<(Compilation, Reply)>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let is_idle = self.state.as_ref().is_none_or(|state| !state.is_busy());
            let orders = if is_idle { self.mailbox.wait() } else { std::mem::take(&mut *self.mailbox.lock()) };
            if orders.is_ended {
                return;
            }
            let _beat = self.metronome.beat();
            if let Some((adoption, reply)) = orders.adopt {
                self.adopt(*adoption, reply);
            }
            let Some(state) = &mut self.state else { continue };
            state.take(orders.follow, orders.rehearse);
            let mailbox = &self.mailbox;
            if let Some(product) = state.work(&mut || !mailbox.lock().is_empty()) {
                self.product.send_replace(Some(Arc::new(product)));
            }
        }
    }

    /// Goes on with another compiler. It is not interrupted: until it is done, the controller waits, and what is in force serves on.
    fn adopt(&mut self, Adoption { compiled, compiler, conditions, mut surveys }: Adoption, reply: Reply) {
        let mut compilation = match compiled {
            Some(base) => Compilation::after(&base, compiler, conditions),
            None => Compilation::new(compiler, conditions),
        };
        compilation.run(&mut surveys, &mut || false);
        // What nobody is waiting for any more is not to come out as news.
        self.product.send_replace(None);
        let Some(base) = compilation.compiled() else { return };
        surveys.prune();
        self.state = Some(State { base: base.clone(), surveys, following: None, rehearsal: None });
        // The controller is gone where a signal ended the start.
        let _ = reply.send(base);
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.following.is_some() || self.rehearsal.is_some()
    }

    fn take(&mut self, follow: Option<Arc<Conditions>>, rehearse: Option<(Arc<Conditions>, Reply)>) {
        let after = |base: &Compiled, conditions| Compilation::after(base, Arc::clone(base.compiler()), conditions);
        match (&mut self.following, follow) {
            (Some(following), Some(conditions)) => following.follow(conditions),
            (None, Some(conditions)) => self.following = Some(after(&self.base, conditions)),
            (_, None) => {}
        }
        if let Some((conditions, reply)) = rehearse {
            self.rehearsal = Some((after(&self.base, conditions), reply));
        }
    }

    /// Compiles until done or interrupted; charts to hand over.
    fn work(&mut self, is_interrupted: &mut dyn FnMut() -> bool) -> Option<Product> {
        if let Some(mut following) = self.following.take() {
            following.run(&mut self.surveys, is_interrupted);
            let compiled = following.compiled()?;
            let is_complete = following.left() == 0;
            if is_complete {
                self.base = compiled.clone();
                self.surveys.prune();
            } else {
                self.following = Some(following);
            }
            return Some(Product { compiled, is_complete });
        }
        if let Some((mut rehearsal, reply)) = self.rehearsal.take() {
            rehearsal.run(&mut self.surveys, is_interrupted);
            match rehearsal.compiled().filter(|_| rehearsal.left() == 0) {
                // Nobody waits where the client is gone.
                Some(compiled) => _ = reply.send(compiled),
                None => self.rehearsal = Some((rehearsal, reply)),
            }
        }
        None
    }
}
