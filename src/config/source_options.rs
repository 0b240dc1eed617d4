//! The paths and addresses that the command line gives.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::quoted::escaped;

/// The name of the configuration file that is read where none is named.
pub(super) const DEFAULT_CONFIG: &str = "portolan.toml";

/// What the command line says about files and addresses. Everything that it omits comes from
/// `portolan.toml` or is a default.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// The directory of `portolan.toml`, `zones` and `geoip`; `None` for the working directory.
    pub directory: Option<PathBuf>,
    /// The path of `--config`; without it, `portolan.toml` of the directory is read if it exists.
    pub config: Option<PathBuf>,
    /// The path of `--zones`, relative to the working directory.
    pub zones: Option<PathBuf>,
    /// The paths of `--geoip`, relative to the working directory; empty for the databases of
    /// `portolan.toml`.
    pub geoip: Vec<PathBuf>,
    /// The addresses of `--listen`; empty for those of `portolan.toml`.
    pub listen: Vec<SocketAddr>,
}

impl SourceOptions {
    /// Options for checking a directory: one that holds `portolan.toml` or `zones/`, or else a
    /// zones directory.
    ///
    /// # Errors
    /// The path is not a directory, or cannot be examined; the text says which.
    pub fn of_directory(directory: &Path) -> Result<Self, String> {
        let shown = escaped(&directory.to_string_lossy());
        match std::fs::metadata(directory) {
            Err(error) => return Err(format!("{shown} cannot be checked: {error}")),
            Ok(found) if !found.is_dir() => {
                return Err(format!(
                    "{shown} is not a directory; name the one that holds portolan.toml or the zone files"
                ));
            }
            Ok(_) => {}
        }
        let is_whole = directory.join(DEFAULT_CONFIG).exists() || directory.join("zones").is_dir();
        Ok(match is_whole {
            true => Self { directory: Some(directory.to_path_buf()), ..Self::default() },
            false => Self { zones: Some(directory.to_path_buf()), ..Self::default() },
        })
    }

    /// The path of `portolan.toml`, whether the file exists or not.
    pub fn config_path(&self) -> PathBuf {
        let in_directory =
            || self.directory.as_deref().unwrap_or(Path::new("")).join(DEFAULT_CONFIG);
        self.config.clone().unwrap_or_else(in_directory)
    }

    /// The directory that paths in `portolan.toml` are relative to; empty for the working
    /// directory.
    pub(super) fn base(&self) -> PathBuf {
        self.config_path().parent().map(Path::to_path_buf).unwrap_or_default()
    }
}
