//! Where the files of a configuration are, as the command line says it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::quoted::escaped;

/// The name of the configuration file that is read where none is named.
pub(super) const DEFAULT_CONFIG: &str = "portolan.toml";

/// What the command line says about files and addresses. Everything it leaves out comes from
/// `portolan.toml` or is default.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// Where `portolan.toml`, `zones` and `geoip` are looked for; `None` for the working directory.
    pub directory: Option<PathBuf>,
    /// `--config`; without it `portolan.toml` of the directory, if there is one.
    pub config: Option<PathBuf>,
    /// `--zones`, relative to the working directory.
    pub zones: Option<PathBuf>,
    /// `--geoip`; empty for those of the file, relative to the working directory.
    pub geoip: Vec<PathBuf>,
    /// `--listen`; empty for those of the file.
    pub listen: Vec<SocketAddr>,
}

impl SourceOptions {
    /// Finds out what a directory is that is to be checked: one that holds `portolan.toml` or
    /// `zones/`, or else a zones directory.
    ///
    /// # Errors
    /// In words, where it is no directory.
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

    /// Where `portolan.toml` is, whether it exists or not.
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
