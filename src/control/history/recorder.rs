//! The recorder: the history's thread. It writes a record for each published snapshot whose facts
//! differ, and appends the events of the difference to the journal.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    changes::{self, ChangeContext},
    configurations::ConfigurationStore,
    difference::{Facts, difference, facts},
    fact::{FactChange, FactKey},
    names::NameTable,
    past,
    published::{DatabaseIdentity, PublishedConditions, PublishedConfiguration},
    record::{ConfigurationIdentity, HistoryGap, HistoryRecord},
    shared::SharedHistory,
};
use crate::{
    control::{
        clock::{format_time, unix_ms},
        journal::{
            Event, EventKind, Journal, SegmentLimits, SegmentPosition, Segments, list_segments,
        },
        overrides, remedy,
    },
    listing,
    steer::{Conditions, ProbeId},
};

/// The size of the files of records.
const LIMITS: SegmentLimits = SegmentLimits { segment_octets: 4 << 20, total_octets: 64 << 20 };
/// The maximum size of the files of all configurations that records name, in octets. Beyond it the
/// history begins later.
const MAX_CONFIGURATION_OCTETS: u64 = 256 << 20;
/// The maximum age of a record.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);
/// The interval at which all facts are written again after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// A file with all facts is followed by records of differences of at least this many times its
/// size.
const MIN_DIFFERENCES: u64 = 4;
/// After this many octets of configurations were written, those that no record names are removed.
const MAX_WRITTEN_OCTETS: u64 = 64 << 20;
/// The number of octets of a digest that an event shows.
const SHOWN_DIGEST: usize = 12;
/// The maximum number of changed files that an event names.
const MAX_NAMED_FILES: usize = 5;

/// Writes what is published.
pub(super) struct HistoryRecorder {
    shared: Arc<SharedHistory>,
    journal: Journal,
    segments: Segments,
    configurations: ConfigurationStore,
    current: Option<RecordedState>,
    /// Why the next record needs all facts; `None` if differences are enough.
    gap: Option<HistoryGap>,
    /// The size of the last record with all facts.
    complete_octets: u64,
    /// When to write again after a failure.
    retry_at: Option<Instant>,
}

/// The state after the last snapshot.
struct RecordedState {
    generation: u64,
    names: NameTable,
    configuration: Arc<PublishedConfiguration>,
    /// `None` if the configuration could not be stored.
    reference: Option<ConfigurationIdentity>,
    conditions: Arc<Conditions>,
    facts: Facts,
}

impl HistoryRecorder {
    /// Continues after the files of earlier runs, in a new file.
    pub(super) fn open(shared: Arc<SharedHistory>, journal: Journal) -> Self {
        let last = list_segments(&shared.directory).pop().map_or(0, |(number, _)| number);
        let position = SegmentPosition { number: last + 1, octets: 0 };
        let mut recorder = Self {
            segments: Segments::at(shared.directory.clone(), LIMITS, position),
            configurations: ConfigurationStore::new(shared.configurations()),
            shared,
            journal,
            current: None,
            gap: Some(HistoryGap::Started),
            complete_octets: 0,
            retry_at: None,
        };
        recorder.prune(i64::MIN, None);
        recorder
    }

    /// Records until the mailbox is stopped.
    pub(super) fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let batch = shared.take(self.retry_at);
            for published in batch.published {
                self.record(published);
            }
            self.retry_if_due();
            // Those who wait may have stopped waiting.
            for reply in batch.replies {
                let _ = reply.send(());
            }
            if batch.is_stopped {
                return;
            }
        }
    }

    /// Records the conditions of one snapshot.
    pub(super) fn record(&mut self, published: PublishedConditions) {
        let (mut state, changes, is_new_configuration) = match self.current.take() {
            Some(state) if Arc::ptr_eq(&state.configuration, &published.configuration) => {
                let (state, changes) = self.follow(state, &published);
                (state, changes, false)
            }
            before => {
                let (state, changes) = self.switch(before.as_ref(), &published);
                (state, changes, true)
            }
        };
        state.generation = published.generation;
        if is_new_configuration || !changes.is_empty() {
            self.write(published.time_ms, &mut state, changes, is_new_configuration);
        }
        self.set_current(state);
    }

    /// Writes all facts once the time after a failure is over.
    fn retry_if_due(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry();
        }
    }

    /// Writes all facts after a failure, without waiting for a snapshot.
    pub(super) fn retry(&mut self) {
        self.retry_at = None;
        if let Some(mut state) = self.current.take() {
            self.write(unix_ms(SystemTime::now()), &mut state, Vec::new(), true);
            self.set_current(state);
        }
    }

    fn set_current(&mut self, state: RecordedState) {
        *self.shared.current() = state
            .reference
            .as_ref()
            .map(|reference| (Arc::clone(&state.configuration), reference.digest.clone()));
        self.current = Some(state);
    }

    /// The state after a snapshot of the same configuration, and the facts that differ.
    fn follow(
        &self,
        mut state: RecordedState,
        published: &PublishedConditions,
    ) -> (RecordedState, Vec<FactChange>) {
        let changes = difference(&state.names, &state.conditions, &published.conditions);
        self.append_events(&state.names, &state.facts, published, &changes, false);
        apply(&mut state.facts, &changes);
        state.conditions = Arc::clone(&published.conditions);
        (state, changes)
    }

    /// The state after a snapshot of another configuration, and the facts that differ.
    fn switch(
        &mut self,
        before: Option<&RecordedState>,
        published: &PublishedConditions,
    ) -> (RecordedState, Vec<FactChange>) {
        let PublishedConditions { conditions, configuration, .. } = published;
        let conditions = Arc::clone(conditions);
        let names = NameTable::new(&configuration.topology, &configuration.numbering);
        let facts = facts(&names, &conditions);
        let no_facts = Facts::new();
        let old = before.map_or(&no_facts, |before| &before.facts);
        let removed = old.keys().filter(|key| !facts.contains_key(*key));
        let removed = removed.map(|key| (key.clone(), None));
        let set = facts.iter().filter(|(key, value)| old.get(*key) != Some(*value));
        let set = set.map(|(key, value)| (key.clone(), Some(value.clone())));
        let changes: Vec<FactChange> = removed.chain(set).collect();
        let configuration = Arc::clone(configuration);
        let reference = self.store(&configuration);
        let state = RecordedState {
            generation: published.generation,
            names,
            configuration,
            reference,
            conditions,
            facts,
        };
        self.append_configuration_event(before, &state, published.generation);
        // What a start restores from the previous run is no change.
        if let Some(before) = before {
            let (old, new) = (&before.configuration, &state.configuration);
            self.append_database_events(old, new, published.generation);
            self.append_events(&state.names, &before.facts, published, &changes, true);
        }
        (state, changes)
    }

    fn append_events(
        &self,
        names: &NameTable,
        before: &Facts,
        published: &PublishedConditions,
        changes: &[FactChange],
        is_new_configuration: bool,
    ) {
        let context = ChangeContext {
            names,
            before,
            generation: published.generation,
            is_new_configuration,
            causes: &causes(names, &published.causes),
        };
        changes::events(&context, changes).into_iter().for_each(|event| self.journal.append(event));
    }

    /// Stores the files of a configuration; `None` if that fails.
    fn store(&mut self, configuration: &PublishedConfiguration) -> Option<ConfigurationIdentity> {
        let databases = configuration.databases.clone();
        match self.configurations.save(configuration) {
            Ok(digest) => {
                let PublishedConfiguration { overrides, overrides_at, .. } = configuration;
                let text = || String::from_utf8(overrides::encode(overrides)).ok();
                Some(ConfigurationIdentity {
                    digest,
                    databases,
                    overrides: if overrides.is_empty() { None } else { text() },
                    overrides_at: *overrides_at,
                })
            }
            Err(error) => {
                self.note_failure(&error);
                None
            }
        }
    }

    /// Writes a record: of all facts if it begins a file, else of those that differ. After a
    /// failure nothing is written for a while, and then all facts.
    fn write(
        &mut self,
        time_ms: i64,
        state: &mut RecordedState,
        changes: Vec<FactChange>,
        is_new_configuration: bool,
    ) {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let is_gone = self.segments.is_gone();
        if is_gone || state.reference.is_none() {
            self.gap = Some(self.gap.unwrap_or(HistoryGap::Lost));
            state.reference = self.store(&state.configuration);
        }
        let Some(reference) = state.reference.clone() else { return };
        let is_full = self.segments.octets()
            >= LIMITS.segment_octets.max(MIN_DIFFERENCES * self.complete_octets);
        let is_over = is_full
            || self.gap.is_some()
            || self.configurations.written_octets() > MAX_WRITTEN_OCTETS;
        if is_over && self.segments.octets() > 0 {
            self.segments.rotate();
            self.prune(time_ms, Some(&reference.digest));
        }
        let is_complete = self.segments.octets() == 0;
        let mut record = HistoryRecord {
            time_ms,
            generation: state.generation,
            is_complete,
            gap: self.gap,
            configuration: (is_complete || is_new_configuration).then_some(reference),
            ..HistoryRecord::default()
        };
        match is_complete {
            true => record.set = state.facts.clone().into_iter().collect(),
            false => record.add_changes(changes),
        }
        let line = record.line();
        match self.segments.append(&line) {
            Ok(()) => {
                self.gap = None;
                self.complete_octets =
                    if is_complete { line.len() as u64 } else { self.complete_octets };
                self.note_success();
            }
            Err(error) => self.note_failure(&error),
        }
    }

    /// Removes what is too old or too large at `now_ms`, in milliseconds since 1970. `digest` is
    /// that of the configuration in force.
    fn prune(&mut self, now_ms: i64, digest: Option<&str>) {
        let mut files = past::references(&self.shared.directory);
        let max_age_ms = i64::try_from(MAX_AGE.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = now_ms.saturating_sub(max_age_ms);
        files.retain(|file| {
            let is_old = file.last_ms < oldest_ms;
            !(is_old && fs::remove_file(&file.path).is_ok())
        });
        loop {
            let mut used: BTreeSet<String> = digest.into_iter().map(str::to_owned).collect();
            used.extend(files.iter().flat_map(|file| file.digests.iter().cloned()));
            let octets = self.configurations.retain(&used);
            let kept = usize::from(digest.is_none());
            if octets <= MAX_CONFIGURATION_OCTETS || files.len() <= kept {
                return;
            }
            let oldest = files.remove(0);
            tracing::info!(file = %oldest.path.display(), number = oldest.number, "history begins later: the configurations of its oldest part are too large");
            if fs::remove_file(&oldest.path).is_err() {
                return;
            }
        }
    }

    /// Appends the event of other files, if the files or serials differ.
    fn append_configuration_event(
        &self,
        before: Option<&RecordedState>,
        state: &RecordedState,
        generation: u64,
    ) {
        let digest = |state: &RecordedState| {
            Some(state.reference.as_ref()?.digest[..SHOWN_DIGEST].to_owned())
        };
        let (old, new) = (before.and_then(digest), digest(state));
        if before.is_some() && old == new {
            return;
        }
        let PublishedConfiguration { topology, last_good, .. } = &*state.configuration;
        let mut cause = format!(
            "{}, {}",
            listing::counted(last_good.inventory.zones.len(), "zone"),
            listing::counted(topology.services.len(), "service")
        );
        let files = before.map(|before| changed_files(before, state)).unwrap_or_default();
        if !files.is_empty() {
            let named = listing::join_first(files.iter(), MAX_NAMED_FILES, files.len());
            cause += &format!("; changed: {named}");
        }
        self.journal.append(Event {
            before: old,
            after: new,
            cause: Some(cause),
            generation: Some(generation),
            ..Event::new(EventKind::Configuration, "configuration")
        });
    }

    /// Appends an event for each database that is used now and was not, or was and is not now.
    fn append_database_events(
        &self,
        before: &PublishedConfiguration,
        after: &PublishedConfiguration,
        generation: u64,
    ) {
        let (old, new) = (&before.databases, &after.databases);
        for database in new {
            let known = old.iter().find(|known| known.path == database.path);
            if known != Some(database) {
                self.journal.append(database_event(known, Some(database), generation));
            }
        }
        let is_left = |path: &str| new.iter().any(|database| database.path == path);
        for gone in old.iter().filter(|known| !is_left(&known.path)) {
            self.journal.append(database_event(Some(gone), None, generation));
        }
    }

    /// Logs and reports the end of failures to write.
    fn note_success(&mut self) {
        self.retry_at = None;
        if self.shared.unsaved().take().is_some() {
            tracing::info!(directory = %self.shared.directory.display(), "history written again");
        }
        crate::files::replenish_descriptors();
    }

    /// Logs and reports the beginning of failures to write, and schedules another attempt.
    fn note_failure(&mut self, error: &io::Error) {
        self.gap = Some(self.gap.unwrap_or(HistoryGap::Lost));
        self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
        let directory = self.shared.directory.display();
        let mut unsaved = self.shared.unsaved();
        if unsaved.is_none() {
            tracing::warn!(%directory, %error, "history not written: explain --at cannot repeat this time");
        }
        let help = remedy::write_remedy(error);
        *unsaved = Some(format!("{directory}: {error} (help: {help})"));
        crate::files::replenish_descriptors();
    }
}

fn apply(facts: &mut Facts, changes: &[FactChange]) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(facts.insert(key.clone(), value.clone())),
            None => drop(facts.remove(key)),
        }
    }
}

/// The causes of changes of health, by the fact that changed.
fn causes(names: &NameTable, causes: &[(ProbeId, String)]) -> HashMap<FactKey, String> {
    let topology = &names.topology;
    let cause = |(id, text): &(ProbeId, String)| {
        let probe = topology.probes.get(id.index())?;
        let monitor = topology.monitors.get(probe.monitor.index())?.name.to_string();
        Some((FactKey::Target(monitor, probe.target.to_string()), text.clone()))
    };
    causes.iter().filter_map(cause).collect()
}

/// The files that differ between two configurations, in order of path.
fn changed_files(before: &RecordedState, after: &RecordedState) -> Vec<String> {
    let (old, new) = (&before.configuration.last_good.files, &after.configuration.last_good.files);
    let changed = new.iter().filter(|(path, file)| {
        old.get(*path)
            .is_none_or(|known| !Arc::ptr_eq(known, file) && known.octets() != file.octets())
    });
    let removed = old.iter().filter(|(path, _)| !new.contains_key(*path));
    let mut shown: Vec<String> =
        changed.chain(removed).map(|(_, file)| file.shown.to_string()).collect();
    shown.sort();
    shown
}

fn database_event(
    before: Option<&DatabaseIdentity>,
    after: Option<&DatabaseIdentity>,
    generation: u64,
) -> Event {
    let text = |database: &DatabaseIdentity| {
        let built = format_time(i64::try_from(database.built).unwrap_or(i64::MAX));
        format!("{} built {built}", database.kind)
    };
    let path = after.or(before).map_or("", |database| database.path.as_str());
    Event {
        before: before.map(text),
        after: after.map_or(Some("no longer in use".to_owned()), |database| Some(text(database))),
        generation: Some(generation),
        ..Event::new(EventKind::Database, path)
    }
}
