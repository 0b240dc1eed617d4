//! The names of one kind of table: definitions, references, and names that nothing refers to.

use hashbrown::{HashMap, HashSet};

use crate::{
    config::{
        definition::Definition,
        diagnostic::{Diagnostic, NameFault},
        place::{Placed, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        spec::table_header,
        values::{NAME_HELP, name_fault},
    },
    dns::Name,
};

/// The names of one kind of table.
pub(super) struct SymbolTable<'s> {
    kind: &'static str,
    positions: HashMap<&'s str, (usize, SourcePlace)>,
    /// Names whose tables could not be read, which has been reported.
    unreadable: HashSet<&'s str>,
    used: HashSet<usize>,
    /// The names in order, collected when an undefined name is first reported.
    sorted: Option<Vec<&'s str>>,
}

impl<'s> SymbolTable<'s> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            positions: HashMap::new(),
            unreadable: HashSet::new(),
            used: HashSet::new(),
            sorted: None,
        }
    }

    /// Defines a name. A second definition is an error that shows both places.
    pub(super) fn define(
        &mut self,
        name: &'s str,
        place: SourcePlace,
        index: usize,
        problems: &mut Problems,
    ) {
        match self.positions.get(name) {
            None => {
                self.positions.insert(name, (index, place));
            }
            Some(&(_, first)) => {
                report_duplicate(self.kind, name, place, first, problems);
                // A duplicate is not reported as unused, too.
                self.used.insert(index);
            }
        }
    }

    pub(super) fn define_broken(&mut self, name: &'s str) {
        self.unreadable.insert(name);
    }

    pub(super) fn has_broken(&self) -> bool {
        !self.unreadable.is_empty()
    }

    pub(super) fn contains(&self, name: &str) -> Option<SourcePlace> {
        self.positions.get(name).map(|(_, place)| *place)
    }

    /// The position of a defined name. This does not count as a use of it.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).map(|(index, _)| *index)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'s str> {
        self.positions.keys().copied()
    }

    /// The position that a reference means. An undefined name is an error with the nearest defined
    /// name as its help.
    pub(super) fn resolve(
        &mut self,
        name: &Placed<Box<str>>,
        problems: &mut Problems,
    ) -> Option<usize> {
        if let Some(&(index, _)) = self.positions.get(&*name.value) {
            self.used.insert(index);
            return Some(index);
        }
        if !self.unreadable.contains(&*name.value) && !problems.has_unread_files() {
            let known = self.sorted.get_or_insert_with(|| {
                let mut names: Vec<_> = self.positions.keys().copied().collect();
                names.sort_unstable();
                names
            });
            let message = format!("there is no {} {}", self.kind, Quoted(&name.value));
            let otherwise = definition_help(self.kind, &name.value);
            let missing = NameFault::Missing(Definition::new(self.kind, &name.value));
            problems
                .unknown_name(name.place, message, &name.value, known.iter().copied(), &otherwise)
                .about(missing);
        }
        None
    }

    /// Warns of each name that nothing refers to.
    pub(super) fn warn_unused(&self, why: &str, problems: &mut Problems) {
        let mut unused: Vec<_> =
            self.positions.iter().filter(|(_, (index, _))| !self.used.contains(index)).collect();
        unused.sort_unstable_by_key(|(_, (_, place))| *place);
        for (name, (_, place)) in unused {
            problems
                .warning(*place, format!("{} {} is not used", self.kind, Quoted(name)))
                .help(format!("{why}; remove it, or name it where it belongs"));
        }
    }
}

/// The help for an undefined name: a definition that can be used as it is.
pub(super) fn definition_help(kind: &str, name: &str) -> String {
    let header = table_header::table_header(kind, name);
    match kind {
        _ if name_fault(name).is_some() => {
            format!("write the name of a table [{kind}.NAME]: {NAME_HELP}")
        }
        "pool" if name.parse::<std::net::IpAddr>().is_ok() => {
            format!(
                "for an address write members = [{{ addresses = [\"{name}\"] }}]; text in quotes is a pool's name"
            )
        }
        "pool" => {
            let host = match name.contains('.') && name.parse::<Name>().is_ok() {
                true => format!("; for a host name write members = [{{ cname = \"{name}\" }}]"),
                false => String::new(),
            };
            format!("define it: {header} with members = [{{ addresses = [\"192.0.2.1\"] }}]{host}")
        }
        "monitor" => format!(
            "define it: {header} with tcp = {{ port = 443 }}, or http = {{ path = \"/healthz\" }}"
        ),
        "load" => {
            format!("define it: {header} with nginx = {{ url = \"http://192.0.2.1/stub_status\" }}")
        }
        _ => {
            format!("define it: {header} with location = {{ latitude = 50.11, longitude = 8.68 }}")
        }
    }
}

/// Reports a second definition of a name.
pub(super) fn report_duplicate<'p>(
    kind: &'static str,
    name: &str,
    second: SourcePlace,
    first: SourcePlace,
    problems: &'p mut Problems,
) -> &'p mut Diagnostic {
    problems
        .error(second, format!("{kind} {} is defined twice", Quoted(name)))
        .label("defined again here")
        .also(first, "first defined here")
        .help("names are global: rename one of them, or remove it")
        .about(NameFault::Duplicate(Definition::new(kind, name)))
}
