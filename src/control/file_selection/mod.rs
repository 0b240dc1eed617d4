//! Held files: which files of a load that fails stay at their last good content, so that all others
//! apply.
//!
//! The rule. An attempt starts from the new files. When it fails, each error is attributed to files
//! that differ from their last good content, and those are held: they are replaced by that content,
//! and a new file without one is left out. Then the load is tried again. The first of these steps
//! that attributed any file decides an attempt:
//!
//! 1. An error of one file by itself (syntax, a wrong value, no permission) is attributed to that
//!    file. The errors of others may follow from it.
//! 2. A name that nothing defines is attributed to the changed files that defined it last.
//! 3. Any other error is attributed to the changed files that it names. For a name that is defined
//!    twice, these are the files that did not define it before.
//! 4. An error that names no changed file is attributed to the changed files that removed a name,
//!    or that disappeared.
//! 5. Otherwise every changed file is held. The last good set remains, which is known to load.
//!
//! Afterwards each file that was held for errors of steps 2 to 5 is tried alone, with all others
//! held. The files that load are released together, and the rule starts again from there.
//!
//! The files that load together may lack zones and services that unusable files define.
//! `kept_names` keeps those.

mod kept_names;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{held_file::HeldFile, last_good::LastGood};
use crate::config::{
    Config, Definition, Diagnostic, Diagnostics, FileId, FileRole, NameFault, SourceFile,
    SourceReadError, Sources, Stage, ToleratedDatabases, definitions,
};

/// The maximum number of attempts. A load that still fails after them holds every changed file.
const MAX_ATTEMPTS: usize = 32;
/// The maximum number of held files that are tried alone.
const MAX_RELEASES: usize = 16;
/// The maximum number of errors that are kept for a file.
const MAX_ERRORS_PER_FILE: usize = 20;
/// The maximum number of errors that are kept for all files that are held for the same errors, in
/// addition to one for each file.
const MAX_SHARED_ERRORS: usize = 20_000;
/// The beginning of an error that a missing file causes in another file.
const FILE_GONE: &str =
    "the file is gone, and others need what it defined (put it back, or change them)";

/// A file that has to be held, although the files may load with its new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForcedHold {
    pub path: PathBuf,
    pub reason: String,
    pub cause: HoldCause,
}

/// A configuration and its warnings, one line each.
pub(super) type ConfigAndWarnings = (Config, Vec<String>);

/// The files of one load, each in its new or its last good version.
#[derive(Debug)]
pub(super) struct FileSelection<'g> {
    last_good: &'g LastGood,
    pub sources: Sources,
    /// The configuration of the last good files: a load amends it if the files differ little.
    base: Option<Arc<Config>>,
    /// The version of each file, by [`FileId`].
    versions: Vec<SelectedVersion>,
    /// Sets of held files with which the others do not load.
    failed_sets: Vec<BTreeSet<FileId>>,
}

/// The version of a file that is in the sources.
#[derive(Debug)]
enum SelectedVersion {
    /// Both versions are the same.
    Unchanged,
    /// The new version. For a file that has disappeared this is its absence.
    New,
    /// The last good version, although the file has no error: it has just disappeared, or its
    /// directory cannot be read.
    Retained,
    /// The last good version, because of these errors of the new one.
    Held { new: SourceFile, errors: Vec<String>, cause: HoldCause },
}

/// Why a file is held. If there are several reasons, the last of these variants counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HoldCause {
    /// An error that other files may have caused.
    OtherFiles,
    /// The new version has no error, and would remove names.
    Removal,
    /// The new version has no error, and a requirement that is enforced does not hold with it.
    Requirement,
    /// The file cannot be used, whatever the other files contain.
    OwnError,
}

/// An error and a file that it is attributed to.
struct AttributedError {
    file: FileId,
    error: String,
    cause: HoldCause,
}

/// The names that the new version of a file removes and adds.
struct NameChanges {
    file: FileId,
    /// Whether the file has disappeared or cannot be read.
    is_missing: bool,
    removed: BTreeSet<Definition>,
    added: BTreeSet<Definition>,
}

impl<'g> FileSelection<'g> {
    /// Selects the new versions of all files. Files that have disappeared are part of the
    /// selection; those for which `is_kept` holds keep their last good content.
    pub(super) fn new(
        mut sources: Sources,
        good: &'g LastGood,
        is_kept: impl Fn(&Path) -> bool,
    ) -> Self {
        sources.share_octets(|path| good.file(path));
        let found: BTreeSet<&Path> = sources
            .files()
            .iter()
            .filter(|file| file.role != FileRole::Directory)
            .map(|file| &*file.path)
            .collect();
        let gone: Vec<(PathBuf, FileRole)> = good
            .files
            .iter()
            .filter(|(path, _)| !found.contains(&***path))
            .map(|(path, good)| (path.clone(), good.role))
            .collect();
        drop(found);
        let unread: Vec<PathBuf> = sources
            .files()
            .iter()
            .filter(|file| is_unread_directory(file))
            .map(|file| file.path.clone())
            .collect();
        let sources = sources.with_absent(gone);
        let choice = |file: &SourceFile| match file.role {
            FileRole::Directory if file.content.is_ok() => SelectedVersion::Unchanged,
            FileRole::Absent => SelectedVersion::New,
            _ if good.contains(file) => SelectedVersion::Unchanged,
            _ => SelectedVersion::New,
        };
        let versions = sources.files().iter().map(choice).collect();
        let mut selection =
            Self { last_good: good, sources, base: None, versions, failed_sets: Vec::new() };
        let is_hidden = |path: &Path| unread.iter().any(|directory| path.starts_with(directory));
        let kept: Vec<FileId> = selection
            .sources
            .entries()
            .filter(|(_, file)| {
                file.role == FileRole::Absent && (is_hidden(&file.path) || is_kept(&file.path))
            })
            .map(|(id, _)| id)
            .collect();
        let good_versions = kept.iter().map(|id| (*id, selection.last_good(*id))).collect();
        selection.sources.replace_files(good_versions);
        for id in kept {
            selection.versions[id.index()] = SelectedVersion::Retained;
        }
        selection
    }

    /// The files in their new version that removed any of these names.
    pub(super) fn removing_files(&self, names: &BTreeSet<Definition>) -> Vec<PathBuf> {
        let removes = |file: &FileId| {
            self.name_changes(*file).removed.iter().any(|name| names.contains(name))
        };
        let path = |file: FileId| self.sources.files()[file.index()].path.clone();
        self.changed().filter(removes).map(path).collect()
    }

    /// Holds for those of `paths` that are in their new version.
    pub(super) fn holds(
        &self,
        paths: &[PathBuf],
        reason: &str,
        cause: HoldCause,
    ) -> Vec<ForcedHold> {
        let paths: BTreeSet<&PathBuf> = paths.iter().collect();
        self.holds_of_all(reason, cause)
            .into_iter()
            .filter(|hold| paths.contains(&hold.path))
            .collect()
    }

    /// The one file in its new version that breaks what `is_met` looks at: with its last good
    /// version, and all others in their new one, the files load and it is met. `None` if no file
    /// alone does, or if there are too many to try.
    pub(super) fn breaking_file(&mut self, is_met: impl Fn(&Config) -> bool) -> Option<PathBuf> {
        let is_candidate =
            |id: &FileId| self.sources.files()[id.index()].role != FileRole::Settings;
        let candidates: Vec<FileId> = self.changed().filter(is_candidate).collect();
        if candidates.len() > MAX_RELEASES {
            return None;
        }
        let breaking = candidates.into_iter().find(|&id| {
            let good = self.last_good(id);
            let new = self.exchange(id, good);
            let is_it = self.load().is_ok_and(|(config, _)| is_met(&config));
            self.exchange(id, new);
            is_it
        })?;
        Some(self.sources.files()[breaking.index()].path.clone())
    }

    /// Holds for all files in their new version.
    pub(super) fn holds_of_all(&self, reason: &str, cause: HoldCause) -> Vec<ForcedHold> {
        let path = |file: FileId| self.sources.files()[file.index()].path.clone();
        self.changed()
            .map(|file| ForcedHold { path: path(file), reason: reason.to_owned(), cause })
            .collect()
    }

    /// Loads the new files as they are.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub(super) fn load_strictly(&self) -> Result<ConfigAndWarnings, Diagnostics> {
        self.load().map(|(config, warnings)| (config, warnings.lines().collect()))
    }

    /// Sets the configuration of the last good set, to amend it.
    pub(super) fn with_base(self, base: Option<Arc<Config>>) -> Self {
        Self { base, ..self }
    }

    /// Loads the files in their selected versions.
    fn load(&self) -> Result<(Config, Diagnostics), Diagnostics> {
        let amended = self.base.as_ref().and_then(|base| base.amend(&self.sources));
        amended.map_or_else(|| Config::load(&self.sources), Ok)
    }

    /// Whether the `portolan.toml` that was read is not in its new version.
    pub(super) fn has_other_settings(&self) -> bool {
        let is_other = |(id, file): (FileId, &SourceFile)| match &self.versions[id.index()] {
            SelectedVersion::Held { new, .. } => {
                file.role == FileRole::Settings || new.role == FileRole::Settings
            }
            SelectedVersion::Retained => file.role == FileRole::Settings,
            SelectedVersion::Unchanged | SelectedVersion::New => false,
        };
        self.sources.entries().any(is_other)
    }

    /// Whether the `portolan.toml` that was read is the one that was applied; a missing one counts
    /// as the same.
    pub(super) fn has_settings_applied(&self) -> bool {
        let settings = self.sources.entries().filter(|(_, file)| file.role == FileRole::Settings);
        settings
            .map(|(id, _)| &self.versions[id.index()])
            .all(|choice| matches!(choice, SelectedVersion::Unchanged))
    }

    /// The `portolan.toml` that is held.
    pub(super) fn held_settings(&self) -> Option<HeldFile> {
        let is_it = |(id, file): &(FileId, &SourceFile)| match &self.versions[id.index()] {
            SelectedVersion::Held { new, .. } => {
                file.role == FileRole::Settings || new.role == FileRole::Settings
            }
            SelectedVersion::Unchanged | SelectedVersion::New | SelectedVersion::Retained => false,
        };
        let (_, settings) = self.sources.entries().find(is_it)?;
        self.held().into_iter().find(|file| file.path == settings.path)
    }

    /// Holds for `portolan.toml`, if it is in its new version.
    pub(super) fn holds_of_settings(&self, reason: &str) -> Vec<ForcedHold> {
        let settings = self.sources.entries().find(|(_, file)| file.role == FileRole::Settings);
        let path = settings.map(|(_, file)| file.path.clone());
        self.holds(path.as_slice(), reason, HoldCause::OwnError)
    }

    /// Replaces these files by their last good versions.
    pub(super) fn hold(&mut self, holds: &[ForcedHold]) {
        let ids: HashMap<&Path, FileId> =
            self.sources.entries().map(|(id, file)| (&*file.path, id)).collect();
        let attribute = |hold: &ForcedHold| {
            let file = *ids.get(&*hold.path)?;
            Some(AttributedError { file, error: hold.reason.clone(), cause: hold.cause })
        };
        let errors = holds.iter().filter_map(attribute).collect();
        self.hold_attributed(errors);
    }

    /// Finds versions that load together.
    ///
    /// # Errors
    /// The last good set does not load either.
    pub(super) fn find_loadable(&mut self) -> Result<ConfigAndWarnings, Diagnostics> {
        let loaded = self.load_holding_faulty()?;
        let released = self.releasable();
        if released.is_empty() {
            return Ok(loaded);
        }
        drop(loaded);
        for id in released {
            self.release(id);
        }
        self.load_holding_faulty()
    }

    /// The files that are held, in order of path.
    pub(super) fn held(&self) -> Vec<HeldFile> {
        // The file that an error names may be another than the one that could not be read.
        let is_transient = self.sources.has_transient_error();
        let held = |(choice, in_use): (&SelectedVersion, &SourceFile)| match choice {
            SelectedVersion::Held { new, errors, cause } => Some(HeldFile {
                path: new.path.clone(),
                errors: match *cause != HoldCause::Removal && new.role == FileRole::Absent {
                    true => errors
                        .iter()
                        .map(|error| format!("{}: {FILE_GONE}: {error}", new.shown))
                        .collect(),
                    false => errors.clone(),
                },
                is_transient: is_transient
                    || new.content.as_ref().is_err_and(SourceReadError::is_transient),
                is_left_out: in_use.role == FileRole::Absent && !self.has_good_below(&new.path),
            }),
            SelectedVersion::Unchanged | SelectedVersion::New | SelectedVersion::Retained => None,
        };
        let mut held: Vec<HeldFile> =
            self.versions.iter().zip(self.sources.files()).filter_map(held).collect();
        held.sort_by(|a, b| a.path.cmp(&b.path));
        held
    }

    fn load_holding_faulty(&mut self) -> Result<ConfigAndWarnings, Diagnostics> {
        for _ in 0..MAX_ATTEMPTS {
            let found = match self.load() {
                Ok((config, warnings)) => return Ok((config, warnings.lines().collect())),
                Err(found) => found,
            };
            self.failed_sets.push(self.held_ids());
            let attributed = self.attribute_errors(&found);
            if attributed.is_empty() {
                return Err(found);
            }
            drop(found);
            self.hold_attributed(attributed);
        }
        let rest = "the load still failed after many attempts; see the errors of the other files";
        let all = self.changed().map(|file| AttributedError {
            file,
            error: self.line(file, rest),
            cause: HoldCause::OtherFiles,
        });
        let all = all.collect();
        self.hold_attributed(all);
        self.load().map(|(config, warnings)| (config, warnings.lines().collect()))
    }

    // Attribution of errors to files

    fn attribute_errors(&self, found: &Diagnostics) -> Vec<AttributedError> {
        let reading_errors = found
            .errors()
            .filter(|error| error.stage == Stage::Reading && self.is_new(error.place.file()));
        let own_errors: Vec<AttributedError> = reading_errors
            .map(|error| AttributedError {
                file: error.place.file(),
                error: found.line(error),
                cause: HoldCause::OwnError,
            })
            .collect();
        if !own_errors.is_empty() {
            return own_errors;
        }
        let changes: Vec<NameChanges> =
            self.changed().map(|file| self.name_changes(file)).collect();
        let attribute = |error: &Diagnostic, files: Vec<FileId>| {
            let line = found.line(error);
            files.into_iter().map(move |file| AttributedError {
                file,
                error: line.clone(),
                cause: HoldCause::OtherFiles,
            })
        };
        let removed: Vec<AttributedError> = found
            .errors()
            .flat_map(|error| attribute(error, files_removing_name(error, &changes)))
            .collect();
        if !removed.is_empty() {
            return removed;
        }
        let named: Vec<AttributedError> = found
            .errors()
            .flat_map(|error| attribute(error, self.files_named_by(error, &changes)))
            .collect();
        if !named.is_empty() {
            return named;
        }
        let added: BTreeSet<&Definition> =
            changes.iter().flat_map(|change| &change.added).collect();
        let removes = |change: &&NameChanges| {
            change.is_missing || change.removed.iter().any(|name| !added.contains(name))
        };
        let removing: Vec<FileId> =
            changes.iter().filter(removes).map(|change| change.file).collect();
        let suspects = if removing.is_empty() { self.changed().collect() } else { removing };
        let lines = (MAX_SHARED_ERRORS / suspects.len().max(1)).clamp(1, MAX_ERRORS_PER_FILE);
        found.errors().take(lines).flat_map(|error| attribute(error, suspects.clone())).collect()
    }

    /// The files in their new version that an error names. For a name that is defined twice, these
    /// are the files that did not define it before.
    fn files_named_by(&self, error: &Diagnostic, changes: &[NameChanges]) -> Vec<FileId> {
        let others = error.related.iter().map(|(place, _)| place.file());
        let mut files: Vec<FileId> = std::iter::once(error.place.file()).chain(others).collect();
        files.retain(|file| self.is_new(*file));
        files.sort_unstable();
        files.dedup();
        if let Some(NameFault::Duplicate(name)) = &error.name_fault {
            let adds = |file: &FileId| {
                changes.iter().any(|change| change.file == *file && change.added.contains(name))
            };
            let adders: Vec<FileId> = files.iter().copied().filter(adds).collect();
            if !adders.is_empty() {
                return adders;
            }
        }
        files
    }

    fn name_changes(&self, file: FileId) -> NameChanges {
        let new = &self.sources.files()[file.index()];
        let before = self.last_good.file(&new.path).map(definitions).unwrap_or_default();
        let after = definitions(new);
        NameChanges {
            file,
            is_missing: new.role == FileRole::Absent || new.content.is_err(),
            removed: before.difference(&after).cloned().collect(),
            added: after.difference(&before).cloned().collect(),
        }
    }

    // Exchange of versions

    fn hold_attributed(&mut self, attributed: Vec<AttributedError>) {
        let mut files: Vec<FileId> =
            attributed.iter().map(|error| error.file).filter(|file| self.is_new(*file)).collect();
        files.sort_unstable();
        files.dedup();
        let good = files.iter().map(|file| (*file, self.last_good(*file))).collect();
        let new = self.sources.replace_files(good);
        if self.has_other_settings() || new.iter().any(|file| file.role == FileRole::Settings) {
            // The databases that were looked for belong to the new settings, which are not in use.
            self.sources.tolerate_databases(ToleratedDatabases::All);
        }
        for (file, new) in files.into_iter().zip(new) {
            self.versions[file.index()] =
                SelectedVersion::Held { new, errors: Vec::new(), cause: HoldCause::OtherFiles };
        }
        for AttributedError { file, error, cause } in attributed {
            if let SelectedVersion::Held { errors, cause: strongest, .. } =
                &mut self.versions[file.index()]
            {
                *strongest = cause.max(*strongest);
                if errors.len() < MAX_ERRORS_PER_FILE && !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
    }

    /// Held files with whose new version the files load, if all others stay held.
    fn releasable(&mut self) -> Vec<FileId> {
        let candidates: Vec<FileId> = self
            .ids()
            .filter(|id| {
                matches!(
                    self.versions[id.index()],
                    SelectedVersion::Held { cause: HoldCause::OtherFiles, .. }
                )
            })
            .collect();
        if candidates.len() > MAX_RELEASES {
            return Vec::new();
        }
        candidates.into_iter().filter(|id| self.loads_without(*id)).collect()
    }

    fn loads_without(&mut self, id: FileId) -> bool {
        let mut held = self.held_ids();
        held.remove(&id);
        if self.failed_sets.contains(&held) {
            return false;
        }
        let before = std::mem::replace(&mut self.versions[id.index()], SelectedVersion::Unchanged);
        let SelectedVersion::Held { new, errors, cause } = before else { return false };
        let good = self.exchange(id, new);
        let loads = self.load().is_ok();
        let new = self.exchange(id, good);
        self.versions[id.index()] = SelectedVersion::Held { new, errors, cause };
        loads
    }

    fn release(&mut self, id: FileId) {
        let before = std::mem::replace(&mut self.versions[id.index()], SelectedVersion::New);
        if let SelectedVersion::Held { new, .. } = before {
            self.exchange(id, new);
        }
    }

    /// Replaces a file by another version of it; returns the version before.
    fn exchange(&mut self, id: FileId, version: SourceFile) -> SourceFile {
        let path = version.path.clone();
        let before = self.sources.replace_files(vec![(id, version)]).pop();
        before.unwrap_or_else(|| SourceFile::absent(&path))
    }

    fn last_good(&self, id: FileId) -> SourceFile {
        let file = &self.sources.files()[id.index()];
        match file.role {
            FileRole::Directory if file.path == self.sources.zones_directory() => {
                SourceFile::with_content(&file.path, FileRole::Directory, None, Vec::new())
            }
            FileRole::Directory => SourceFile::absent(&file.path),
            _ => self
                .last_good
                .file(&file.path)
                .cloned()
                .unwrap_or_else(|| SourceFile::absent(&file.path)),
        }
    }

    // State of the selection

    fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        self.sources.entries().map(|(id, _)| id).collect::<Vec<_>>().into_iter()
    }

    fn is_new(&self, id: FileId) -> bool {
        matches!(self.versions.get(id.index()), Some(SelectedVersion::New))
    }

    fn changed(&self) -> impl Iterator<Item = FileId> {
        self.ids().filter(|id| self.is_new(*id))
    }

    fn held_ids(&self) -> BTreeSet<FileId> {
        self.ids()
            .filter(|id| matches!(self.versions[id.index()], SelectedVersion::Held { .. }))
            .collect()
    }

    /// Whether the last good set has files below this directory.
    fn has_good_below(&self, directory: &Path) -> bool {
        let below = self.last_good.files.range(directory.to_path_buf()..).next();
        below.is_some_and(|(path, _)| path.starts_with(directory))
    }

    fn line(&self, file: FileId, what: &str) -> String {
        format!("{}: {what}", self.sources.files()[file.index()].shown)
    }
}

/// The changed files that removed the name that is missing in an error.
fn files_removing_name(error: &Diagnostic, changes: &[NameChanges]) -> Vec<FileId> {
    let Some(NameFault::Missing(wanted)) = &error.name_fault else { return Vec::new() };
    let removes = |change: &&NameChanges| change.removed.iter().any(|name| name.provides(wanted));
    changes.iter().filter(removes).map(|change| change.file).collect()
}

fn is_unread_directory(file: &SourceFile) -> bool {
    file.role == FileRole::Directory && file.content.is_err()
}

#[cfg(test)]
mod tests;
