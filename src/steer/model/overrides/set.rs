//! All overrides of a server: at most one for each subject and kind.

use std::sync::Arc;

use super::{
    entry::{Override, OverrideKind},
    subject::OverrideSubject,
};

/// The overrides of a server, in order of subject and kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OverrideSet(Vec<Arc<Override>>);

impl OverrideSet {
    /// All overrides, those included that have not started or have ended.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Override>> {
        self.0.iter()
    }

    /// The number of overrides.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no override.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The override of a subject and kind.
    pub fn find(&self, subject: &OverrideSubject, kind: OverrideKind) -> Option<&Arc<Override>> {
        self.0.iter().find(|known| known.subject == *subject && known.kind() == kind)
    }

    /// Sets an override in place of the one with its subject and kind.
    pub fn set(&mut self, new: Override) {
        self.remove(&new.subject, new.kind());
        let key = |one: &Override| (one.subject.clone(), one.kind() as u8);
        let at = self.0.partition_point(|known| key(known) < key(&new));
        self.0.insert(at, Arc::new(new));
    }

    /// Removes the override of a subject and kind, and returns it.
    pub fn remove(
        &mut self,
        subject: &OverrideSubject,
        kind: OverrideKind,
    ) -> Option<Arc<Override>> {
        let at = self.0.iter().position(|one| one.subject == *subject && one.kind() == kind)?;
        Some(self.0.remove(at))
    }

    /// Removes the overrides that have ended at `now`, and returns them.
    pub fn remove_ended(&mut self, now: i64) -> Vec<Arc<Override>> {
        self.0.extract_if(.., |one| one.has_ended(now)).collect()
    }

    /// Whether what is in force at `now` differs from what was in force at `before`, which may be
    /// later if the clock was set back.
    pub fn differs_at(&self, now: i64, before: i64) -> bool {
        self.0.iter().any(|one| one.is_in_force(now) != one.is_in_force(before))
    }

    /// The next time after `now` at which an override starts or ends.
    pub fn next_change(&self, now: i64) -> Option<i64> {
        let times = self.0.iter().flat_map(|one| [one.starts, one.ends]).flatten();
        times.filter(|time| *time > now).min()
    }
}

impl FromIterator<Override> for OverrideSet {
    fn from_iter<I: IntoIterator<Item = Override>>(overrides: I) -> Self {
        let mut set = Self::default();
        overrides.into_iter().for_each(|one| set.set(one));
        set
    }
}
