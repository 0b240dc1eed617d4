//! The settings of the server alone, for commands that need no zone.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use super::{
    place::FileId,
    problems::Problems,
    settings::{self, ServerSettings},
    source_options::SourceOptions,
    sources::{FileRole, Footprint, disk},
};
use crate::files::{self, SymlinkPolicy};

/// The settings of the server and the paths of its databases, from `portolan.toml` and flags. A key
/// with an error has its default here.
pub fn server_settings(locations: &SourceOptions) -> (ServerSettings, Vec<PathBuf>) {
    let mut footprint = Footprint::default();
    let path = locations.config_path();
    let exists = locations.config.is_some() || disk::may_exist(&path);
    let file =
        exists.then(|| disk::read_file(&path, FileRole::Settings, &mut footprint.links).file);
    let paths = settings::input_paths(locations, file.as_ref());
    let server = settings::read(
        locations,
        file.as_ref().map(|file| (FileId(0), file)),
        &mut Problems::default(),
    )
    .server;
    (
        server,
        disk::find_databases(&paths, &mut footprint)
            .files
            .into_iter()
            .map(|(path, _)| path)
            .collect(),
    )
}

/// The admin address of the configuration, or the default address; `None` where the configuration
/// turns it off.
///
/// # Errors
/// The address is not known: the file cannot be read, or has errors that may concern it.
pub fn admin_address(locations: &SourceOptions) -> Result<Option<SocketAddr>, String> {
    let mut problems = Problems::default();
    let path = locations.config_path();
    let exists = locations.config.is_some() || disk::may_exist(&path);
    if !exists {
        return Ok(settings::read(locations, None, &mut problems).server.admin);
    }
    files::open(&path, SymlinkPolicy::Follow)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let file = disk::read_file(&path, FileRole::Settings, &mut BTreeSet::new()).file;
    let server = settings::read(locations, Some((FileId(0), &file)), &mut problems).server;
    let is_known = server.is_admin_configured && server.admin.is_some() || !problems.has_errors();
    if is_known { Ok(server.admin) } else { Err(format!("{} has errors", path.display())) }
}
