//! A zone while it is put together, and the types that its static records take.

use hashbrown::HashMap;

use crate::{
    config::{
        content_hash::ContentHash,
        place::{FileId, SourcePlace},
        zone_config::ZoneConfig,
    },
    dns::{Name, Rtype},
};

/// A zone while it is put together.
pub(super) struct PartialZone {
    pub(super) zone: ZoneConfig,
    pub(super) place: SourcePlace,
    pub(super) master: Option<FileId>,
    pub(super) static_rrsets: HashMap<Name, Vec<StaticRrset>>,
    /// For each name that a table delegates: the first static record at or below it, and its owner.
    pub(super) first_below_cuts: HashMap<Name, (Name, StaticRrset)>,
    pub(super) hash: ContentHash,
    /// The files that it is written in.
    pub(super) files: Vec<FileId>,
}

/// A type that static records take at a name.
#[derive(Debug, Clone, Copy)]
pub(in crate::config::compile) struct StaticRrset {
    pub(in crate::config::compile) rtype: Rtype,
    pub(in crate::config::compile) place: SourcePlace,
}
