//! The recorder: the journal's thread. It gives each event its id, appends its line, and keeps the
//! latest events in memory for readers.
//!
//! Invariant: the lines in the files are linked without a gap. An event that cannot be written
//! waits in memory; if too many wait, the oldest are dropped from the files, counted, and an event
//! says so.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

use super::{
    chain::LineHash,
    counts::JournalCounts,
    entry::{JournalEntry, encode},
    event::{Event, EventKind},
    mailbox::{JournalBatch, JournalMailbox, JournalRequest},
    scan::{Scan, scan},
    segments::{SegmentLimits, Segments},
};
use crate::{
    control::{clock::unix_ms, remedy},
    listing, printable,
};

/// The size of the files. An event has 200 to 400 octets, so that about 100,000 events are kept.
const LIMITS: SegmentLimits = SegmentLimits { segment_octets: 4 << 20, total_octets: 32 << 20 };
/// The maximum number of events in memory.
const MAX_RECENT: usize = 4096;
/// The maximum number of events that wait to be written.
const MAX_UNSAVED: usize = 16_384;
/// The longest time that an event is not on the disk, if it is not urgent.
const SYNC_DELAY: Duration = Duration::from_secs(1);
/// The interval at which events are written again that could not be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The effect of a command is looked for among this many events before it.
const MAX_EFFECT_DISTANCE: usize = 256;
/// The maximum length of a text of an event, in octets.
const MAX_TEXT_OCTETS: usize = 1000;

/// What the thread shares with the handles.
#[derive(Debug)]
pub(super) struct SharedJournal {
    pub(super) directory: PathBuf,
    pub(super) mailbox: JournalMailbox,
    pub(super) counts: JournalCounts,
    recent: Mutex<VecDeque<Arc<JournalEntry>>>,
    /// The id of the newest event.
    pub(super) newest: watch::Sender<u64>,
}

impl SharedJournal {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            mailbox: JournalMailbox::default(),
            counts: JournalCounts::default(),
            recent: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// The events in memory, the oldest first.
    pub(super) fn recent(&self) -> MutexGuard<'_, VecDeque<Arc<JournalEntry>>> {
        // Entries are added and removed whole.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends events until the mailbox is stopped.
pub(super) struct JournalRecorder {
    shared: Arc<SharedJournal>,
    segments: Segments,
    next_id: u64,
    last_hash: LineHash,
    /// Events that are not in a file yet.
    unsaved: VecDeque<Arc<JournalEntry>>,
    /// Events that will be in no file, since the last event that said so.
    unwritten: u64,
    has_urgent: bool,
    sync_at: Option<Instant>,
    /// When to write again after a failure.
    retry_at: Option<Instant>,
}

impl JournalRecorder {
    /// Reads the files of previous runs, and sets damaged ones aside.
    pub(super) fn open(shared: Arc<SharedJournal>) -> Self {
        Self::open_within(shared, LIMITS)
    }

    pub(super) fn open_within(shared: Arc<SharedJournal>, limits: SegmentLimits) -> Self {
        let Scan { next_id, last_hash, position, recent, damaged, findings } =
            scan(&shared.directory, MAX_RECENT);
        *shared.recent() = recent;
        shared.counts.faults().damaged = damaged;
        shared.newest.send_replace(next_id - 1);
        let segments = Segments::at(shared.directory.clone(), limits, position);
        let mut recorder = Self {
            shared,
            segments,
            next_id,
            last_hash,
            unsaved: VecDeque::new(),
            unwritten: 0,
            has_urgent: false,
            sync_at: None,
            retry_at: None,
        };
        findings.into_iter().for_each(|finding| recorder.record(now_ms(), finding));
        recorder
    }

    pub(super) fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let batch = shared.mailbox.take(self.deadline());
            let is_stopped = batch.is_stopped;
            self.handle(batch);
            if is_stopped {
                return;
            }
        }
    }

    /// When there is something to do without a request.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // After a failure nothing is due before the next attempt.
        self.retry_at.or(self.sync_at)
    }

    /// Records and writes what a batch has, then replies to those who wait for that.
    pub(super) fn handle(&mut self, batch: JournalBatch) {
        let JournalBatch { requests, lost, is_stopped } = batch;
        let mut replies = Vec::new();
        for request in requests {
            match request {
                JournalRequest::Record(time_ms, event) => self.record(time_ms, *event),
                JournalRequest::Flush(reply) => replies.push(reply),
            }
        }
        if lost > 0 {
            self.record_loss(lost, "more events came at once than the journal can queue");
        }
        let must_sync = is_stopped || !replies.is_empty();
        self.write(must_sync);
        for reply in replies {
            // The task that asked may have stopped waiting.
            let _ = reply.send(());
        }
    }

    /// Gives an event its id.
    fn record(&mut self, time_ms: i64, mut event: Event) {
        event.texts_mut().for_each(sanitize);
        if event.kind == EventKind::Command {
            self.add_states(&mut event);
        }
        self.has_urgent |= event.kind.is_urgent();
        let entry = Arc::new(JournalEntry { id: self.next_id, time_ms, event });
        self.next_id += 1;
        self.unsaved.push_back(Arc::clone(&entry));
        if self.unsaved.len() > MAX_UNSAVED {
            self.unsaved.pop_front();
            self.unwritten += 1;
            self.shared.counts.dropped.fetch_add(1, Relaxed);
        }
        let mut recent = self.shared.recent();
        recent.push_back(Arc::clone(&entry));
        let excess = recent.len().saturating_sub(MAX_RECENT);
        recent.drain(..excess);
        drop(recent);
        self.shared.counts.recorded.fetch_add(1, Relaxed);
        self.shared.newest.send_replace(entry.id);
    }

    /// Adds to a command the states before and after it, which the event of its effect has.
    fn add_states(&self, command: &mut Event) {
        let recent = self.shared.recent();
        let is_effect = |event: &Event| {
            event.kind == EventKind::State
                && event.subject == command.subject
                && event.generation == command.generation
        };
        let mut latest = recent.iter().rev().take(MAX_EFFECT_DISTANCE);
        if let Some(effect) = latest.find(|entry| is_effect(&entry.event)) {
            command.before.clone_from(&effect.event.before);
            command.after.clone_from(&effect.event.after);
        }
    }

    fn record_loss(&mut self, count: u64, why: &str) {
        tracing::warn!(events = count, why, "journal events lost");
        let text = format!("{} lost: {why}", listing::counted(count as usize, "event"));
        let cause = Some(text);
        self.record(now_ms(), Event { cause, ..Event::new(EventKind::Journal, "journal") });
    }

    /// Writes what is not in a file yet, and waits for the disk if `must_sync` or if that is due.
    fn write(&mut self, must_sync: bool) {
        let now = Instant::now();
        let is_waiting = self.retry_at.is_some_and(|at| at > now);
        if is_waiting && !must_sync {
            return;
        }
        let outcome = self.append().and_then(|()| {
            if self.segments.is_dirty() {
                self.sync_at.get_or_insert(now + SYNC_DELAY);
            }
            let is_due = self.sync_at.is_some_and(|at| at <= now);
            if must_sync || is_due || std::mem::take(&mut self.has_urgent) {
                self.sync_at = None;
                return self.segments.sync();
            }
            Ok(())
        });
        self.note_outcome(outcome);
        crate::files::replenish_descriptors();
    }

    fn append(&mut self) -> io::Result<()> {
        if self.unwritten > 0 && !self.unsaved.is_empty() {
            let count = std::mem::take(&mut self.unwritten);
            self.record_loss(count, "the state directory could not be written to");
        }
        while !self.unsaved.is_empty() {
            if self.segments.is_full() {
                self.segments.rotate();
            }
            let (mut lines, mut hash) = (Vec::new(), self.last_hash);
            let mut count = 0;
            for entry in self.unsaved.iter().take(256) {
                let line = encode(entry, hash);
                hash = LineHash::of(&line);
                lines.extend(line);
                lines.push(b'\n');
                count += 1;
            }
            self.segments.append(&lines)?;
            self.last_hash = hash;
            self.unsaved.drain(..count);
        }
        Ok(())
    }

    /// Logs and reports the beginning and the end of failures to write.
    fn note_outcome(&mut self, outcome: io::Result<()>) {
        let directory = self.shared.directory.display();
        let mut faults = self.shared.counts.faults();
        match outcome {
            Ok(()) => {
                self.retry_at = None;
                if faults.unsaved.take().is_some() {
                    tracing::info!(%directory, "journal written again");
                }
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
                let text = format!("{directory}: {error} (help: {})", remedy::write_remedy(&error));
                if faults.unsaved.is_none() {
                    tracing::warn!(%directory, %error, "journal not written: its latest events are in memory only");
                }
                faults.unsaved = Some(text);
            }
        }
    }
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    unix_ms(SystemTime::now())
}

/// Makes a text safe to keep: without passwords of URLs, and of bounded length.
fn sanitize(text: &mut String) {
    if let std::borrow::Cow::Owned(redacted) = printable::redacted(text) {
        *text = redacted;
    }
    if text.len() > MAX_TEXT_OCTETS {
        let end = (0..=MAX_TEXT_OCTETS).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
}
