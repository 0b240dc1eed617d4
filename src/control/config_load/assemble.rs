//! The rest of a load once the files fit together: databases, zones, numbers, charts.

use std::{path::PathBuf, sync::Arc};

use super::{
    load_error::ConfigLoadError,
    loaded_config::LoadedConfig,
    loader::ConfigLoader,
    reload::ReloadOutcome,
    trial::{LoadTrial, TrialCache},
    zones::{self, BuiltZones},
};
use crate::{
    config::{Config, DatabaseFault, DatabaseSource, Footprint, LoadMode},
    control::{
        databases::{DatabaseFiles, UnusableDatabase},
        file_selection::{ConfigAndWarnings, FileSelection, ForcedHold, HoldCause},
        geography,
        held_file::{HeldFile, HoldReport},
        last_good::{Inventory, LastGood},
        removal::{MissingFiles, RemovedNames},
    },
    steer::Surveys,
};

/// The remedy where there is no zone to serve.
const NO_ZONE: &str =
    "put NAME.zone or a *.toml file with [zone.\"NAME\"] there, or name another directory";

impl ConfigLoader {
    /// Does the rest of a load once the files fit together. `None` if other files have to be held
    /// first.
    pub(super) fn finish(
        &mut self,
        mut selection: FileSelection<'_>,
        (config, warnings): ConfigAndWarnings,
        missing: MissingFiles,
    ) -> Result<Option<ReloadOutcome>, ConfigLoadError> {
        let is_left_out =
            |path: &PathBuf| self.held_outside_selection.iter().any(|file| file.path == *path);
        let faulty = self.faulty_databases(&config);
        let mut paths = database_paths(&config, &self.base.databases);
        paths.retain(|path| !is_left_out(path) && !faulty.iter().any(|file| file.path == *path));
        let databases = match self.base.databases.refreshed(&paths) {
            Ok(_) if self.kept_databases.is_some() => self.base.databases.clone(),
            Ok(databases) => databases,
            Err(problems) => {
                return self.hold_databases(problems, &selection, &config).map(|()| None);
            }
        };
        let report = self.hold_report(&selection, faulty, missing);
        let last_good = &self.base.last_good;
        let is_unchanged = self.base.applied.is_some()
            && self.has_same_databases(&databases)
            && last_good.matches_sources(&selection.sources, &config.master_files);
        if is_unchanged {
            return Ok(Some(ReloadOutcome::Unchanged(databases, report)));
        }
        if last_good.is_empty() && config.zones.is_empty() {
            let directory = selection.sources.zones_directory().display();
            return Err(ConfigLoadError::from_lines(vec![format!(
                "{directory}: no zone is defined there (help: {NO_ZONE})"
            )]));
        }
        if self.holds_removed_rules(&mut selection, &config)
            || self.holds_for_freeze(&selection, &config, &databases)
        {
            return Ok(None);
        }
        if self.holds_for_requirements(&mut selection, &config, databases.databases())? {
            return Ok(None);
        }
        self.compile_selection(selection, (config, warnings), databases, report)
    }

    /// The files that are not in use as they are: those of the selection, and `faulty` databases.
    fn hold_report(
        &self,
        selection: &FileSelection<'_>,
        faulty: Vec<HeldFile>,
        missing_files: MissingFiles,
    ) -> HoldReport {
        let mut held = selection.held();
        held.extend(self.held_outside_selection.iter().cloned());
        held.extend(faulty);
        held.extend(self.kept_databases.iter().flatten().cloned());
        HoldReport {
            refused: self.refused.clone(),
            held,
            held_removal: self.kept_names_reason.clone().or(self.excessive_removal.clone()),
            is_signal_acceptable: self.excessive_removal.is_some()
                && self.kept_names_reason.is_none(),
            missing_files,
        }
    }

    /// Whether these are the databases in use.
    pub(super) fn has_same_databases(&self, databases: &DatabaseFiles) -> bool {
        Arc::ptr_eq(databases.databases(), self.base.databases.databases())
    }

    /// The caches of compilations. How services divide the address space depends on the databases.
    fn take_caches(&mut self, databases: &DatabaseFiles) -> TrialCache {
        let wheels = std::mem::take(&mut self.base.wheels);
        let surveys = match self.has_same_databases(databases) {
            true => std::mem::take(&mut self.base.surveys),
            false => Surveys::default(),
        };
        TrialCache { surveys, wheels }
    }

    fn put_back(&mut self, caches: TrialCache, databases: &DatabaseFiles) {
        self.base.wheels = caches.wheels;
        if self.has_same_databases(databases) {
            self.base.surveys = caches.surveys;
        }
    }

    /// Builds the zones and compiles the charts. `None` if a zone cannot be built, so that its file
    /// is to be held.
    fn compile_selection(
        &mut self,
        mut selection: FileSelection<'_>,
        (mut config, warnings): ConfigAndWarnings,
        databases: DatabaseFiles,
        hold_report: HoldReport,
    ) -> Result<Option<ReloadOutcome>, ConfigLoadError> {
        let mut caches = self.take_caches(&databases);
        let trial = self.compile_trial(&config, &databases, &mut caches);
        let mut judgement = self.judge(&config, &trial, &databases);
        if judgement.is_refused(&self.base.judgement.consent) {
            self.put_back(caches, &databases);
            if self.holds_for_rules(&mut selection, &config, &judgement, &databases) {
                return Ok(None);
            }
            caches = self.take_caches(&databases);
        }
        judgement.violations.extend(self.accepted_removal.take());
        let inventory = Inventory::after_load(&self.base.last_good.inventory, &config);
        let BuiltZones { zones, summaries, serials } = match self.build_zones(&mut config) {
            Ok(built) => built,
            Err(failed) => return self.hold_zones(failed, &selection).map(|()| None),
        };
        let geography_warnings = self.geography_warnings(&config, &databases);
        let unmet = self.unmet_minimums(&config, &trial);
        let removed_names = RemovedNames::between(&self.base.last_good.inventory, &inventory);
        // A running server's watch has received the footprint already.
        let is_first = self.base.watch.is_none();
        let footprint = if is_first { selection.sources.footprint() } else { Footprint::default() };
        let last_good =
            LastGood::of(selection.sources, &config.master_files, inventory, &self.base.last_good);
        let LoadTrial { configured, numbering, topology, overrides_at, compiler, .. } = trial;
        tracing::info!(
            zones = zones.list().len(),
            services = topology.services.len(),
            targets = topology.probes.len(),
            tables_read = config.load_mode.tables_read(),
            services_compiled = trial.compiled.as_ref().map(|_| trial.count),
            ms = self.started.elapsed().as_millis() as u64,
            "configuration compiled"
        );
        Ok(Some(ReloadOutcome::Config(Box::new(LoadedConfig {
            warnings: warnings
                .into_iter()
                .chain(geography_warnings.iter().cloned())
                .chain(unmet)
                .collect(),
            geography_warnings,
            footprint,
            zones,
            config: Arc::new(config),
            topology,
            configured,
            overrides: Arc::clone(&self.base.overrides),
            overrides_at,
            override_fault: None,
            numbering,
            zone_summaries: summaries,
            compiler,
            surveys: caches.surveys,
            wheels: caches.wheels,
            compiled: trial.compiled,
            judgement,
            databases,
            serials,
            last_good: Arc::new(last_good),
            removed_names,
            hold_report,
        }))))
    }

    /// A warning for each kind of geography that pools need and no database has.
    fn geography_warnings(&self, config: &Config, databases: &DatabaseFiles) -> Vec<String> {
        match &self.base.applied {
            Some(in_force)
                if self.has_same_databases(databases)
                    && geography::has_equal_needs(&in_force.config.topology, &config.topology) =>
            {
                in_force.geography_warnings.clone()
            }
            _ => {
                geography::unmet_need_warnings(&config.topology, &databases.databases().coverage())
            }
        }
    }

    /// Builds the zones of a configuration. An amended configuration has the zones in force, with
    /// other serials.
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

    /// Handles databases that cannot be used and were not in use before. The settings that name one
    /// are held; one that was found in a directory is left out.
    ///
    /// # Errors
    /// There is no last good set: a mistake then refuses the whole load.
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
            let diagnostics =
                problem.diagnostics(&selection.sources, named.and_then(|database| database.place));
            let line = diagnostics.to_string();
            let has_earlier = !self.base.last_good.is_empty();
            let holds = if named.is_some() && has_earlier {
                selection.holds_of_settings(&line)
            } else {
                Vec::new()
            };
            let is_transient = problem.is_transient();
            if !holds.is_empty() {
                self.holds.extend(holds);
            } else if !has_earlier {
                refused.lines.push(line);
                refused.rendered += &diagnostics.render(self.colours);
                refused.is_transient |= is_transient;
            } else {
                self.held_outside_selection.push(HeldFile {
                    path: problem.path,
                    errors: vec![line],
                    is_transient,
                    is_left_out: true,
                });
            }
        }
        if refused.lines.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Databases with a fault, as held files. A database that was in use before stays in use.
    fn faulty_databases(&self, config: &Config) -> Vec<HeldFile> {
        let in_use =
            |path: &PathBuf| self.base.databases.iter().any(|file| file.path.starts_with(path));
        let held = |database: &DatabaseSource| {
            let DatabaseFault { line, is_transient } = database.fault.clone()?;
            let (path, is_left_out) = (database.path.clone(), !in_use(&database.path));
            Some(HeldFile { path, errors: vec![line], is_transient, is_left_out })
        };
        config.geoip.iter().filter_map(held).collect()
    }

    /// Holds the files of zones that cannot be built. An error that names no changed file holds all
    /// changed files.
    ///
    /// # Errors
    /// There is no last good set, or there is no file left to hold.
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

/// The databases to open: those of the configuration, and those in use whose file has disappeared
/// from its directory. A file that disappears must not take geography away from clients.
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
