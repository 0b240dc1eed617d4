//! Collects the errors and warnings of a load. The list is bounded: the first thousand errors and
//! the first thousand warnings are kept, the rest is counted.

use std::collections::HashSet;

use super::{
    diagnostic::{Diagnostic, Severity, Stage},
    place::{FileId, SourcePlace},
    quoted::Quoted,
    spelling::SpellingSuggester,
};

/// The number of errors that are kept, and the number of warnings.
pub(super) const MAX_KEPT_PER_SEVERITY: usize = 1000;

/// The errors and warnings found so far.
#[derive(Debug)]
pub(super) struct Problems {
    /// The number of errors that are kept, and the number of warnings.
    max_per_severity: usize,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    omitted: usize,
    /// Files that cannot be parsed: whatever else seems wrong in them may follow from that.
    muted: HashSet<FileId>,
    suggester: SpellingSuggester,
    /// The stage of diagnostics that are added from now on.
    stage: Stage,
    /// The last diagnostic that was not kept: callers complete it like any other.
    discarded: Option<Diagnostic>,
}

impl Default for Problems {
    fn default() -> Self {
        Self::with_room_beside(0)
    }
}

impl Problems {
    /// A list for one part of a load, to be merged with others that already keep `kept` problems.
    /// At least one error and one warning are kept.
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

    /// The number of problems that are kept.
    pub(super) fn kept_count(&self) -> usize {
        self.errors.len() + self.warnings.len()
    }

    /// Adds an error. The returned diagnostic takes a help, a label and other places.
    pub(super) fn error(
        &mut self,
        place: SourcePlace,
        message: impl AsRef<str>,
    ) -> &mut Diagnostic {
        self.add(Severity::Error, place, message)
    }

    /// Adds a warning unless the maximum is reached.
    pub(super) fn warning(
        &mut self,
        place: SourcePlace,
        message: impl AsRef<str>,
    ) -> &mut Diagnostic {
        self.add(Severity::Warning, place, message)
    }

    fn add(
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

    /// Removes the errors at exactly this place, and returns the help of the first.
    pub(super) fn retract(&mut self, place: SourcePlace) -> Option<String> {
        let first = self.errors.iter().position(|error| error.place == place)?;
        let help = self.errors[first].help.clone();
        self.errors.retain(|error| error.place != place);
        help
    }

    /// Adds the problems of another list.
    pub(super) fn merge(&mut self, other: Self) {
        let free_slots = |list: &Vec<Diagnostic>| MAX_KEPT_PER_SEVERITY.saturating_sub(list.len());
        let (errors, warnings) = (free_slots(&self.errors), free_slots(&self.warnings));
        self.omitted += other.omitted + other.errors.len().saturating_sub(errors);
        self.omitted += other.warnings.len().saturating_sub(warnings);
        self.errors.extend(other.errors.into_iter().take(errors));
        self.warnings.extend(other.warnings.into_iter().take(warnings));
    }

    /// Marks the problems added from now on as found by comparing files.
    pub(super) fn begin_checking(&mut self) {
        self.stage = Stage::Checking;
    }

    /// Ignores further problems of a file.
    pub(super) fn mute(&mut self, file: FileId) {
        self.muted.insert(file);
    }

    /// Whether a file could not be read completely: a name that seems undefined may be defined
    /// there.
    pub(super) fn has_unread_files(&self) -> bool {
        !self.muted.is_empty()
    }

    /// Adds an error about an undefined name, and suggests the nearest defined one. `otherwise` is
    /// the help where none is near.
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

    /// The known name nearest to a misspelt one, if one is near.
    pub(super) fn suggest<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggester.suggest(name, known)
    }

    /// Whether there is an error.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The problems that are kept.
    pub(super) fn list(&self) -> Vec<Diagnostic> {
        self.errors.iter().chain(&self.warnings).cloned().collect()
    }

    /// The problems that are kept, and how many were not.
    pub(super) fn into_parts(self) -> (Vec<Diagnostic>, usize) {
        let mut list = self.errors;
        list.extend(self.warnings);
        (list, self.omitted)
    }
}
