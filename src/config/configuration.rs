//! A whole configuration as domain values.

use std::sync::Arc;

use super::{
    amendment_base::AmendmentBase,
    definition_origin::DefinitionOrigin,
    load_mode::LoadMode,
    place::FileId,
    settings::{DatabaseSource, ServerSettings},
    zone_config::ZoneConfig,
};
use crate::steer::Topology;

/// A whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server runs.
    pub server: ServerSettings,
    /// The GeoIP databases, in the order in which they are merged.
    pub geoip: Vec<DatabaseSource>,
    /// Everything that steers.
    pub topology: Arc<Topology>,
    /// In order of name; [`crate::steer::ZoneId`] is a position here.
    pub zones: Vec<ZoneConfig>,
    /// Where each datacenter's table is, by [`crate::steer::DatacenterId`].
    pub datacenter_origins: Vec<DefinitionOrigin>,
    /// The master files that zones are made of, the included ones among them.
    pub master_files: Vec<FileId>,
    /// How much was read to make it.
    pub load_mode: LoadMode,
    pub(super) amendment_base: Arc<AmendmentBase>,
}
