//! The GeoIP databases that flags or `portolan.toml` name, or that were found in `geoip/`.

use crate::config::{
    definition_origin::DefinitionOrigin,
    place::SourcePlace,
    problems::Problems,
    settings::{DatabaseFault, DatabaseSource, Settings},
    sources::{Sources, ToleratedDatabases},
};

pub(in crate::config) fn resolve_databases(
    sources: &Sources,
    settings: &Settings,
    problems: &mut Problems,
) -> Vec<DatabaseSource> {
    let named = settings.databases.as_deref().unwrap_or_default();
    let from_flags = !sources.locations.geoip.is_empty();
    let mut list = Vec::new();
    if let Some((directory, reason)) = &sources.databases.listing_error {
        let what =
            format!("the database directory {} cannot be listed: {reason}", directory.display());
        let help =
            format!("{}; or name the files with [geoip] databases", reason.remedy_outside_zones());
        if sources.tolerated_databases == ToleratedDatabases::None {
            problems.error(sources.place_of_databases(), what).help(help);
        } else {
            let line = format!("{what} (help: {help})");
            let fault = Some(DatabaseFault { line, is_transient: reason.is_transient() });
            list.push(DatabaseSource { path: directory.clone(), origin: None, place: None, fault });
        }
    }
    for (index, (path, reason)) in sources.databases.files.iter().enumerate() {
        let place = if from_flags { None } else { named.get(index).map(|named| named.place) };
        let origin = place.map(|place| DefinitionOrigin::new(sources, place).to_string());
        let required =
            if place.is_some() { ToleratedDatabases::All } else { ToleratedDatabases::Unnamed };
        let mut fault = None;
        if let Some(reason) = reason {
            let what = format!("there is no database file {}: {reason}", path.display());
            let help = "name an .mmdb file; the path is relative to portolan.toml, that of --geoip to the working directory";
            if sources.tolerated_databases >= required {
                let prefix =
                    origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
                let line = format!("{prefix}{what} (help: {help})");
                fault = Some(DatabaseFault { line, is_transient: reason.is_transient() });
            } else {
                problems
                    .error(place.unwrap_or(SourcePlace::whole_file(sources.zones)), what)
                    .help(help);
            }
        }
        list.push(DatabaseSource { path: path.clone(), origin, place, fault });
    }
    list
}
