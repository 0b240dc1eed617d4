//! Zones: those of tables, with a master file or without, and the master files that are zones as
//! they stand.

use std::{collections::HashSet, path::Path, time::SystemTime};

use hashbrown::HashMap;

use super::{
    content_hash::{ContentHash, PoolContentHashes},
    symbols::report_duplicate,
};
use crate::{
    config::{
        DefinitionOrigin,
        diagnostics::Quoted,
        hostname,
        place::{FileId, SourcePlace},
        problems::Problems,
        sources::{FileRole, Sources, disk},
        spec::{DelegateSpec, ZoneSpec},
    },
    dns::{Name, Rtype},
    steer::{Service, ZoneId},
    zone::{Record, RecordError, Zone, ZoneBuilder, master::Budget},
};

mod authority;
mod delegate;
mod integrity;
mod locate;
mod master;
mod messages;
mod redirects;
mod whoami;

pub(super) use integrity::ServiceNames;
pub(super) use locate::TableRecords;
use master::{MasterRecords, TrackedNames};
pub(super) use whoami::check as check_whoami;

/// A zone with its static records.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// The apex.
    pub apex: Name,
    /// Whether EDNS Client Subnet is used in it.
    pub client_subnet: bool,
    /// The name whose TXT record tells clients how they are seen.
    pub whoami: Option<Name>,
    /// Where the SOA's serial comes from.
    pub serial: SerialSource,
    /// Where it is defined.
    pub origin: DefinitionOrigin,
    /// All static records but an SOA that is made here.
    builder: ZoneBuilder,
    record_count: usize,
    /// Why records of tables cannot be in it.
    record_errors: Vec<RecordError>,
    /// The SOA where it is made here, with serial 0.
    soa: Option<Record>,
}

/// Where a zone's serial comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialSource {
    /// The master file's own SOA.
    OwnSoa(u32),
    /// Of the content: a serial belongs to a hash, and another hash needs a greater serial.
    FromContent {
        /// Of the static records and of the services in the zone; the same on every machine.
        hash: u64,
        /// When a file that defines the zone was last changed; a good serial where none was given
        /// before.
        newest: Option<SystemTime>,
    },
}

impl SerialSource {
    /// Adds a part of the content to the hash.
    pub(super) fn add(&mut self, part: ContentHash) {
        if let Self::FromContent { hash, .. } = self {
            *hash = hash.wrapping_add(part.0);
        }
    }

    /// Removes a part from the hash that was added to it.
    pub(super) fn subtract(&mut self, part: ContentHash) {
        self.add(ContentHash(part.0.wrapping_neg()));
    }

    /// Sets when a file of the zone was last changed.
    pub(super) fn set_newest(&mut self, when: Option<SystemTime>) {
        if let Self::FromContent { newest, .. } = self {
            *newest = when;
        }
    }
}

impl ZoneConfig {
    fn add(&mut self, record: Record) {
        self.record_count += 1;
        self.record_errors.extend(self.builder.add(record).err());
    }

    /// The zone. `serial` goes into the SOA where that is not the master file's own. What it is
    /// made of goes into it: a second call makes no zone.
    ///
    /// # Errors
    /// What of it cannot be in a zone, or is missing, in words.
    pub fn take_zone(&mut self, serial: u32) -> Result<Zone, Vec<String>> {
        let mut builder = std::mem::replace(&mut self.builder, ZoneBuilder::new(self.apex.clone()));
        builder.client_subnet(self.client_subnet);
        self.whoami.iter().for_each(|name| builder.whoami(name));
        let soa = self.soa.take().map(|soa| authority::with_serial(&soa, serial));
        self.record_errors.extend(soa.and_then(|soa| builder.add(soa).err()));
        if !self.record_errors.is_empty() {
            return Err(self.record_errors.iter().map(ToString::to_string).collect());
        }
        builder.finish().map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    /// At how many names other servers answer: those below the apex that have NS records.
    pub fn delegation_count(&self) -> usize {
        self.builder.delegation_count()
    }

    /// How many static records there are, the SOA among them.
    pub fn record_count(&self) -> usize {
        self.record_count
    }
}

/// A type that static records take at a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct StaticRrset {
    pub(super) rtype: Rtype,
    pub(super) place: SourcePlace,
}

/// The zones, in order of name, and what their names hold.
pub(super) struct CompiledZones {
    pub(super) list: Vec<ZoneConfig>,
    by_apex: HashMap<Name, ZoneId>,
    unread: UnreadZones,
    /// Of each zone: where it is defined, and its master file.
    origins: Vec<SourcePlace>,
    masters: Vec<Option<FileId>>,
    /// Of each zone: the files that it is written in.
    pub(super) files: Vec<Vec<FileId>>,
    /// Of each zone: its names and what they hold. Service names are looked up here.
    static_rrsets: Vec<HashMap<Name, Vec<StaticRrset>>>,
    /// The master files that zones are made of, the included ones among them.
    pub(super) master_files: Vec<FileId>,
}

/// Zones that are defined and could not be read, which is reported where they are: what lies in
/// them is not outside of every zone.
#[derive(Default)]
struct UnreadZones {
    apexes: Vec<Name>,
    /// Whether not even the name of one is known.
    has_nameless: bool,
}

impl UnreadZones {
    fn may_hold(&self, name: &Name) -> bool {
        self.has_nameless || self.apexes.iter().any(|apex| name.is_at_or_below(apex))
    }
}

/// A zone while it is put together.
struct PartialZone {
    zone: ZoneConfig,
    place: SourcePlace,
    master: Option<FileId>,
    static_rrsets: HashMap<Name, Vec<StaticRrset>>,
    /// For each name that a table delegates: the first static record at or below it, and its owner.
    first_below_cuts: HashMap<Name, (Name, StaticRrset)>,
    hash: ContentHash,
    /// The files that it is written in.
    files: Vec<FileId>,
}

/// Reads the master files and makes the zones. What static records hold is told of `tracked` names
/// and those above them.
pub(super) fn compile(
    sources: &Sources,
    specs: &[ZoneSpec],
    delegates: &[DelegateSpec],
    wanted: &[&Name],
    has_nameless: bool,
    problems: &mut Problems,
) -> CompiledZones {
    let mut unread = UnreadZones { apexes: Vec::new(), has_nameless };
    let cuts = delegates.iter().map(|spec| spec.name.value.clone()).collect();
    let of_tables = specs.iter().map(|spec| &spec.apex.value).collect();
    let reading = ZoneReader {
        sources,
        tracked: TrackedNames { names: with_ancestors(wanted), cuts },
        table_apexes: of_tables,
    };
    let mut used = HashSet::new();
    let mut budget = Budget::for_load();
    let mut drafts = Vec::with_capacity(specs.len());
    for spec in specs {
        let master = spec.records.as_ref().and_then(|path| {
            let directory = sources.file(path.place.file()).path.parent().unwrap_or(Path::new(""));
            let id = find_master(sources, &path.value, directory, path.place, problems)?;
            used.insert(id);
            let (apex, ttl_secs) = (&spec.apex.value, Some(spec.ttl_secs));
            Some(MasterRecords::read(
                sources,
                id,
                apex,
                ttl_secs,
                &reading.tracked,
                &mut budget,
                problems,
            ))
        });
        used.extend(master.iter().flat_map(|master| master.included.iter().copied()));
        match reading.table_zone(spec, master, problems) {
            Some(draft) => drafts.push(draft),
            None => unread.apexes.push(spec.apex.value.clone()),
        }
    }
    let plain = reading.standalone_zones(&used, &mut drafts, &mut unread, &mut budget, problems);
    drafts.sort_by_cached_key(|draft| (draft.zone.apex.to_string(), draft.place));
    for pair in drafts.windows(2) {
        if pair[0].zone.apex == pair[1].zone.apex {
            let diagnostic = report_duplicate(
                "zone",
                &pair[0].zone.apex.to_string(),
                pair[1].place,
                pair[0].place,
                problems,
            );
            let plain =
                pair.iter().find(|draft| sources.file(draft.place.file()).role == FileRole::Master);
            if let Some(plain) = plain
                && let Some(file) = sources.file(plain.place.file()).path.file_name()
            {
                diagnostic.help(format!(
                    "remove one of the two, or name the file in the table, records = \"{}\", and leave SOA and NS to one of them",
                    file.to_string_lossy()
                ));
            }
        }
    }
    delegate::add(delegates, &mut drafts, &unread, problems);
    used.extend(plain);
    let mut master_files: Vec<FileId> = used.into_iter().collect();
    master_files.sort_unstable();
    CompiledZones { master_files, ..CompiledZones::new(drafts, unread) }
}

fn find_master(
    sources: &Sources,
    path: &str,
    directory: &Path,
    place: SourcePlace,
    problems: &mut Problems,
) -> Option<FileId> {
    let found = sources.find(path, directory);
    let Some(id) = found else {
        problems
            .error(place, sources.why_not_found(path, directory))
            .help("the path is relative to this file and must stay inside of the zones directory");
        return None;
    };
    if let Err(reason) = &sources.file(id).content {
        problems
            .error(place, format!("{} cannot be read: {reason}", Quoted(path)))
            .also(SourcePlace::whole_file(id), "the file")
            .help("name a regular file");
        return None;
    }
    Some(id)
}

/// What reading a zone needs.
struct ZoneReader<'s> {
    sources: &'s Sources,
    tracked: TrackedNames,
    /// The apexes of tables. What a master file of the same zone lacks is no mistake of its own.
    table_apexes: HashSet<&'s Name>,
}

/// The names and all names above them.
fn with_ancestors(wanted: &[&Name]) -> hashbrown::HashSet<Name> {
    let mut names = hashbrown::HashSet::with_capacity(wanted.len());
    for &name in wanted {
        let mut at = Some(name.clone());
        while let Some(name) = at {
            at = name.parent();
            if !names.insert(name) {
                break;
            }
        }
    }
    names
}

impl ZoneReader<'_> {
    /// The zone of a table.
    fn table_zone(
        &self,
        spec: &ZoneSpec,
        master: Option<MasterRecords>,
        problems: &mut Problems,
    ) -> Option<PartialZone> {
        let has_file = spec.records.is_some();
        let mut entries = match master {
            Some(master) => master,
            // The file was named and is not to be had: nothing more can be said of the zone's
            // authority.
            None if has_file => return None,
            None => MasterRecords::empty(&spec.apex.value),
        };
        let made = authority::apex_records(self.sources, spec, &mut entries, problems);
        let place = spec.apex.place;
        let mut files = vec![place.file()];
        files.extend(entries.files());
        let mut draft = self.draft(&spec.apex.value, place, (entries, made), files, problems);
        draft.zone.client_subnet = spec.client_subnet;
        draft.zone.whoami = spec.whoami.as_ref().map(|name| name.value.clone());
        Some(draft)
    }

    /// Master files that nothing names or includes are zones as they stand.
    /// Returns the files that were read.
    fn standalone_zones(
        &self,
        used: &HashSet<FileId>,
        drafts: &mut Vec<PartialZone>,
        unread: &mut UnreadZones,
        budget: &mut Budget,
        problems: &mut Problems,
    ) -> Vec<FileId> {
        let is_zone_file = |id: &FileId| disk::is_master(&self.sources.file(*id).path);
        let candidates = self
            .sources
            .ids_with_role(FileRole::Master)
            .filter(|id| is_zone_file(id) && !used.contains(id));
        let mut read = Vec::new();
        let mut kept = 0;
        for id in candidates {
            let mut own = Problems::with_room_beside(kept);
            let draft = self.standalone_zone(id, budget, &mut own);
            kept += own.kept_count();
            read.push((id, draft, own));
        }
        // Which of them others include shows only now. Two that include each other are both told of
        // their circle.
        let includes: HashSet<(FileId, FileId)> = read
            .iter()
            .flat_map(|(id, draft, _)| {
                draft.iter().flat_map(|(_, included)| included.iter().map(|i| (*id, *i)))
            })
            .collect();
        let is_one_way =
            |&&(by, what): &&(FileId, FileId)| by != what && !includes.contains(&(what, by));
        let included: HashSet<FileId> =
            includes.iter().filter(is_one_way).map(|&(_, what)| what).collect();
        let files =
            read.iter().map(|(id, ..)| *id).chain(includes.iter().map(|&(_, what)| what)).collect();
        for (id, draft, own) in read {
            if included.contains(&id) {
                continue;
            }
            problems.merge(own);
            match draft {
                Some((draft, _)) => drafts.push(draft),
                None => match self.apex_of_file(id) {
                    Some(apex) => unread.apexes.push(apex),
                    None => unread.has_nameless = true,
                },
            }
        }
        files
    }

    /// The zone that a file is named after, its letters outside of ASCII as A-labels.
    fn apex_of_file(&self, id: FileId) -> Option<Name> {
        match self.sources.file(id).path.file_stem()?.to_str()? {
            "root" => Some(Name::root()),
            stem => hostname::to_a_labels(stem)?.parse().ok(),
        }
    }

    /// The zone of a file, whose name is the zone's, and what it includes.
    fn standalone_zone(
        &self,
        id: FileId,
        budget: &mut Budget,
        problems: &mut Problems,
    ) -> Option<(PartialZone, Vec<FileId>)> {
        let file = self.sources.file(id);
        let place = SourcePlace::new(id, 0..0);
        let Some(apex) = self.apex_of_file(id) else {
            problems
                .error(SourcePlace::whole_file(id), "the file's name is no zone's name")
                .help("a file NAME.zone is the zone NAME; the root is root.zone");
            return None;
        };
        if let Err(reason) = &file.content {
            problems
                .error(
                    SourcePlace::whole_file(id),
                    format!("the master file cannot be read: {reason}"),
                )
                .help(reason.remedy());
            return None;
        }
        let mut master =
            MasterRecords::read(self.sources, id, &apex, None, &self.tracked, budget, problems);
        let included = master.included.clone();
        if !self.table_apexes.contains(&apex) {
            authority::check_standalone(self.sources, &apex, place, &mut master, problems);
        }
        let mut files = vec![id];
        files.extend(master.files());
        let draft = self.draft(&apex, place, (master, None), files, problems);
        Some((draft, included))
    }

    /// The zone of an apex from its master file and what its table adds to that.
    fn draft(
        &self,
        apex: &Name,
        place: SourcePlace,
        (mut master, made): (MasterRecords, Option<authority::ApexRecords>),
        files: Vec<FileId>,
        problems: &mut Problems,
    ) -> PartialZone {
        let serial = match &made {
            None => master.apex_soa().and_then(authority::serial_of).map(SerialSource::OwnSoa),
            Some(_) => None,
        };
        let (soa, ns) = made.map_or((None, Vec::new()), |made| (made.soa, made.ns));
        let taken = master.check(self.sources, &ns, problems);
        let hidden = master.take_first_below_cuts(self.sources);
        let (mut hash, file) = (master.hash, master.file());
        soa.iter().chain(&ns).for_each(|record| hash.add_record(record));
        // An own SOA that could not be read has been reported: any serial will do.
        let serial = serial.unwrap_or(SerialSource::FromContent { hash: 0, newest: None });
        let mut zone = ZoneConfig {
            apex: apex.clone(),
            client_subnet: true,
            whoami: None,
            serial,
            origin: DefinitionOrigin::new(self.sources, place),
            builder: master.builder,
            record_count: master.count + usize::from(soa.is_some()),
            record_errors: Vec::new(),
            soa,
        };
        ns.into_iter().for_each(|record| zone.add(record));
        PartialZone {
            zone,
            place,
            master: file,
            static_rrsets: taken,
            first_below_cuts: hidden,
            hash,
            files,
        }
    }
}

impl CompiledZones {
    fn new(drafts: Vec<PartialZone>, unread: UnreadZones) -> Self {
        let (origins, masters) = drafts.iter().map(|draft| (draft.place, draft.master)).unzip();
        let mut zones = Self {
            list: Vec::with_capacity(drafts.len()),
            by_apex: HashMap::new(),
            unread,
            origins,
            masters,
            files: Vec::with_capacity(drafts.len()),
            static_rrsets: Vec::new(),
            master_files: Vec::new(),
        };
        for PartialZone { mut zone, static_rrsets: taken, hash, files, .. } in drafts {
            if let SerialSource::FromContent { .. } = zone.serial {
                zone.serial = SerialSource::FromContent { hash: hash.0, newest: None };
            }
            zones.files.push(files);
            zones.by_apex.insert(zone.apex.clone(), ZoneId(zones.list.len() as u32));
            zones.list.push(zone);
            zones.static_rrsets.push(taken);
        }
        zones
    }

    /// The zone with the longest name that `name` is at or below.
    pub(super) fn innermost(&self, name: &Name) -> Option<ZoneId> {
        let mut at = Some(name.clone());
        while let Some(name) = at {
            if let Some(&zone) = self.by_apex.get(&name) {
                return Some(zone);
            }
            at = name.parent();
        }
        None
    }

    /// Whether a name may be in a zone that is defined and could not be read.
    pub(super) fn may_be_unread(&self, name: &Name) -> bool {
        self.unread.may_hold(name)
    }

    pub(super) fn is_apex(&self, zone: ZoneId, name: &Name) -> bool {
        self.list[zone.index()].apex == *name
    }

    /// What static records hold at a name.
    pub(super) fn static_rrsets(
        &self,
        zone: ZoneId,
        name: &Name,
    ) -> impl Iterator<Item = StaticRrset> {
        self.static_rrsets[zone.index()].get(name).into_iter().flatten().copied()
    }

    /// The delegation or DNAME that takes a name out of the zone, and its owner.
    pub(super) fn cut_above(&self, zone: ZoneId, name: &Name) -> Option<(Name, StaticRrset)> {
        let mut found = None;
        let mut below = name.clone();
        while !self.is_apex(zone, &below) {
            let above = below.parent()?;
            let is_apex = self.is_apex(zone, &above);
            let cut = self.static_rrsets(zone, &above).find(|taken| {
                taken.rtype == Rtype::DNAME || (taken.rtype == Rtype::NS && !is_apex)
            });
            if let Some(taken) = cut {
                found = Some((above.clone(), taken));
            }
            below = above;
        }
        found
    }

    /// Adds the services' definitions to the content of their zones.
    pub(super) fn add_services(
        &mut self,
        services: &[Service],
        contents: &mut PoolContentHashes<'_>,
    ) {
        for service in services {
            self.list[service.zone.index()].serial.add(contents.service_hash(service));
        }
    }
}
