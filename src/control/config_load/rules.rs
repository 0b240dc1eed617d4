//! Safety rules: a load that breaks one is held, file by file, before anything of it is in force.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf, sync::Arc};

use super::{
    judgement::Judgement,
    loader::ConfigLoader,
    reload::RequirementPolicy,
    trial::{LoadTrial, TrialCache},
};
use crate::{
    config::{Config, WrittenSafety},
    control::{
        clock::unix_now,
        databases::DatabaseFiles,
        demand_tracker::DemandHandle,
        file_selection::{FileSelection, ForcedHold, HoldCause},
        held_file::HeldFile,
        safety::{JudgedChange, RuleViolation, active_names, ramp_time},
    },
    engine::{MovedShare, PlanOptions, PlanSide, moved_share},
    steer::{BrokenMinimum, SafetyRule, active_datacenters},
};

impl ConfigLoader {
    /// The rules that a load is judged by: those of its files or, if these have no table of rules
    /// any more, those in force. A file that is gone by mistake takes no rule with it.
    pub(super) fn rules_for<'c>(&'c self, config: &'c Config) -> &'c WrittenSafety {
        match self.rules_before() {
            Some(before) if config.safety.origin.is_none() => before,
            _ => &config.safety,
        }
    }

    /// The rules in force, or those in which an earlier run ended.
    fn rules_before(&self) -> Option<&WrittenSafety> {
        let in_force = self.base.applied.as_ref().map(|applied| &*applied.config.safety);
        in_force.or_else(|| self.base.last_run.as_ref().map(|last| &*last.safety))
    }

    /// Whether files are to be held because they would remove `[safety]` altogether: without it,
    /// the next edit could do anything.
    pub(super) fn holds_removed_rules(
        &mut self,
        selection: &mut FileSelection<'_>,
        config: &Config,
    ) -> bool {
        let is_lost = self.rules_before().is_some_and(|before| before.rules.has_limits())
            && config.safety.origin.is_none();
        if !is_lost {
            return false;
        }
        let text = "all rules of [safety] would be gone; to have none, keep the table and empty it";
        let origin = self.rules_before().and_then(WrittenSafety::origin_text);
        let violation = RuleViolation::new(SafetyRule::MaxRemoved, text.to_owned());
        let violation = RuleViolation { origin, ..violation };
        let consent = &self.base.judgement.consent;
        if consent.accepts(&violation) && consent.reason.is_some() {
            self.accepted_removal = Some(violation);
            return false;
        }
        let breaking = selection.breaking_file(|config| config.safety.origin.is_some());
        self.hold_files(selection, breaking.as_ref(), vec![violation])
    }

    /// Whether files or databases are to be held because changes are frozen: by the rules in force
    /// and by those of the files. The edit that ends the freeze is applied.
    pub(super) fn holds_for_freeze(
        &mut self,
        selection: &FileSelection<'_>,
        config: &Config,
        databases: &DatabaseFiles,
    ) -> bool {
        let is_frozen = self.rules_before().is_some_and(|before| before.rules.is_frozen)
            && self.rules_for(config).rules.is_frozen;
        let consent = &self.base.judgement.consent.accepted;
        if !is_frozen || consent.contains(&SafetyRule::Freeze) {
            return false;
        }
        let origin = self.rules_for(config).origin_text();
        let violations = vec![RuleViolation { origin, ..RuleViolation::frozen() }];
        let keeps_databases = self.keep_databases(databases, &refusals(&violations));
        self.hold_files(selection, None, violations) || keeps_databases
    }

    /// Has the next attempt keep the databases in use. Returns whether `newer` ones differ.
    fn keep_databases(&mut self, newer: &DatabaseFiles, reasons: &[String]) -> bool {
        // At a start there is none in use.
        if self.has_same_databases(newer) || self.base.applied.is_none() {
            return false;
        }
        let is_other = |path: &PathBuf| {
            let in_use = self.base.databases.iter().find(|file| file.path == *path);
            let new = newer.iter().find(|file| file.path == *path);
            match (in_use, new) {
                (Some(in_use), Some(new)) => !Arc::ptr_eq(&in_use.database, &new.database),
                _ => true,
            }
        };
        let paths = self.base.databases.iter().chain(newer.iter()).map(|file| file.path.clone());
        let mut others: Vec<PathBuf> = paths.filter(is_other).collect();
        others.sort();
        others.dedup();
        let held = |path: PathBuf| HeldFile {
            errors: reasons.to_vec(),
            path,
            is_transient: false,
            is_left_out: false,
        };
        self.kept_databases = Some(others.into_iter().map(held).collect());
        true
    }

    /// For `check`: a warning for each minimum that the states in the files break.
    pub(super) fn unmet_minimums(&self, config: &Config, trial: &LoadTrial) -> Vec<String> {
        if self.base.requirements != RequirementPolicy::Required {
            return Vec::new();
        }
        let active = active_datacenters(&trial.topology, &trial.conditions);
        let origin = config.safety.origin_text().unwrap_or_default();
        let warning = |broken: &BrokenMinimum| {
            let rule = broken.rule.as_str();
            format!(
                "{origin}: `{rule}` is broken by the states in the files: {broken} (help: a running server refuses an edit that \
                 breaks it; put a datacenter into service)"
            )
        };
        config.safety.rules.broken_minimums(&active).iter().map(warning).collect()
    }

    /// Judges a load by the charts that it would put in force.
    pub(super) fn judge(
        &self,
        config: &Config,
        trial: &LoadTrial,
        databases: &DatabaseFiles,
    ) -> Judgement {
        let (old, conditions) = match (&self.base.compiled, &self.base.last_run) {
            (Some(before), _) => (before.compiler().topology(), before.conditions()),
            (None, Some(last)) => (&last.topology, &last.conditions),
            (None, None) => return Judgement::default(),
        };
        let safety = self.rules_for(config);
        let moved = safety.rules.movement.is_some().then(|| self.moved(trial, databases));
        let change = JudgedChange {
            rules: &safety.rules,
            origin: safety.origin_text(),
            before: old,
            topology: &trial.topology,
            active_before: &active_names(old, conditions),
            active_after: &active_names(&trial.topology, &trial.conditions),
            moved: moved.as_ref(),
            over: ramp_time(
                (old, &conditions.datacenters),
                (&trial.topology, &trial.conditions.datacenters),
            ),
            window: &self.base.judgement.window,
            now: unix_now(),
        };
        let violations = change.violations(&BTreeSet::new());
        Judgement { violations, movement: change.as_movement() }
    }

    fn moved(&self, trial: &LoadTrial, databases: &DatabaseFiles) -> MovedShare {
        let Some(after) = &trial.compiled else { return MovedShare::default() };
        let databases = databases.databases();
        let last = || self.base.last_run.as_ref().map(|last| last.charts(databases));
        let (before, in_use) = match &self.base.compiled {
            Some(before) => (Some(before.clone()), self.base.databases.databases()),
            None => (last(), databases),
        };
        let Some(before) = before else { return MovedShare::default() };
        let options = PlanOptions {
            answers: self.base.judgement.answers.clone(),
            observed: self.base.judgement.demand.as_ref().and_then(DemandHandle::observed_blocking),
            now: unix_now(),
            ..PlanOptions::default()
        };
        moved_share(
            PlanSide { compiled: &before, databases: in_use },
            PlanSide { compiled: after, databases },
            &options,
        )
    }

    /// Whether something is to be held because of rules: the databases, if these alone break one;
    /// else the changed file that alone does; else all changed files. If nothing can be held, the
    /// load is applied, and the rule is a concern.
    pub(super) fn holds_for_rules(
        &mut self,
        selection: &mut FileSelection<'_>,
        config: &Config,
        judgement: &Judgement,
        databases: &DatabaseFiles,
    ) -> bool {
        let consent = self.base.judgement.consent.clone();
        let violations = judgement.refused(&consent);
        if violations.is_empty() {
            return false;
        }
        let reasons = refusals(&violations);
        let (surveys, wheels) = (self.base.surveys.clone(), self.base.wheels.clone());
        let caches = RefCell::new(TrialCache { surveys, wheels });
        let is_kept = |config: &Config, databases: &DatabaseFiles| {
            let trial = self.compile_trial(config, databases, &mut caches.borrow_mut());
            self.judge(config, &trial, databases).refused(&consent).is_empty()
        };
        let in_use = self.base.databases.clone();
        if !self.has_same_databases(databases) && is_kept(config, &in_use) {
            self.refused.extend(violations);
            return self.keep_databases(databases, &reasons);
        }
        let breaking = selection.breaking_file(|config| is_kept(config, databases));
        let keeps_databases = self.keep_databases(databases, &reasons);
        self.hold_files(selection, breaking.as_ref(), violations) || keeps_databases
    }

    /// Holds the one file that breaks rules, or all changed files. Returns whether there is any.
    fn hold_files(
        &mut self,
        selection: &FileSelection<'_>,
        breaking: Option<&PathBuf>,
        violations: Vec<RuleViolation>,
    ) -> bool {
        let hold = |line: String| match breaking {
            Some(path) => {
                selection.holds(std::slice::from_ref(path), &line, HoldCause::Requirement)
            }
            None => selection.holds_of_all(&line, HoldCause::Requirement),
        };
        let holds: Vec<ForcedHold> = refusals(&violations).into_iter().flat_map(hold).collect();
        let has_holds = !holds.is_empty();
        self.holds.extend(holds);
        self.refused.extend(violations);
        has_holds
    }
}

/// Why files are held, one line for each rule.
fn refusals(violations: &[RuleViolation]) -> Vec<String> {
    let all: Vec<String> =
        violations.iter().map(|one| format!("--override {}", one.rule)).collect();
    let all = all.join(" ");
    let line = |RuleViolation { rule, text, origin }: &RuleViolation| {
        let origin = origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
        format!(
            "{origin}safety rule {rule} forbids the new version: {text} (help: `portolan reload {all} --reason TEXT` applies it all the same)"
        )
    };
    violations.iter().map(line).collect()
}
