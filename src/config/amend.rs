//! Amendments: a configuration made from an earlier one, where files differ from the earlier ones
//! in a few tables alone.
//!
//! A load reads every table of every file; of 100,000 services that takes seconds. An amendment
//! finds the tables that differ (`edit`), reads and checks these, and takes everything else from
//! the configuration before (`foundation`). So an edit costs the reading of the tables that it
//! changes, and the comparison of the files.
//!
//! It is an optimisation with a referee: an amended configuration equals a full load of the same
//! files in everything that can be observed (`tests`). Where that is not certain, the load is made
//! in full, which also reports all mistakes. `compile/amendment.rs` lists what of a table must not
//! differ.

use std::{path::Path, sync::Arc};

use hashbrown::HashMap;

use super::{
    Config, Diagnostics, Making, Origin,
    compile::{self, Amending},
    diagnostics::Diagnostic,
    place::{FileId, Place},
    problems::{KEPT, Problems},
    settings,
    sources::{Role, Sources},
    spec::{Context, MOST_VALUES, Specs},
};
use edit::{FileEdit, Table, TableEdit};
pub(super) use foundation::{Foundation, Structure};

mod edit;
mod foundation;
#[cfg(test)]
mod tests;

/// Where more tables than this differ, a full load costs no more.
const MOST_TABLES: usize = 10_000;

/// Makes the configuration of `sources` from the one `before`; `None` where they may differ in more
/// than a few tables.
pub(super) fn amend(before: &Config, sources: &Sources) -> Option<(Config, Diagnostics)> {
    let foundation = &*before.foundation;
    let structure = foundation.structure.as_ref()?;
    if structure.layout != sources.layout() || foundation.has_state_ended(before) {
        return None;
    }
    let edits = edits(foundation, sources, &before.master_files)?;
    let mut amending = Amending::new(&before.topology, structure);
    let mut warnings = Warnings::new(foundation, &edits);
    let mut values = foundation.values;
    for edit in &edits {
        let [old, new] = edit.texts(sources);
        for table in edit.changed() {
            let (was, mut old_found) = read(&table.old, old?)?;
            let (is, mut new_found) = read(&table.new, new?)?;
            values = (values + is.values).checked_sub(was.values)?;
            amending.table(edit.file, &was, &is, [&mut old_found, &mut new_found])?;
            warnings.replace(edit, table, old_found, new_found)?;
        }
    }
    if values > MOST_VALUES {
        return None;
    }
    let tables = edits.iter().map(|edit| edit.changed().count()).sum();
    let mut problems = Problems::default();
    let settings = settings::read(
        &sources.locations,
        sources.config.map(|id| (id, sources.file(id))),
        &mut problems,
    );
    let geoip = compile::databases(sources, &settings, &mut problems);
    if problems.has_errors() || structure.has_other_credential_faults(sources) {
        return None;
    }
    sources.names_also(&structure.names);
    let warnings = warnings.into_list(foundation)?;
    let diagnostics = Diagnostics::new(Arc::clone(&sources.files), warnings, 0);
    let mut config = Config {
        server: settings.server,
        geoip,
        topology: Arc::clone(&before.topology),
        zones: before.zones.clone(),
        datacenter_origins: before.datacenter_origins.clone(),
        master_files: before.master_files.clone(),
        making: Making::Amended { tables },
        foundation: Arc::new(foundation.amended(sources, &edits, values, &diagnostics)),
    };
    amending.finish(&mut config, sources);
    move_origins(&mut config, sources, &edits)?;
    Some((config, diagnostics))
}

/// How the files of tables differ; `None` where files of another kind differ, or where the
/// difference is not certain.
fn edits(
    foundation: &Foundation,
    sources: &Sources,
    master_files: &[FileId],
) -> Option<Vec<FileEdit>> {
    let mut edits = Vec::new();
    let mut tables = 0;
    for (id, file) in sources.entries() {
        let is_read = match file.role {
            Role::Settings | Role::Tables => true,
            Role::Master => master_files.binary_search(&id).is_ok(),
            Role::Directory | Role::Absent => false,
        };
        if !is_read || foundation.has(id, file) {
            continue;
        }
        if file.role != Role::Tables {
            return None;
        }
        let edit = FileEdit::between(id, foundation.version(id)?, file)?;
        tables += edit.changed().count();
        edits.push(edit);
    }
    (tables <= MOST_TABLES).then_some(edits)
}

/// A table as written, and the problems of it alone. `None` where it cannot be read or has errors.
fn read(table: &Table, context: Context<'_>) -> Option<(Specs, Problems)> {
    let mut problems = Problems::default();
    let specs = Specs::of_piece(&table.piece(), context, &mut problems)?;
    if problems.has_errors() {
        return None;
    }
    problems.begin_checking();
    Some((specs, problems))
}

/// The warnings of the configuration before, as far as they stay, and those of tables that differ.
struct Warnings<'e> {
    edits: &'e [FileEdit],
    /// For each warning of `before`: whether it is in a table that differs.
    replaced: Vec<bool>,
    before: &'e [Diagnostic],
    new: Vec<Diagnostic>,
}

impl<'e> Warnings<'e> {
    fn new(foundation: &'e Foundation, edits: &'e [FileEdit]) -> Self {
        let before = &foundation.warnings[..];
        Self { edits, replaced: vec![false; before.len()], before, new: Vec::new() }
    }

    /// Replaces the warnings of a table. `None` unless the checks of the old table alone give every
    /// warning that it had: any other warning may depend on other tables.
    fn replace(
        &mut self,
        edit: &FileEdit,
        table: &TableEdit,
        old: Problems,
        new: Problems,
    ) -> Option<()> {
        if new.has_errors() || old.has_errors() {
            return None;
        }
        let (old, _) = old.into_parts();
        for (index, warning) in self.before.iter().enumerate() {
            if table.held(edit.file, warning.place) {
                old.contains(warning).then_some(())?;
                self.replaced[index] = true;
            }
        }
        old.iter().all(|warning| self.before.contains(warning)).then_some(())?;
        self.new.extend(new.into_parts().0);
        Some(())
    }

    fn into_list(self, foundation: &Foundation) -> Option<Vec<Diagnostic>> {
        if foundation.are_warnings_omitted {
            return None;
        }
        let mut list = self.new;
        for (warning, _) in
            self.before.iter().zip(&self.replaced).filter(|(_, is_replaced)| !**is_replaced)
        {
            let place = |place| moved(self.edits, place);
            let others =
                warning.others.iter().map(|(other, text)| Some((place(*other)?, text.clone())));
            list.push(Diagnostic {
                place: place(warning.place)?,
                others: others.collect::<Option<_>>()?,
                ..warning.clone()
            });
        }
        (list.len() <= KEPT).then_some(list)
    }
}

/// A place in the files before, as a place in the files now; `None` where it is in a table that
/// differs.
fn moved(edits: &[FileEdit], place: Place) -> Option<Place> {
    match edits.iter().find(|edit| edit.file == place.file()) {
        Some(edit) => edit.moved(place),
        None => Some(place),
    }
}

/// Moves the places of zones and datacenters that are behind an edit in their file.
fn move_origins(config: &mut Config, sources: &Sources, edits: &[FileEdit]) -> Option<()> {
    let by_path: HashMap<&Path, &FileEdit> =
        edits.iter().map(|edit| (&*sources.file(edit.file).path, edit)).collect();
    let zones = config.zones.iter_mut().map(|zone| &mut zone.origin);
    for origin in zones.chain(&mut config.datacenter_origins) {
        let Some(edit) = by_path.get(&*origin.path) else { continue };
        let place = edit.moved_name(Place::new(edit.file, origin.span.clone()))?;
        *origin = Origin::new(sources, place);
    }
    Some(())
}
