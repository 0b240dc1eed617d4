//! The queue of TLS handshakes: what they compute, they compute on threads of their own, one after
//! the other.
//!
//! A handshake costs the server a signature, 0.1 ms with ECDSA P-256 and 5 ms with RSA-4096, for a
//! hello that costs the client nothing. So each step of a handshake that has something to compute
//! takes a turn. There are as many turns as threads, and these have a low scheduling weight: a
//! flood of hellos takes processor time from other handshakes, hardly from queries and never from
//! health checks. Turns are granted in the order of arrival. Where too many wait, of one client or
//! in all, the handshake that has waited longest ends, so that the wait is bounded and a single
//! client cannot keep others waiting.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Notify, oneshot},
};

/// Handshakes that may wait for a turn, for each thread: a third of a second of RSA-4096.
const MAX_WAITING_PER_THREAD: usize = 64;
/// Handshakes of one client that may wait for a turn, for each thread.
const MAX_WAITING_PER_CLIENT: usize = 32;
/// The weight of the threads: a tenth of a thread that answers queries.
const NICENESS: i32 = 10;

/// The threads that compute handshakes, and the queue in front of them.
#[derive(Debug)]
pub(super) struct Handshakes {
    threads: Handle,
    queue: Arc<HandshakeQueue>,
}

impl Handshakes {
    /// Starts a thread for each core, and a runtime that owns them.
    ///
    /// # Errors
    /// The system starts no threads.
    pub(super) fn start() -> io::Result<(Runtime, Arc<Self>)> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("handshakes")
            .on_thread_start(|| {
                // Without it they compete with the rest: worse, and no reason not to serve.
                let _ = rustix::process::setpriority_process(None, NICENESS);
            })
            .enable_all()
            .build()?;
        let queue = HandshakeQueue::new(QueueLimits {
            concurrent_steps: threads,
            max_waiting: threads * MAX_WAITING_PER_THREAD,
            max_waiting_per_client: threads * MAX_WAITING_PER_CLIENT,
        });
        let handshakes = Arc::new(Self { threads: runtime.handle().clone(), queue });
        Ok((runtime, handshakes))
    }

    /// The threads, for other work that must not hold up queries and health checks.
    pub(super) fn threads(&self) -> &Handle {
        &self.threads
    }

    /// Drives a handshake of this client to its end, each step in its turn; `None` where it was
    /// ended for others. `handshake` computes nothing before its first poll.
    pub(super) async fn drive<F>(&self, client: IpAddr, handshake: F) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut handshake = Box::pin(handshake);
        let progress = Arc::new(StepWaker::default());
        loop {
            // Taken before the step is on the threads: so no more steps are there than threads, and
            // the others wait in the queue.
            let turn = self.queue.acquire(client).await?;
            let waker = Waker::from(Arc::clone(&progress));
            let step = self.threads.spawn(async move {
                let step = handshake.as_mut().poll(&mut Context::from_waker(&waker));
                drop(turn);
                (handshake, step)
            });
            let step = step.await.ok()?;
            handshake = step.0;
            if let Poll::Ready(done) = step.1 {
                return Some(done);
            }
            progress.0.notified().await;
        }
    }
}

/// Wakes the driver of a handshake when its client has sent or read something, also when that
/// happens during a step.
#[derive(Debug, Default)]
struct StepWaker(Notify);

impl Wake for StepWaker {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[derive(Debug, Clone, Copy)]
struct QueueLimits {
    concurrent_steps: usize,
    max_waiting: usize,
    max_waiting_per_client: usize,
}

#[derive(Debug)]
struct HandshakeQueue {
    bounds: QueueLimits,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Turns granted and not given back.
    granted: usize,
    waiting: VecDeque<WaitingHandshake>,
    /// How many of `max_waiting` are each client's.
    waiting_by_client: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct WaitingHandshake {
    client: IpAddr,
    /// Dropped, it ends the handshake.
    permit: oneshot::Sender<StepPermit>,
}

/// The right to compute one step of a handshake.
#[derive(Debug)]
struct StepPermit {
    queue: Arc<HandshakeQueue>,
    /// Whether it was offered to a handshake that had ended: it is then offered to the next one.
    is_undelivered: bool,
}

impl HandshakeQueue {
    fn new(bounds: QueueLimits) -> Arc<Self> {
        Arc::new(Self { bounds, state: Mutex::default() })
    }

    /// A poisoned lock is taken all the same: the queue is whole at every moment.
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn; `None` where later handshakes took its place.
    async fn acquire(self: &Arc<Self>, client: IpAddr) -> Option<StepPermit> {
        let granted = {
            let mut state = self.state();
            if state.granted < self.bounds.concurrent_steps {
                state.granted += 1;
                return Some(StepPermit::new(self));
            }
            state.enqueue(client, self.bounds)
        };
        granted.await.ok()
    }
}

impl HandshakeQueue {
    /// Grants a turn that was given back to the next handshake that still waits.
    fn grant_next(self: &Arc<Self>) {
        while let Some(next) = self.take_next() {
            match next.permit.send(StepPermit::new(self)) {
                Ok(()) => return,
                // It ended while it waited. The turn must not be passed on by its drop as well.
                Err(mut refused) => refused.is_undelivered = true,
            }
        }
    }

    /// Takes the next handshake that waits; where none does, the turn is free.
    fn take_next(&self) -> Option<WaitingHandshake> {
        let mut state = self.state();
        let next = state.remove(0);
        if next.is_none() {
            state.granted -= 1;
        }
        next
    }
}

impl QueueState {
    fn enqueue(&mut self, client: IpAddr, bounds: QueueLimits) -> oneshot::Receiver<StepPermit> {
        if self
            .waiting_by_client
            .get(&client)
            .is_some_and(|&waiting| waiting >= bounds.max_waiting_per_client)
        {
            let oldest = self.waiting.iter().position(|waiting| waiting.client == client);
            oldest.and_then(|at| self.remove(at));
        } else if self.waiting.len() >= bounds.max_waiting {
            self.remove(0);
        }
        let (turn, granted) = oneshot::channel();
        self.waiting.push_back(WaitingHandshake { client, permit: turn });
        *self.waiting_by_client.entry(client).or_insert(0) += 1;
        granted
    }

    fn remove(&mut self, at: usize) -> Option<WaitingHandshake> {
        let removed = self.waiting.remove(at)?;
        if let Some(count) = self.waiting_by_client.get_mut(&removed.client) {
            *count -= 1;
            if *count == 0 {
                self.waiting_by_client.remove(&removed.client);
            }
        }
        Some(removed)
    }
}

impl StepPermit {
    fn new(queue: &Arc<HandshakeQueue>) -> Self {
        Self { queue: Arc::clone(queue), is_undelivered: false }
    }
}

impl Drop for StepPermit {
    fn drop(&mut self) {
        if !self.is_undelivered {
            self.queue.grant_next();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    /// A queue of one turn, which is granted, and the handshakes that wait for it.
    async fn full_queue(
        bounds: QueueLimits,
        clients: &[u8],
    ) -> (StepPermit, Vec<oneshot::Receiver<StepPermit>>) {
        let queue = HandshakeQueue::new(bounds);
        let turn = queue.acquire(client(0)).await.unwrap();
        let waiting =
            clients.iter().map(|&last| queue.state().enqueue(client(last), bounds)).collect();
        (turn, waiting)
    }

    /// Which of them wait no longer, without a turn.
    fn ended(waiting: &mut [oneshot::Receiver<StepPermit>]) -> Vec<bool> {
        waiting
            .iter_mut()
            .map(|turn| matches!(turn.try_recv(), Err(oneshot::error::TryRecvError::Closed)))
            .collect()
    }

    #[tokio::test]
    async fn turns_are_granted_in_the_order_of_arrival_and_past_handshakes_that_ended() {
        let (turn, mut waiting) = full_queue(
            QueueLimits { concurrent_steps: 1, max_waiting: 9, max_waiting_per_client: 9 },
            &[1, 2, 3],
        )
        .await;
        drop(waiting.remove(0));
        drop(turn);
        let second = waiting.remove(0).await.unwrap();
        assert!(waiting[0].try_recv().is_err(), "one turn at a time");
        drop(second);
        let third = waiting.remove(0).await.unwrap();
        let queue = Arc::clone(&third.queue);
        drop(third);
        let state = queue.state();
        assert_eq!((state.granted, state.waiting_by_client.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_client_with_too_many_waiting_handshakes_loses_its_oldest() {
        let (_turn, mut waiting) = full_queue(
            QueueLimits { concurrent_steps: 1, max_waiting: 9, max_waiting_per_client: 2 },
            &[7, 1, 1, 1],
        )
        .await;
        assert_eq!(ended(&mut waiting), [false, true, false, false]);
    }

    #[tokio::test]
    async fn with_too_many_waiting_in_all_the_oldest_ends() {
        let (_turn, mut waiting) = full_queue(
            QueueLimits { concurrent_steps: 1, max_waiting: 2, max_waiting_per_client: 2 },
            &[1, 2, 3],
        )
        .await;
        assert_eq!(ended(&mut waiting), [true, false, false]);
    }

    fn handshakes(bounds: QueueLimits) -> Handshakes {
        Handshakes { threads: Handle::current(), queue: HandshakeQueue::new(bounds) }
    }

    #[tokio::test]
    async fn each_step_of_a_handshake_takes_a_turn_and_gives_it_back_while_it_waits_for_its_client()
    {
        let handshakes = Arc::new(handshakes(QueueLimits {
            concurrent_steps: 1,
            max_waiting: 2,
            max_waiting_per_client: 2,
        }));
        let (send, hello) = oneshot::channel();
        let driving = Arc::clone(&handshakes);
        let handshake = tokio::spawn(async move {
            driving.drive(client(1), async move { hello.await.unwrap() }).await
        });
        // The only turn is free although the handshake has not ended.
        drop(handshakes.queue.acquire(client(2)).await.unwrap());
        send.send(5).unwrap();
        assert_eq!(handshake.await.unwrap(), Some(5));
        assert_eq!(handshakes.queue.state().granted, 0);
    }

    #[tokio::test]
    async fn a_handshake_computes_nothing_before_its_turn_and_the_oldest_that_waits_ends() {
        let handshakes = Arc::new(handshakes(QueueLimits {
            concurrent_steps: 1,
            max_waiting: 9,
            max_waiting_per_client: 2,
        }));
        let turn = handshakes.queue.acquire(client(2)).await.unwrap();
        let begun = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let drives: Vec<_> = (0..3)
            .map(|_| {
                let (driving, begun) = (Arc::clone(&handshakes), Arc::clone(&begun));
                let handshake =
                    async move { begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed) };
                tokio::spawn(async move { driving.drive(client(1), handshake).await })
            })
            .collect();
        let mut drives = drives.into_iter();
        assert_eq!(
            drives.next().unwrap().await.unwrap(),
            None,
            "the oldest of three, where two may wait"
        );
        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 0);
        drop(turn);
        for drive in drives {
            assert!(drive.await.unwrap().is_some());
        }
        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 2);
    }
}
