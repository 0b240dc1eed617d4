//! Reads a zone's master file: its records with their places, and its mistakes as diagnostics.

use std::{path::Path, sync::Arc};

use hashbrown::{HashMap, HashSet};

use super::partial_zone::StaticRrset;
use crate::{
    config::{
        content_hash::ContentHash,
        diagnostic::Stage,
        place::{FileId, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        sources::Sources,
    },
    dns::{Name, Rtype},
    zone::{
        Record, RecordError, ZoneBuilder,
        master::{
            self, Budget, FilePosition, IncludedFile, LocatedRecord, MasterError, MasterFile,
        },
    },
};

/// The maximum number of records outside of the zone that are reported one by one.
const MAX_OUT_OF_ZONE_REPORTED: usize = 20;
/// The maximum number of refused records that are kept to be reported. No more are reported for all
/// files together.
const MAX_REFUSED_RECORDS: usize = 1000;

/// The names of which later steps need the static records.
#[derive(Default)]
pub(super) struct TrackedNames {
    /// Names, and the names above them, whose static records are kept.
    pub(super) names: HashSet<Name>,
    /// Names that tables delegate: the first record at or below each is kept.
    pub(super) cuts: HashSet<Name>,
}

/// The records of a master file and of the files that it includes, already in a zone builder, with
/// the details that other checks need.
pub(super) struct MasterRecords {
    pub(super) builder: ZoneBuilder,
    pub(super) hash: ContentHash,
    /// The number of records in the zone.
    pub(super) count: usize,
    file: Option<FileId>,
    /// The included files, in the order in which they were first read.
    pub(super) included: Vec<FileId>,
    pub(super) has_errors: bool,
    refused: Vec<(FilePosition, RecordError)>,
    /// Records that are left out because their owner is outside of the zone: the first ones.
    outside: Vec<(FilePosition, Name)>,
    outside_count: usize,
    /// The first SOA record whose owner is not the apex.
    foreign_soa: Option<(Name, FilePosition)>,
    /// The `$ORIGIN` that lacks its final dot.
    repeated_origin: Option<SourcePlace>,
    /// Whether the whole file is reported as that of another zone. Its records are then not
    /// reported one by one.
    pub(super) is_misplaced: bool,
    /// The first SOA, NS and CNAME record at the apex.
    apex_records: Vec<(Record, FilePosition)>,
    /// The nameservers of the apex.
    nameservers: HashMap<Name, FilePosition>,
    dnames: HashSet<Name>,
    static_types: HashMap<Name, Vec<(Rtype, FilePosition)>>,
    first_below_cuts: HashMap<Name, (Name, Rtype, FilePosition)>,
}

impl MasterRecords {
    /// The records of a zone without a master file.
    pub(super) fn empty(apex: &Name) -> Self {
        Self {
            builder: ZoneBuilder::new(apex.clone()),
            hash: ContentHash::default(),
            count: 0,
            file: None,
            included: Vec::new(),
            has_errors: false,
            refused: Vec::new(),
            outside: Vec::new(),
            outside_count: 0,
            foreign_soa: None,
            repeated_origin: None,
            is_misplaced: false,
            apex_records: Vec::new(),
            nameservers: HashMap::new(),
            dnames: HashSet::new(),
            static_types: HashMap::new(),
            first_below_cuts: HashMap::new(),
        }
    }

    /// Reads a file that is known to be readable. Its records are added one by one, so that a
    /// million are not held twice.
    pub(super) fn read(
        sources: &Sources,
        id: FileId,
        apex: &Name,
        default_ttl_secs: Option<u32>,
        tracked: &TrackedNames,
        budget: &mut Budget,
        problems: &mut Problems,
    ) -> Self {
        let mut master = Self { file: Some(id), ..Self::empty(apex) };
        let parsed = parse(sources, id, apex, default_ttl_secs, budget, &mut |entry| {
            master.add_entry(entry, apex, tracked);
        });
        let MasterParse { errors, included, repeated_origin: doubled_origin, is_truncated: is_cut } =
            parsed;
        master.included = included;
        master.repeated_origin = doubled_origin
            .map(|(position, span)| SourcePlace::new(master.file_of(position, id), span));
        master.has_errors = is_cut || !errors.is_empty();
        errors.into_iter().for_each(|(error, about)| master.report(id, error, about, problems));
        master
    }

    fn report(
        &self,
        id: FileId,
        error: MasterError,
        about: Option<FileId>,
        problems: &mut Problems,
    ) {
        let place = SourcePlace::new(self.file_of(error.position, id), error.span);
        let diagnostic = problems.error(place, error.message);
        if !error.is_load_budget {
            diagnostic.stage = Stage::Reading;
        }
        diagnostic
            .help(error.help.as_deref().unwrap_or("records are written as in RFC 1035 section 5"));
        if let Some(about) = about {
            diagnostic.also(SourcePlace::whole_file(about), "the file");
        }
    }

    fn add_entry(
        &mut self,
        LocatedRecord { record, position }: LocatedRecord,
        apex: &Name,
        tracked: &TrackedNames,
    ) {
        if record.rtype == Rtype::SOA && record.owner != *apex && self.foreign_soa.is_none() {
            self.foreign_soa = Some((record.owner.clone(), position));
        }
        if !record.owner.is_at_or_below(apex) {
            return self.ignore_out_of_zone(record, position);
        }
        self.count += 1;
        self.hash.add_record(&record);
        let Record { owner, rtype, rdata, .. } = &record;
        let is_apex = owner == apex;
        let server =
            (is_apex && *rtype == Rtype::NS).then(|| Name::from_wire(rdata).ok()).flatten();
        let is_authority = is_apex && matches!(*rtype, Rtype::SOA | Rtype::NS | Rtype::CNAME);
        if is_authority && !self.apex_records.iter().any(|(first, _)| first.rtype == *rtype) {
            self.apex_records.push((record.clone(), position));
        }
        if *rtype == Rtype::DNAME {
            self.dnames.insert(owner.clone());
        }
        if tracked.names.contains(owner) {
            let types = self.static_types.entry_ref(owner).or_default();
            if !types.iter().any(|(known, _)| known == rtype) {
                types.push((*rtype, position));
            }
        }
        if !tracked.cuts.is_empty() {
            self.note_below_cuts(owner, *rtype, position, tracked);
        }
        match self.builder.add(record) {
            Ok(()) => _ = server.map(|server| self.nameservers.entry(server).or_insert(position)),
            Err(error) => self.refuse(position, error),
        }
    }

    /// Adds a record that the zone refuses. A million records of one owner are mostly refused for
    /// one reason.
    fn refuse(&mut self, position: FilePosition, error: RecordError) {
        let is_known = self.refused.last().is_some_and(|(_, last)| *last == error);
        if !is_known && self.refused.len() < MAX_REFUSED_RECORDS {
            self.refused.push((position, error));
        }
    }

    /// Ignores a record outside of the zone, as BIND does: glue of a neighbour, for example, or a
    /// name without its origin.
    fn ignore_out_of_zone(&mut self, record: Record, position: FilePosition) {
        self.outside_count += 1;
        if self.outside.len() < MAX_OUT_OF_ZONE_REPORTED {
            self.outside.push((position, record.owner));
        }
    }

    fn note_below_cuts(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        position: FilePosition,
        tracked: &TrackedNames,
    ) {
        let mut next = Some(owner.clone());
        while let Some(name) = next {
            next = name.parent();
            if tracked.cuts.contains(&name) && !self.first_below_cuts.contains_key(&name) {
                self.first_below_cuts.insert(name, (owner.clone(), rtype, position));
            }
        }
    }

    fn file_of(&self, position: FilePosition, main: FileId) -> FileId {
        file_of(position, main, &self.included)
    }

    /// The master file; `None` where the zone has none.
    pub(super) fn file(&self) -> Option<FileId> {
        self.file
    }

    /// The master file and the files that it includes.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        self.file.into_iter().chain(self.included.iter().copied())
    }

    fn place(&self, sources: &Sources, position: FilePosition) -> SourcePlace {
        let Some(main) = self.file else { return SourcePlace::whole_file(FileId(0)) };
        place(sources, main, &self.included, position)
    }

    /// The SOA at the apex, if there is one.
    pub(super) fn apex_soa(&self) -> Option<&Record> {
        self.apex_records.iter().map(|(record, _)| record).find(|record| record.rtype == Rtype::SOA)
    }

    /// The owner and the place of the first SOA that is not at the apex, if the apex has none.
    pub(super) fn foreign_soa(&self, sources: &Sources) -> Option<(&Name, SourcePlace)> {
        let (owner, position) = self.foreign_soa.as_ref().filter(|_| self.apex_soa().is_none())?;
        Some((owner, self.place(sources, *position)))
    }

    /// The place of an `$ORIGIN` that lacks its final dot, so that its records are below the zone's
    /// name twice.
    pub(super) fn repeated_origin(&self) -> Option<SourcePlace> {
        self.repeated_origin
    }

    /// The first SOA or NS record at the apex, and its place.
    pub(super) fn apex_record(
        &self,
        sources: &Sources,
        rtype: Rtype,
    ) -> Option<(&Record, SourcePlace)> {
        let (record, position) =
            self.apex_records.iter().find(|(record, _)| record.rtype == rtype)?;
        Some((record, self.place(sources, *position)))
    }

    /// Reports records that cannot be in the zone, and returns the static RRsets of each tracked
    /// name. `from_table` are the records that a table adds to the apex.
    pub(super) fn check(
        &mut self,
        sources: &Sources,
        from_table: &[Record],
        problems: &mut Problems,
    ) -> HashMap<Name, Vec<StaticRrset>> {
        let cname = self.apex_records.iter().find(|(record, _)| record.rtype == Rtype::CNAME);
        if let (Some((cname, position)), Some(other)) = (cname, from_table.first()) {
            let error =
                RecordError::CnameAndOther { owner: cname.owner.clone(), other: other.rtype };
            self.refused.push((*position, error));
        }
        if !self.is_misplaced {
            self.report_refused(sources, problems);
            self.report_outside(sources, problems);
        }
        self.check_nameservers(sources, problems);
        let static_types = std::mem::take(&mut self.static_types);
        let place = |(rtype, position)| StaticRrset { rtype, place: self.place(sources, position) };
        static_types
            .into_iter()
            .map(|(name, types)| (name, types.into_iter().map(place).collect()))
            .collect()
    }

    /// Reports refused records: once for each owner and mistake, however many records have it.
    fn report_refused(&self, sources: &Sources, problems: &mut Problems) {
        let mut reported = HashSet::new();
        for (position, error) in &self.refused {
            if let RecordError::CnameAndOther { owner, .. }
            | RecordError::SecondOfSingleton { owner, .. } = error
                && !reported.insert((std::mem::discriminant(error), owner))
            {
                continue;
            }
            let diagnostic = problems.error(self.place(sources, *position), error.to_string());
            match (error, self.apex_cname()) {
                (RecordError::CnameAndOther { owner, .. }, Some((apex, target))) if owner == apex => diagnostic.help(format!(
                    "the apex has SOA and NS records, and a CNAME stands alone: remove the CNAME, and serve the name from a *.toml file: [service.\"{apex}\"] with members = [{{ alias = \"{target}\" }}]"
                )),
                _ => diagnostic.help(help(error)),
            };
        }
    }

    /// The owner and the target of a CNAME at the apex.
    fn apex_cname(&self) -> Option<(&Name, Name)> {
        let (record, _) =
            self.apex_records.iter().find(|(record, _)| record.rtype == Rtype::CNAME)?;
        Some((&record.owner, Name::from_wire(&record.rdata).ok()?))
    }

    /// Warns of records outside of the zone.
    fn report_outside(&self, sources: &Sources, problems: &mut Problems) {
        let apex = self.builder.apex();
        let more = self.outside_count - self.outside.len();
        for (index, (position, owner)) in self.outside.iter().enumerate() {
            let is_last = index + 1 == self.outside.len();
            let others =
                if is_last && more > 0 { format!("; so are {more} more") } else { String::new() };
            problems
                .warning(
                    self.place(sources, *position),
                    format!("{owner} is outside of the zone {apex}: the record is ignored{others}"),
                )
                .help(format!("remove it, or give it an owner that ends in {apex}.; an owner without a final dot ends in the name of the last $ORIGIN"));
        }
    }

    /// For each delegated name: the owner of the first record at or below it, and the record's
    /// type.
    pub(super) fn take_first_below_cuts(
        &mut self,
        sources: &Sources,
    ) -> HashMap<Name, (Name, StaticRrset)> {
        let first_below_cuts = std::mem::take(&mut self.first_below_cuts);
        let rrset = |rtype, position| StaticRrset { rtype, place: self.place(sources, position) };
        first_below_cuts
            .into_iter()
            .map(|(cut, (owner, rtype, position))| (cut, (owner, rrset(rtype, position))))
            .collect()
    }

    /// Reports nameservers of the zone whose addresses a DNAME occludes (RFC 6672 section 2.4).
    fn check_nameservers(&self, sources: &Sources, problems: &mut Problems) {
        for (server, position) in &self.nameservers {
            let above = std::iter::successors(server.parent(), Name::parent);
            let hiding = if self.dnames.is_empty() {
                None
            } else {
                above.into_iter().find(|name| self.dnames.contains(name))
            };
            let Some(dname) = hiding.filter(|_| self.builder.has_records(server)) else { continue };
            problems
                .error(
                    self.place(sources, *position),
                    format!("the DNAME of {dname} hides the addresses of the nameserver {server}"),
                )
                .help("nothing can be below a name with a DNAME: give the nameserver another name");
        }
    }
}

/// The result of parsing a master file, apart from its records.
pub(super) struct MasterParse {
    /// The errors, each with the other file that it is about, if any.
    errors: Vec<(MasterError, Option<FileId>)>,
    /// Whether the reading ended early, at a bound.
    is_truncated: bool,
    /// The files that it includes.
    pub(super) included: Vec<FileId>,
    repeated_origin: Option<(FilePosition, std::ops::Range<usize>)>,
}

/// Parses a master file that is known to be readable, and calls `take` with each record.
pub(super) fn parse(
    sources: &Sources,
    id: FileId,
    apex: &Name,
    default_ttl_secs: Option<u32>,
    budget: &mut Budget,
    take: &mut dyn FnMut(LocatedRecord),
) -> MasterParse {
    let file = sources.file(id);
    let directory = file.path.parent().unwrap_or(Path::new(""));
    let mut ids: HashMap<&str, FileId> = HashMap::new();
    let mut include = |path: &str| {
        let id = sources
            .find_included(path, directory)
            .ok_or_else(|| sources.why_not_found(path, directory))?;
        let file = sources.file(id);
        let content = file
            .content
            .as_ref()
            .map_err(|reason| format!("{} cannot be read: {reason}", Quoted(path)))?;
        ids.insert(&file.shown, id);
        Ok(IncludedFile { path: file.shown.to_string(), bytes: Arc::clone(content) })
    };
    let MasterFile { errors, included, doubled_origin, is_truncated: is_cut, .. } =
        master::parse_each(file.octets(), apex, default_ttl_secs, &mut include, budget, take);
    // The parser may refuse a file that `include` returned, for example because of a loop. So the
    // parser's own list decides which files were included.
    let by_path = |path: &str| ids.get(path).copied();
    let included = included.iter().map(|file| by_path(&file.path).unwrap_or(id)).collect();
    let with_file = |error: MasterError| {
        let about = error.about_path.as_deref().and_then(by_path);
        (error, about)
    };
    let errors = errors.into_iter().map(with_file).collect();
    MasterParse { errors, included, repeated_origin: doubled_origin, is_truncated: is_cut }
}

fn file_of(position: FilePosition, main: FileId, included: &[FileId]) -> FileId {
    match (position.file as usize).checked_sub(1) {
        None => main,
        Some(index) => included.get(index).copied().unwrap_or(main),
    }
}

/// The place of a record: its first octet.
pub(super) fn place(
    sources: &Sources,
    main: FileId,
    included: &[FileId],
    position: FilePosition,
) -> SourcePlace {
    let file = file_of(position, main, included);
    let start = sources.file(file).line_start(position.line as usize).unwrap_or(0);
    // As a rule owners are ASCII, so that columns are octets; otherwise the mark is a little too
    // far left.
    let column_start = start + (position.column as usize).saturating_sub(1);
    SourcePlace::new(file, column_start..column_start + 1)
}

/// The help for a record that the zone refuses.
fn help(error: &RecordError) -> &'static str {
    match error {
        RecordError::OutOfZone { .. } => {
            "an owner without a final dot is relative to $ORIGIN; one with it must end in the zone's name"
        }
        RecordError::CnameAndOther { .. } => "remove the CNAME, or everything else of that name",
        RecordError::SecondOfSingleton { .. } => "remove one of them",
        RecordError::SoaBelowApex { .. } => "remove it, or make a zone of that name",
        RecordError::MetaType { .. } => "remove it",
        RecordError::BadRdata { .. } => "compare it with the type's RFC",
        RecordError::RrsetTooLarge { .. } => {
            "all records of one name and type go into one message of 64 KiB: omit some"
        }
        RecordError::TooManyTypes { .. } => {
            "a query looks at one type after the other: give some of the records another owner"
        }
        RecordError::ZoneTooLarge => "split it into several zones",
    }
}
