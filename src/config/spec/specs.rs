//! The tables of all files: their kinds, and the reading of a file, either as a whole or table by
//! table.

use std::{collections::HashSet, ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    datacenter::DatacenterSpec,
    delegate::DelegateSpec,
    load, monitor,
    pool::PoolSpec,
    requirement::{self, AssertionSpec, ExpectationSpec},
    safety::SafetySpec,
    service::ServiceSpec,
    table_header,
    zone::ZoneSpec,
};
use crate::config::{
    diagnostic::Stage,
    limits::{MAX_PARSE_OCTETS, MAX_VALUES, SPLIT_THRESHOLD_OCTETS},
    place::{FileId, FileOffset, Placed, SourcePlace},
    problems::Problems,
    quoted::Quoted,
    reader::{self, TableReader, TableSubject},
    syntax,
    table_slices::{self, TableSlice},
};

/// The specifications in all files of tables.
#[derive(Default)]
pub(in crate::config) struct Specs {
    pub(in crate::config) datacenters: Vec<DatacenterSpec>,
    pub(in crate::config) zones: Vec<ZoneSpec>,
    pub(in crate::config) delegates: Vec<DelegateSpec>,
    /// A monitor refers only to other monitors, so that it is a domain value at once.
    pub(in crate::config) monitors: Vec<Placed<crate::health::Monitor>>,
    /// For each monitor that a combined monitor names: the name of the combined one, and the place
    /// of the reference.
    pub(in crate::config) monitor_parts: Vec<(Box<str>, Placed<Box<str>>)>,
    /// The certificates and keys that monitors need for TLS, each with the monitor's name.
    pub(in crate::config) credentials: Vec<(Box<str>, monitor::credentials::Credential)>,
    /// A load source refers to nothing, so that it is a domain value at once.
    pub(in crate::config) loads: Vec<Placed<crate::load::LoadSource>>,
    pub(in crate::config) pools: Vec<PoolSpec>,
    pub(in crate::config) services: Vec<ServiceSpec>,
    pub(in crate::config) expectations: Vec<ExpectationSpec>,
    pub(in crate::config) assertions: Vec<AssertionSpec>,
    pub(in crate::config) safety: Option<SafetySpec>,
    /// The kind and name of each table that could not be read: a reference to one is not a mistake.
    pub(in crate::config) unreadable: Vec<(&'static str, Box<str>)>,
    /// For each file that was read table by table: the start of each table, in order.
    pub(in crate::config) table_starts: Vec<(FileId, Box<[u32]>)>,
    /// For each file of tables, in order: the range of its pools in `pools`.
    pub(in crate::config) pools_by_file: Vec<(FileId, Range<usize>)>,
    /// The number of keys and values in the tables that were read.
    pub(in crate::config) value_count: usize,
}

/// The kinds of tables, in the order in which they are read.
const KINDS: [&str; 7] = ["datacenter", "zone", "delegate", "monitor", "load", "pool", "service"];
/// The name of a file of tables in messages.
const FILE: &str = "a file of zones/";

/// The file that is being read.
#[derive(Clone, Copy)]
pub(in crate::config) struct TableContext<'c> {
    pub(in crate::config) file: FileId,
    pub(in crate::config) text: &'c str,
    /// The directory that relative paths in the file start from.
    pub(in crate::config) directory: &'c Path,
}

/// Whether a text is valid TOML by itself.
pub(in crate::config) fn is_toml(text: &str) -> bool {
    DeTable::parse_recoverable(text).1.is_empty()
}

impl Specs {
    /// Reads one file of tables.
    pub(in crate::config) fn read(
        &mut self,
        file: FileId,
        octets: &[u8],
        directory: &Path,
        problems: &mut Problems,
    ) {
        let Some(text) = syntax::utf8(file, octets, problems) else { return };
        let before = self.pools.len();
        self.read_text(TableContext { file, text, directory }, problems);
        self.pools_by_file.push((file, before..self.pools.len()));
    }

    fn read_text(&mut self, context: TableContext<'_>, problems: &mut Problems) {
        let TableContext { file, text, .. } = context;
        let slices = if text.len() > SPLIT_THRESHOLD_OCTETS {
            table_slices::split_tables(text)
        } else {
            None
        };
        let starts: Box<[u32]> =
            slices.iter().flatten().map(|slice| slice.range.start as u32).collect();
        if let Some(slices) = slices
            .filter(|slices| is_toml(table_slices::preamble(text, slices)))
            .and_then(table_slices::sort_unique)
            && let Some((specs, found)) = self.read_slices(&slices, context)
        {
            self.append(specs);
            self.table_starts.push((file, starts));
            problems.merge(found);
            return self.check_values(file, problems);
        }
        if text.len() > MAX_PARSE_OCTETS {
            return syntax::report_large(file, text, problems);
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        self.value_count += count_values(table.get_ref());
        if self.value_count > MAX_VALUES {
            return self.check_values(file, problems);
        }
        syntax::report(file, &errors, text, problems);
        let mut root = reader::root_table(&table, FileOffset::new(file, 0), FILE);
        if errors.is_empty() {
            self.read_tables(&mut root, context, problems);
            // References to tables of a misspelt kind are no mistakes of their own.
            for unknown_key in root.finish(problems) {
                let names = unknown_key
                    .suggestion
                    .into_iter()
                    .flat_map(|kind| unknown_key.keys().map(move |name| (kind, name.into())));
                self.unreadable.extend(names);
            }
        } else {
            self.read_tables(&mut root, context, problems);
        }
    }

    /// Reports a file with which all tables together have more keys and values than are accepted.
    /// Nothing is reported of later files.
    fn check_values(&mut self, file: FileId, problems: &mut Problems) {
        if self.value_count <= MAX_VALUES {
            return;
        }
        let message =
            format!("the tables of all files have more than {MAX_VALUES} keys and values together");
        let diagnostic = problems.error(SourcePlace::whole_file(file), message);
        // This file need not be at fault: others may have grown.
        diagnostic.stage = Stage::Checking;
        diagnostic.help(
            "take tables out of this file, or serve some of the services from another server",
        );
        problems.mute(file);
    }

    /// Whether reading has ended because all tables together have too many keys and values.
    pub(in crate::config) fn exceed_value_limit(&self) -> bool {
        self.value_count > MAX_VALUES
    }

    /// Reads the tables of a file one by one. `None` where one is not TOML, or is too large: these
    /// errors are reported in the order of the file.
    fn read_slices(
        &self,
        slices: &[TableSlice<'_>],
        context: TableContext<'_>,
    ) -> Option<(Self, Problems)> {
        if !slices
            .iter()
            .all(|slice| KINDS.contains(&slice.kind) && slice.range.len() <= MAX_PARSE_OCTETS)
        {
            return None;
        }
        let (mut specs, mut problems) = (Self::default(), Problems::default());
        let max_values = MAX_VALUES.saturating_sub(self.value_count);
        for kind in KINDS {
            let from = slices.partition_point(|slice| slice.kind < kind);
            for slice in slices[from..].iter().take_while(|slice| slice.kind == kind) {
                specs.append_slice(kind, slice, context, max_values, &mut problems)?;
                if specs.value_count > max_values {
                    return Some((specs, problems));
                }
            }
        }
        Some((specs, problems))
    }

    /// Reads one table that was cut out of a text. `None` where it is not TOML, or too large to be
    /// parsed.
    pub(in crate::config) fn read_slice(
        slice: &TableSlice<'_>,
        context: TableContext<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let kind = KINDS.into_iter().find(|kind| *kind == slice.kind)?;
        let mut specs = Self::default();
        if slice.range.len() > MAX_PARSE_OCTETS {
            return None;
        }
        specs.append_slice(kind, slice, context, MAX_VALUES, problems)?;
        Some(specs)
    }

    /// Reads a table that was cut out of a text, unless there are already `max_values` keys and
    /// values. `None` where it is not TOML.
    fn append_slice(
        &mut self,
        kind: &'static str,
        slice: &TableSlice<'_>,
        context: TableContext<'_>,
        max_values: usize,
        problems: &mut Problems,
    ) -> Option<()> {
        let (table, errors) = DeTable::parse_recoverable(&context.text[slice.range.clone()]);
        if !errors.is_empty() {
            return None;
        }
        self.value_count += count_values(table.get_ref());
        if self.value_count <= max_values {
            let mut root =
                reader::root_table(&table, FileOffset::new(context.file, slice.range.start), FILE);
            self.read_kind(kind, &mut root, context, problems);
        }
        Some(())
    }

    /// The number of tables that were read.
    pub(in crate::config) fn table_count(&self) -> usize {
        let Self { datacenters, zones, delegates, monitors, loads, pools, services, .. } = self;
        let small_tables = datacenters.len() + zones.len() + delegates.len();
        let requirements = self.expectations.len() + self.assertions.len();
        small_tables + monitors.len() + loads.len() + pools.len() + services.len() + requirements
    }

    fn append(&mut self, mut other: Self) {
        fn append<T>(list: &mut Vec<T>, other: &mut Vec<T>) {
            if list.is_empty() { std::mem::swap(list, other) } else { list.append(other) }
        }
        append(&mut self.datacenters, &mut other.datacenters);
        append(&mut self.zones, &mut other.zones);
        append(&mut self.delegates, &mut other.delegates);
        append(&mut self.monitors, &mut other.monitors);
        append(&mut self.monitor_parts, &mut other.monitor_parts);
        append(&mut self.credentials, &mut other.credentials);
        append(&mut self.loads, &mut other.loads);
        append(&mut self.pools, &mut other.pools);
        append(&mut self.services, &mut other.services);
        append(&mut self.unreadable, &mut other.unreadable);
        self.value_count += other.value_count;
    }

    fn read_tables(
        &mut self,
        root: &mut TableReader<'_>,
        context: TableContext<'_>,
        problems: &mut Problems,
    ) {
        KINDS.into_iter().for_each(|kind| self.read_kind(kind, root, context, problems));
        self.read_requirements(root, problems);
    }

    /// Reads the tables that have no name: requirements and the rules of safety. A file with one of
    /// them is always read as a whole.
    fn read_requirements(&mut self, root: &mut TableReader<'_>, problems: &mut Problems) {
        if let Some(item) = root.value("expect") {
            self.expectations.extend(requirement::read_list(item, problems, ExpectationSpec::read));
        }
        if let Some(item) = root.value("assert") {
            self.assertions.extend(requirement::read_list(item, problems, AssertionSpec::read));
        }
        if let Some(item) = root.value("safety") {
            match &self.safety {
                Some(first) => first.report_duplicate(item.place, problems),
                None => self.safety = SafetySpec::read(item, problems),
            }
        }
    }

    /// Reads the tables of one kind.
    fn read_kind(
        &mut self,
        kind: &'static str,
        root: &mut TableReader<'_>,
        context: TableContext<'_>,
        problems: &mut Problems,
    ) {
        self.tables(root, kind, context, problems, |specs, name, table, problems| {
            let directory = context.directory;
            let is_read = match kind {
                "datacenter" => push_if_read(
                    &mut specs.datacenters,
                    DatacenterSpec::read(name, table, problems),
                ),
                "zone" => push_if_read(&mut specs.zones, ZoneSpec::read(name, table, problems)),
                "delegate" => {
                    push_if_read(&mut specs.delegates, DelegateSpec::read(name, table, problems))
                }
                "monitor" => specs.read_monitor(name, table, directory, problems),
                "load" => {
                    push_if_read(&mut specs.loads, load::read(name, table, directory, problems))
                }
                "pool" => push_if_read(&mut specs.pools, PoolSpec::read(name, table, problems)),
                _ => push_if_read(&mut specs.services, ServiceSpec::read(name, table, problems)),
            };
            if !is_read {
                specs.unreadable.push((kind, name.value.into()));
            }
        });
    }

    fn read_monitor(
        &mut self,
        name: Placed<&str>,
        table: TableReader<'_>,
        directory: &Path,
        problems: &mut Problems,
    ) -> bool {
        let mut references = monitor::MonitorReferences::default();
        let monitor = monitor::read(name, table, directory, &mut references, problems);
        let monitor::MonitorReferences { parts, credentials } = references;
        self.monitor_parts.extend(parts.into_iter().map(|part| (name.value.into(), part)));
        self.credentials
            .extend(credentials.into_iter().map(|credential| (name.value.into(), credential)));
        push_if_read(&mut self.monitors, monitor)
    }

    /// Reads each table of `[kind.NAME]`.
    fn tables(
        &mut self,
        root: &mut TableReader<'_>,
        kind: &'static str,
        context: TableContext<'_>,
        problems: &mut Problems,
        mut read: impl for<'n> FnMut(&mut Self, Placed<&'n str>, TableReader<'n>, &mut Problems),
    ) {
        let Some(item) = root.value(kind) else { return };
        let sample = table_header::sample_header(kind);
        if !item.is_table() {
            problems
                .error(item.place, format!("`{kind}` must be a table of {kind}s"))
                .help(format!("write {sample} and its keys below"));
            return;
        }
        let Some(tables) = item.table(TableSubject { kind, name: "" }, problems) else { return };
        // If one part of a table has its name in quotes and another part has it without, neither
        // shows the whole table.
        let mut split: HashSet<String> = HashSet::new();
        for (name, item) in tables.entries().filter(|(_, item)| item.is_table()) {
            table_header::read_dotted_names(
                kind,
                name,
                item,
                context.text,
                &mut Problems::default(),
                &mut |whole, _, _| {
                    if whole.value != name.value && tables.has(whole.value) {
                        split.insert(whole.value.to_owned());
                    }
                },
            );
        }
        for (name, item) in tables.entries() {
            if !item.is_table() {
                problems
                    .error(name.place, format!("{kind} {} must be a table", Quoted(name.value)))
                    .help(format!(
                        "write {} once, in single brackets, and its keys below",
                        table_header::table_header(kind, name.value)
                    ));
                self.unreadable.push((kind, name.value.into()));
                continue;
            }
            table_header::read_dotted_names(
                kind,
                name,
                item,
                context.text,
                problems,
                &mut |name, item, problems| {
                    if split.contains(name.value) {
                        self.unreadable.push((kind, name.value.into()));
                        return;
                    }
                    let subject = TableSubject { kind, name: name.value };
                    let Some(mut table) = item.table(subject, problems) else { return };
                    // Mistakes about the whole table are shown at its name.
                    table.place = name.place;
                    read(self, name, table, problems);
                },
            );
        }
    }
}

/// The number of keys and values in a table, including nested ones.
fn count_values(table: &DeTable<'_>) -> usize {
    fn inside(value: &DeValue<'_>) -> usize {
        match value {
            DeValue::Table(table) => count_values(table),
            DeValue::Array(array) => {
                array.len() + array.iter().map(|value| inside(value.get_ref())).sum::<usize>()
            }
            _ => 0,
        }
    }
    table.len() + table.iter().map(|(_, value)| inside(value.get_ref())).sum::<usize>()
}

/// Adds what could be read. Returns whether it could be read.
fn push_if_read<T>(list: &mut Vec<T>, read: Option<T>) -> bool {
    let is_read = read.is_some();
    list.extend(read);
    is_read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(specs: &mut Specs, text: &str) -> Vec<(String, Stage)> {
        let mut problems = Problems::default();
        specs.read(FileId(0), text.as_bytes(), Path::new(""), &mut problems);
        let (list, _) = problems.into_parts();
        list.into_iter().map(|found| (found.message, found.stage)).collect()
    }

    #[test]
    fn tables_with_too_many_values_are_one_error_of_all_files() {
        let pool =
            |name: &str| format!("[pool.{name}]\nmembers = [{{ addresses = [\"192.0.2.1\"] }}]\n");
        let large = format!("# {}\n{}{}", "x".repeat(SPLIT_THRESHOLD_OCTETS), pool("a"), pool("b"));
        // Six values: the key of the kind, the name, the members, one member, its addresses, one
        // address.
        for (text, values) in [(pool("a"), 6), (large, 12)] {
            let mut specs = Specs { value_count: MAX_VALUES - values, ..Specs::default() };
            assert_eq!(read(&mut specs, &text), []);
            assert!(!specs.exceed_value_limit());
            let mut specs = Specs { value_count: MAX_VALUES - values + 1, ..Specs::default() };
            let expected = format!(
                "the tables of all files have more than {MAX_VALUES} keys and values together"
            );
            assert_eq!(read(&mut specs, &text), [(expected, Stage::Checking)]);
            assert!(specs.exceed_value_limit() && specs.pools.len() < values / 6);
        }
    }

    #[test]
    fn a_file_that_is_too_large_to_be_parsed_whole_has_its_own_mistakes_reported() {
        let filler =
            (0..200_000).map(|n| format!("[pool.p{n}]\nmembers = []\n")).collect::<String>();
        assert!(filler.len() > MAX_PARSE_OCTETS);
        for (text, expected) in [
            (
                format!("{filler}[pool.x]\nttl = yes\n"),
                "\"yes\" is neither a number nor a text in quotes",
            ),
            (
                format!("{filler}[pool.p7]\n"),
                "the file has more than 4 MiB and cannot be read table by table",
            ),
            (format!("{filler}<<<<<<< ours\n"), syntax::CONFLICT_MESSAGE),
        ] {
            let found = read(&mut Specs::default(), &text);
            assert_eq!(found, [(expected.to_owned(), Stage::Reading)]);
        }
    }
}
