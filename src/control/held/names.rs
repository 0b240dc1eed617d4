//! Names that wait: while a file cannot be used, zones and services that it may define are not
//! removed.
//!
//! A zone that is cut out of one file and pasted into another one has moved. If the other file is
//! broken, half copied, open or not readable, the first file alone looks like a removal. So
//! whatever removes a zone or service is held as a whole as long as a file that may define it
//! cannot be used: until that file is fixed or removed, or an operator accepts the removal.
//!
//! What a file that cannot be used may define: a file of tables and a directory, anything;
//! `NAME.zone`, that zone and names in it; another master file, any record; `portolan.toml`,
//! nothing. What its text seems to say does not matter: it may be cut off.

use std::collections::BTreeSet;

use super::{Charge, Choice, Diagnostics, Ground, Role, Selection, Settled, SourceFile};
use crate::{
    config::{Definition, FileId, definitions},
    control::{lastgood::Inventory, removal::Removed},
    listing,
};

/// As many names, and files, are shown.
const SHOWN: usize = 5;
/// A load that still removes names after so many steps holds every changed file.
const STEPS: usize = 16;

/// Names that would go, the files that would take them, and the files that may define them.
struct Waiting {
    names: BTreeSet<Definition>,
    takers: Vec<FileId>,
    unusable: Vec<FileId>,
}

impl Selection<'_> {
    /// Finds versions that load together and lack no zone or service that a file may define which
    /// cannot be used. Also why names are kept, if any are.
    ///
    /// # Errors
    /// The last good set does not load either.
    pub(in crate::control) fn settle_keeping_names(
        &mut self,
    ) -> Result<(Settled, Option<String>), Diagnostics> {
        let mut settled = self.settle()?;
        let mut why = None;
        for step in 0.. {
            let Some(mut waiting) = self.waiting(&settled) else { break };
            drop(settled);
            if waiting.takers.is_empty() || step >= STEPS {
                waiting.takers = self.changed().collect();
            }
            let text = self.text(&waiting);
            let charge = |file| Charge { file, error: text.clone(), ground: Ground::Removal };
            self.charge(waiting.takers.iter().copied().map(charge).collect());
            why.get_or_insert(text);
            settled = self.settle()?;
        }
        Ok((settled, why))
    }

    /// `None` where nothing has to wait, or nothing is left that could be held.
    fn waiting(&self, (config, _): &Settled) -> Option<Waiting> {
        let unusable: Vec<FileId> = self.unusable().collect();
        if unusable.is_empty() || self.has_other_settings() || self.changed().next().is_none() {
            return None;
        }
        let may_be_defined =
            |name: &Definition| unusable.iter().any(|file| self.may_define(*file, name));
        let removed = Removed::between(
            &self.good.inventory,
            &Inventory::following(&self.good.inventory, config),
        )
        .definitions();
        let names: BTreeSet<Definition> = removed.into_iter().filter(may_be_defined).collect();
        let takes =
            |file: &FileId| self.change(*file).removed.iter().any(|name| names.contains(name));
        let takers = self.changed().filter(takes).collect();
        let unusable = unusable
            .iter()
            .copied()
            .filter(|file| names.iter().any(|name| self.may_define(*file, name)))
            .collect();
        if names.is_empty() { None } else { Some(Waiting { names, takers, unusable }) }
    }

    /// The held files of whose new version it is not known what it defines.
    fn unusable(&self) -> impl Iterator<Item = FileId> {
        self.ids().filter(|id| match &self.choices[id.index()] {
            Choice::Held { new, ground, .. } => {
                *ground != Ground::Removal && new.role != Role::Absent
            }
            Choice::Same | Choice::New | Choice::Kept => false,
        })
    }

    fn may_define(&self, file: FileId, name: &Definition) -> bool {
        let Choice::Held { new, .. } = &self.choices[file.index()] else { return false };
        may_define(new, name)
    }

    fn text(&self, waiting: &Waiting) -> String {
        let names = waiting.names.iter().map(|name| format!("{} {}", name.kind, name.name));
        let shown = |file: &FileId| match &self.choices[file.index()] {
            Choice::Held { new, .. } => new.shown.to_string(),
            Choice::Same | Choice::New | Choice::Kept => {
                self.sources.files()[file.index()].shown.to_string()
            }
        };
        let (count, files) = (waiting.names.len(), waiting.unusable.len());
        format!(
            "{} {} kept: no file that can be used defines {} any more, and {}, which cannot be used, may (help: fix {}; or, \
             if {} to be removed, run `portolan reload --accept-removal`)",
            listing::join_first(names, SHOWN, count),
            if count == 1 { "is" } else { "are" },
            if count == 1 { "it" } else { "them" },
            listing::join_first(waiting.unusable.iter().map(shown), SHOWN, files),
            if files == 1 { "that file" } else { "those files" },
            if count == 1 { "it is" } else { "they are" },
        )
    }
}

/// Whether a file that cannot be used may define a zone or service.
fn may_define(file: &SourceFile, name: &Definition) -> bool {
    match file.role {
        Role::Tables | Role::Directory => true,
        Role::Master => {
            let as_zone = Definition::new("zone", &name.name);
            definitions(file).iter().next().is_none_or(|zone| zone.provides(&as_zone))
        }
        Role::Settings | Role::Absent => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::{Config, Locations, Sources, Unreadable},
        control::lastgood::LastGood,
        steer::State,
    };

    const FILES: usize = 4;
    const ZONES: usize = 4;
    const PLACES: &str = "[datacenter.fra]\nstate = \"active\"\n";

    /// What is wrong with a file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fault {
        None,
        Syntax,
        Value,
        Unreadable,
    }

    const FAULTS: [Fault; 4] = [Fault::None, Fault::Syntax, Fault::Value, Fault::Unreadable];

    /// A zone with a service, as tables.
    fn zone(number: usize) -> String {
        format!(
            "[zone.\"z{number}.test\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
             [service.\"www.z{number}.test\"]\nmembers = [{{ addresses = [\"192.0.2.{number}\"] }}]\n"
        )
    }

    /// The files where each zone lies in the file that `layout` says, if any; a file without a zone
    /// does not exist.
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
            &Locations::default(),
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())),
        )
    }

    fn good(files: &[(String, String)]) -> LastGood {
        let sources = sources(files);
        let (config, _) = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        let (inventory, read) = (Inventory::of(&config), config.master_files.clone());
        LastGood::of(sources, &read, inventory, &LastGood::default())
    }

    /// Breaks a file; whether there is one.
    fn break_file(sources: &mut Sources, path: &str, fault: Fault) -> bool {
        let found = sources.entries().find(|(_, file)| file.path == Path::new(path));
        let Some((id, mut file)) = found.map(|(id, file)| (id, file.clone())) else { return false };
        let broken = |end: &str| [file.octets(), end.as_bytes()].concat();
        file.content = match fault {
            Fault::None => return false,
            Fault::Syntax => Ok(Arc::new(broken("[broken"))),
            Fault::Value => Ok(Arc::new(broken("[pool.extra]\nmembers = 7\n"))),
            Fault::Unreadable => Err(Unreadable::KeepsChanging),
        };
        sources.exchange(vec![(id, file)]);
        true
    }

    fn layout() -> impl Strategy<Value = Vec<Option<usize>>> {
        proptest::collection::vec(proptest::option::weighted(0.85, 0..FILES), ZONES)
    }

    proptest! {
        /// The property of names: while a file cannot be used, no zone and no service disappears,
        /// and a drain in another file applies. Once all can be used, there is exactly what the
        /// files define.
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
            let mut selection = Selection::new(now, &good, |_| false);
            let ((config, _), kept) = selection.settle_keeping_names().unwrap();
            prop_assert_eq!(config.topology.datacenters[0].state, State::Draining);
            let inventory = Inventory::of(&config);
            if is_any_broken {
                let removed = Removed::between(&good.inventory, &inventory);
                prop_assert_eq!(removed, Removed::default(), "{:?}", selection.held());
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
        assert!(break_file(&mut now, "zones/f1.toml", Fault::Syntax));
        let mut selection = Selection::new(now, &good, |_| false);
        let ((config, _), kept) = selection.settle_keeping_names().unwrap();
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
            ("zones/h.toml", Role::Tables, zone("x.test"), true, "tables define anything"),
            ("zones/sub", Role::Directory, zone("x.test"), true, "anything lies in a directory"),
            ("zones/x.test.zone", Role::Master, zone("x.test"), true, "its zone"),
            ("zones/x.test.zone", Role::Master, www.clone(), true, "records instead of a service"),
            ("zones/x.test.zone", Role::Master, zone("y.test"), false, "another zone"),
            ("zones/records", Role::Master, www.clone(), true, "records of any zone"),
            ("portolan.toml", Role::Settings, www, false, "settings define no name"),
        ] {
            assert_eq!(may_define(&file(path, role), &name), may, "{path}: {why}");
        }
    }
}
