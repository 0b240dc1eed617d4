//! The handle of the journal: appends events and finds them again. Cheap to clone.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    counts::JournalStatus,
    event::Event,
    filter::EventFilter,
    reader::{self, EventPage},
    recorder::{JournalRecorder, SharedJournal, now_ms},
};

/// The longest time that the end of the process waits for the disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Appends events to the journal, and finds them again. The thread that writes ends with the last
/// handle.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<SharedJournal>,
    _thread: Arc<ThreadOwner>,
}

/// Stops the thread when it is dropped.
#[derive(Debug)]
struct ThreadOwner(Arc<SharedJournal>);

impl Drop for ThreadOwner {
    fn drop(&mut self) {
        self.0.mailbox.stop();
    }
}

impl Journal {
    /// Starts the thread that writes to the files in `directory`, which need not exist and need not
    /// be writable.
    ///
    /// # Errors
    /// The system cannot start the thread.
    pub fn start(directory: PathBuf) -> io::Result<Self> {
        let shared = Arc::new(SharedJournal::new(directory));
        let of_thread = Arc::clone(&shared);
        let run = move || JournalRecorder::open(of_thread).run();
        // The thread ends by itself once the mailbox is stopped.
        thread::Builder::new().name("journal".to_owned()).spawn(run)?;
        Ok(Self { _thread: Arc::new(ThreadOwner(Arc::clone(&shared))), shared })
    }

    /// Appends an event that happens now. This neither waits nor fails: an event that finds the
    /// queue full is counted as dropped, and the journal says so.
    pub fn append(&self, event: Event) {
        if !self.shared.mailbox.record(now_ms(), event) {
            self.shared.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// The journal's own state.
    pub fn status(&self) -> JournalStatus {
        self.shared.counts.status()
    }

    /// Finds events: the first `limit` after `filter.after`, else the last `limit`. This may read
    /// all files, which takes up to a second.
    pub fn find(&self, filter: &EventFilter, limit: usize) -> EventPage {
        let recent: Vec<_> = self.shared.recent().iter().cloned().collect();
        reader::find(&self.shared.directory, &recent, filter, limit)
    }

    /// Waits until there is an event with an id above `after`, for at most `limit`.
    pub async fn wait_after(&self, after: u64, limit: Duration) {
        let mut newest = self.shared.newest.subscribe();
        // The time is over, or the journal has ended: both end the wait.
        let _ = timeout(limit, newest.wait_for(|id| *id > after)).await;
    }

    /// Waits until all events appended before are on the disk, for at most a second.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        self.shared.mailbox.flush(reply);
        let _ = timeout(FLUSH_TIMEOUT, done).await;
    }
}
