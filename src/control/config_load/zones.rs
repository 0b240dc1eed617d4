//! The zones of a load: their records with the serials that follow from their content.

use std::{collections::HashMap, sync::Arc};

use crate::{
    config::{SerialSource, ZoneConfig},
    control::{
        clock::unix_now,
        file_selection::{ForcedHold, HoldCause},
        saved_serials::{EarlierSerials, SavedSerial},
        serials::{self, SerialHistory},
    },
    dns::Name,
    steer::{ServiceId, Topology, ZoneId},
    zone::Zones,
};

/// What the status document shows of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) struct BuiltZoneSummary {
    pub serial: u32,
    pub records: usize,
    pub services: usize,
}

/// Zones that are ready to be answered from.
pub(super) struct BuiltZones {
    pub(super) zones: Arc<Zones>,
    /// The summary of each zone, by [`ZoneId`].
    pub(super) summaries: Arc<[BuiltZoneSummary]>,
    /// The serials for the next load, of removed zones too.
    pub(super) serials: HashMap<Name, SavedSerial>,
}

/// The zones in force, with the serials of `configs` in their SOA records. Records and names of
/// services must be the same.
pub(super) fn with_serials(
    zones: &Arc<Zones>,
    summaries: &[BuiltZoneSummary],
    configs: &[ZoneConfig],
    earlier: Option<&EarlierSerials>,
) -> BuiltZones {
    let mut serials = serials::retained(earlier.map(|earlier| &earlier.serials), configs.len());
    let mut summaries = summaries.to_vec();
    let mut changed = Vec::new();
    for ((config, summary), id) in configs.iter().zip(&mut summaries).zip((0..).map(ZoneId)) {
        let serial = next_serial(config, earlier, &mut serials);
        if serial != summary.serial {
            changed.push((id, serial));
            summary.serial = serial;
        }
    }
    let zones = match changed[..] {
        [] => Arc::clone(zones),
        _ => Arc::new(zones.with_serials(&changed)),
    };
    BuiltZones { zones, summaries: summaries.into(), serials }
}

/// The serial of a zone. `kept` gets it, for the next load.
fn next_serial(
    config: &ZoneConfig,
    earlier: Option<&EarlierSerials>,
    kept: &mut HashMap<Name, SavedSerial>,
) -> u32 {
    let history = SerialHistory::of(&config.apex, earlier);
    let serial = serials::next_serial(config.serial, history, unix_now() as u32);
    if let SerialSource::FromContent { hash, .. } = config.serial {
        let saved = SavedSerial { content: hash, serial };
        match kept.get_mut(&config.apex) {
            Some(known) => *known = saved,
            None => drop(kept.insert(config.apex.clone(), saved)),
        }
    }
    serial
}

/// Builds zones and gives each its serial.
///
/// # Errors
/// For each zone that cannot be built: the file that defines it, and why.
pub(super) fn build(
    configs: &mut [ZoneConfig],
    topology: &Topology,
    earlier: Option<&EarlierSerials>,
) -> Result<BuiltZones, Vec<ForcedHold>> {
    let mut errors = Vec::new();
    let mut built = Vec::with_capacity(configs.len());
    let mut summaries = Vec::with_capacity(configs.len());
    let mut kept = serials::retained(earlier.map(|earlier| &earlier.serials), configs.len());
    for config in configs {
        let serial = next_serial(config, earlier, &mut kept);
        summaries.push(BuiltZoneSummary { serial, records: config.record_count(), services: 0 });
        match config.take_zone(serial) {
            Ok(zone) => built.push(Arc::new(zone)),
            Err(reasons) => errors.extend(
                reasons.into_iter().map(|reason| format!("{}: {reason}", config.origin)).map(
                    |reason| ForcedHold {
                        path: config.origin.path.clone(),
                        reason,
                        cause: HoldCause::OwnError,
                    },
                ),
            ),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let services: Vec<(Name, ZoneId, ServiceId)> = topology
        .services
        .iter()
        .zip(0..)
        .map(|(service, id)| (service.name.clone(), service.zone, ServiceId(id)))
        .collect();
    for (_, zone, _) in &services {
        summaries[zone.index()].services += 1;
    }
    let zones = Arc::new(Zones::build(built, &services));
    Ok(BuiltZones { zones, summaries: summaries.into(), serials: kept })
}
