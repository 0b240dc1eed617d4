//! Amendments: a configuration made from an earlier one whose files differ in a few tables only.
//!
//! A load reads every table of every file; for 100,000 services that takes seconds. An amendment
//! finds the tables that differ (`edit`), reads and checks these, and takes everything else from
//! the earlier configuration (`amendment_base`). So an edit costs the reading of the tables that it
//! changes, and the comparison of the files.
//!
//! An amendment is an optimisation, and the full load is its referee: an amended configuration
//! equals a full load of the same files in everything that can be observed (`tests`). Where that is
//! not certain, the load is made in full, which also reports all mistakes. `compile/amendment.rs`
//! lists what must not differ in a table.

use std::{path::Path, sync::Arc};

use hashbrown::HashMap;

use super::{
    amendment_base::{AmendmentBase, AmendmentInvariants, is_compiled},
    compile::{self, AmendmentCompiler},
    configuration::Config,
    definition_origin::DefinitionOrigin,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    limits::MAX_VALUES,
    load_mode::LoadMode,
    place::{FileId, SourcePlace},
    problems::{MAX_KEPT_PER_SEVERITY, Problems},
    settings,
    sources::{FileRole, Sources},
    spec::{Specs, TableContext},
};
use edit::{FileEdit, TableChange, TableRange};

mod edit;
#[cfg(test)]
mod tests;

/// If more tables than this differ, a full load costs no more than an amendment.
const MAX_CHANGED_TABLES: usize = 10_000;

/// Makes the configuration of `sources` from an earlier one, `before`. `None` where they may differ
/// in more than a few tables.
pub(super) fn amend(before: &Config, sources: &Sources) -> Option<(Config, Diagnostics)> {
    let base = &*before.amendment_base;
    let invariants = base.invariants.as_ref()?;
    if invariants.file_set_hash != sources.file_set_hash() || base.has_state_ended(&before.topology)
    {
        return None;
    }
    let edits = file_edits(base, sources, &before.master_files)?;
    let mut compiler = AmendmentCompiler::new(&before.topology, invariants);
    let mut warnings = AmendedWarnings::new(base, &edits);
    let mut values = base.value_count;
    for edit in &edits {
        let [old, new] = edit.texts(sources);
        for table in edit.changed_tables() {
            let (was, mut old_found) = read_table(&table.old, old?)?;
            let (is, mut new_found) = read_table(&table.new, new?)?;
            values = (values + is.value_count).checked_sub(was.value_count)?;
            compiler.apply_table(edit.file, &was, &is, [&mut old_found, &mut new_found])?;
            warnings.replace(edit, table, old_found, new_found)?;
        }
    }
    if values > MAX_VALUES {
        return None;
    }
    let tables = edits.iter().map(|edit| edit.changed_tables().count()).sum();
    let mut problems = Problems::default();
    let settings = settings::read(
        &sources.locations,
        sources.config.map(|id| (id, sources.file(id))),
        &mut problems,
    );
    let geoip = compile::resolve_databases(sources, &settings, &mut problems);
    if problems.has_errors() || credential_faults_differ(invariants, sources) {
        return None;
    }
    sources.add_named_paths(&invariants.named_paths);
    let warnings = warnings.into_list(base)?;
    let diagnostics = Diagnostics::new(Arc::clone(&sources.files), warnings, 0);
    let mut config = Config {
        server: settings.server,
        geoip,
        topology: Arc::clone(&before.topology),
        // A file with requirements cannot be cut into tables, so that its edits are full loads.
        requirements: Arc::clone(&before.requirements),
        // The same holds for a file with safety rules.
        safety: Arc::clone(&before.safety),
        zones: before.zones.clone(),
        datacenter_origins: before.datacenter_origins.clone(),
        master_files: before.master_files.clone(),
        load_mode: LoadMode::Amended { tables },
        amendment_base: Arc::new(base.amended(
            edits.iter().map(|edit| (edit.file, edit.new_version())),
            values,
            &diagnostics,
        )),
    };
    compiler.finish(&mut config, sources);
    move_origins(&mut config, sources, &edits)?;
    Some((config, diagnostics))
}

/// Whether the faults of the monitors' certificates and keys differ from those in `invariants`.
fn credential_faults_differ(invariants: &AmendmentInvariants, sources: &Sources) -> bool {
    !invariants.credentials.is_empty()
        && compile::credential_faults(sources, &invariants.credentials).list()
            != invariants.credential_faults
}

/// The differences between the files of tables. `None` where files of another kind differ, or where
/// the difference is not certain.
fn file_edits(
    base: &AmendmentBase,
    sources: &Sources,
    master_files: &[FileId],
) -> Option<Vec<FileEdit>> {
    let mut edits = Vec::new();
    let mut tables = 0;
    for (id, file) in sources.entries() {
        if !is_compiled(id, file, master_files) || base.is_unchanged(id, file) {
            continue;
        }
        if file.role != FileRole::Tables {
            return None;
        }
        let edit = FileEdit::between(id, base.version(id)?, file)?;
        tables += edit.changed_tables().count();
        edits.push(edit);
    }
    (tables <= MAX_CHANGED_TABLES).then_some(edits)
}

/// A table as written, and the problems that its own checks find. `None` where it cannot be read or
/// has errors.
fn read_table(table: &TableRange, context: TableContext<'_>) -> Option<(Specs, Problems)> {
    let mut problems = Problems::default();
    let specs = Specs::read_slice(&table.as_slice(), context, &mut problems)?;
    if problems.has_errors() {
        return None;
    }
    problems.begin_checking();
    Some((specs, problems))
}

/// The earlier configuration's warnings that still apply, and those of the tables that differ.
struct AmendedWarnings<'e> {
    edits: &'e [FileEdit],
    /// For each warning in `before`: whether it is in a table that differs.
    replaced: Vec<bool>,
    before: &'e [Diagnostic],
    new: Vec<Diagnostic>,
}

impl<'e> AmendedWarnings<'e> {
    fn new(base: &'e AmendmentBase, edits: &'e [FileEdit]) -> Self {
        let before = &base.warnings[..];
        Self { edits, replaced: vec![false; before.len()], before, new: Vec::new() }
    }

    /// Replaces the warnings of a table. `None` unless the checks of the old table alone find every
    /// warning that it had: any other warning may depend on other tables.
    fn replace(
        &mut self,
        edit: &FileEdit,
        table: &TableChange,
        old: Problems,
        new: Problems,
    ) -> Option<()> {
        if new.has_errors() || old.has_errors() {
            return None;
        }
        let (old, _) = old.into_parts();
        for (index, warning) in self.before.iter().enumerate() {
            if table.contains_old(edit.file, warning.place) {
                old.contains(warning).then_some(())?;
                self.replaced[index] = true;
            }
        }
        old.iter().all(|warning| self.before.contains(warning)).then_some(())?;
        self.new.extend(new.into_parts().0);
        Some(())
    }

    fn into_list(self, base: &AmendmentBase) -> Option<Vec<Diagnostic>> {
        if base.are_warnings_omitted {
            return None;
        }
        let mut list = self.new;
        for (warning, _) in
            self.before.iter().zip(&self.replaced).filter(|(_, is_replaced)| !**is_replaced)
        {
            let place = |place| moved_place(self.edits, place);
            let others =
                warning.related.iter().map(|(other, text)| Some((place(*other)?, text.clone())));
            list.push(Diagnostic {
                place: place(warning.place)?,
                related: others.collect::<Option<_>>()?,
                ..warning.clone()
            });
        }
        (list.len() <= MAX_KEPT_PER_SEVERITY).then_some(list)
    }
}

/// Converts a place in the earlier files to the same place in the new files. `None` where it is in
/// a table that differs.
fn moved_place(edits: &[FileEdit], place: SourcePlace) -> Option<SourcePlace> {
    match edits.iter().find(|edit| edit.file == place.file()) {
        Some(edit) => edit.moved_place(place),
        None => Some(place),
    }
}

/// Updates the origins of zones and datacenters that an edit moved within their file.
fn move_origins(config: &mut Config, sources: &Sources, edits: &[FileEdit]) -> Option<()> {
    let by_path: HashMap<&Path, &FileEdit> =
        edits.iter().map(|edit| (&*sources.file(edit.file).path, edit)).collect();
    let zones = config.zones.iter_mut().map(|zone| &mut zone.origin);
    for origin in zones.chain(&mut config.datacenter_origins) {
        let Some(edit) = by_path.get(&*origin.path) else { continue };
        let place = edit.moved_name_place(SourcePlace::new(edit.file, origin.span.clone()))?;
        *origin = DefinitionOrigin::new(sources, place);
    }
    Some(())
}
