//! One load: attempts with different choices of files, until the files load together.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    judgement::JudgementBase,
    last_run::LastRun,
    load_error::ConfigLoadError,
    loaded_config::LoadedConfig,
    reload::{ReloadBase, ReloadOutcome, ReloadTrigger, RequirementPolicy},
};
use crate::{
    config::{Colours, Config, Diagnostics, FileRole, SourceOptions, Sources, ToleratedDatabases},
    control::{
        clock::unix_now,
        file_selection::{FileSelection, ForcedHold, HoldCause},
        held_file::HeldFile,
        last_good::{Inventory, LastGood, LastGoodOrigin},
        overrides::StoredOverrideSet,
        removal::{MissingFiles, RemovalLimits, RemovedNames},
        safety::RuleViolation,
        safety_memory::SafetyMemory,
        state::StateDirectory,
    },
    steer::SafetyRule,
};

/// A load that still fails after this many choices of files is refused.
const MAX_ATTEMPTS: usize = 5;
/// The remedy for a removal that is held.
const ACCEPT_REMOVAL: &str = "restore the files; or, if this is intended, run `portolan reload --accept-removal`, or with \
                              `--override max-removed --reason TEXT`, or send SIGHUP twice within 10 seconds";

/// One load, from reading the files to a compiled configuration.
pub(super) struct ConfigLoader {
    pub(super) locations: SourceOptions,
    pub(super) base: ReloadBase,
    trigger: ReloadTrigger,
    pub(super) colours: Colours,
    pub(super) started: Instant,
    settings: SettingsVersion,
    /// Files to hold for errors that showed only after the files had been chosen.
    pub(super) holds: Vec<ForcedHold>,
    /// Held files that are not in the selection: the settings, and databases that cannot be used.
    pub(super) held_outside_selection: Vec<HeldFile>,
    /// The databases that are held at the version in use, because of a rule; `None` if none is.
    pub(super) kept_databases: Option<Vec<HeldFile>>,
    /// The safety rules that files or databases would break.
    pub(super) refused: Vec<RuleViolation>,
    /// A removal that an operator accepts although it is large.
    pub(super) accepted_removal: Option<RuleViolation>,
    /// The reason why a removal is held; `None` if the files do not remove too much.
    pub(super) excessive_removal: Option<String>,
    /// The names that are kept because a file that cannot be used may define them, in words; `None`
    /// if there are none.
    pub(super) kept_names_reason: Option<String>,
}

/// The version of `portolan.toml` that names the other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingsVersion {
    Newest,
    LastGood,
}

/// Loads the files that `locations` name. Files that cannot be used are held at their last good
/// content, if there is one.
///
/// # Errors
/// Nothing was applied before and there is a mistake; or the last good set does not load either.
pub(in crate::control) fn load(
    locations: &SourceOptions,
    base: ReloadBase,
    trigger: ReloadTrigger,
    colours: Colours,
) -> Result<ReloadOutcome, ConfigLoadError> {
    let mut loader = ConfigLoader::new(locations, base, trigger, colours);
    for _ in 0..MAX_ATTEMPTS {
        if let Some(loaded) = loader.attempt()? {
            return Ok(loaded);
        }
    }
    let lines = loader.holds.into_iter().map(|hold| hold.reason);
    Err(ConfigLoadError::from_lines(
        lines
            .chain(loader.held_outside_selection.into_iter().flat_map(|file| file.errors))
            .collect(),
    ))
}

impl LoadedConfig {
    /// Reads and compiles everything that `locations` name.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(locations: &SourceOptions, colours: Colours) -> Result<Self, ConfigLoadError> {
        match load(locations, ReloadBase::default(), ReloadTrigger::FileChange, colours)? {
            ReloadOutcome::Config(world) => Ok(*world),
            ReloadOutcome::Unchanged(..) => unreachable!("nothing was read before"),
        }
    }

    /// Reads and compiles what a server starts with. A file with errors is held at the last good
    /// content that an earlier run left in the state directory.
    ///
    /// # Errors
    /// Every mistake of every file that has no last good content.
    pub fn start(
        locations: &SourceOptions,
        state: &StateDirectory,
        colours: Colours,
    ) -> Result<Self, ConfigLoadError> {
        let good = state.last_good(&LastGoodOrigin::of(locations)).unwrap_or_default();
        let StoredOverrideSet { set, fault } = state.overrides();
        let safety = SafetyMemory::restored(state.safety(), unix_now());
        let base = ReloadBase {
            last_good: Arc::new(good),
            serials: state.serials(),
            overrides: Arc::new(set),
            requirements: RequirementPolicy::AsWritten,
            steering_time: safety.held_time,
            judgement: JudgementBase { window: safety.window, ..JudgementBase::default() },
            ..ReloadBase::default()
        };
        // Files that disappeared while no server ran are not waited for.
        match load(locations, base, ReloadTrigger::Operator, colours)? {
            ReloadOutcome::Config(world) => Ok(Self { override_fault: fault, ..*world }),
            ReloadOutcome::Unchanged(..) => unreachable!("nothing is in force yet"),
        }
    }

    /// Compiles a configuration that was read from `sources`, and verifies its requirements.
    ///
    /// # Errors
    /// Mistakes that show only after the files fit together, such as databases that cannot be read,
    /// and requirements that do not hold.
    pub fn from_config(
        sources: Sources,
        config: Config,
        warnings: &Diagnostics,
    ) -> Result<Self, ConfigLoadError> {
        let mut loader = ConfigLoader::new(
            &sources.locations().clone(),
            ReloadBase { requirements: RequirementPolicy::Required, ..ReloadBase::default() },
            ReloadTrigger::FileChange,
            Colours::Plain,
        );
        let good = Arc::default();
        let selection = FileSelection::new(sources, &good, |_| false);
        let config = (config, warnings.lines().collect());
        match loader.finish(selection, config, MissingFiles::default())? {
            Some(ReloadOutcome::Config(loaded)) => Ok(*loaded),
            Some(ReloadOutcome::Unchanged(..)) | None => {
                unreachable!("nothing was read before, and nothing can be held")
            }
        }
    }
}

impl ConfigLoader {
    fn new(
        locations: &SourceOptions,
        base: ReloadBase,
        trigger: ReloadTrigger,
        colours: Colours,
    ) -> Self {
        Self {
            locations: locations.clone(),
            base,
            trigger,
            colours,
            started: Instant::now(),
            settings: SettingsVersion::Newest,
            holds: Vec::new(),
            held_outside_selection: Vec::new(),
            kept_databases: None,
            refused: Vec::new(),
            accepted_removal: None,
            excessive_removal: None,
            kept_names_reason: None,
        }
    }

    /// Tries one choice of files. `None` if other files have to be held first.
    fn attempt(&mut self) -> Result<Option<ReloadOutcome>, ConfigLoadError> {
        let sources = self.read();
        let good = Arc::clone(&self.base.last_good);
        self.find_last_run(&sources, &good);
        let missing = MissingFiles::find(self.started, &self.base.missing_files, &good, &sources);
        // A missing file gets no grace where it cannot be in the middle of an edit: an operator
        // asked for the load, or the files are in another directory than before.
        let has_grace = self.trigger == ReloadTrigger::FileChange
            && !self.is_other_directory(sources.zones_directory());
        let missing = if has_grace { missing } else { missing.without_grace(self.started) };
        let mut selection = FileSelection::new(sources, &good, |path| {
            has_grace && missing.has_grace(path, self.started)
        })
        .with_base(self.base.applied.as_ref().map(|in_force| Arc::clone(&in_force.config)));
        if !good.is_empty() {
            let is_applied =
                self.settings == SettingsVersion::LastGood || selection.has_settings_applied();
            let tolerated =
                if is_applied { ToleratedDatabases::All } else { ToleratedDatabases::Unnamed };
            selection.sources.tolerate_databases(tolerated);
        }
        selection.hold(&self.holds);
        if let Some(error) = self.new_zones_directory_error(&selection.sources) {
            selection.hold(&selection.holds_of_settings(&error));
        }
        let loaded = match self.trigger {
            _ if good.is_empty() => selection.load_strictly().map(|config| (config, None)),
            ReloadTrigger::AcceptRemoval => selection.find_loadable().map(|config| (config, None)),
            ReloadTrigger::FileChange | ReloadTrigger::Operator => {
                selection.find_loadable_keeping_names()
            }
        };
        if let Some(watch) = &self.base.watch {
            watch.follow(selection.sources.footprint());
        }
        if self.settings == SettingsVersion::Newest && selection.has_other_settings() {
            // The held settings may name other directories: the files that were read are then not
            // those that the settings in use mean.
            self.settings = SettingsVersion::LastGood;
            self.held_outside_selection.extend(selection.held_settings());
            return Ok(None);
        }
        let (config, kept_names) = loaded.map_err(|diagnostics| {
            ConfigLoadError::from_diagnostics(&diagnostics, &selection.sources, self.colours)
        })?;
        if self.holds_removal(&selection, &config.0)? {
            return Ok(None);
        }
        self.kept_names_reason = kept_names;
        self.finish(selection, config, missing)
    }

    /// Loads the files in which an earlier run ended, if a server starts and they have changed.
    fn find_last_run(&mut self, sources: &Sources, good: &Arc<LastGood>) {
        let is_start = self.base.applied.is_none()
            && self.base.last_run.is_none()
            && self.base.requirements == RequirementPolicy::AsWritten;
        if !is_start || good.is_empty() {
            return;
        }
        let mut selection = FileSelection::new(sources.clone(), good, |_| false);
        let holds = selection.holds_of_all("", HoldCause::Requirement);
        if holds.is_empty() {
            return;
        }
        selection.hold(&holds);
        selection.sources.tolerate_databases(ToleratedDatabases::All);
        // Files that do not load are not judged: the load then refuses or holds them itself.
        let loaded = selection.load_strictly().ok();
        let now = self.base.steering_time.unwrap_or_else(unix_now);
        self.base.last_run =
            loaded.map(|(config, _)| Arc::new(LastRun::new(&config, &self.base.overrides, now)));
    }

    /// The error of a zones directory that `portolan.toml` names since its last edit, and that
    /// cannot be read.
    fn new_zones_directory_error(&self, sources: &Sources) -> Option<String> {
        let directory = sources.zones_directory();
        let root = sources.files().iter().find(|file| file.path == directory)?;
        let reason = root.content.as_ref().err().filter(|_| self.is_other_directory(directory))?;
        let settings = self.locations.config_path();
        let (settings, directory) = (settings.display(), directory.display());
        let help = reason.remedy_outside_zones();
        Some(format!(
            "{settings}: the zones directory {directory} cannot be read: {reason} (help: {help})"
        ))
    }

    /// Whether `zones` is another directory than the one of the last good set.
    fn is_other_directory(&self, zones: &Path) -> bool {
        let mut files = self
            .base
            .last_good
            .files
            .values()
            .filter(|good| good.role != FileRole::Settings)
            .peekable();
        files.peek().is_some() && files.all(|good| !good.path.starts_with(zones))
    }

    /// Reads the files, without those that a program is writing to.
    fn read(&self) -> Sources {
        // The list is taken before and after: a program may close its file during the read.
        let mut open = self.open_files();
        let mut sources = match self.settings {
            SettingsVersion::Newest => Sources::read(&self.locations),
            SettingsVersion::LastGood => Sources::read_with_settings(
                &self.locations,
                self.base.last_good.settings().cloned(),
            ),
        };
        open.extend(self.open_files());
        sources.exclude_open_files(&open);
        sources.keep_databases(self.base.databases.iter().map(|file| file.path.clone()).collect());
        sources.with_credentials_in_use(self.base.last_good.inventory.credentials.clone())
    }

    /// The files that programs have open and have written to.
    fn open_files(&self) -> BTreeSet<PathBuf> {
        self.base
            .watch
            .as_ref()
            .map(|watch| BTreeSet::clone(&watch.open_files()))
            .unwrap_or_default()
    }

    /// Whether the files would remove too much. If so, the files that do are to be held.
    fn holds_removal(
        &mut self,
        selection: &FileSelection<'_>,
        config: &Config,
    ) -> Result<bool, ConfigLoadError> {
        if self.excessive_removal.is_some() {
            return Ok(false);
        }
        let before = &self.base.last_good.inventory;
        let after = Inventory::after_load(before, config);
        let removed = RemovedNames::between(before, &after);
        let limits = RemovalLimits {
            max_percent: config.safety.rules.max_removed_percent,
            ..RemovalLimits::default()
        };
        let Some(excess) = removed.excess(before, &after, limits) else {
            return Ok(false);
        };
        let violation = RuleViolation::new(SafetyRule::MaxRemoved, excess.clone());
        if self.trigger == ReloadTrigger::AcceptRemoval {
            self.accepted_removal = Some(violation);
            return Ok(false);
        }
        let reason = format!(
            "the new files would remove too much; nothing is removed: {excess} (help: {ACCEPT_REMOVAL})"
        );
        self.refused.push(violation);
        // Where the settings name another directory, the settings are held: edits of the directory
        // in use are then still applied.
        let is_moved = self.is_other_directory(selection.sources.zones_directory());
        let by_settings = if is_moved { selection.holds_of_settings(&reason) } else { Vec::new() };
        let removers = || {
            selection.holds(
                &selection.removing_files(&removed.definitions()),
                &reason,
                HoldCause::Removal,
            )
        };
        let holds = if by_settings.is_empty() { removers() } else { by_settings };
        if holds.is_empty() {
            return Err(ConfigLoadError::from_lines(vec![reason]));
        }
        self.holds.extend(holds);
        self.excessive_removal = Some(reason);
        Ok(true)
    }
}
