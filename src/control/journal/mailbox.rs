//! The mailbox: the bounded queue between those who append and the journal's thread.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::oneshot;

use super::event::Event;
use crate::control::request_wait::wait_for_requests;

/// The maximum number of events that wait.
const MAX_WAITING: usize = 8192;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum JournalRequest {
    /// Records an event that happened at this time, in milliseconds since 1970.
    Record(i64, Box<Event>),
    /// Replies once everything before it is on the disk, or cannot be written.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug, Default)]
struct JournalQueue {
    requests: VecDeque<JournalRequest>,
    /// The number of events that found the queue full.
    lost: u64,
    is_stopped: bool,
}

/// What the thread takes from the queue at once.
#[derive(Debug, Default)]
pub(super) struct JournalBatch {
    pub(super) requests: VecDeque<JournalRequest>,
    pub(super) lost: u64,
    pub(super) is_stopped: bool,
}

/// The queue, which no sender ever waits for.
#[derive(Debug, Default)]
pub(super) struct JournalMailbox {
    queue: Mutex<JournalQueue>,
    has_requests: Condvar,
}

impl JournalMailbox {
    fn lock(&self) -> MutexGuard<'_, JournalQueue> {
        // Requests are added and taken whole: a panic leaves no half of one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event. Returns `false` if the queue is full, so that the event is lost.
    pub(super) fn record(&self, time_ms: i64, event: Event) -> bool {
        let mut queue = self.lock();
        let is_full = queue.requests.len() >= MAX_WAITING;
        match is_full {
            true => queue.lost += 1,
            false => queue.requests.push_back(JournalRequest::Record(time_ms, Box::new(event))),
        }
        drop(queue);
        self.has_requests.notify_one();
        !is_full
    }

    /// Adds a request to flush.
    pub(super) fn flush(&self, reply: oneshot::Sender<()>) {
        self.lock().requests.push_back(JournalRequest::Flush(reply));
        self.has_requests.notify_one();
    }

    /// Ends the thread once it has done what was asked before.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.has_requests.notify_one();
    }

    /// Waits for requests, until `deadline` if there is one, and takes all of them.
    pub(super) fn take(&self, deadline: Option<Instant>) -> JournalBatch {
        let is_idle = |queue: &mut JournalQueue| {
            queue.requests.is_empty() && queue.lost == 0 && !queue.is_stopped
        };
        let mut queue = wait_for_requests(&self.has_requests, self.lock(), deadline, is_idle);
        JournalBatch {
            requests: std::mem::take(&mut queue.requests),
            lost: std::mem::take(&mut queue.lost),
            is_stopped: queue.is_stopped,
        }
    }
}
