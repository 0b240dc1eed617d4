//! A configuration of the past, read back from the history: what a replay needs of it.

use std::{collections::HashMap, sync::Arc};

use super::zones;
use crate::{
    config::{Config, Sources, ToleratedDatabases},
    control::saved_serials::{Completeness, EarlierSerials, SavedSerial},
    dns::Name,
    steer::Topology,
    zone::Zones,
};

/// The topology and the zones of a configuration of the past.
#[derive(Debug)]
pub(in crate::control) struct PastConfig {
    pub topology: Arc<Topology>,
    pub zones: Arc<Zones>,
}

impl PastConfig {
    /// Makes the configuration that a load of these files made when its zones had these serials.
    ///
    /// # Errors
    /// The first error of the files. They had none for the version of the program that stored them.
    pub(in crate::control) fn load(
        mut sources: Sources,
        serials: HashMap<Name, SavedSerial>,
    ) -> Result<Self, String> {
        sources.tolerate_databases(ToleratedDatabases::All);
        let (mut config, _) =
            Config::load(&sources).map_err(|errors| errors.lines().next().unwrap_or_default())?;
        let earlier = EarlierSerials { serials, completeness: Completeness::Complete };
        let topology = Arc::clone(&config.topology);
        let built =
            zones::build(&mut config.zones, &topology, Some(&earlier)).map_err(|errors| {
                errors.into_iter().next().map(|error| error.reason).unwrap_or_default()
            })?;
        Ok(Self { topology, zones: built.zones })
    }
}
