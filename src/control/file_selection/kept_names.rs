//! Kept names: while a file cannot be used, zones and services that it may define are not removed.
//!
//! A zone that is cut out of one file and pasted into another has moved. If the other file is
//! broken, half copied, open or unreadable, the first file alone looks like a removal. So a file
//! that removes a zone or service is held while another file that may define that name cannot be
//! used: until that file is fixed or removed, or an operator accepts the removal.
//!
//! A file of tables or a directory that cannot be used may define anything; `NAME.zone`, that zone
//! and names in it; another master file, any record; `portolan.toml`, nothing. The text of the file
//! is not considered, because it may be cut off.

use std::collections::BTreeSet;

use super::{
    AttributedError, ConfigAndWarnings, Diagnostics, FileRole, FileSelection, HoldCause,
    SelectedVersion, SourceFile,
};
use crate::{
    config::{Definition, FileId, definitions},
    control::{last_good::Inventory, removal::RemovedNames},
    listing,
};

/// The maximum number of names, and of files, that a message names.
const MAX_LISTED: usize = 5;
/// A load that still removes names after this many steps holds every changed file.
const MAX_STEPS: usize = 16;

/// Names to keep, the changed files that would remove them, and the files that may define them.
struct KeptNames {
    names: BTreeSet<Definition>,
    removing_files: Vec<FileId>,
    unusable: Vec<FileId>,
}

impl FileSelection<'_> {
    /// Finds versions that load together and that lack no zone or service that an unusable file may
    /// define. Returns the configuration, and the reason why names are kept, if any are.
    ///
    /// # Errors
    /// The last good set does not load either.
    pub(in crate::control) fn find_loadable_keeping_names(
        &mut self,
    ) -> Result<(ConfigAndWarnings, Option<String>), Diagnostics> {
        let mut loaded = self.find_loadable()?;
        let mut reason = None;
        for step in 0.. {
            let Some(mut kept) = self.names_to_keep(&loaded) else { break };
            drop(loaded);
            if kept.removing_files.is_empty() || step >= MAX_STEPS {
                kept.removing_files = self.changed().collect();
            }
            let text = self.reason_text(&kept);
            let attribute =
                |file| AttributedError { file, error: text.clone(), cause: HoldCause::Removal };
            self.hold_attributed(kept.removing_files.iter().copied().map(attribute).collect());
            reason.get_or_insert(text);
            loaded = self.find_loadable()?;
        }
        Ok((loaded, reason))
    }

    /// The names that have to be kept and are not. `None` if there are none, or if no file is left
    /// to hold.
    fn names_to_keep(&self, (config, _): &ConfigAndWarnings) -> Option<KeptNames> {
        let unusable: Vec<FileId> = self.unusable().collect();
        if unusable.is_empty() || self.has_other_settings() || self.changed().next().is_none() {
            return None;
        }
        let may_be_defined =
            |name: &Definition| unusable.iter().any(|file| self.may_define(*file, name));
        let removed = RemovedNames::between(
            &self.last_good.inventory,
            &Inventory::after_load(&self.last_good.inventory, config),
        )
        .definitions();
        let names: BTreeSet<Definition> = removed.into_iter().filter(may_be_defined).collect();
        let removes = |file: &FileId| {
            self.name_changes(*file).removed.iter().any(|name| names.contains(name))
        };
        let removing_files = self.changed().filter(removes).collect();
        let unusable = unusable
            .iter()
            .copied()
            .filter(|file| names.iter().any(|name| self.may_define(*file, name)))
            .collect();
        if names.is_empty() { None } else { Some(KeptNames { names, removing_files, unusable }) }
    }

    /// The held files whose new version may define anything, because it cannot be used.
    fn unusable(&self) -> impl Iterator<Item = FileId> {
        self.ids().filter(|id| match &self.versions[id.index()] {
            SelectedVersion::Held { new, cause, .. } => {
                let is_usable = matches!(cause, HoldCause::Removal | HoldCause::Requirement);
                !is_usable && new.role != FileRole::Absent
            }
            SelectedVersion::Unchanged | SelectedVersion::New | SelectedVersion::Retained => false,
        })
    }

    fn may_define(&self, file: FileId, name: &Definition) -> bool {
        let SelectedVersion::Held { new, .. } = &self.versions[file.index()] else { return false };
        may_define(new, name)
    }

    fn reason_text(&self, kept: &KeptNames) -> String {
        let names = kept.names.iter().map(|name| format!("{} {}", name.kind, name.name));
        let shown = |file: &FileId| match &self.versions[file.index()] {
            SelectedVersion::Held { new, .. } => new.shown.to_string(),
            SelectedVersion::Unchanged | SelectedVersion::New | SelectedVersion::Retained => {
                self.sources.files()[file.index()].shown.to_string()
            }
        };
        let (count, files) = (kept.names.len(), kept.unusable.len());
        format!(
            "{} {} kept: no usable file defines {} any more, but {}, which cannot be used, may do so (help: fix {}; or, \
             if {} to be removed, run `portolan reload --accept-removal`)",
            listing::join_first(names, MAX_LISTED, count),
            if count == 1 { "is" } else { "are" },
            if count == 1 { "it" } else { "them" },
            listing::join_first(kept.unusable.iter().map(shown), MAX_LISTED, files),
            if files == 1 { "that file" } else { "those files" },
            if count == 1 { "it is" } else { "they are" },
        )
    }
}

/// Whether a file that cannot be used may define a zone or service.
fn may_define(file: &SourceFile, name: &Definition) -> bool {
    match file.role {
        FileRole::Tables | FileRole::Directory => true,
        FileRole::Master => {
            let as_zone = Definition::new("zone", &name.name);
            definitions(file).iter().next().is_none_or(|zone| zone.provides(&as_zone))
        }
        FileRole::Settings | FileRole::Absent => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::{Config, SourceOptions, SourceReadError, Sources},
        control::last_good::LastGood,
        steer::ServingState,
    };

    const FILES: usize = 4;
    const ZONES: usize = 4;
    const PLACES: &str = "[datacenter.fra]\nstate = \"active\"\n";

    /// A fault of a file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum FileFault {
        None,
        Syntax,
        Value,
        Unreadable,
    }

    const FAULTS: [FileFault; 4] =
        [FileFault::None, FileFault::Syntax, FileFault::Value, FileFault::Unreadable];

    /// A zone with a service, as tables.
    fn zone(number: usize) -> String {
        format!(
            "[zone.\"z{number}.test\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
             [service.\"www.z{number}.test\"]\nmembers = [{{ addresses = [\"192.0.2.{number}\"] }}]\n"
        )
    }

    /// Files with the zones that `layout` assigns to them: the number of a file for each zone, or
    /// `None` for no file. A file without zones does not exist.
    fn files(layout: &[Option<usize>], places: &str) -> Vec<(String, String)> {
        let text = |file| {
            (0..ZONES).filter(|number| layout[*number] == Some(file)).map(zone).collect::<String>()
        };
        let tables = (0..FILES).map(|file| (format!("zones/f{file}.toml"), text(file)));
        let places = ("zones/places.toml".to_owned(), places.to_owned());
        std::iter::once(places).chain(tables.filter(|(_, text)| !text.is_empty())).collect()
    }

    fn sources(files: &[(String, String)]) -> Sources {
        Sources::from_texts(
            &SourceOptions::default(),
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())),
        )
    }

    fn good(files: &[(String, String)]) -> LastGood {
        let sources = sources(files);
        let (config, _) = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        let (inventory, read) = (Inventory::of(&config), config.master_files.clone());
        LastGood::of(sources, &read, inventory, &LastGood::default())
    }

    /// Breaks a file; returns whether the file exists.
    fn break_file(sources: &mut Sources, path: &str, fault: FileFault) -> bool {
        let found = sources.entries().find(|(_, file)| file.path == Path::new(path));
        let Some((id, mut file)) = found.map(|(id, file)| (id, file.clone())) else { return false };
        let broken = |end: &str| [file.octets(), end.as_bytes()].concat();
        file.content = match fault {
            FileFault::None => return false,
            FileFault::Syntax => Ok(Arc::new(broken("[broken"))),
            FileFault::Value => Ok(Arc::new(broken("[pool.extra]\nmembers = 7\n"))),
            FileFault::Unreadable => Err(SourceReadError::KeepsChanging),
        };
        sources.replace_files(vec![(id, file)]);
        true
    }

    fn layout() -> impl Strategy<Value = Vec<Option<usize>>> {
        proptest::collection::vec(proptest::option::weighted(0.85, 0..FILES), ZONES)
    }

    proptest! {
        /// The property of kept names: while a file cannot be used, no zone and no service
        /// disappears, and a drain in another file applies. Once all can be used, there is exactly
        /// what the files define.
        #[test]
        fn no_name_disappears_while_a_file_cannot_be_used(
            before in layout(),
            after in layout(),
            faults in proptest::collection::vec(0..FAULTS.len(), FILES),
        ) {
            let good = good(&files(&before, PLACES));
            let mut now = sources(&files(&after, &PLACES.replace("active", "draining")));
            let broken = (0..FILES).filter(|file| break_file(&mut now, &format!("zones/f{file}.toml"), FAULTS[faults[*file]]));
            let is_any_broken = broken.count() > 0;
            let mut selection = FileSelection::new(now, &good, |_| false);
            let ((config, _), kept) = selection.find_loadable_keeping_names().unwrap();
            prop_assert_eq!(config.topology.datacenters[0].state, ServingState::Draining);
            let inventory = Inventory::of(&config);
            if is_any_broken {
                let removed = RemovedNames::between(&good.inventory, &inventory);
                prop_assert_eq!(removed, RemovedNames::default(), "{:?}", selection.held());
            } else {
                let expected = after.iter().enumerate().filter(|(_, file)| file.is_some());
                let expected: Vec<_> = expected.map(|(number, _)| format!("z{number}.test").parse().unwrap()).collect();
                prop_assert_eq!((inventory.zones.to_vec(), kept), (expected, None));
            }
        }
    }

    #[test]
    fn a_zone_that_is_pasted_into_a_file_with_an_error_is_kept_by_the_file_that_it_was_cut_from() {
        let good = good(&files(&[Some(0), Some(0), None, None], PLACES));
        let mut now = sources(&files(&[Some(1), Some(0), None, None], PLACES));
        assert!(break_file(&mut now, "zones/f1.toml", FileFault::Syntax));
        let mut selection = FileSelection::new(now, &good, |_| false);
        let ((config, _), kept) = selection.find_loadable_keeping_names().unwrap();
        assert_eq!(config.zones.len(), 2);
        let kept = kept.unwrap();
        assert!(kept.starts_with("service www.z0.test, zone z0.test are kept: "), "{kept}");
        assert!(
            kept.contains("zones/f1.toml, which cannot be used")
                && kept.contains("--accept-removal"),
            "{kept}"
        );
        let held: Vec<_> =
            selection.held().into_iter().map(|file| (file.path, file.errors)).collect();
        assert_eq!(held[0], ("zones/f0.toml".into(), vec![kept]));
        assert_eq!(held[1].0, Path::new("zones/f1.toml"));
    }

    #[test]
    fn a_file_that_cannot_be_used_keeps_only_names_that_it_may_define() {
        let file =
            |path: &str, role| SourceFile::with_content(Path::new(path), role, None, Vec::new());
        let zone = |name| Definition::new("zone", name);
        let www = Definition::new("service", "www.x.test");
        for (path, role, name, may, why) in [
            ("zones/h.toml", FileRole::Tables, zone("x.test"), true, "tables define anything"),
            (
                "zones/sub",
                FileRole::Directory,
                zone("x.test"),
                true,
                "anything lies in a directory",
            ),
            ("zones/x.test.zone", FileRole::Master, zone("x.test"), true, "its zone"),
            (
                "zones/x.test.zone",
                FileRole::Master,
                www.clone(),
                true,
                "records instead of a service",
            ),
            ("zones/x.test.zone", FileRole::Master, zone("y.test"), false, "another zone"),
            ("zones/records", FileRole::Master, www.clone(), true, "records of any zone"),
            ("portolan.toml", FileRole::Settings, www, false, "settings define no name"),
        ] {
            assert_eq!(may_define(&file(path, role), &name), may, "{path}: {why}");
        }
    }
}
