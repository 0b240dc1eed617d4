//! The list that reading and checking write to. It is bounded: the first thousand mistakes are
//! kept, the rest counted.

use std::collections::HashSet;

use super::{
    diagnostic::{Diagnostic, Severity, Stage},
    place::{FileId, SourcePlace},
    quoted::Quoted,
    spelling::SpellingSuggester,
};

/// How many errors, and how many warnings, are kept.
pub(super) const MAX_KEPT_PER_SEVERITY: usize = 1000;

/// Collects what is wrong.
#[derive(Debug)]
pub(super) struct Problems {
    /// How many errors, and how many warnings, are kept.
    max_per_severity: usize,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    omitted: usize,
    /// Files that cannot be parsed: whatever else seems wrong there may follow from that.
    muted: HashSet<FileId>,
    suggester: SpellingSuggester,
    /// Of what is noted from now on.
    stage: Stage,
    /// Where a diagnostic goes that is not kept, so that callers need not know.
    discarded: Option<Diagnostic>,
}

impl Default for Problems {
    fn default() -> Self {
        Self::with_room_beside(0)
    }
}

impl Problems {
    /// A list that will be taken over by another, beside lists that keep
    /// so many problems. However many there are, one of each kind is kept.
    pub(super) fn with_room_beside(kept: usize) -> Self {
        Self {
            max_per_severity: MAX_KEPT_PER_SEVERITY.saturating_sub(kept).max(1),
            errors: Vec::new(),
            warnings: Vec::new(),
            omitted: 0,
            muted: HashSet::new(),
            suggester: SpellingSuggester::default(),
            stage: Stage::default(),
            discarded: None,
        }
    }

    /// How many problems are kept.
    pub(super) fn kept_count(&self) -> usize {
        self.errors.len() + self.warnings.len()
    }

    /// Notes an error. The returned diagnostic takes a help, labels and other places.
    pub(super) fn error(
        &mut self,
        place: SourcePlace,
        message: impl AsRef<str>,
    ) -> &mut Diagnostic {
        self.note(Severity::Error, place, message)
    }

    /// Notes a warning.
    pub(super) fn warning(
        &mut self,
        place: SourcePlace,
        message: impl AsRef<str>,
    ) -> &mut Diagnostic {
        self.note(Severity::Warning, place, message)
    }

    fn note(
        &mut self,
        severity: Severity,
        place: SourcePlace,
        message: impl AsRef<str>,
    ) -> &mut Diagnostic {
        let list = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        let is_muted = self.muted.contains(&place.file());
        if is_muted || list.len() >= self.max_per_severity {
            self.omitted += usize::from(!is_muted);
            return self.discarded.insert(Diagnostic::new(severity, place, ""));
        }
        list.push(Diagnostic { stage: self.stage, ..Diagnostic::new(severity, place, message) });
        let last = list.len() - 1;
        &mut list[last]
    }

    /// Takes back the errors that were noted at exactly this place; the help of the first.
    pub(super) fn retract(&mut self, place: SourcePlace) -> Option<String> {
        let first = self.errors.iter().position(|error| error.place == place)?;
        let help = self.errors[first].help.clone();
        self.errors.retain(|error| error.place != place);
        help
    }

    /// Takes over what another list holds.
    pub(super) fn merge(&mut self, other: Self) {
        let room = |list: &Vec<Diagnostic>| MAX_KEPT_PER_SEVERITY.saturating_sub(list.len());
        let (errors, warnings) = (room(&self.errors), room(&self.warnings));
        self.omitted += other.omitted + other.errors.len().saturating_sub(errors);
        self.omitted += other.warnings.len().saturating_sub(warnings);
        self.errors.extend(other.errors.into_iter().take(errors));
        self.warnings.extend(other.warnings.into_iter().take(warnings));
    }

    /// From now on mistakes are found by comparing files.
    pub(super) fn begin_checking(&mut self) {
        self.stage = Stage::Checking;
    }

    /// From now on nothing more is noted of a file.
    pub(super) fn mute(&mut self, file: FileId) {
        self.muted.insert(file);
    }

    /// Whether a file could not be read as a whole: a name that seems to mean nothing may be
    /// defined there.
    pub(super) fn has_unread_files(&self) -> bool {
        !self.muted.is_empty()
    }

    /// Notes that a name means nothing, with the nearest one that does.
    pub(super) fn unknown_name<'n>(
        &mut self,
        place: SourcePlace,
        message: impl AsRef<str>,
        name: &str,
        known: impl Iterator<Item = &'n str>,
        otherwise: &str,
    ) -> &mut Diagnostic {
        let nearest = self.suggest(name, known);
        let diagnostic = self.error(place, message);
        match nearest {
            Some(nearest) => diagnostic.help(format!("did you mean {}?", Quoted(nearest))),
            None => diagnostic.help(otherwise),
        }
    }

    /// The known name that a misspelt one was meant to be, if one is near.
    pub(super) fn suggest<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggester.suggest(name, known)
    }

    /// Whether anything forbids the configuration.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// All that was noted, as far as it is kept.
    pub(super) fn list(&self) -> Vec<Diagnostic> {
        self.errors.iter().chain(&self.warnings).cloned().collect()
    }

    /// All that was noted, and how much was not kept.
    pub(super) fn into_parts(self) -> (Vec<Diagnostic>, usize) {
        let mut list = self.errors;
        list.extend(self.warnings);
        (list, self.omitted)
    }
}
