//! What a configuration keeps for its amendments: the texts that it was made of, and what stays the
//! same in all amendments.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    place::FileId,
    sources::{FileRole, SourceFile, Sources},
    spec::{DatacenterSpec, monitor::credentials::Credential},
    zone_files::ZoneFiles,
};
use crate::steer::{MemberKind, PoolId, ServiceId, Topology};

/// What an amendment needs of the earlier configuration besides its values.
#[derive(Debug, Default)]
pub(super) struct AmendmentBase {
    /// `None` in a default configuration, which cannot be amended.
    pub(super) invariants: Option<Arc<AmendmentInvariants>>,
    /// The files as they were read, by [`FileId`].
    versions: Vec<SourceVersion>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) are_warnings_omitted: bool,
    /// The number of keys and values in all tables.
    pub(super) value_count: usize,
    /// The time of the load, in seconds since 1970.
    loaded_at_secs: i64,
}

/// A file as it was read; without octets where no load reads them.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceVersion {
    /// The octets, shared with the last good set.
    pub(super) octets: Option<Arc<Vec<u8>>>,
    /// The octet at which each table of a large file starts.
    pub(super) table_starts: Option<Arc<[u32]>>,
}

/// What is the same in a configuration and in all its amendments.
#[derive(Debug)]
pub(super) struct AmendmentInvariants {
    /// A hash of the paths and roles of all files.
    pub(super) file_set_hash: u128,
    /// The paths that tables and master files name.
    pub(super) named_paths: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Datacenters as written. Amendments change no key of them that references to datacenters
    /// depend on.
    pub(super) datacenters: Vec<DatacenterSpec>,
    /// The certificates and keys that monitors need for TLS, each with the monitor's name.
    pub(super) credentials: Vec<(Box<str>, Credential)>,
    /// The problems of these certificates and keys.
    pub(super) credential_faults: Vec<Diagnostic>,
    /// For each file of tables, in order: the positions of its pools.
    pub(super) pools_by_file: Vec<(FileId, Range<usize>)>,
    pub(super) zone_files: ZoneFiles,
    /// The users of each pool, collected when they are first needed.
    pub(super) pool_references: OnceLock<PoolReferences>,
}

impl AmendmentBase {
    /// The base of a configuration that was read in full. `table_starts` holds the starts of tables
    /// of each file that was cut into tables.
    pub(super) fn new(
        sources: &Sources,
        master_files: &[FileId],
        invariants: AmendmentInvariants,
        table_starts: Vec<(FileId, Box<[u32]>)>,
        value_count: usize,
    ) -> Self {
        let version = |(id, file): (FileId, &SourceFile)| {
            let is_compiled = is_compiled(id, file, master_files);
            SourceVersion {
                octets: file.content.as_ref().ok().filter(|_| is_compiled).cloned(),
                table_starts: None,
            }
        };
        let mut versions: Vec<SourceVersion> = sources.entries().map(version).collect();
        for (file, starts) in table_starts {
            versions[file.index()].table_starts = Some(starts.into());
        }
        Self {
            invariants: Some(Arc::new(invariants)),
            versions,
            value_count,
            loaded_at_secs: now(),
            ..Self::default()
        }
    }

    /// This base with the warnings of the load.
    pub(super) fn with_warnings(self, found: &Diagnostics) -> Self {
        let warnings: Vec<Diagnostic> = found.iter().cloned().collect();
        Self { are_warnings_omitted: warnings.len() != found.count(), warnings, ..self }
    }

    /// The base of an amended configuration. `changed` are the files that differ, as they are now.
    pub(super) fn amended(
        &self,
        changed: impl IntoIterator<Item = (FileId, SourceVersion)>,
        value_count: usize,
        found: &Diagnostics,
    ) -> Self {
        let mut versions = self.versions.clone();
        for (file, version) in changed {
            versions[file.index()] = version;
        }
        Self {
            invariants: self.invariants.clone(),
            versions,
            value_count,
            loaded_at_secs: now(),
            ..Self::default()
        }
        .with_warnings(found)
    }

    pub(super) fn version(&self, file: FileId) -> Option<&SourceVersion> {
        self.versions.get(file.index())
    }

    /// Whether a file has the same octets as before.
    pub(super) fn is_unchanged(&self, id: FileId, file: &SourceFile) -> bool {
        let (Some(SourceVersion { octets: Some(old), .. }), Ok(new)) =
            (self.version(id), &file.content)
        else {
            return false;
        };
        Arc::ptr_eq(old, new) || old == new
    }

    /// Whether the state of a datacenter has ended since the load: a full load warns of that.
    pub(super) fn has_state_ended(&self, topology: &Topology) -> bool {
        let since = self.loaded_at_secs - 1..=now() + 1;
        topology
            .datacenters
            .iter()
            .filter_map(|datacenter| datacenter.until)
            .any(|until| since.contains(&until))
    }
}

/// Whether a configuration is made of a file. `master_files` are those of its zones, in order.
pub(super) fn is_compiled(id: FileId, file: &SourceFile, master_files: &[FileId]) -> bool {
    match file.role {
        FileRole::Settings | FileRole::Tables => true,
        FileRole::Master => master_files.binary_search(&id).is_ok(),
        FileRole::Directory | FileRole::Absent => false,
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl AmendmentInvariants {
    /// The pool of a table `[pool.NAME]` in a file.
    pub(super) fn pool_id(&self, topology: &Topology, file: FileId, name: &str) -> Option<PoolId> {
        let index = self.pools_by_file.binary_search_by_key(&file, |(file, _)| *file).ok()?;
        let positions = self.pools_by_file[index].1.clone();
        // Tables of a file are in order of name.
        let found = topology
            .pools
            .get(positions.clone())?
            .binary_search_by(|pool| (*pool.name).cmp(name))
            .ok()?;
        Some(PoolId((positions.start + found) as u32))
    }

    pub(super) fn pool_references(&self, topology: &Topology) -> &PoolReferences {
        self.pool_references.get_or_init(|| PoolReferences::collect(topology))
    }
}

/// The pools and services that use each pool.
#[derive(Debug)]
pub(super) struct PoolReferences {
    /// Pairs of a pool and a pool of which it is a member, in order.
    pools: Vec<(PoolId, PoolId)>,
    /// Pairs of a pool and a service that names it, in order.
    services: Vec<(PoolId, ServiceId)>,
}

impl PoolReferences {
    fn collect(topology: &Topology) -> Self {
        let mut pools = Vec::new();
        for (pool, id) in topology.pools.iter().zip((0..).map(PoolId)) {
            for member in &pool.members {
                if let MemberKind::Pool(inner) = member.kind {
                    pools.push((inner, id));
                }
            }
        }
        let mut services = Vec::with_capacity(topology.services.len());
        for (service, id) in topology.services.iter().zip((0..).map(ServiceId)) {
            services.extend(service.roots().map(|root| (root, id)));
        }
        pools.sort_unstable();
        services.sort_unstable();
        Self { pools, services }
    }

    /// A pool and all pools that contain it, at any depth.
    pub(super) fn ancestors(&self, pool: PoolId) -> BTreeSet<PoolId> {
        let (mut found, mut pending) = (BTreeSet::new(), vec![pool]);
        while let Some(pool) = pending.pop() {
            if found.insert(pool) {
                pending.extend(references_to(&self.pools, pool));
            }
        }
        found
    }

    /// The services that name a pool.
    pub(super) fn services_naming(&self, pool: PoolId) -> impl Iterator<Item = ServiceId> {
        references_to(&self.services, pool)
    }
}

/// The users of a pool, in a sorted list of pairs.
fn references_to<T: Copy>(list: &[(PoolId, T)], pool: PoolId) -> impl Iterator<Item = T> {
    let start = list.partition_point(|(used, _)| *used < pool);
    list[start..].iter().take_while(move |(used, _)| *used == pool).map(|(_, user)| *user)
}
