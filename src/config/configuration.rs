//! A whole configuration as domain values.

use std::sync::Arc;

use super::{
    amendment_base::AmendmentBase,
    definition_origin::DefinitionOrigin,
    load_mode::LoadMode,
    place::FileId,
    requirements::WrittenRequirements,
    safety::WrittenSafety,
    settings::{DatabaseSource, ServerSettings},
    zone_config::ZoneConfig,
};
use crate::steer::Topology;

/// A configuration that passed all checks.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of the server.
    pub server: ServerSettings,
    /// The GeoIP databases, in the order in which they are merged.
    pub geoip: Vec<DatabaseSource>,
    /// Datacenters, monitors, load sources, endpoints, pools and services.
    pub topology: Arc<Topology>,
    /// The expectations and assertions about answers.
    pub requirements: Arc<WrittenRequirements>,
    /// The rules that every change must keep.
    pub safety: Arc<WrittenSafety>,
    /// The zones in order of name; a [`crate::steer::ZoneId`] is a position in this list.
    pub zones: Vec<ZoneConfig>,
    /// The place of each datacenter's table, by [`crate::steer::DatacenterId`].
    pub datacenter_origins: Vec<DefinitionOrigin>,
    /// The master files that zones are made of, including the files that these include.
    pub master_files: Vec<FileId>,
    /// Whether all tables were read for it, or only those that differ.
    pub load_mode: LoadMode,
    pub(super) amendment_base: Arc<AmendmentBase>,
}
