//! A zone's master file: its records with their places, and its mistakes as diagnostics.

use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::Taken;
use crate::{
    config::{
        diagnostics::Quoted,
        place::{FileId, Place},
        problems::Problems,
        sources::Sources,
    },
    dns::{Name, Rtype},
    zone::{
        Record, RecordError, ZoneBuilder,
        master::{self, Entry, IncludedFile, MasterFile, Position},
    },
};

/// The records of a master file and of those it includes.
#[derive(Default)]
pub(super) struct Master {
    entries: Vec<Entry>,
    file: Option<FileId>,
    /// In the order in which they were reached.
    pub(super) included: Vec<FileId>,
    pub(super) has_errors: bool,
}

impl Master {
    /// Reads a file that is known to be readable.
    pub(super) fn read(
        sources: &Sources,
        id: FileId,
        apex: &Name,
        default_ttl_secs: Option<u32>,
        problems: &mut Problems,
    ) -> Self {
        let file = sources.file(id);
        let directory = file.path.parent().unwrap_or(Path::new(""));
        let mut ids = Vec::new();
        let mut include = |path: &str| {
            let id = sources
                .find(path, directory)
                .ok_or_else(|| format!("there is no file {} below the zones directory", Quoted(path)))?;
            let file = sources.file(id);
            let bytes = file.content.clone().map_err(|reason| format!("{} cannot be read: {reason}", Quoted(path)))?;
            ids.push(id);
            Ok(IncludedFile { path: file.shown.to_string(), bytes })
        };
        let MasterFile { entries, errors, included } =
            master::parse(file.octets(), apex, default_ttl_secs, &mut include);
        // The parser may refuse a file after it was handed over, a loop say: its own list is the one that counts.
        let by_path = |path: &str| ids.iter().copied().find(|id| *sources.file(*id).shown == *path);
        let included: Vec<FileId> = included.iter().map(|file| by_path(&file.path).unwrap_or(id)).collect();
        let master = Self { entries, file: Some(id), included, has_errors: !errors.is_empty() };
        for error in errors {
            let place = Place::new(master.file_of(error.position, id), error.span);
            let diagnostic = problems.error(place, error.message);
            diagnostic.help(error.help.as_deref().unwrap_or("records are written as in RFC 1035 section 5"));
        }
        master
    }

    fn file_of(&self, position: Position, main: FileId) -> FileId {
        match (position.file as usize).checked_sub(1) {
            None => main,
            Some(index) => self.included.get(index).copied().unwrap_or(main),
        }
    }

    /// The file and those it includes.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        self.file.into_iter().chain(self.included.iter().copied())
    }

    fn place(&self, sources: &Sources, position: Position) -> Place {
        let Some(main) = self.file else { return Place::whole(FileId(0)) };
        let file = self.file_of(position, main);
        let start =
            sources.file(file).line_starts().get((position.line as usize).saturating_sub(1)).copied().unwrap_or(0);
        // Owners are ASCII as a rule, so that columns are octets; where not, the mark is a little to the left.
        let at = start as usize + (position.column as usize).saturating_sub(1);
        Place::new(file, at..at + 1)
    }

    /// The apex's own SOA.
    pub(super) fn soa(&self, apex: &Name) -> Option<&Record> {
        let entry = self.entries.iter().find(|entry| entry.record.rtype == Rtype::SOA && entry.record.owner == *apex);
        entry.map(|entry| &entry.record)
    }

    /// The first record of a type at the apex, and its place.
    pub(super) fn at_apex(&self, sources: &Sources, apex: &Name, rtype: Rtype) -> Option<(&Record, Place)> {
        let found = self.entries.iter().find(|entry| entry.record.rtype == rtype && entry.record.owner == *apex)?;
        Some((&found.record, self.place(sources, found.position)))
    }

    /// Reports records that cannot be in the zone, and tells what each name of `wanted` holds. `made` are the records that a
    /// table adds.
    pub(super) fn check(
        &self,
        sources: &Sources,
        apex: &Name,
        made: &[Record],
        wanted: &HashSet<Name>,
        problems: &mut Problems,
    ) -> HashMap<Name, Vec<Taken>> {
        let mut taken: HashMap<Name, Vec<Taken>> = HashMap::new();
        let mut builder = ZoneBuilder::new(apex.clone());
        for record in made {
            // Cannot be wrong: a name server's name and the SOA's are names.
            let _ = builder.add(record.clone());
        }
        for entry in &self.entries {
            let Record { owner, rtype, .. } = &entry.record;
            if let Err(error) = builder.add(entry.record.clone()) {
                problems.error(self.place(sources, entry.position), error.to_string()).help(help(&error));
            }
            if wanted.contains(owner) {
                let types = taken.entry_ref(owner).or_default();
                if !types.iter().any(|taken| taken.rtype == *rtype) {
                    types.push(Taken { rtype: *rtype, place: self.place(sources, entry.position) });
                }
            }
        }
        self.check_nameservers(sources, apex, problems);
        taken
    }

    /// For each of `cuts`: the first record at or below it, and its owner.
    pub(super) fn hidden_by(&self, sources: &Sources, cuts: &HashSet<Name>) -> HashMap<Name, (Name, Taken)> {
        let mut hidden = HashMap::new();
        if cuts.is_empty() {
            return hidden;
        }
        for entry in &self.entries {
            let Record { owner, rtype, .. } = &entry.record;
            let mut at = Some(owner.clone());
            while let Some(name) = at {
                at = name.parent();
                if cuts.contains(&name) && !hidden.contains_key(&name) {
                    let taken = Taken { rtype: *rtype, place: self.place(sources, entry.position) };
                    hidden.insert(name, (owner.clone(), taken));
                }
            }
        }
        hidden
    }

    /// Reports nameservers of the zone whose addresses no one can ask for (RFC 6672 section 2.4).
    fn check_nameservers(&self, sources: &Sources, apex: &Name, problems: &mut Problems) {
        let records = || self.entries.iter().map(|entry| &entry.record);
        let dnames: Vec<_> =
            records().filter(|record| record.rtype == Rtype::DNAME).map(|record| &record.owner).collect();
        if dnames.is_empty() {
            return;
        }
        let servers =
            self.entries.iter().filter(|entry| entry.record.rtype == Rtype::NS && entry.record.owner == *apex);
        for entry in servers {
            let Ok(server) = Name::from_wire(&entry.record.rdata) else { continue };
            let hiding = dnames.iter().find(|&&dname| server != *dname && server.is_at_or_below(dname));
            let Some(dname) = hiding.filter(|_| records().any(|record| record.owner == server)) else { continue };
            problems
                .error(
                    self.place(sources, entry.position),
                    format!("the DNAME of {dname} hides the addresses of the nameserver {server}"),
                )
                .help("nothing can be below a name with a DNAME: give the nameserver another name");
        }
    }

    pub(super) fn into_records(self) -> impl Iterator<Item = Record> {
        self.entries.into_iter().map(|entry| entry.record)
    }
}

/// How to mend what the zone refuses.
fn help(error: &RecordError) -> &'static str {
    match error {
        RecordError::OutOfZone { .. } => {
            "an owner without a final dot is relative to $ORIGIN; one with it must end in the zone's name"
        }
        RecordError::CnameAndOther { .. } => "remove the CNAME, or everything else of that name",
        RecordError::Second { .. } => "remove one of them",
        RecordError::SoaBelowApex { .. } => "remove it, or make a zone of that name",
        RecordError::NoData { .. } => "remove it",
        RecordError::BadRdata { .. } => "compare it with the type's RFC",
        RecordError::LargeRrset { .. } => {
            "all records of one name and type go into one message of 64 KiB: leave some away"
        }
        RecordError::LargeZone => "make several zones of it",
    }
}
