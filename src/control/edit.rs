//! Edits of a datacenter's table in its file. Everything else stays: comments, order, line ends,
//! byte-order mark, owner and mode.
//!
//! A link stays a link: the file that it names is edited. If another program saves the file between
//! reading and replacing, the edit is made again in the new content.
//!
//! The file is replaced by rename. It is written in place if a rename is impossible: the file has
//! other hard links, something is mounted on it, or a new file cannot get its owner and extended
//! attributes.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use rustix::{
    buffer::spare_capacity,
    fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr},
    io::Errno,
};
use toml_edit::{DocumentMut, Item, TableLike};

use super::{line_endings::with_line_endings, remedy};
use crate::{
    config::{MAX_PARSE_OCTETS, table_range},
    files,
    steer::ServingState,
};

/// The maximum number of attempts while another program keeps saving the file.
const MAX_ATTEMPTS: usize = 10;

/// The kernel's limit for the names of extended attributes, and for a value, in octets.
const MAX_ATTRIBUTE_OCTETS: usize = 64 << 10;

/// The maximum size of a file of the zones directory, in octets.
const MAX_FILE_OCTETS: u64 = 64 << 20;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// An edit of a datacenter's table.
#[derive(Debug, Clone, Default)]
pub struct DatacenterEdit {
    /// Keys and their new values; a key without a value is removed.
    keys: Vec<(&'static str, Option<toml_edit::Value>)>,
    /// The state that the table must have now: the edit was decided because of it.
    expected: Option<ServingState>,
}

impl DatacenterEdit {
    /// Sets the state. (A table without a state is active.)
    pub fn state(state: ServingState) -> Self {
        Self::default().set_key("state", Some(state.as_str().into()))
    }

    /// Sets the reason; `None` removes it.
    pub fn reason(self, reason: Option<&str>) -> Self {
        self.set_key("reason", reason.map(Into::into))
    }

    /// Sets the end of the state, in seconds since 1970-01-01T00:00:00Z; `None` removes it.
    pub fn until(self, until: Option<i64>) -> Self {
        let until = until.and_then(|secs| jiff::Timestamp::from_second(secs).ok());
        let until = until.and_then(|until| until.to_string().parse::<toml_edit::Datetime>().ok());
        self.set_key("until", until.map(Into::into))
    }

    /// Sets the duration of the drain in seconds, 0 for at once; `None` removes the key, so that
    /// the datacenter's `drain-over` applies.
    pub fn drain_over(self, secs: Option<u64>) -> Self {
        self.set_key("draining-over", secs.map(|secs| format!("{secs}s").into()))
    }

    /// Pauses the drain once this share of clients is drained, from 0 to 1; `None` resumes it.
    pub fn pause_at(self, drained: Option<f64>) -> Self {
        // 0 % would be no drain at all.
        let text = drained
            .map(|drained| format!("{}%", ((drained * 1000.0).round() / 10.0).clamp(0.1, 100.0)));
        self.set_key("drain-hold", text.map(Into::into))
    }

    /// Makes the edit fail if the table has another state than this: the file has then changed
    /// since the edit was decided.
    pub fn if_state(self, expected: ServingState) -> Self {
        Self { expected: Some(expected), ..self }
    }

    /// Whether the edit changes nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn set_key(mut self, key: &'static str, value: Option<toml_edit::Value>) -> Self {
        self.keys.push((key, value));
        self
    }
}

/// Why a file could not be edited. The file is then as it was.
#[derive(Debug)]
pub enum EditError {
    /// The file cannot be read or replaced.
    Io(PathBuf, io::Error),
    /// The file is not TOML (any more).
    Malformed(PathBuf, Box<toml_edit::TomlError>),
    /// The file has no such table (any more).
    NoSuchTable(PathBuf, String),
    /// The table has another state than the one in use.
    StateConflict(PathBuf, String),
    /// Other programs save the file faster than it can be edited.
    Busy(PathBuf),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => {
                write!(
                    f,
                    "cannot edit {}: {error}; {}",
                    path.display(),
                    remedy::write_remedy(error)
                )
            }
            Self::Malformed(path, error) => {
                write!(
                    f,
                    "cannot edit {}: it is not valid TOML now: {}",
                    path.display(),
                    error.message()
                )
            }
            Self::NoSuchTable(path, name) => {
                write!(f, "{} holds no [datacenter.{name}] any more", path.display())
            }
            Self::StateConflict(path, name) => write!(
                f,
                "{}: the state of {name} was edited and that is not applied yet; nothing was edited: try again in a second, \
                 or see the errors in `portolan status`",
                path.display()
            ),
            Self::Busy(path) => {
                write!(
                    f,
                    "{} is saved again and again by another program; nothing was edited: try again",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for EditError {}

/// Edits the tables of `datacenters` in the file at `path`. If that is a link, the file that it
/// names is edited.
///
/// # Errors
/// [`EditError`]; the file is then as it was, or as another program has saved it meanwhile.
pub fn edit_tables(path: &Path, datacenters: &[(&str, &DatacenterEdit)]) -> Result<(), EditError> {
    let outcome = edit_with_retries(path, datacenters, &mut || ());
    files::replenish_descriptors();
    outcome
}

/// [`edit_tables`] for tests: `meanwhile` runs where another program may save the file.
fn edit_with_retries(
    path: &Path,
    datacenters: &[(&str, &DatacenterEdit)],
    meanwhile: &mut dyn FnMut(),
) -> Result<(), EditError> {
    let io_error = |error| EditError::Io(path.to_owned(), error);
    let target = fs::canonicalize(path).map_err(io_error)?;
    for _ in 0..MAX_ATTEMPTS {
        let (mut original, _) =
            files::open(&target, files::SymlinkPolicy::Refuse).map_err(io_error)?;
        let text = read_text(&mut original).map_err(io_error)?;
        let edited = edited(path, &text, datacenters)?;
        if edited == text {
            return Ok(());
        }
        let replacement =
            FileReplacement::prepare(&target, &original, edited.as_bytes()).map_err(io_error)?;
        meanwhile();
        if !has_text(&target, &text) {
            continue;
        }
        replacement.install().map_err(io_error)?;
        // A program may have written in place between the comparison and the replacement: its text
        // is in the old file.
        let late = read_text(&mut original).unwrap_or_default();
        if late == text || late == edited {
            return Ok(());
        }
        write_in_place(&target, late.as_bytes()).map_err(io_error)?;
    }
    Err(EditError::Busy(path.to_owned()))
}

fn read_text(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.take(MAX_FILE_OCTETS + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE_OCTETS {
        true => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
        false => Ok(text),
    }
}

fn has_text(path: &Path, text: &str) -> bool {
    files::read(path, files::SymlinkPolicy::Follow, text.len() as u64)
        .is_ok_and(|now| now == text.as_bytes())
}

/// The text of a file with its tables edited. A large file is not parsed as a whole but table by
/// table, as in a load.
fn edited(
    path: &Path,
    text: &str,
    datacenters: &[(&str, &DatacenterEdit)],
) -> Result<String, EditError> {
    if text.len() <= MAX_PARSE_OCTETS {
        return edited_whole(path, text, datacenters);
    }
    let mut whole = text.to_owned();
    for (name, edit) in datacenters {
        let missing = || EditError::NoSuchTable(path.to_owned(), (*name).to_owned());
        let range = table_range(&whole, "datacenter", name).ok_or_else(missing)?;
        let table = edited_whole(path, &whole[range.clone()], &[(name, edit)])?;
        whole.replace_range(range, &table);
    }
    Ok(whole)
}

fn edited_whole(
    path: &Path,
    text: &str,
    datacenters: &[(&str, &DatacenterEdit)],
) -> Result<String, EditError> {
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut document: DocumentMut =
        body.parse().map_err(|error| EditError::Malformed(path.to_owned(), Box::new(error)))?;
    for (name, edit) in datacenters {
        let table = document
            .get_mut("datacenter")
            .and_then(Item::as_table_like_mut)
            .and_then(|tables| tables.get_mut(name))
            .and_then(Item::as_table_like_mut)
            .ok_or_else(|| EditError::NoSuchTable(path.to_owned(), (*name).to_owned()))?;
        let state =
            table.get("state").and_then(Item::as_str).unwrap_or(ServingState::Active.as_str());
        if edit.expected.is_some_and(|expected| expected.as_str() != state) {
            return Err(EditError::StateConflict(path.to_owned(), (*name).to_owned()));
        }
        edit.keys.iter().for_each(|(key, value)| set_value(table, key, value.clone()));
    }
    let mark = if body.len() < text.len() { BYTE_ORDER_MARK.to_string() } else { String::new() };
    Ok(mark + &with_line_endings(&document.to_string(), body))
}

/// The new content of a file, written to another file of its directory, with its owner and mode.
#[derive(Debug)]
struct FileReplacement<'a> {
    target: &'a Path,
    octets: &'a [u8],
    /// The new file; `None` if the old one must be written in place.
    temporary: Option<PathBuf>,
}

impl<'a> FileReplacement<'a> {
    /// Writes the new file into the directory of the old one. The old file is to be written in
    /// place instead if this process may not create a file there or give it to the same owner, or
    /// if the old file has other hard links.
    fn prepare(target: &'a Path, original: &File, octets: &'a [u8]) -> io::Result<Self> {
        let metadata = original.metadata()?;
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::other("not a file name"))?
            .to_string_lossy();
        let temporary = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let replacement = Self { target, octets, temporary: Some(temporary) };
        match (metadata.nlink(), &replacement.temporary) {
            (1, Some(temporary)) => {
                match write_with_metadata_of(temporary, original, &metadata, octets) {
                    Ok(()) => Ok(replacement),
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        let _ = fs::remove_file(temporary);
                        Ok(Self { target, octets, temporary: None })
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(Self { target, octets, temporary: None }),
        }
    }

    fn install(mut self) -> io::Result<()> {
        let Some(temporary) = self.temporary.take() else {
            return write_in_place(self.target, self.octets);
        };
        let renamed =
            fs::rename(&temporary, self.target).inspect_err(|_| _ = fs::remove_file(&temporary));
        match renamed {
            // Something is mounted on the file, such as a single file shared with a container.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EXDEV)) => {
                write_in_place(self.target, self.octets)
            }
            renamed => renamed,
        }
    }
}

fn write_in_place(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file =
        files::with_reserved_descriptors(|| File::options().write(true).truncate(true).open(path))?;
    file.write_all(octets)?;
    file.sync_all()
}

impl Drop for FileReplacement<'_> {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a new file with the owner, the mode and the extended attributes of another.
fn write_with_metadata_of(
    path: &Path,
    original: &File,
    model: &fs::Metadata,
    octets: &[u8],
) -> io::Result<()> {
    // A crash may have left a temporary file; `create_new` follows no link.
    let _ = fs::remove_file(path);
    let create = || File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = files::with_reserved_descriptors(create)?;
    file.write_all(octets)?;
    let metadata = file.metadata()?;
    if (metadata.uid(), metadata.gid()) != (model.uid(), model.gid()) {
        fchown(&file, Some(model.uid()), Some(model.gid()))?;
    }
    // The mode comes after the owner, because a change of owner clears the set-id bits.
    file.set_permissions(model.permissions())?;
    copy_attributes(original, &file)?;
    file.sync_all()
}

/// Copies the extended attributes, access control lists included, from one file to another.
///
/// # Errors
/// `PermissionDenied` if an attribute cannot be read or set.
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let denied = |_| io::Error::from(io::ErrorKind::PermissionDenied);
    let mut names = Vec::with_capacity(MAX_ATTRIBUTE_OCTETS);
    match flistxattr(from, spare_capacity(&mut names)) {
        Ok(_) => {}
        // The file system has no extended attributes.
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(denied(error)),
    }
    for name in names.split(|octet| *octet == 0).filter(|name| !name.is_empty()) {
        let read = |file: &File| {
            let mut value = Vec::with_capacity(MAX_ATTRIBUTE_OCTETS);
            fgetxattr(file, name, spare_capacity(&mut value)).map(|_| value)
        };
        let value = read(from).map_err(denied)?;
        // The kernel sets a security label on each file, which a program may not set.
        if read(to).is_ok_and(|present| present == value) {
            continue;
        }
        fsetxattr(to, name, &value, XattrFlags::empty()).map_err(denied)?;
    }
    Ok(())
}

/// Sets or removes a key. The comment after the old value stays after the new one.
fn set_value(table: &mut dyn TableLike, key: &str, value: Option<toml_edit::Value>) {
    let Some(mut value) = value else {
        table.remove(key);
        return;
    };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => _ = table.insert(key, Item::Value(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "# where we are\n[datacenter.fra]   # Frankfurt\nlocation = { latitude = 50.11, longitude = 8.68 }\n\
                          state    = \"active\"  # edit me\n\n[datacenter.iad]\nregion = \"us\"\n";

    fn edited(datacenter: &str, edit: &DatacenterEdit) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("datacenters.toml");
        fs::write(&path, TABLES).unwrap();
        edit_tables(&path, &[(datacenter, edit)]).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_drain_changes_the_state_and_keeps_every_comment() {
        let drain = DatacenterEdit::state(ServingState::Draining);
        assert_eq!(edited("fra", &drain), TABLES.replace("\"active\"", "\"draining\""));
        let undrain = DatacenterEdit::state(ServingState::Active);
        assert_eq!(edited("fra", &undrain), TABLES);
    }

    #[test]
    fn a_table_of_a_large_file_is_edited_alone_and_every_other_octet_stays() {
        let pools: String =
            (0..200_000).map(|number| format!("[pool.p{number}]\nmembers = []\n")).collect();
        let (_directory, path) = file(&format!("{TABLES}{pools}"));
        assert!(pools.len() > MAX_PARSE_OCTETS);
        edit_tables(&path, &[("fra", &DatacenterEdit::state(ServingState::Draining))]).unwrap();
        let wanted = TABLES.replace("\"active\"", "\"draining\"") + &pools;
        assert!(fs::read_to_string(&path).unwrap() == wanted);
    }

    #[test]
    fn a_fifo_in_the_place_of_a_file_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("datacenters.toml");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused =
            edit_tables(&path, &[("fra", &DatacenterEdit::state(ServingState::Draining))])
                .unwrap_err();
        assert!(refused.to_string().contains("not a regular file"), "{refused}");
    }

    #[test]
    fn reason_and_end_are_written_after_the_state() {
        let reason = Some("kernel \"upgrade\"");
        let text = edited(
            "iad",
            &DatacenterEdit::state(ServingState::Draining)
                .reason(reason)
                .until(Some(1_796_104_800))
                .drain_over(Some(600)),
        );
        let document: toml::Table = text.parse().unwrap();
        let iad = &document["datacenter"]["iad"];
        assert_eq!(iad["state"].as_str(), Some("draining"));
        assert_eq!(iad["reason"].as_str(), Some("kernel \"upgrade\""));
        assert_eq!(iad["until"].as_datetime().unwrap().to_string(), "2026-12-01T06:00:00Z");
        assert_eq!(iad["draining-over"].as_str(), Some("600s"));
        assert_eq!(iad["region"].as_str(), Some("us"));
    }

    #[test]
    fn a_pause_is_added_and_removed_and_nothing_else_changes() {
        let paused = edited("fra", &DatacenterEdit::default().pause_at(Some(0.4567)));
        assert_eq!(paused, TABLES.replace("# edit me\n", "# edit me\ndrain-hold = \"45.7%\"\n"));
        assert_eq!(edited("fra", &DatacenterEdit::default().pause_at(None)), TABLES);
    }

    #[test]
    fn a_missing_table_is_an_error_and_the_file_stays_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("datacenters.toml");
        fs::write(&path, TABLES).unwrap();
        let drain = DatacenterEdit::state(ServingState::Draining);
        let error = edit_tables(&path, &[("fra", &drain), ("ams", &drain)]).unwrap_err();
        assert!(matches!(error, EditError::NoSuchTable(..)), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), TABLES);
    }

    /// A file with this text, in a directory that is removed at the end of the test.
    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("datacenters.toml");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn line_ends_and_the_byte_order_mark_stay_as_they_were() {
        let drained = |text: &str| {
            let (_directory, path) = file(text);
            edit_tables(
                &path,
                &[("iad", &DatacenterEdit::state(ServingState::Draining).reason(Some("test")))],
            )
            .unwrap();
            fs::read_to_string(path).unwrap()
        };
        let end = "region = \"us\"\nstate = \"draining\"\nreason = \"test\"\n";
        let wanted = TABLES.replace("region = \"us\"\n", end);
        let windows = |text: &str| text.replace('\n', "\r\n");
        for (before, after, reason) in [
            (TABLES.to_owned(), wanted.clone(), "Unix"),
            (windows(TABLES), windows(&wanted), "Windows"),
            (
                format!("\u{feff}{}", windows(TABLES)),
                format!("\u{feff}{}", windows(&wanted)),
                "Windows, with a mark",
            ),
            (
                TABLES.replacen('\n', "\r\n", 2),
                windows(TABLES.split_inclusive('\n').take(2).collect::<String>().as_str())
                    + &TABLES
                        .split_inclusive('\n')
                        .skip(2)
                        .collect::<String>()
                        .replace("region = \"us\"\n", &windows(end).replacen("\r\n", "\n", 1)),
                "mixed: each line keeps its own, new ones get the first one's",
            ),
        ] {
            assert_eq!(drained(&before), after, "{reason}");
        }
    }

    #[test]
    fn a_drain_and_its_end_restore_a_file_of_mixed_line_ends_octet_for_octet() {
        let ends = ["\n", "\r\n"];
        let lines: Vec<&str> = TABLES.lines().collect();
        for mix in 0..1_u32 << lines.len() {
            let end = |line: usize| ends[(mix >> line & 1) as usize];
            let text: String = lines
                .iter()
                .enumerate()
                .map(|(index, line)| format!("{line}{}", end(index)))
                .collect();
            let (_directory, path) = file(&text);
            let drain = DatacenterEdit::state(ServingState::Draining).reason(Some("test"));
            edit_tables(&path, &[("fra", &drain)]).unwrap();
            assert_ne!(fs::read_to_string(&path).unwrap(), text);
            edit_tables(
                &path,
                &[("fra", &DatacenterEdit::state(ServingState::Active).reason(None))],
            )
            .unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn extended_attributes_stay() {
        let (_directory, path) = file(TABLES);
        let open = || File::open(&path).unwrap();
        if fsetxattr(open(), "user.origin", b"puppet", XattrFlags::empty()).is_err() {
            return eprintln!("skipped: this file system has no extended attributes");
        }
        edit_tables(&path, &[("fra", &DatacenterEdit::state(ServingState::Draining))]).unwrap();
        let mut value = Vec::with_capacity(16);
        fgetxattr(open(), "user.origin", spare_capacity(&mut value)).unwrap();
        assert_eq!(value, b"puppet");
    }

    #[test]
    fn the_remedy_fits_the_error() {
        for (code, words) in [
            (libc::EACCES, "needs to write to it and to its directory"),
            (libc::EMFILE, "LimitNOFILE="),
            (libc::ENOENT, "put the file back"),
            (libc::EROFS, "read-only"),
            (libc::ENOSPC, "free space"),
        ] {
            let text =
                EditError::Io("a.toml".into(), io::Error::from_raw_os_error(code)).to_string();
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn owner_mode_and_link_stay() {
        use std::os::unix::fs::{PermissionsExt, chown, symlink};
        let (directory, path) = file(TABLES);
        let link = directory.path().join("link.toml");
        symlink("datacenters.toml", &link).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // Only root may give a file away.
        let is_given_away = chown(&path, Some(1000), Some(1000)).is_ok();
        let owner = |path: &Path| {
            fs::metadata(path)
                .map(|found| (found.uid(), found.gid(), found.mode() & 0o7777))
                .unwrap()
        };
        let before = owner(&path);
        assert!(!is_given_away || before.0 == 1000);
        edit_tables(&link, &[("fra", &DatacenterEdit::state(ServingState::Draining))]).unwrap();
        assert_eq!(owner(&path), before);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&path).unwrap().contains("draining"));
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            2,
            "nothing is left beside the file"
        );
    }

    #[test]
    fn a_file_with_another_hard_link_stays_one_file() {
        let (directory, path) = file(TABLES);
        let other = directory.path().join("other");
        fs::hard_link(&path, &other).unwrap();
        edit_tables(&path, &[("fra", &DatacenterEdit::state(ServingState::Draining))]).unwrap();
        assert!(fs::read_to_string(&other).unwrap().contains("draining"));
    }

    #[test]
    fn a_concurrent_save_by_another_program_is_not_lost() {
        let drain = DatacenterEdit::state(ServingState::Draining);
        let saved = TABLES.replace("region = \"us\"", "region = \"us-east\"");
        let wanted = saved.replace("\"active\"", "\"draining\"");
        let (directory, path) = file(TABLES);
        let mut saves = 0;
        let in_place = &mut || {
            saves += 1;
            if saves == 1 {
                fs::write(&path, &saved).unwrap();
            }
        };
        edit_with_retries(&path, &[("fra", &drain)], in_place).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap(), saves), (wanted, 2));
        fs::write(&path, TABLES).unwrap();
        let mut number = 0;
        let again_and_again = &mut || {
            number += 1;
            fs::write(&path, format!("{TABLES}# {number}\n")).unwrap();
        };
        let error = edit_with_retries(&path, &[("fra", &drain)], again_and_again).unwrap_err();
        assert!(matches!(error, EditError::Busy(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{TABLES}# {MAX_ATTEMPTS}\n"));
        drop(directory);
    }

    #[test]
    fn a_state_that_was_edited_and_is_not_in_use_yet_is_not_overwritten() {
        let (_directory, path) = file(&TABLES.replace("\"active\"", "\"disabled\""));
        let drain = DatacenterEdit::state(ServingState::Draining).if_state(ServingState::Active);
        let error = edit_tables(&path, &[("fra", &drain)]).unwrap_err();
        assert!(matches!(error, EditError::StateConflict(..)), "{error}");
        edit_tables(&path, &[("iad", &drain)]).unwrap();
    }
}
