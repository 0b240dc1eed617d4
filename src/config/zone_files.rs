//! The files that each zone is made of: the time of the newest says when the zone was last changed.
//!
//! Most zones are made of the same few files, so that each set of files is kept once.

use std::{sync::Arc, time::SystemTime};

use hashbrown::HashMap;

use super::{
    place::FileId,
    sources::Sources,
    spec::{PoolSpec, ServiceSpec},
};
use crate::steer::{MemberKind, Pool, PoolId, Service};

/// The position of a set in [`FileSets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FileSetId(u32);

/// Distinct sets of files.
#[derive(Debug, Default)]
struct FileSets {
    list: Vec<Arc<[FileId]>>,
    ids: HashMap<Arc<[FileId]>, FileSetId>,
}

impl FileSets {
    fn intern(&mut self, files: &[FileId]) -> FileSetId {
        if let Some(known) = self.ids.get(files) {
            return *known;
        }
        let (id, set) = (FileSetId(self.list.len() as u32), Arc::from(files));
        self.list.push(Arc::clone(&set));
        self.ids.insert(set, id);
        id
    }

    fn union(&mut self, mut sets: Vec<FileSetId>) -> FileSetId {
        sets.sort_unstable();
        sets.dedup();
        if let [only] = sets[..] {
            return only;
        }
        let mut files: Vec<FileId> =
            sets.iter().flat_map(|set| self.list[set.0 as usize].iter().copied()).collect();
        files.sort_unstable();
        files.dedup();
        self.intern(&files)
    }
}

/// The files of each zone, by zone.
#[derive(Debug, Default)]
pub(super) struct ZoneFiles(Vec<Arc<[FileId]>>);

impl ZoneFiles {
    /// `zone_files` are the files that each zone itself is written in. The files of its services
    /// and of all pools below these are added.
    pub(super) fn new(
        zone_files: &[Vec<FileId>],
        pool_specs: &[&PoolSpec],
        pools: &[Arc<Pool>],
        service_specs: &[ServiceSpec],
        services: &[Service],
    ) -> Self {
        let mut sets = FileSets::default();
        let mut pool_files =
            PoolFiles { specs: pool_specs, pools, cached: vec![None; pools.len()] };
        let mut zone_files: Vec<Vec<FileSetId>> = zone_files
            .iter()
            .map(|files| files.iter().map(|file| sets.intern(&[*file])).collect())
            .collect();
        for (spec, service) in service_specs.iter().zip(services) {
            let service_file = sets.intern(&[spec.name.place.file()]);
            let all = &mut zone_files[service.zone.index()];
            for set in [service_file, pool_files.file_set(service.pool, &mut sets)] {
                // Neighbouring services mostly have the same files.
                if all.last() != Some(&set) {
                    all.push(set);
                }
            }
            if all.len() > sets.list.len() * 2 {
                all.sort_unstable();
                all.dedup();
            }
        }
        let zone_files: Vec<FileSetId> =
            zone_files.into_iter().map(|all| sets.union(all)).collect();
        Self(zone_files.into_iter().map(|set| Arc::clone(&sets.list[set.0 as usize])).collect())
    }

    /// The time at which the newest file of each zone was last changed, by zone.
    pub(super) fn last_modified<'z>(
        &'z self,
        sources: &'z Sources,
    ) -> impl Iterator<Item = Option<SystemTime>> + 'z {
        self.0
            .iter()
            .map(|files| files.iter().filter_map(|file| sources.file(*file).modified).max())
    }
}

/// The files of each pool and of all pools below it, collected when they are first needed.
struct PoolFiles<'p> {
    specs: &'p [&'p PoolSpec],
    pools: &'p [Arc<Pool>],
    cached: Vec<Option<FileSetId>>,
}

impl PoolFiles<'_> {
    fn file_set(&mut self, id: PoolId, sets: &mut FileSets) -> FileSetId {
        if let Some(known) = self.cached[id.index()] {
            return known;
        }
        let mut all = vec![sets.intern(&[self.specs[id.index()].name.place.file()])];
        let pools = self.pools;
        for member in &pools[id.index()].members {
            if let MemberKind::Pool(child) = member.kind {
                all.push(self.file_set(child, sets));
            }
        }
        let set = sets.union(all);
        self.cached[id.index()] = Some(set);
        set
    }
}
