//! Requirements that must hold before a configuration is applied: those of `check`, and those of
//! files with `enforce-asserts = true`.

use std::path::PathBuf;

use super::{load_error::ConfigLoadError, loader::ConfigLoader, reload::RequirementPolicy};
use crate::{
    config::Config,
    control::{
        clock::unix_now,
        file_selection::{FileSelection, ForcedHold, HoldCause},
    },
    geo::Databases,
    steer::{SafetyRule, verify},
};

/// The maximum number of violations for which all changed files are held: each file repeats them.
const MAX_SHARED_LINES: usize = 5;

impl ConfigLoader {
    /// Whether files are to be held because requirements do not hold with them: the changed files
    /// that have the requirements; else the changed file that alone breaks them; else all changed
    /// files. If no file changed, as after the swap of a database, nothing can be held; the
    /// requirement is then a concern.
    ///
    /// # Errors
    /// There is no last good set, so that the whole load is refused.
    pub(super) fn holds_for_requirements(
        &mut self,
        selection: &mut FileSelection<'_>,
        config: &Config,
        databases: &Databases,
    ) -> Result<bool, ConfigLoadError> {
        let requirements = &config.requirements;
        let is_needed = match self.base.requirements {
            RequirementPolicy::Ignored => false,
            RequirementPolicy::AsWritten => requirements.are_enforced,
            RequirementPolicy::Required => true,
        };
        let consent = &self.base.judgement.consent.accepted;
        if !is_needed || consent.contains(&SafetyRule::EnforceAsserts) {
            return Ok(false);
        }
        let violations_of = |config: &Config| {
            verify(&config.topology, databases, &config.requirements.list, unix_now())
        };
        let violations = violations_of(config);
        if violations.is_empty() {
            return Ok(false);
        }
        let diagnostics = requirements.diagnostics(&selection.sources, &violations);
        if self.base.last_good.is_empty() {
            let sources = &selection.sources;
            return Err(ConfigLoadError::from_diagnostics(&diagnostics, sources, self.colours));
        }
        let lines: Vec<String> = diagnostics.lines().collect();
        let holds_of = |selection: &FileSelection<'_>, paths: &[PathBuf]| -> Vec<ForcedHold> {
            let hold = |line: &String| selection.holds(paths, line, HoldCause::Requirement);
            lines.iter().flat_map(hold).collect()
        };
        let mut holds = holds_of(selection, &requirements.paths(&violations));
        if holds.is_empty() {
            let breaking = selection.breaking_file(|config| violations_of(config).is_empty());
            holds = holds_of(selection, breaking.as_slice());
        }
        if holds.is_empty() {
            let hold = |line: &String| selection.holds_of_all(line, HoldCause::Requirement);
            holds = lines.iter().take(MAX_SHARED_LINES).flat_map(hold).collect();
        }
        let has_holds = !holds.is_empty();
        self.holds.extend(holds);
        Ok(has_holds)
    }
}
