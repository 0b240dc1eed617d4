//! Specifications: the tables as written, each value with its place, before anything is looked up. One file per kind.

use toml::de::DeTable;

use super::{
    diagnostics::Quoted,
    pieces::{self, Piece},
    place::{At, FileId, Place, Stretch},
    problems::Problems,
    reader::{self, Item, Subject, TableReader},
};

pub(super) mod datacenter;
pub(super) mod delegate;
pub(super) mod endpoint;
mod kind;
pub(super) mod load;
pub(super) mod monitor;
pub(super) mod pool;
pub(super) mod regulation;
pub(super) mod service;
pub(super) mod zone;

pub(super) use datacenter::DatacenterSpec;
pub(super) use delegate::DelegateSpec;
pub(super) use endpoint::EndpointSpec;
pub(super) use pool::{MemberSpec, MemberTarget, OnAllDownSpec, PolicyWord, PoolSpec, RuleSpec};
pub(super) use regulation::{PaceSpec, RegulationSpec};
pub(super) use service::{Chooser, ServiceSpec};
pub(super) use zone::ZoneSpec;

/// Everything that the tables of all files say.
#[derive(Default)]
pub(super) struct Specs {
    pub(super) datacenters: Vec<DatacenterSpec>,
    pub(super) zones: Vec<ZoneSpec>,
    pub(super) delegates: Vec<DelegateSpec>,
    /// A monitor refers to nothing but other monitors, so that it is a domain value at once.
    pub(super) monitors: Vec<At<crate::health::Monitor>>,
    /// For each monitor that a combined one names: the combined one, and where it names it.
    pub(super) parts: Vec<(Box<str>, At<Box<str>>)>,
    /// A load source refers to nothing.
    pub(super) loads: Vec<At<crate::load::LoadSource>>,
    pub(super) pools: Vec<PoolSpec>,
    pub(super) services: Vec<ServiceSpec>,
    /// Names of tables that could not be read: whoever refers to one is not told that it does not exist.
    pub(super) broken: Vec<(&'static str, Box<str>)>,
}

/// What tables there are, in the order in which they are read.
const KINDS: [&str; 7] = ["datacenter", "zone", "delegate", "monitor", "load", "pool", "service"];
/// Files of more octets are read table by table.
const LARGE_OCTETS: usize = 64 << 10;
/// What a file of tables is called in messages.
const FILE: &str = "a file of zones/";

impl Specs {
    /// Reads one file of tables.
    pub(super) fn read(&mut self, file: FileId, octets: &[u8], directory: &std::path::Path, problems: &mut Problems) {
        let Some(text) = utf8(file, octets, problems) else { return };
        let pieces = if text.len() > LARGE_OCTETS { pieces::cut(text) } else { None };
        if let Some(pieces) = pieces
            && let Some((specs, found)) = Self::of_pieces(file, text, &pieces, directory)
        {
            self.append(specs);
            return problems.take(found);
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        syntax_errors(file, &errors, text, problems);
        let mut root = reader::root(&table, Stretch::new(file, 0), FILE);
        if errors.is_empty() {
            self.read_tables(&mut root, directory, problems);
            root.finish(problems);
        } else {
            problems.mute(file);
            self.read_tables(&mut root, directory, problems);
        }
    }

    /// What the tables of a file say, one after the other; `None` where one is not TOML, which is to be told of in the order of
    /// the file.
    fn of_pieces(
        file: FileId,
        text: &str,
        pieces: &[Piece<'_>],
        directory: &std::path::Path,
    ) -> Option<(Self, Problems)> {
        if !pieces.iter().all(|piece| KINDS.contains(&piece.kind)) {
            return None;
        }
        let (mut specs, mut problems) = (Self::default(), Problems::default());
        for kind in KINDS {
            let from = pieces.partition_point(|piece| piece.kind < kind);
            for piece in pieces[from..].iter().take_while(|piece| piece.kind == kind) {
                let (table, errors) = DeTable::parse_recoverable(&text[piece.range.clone()]);
                if !errors.is_empty() {
                    return None;
                }
                let mut root = reader::root(&table, Stretch::new(file, piece.range.start), FILE);
                specs.read_kind(kind, &mut root, directory, &mut problems);
            }
        }
        Some((specs, problems))
    }

    fn append(&mut self, mut other: Self) {
        fn append<T>(list: &mut Vec<T>, other: &mut Vec<T>) {
            if list.is_empty() { std::mem::swap(list, other) } else { list.append(other) }
        }
        append(&mut self.datacenters, &mut other.datacenters);
        append(&mut self.zones, &mut other.zones);
        append(&mut self.delegates, &mut other.delegates);
        append(&mut self.monitors, &mut other.monitors);
        append(&mut self.parts, &mut other.parts);
        append(&mut self.loads, &mut other.loads);
        append(&mut self.pools, &mut other.pools);
        append(&mut self.services, &mut other.services);
        append(&mut self.broken, &mut other.broken);
    }

    fn read_tables(&mut self, root: &mut TableReader<'_>, directory: &std::path::Path, problems: &mut Problems) {
        KINDS.into_iter().for_each(|kind| self.read_kind(kind, root, directory, problems));
    }

    /// Reads the tables of one kind.
    fn read_kind(
        &mut self,
        kind: &'static str,
        root: &mut TableReader<'_>,
        directory: &std::path::Path,
        problems: &mut Problems,
    ) {
        self.tables(root, kind, problems, |specs, name, table, problems| match kind {
            "datacenter" => specs.datacenters.extend(DatacenterSpec::read(name, table, problems)),
            "zone" => specs.zones.extend(ZoneSpec::read(name, table, problems)),
            "delegate" => specs.delegates.extend(DelegateSpec::read(name, table, problems)),
            "monitor" => specs.read_monitor(name, table, directory, problems),
            "load" => match load::read(name, table, directory, problems) {
                Some(load) => specs.loads.push(load),
                None => specs.broken.push(("load", name.value.into())),
            },
            "pool" => specs.pools.extend(PoolSpec::read(name, table, problems)),
            _ => specs.services.extend(ServiceSpec::read(name, table, problems)),
        });
    }

    fn read_monitor(
        &mut self,
        name: At<&str>,
        table: TableReader<'_>,
        directory: &std::path::Path,
        problems: &mut Problems,
    ) {
        let mut parts = Vec::new();
        match monitor::read(name, table, directory, &mut parts, problems) {
            Some(monitor) => self.monitors.push(monitor),
            None => self.broken.push(("monitor", name.value.into())),
        }
        self.parts.extend(parts.into_iter().map(|part| (name.value.into(), part)));
    }

    /// Reads each table of `[kind.NAME]`.
    fn tables<'t>(
        &mut self,
        root: &mut TableReader<'t>,
        kind: &'static str,
        problems: &mut Problems,
        mut read: impl FnMut(&mut Self, At<&'t str>, TableReader<'t>, &mut Problems),
    ) {
        let Some(item) = root.item(kind) else { return };
        if !item.is_table() {
            problems
                .error(item.place, format!("`{kind}` must be a table of {kind}s"))
                .help(format!("write [{kind}.NAME] and its keys below"));
            return;
        }
        let Some(tables) = item.table(Subject { kind, name: "" }, problems) else { return };
        for (name, item) in tables.entries() {
            match item.is_table() {
                true => {
                    let subject = Subject { kind, name: name.value };
                    if let Some(mut table) = item.table(subject, problems) {
                        // Of a whole table that lacks something, its name is what is shown.
                        table.place = name.place;
                        read(self, name, table, problems);
                    }
                }
                false => {
                    problems
                        .error(name.place, format!("{} {} must be a table", kind, Quoted(name.value)))
                        .help(format!("write [{kind}.NAME] and its keys below"));
                }
            }
        }
    }
}

/// The text of a file, which TOML wants in UTF-8.
pub(super) fn utf8<'t>(file: FileId, octets: &'t [u8], problems: &mut Problems) -> Option<&'t str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.valid_up_to();
            problems
                .error(Place::new(file, at..at + 1), "the file is not valid UTF-8")
                .help("save the file in UTF-8; the mark is where it first is not");
            problems.mute(file);
            None
        }
    }
}

/// Reports what the TOML parser found; the file is then muted by the caller.
pub(super) fn syntax_errors(file: FileId, errors: &[toml::de::Error], text: &str, problems: &mut Problems) {
    const SHOWN: usize = 20;
    for error in errors.iter().take(SHOWN) {
        let span = error.span().unwrap_or(text.len()..text.len());
        let message = match error.message() {
            "duplicate key" => {
                format!("{} is defined twice in this file", Quoted(text.get(span.clone()).unwrap_or("")))
            }
            message if message.starts_with("cannot recurse") => {
                "lists and tables are more than 80 deep inside each other".into()
            }
            message => message.to_owned(),
        };
        problems.error(Place::new(file, span), message).help("the file is not valid TOML; see https://toml.io");
    }
}

/// A string that refers to a datacenter, region, monitor or pool.
pub(super) fn reference(item: Item<'_>, problems: &mut Problems) -> Option<At<Box<str>>> {
    item.text(problems).map(|text| text.map(Into::into))
}

/// The longest TTL (RFC 2181 section 8).
pub(super) const LONGEST_TTL_SECS: i64 = (1 << 31) - 1;

/// A TTL in seconds.
pub(super) fn ttl(item: Item<'_>, problems: &mut Problems) -> Option<u32> {
    let ttl =
        item.integer(0, LONGEST_TTL_SECS, "a TTL is in seconds: 300 is five minutes (RFC 2181 section 8)", problems)?;
    u32::try_from(ttl.value).ok()
}
