//! Reads master files, and makes zones of them and of tables.

use std::{collections::HashSet, path::Path};

use super::{
    super::symbols::report_duplicate,
    authority,
    compiled_zones::CompiledZones,
    delegate,
    master::{MasterRecords, TrackedNames},
    partial_zone::PartialZone,
    service_names::with_ancestors,
    unread_zones::UnreadZones,
};
use crate::{
    config::{
        a_labels,
        definition_origin::DefinitionOrigin,
        place::{FileId, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        soa_serial,
        sources::{FileRole, Sources, is_master},
        spec::{DelegateSpec, ZoneSpec},
        zone_config::{SerialSource, ZoneConfig},
    },
    dns::Name,
    zone::master::Budget,
};

/// Reads the master files and makes the zones. The static records of `tracked` names and of the
/// names above them are kept for later checks.
pub(in crate::config::compile) fn compile(
    sources: &Sources,
    specs: &[ZoneSpec],
    delegates: &[DelegateSpec],
    tracked: &[&Name],
    has_nameless: bool,
    problems: &mut Problems,
) -> CompiledZones {
    let mut unread = UnreadZones { apexes: Vec::new(), has_nameless };
    let cuts = delegates.iter().map(|spec| spec.name.value.clone()).collect();
    let table_apexes = specs.iter().map(|spec| &spec.apex.value).collect();
    let reader = ZoneReader {
        sources,
        tracked: TrackedNames { names: with_ancestors(tracked), cuts },
        table_apexes,
    };
    let mut used = HashSet::new();
    let mut budget = Budget::for_load();
    let mut partial_zones = Vec::with_capacity(specs.len());
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
                &reader.tracked,
                &mut budget,
                problems,
            ))
        });
        used.extend(master.iter().flat_map(|master| master.included.iter().copied()));
        match reader.table_zone(spec, master, problems) {
            Some(partial) => partial_zones.push(partial),
            None => unread.apexes.push(spec.apex.value.clone()),
        }
    }
    let standalone =
        reader.standalone_zones(&used, &mut partial_zones, &mut unread, &mut budget, problems);
    partial_zones.sort_by_cached_key(|partial| (partial.zone.apex.to_string(), partial.place));
    report_duplicate_zones(sources, &partial_zones, problems);
    delegate::add(delegates, &mut partial_zones, &unread, problems);
    used.extend(standalone);
    let mut master_files: Vec<FileId> = used.into_iter().collect();
    master_files.sort_unstable();
    CompiledZones { master_files, ..CompiledZones::new(partial_zones, unread) }
}

/// Reports zones that are defined twice. `partial_zones` are in order of apex.
fn report_duplicate_zones(
    sources: &Sources,
    partial_zones: &[PartialZone],
    problems: &mut Problems,
) {
    for pair in partial_zones.windows(2) {
        if pair[0].zone.apex == pair[1].zone.apex {
            let diagnostic = report_duplicate(
                "zone",
                &pair[0].zone.apex.to_string(),
                pair[1].place,
                pair[0].place,
                problems,
            );
            let standalone = pair
                .iter()
                .find(|partial| sources.file(partial.place.file()).role == FileRole::Master);
            if let Some(standalone) = standalone
                && let Some(file) = sources.file(standalone.place.file()).path.file_name()
            {
                diagnostic.help(format!(
                    "remove one of the two, or name the file in the table, records = \"{}\", and leave SOA and NS to one of them",
                    file.to_string_lossy()
                ));
            }
        }
    }
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
            .help("the path is relative to this file and must stay inside the zones directory");
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

/// The inputs that all zones share.
struct ZoneReader<'s> {
    sources: &'s Sources,
    tracked: TrackedNames,
    /// The apexes of tables. What a master file of the same zone lacks is not reported, since a
    /// duplicate zone is.
    table_apexes: HashSet<&'s Name>,
}

impl ZoneReader<'_> {
    /// Makes the zone of a table. `None` where its master file cannot be read.
    fn table_zone(
        &self,
        spec: &ZoneSpec,
        master: Option<MasterRecords>,
        problems: &mut Problems,
    ) -> Option<PartialZone> {
        let has_file = spec.records.is_some();
        let mut entries = match master {
            Some(master) => master,
            // The named file could not be read, so that nothing is known of the zone's authority.
            None if has_file => return None,
            None => MasterRecords::empty(&spec.apex.value),
        };
        let from_table = authority::apex_records(self.sources, spec, &mut entries, problems);
        let place = spec.apex.place;
        let mut files = vec![place.file()];
        files.extend(entries.files());
        let mut partial =
            self.partial(&spec.apex.value, place, (entries, from_table), files, problems);
        partial.zone.client_subnet = spec.client_subnet;
        partial.zone.whoami = spec.whoami.as_ref().map(|name| name.value.clone());
        Some(partial)
    }

    /// Makes zones of the master files that nothing names or includes. Returns the files that were
    /// read.
    fn standalone_zones(
        &self,
        used: &HashSet<FileId>,
        partial_zones: &mut Vec<PartialZone>,
        unread: &mut UnreadZones,
        budget: &mut Budget,
        problems: &mut Problems,
    ) -> Vec<FileId> {
        let is_zone_file = |id: &FileId| is_master(&self.sources.file(*id).path);
        let candidates = self
            .sources
            .ids_with_role(FileRole::Master)
            .filter(|id| is_zone_file(id) && !used.contains(id));
        let mut read = Vec::new();
        let mut kept = 0;
        for id in candidates {
            let mut found = Problems::with_room_beside(kept);
            let partial = self.standalone_zone(id, budget, &mut found);
            kept += found.kept_count();
            read.push((id, partial, found));
        }
        // Which files are included is known only after all were read. Of two that include each
        // other, both report the cycle.
        let includes: HashSet<(FileId, FileId)> = read
            .iter()
            .flat_map(|(id, partial, _)| {
                partial.iter().flat_map(|(_, included)| included.iter().map(|i| (*id, *i)))
            })
            .collect();
        let is_one_way =
            |&&(by, what): &&(FileId, FileId)| by != what && !includes.contains(&(what, by));
        let included: HashSet<FileId> =
            includes.iter().filter(is_one_way).map(|&(_, what)| what).collect();
        let files =
            read.iter().map(|(id, ..)| *id).chain(includes.iter().map(|&(_, what)| what)).collect();
        for (id, partial, found) in read {
            if included.contains(&id) {
                continue;
            }
            problems.merge(found);
            match partial {
                Some((partial, _)) => partial_zones.push(partial),
                None => match self.apex_of_file(id) {
                    Some(apex) => unread.apexes.push(apex),
                    None => unread.has_nameless = true,
                },
            }
        }
        files
    }

    /// The zone that a file is named after, with letters outside of ASCII as A-labels.
    fn apex_of_file(&self, id: FileId) -> Option<Name> {
        match self.sources.file(id).path.file_stem()?.to_str()? {
            "root" => Some(Name::root()),
            stem => a_labels::to_a_labels(stem)?.parse().ok(),
        }
    }

    /// Makes the zone of a file that is named after it. Also returns the files that it includes.
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
                .error(SourcePlace::whole_file(id), "the file's name is not a zone name")
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
        let partial = self.partial(&apex, place, (master, None), files, problems);
        Some((partial, included))
    }

    /// Makes a zone of its master file and of the records that its table adds.
    fn partial(
        &self,
        apex: &Name,
        place: SourcePlace,
        (mut master, from_table): (MasterRecords, Option<authority::ApexRecords>),
        files: Vec<FileId>,
        problems: &mut Problems,
    ) -> PartialZone {
        let serial = match &from_table {
            None => master.apex_soa().and_then(soa_serial::serial_of).map(SerialSource::OwnSoa),
            Some(_) => None,
        };
        let (soa, ns) = from_table.map_or((None, Vec::new()), |records| (records.soa, records.ns));
        let static_rrsets = master.check(self.sources, &ns, problems);
        let first_below_cuts = master.take_first_below_cuts(self.sources);
        let (mut hash, file) = (master.hash, master.file());
        soa.iter().chain(&ns).for_each(|record| hash.add_record(record));
        // An SOA that could not be read has been reported, so that any serial will do.
        let serial = serial.unwrap_or(SerialSource::FromContent { hash: 0, last_modified: None });
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
        PartialZone { zone, place, master: file, static_rrsets, first_below_cuts, hash, files }
    }
}
