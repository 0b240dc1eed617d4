//! The zones of a configuration, and what static records hold at their names.

use hashbrown::HashMap;

use super::{
    partial_zone::{PartialZone, StaticRrset},
    unread_zones::UnreadZones,
};
use crate::{
    config::{
        content_hash::PoolContentHashes,
        place::{FileId, SourcePlace},
        zone_config::{SerialSource, ZoneConfig},
    },
    dns::{Name, Rtype},
    steer::{Service, ZoneId},
};

/// The zones, in order of name, and what static records hold at their names.
pub(in crate::config::compile) struct CompiledZones {
    pub(in crate::config::compile) list: Vec<ZoneConfig>,
    pub(super) by_apex: HashMap<Name, ZoneId>,
    pub(super) unread: UnreadZones,
    /// For each zone: the place of its definition, and its master file.
    pub(super) origins: Vec<SourcePlace>,
    pub(super) masters: Vec<Option<FileId>>,
    /// For each zone: the files that define it.
    pub(in crate::config::compile) files: Vec<Vec<FileId>>,
    /// For each zone: the static records at the names that later checks need.
    pub(super) static_rrsets: Vec<HashMap<Name, Vec<StaticRrset>>>,
    /// The master files that zones are made of, including the files that these include.
    pub(in crate::config::compile) master_files: Vec<FileId>,
}

impl CompiledZones {
    pub(super) fn new(partial_zones: Vec<PartialZone>, unread: UnreadZones) -> Self {
        let (origins, masters) =
            partial_zones.iter().map(|partial| (partial.place, partial.master)).unzip();
        let mut zones = Self {
            list: Vec::with_capacity(partial_zones.len()),
            by_apex: HashMap::new(),
            unread,
            origins,
            masters,
            files: Vec::with_capacity(partial_zones.len()),
            static_rrsets: Vec::new(),
            master_files: Vec::new(),
        };
        for PartialZone { mut zone, static_rrsets, hash, files, .. } in partial_zones {
            if let SerialSource::FromContent { .. } = zone.serial {
                zone.serial = SerialSource::FromContent { hash: hash.0, last_modified: None };
            }
            zones.files.push(files);
            zones.by_apex.insert(zone.apex.clone(), ZoneId(zones.list.len() as u32));
            zones.list.push(zone);
            zones.static_rrsets.push(static_rrsets);
        }
        zones
    }

    /// The zone with the longest name that `name` is at or below.
    pub(in crate::config::compile) fn innermost(&self, name: &Name) -> Option<ZoneId> {
        let mut next = Some(name.clone());
        while let Some(name) = next {
            if let Some(&zone) = self.by_apex.get(&name) {
                return Some(zone);
            }
            next = name.parent();
        }
        None
    }

    /// Whether a name may be in a zone that is defined and could not be read.
    pub(in crate::config::compile) fn may_be_unread(&self, name: &Name) -> bool {
        self.unread.may_hold(name)
    }

    pub(in crate::config::compile) fn is_apex(&self, zone: ZoneId, name: &Name) -> bool {
        self.list[zone.index()].apex == *name
    }

    /// The static RRsets at a name.
    pub(in crate::config::compile) fn static_rrsets(
        &self,
        zone: ZoneId,
        name: &Name,
    ) -> impl Iterator<Item = StaticRrset> {
        self.static_rrsets[zone.index()].get(name).into_iter().flatten().copied()
    }

    /// The topmost delegation or DNAME above a name in its zone, and its owner.
    pub(in crate::config::compile) fn cut_above(
        &self,
        zone: ZoneId,
        name: &Name,
    ) -> Option<(Name, StaticRrset)> {
        let mut found = None;
        let mut below = name.clone();
        while !self.is_apex(zone, &below) {
            let above = below.parent()?;
            let is_apex = self.is_apex(zone, &above);
            let cut = self.static_rrsets(zone, &above).find(|rrset| {
                rrset.rtype == Rtype::DNAME || (rrset.rtype == Rtype::NS && !is_apex)
            });
            if let Some(rrset) = cut {
                found = Some((above.clone(), rrset));
            }
            below = above;
        }
        found
    }

    /// Adds the services' definitions to the content hashes of their zones.
    pub(in crate::config::compile) fn add_services(
        &mut self,
        services: &[Service],
        contents: &mut PoolContentHashes<'_>,
    ) {
        for service in services {
            self.list[service.zone.index()].serial.add(contents.service_hash(service));
        }
    }
}
