//! The queue of TLS handshakes: their computations run on threads for this purpose, in order of
//! arrival.
//!
//! A handshake costs the server a signature, 0.1 ms with ECDSA P-256 and 5 ms with RSA-4096, for a
//! hello that costs the client nothing. So each step of a handshake that computes something needs a
//! permit. There are as many permits as threads, and the threads have a low scheduling weight: a
//! flood of hellos takes processor time from other handshakes, hardly from queries and never from
//! health checks. If too many handshakes wait for a permit, of one client or in total, the one that
//! has waited longest ends, so that the wait is bounded and a single client cannot delay others.

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

/// The maximum number of handshakes that wait for a permit, for each thread: 0.3 seconds of
/// RSA-4096.
const MAX_WAITING_PER_THREAD: usize = 64;
/// The maximum number of handshakes of one client that wait for a permit, for each thread.
const MAX_WAITING_PER_CLIENT: usize = 32;
/// The nice value of the threads: a tenth of the weight of a thread that answers queries.
const NICENESS: i32 = 10;

/// The threads that compute handshakes, and the queue in front of them.
#[derive(Debug)]
pub(super) struct Handshakes {
    threads: Handle,
    queue: Arc<HandshakeQueue>,
}

impl Handshakes {
    /// Starts a thread for each core. The runtime that is returned owns the threads.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start() -> io::Result<(Runtime, Arc<Self>)> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("handshakes")
            .on_thread_start(|| {
                // If this fails, handshakes compete with queries: worse, but no reason not to
                // serve.
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

    /// The threads, for other work that must not delay queries and health checks.
    pub(super) fn threads(&self) -> &Handle {
        &self.threads
    }

    /// Runs a handshake of this client to its end, each step with a permit. Returns `None` if it
    /// had to end in favour of other handshakes. `handshake` computes nothing before its first
    /// poll.
    pub(super) async fn drive<F>(&self, client: IpAddr, handshake: F) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut handshake = Box::pin(handshake);
        let step_waker = Arc::new(StepWaker::default());
        loop {
            // Acquired before the step is given to the threads, so that these never have more steps
            // than threads, and all others wait in the queue.
            let permit = self.queue.acquire(client).await?;
            let waker = Waker::from(Arc::clone(&step_waker));
            let step = self.threads.spawn(async move {
                let polled = handshake.as_mut().poll(&mut Context::from_waker(&waker));
                drop(permit);
                (handshake, polled)
            });
            let (unfinished, polled) = step.await.ok()?;
            handshake = unfinished;
            if let Poll::Ready(result) = polled {
                return Some(result);
            }
            step_waker.0.notified().await;
        }
    }
}

/// Wakes [`Handshakes::drive`] when the client has sent or read octets, also if that happens during
/// a step.
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
    limits: QueueLimits,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// The number of permits in use.
    granted: usize,
    waiting: VecDeque<WaitingHandshake>,
    /// The number of waiting handshakes of each client.
    waiting_by_client: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct WaitingHandshake {
    client: IpAddr,
    /// Receives the permit; dropping it ends the handshake.
    permit: oneshot::Sender<StepPermit>,
}

/// The right to compute one step of a handshake.
#[derive(Debug)]
struct StepPermit {
    queue: Arc<HandshakeQueue>,
    /// Whether it was sent to a handshake that has ended; the sender then grants another permit.
    is_undelivered: bool,
}

impl HandshakeQueue {
    fn new(limits: QueueLimits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// A poisoned lock is taken all the same: the queue is complete after every step.
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit. Returns `None` if later handshakes have displaced this one.
    async fn acquire(self: &Arc<Self>, client: IpAddr) -> Option<StepPermit> {
        let granted = {
            let mut state = self.state();
            if state.granted < self.limits.concurrent_steps {
                state.granted += 1;
                return Some(StepPermit::new(self));
            }
            state.enqueue(client, self.limits)
        };
        granted.await.ok()
    }

    /// Grants a permit that is released to the next handshake that still waits.
    fn grant_next(self: &Arc<Self>) {
        while let Some(next) = self.take_next() {
            match next.permit.send(StepPermit::new(self)) {
                Ok(()) => return,
                // The handshake was cancelled while it waited. The loop grants the permit to the
                // next one; dropping the undelivered permit must not grant it a second time.
                Err(mut refused) => refused.is_undelivered = true,
            }
        }
    }

    /// Removes the handshake that has waited longest; if none waits, the permit becomes free.
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
    fn enqueue(&mut self, client: IpAddr, limits: QueueLimits) -> oneshot::Receiver<StepPermit> {
        if self
            .waiting_by_client
            .get(&client)
            .is_some_and(|&waiting| waiting >= limits.max_waiting_per_client)
        {
            let oldest = self.waiting.iter().position(|waiting| waiting.client == client);
            oldest.and_then(|index| self.remove(index));
        } else if self.waiting.len() >= limits.max_waiting {
            self.remove(0);
        }
        let (permit, granted) = oneshot::channel();
        self.waiting.push_back(WaitingHandshake { client, permit });
        *self.waiting_by_client.entry(client).or_insert(0) += 1;
        granted
    }

    fn remove(&mut self, index: usize) -> Option<WaitingHandshake> {
        let removed = self.waiting.remove(index)?;
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

    /// The only permit of a queue, and the handshakes that wait for it.
    async fn full_queue(
        limits: QueueLimits,
        clients: &[u8],
    ) -> (StepPermit, Vec<oneshot::Receiver<StepPermit>>) {
        let queue = HandshakeQueue::new(limits);
        let permit = queue.acquire(client(0)).await.unwrap();
        let waiting =
            clients.iter().map(|&last| queue.state().enqueue(client(last), limits)).collect();
        (permit, waiting)
    }

    /// Which of the handshakes have ended without a permit.
    fn ended(waiting: &mut [oneshot::Receiver<StepPermit>]) -> Vec<bool> {
        waiting
            .iter_mut()
            .map(|permit| matches!(permit.try_recv(), Err(oneshot::error::TryRecvError::Closed)))
            .collect()
    }

    #[tokio::test]
    async fn permits_are_granted_in_order_of_arrival_and_not_to_handshakes_that_have_ended() {
        let (permit, mut waiting) = full_queue(
            QueueLimits { concurrent_steps: 1, max_waiting: 9, max_waiting_per_client: 9 },
            &[1, 2, 3],
        )
        .await;
        drop(waiting.remove(0));
        drop(permit);
        let second = waiting.remove(0).await.unwrap();
        assert!(waiting[0].try_recv().is_err(), "one permit at a time");
        drop(second);
        let third = waiting.remove(0).await.unwrap();
        let queue = Arc::clone(&third.queue);
        drop(third);
        let state = queue.state();
        assert_eq!((state.granted, state.waiting_by_client.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_client_with_too_many_waiting_handshakes_loses_its_oldest() {
        let (_permit, mut waiting) = full_queue(
            QueueLimits { concurrent_steps: 1, max_waiting: 9, max_waiting_per_client: 2 },
            &[7, 1, 1, 1],
        )
        .await;
        assert_eq!(ended(&mut waiting), [false, true, false, false]);
    }

    #[tokio::test]
    async fn with_too_many_waiting_in_total_the_oldest_ends() {
        let (_permit, mut waiting) = full_queue(
            QueueLimits { concurrent_steps: 1, max_waiting: 2, max_waiting_per_client: 2 },
            &[1, 2, 3],
        )
        .await;
        assert_eq!(ended(&mut waiting), [true, false, false]);
    }

    fn handshakes(limits: QueueLimits) -> Handshakes {
        Handshakes { threads: Handle::current(), queue: HandshakeQueue::new(limits) }
    }

    #[tokio::test]
    async fn a_handshake_has_a_permit_during_its_steps_and_none_while_it_waits_for_its_client() {
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
        // The only permit is free although the handshake has not ended.
        drop(handshakes.queue.acquire(client(2)).await.unwrap());
        send.send(5).unwrap();
        assert_eq!(handshake.await.unwrap(), Some(5));
        assert_eq!(handshakes.queue.state().granted, 0);
    }

    #[tokio::test]
    async fn a_handshake_computes_nothing_without_a_permit_and_the_oldest_that_waits_ends() {
        let handshakes = Arc::new(handshakes(QueueLimits {
            concurrent_steps: 1,
            max_waiting: 9,
            max_waiting_per_client: 2,
        }));
        let permit = handshakes.queue.acquire(client(2)).await.unwrap();
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
        drop(permit);
        for drive in drives {
            assert!(drive.await.unwrap().is_some());
        }
        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 2);
    }
}
