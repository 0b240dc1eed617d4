//! The settings of the server alone, for commands that need no zone.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

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

/// The address at which commands reach the admin API of the configuration, or the default address;
/// `None` where the configuration turns it off. A loopback address is preferred: nothing between
/// the command and the server reads or changes what they exchange.
///
/// # Errors
/// The address is not known: the file cannot be read, or has errors that may concern it.
pub fn admin_address(locations: &SourceOptions) -> Result<Option<SocketAddr>, String> {
    let mut problems = Problems::default();
    let path = locations.config_path();
    let exists = locations.config.is_some() || disk::may_exist(&path);
    if !exists {
        let admin = settings::read(locations, None, &mut problems).server.admin;
        return Ok(nearest_address(&admin.listen));
    }
    files::open(&path, SymlinkPolicy::Follow)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let file = disk::read_file(&path, FileRole::Settings, &mut BTreeSet::new()).file;
    let admin = settings::read(locations, Some((FileId(0), &file)), &mut problems).server.admin;
    let is_known = admin.is_configured && !admin.listen.is_empty() || !problems.has_errors();
    if is_known {
        Ok(nearest_address(&admin.listen))
    } else {
        Err(format!("{} has errors", path.display()))
    }
}

/// The first address of a list that is a loopback one, else the first. An address that stands for
/// all of the host's is reached by loopback.
fn nearest_address(listen: &[SocketAddr]) -> Option<SocketAddr> {
    let by_loopback = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
        }
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port())
        }
        _ => *address,
    };
    let mut reached = listen.iter().map(by_loopback);
    reached.clone().find(|address| address.ip().is_loopback()).or_else(|| reached.next())
}
