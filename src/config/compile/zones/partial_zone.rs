//! A zone under construction, and the types of its static records.

use hashbrown::HashMap;

use crate::{
    config::{
        content_hash::ContentHash,
        place::{FileId, SourcePlace},
        zone_config::ZoneConfig,
    },
    dns::{Name, Rtype},
};

/// A zone under construction.
pub(super) struct PartialZone {
    pub(super) zone: ZoneConfig,
    pub(super) place: SourcePlace,
    pub(super) master: Option<FileId>,
    pub(super) static_rrsets: HashMap<Name, Vec<StaticRrset>>,
    /// For each name that a table delegates: the owner of the first static record at or below it,
    /// and the record's type.
    pub(super) first_below_cuts: HashMap<Name, (Name, StaticRrset)>,
    pub(super) hash: ContentHash,
    /// The files that define the zone.
    pub(super) files: Vec<FileId>,
}

/// An RRset of static records, as far as other checks need it.
#[derive(Debug, Clone, Copy)]
pub(in crate::config::compile) struct StaticRrset {
    pub(in crate::config::compile) rtype: Rtype,
    pub(in crate::config::compile) place: SourcePlace,
}
