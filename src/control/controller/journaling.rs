//! Journaling: what the controller reports to the journal, and what it has reported already.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use crate::{
    control::{
        LoadedConfig,
        clock::unix_ms,
        config_errors::ConfigErrors,
        history::{History, PublishedConditions, PublishedConfiguration},
        journal::{Event, EventKind, Journal},
        status::HeldStatus,
    },
    listing,
    steer::{Conditions, ProbeId},
};

/// The maximum number of held files that are events of their own after one load.
const MAX_HELD_EVENTS: usize = 50;

/// Owns the journal and the history, and remembers what was reported to them last.
#[derive(Debug)]
pub(super) struct Journaling {
    journal: Journal,
    history: History,
    /// The configuration in use.
    configuration: Arc<PublishedConfiguration>,
    /// The conditions that were reported last; `None` after a new configuration.
    conditions: Option<Arc<Conditions>>,
    is_frozen: bool,
    /// Each held file, and why it is held.
    held: BTreeMap<String, String>,
    /// Why a removal is held.
    held_removal: Option<String>,
    /// Why the last load was refused whole.
    refusal: Option<String>,
}

impl Journaling {
    pub(super) fn new(journal: Journal, history: History, loaded: &LoadedConfig) -> Self {
        Self {
            journal,
            history,
            configuration: Arc::new(PublishedConfiguration::of(loaded)),
            conditions: None,
            is_frozen: false,
            held: BTreeMap::new(),
            held_removal: None,
            refusal: None,
        }
    }

    /// The journal, for a handle.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The history, for a handle.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Makes the history follow another configuration.
    pub(super) fn set_configuration(&mut self, loaded: &LoadedConfig) {
        self.configuration = Arc::new(PublishedConfiguration::of(loaded));
        self.conditions = None;
    }

    /// The configuration in use.
    pub(super) fn configuration(&self) -> &Arc<PublishedConfiguration> {
        &self.configuration
    }

    /// Sends the conditions of a snapshot to the history. `causes` gets the conditions before, if
    /// they belong to the same configuration, and says why health status changed since.
    pub(super) fn publish(
        &mut self,
        generation: u64,
        conditions: Arc<Conditions>,
        causes: impl FnOnce(&Conditions, &Conditions) -> Vec<(ProbeId, String)>,
    ) {
        let before = self.conditions.replace(Arc::clone(&conditions));
        let causes = before.map(|before| causes(&before, &conditions)).unwrap_or_default();
        self.history.publish(PublishedConditions {
            time_ms: unix_ms(SystemTime::now()),
            generation,
            conditions,
            configuration: Arc::clone(&self.configuration),
            causes,
        });
    }

    /// Records that the server starts.
    pub(super) fn record_start(&self, generation: u64) {
        self.journal.append(Event {
            after: Some("started".to_owned()),
            cause: Some(format!("version {}", env!("CARGO_PKG_VERSION"))),
            generation: Some(generation),
            ..Event::new(EventKind::Server, "server")
        });
    }

    /// Records that the server stops, and waits until the journal is on the disk.
    pub(super) async fn record_stop(&self, generation: u64) {
        self.journal.append(Event {
            before: Some("started".to_owned()),
            after: Some("stopped".to_owned()),
            generation: Some(generation),
            ..Event::new(EventKind::Server, "server")
        });
        self.history.flush().await;
        self.journal.flush().await;
    }

    /// Records the beginning or the end of a doubt, if there is one.
    pub(super) fn record_doubt(&mut self, is_frozen: bool, generation: u64) {
        if std::mem::replace(&mut self.is_frozen, is_frozen) == is_frozen {
            return;
        }
        let (word, before) =
            if is_frozen { ("frozen", "following") } else { ("following", "frozen") };
        let cause = is_frozen.then(|| "most targets failed at once".to_owned());
        self.journal.append(Event {
            before: Some(before.to_owned()),
            after: Some(word.to_owned()),
            cause,
            generation: Some(generation),
            ..Event::new(EventKind::Doubt, "health status")
        });
    }

    /// Records the files that a load holds and did not hold before, and those that it no longer
    /// holds.
    pub(super) fn record_held(
        &mut self,
        held: Vec<HeldStatus>,
        removal: Option<&String>,
        generation: u64,
    ) {
        let reason = |file: &HeldStatus| file.errors.first().cloned().unwrap_or_default();
        let held: BTreeMap<String, String> =
            held.into_iter().map(|file| (file.file.clone(), reason(&file))).collect();
        let before = std::mem::replace(&mut self.held, held);
        let news = self.held.iter().filter(|(file, why)| before.get(*file) != Some(*why));
        let news = news.map(|(file, why)| (file, before.contains_key(file), Some(why.clone())));
        let ended = before.keys().filter(|file| !self.held.contains_key(*file));
        let ended = ended.map(|file| (file, true, None));
        let changes: Vec<_> = news.chain(ended).collect();
        for (file, was_held, why) in changes.iter().take(MAX_HELD_EVENTS) {
            let word = |is_held: bool| Some(if is_held { "held" } else { "in use" }.to_owned());
            self.journal.append(Event {
                before: word(*was_held),
                after: word(why.is_some()),
                cause: why.clone(),
                generation: Some(generation),
                ..Event::new(EventKind::HeldFile, file.as_str())
            });
        }
        if let Some(more) = changes.len().checked_sub(MAX_HELD_EVENTS).filter(|more| *more > 0) {
            let cause = Some(listing::counted(more, "more file"));
            self.journal.append(Event { cause, ..Event::new(EventKind::HeldFile, "more files") });
        }
        if self.held_removal.as_ref() != removal {
            self.held_removal = removal.cloned();
            let word = if removal.is_some() { "held" } else { "ended" };
            self.journal.append(Event {
                after: Some(word.to_owned()),
                cause: removal.cloned(),
                generation: Some(generation),
                ..Event::new(EventKind::HeldFile, "removal")
            });
        }
    }

    /// Records that a load was refused whole, unless the one before was for the same reason.
    pub(super) fn record_refusal(&mut self, outcome: &Result<(), ConfigErrors>, generation: u64) {
        let refusal = outcome.as_ref().err().map(ToString::to_string);
        if self.refusal == refusal {
            return;
        }
        self.refusal.clone_from(&refusal);
        if refusal.is_some() {
            self.journal.append(Event {
                after: Some("refused".to_owned()),
                cause: refusal,
                generation: Some(generation),
                ..Event::new(EventKind::Configuration, "configuration")
            });
        }
    }
}
