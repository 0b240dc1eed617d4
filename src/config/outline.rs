//! The outline of a configuration: what commands need that care for no zone.

use std::path::PathBuf;

use super::{
    place::FileId,
    problems::Problems,
    settings::{self, Locations, ServerSettings},
    sources::disk,
};

/// How the server runs and which databases it has, by `portolan.toml` and flags. What is wrong in them has its default here.
pub fn outline(locations: &Locations) -> (ServerSettings, Vec<PathBuf>) {
    let path = locations.config_path();
    let is_there = locations.config.is_some() || disk::may_exist(&path);
    let file = is_there.then(|| disk::read_file(&path, super::sources::Role::Settings));
    let paths = settings::paths(locations, file.as_ref());
    let server =
        settings::read(locations, file.as_ref().map(|file| (FileId(0), file)), &mut Problems::default()).server;
    (server, disk::databases(&paths).files.into_iter().map(|(path, _)| path).collect())
}
