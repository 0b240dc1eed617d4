//! The last good set in the state directory: one file, replaced as a whole.
//!
//! The file has a line `portolan-last-good 1 LENGTH`, a JSON document of LENGTH octets that
//! describes the files, their contents one after the other, and a checksum of all of that. A file
//! that is cut off or damaged, or that is about other locations, is not used.

use std::{
    collections::BTreeSet,
    fmt,
    hash::Hasher as _,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::set::{Inventory, LastGood};
use crate::{
    config::{FileRole, SourceFile, SourceOptions},
    dns::Name,
};

/// The beginning of the file; the number changes with the format.
const MAGIC: &str = "portolan-last-good 1 ";
const CHECKSUM_OCTETS: usize = 16;

/// The locations of the files of a set. A set of other locations is never used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::control) struct LastGoodOrigin {
    config: PathBuf,
    zones: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LastGoodHeader {
    #[serde(rename = "home")]
    origin: LastGoodOrigin,
    zones: Vec<String>,
    services: Vec<String>,
    /// Empty in sets that earlier versions wrote.
    #[serde(default)]
    credentials: BTreeSet<PathBuf>,
    files: Vec<FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileEntry {
    path: PathBuf,
    role: SavedRole,
    /// The time at which the file was last modified, as the time since 1970-01-01T00:00:00Z.
    modified: Option<Duration>,
    octets: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SavedRole {
    Settings,
    Tables,
    Master,
}

/// Why a saved set is not used.
#[derive(Debug)]
pub(in crate::control) enum LastGoodError {
    /// The file is cut off or damaged, or another version of the program wrote it.
    Damaged(&'static str),
    /// The set has files of these other locations.
    OtherPaths(Box<LastGoodOrigin>),
}

impl fmt::Display for LastGoodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => f.write_str(what),
            Self::OtherPaths(home) => {
                write!(f, "it belongs to the files that {} names", home.config.display())
            }
        }
    }
}

impl std::error::Error for LastGoodError {}

impl LastGoodOrigin {
    /// The origin of files at `locations`. Paths are absolute. Links in them are not followed:
    /// another release behind the same link has the same origin.
    pub(in crate::control) fn of(locations: &SourceOptions) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            config: absolute(&locations.config_path()),
            zones: locations.zones.as_deref().map(absolute),
        }
    }
}

/// Writes to `inner`, and hashes what is written.
struct ChecksumWriter<W> {
    inner: W,
    hasher: SipHasher13,
}

impl<W: Write> Write for ChecksumWriter<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(octets)?;
        self.hasher.write(&octets[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a set, without copying the contents of its files.
///
/// # Errors
/// The writer fails, or a path is not UTF-8.
pub(in crate::control) fn write(
    set: &LastGood,
    origin: &LastGoodOrigin,
    to: impl Write,
) -> io::Result<()> {
    let entry = |good: &Arc<SourceFile>| FileEntry {
        path: good.path.clone(),
        role: match good.role {
            FileRole::Settings => SavedRole::Settings,
            FileRole::Tables => SavedRole::Tables,
            FileRole::Master | FileRole::Directory | FileRole::Absent => SavedRole::Master,
        },
        modified: good.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()),
        octets: good.octets().len(),
    };
    let names = |names: &[Name]| names.iter().map(ToString::to_string).collect();
    let document = LastGoodHeader {
        origin: origin.clone(),
        zones: names(&set.inventory.zones),
        services: names(&set.inventory.services),
        credentials: BTreeSet::clone(&set.inventory.credentials),
        files: set.files.values().map(entry).collect(),
    };
    let document = serde_json::to_vec(&document)?;
    let mut to = ChecksumWriter { inner: io::BufWriter::new(to), hasher: SipHasher13::new() };
    writeln!(to, "{MAGIC}{}", document.len())?;
    to.write_all(&document)?;
    for good in set.files.values() {
        to.write_all(good.octets())?;
    }
    let sum = to.hasher.finish128().as_u128().to_be_bytes();
    to.inner.write_all(&sum)?;
    to.inner.flush()
}

/// Reads a set from the octets of its file. The contents are taken from the end of the octets one
/// by one, so that memory never has much more than the set.
///
/// # Errors
/// The set is damaged, or it does not belong to `origin`.
pub(in crate::control) fn read(
    mut octets: Vec<u8>,
    origin: &LastGoodOrigin,
) -> Result<LastGood, LastGoodError> {
    let damaged = LastGoodError::Damaged;
    let start = octets.strip_prefix(MAGIC.as_bytes()).ok_or(damaged("its format is unknown"))?;
    let end = start.iter().position(|octet| *octet == b'\n').ok_or(damaged("it is cut off"))?;
    let length =
        std::str::from_utf8(&start[..end]).ok().and_then(|text| text.parse::<usize>().ok());
    let length = length.ok_or(damaged("its format is unknown"))?;
    let (signed, sum) =
        octets.split_last_chunk::<CHECKSUM_OCTETS>().ok_or(damaged("it is cut off"))?;
    let mut hasher = SipHasher13::new();
    hasher.write(signed);
    if hasher.finish128().as_u128().to_be_bytes() != *sum {
        return Err(damaged("its checksum is wrong: it is cut off or damaged"));
    }
    let start = MAGIC.len() + end + 1;
    let (document, contents) =
        signed[start..].split_at_checked(length).ok_or(damaged("it is cut off"))?;
    let (mut end, contents_octets) = (start + length, contents.len());
    let document: LastGoodHeader =
        serde_json::from_slice(document).map_err(|_| damaged("its description is malformed"))?;
    if document.origin != *origin {
        return Err(LastGoodError::OtherPaths(Box::new(document.origin)));
    }
    let total = document.files.iter().try_fold(0_usize, |sum, entry| sum.checked_add(entry.octets));
    let total = total.filter(|&total| total <= contents_octets).ok_or(damaged("it is cut off"))?;
    let mut set = LastGood { inventory: inventory(&document), ..LastGood::default() };
    end += total;
    octets.truncate(end);
    for entry in document.files.into_iter().rev() {
        end -= entry.octets;
        let content = octets.split_off(end);
        // The memory of large contents is returned to the system one by one.
        if entry.octets >= 1 << 20 {
            octets.shrink_to_fit();
        }
        let file = entry.file(content);
        set.files.insert(entry.path, Arc::new(file));
    }
    Ok(set)
}

fn inventory(document: &LastGoodHeader) -> Inventory {
    let names = |texts: &[String]| {
        let mut names: Vec<Name> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        names.sort();
        names
    };
    Inventory {
        zones: names(&document.zones).into(),
        services: names(&document.services).into(),
        credentials: Arc::new(document.credentials.clone()),
    }
}

impl FileEntry {
    fn file(&self, content: Vec<u8>) -> SourceFile {
        let role = match self.role {
            SavedRole::Settings => FileRole::Settings,
            SavedRole::Tables => FileRole::Tables,
            SavedRole::Master => FileRole::Master,
        };
        let modified = self.modified.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        SourceFile::with_content(&self.path, role, modified, content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn origin(zones: &str) -> LastGoodOrigin {
        LastGoodOrigin::of(&SourceOptions { zones: Some(zones.into()), ..SourceOptions::default() })
    }

    fn saved() -> (LastGood, Vec<u8>) {
        let texts =
            [("portolan.toml", "[server]\n"), ("zones/a.toml", "[pool.a]\n"), ("zones/b.toml", "")];
        let names = |text: &str| [text.parse().unwrap()].into();
        let credentials = Arc::new(["ca.pem".into()].into());
        let inventory =
            Inventory { zones: names("x.test"), services: names("www.x.test"), credentials };
        let sources = Sources::from_texts(&SourceOptions::default(), texts);
        let set = LastGood::of(sources, &[], inventory, &LastGood::default());
        let mut octets = Vec::new();
        write(&set, &origin("zones"), &mut octets).unwrap();
        (set, octets)
    }

    #[test]
    fn a_saved_set_is_read_back_whole() {
        let (set, octets) = saved();
        let read = read(octets, &origin("zones")).unwrap();
        assert_eq!(read.inventory, set.inventory);
        let contents = |set: &LastGood| {
            set.files
                .values()
                .map(|good| (good.path.clone(), good.role, good.octets().to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(contents(&read), contents(&set));
    }

    #[test]
    fn a_set_that_is_cut_or_damaged_at_any_octet_is_not_used() {
        let (_, octets) = saved();
        for length in 0..octets.len() {
            assert!(read(octets[..length].to_vec(), &origin("zones")).is_err(), "{length}");
            let mut damaged = octets.clone();
            damaged[length] ^= 1;
            assert!(read(damaged, &origin("zones")).is_err(), "{length}");
        }
    }

    #[test]
    fn a_set_of_another_directory_is_not_used() {
        let (_, octets) = saved();
        assert!(matches!(read(octets, &origin("others")), Err(LastGoodError::OtherPaths(_))));
    }
}
