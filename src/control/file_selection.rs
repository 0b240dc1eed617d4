//! Held files: which files of a load that fails stay at their last good content, so that everything
//! else applies.
//!
//! The rule. An attempt starts from the new files. When it fails, each error is charged to files
//! that differ from their last good content, and those are held: they are replaced by that content,
//! and a new file without one is left out. Then the load is tried again. The first of these steps
//! that charges any file decides an attempt:
//!
//! 1. An error of one file by itself (syntax, a wrong value, no permission) is charged to that
//!    file. The errors of others may follow from it.
//! 2. A name that nothing defines is charged to the changed files that defined it last.
//! 3. Any other error is charged to the changed files that it names. Of a name that is defined
//!    twice, these are the files that did not define it before.
//! 4. An error that names no changed file is charged to the changed files that took a name or a
//!    file away.
//! 5. Else every changed file is held: what remains is the last good set, which is known to load.
//!
//! Afterwards each file that was held for errors of steps 2 to 5 is tried once more with all others
//! held. Those that load are released together, and the rule starts again from there.
//!
//! What loads may lack zones and services that files define which cannot be used. Those are kept:
//! `kept_names`.

mod kept_names;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::last_good::LastGood;
use crate::config::{
    Config, Definition, Diagnostic, Diagnostics, FileId, FileRole, NameFault, SourceFile,
    SourceReadError, Sources, Stage, ToleratedDatabases, definitions,
};

/// Maximum number of attempts: a load that still fails after them holds every changed file.
const MAX_ATTEMPTS: usize = 32;
/// Maximum number of files that are tried once more by themselves.
const MAX_RELEASES: usize = 16;
/// Maximum number of errors that are kept of one file.
const MAX_ERRORS_PER_FILE: usize = 20;
/// Maximum number of errors that are kept of all files that are held for the same errors, besides
/// one of each file.
const MAX_SHARED_ERRORS: usize = 20_000;
/// Goes before the errors of files that need one that is gone.
const FILE_GONE: &str =
    "the file is gone, and others need what it defined (put it back, or change them)";

/// A file that is not in use as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldFile {
    pub path: PathBuf,
    /// Why, one line each: `file:line:column: what (help: how to fix it)`. Never empty.
    pub errors: Vec<String>,
    /// Whether the file may become readable without being edited.
    pub is_transient: bool,
    /// Whether the file is left out because it has no last good content.
    pub is_left_out: bool,
}

/// A file that is to be held whatever the load says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForcedHold {
    pub path: PathBuf,
    pub reason: String,
    pub cause: HoldCause,
}

/// A configuration and its warnings.
pub(super) type ConfigAndWarnings = (Config, Vec<String>);

/// The files of one load: for each whether its new version or its last good one is used.
#[derive(Debug)]
pub(super) struct FileSelection<'g> {
    last_good: &'g LastGood,
    pub sources: Sources,
    /// The configuration of the last good files, which files that differ little from them amend.
    base: Option<Arc<Config>>,
    /// By [`FileId`].
    versions: Vec<SelectedVersion>,
    /// The sets of held files that are known not to load.
    failed_sets: Vec<BTreeSet<FileId>>,
}

/// Which version of a file is in the sources.
#[derive(Debug)]
enum SelectedVersion {
    /// Both versions are the same.
    Unchanged,
    /// The new one. An absent file is new where a good one has disappeared.
    New,
    /// The last good one, without a reason of its own: it has just disappeared, or its directory
    /// cannot be read.
    Retained,
    /// The last good one, because of these errors.
    Held { new: SourceFile, errors: Vec<String>, ground: HoldCause },
}

/// What kind of reason holds a file. Of several, the last counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HoldCause {
    /// An error that other files may have caused.
    OtherFiles,
    /// The new version is in order, and would take names away.
    Removal,
    /// The file cannot be used, whatever the others say.
    OwnError,
}

/// An error and a file that it is charged to.
struct AttributedError {
    file: FileId,
    error: String,
    cause: HoldCause,
}

/// What a changed file does to names.
struct NameChanges {
    file: FileId,
    /// It has disappeared or cannot be read.
    is_missing: bool,
    removed: BTreeSet<Definition>,
    added: BTreeSet<Definition>,
}

impl<'g> FileSelection<'g> {
    /// The new files, and a place for each that has disappeared. `is_kept` says which of the latter
    /// are used all the same.
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
        let choices = sources.files().iter().map(choice).collect();
        let mut selection = Self {
            last_good: good,
            sources,
            base: None,
            versions: choices,
            failed_sets: Vec::new(),
        };
        let is_hidden = |path: &Path| unread.iter().any(|directory| path.starts_with(directory));
        let kept: Vec<FileId> = selection
            .sources
            .entries()
            .filter(|(_, file)| {
                file.role == FileRole::Absent && (is_hidden(&file.path) || is_kept(&file.path))
            })
            .map(|(id, _)| id)
            .collect();
        let versions = kept.iter().map(|id| (*id, selection.last_good(*id))).collect();
        selection.sources.replace_files(versions);
        for id in kept {
            selection.versions[id.index()] = SelectedVersion::Retained;
        }
        selection
    }

    /// The changed files in use that took any of these names away.
    pub(super) fn removing_files(&self, names: &BTreeSet<Definition>) -> Vec<PathBuf> {
        let takes = |file: &FileId| {
            self.name_changes(*file).removed.iter().any(|name| names.contains(name))
        };
        let path = |file: FileId| self.sources.files()[file.index()].path.clone();
        self.changed().filter(takes).map(path).collect()
    }

    /// Holds for those of `paths` whose new version is in use.
    pub(super) fn holds(
        &self,
        paths: &[PathBuf],
        reason: &str,
        ground: HoldCause,
    ) -> Vec<ForcedHold> {
        let paths: BTreeSet<&PathBuf> = paths.iter().collect();
        self.holds_of_all(reason, ground)
            .into_iter()
            .filter(|hold| paths.contains(&hold.path))
            .collect()
    }

    /// Holds for every changed file.
    pub(super) fn holds_of_all(&self, reason: &str, ground: HoldCause) -> Vec<ForcedHold> {
        let path = |file: FileId| self.sources.files()[file.index()].path.clone();
        self.changed()
            .map(|file| ForcedHold { path: path(file), reason: reason.to_owned(), cause: ground })
            .collect()
    }

    /// The new files as they are.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub(super) fn load_strictly(&self) -> Result<ConfigAndWarnings, Diagnostics> {
        self.load().map(|(config, warnings)| (config, warnings.lines().collect()))
    }

    /// The same with the configuration of the last good set, to amend it.
    pub(super) fn with_base(self, base: Option<Arc<Config>>) -> Self {
        Self { base, ..self }
    }

    /// The configuration of the files as they are chosen now.
    fn load(&self) -> Result<(Config, Diagnostics), Diagnostics> {
        let amended = self.base.as_ref().and_then(|base| base.amend(&self.sources));
        amended.map_or_else(|| Config::load(&self.sources), Ok)
    }

    /// Whether another `portolan.toml` is in use than the one that was read, or none instead of it.
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

    /// Whether the `portolan.toml` that was read is the one that was applied, or there is none and
    /// was none.
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

    /// Holds for the new `portolan.toml`, if that is in use.
    pub(super) fn holds_of_settings(&self, reason: &str) -> Vec<ForcedHold> {
        let settings = self.sources.entries().find(|(_, file)| file.role == FileRole::Settings);
        let path = settings.map(|(_, file)| file.path.clone());
        self.holds(path.as_slice(), reason, HoldCause::OwnError)
    }

    /// Holds these files.
    pub(super) fn hold(&mut self, holds: &[ForcedHold]) {
        let ids: HashMap<&Path, FileId> =
            self.sources.entries().map(|(id, file)| (&*file.path, id)).collect();
        let charge = |hold: &ForcedHold| {
            let file = *ids.get(&*hold.path)?;
            Some(AttributedError { file, error: hold.reason.clone(), cause: hold.cause })
        };
        let charges = holds.iter().filter_map(charge).collect();
        self.hold_attributed(charges);
    }

    /// Finds versions that load together.
    ///
    /// # Errors
    /// The last good set does not load either.
    pub(super) fn find_loadable(&mut self) -> Result<ConfigAndWarnings, Diagnostics> {
        let settled = self.load_holding_faulty()?;
        let released = self.releasable();
        if released.is_empty() {
            return Ok(settled);
        }
        drop(settled);
        for id in released {
            self.release(id);
        }
        self.load_holding_faulty()
    }

    /// The files that are held, in order of path.
    pub(super) fn held(&self) -> Vec<HeldFile> {
        // The file that an error names need not be the one that could not be read.
        let is_passing = self.sources.has_transient_error();
        let held = |(choice, in_use): (&SelectedVersion, &SourceFile)| match choice {
            SelectedVersion::Held { new, errors, ground } => Some(HeldFile {
                path: new.path.clone(),
                errors: match *ground != HoldCause::Removal && new.role == FileRole::Absent {
                    true => errors
                        .iter()
                        .map(|error| format!("{}: {FILE_GONE}: {error}", new.shown))
                        .collect(),
                    false => errors.clone(),
                },
                is_transient: is_passing
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
            let charges = self.attribute_errors(&found);
            if charges.is_empty() {
                return Err(found);
            }
            drop(found);
            self.hold_attributed(charges);
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

    // Charging errors to files

    fn attribute_errors(&self, found: &Diagnostics) -> Vec<AttributedError> {
        let own = found
            .errors()
            .filter(|error| error.stage == Stage::Reading && self.is_new(error.place.file()));
        let own: Vec<AttributedError> = own
            .map(|error| AttributedError {
                file: error.place.file(),
                error: found.line(error),
                cause: HoldCause::OwnError,
            })
            .collect();
        if !own.is_empty() {
            return own;
        }
        let changes: Vec<NameChanges> =
            self.changed().map(|file| self.name_changes(file)).collect();
        let charge = |error: &Diagnostic, files: Vec<FileId>| {
            let line = found.line(error);
            files.into_iter().map(move |file| AttributedError {
                file,
                error: line.clone(),
                cause: HoldCause::OtherFiles,
            })
        };
        let removed: Vec<AttributedError> = found
            .errors()
            .flat_map(|error| charge(error, files_removing_name(error, &changes)))
            .collect();
        if !removed.is_empty() {
            return removed;
        }
        let named: Vec<AttributedError> = found
            .errors()
            .flat_map(|error| charge(error, self.files_named_by(error, &changes)))
            .collect();
        if !named.is_empty() {
            return named;
        }
        let added: BTreeSet<&Definition> =
            changes.iter().flat_map(|change| &change.added).collect();
        let takes = |change: &&NameChanges| {
            change.is_missing || change.removed.iter().any(|name| !added.contains(name))
        };
        let takers: Vec<FileId> = changes.iter().filter(takes).map(|change| change.file).collect();
        let suspects = if takers.is_empty() { self.changed().collect() } else { takers };
        let lines = (MAX_SHARED_ERRORS / suspects.len().max(1)).clamp(1, MAX_ERRORS_PER_FILE);
        found.errors().take(lines).flat_map(|error| charge(error, suspects.clone())).collect()
    }

    /// The changed files that an error is about.
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

    // Exchanging versions

    fn hold_attributed(&mut self, charges: Vec<AttributedError>) {
        let mut files: Vec<FileId> =
            charges.iter().map(|charge| charge.file).filter(|file| self.is_new(*file)).collect();
        files.sort_unstable();
        files.dedup();
        let good = files.iter().map(|file| (*file, self.last_good(*file))).collect();
        let new = self.sources.replace_files(good);
        if self.has_other_settings() || new.iter().any(|file| file.role == FileRole::Settings) {
            // The databases that were looked for are not those of the settings that are in use now.
            self.sources.tolerate_databases(ToleratedDatabases::All);
        }
        for (file, new) in files.into_iter().zip(new) {
            self.versions[file.index()] =
                SelectedVersion::Held { new, errors: Vec::new(), ground: HoldCause::OtherFiles };
        }
        for AttributedError { file, error, cause: ground } in charges {
            if let SelectedVersion::Held { errors, ground: strongest, .. } =
                &mut self.versions[file.index()]
            {
                *strongest = ground.max(*strongest);
                if errors.len() < MAX_ERRORS_PER_FILE && !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
    }

    /// Held files that load if all others stay held.
    fn releasable(&mut self) -> Vec<FileId> {
        let doubtful: Vec<FileId> = self
            .ids()
            .filter(|id| {
                matches!(
                    self.versions[id.index()],
                    SelectedVersion::Held { ground: HoldCause::OtherFiles, .. }
                )
            })
            .collect();
        if doubtful.len() > MAX_RELEASES {
            return Vec::new();
        }
        doubtful.into_iter().filter(|id| self.loads_without(*id)).collect()
    }

    fn loads_without(&mut self, id: FileId) -> bool {
        let mut held = self.held_ids();
        held.remove(&id);
        if self.failed_sets.contains(&held) {
            return false;
        }
        let before = std::mem::replace(&mut self.versions[id.index()], SelectedVersion::Unchanged);
        let SelectedVersion::Held { new, errors, ground } = before else { return false };
        let good = self.exchange(id, new);
        let loads = self.load().is_ok();
        let new = self.exchange(id, good);
        self.versions[id.index()] = SelectedVersion::Held { new, errors, ground };
        loads
    }

    fn release(&mut self, id: FileId) {
        let before = std::mem::replace(&mut self.versions[id.index()], SelectedVersion::New);
        if let SelectedVersion::Held { new, .. } = before {
            self.exchange(id, new);
        }
    }

    /// Puts another version of a file in its place; returns what was there.
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

    // What stands

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

    /// Whether files below this directory have a last good content.
    fn has_good_below(&self, directory: &Path) -> bool {
        let below = self.last_good.files.range(directory.to_path_buf()..).next();
        below.is_some_and(|(path, _)| path.starts_with(directory))
    }

    fn line(&self, file: FileId, what: &str) -> String {
        format!("{}: {what}", self.sources.files()[file.index()].shown)
    }
}

/// The changed files that took away the name that an error misses.
fn files_removing_name(error: &Diagnostic, changes: &[NameChanges]) -> Vec<FileId> {
    let Some(NameFault::Missing(wanted)) = &error.name_fault else { return Vec::new() };
    let takes = |change: &&NameChanges| change.removed.iter().any(|name| name.provides(wanted));
    changes.iter().filter(takes).map(|change| change.file).collect()
}

fn is_unread_directory(file: &SourceFile) -> bool {
    file.role == FileRole::Directory && file.content.is_err()
}

#[cfg(test)]
mod tests;
