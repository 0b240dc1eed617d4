//! From files to a world: everything that a reload does, apart from the controller's task and from
//! every query.
//!
//! | step | where |
//! |---|---|
//! | read the files; which of those that disappeared keep their content for a while | `config::Sources`, `held_removal` |
//! | choose for each file its new version or its last good one | `file_selection` |
//! | hold what would remove too much | `held_removal` |
//! | open databases | `databases` |
//! | build zones, or share those in force | `build_zones` |
//! | make a compiler | here |

mod zones;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    databases::{DatabaseFiles, UnusableDatabase},
    file_selection::{ConfigAndWarnings, FileSelection, ForcedHold, HeldFile, HoldCause},
    geography,
    last_good::{Inventory, LastGood, LastGoodOrigin},
    removal::{MissingFiles, RemovalLimits, RemovedNames},
    serials::EarlierSerials,
    state::{SavedSerial, StateDirectory, unix_now},
    watch::FileWatch,
};
use crate::{
    config::{
        Colours, Config, DatabaseFault, DatabaseSource, Diagnostics, FileRole, Footprint, LoadMode,
        SourceOptions, Sources, ToleratedDatabases,
    },
    dns::Name,
    geo::Databases,
    snapshot::{ServerIdentity, Snapshot},
    steer::{
        Compilation, CompiledCharts, Compiler, Conditions, NumberedTopology, Numbering, Surveys,
        Topology, WheelCache,
    },
    zone::Zones,
};

pub(super) use zones::BuiltZoneSummary;
use zones::BuiltZones;

/// A load that still fails after so many choices of files is refused.
const MAX_ATTEMPTS: usize = 5;
/// What to do where there is no zone to serve.
const NO_ZONE: &str =
    "put NAME.zone or a *.toml file with [zone.\"NAME\"] there, or name another directory";
/// What to do about a removal that is held.
const ACCEPT_REMOVAL: &str = "restore the files; or, if this is intended, run `portolan reload --accept-removal`, \
                              or send SIGHUP twice within 10 seconds";

/// What one configuration comes to before health is known.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The server's own settings, the zones' names and origins; the records are in `build_zones`.
    pub config: Arc<Config>,
    /// What is in use and looks wrong, one line each.
    pub warnings: Vec<String>,
    /// Those of the warnings that say which geography pools need and no loaded database has.
    pub geography_warnings: Vec<String>,
    /// The configuration's topology, in which pools and endpoints that existed before keep their
    /// numbers.
    pub topology: Arc<Topology>,
    /// How that is numbered, by position in the configuration's topology.
    numbering: Numbering,
    /// Static answers.
    pub zones: Arc<Zones>,
    /// The serial and the counts of each zone, by [`crate::steer::ZoneId`].
    pub(super) zone_summaries: Arc<[BuiltZoneSummary]>,
    /// Makes charts.
    pub compiler: Arc<Compiler>,
    /// How the compiler's services divide the address space.
    pub surveys: Surveys,
    /// What the charts' wheels share.
    pub(super) wheels: WheelCache,
    /// The charts under the conditions that the load knew; `None` for the first load.
    pub(super) compiled: Option<CompiledCharts>,
    pub(super) databases: DatabaseFiles,
    pub(super) serials: HashMap<Name, SavedSerial>,
    /// The files that it was made of.
    pub(super) last_good: Arc<LastGood>,
    /// What it no longer answers for.
    pub(super) removed_names: RemovedNames,
    /// What the files depended on when they were read; for a watch that is yet to be started.
    pub(super) footprint: Footprint,
    /// Which files are not in use as they are.
    pub(super) hold_report: HoldReport,
}

/// What a reload goes on from.
#[derive(Debug, Clone, Default)]
pub(super) struct ReloadBase {
    pub databases: DatabaseFiles,
    pub surveys: Surveys,
    /// What the wheels of the charts in force share.
    pub wheels: WheelCache,
    /// The charts in force or, after the check of a drain, those that its edit will put in force.
    /// Services that the load does not change keep theirs.
    pub compiled: Option<CompiledCharts>,
    /// `None` where they are lost.
    pub serials: Option<EarlierSerials>,
    /// Empty where nothing was applied before: then any error refuses the whole load.
    pub last_good: Arc<LastGood>,
    /// The configuration in force, which is made of `last_good`; `None` before the first load.
    pub applied: Option<AppliedConfig>,
    pub missing_files: MissingFiles,
    /// Receives what the load depends on, and knows which files are open for writing.
    pub watch: Option<FileWatch>,
}

/// A configuration in force, from which one that differs little is made.
#[derive(Debug, Clone)]
pub(super) struct AppliedConfig {
    config: Arc<Config>,
    topology: Arc<Topology>,
    numbering: Numbering,
    zones: Arc<Zones>,
    zone_summaries: Arc<[BuiltZoneSummary]>,
    geography_warnings: Vec<String>,
}

/// Who asked for a load. The later ones permit more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReloadTrigger {
    /// A change of the files, or the clock.
    #[default]
    FileChange,
    /// An operator: files that have disappeared are not waited for.
    Operator,
    /// An operator who accepts whatever the files remove.
    AcceptRemoval,
}

/// Which files are not in use as they are now.
#[derive(Debug, Clone, Default)]
pub(super) struct HoldReport {
    pub held: Vec<HeldFile>,
    /// What the files as they are would remove, and why that waits for an operator; `None` where
    /// nothing waits.
    pub held_removal: Option<String>,
    /// Two signals accept it. They never take away names that an unusable file may define: whoever
    /// signals may believe that file to be fixed.
    pub is_signal_acceptable: bool,
    pub missing_files: MissingFiles,
}

impl HoldReport {
    /// Whether reading the same files again can succeed.
    pub(super) fn is_transient(&self) -> bool {
        self.held.iter().any(|file| file.is_transient)
    }
}

/// What came of reading the files.
#[derive(Debug)]
pub(super) enum ReloadOutcome {
    /// They say what they said before. Of the databases, which stay in use too, the newest files
    /// may be refused.
    Unchanged(DatabaseFiles, HoldReport),
    /// A new world.
    Config(Box<LoadedConfig>),
}

/// Why the files are no configuration. Nothing of them is in use.
#[derive(Debug)]
pub struct ConfigLoadError {
    /// One line each: `file:line:column: what (help: how to fix it)`.
    pub lines: Vec<String>,
    /// All of them as a compiler would show them.
    pub rendered: String,
    /// Whether reading the same files again can succeed.
    pub(super) is_transient: bool,
}

impl ConfigLoadError {
    fn from_diagnostics(found: &Diagnostics, sources: &Sources, colours: Colours) -> Self {
        Self {
            lines: found.lines().collect(),
            rendered: found.render(colours),
            is_transient: sources.has_transient_error(),
        }
    }

    pub(super) fn from_lines(lines: Vec<String>) -> Self {
        let rendered = lines.iter().map(|line| format!("error: {line}\n")).collect();
        Self { lines, rendered, is_transient: false }
    }
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
    /// Every mistake of every file, where no last good content makes up for it.
    pub fn start(
        locations: &SourceOptions,
        state: &StateDirectory,
        colours: Colours,
    ) -> Result<Self, ConfigLoadError> {
        let good = state.last_good(&LastGoodOrigin::of(locations)).unwrap_or_default();
        let previous = ReloadBase {
            last_good: Arc::new(good),
            serials: state.serials(),
            ..ReloadBase::default()
        };
        // Files that disappeared while no server ran are not waited for.
        match load(locations, previous, ReloadTrigger::Operator, colours)? {
            ReloadOutcome::Config(world) => Ok(*world),
            ReloadOutcome::Unchanged(..) => unreachable!("nothing is in force yet"),
        }
    }

    /// Compiles a configuration that was read from `sources`.
    ///
    /// # Errors
    /// What shows only now: databases that cannot be read, say.
    pub fn from_config(
        sources: Sources,
        config: Config,
        warnings: &Diagnostics,
    ) -> Result<Self, ConfigLoadError> {
        let mut loading = ConfigLoader::new(
            &sources.locations().clone(),
            ReloadBase::default(),
            ReloadTrigger::FileChange,
            Colours::Plain,
        );
        let good = Arc::default();
        let selection = FileSelection::new(sources, &good, |_| false);
        let settled = (config, warnings.lines().collect());
        match loading.finish(selection, settled, MissingFiles::default())? {
            Some(ReloadOutcome::Config(world)) => Ok(*world),
            Some(ReloadOutcome::Unchanged(..)) | None => {
                unreachable!("nothing was read before, and nothing can be held")
            }
        }
    }

    /// The snapshot that a server would start with, and its conditions: nothing probed yet.
    pub fn first_snapshot(&mut self) -> (Snapshot, Conditions) {
        let conditions = Conditions::unprobed(&self.topology, unix_now());
        let compiled = self.compiler.compile(&conditions, &mut self.surveys);
        (self.snapshot(0, &compiled, Arc::default()), conditions)
    }

    /// The snapshot of what was compiled.
    pub(super) fn snapshot(
        &self,
        generation: u64,
        compiled: &CompiledCharts,
        identity: Arc<ServerIdentity>,
    ) -> Snapshot {
        Snapshot {
            generation,
            zones: Arc::clone(&self.zones),
            charts: compiled.charts(),
            turn_counters: compiled.turn_counters(),
            identity,
            databases: Arc::clone(self.databases()),
            topology: Arc::clone(&self.topology),
            standings: compiled.conditions().standings.clone().into(),
        }
    }

    /// What a load amends where its files differ little from these.
    pub(super) fn applied(&self) -> AppliedConfig {
        AppliedConfig {
            config: Arc::clone(&self.config),
            topology: Arc::clone(&self.topology),
            numbering: self.numbering.clone(),
            zones: Arc::clone(&self.zones),
            zone_summaries: Arc::clone(&self.zone_summaries),
            geography_warnings: self.geography_warnings.clone(),
        }
    }

    /// The databases that charts are compiled with.
    pub fn databases(&self) -> &Arc<Databases> {
        self.databases.databases()
    }
}

/// One load, from reading the files to a world.
struct ConfigLoader {
    locations: SourceOptions,
    base: ReloadBase,
    trigger: ReloadTrigger,
    colours: Colours,
    started: Instant,
    settings: SettingsVersion,
    /// Files that have to be held for what showed only after they had been chosen.
    holds: Vec<ForcedHold>,
    /// What is held beside the files of the selection: the settings, and databases that cannot be
    /// used.
    held_outside_selection: Vec<HeldFile>,
    /// Why the files would remove too much, if they would.
    excessive_removal: Option<String>,
    /// Which names are kept because a file that cannot be used may define them, if any are.
    kept_names_reason: Option<String>,
}

/// Which `portolan.toml` says where the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SettingsVersion {
    Newest,
    LastGood,
}

/// Reads the files and makes a world of them. Files that cannot be used are held at their last good
/// content, where there is one.
///
/// # Errors
/// Nothing was applied before and there is a mistake; or the last good set does not load either.
pub(super) fn load(
    locations: &SourceOptions,
    previous: ReloadBase,
    impulse: ReloadTrigger,
    colours: Colours,
) -> Result<ReloadOutcome, ConfigLoadError> {
    let mut loading = ConfigLoader::new(locations, previous, impulse, colours);
    for _ in 0..MAX_ATTEMPTS {
        if let Some(loaded) = loading.attempt()? {
            return Ok(loaded);
        }
    }
    let lines = loading.holds.into_iter().map(|hold| hold.reason);
    Err(ConfigLoadError::from_lines(
        lines
            .chain(loading.held_outside_selection.into_iter().flat_map(|file| file.errors))
            .collect(),
    ))
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
            excessive_removal: None,
            kept_names_reason: None,
        }
    }

    /// One choice of files. `None` where it turned out that others have to be held.
    fn attempt(&mut self) -> Result<Option<ReloadOutcome>, ConfigLoadError> {
        let sources = self.read();
        let good = Arc::clone(&self.base.last_good);
        let missing = MissingFiles::find(self.started, &self.base.missing_files, &good, &sources);
        // What an operator has asked for, or is in another directory, does not come back in a
        // moment.
        let waits = self.trigger == ReloadTrigger::FileChange
            && !self.is_other_directory(sources.zones_directory());
        let missing = if waits { missing } else { missing.without_grace(self.started) };
        let mut selection = FileSelection::new(sources, &good, |path| {
            waits && missing.has_grace(path, self.started)
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
        if let Some(why) = self.new_zones_directory_error(&selection.sources) {
            selection.hold(&selection.holds_of_settings(&why));
        }
        let settled = match self.trigger {
            _ if good.is_empty() => selection.load_strictly().map(|settled| (settled, None)),
            ReloadTrigger::AcceptRemoval => {
                selection.find_loadable().map(|settled| (settled, None))
            }
            ReloadTrigger::FileChange | ReloadTrigger::Operator => {
                selection.find_loadable_keeping_names()
            }
        };
        if let Some(watch) = &self.base.watch {
            watch.follow(selection.sources.footprint());
        }
        if self.settings == SettingsVersion::Newest && selection.has_other_settings() {
            // They may name other directories: what was read is not what they mean.
            self.settings = SettingsVersion::LastGood;
            self.held_outside_selection.extend(selection.held_settings());
            return Ok(None);
        }
        let (settled, kept) = settled.map_err(|found| {
            ConfigLoadError::from_diagnostics(&found, &selection.sources, self.colours)
        })?;
        if self.holds_removal(&selection, &settled.0)? {
            return Ok(None);
        }
        self.kept_names_reason = kept;
        self.finish(selection, settled, missing)
    }

    /// Why another zones directory than before, which `portolan.toml` names now, cannot be read, if
    /// it cannot.
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

    /// Whether nothing of the last good set is in this zones directory.
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

    fn read(&self) -> Sources {
        // Asked before and after: a program may close its file while the load reads it.
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

    /// Whether the files would remove too much, so that those that do have to be held.
    fn holds_removal(
        &mut self,
        selection: &FileSelection<'_>,
        config: &Config,
    ) -> Result<bool, ConfigLoadError> {
        if self.trigger == ReloadTrigger::AcceptRemoval || self.excessive_removal.is_some() {
            return Ok(false);
        }
        let before = &self.base.last_good.inventory;
        let after = Inventory::after_load(before, config);
        let removed = RemovedNames::between(before, &after);
        let Some(excess) = removed.excess(before, &after, RemovalLimits::default()) else {
            return Ok(false);
        };
        let reason = format!(
            "the files would remove too much, so that nothing is removed: {excess} (help: {ACCEPT_REMOVAL})"
        );
        // Where the settings name another directory, they are what removes: edits of the one in use
        // are followed.
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

    /// Everything that is left to do once the files fit together.
    fn finish(
        &mut self,
        selection: FileSelection<'_>,
        (mut config, warnings): ConfigAndWarnings,
        missing: MissingFiles,
    ) -> Result<Option<ReloadOutcome>, ConfigLoadError> {
        let is_left_out =
            |path: &PathBuf| self.held_outside_selection.iter().any(|file| file.path == *path);
        let faulty = self.faulty_databases(&config);
        let mut paths = database_paths(&config, &self.base.databases);
        paths.retain(|path| !is_left_out(path) && !faulty.iter().any(|file| file.path == *path));
        let databases = match self.base.databases.refreshed(&paths) {
            Ok(databases) => databases,
            Err(problems) => {
                return self.hold_databases(problems, &selection, &config).map(|()| None);
            }
        };
        let same_databases = Arc::ptr_eq(databases.databases(), self.base.databases.databases());
        let mut held = selection.held();
        held.append(&mut self.held_outside_selection.clone());
        held.extend(faulty);
        let may_be_signalled = self.excessive_removal.is_some() && self.kept_names_reason.is_none();
        let removal = self.kept_names_reason.clone().or(self.excessive_removal.clone());
        let outlook = HoldReport {
            held,
            held_removal: removal,
            is_signal_acceptable: may_be_signalled,
            missing_files: missing,
        };
        let is_in_force = self.base.applied.is_some() && same_databases;
        if is_in_force
            && self.base.last_good.matches_sources(&selection.sources, &config.master_files)
        {
            return Ok(Some(ReloadOutcome::Unchanged(databases, outlook)));
        }
        if self.base.last_good.is_empty() && config.zones.is_empty() {
            let directory = selection.sources.zones_directory().display();
            return Err(ConfigLoadError::from_lines(vec![format!(
                "{directory}: no zone is defined there (help: {NO_ZONE})"
            )]));
        }
        let inventory = Inventory::after_load(&self.base.last_good.inventory, &config);
        let base = self.base.compiled.take().filter(|_| same_databases);
        let (topology, numbering) = self.renumbered_topology(&config, base.as_ref());
        let BuiltZones { zones, summaries, serials } = match self.build_zones(&mut config) {
            Ok(built) => built,
            Err(failed) => return self.hold_zones(failed, &selection).map(|()| None),
        };
        let geography = self.geography_warnings(&config, &databases);
        let removed = RemovedNames::between(&self.base.last_good.inventory, &inventory);
        // A running server's watch has received the footprint already.
        let is_first = self.base.watch.is_none();
        let footprint = if is_first { selection.sources.footprint() } else { Footprint::default() };
        let good =
            LastGood::of(selection.sources, &config.master_files, inventory, &self.base.last_good);
        let surveys = std::mem::take(&mut self.base.surveys);
        let mut surveys = if same_databases { surveys } else { Surveys::default() };
        let mut wheels = std::mem::take(&mut self.base.wheels);
        let known = databases.databases();
        let (compiler, compiled, count) =
            compile(base.as_ref(), &topology, known, &mut surveys, &mut wheels);
        tracing::info!(
            zones = zones.list().len(),
            services = topology.services.len(),
            targets = topology.probes.len(),
            tables_read = config.load_mode.tables_read(),
            services_compiled = compiled.as_ref().map(|_| count),
            ms = self.started.elapsed().as_millis() as u64,
            "configuration compiled"
        );
        Ok(Some(ReloadOutcome::Config(Box::new(LoadedConfig {
            warnings: warnings.into_iter().chain(geography.iter().cloned()).collect(),
            geography_warnings: geography,
            footprint,
            zones,
            config: Arc::new(config),
            topology,
            numbering,
            zone_summaries: summaries,
            compiler,
            surveys,
            wheels,
            compiled,
            databases,
            serials,
            last_good: Arc::new(good),
            removed_names: removed,
            hold_report: outlook,
        }))))
    }

    /// The topology of a configuration with the numbers of the one that charts were compiled from.
    fn renumbered_topology(
        &self,
        config: &Config,
        base: Option<&CompiledCharts>,
    ) -> (Arc<Topology>, Numbering) {
        let (Some(base), Some(in_force)) = (base, &self.base.applied) else {
            return (Arc::clone(&config.topology), Numbering::default());
        };
        // An amended configuration has the pools and endpoints of the one in force.
        let numbering = match config.load_mode {
            LoadMode::Amended { .. } => in_force.numbering.clone(),
            LoadMode::Full { .. } => Numbering::after(&config.topology, base.compiler().topology()),
        };
        let AppliedConfig { config: written, topology: numbered, .. } = in_force;
        let known = NumberedTopology {
            written: &written.topology,
            numbered,
            numbering: &in_force.numbering,
        };
        (numbering.apply(&config.topology, Some(known)), numbering)
    }

    /// Which geography pools need that no database has.
    fn geography_warnings(&self, config: &Config, databases: &DatabaseFiles) -> Vec<String> {
        let same_databases = Arc::ptr_eq(databases.databases(), self.base.databases.databases());
        match &self.base.applied {
            Some(in_force)
                if same_databases
                    && geography::has_equal_needs(&in_force.config.topology, &config.topology) =>
            {
                in_force.geography_warnings.clone()
            }
            _ => {
                geography::unmet_need_warnings(&config.topology, &databases.databases().coverage())
            }
        }
    }

    /// Builds the zones of a configuration; those of an amended one are the zones in force, but for
    /// their serials.
    fn build_zones(&self, config: &mut Config) -> Result<BuiltZones, Vec<ForcedHold>> {
        let earlier = self.base.serials.as_ref();
        match (config.load_mode, &self.base.applied) {
            (LoadMode::Amended { .. }, Some(in_force)) => Ok(zones::with_serials(
                &in_force.zones,
                &in_force.zone_summaries,
                &config.zones,
                earlier,
            )),
            (LoadMode::Amended { .. } | LoadMode::Full { .. }, _) => {
                zones::build(&mut config.zones, &config.topology, earlier)
            }
        }
    }

    /// Databases that cannot be used and were not in use: the settings that name them are held, and
    /// those that were found are left out.
    fn hold_databases(
        &mut self,
        problems: Vec<UnusableDatabase>,
        selection: &FileSelection<'_>,
        config: &Config,
    ) -> Result<(), ConfigLoadError> {
        let mut refused = ConfigLoadError::from_lines(Vec::new());
        for problem in problems {
            let named = config
                .geoip
                .iter()
                .find(|database| database.path == problem.path && database.place.is_some());
            let found =
                problem.diagnostics(&selection.sources, named.and_then(|database| database.place));
            let line = found.to_string();
            let has_earlier = !self.base.last_good.is_empty();
            let holds = if named.is_some() && has_earlier {
                selection.holds_of_settings(&line)
            } else {
                Vec::new()
            };
            let is_passing = problem.is_transient();
            if !holds.is_empty() {
                self.holds.extend(holds);
            } else if !has_earlier {
                refused.lines.push(line);
                refused.rendered += &found.render(self.colours);
                refused.is_transient |= is_passing;
            } else {
                self.held_outside_selection.push(HeldFile {
                    path: problem.path,
                    errors: vec![line],
                    is_transient: is_passing,
                    is_left_out: true,
                });
            }
        }
        if refused.lines.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Databases that are left out, as files that are not in use. Those that are in use already
    /// stay in use.
    fn faulty_databases(&self, config: &Config) -> Vec<HeldFile> {
        let in_use =
            |path: &PathBuf| self.base.databases.iter().any(|file| file.path.starts_with(path));
        let held = |database: &DatabaseSource| {
            let DatabaseFault { line, is_transient: is_passing } = database.fault.clone()?;
            let (path, is_left_out) = (database.path.clone(), !in_use(&database.path));
            Some(HeldFile { path, errors: vec![line], is_transient: is_passing, is_left_out })
        };
        config.geoip.iter().filter_map(held).collect()
    }

    fn hold_zones(
        &mut self,
        failed: Vec<ForcedHold>,
        selection: &FileSelection<'_>,
    ) -> Result<(), ConfigLoadError> {
        if self.base.last_good.is_empty() {
            return Err(ConfigLoadError::from_lines(
                failed.into_iter().map(|zone| zone.reason).collect(),
            ));
        }
        let before = self.holds.len();
        for zone in &failed {
            let named = selection.holds(
                std::slice::from_ref(&zone.path),
                &zone.reason,
                HoldCause::OwnError,
            );
            let holds = if named.is_empty() {
                selection.holds_of_all(&zone.reason, HoldCause::OtherFiles)
            } else {
                named
            };
            self.holds.extend(holds);
        }
        let has_progress = self.holds.len() > before;
        if has_progress {
            Ok(())
        } else {
            Err(ConfigLoadError::from_lines(failed.into_iter().map(|zone| zone.reason).collect()))
        }
    }
}

/// A compiler for the next topology, and its charts, of which those of services that nothing
/// changed for are those of `base`. Conditions that changed meanwhile are for the controller to
/// follow. Without `base` nothing is compiled yet.
fn compile(
    base: Option<&CompiledCharts>,
    topology: &Arc<Topology>,
    databases: &Databases,
    surveys: &mut Surveys,
    wheels: &mut WheelCache,
) -> (Arc<Compiler>, Option<CompiledCharts>, usize) {
    let Some(base) = base else {
        return (Compiler::new(Arc::clone(topology), databases, surveys), None, 0);
    };
    let compiler = base.compiler().next(Arc::clone(topology), databases, surveys);
    let conditions =
        base.conditions().carried_over(base.compiler().topology(), topology, unix_now());
    let compilation = Compilation::after(base, Arc::clone(&compiler), Arc::new(conditions));
    let count = compilation.remaining();
    (compiler, Some(compilation.finish(surveys, wheels)), count)
}

/// The databases named, and those found earlier in a directory that they have vanished from: a file
/// that goes away takes nobody's geography with it.
fn database_paths(config: &Config, in_use: &DatabaseFiles) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        config.geoip.iter().map(|database| database.path.clone()).collect();
    let is_by_name = config.geoip.iter().any(|database| database.origin.is_some());
    if !is_by_name {
        paths.extend(
            in_use
                .iter()
                .map(|file| file.path.clone())
                .filter(|path| !paths.contains(path) && !path.exists())
                .collect::<Vec<_>>(),
        );
    }
    paths
}

#[cfg(test)]
mod tests;
