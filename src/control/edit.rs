//! Edits of a datacenter's table in its file, everything else kept as it stands: comments, order, layout.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use toml_edit::{DocumentMut, Item, TableLike};

use super::state::replace;
use crate::steer::State;

/// What a datacenter's table is to say: keys and their values; a key without one is taken away.
#[derive(Debug, Clone, Default)]
pub struct TableEdit(Vec<(&'static str, Option<toml_edit::Value>)>);

impl TableEdit {
    /// The state, why, and when it ends in seconds since 1970-01-01T00:00:00Z. A drain that was held is so no more.
    pub fn state(state: State, reason: Option<&str>, until: Option<i64>) -> Self {
        let until = until.and_then(|secs| jiff::Timestamp::from_second(secs).ok());
        let until = until.and_then(|until| until.to_string().parse::<toml_edit::Datetime>().ok());
        let edit = Self::default().with("state", Some(state.word().into())).with("reason", reason.map(Into::into));
        edit.with("until", until.map(Into::into)).with("drain-hold", None).with("draining-over", None)
    }

    /// And over how many seconds a drain goes; 0 is at once.
    pub fn over(self, secs: u64) -> Self {
        self.with("draining-over", Some(format!("{secs}s").into()))
    }

    /// Where a drain is held: what has been drained, from 0 to 1; `None` lets it go on.
    pub fn hold(drained: Option<f64>) -> Self {
        // Never 0 %, which would be no drain at all.
        let text = drained.map(|drained| format!("{}%", ((drained * 1000.0).round() / 10.0).clamp(0.1, 100.0)));
        Self::default().with("drain-hold", text.map(Into::into))
    }

    fn with(mut self, key: &'static str, value: Option<toml_edit::Value>) -> Self {
        self.0.push((key, value));
        self
    }
}

/// Why a file could not be edited. It then stands as it was.
#[derive(Debug)]
pub enum EditError {
    /// The file cannot be read or replaced.
    Io(PathBuf, io::Error),
    /// The file is not TOML (any more).
    Malformed(PathBuf, Box<toml_edit::TomlError>),
    /// The file has no such table (any more).
    Missing(PathBuf, String),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(
                f,
                "cannot edit {}: {error}; the server's user needs to write to it and to its directory",
                path.display()
            ),
            Self::Malformed(path, error) => {
                write!(f, "cannot edit {}: it is not valid TOML now: {}", path.display(), error.message())
            }
            Self::Missing(path, name) => write!(f, "{} holds no [datacenter.{name}] any more", path.display()),
        }
    }
}

impl std::error::Error for EditError {}

/// Makes the tables of `datacenters` in the file at `path` say `edit`. A link is followed to the file it names.
///
/// # Errors
/// [`EditError`]; the file then stands as it was.
pub fn edit_tables(path: &Path, datacenters: &[(&str, &TableEdit)]) -> Result<(), EditError> {
    let io_error = |error| EditError::Io(path.to_owned(), error);
    let target = fs::canonicalize(path).map_err(io_error)?;
    let text = fs::read_to_string(&target).map_err(io_error)?;
    let mut document: DocumentMut =
        text.parse().map_err(|error| EditError::Malformed(path.to_owned(), Box::new(error)))?;
    for (name, edit) in datacenters {
        let table = document
            .get_mut("datacenter")
            .and_then(Item::as_table_like_mut)
            .and_then(|tables| tables.get_mut(name))
            .and_then(Item::as_table_like_mut)
            .ok_or_else(|| EditError::Missing(path.to_owned(), (*name).to_owned()))?;
        edit.0.iter().for_each(|(key, value)| set(table, key, value.clone()));
    }
    replace(&target, document.to_string().as_bytes()).map_err(io_error)
}

/// Sets or removes a key; the comment behind an old value stays behind the new one.
fn set(table: &mut dyn TableLike, key: &str, value: Option<toml_edit::Value>) {
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

    fn edited(datacenter: &str, edit: &TableEdit) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("datacenters.toml");
        fs::write(&path, TABLES).unwrap();
        edit_tables(&path, &[(datacenter, edit)]).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_drain_changes_the_state_and_keeps_every_comment() {
        let drain = TableEdit::state(State::Draining, None, None);
        assert_eq!(edited("fra", &drain), TABLES.replace("\"active\"", "\"draining\""));
        let undrain = TableEdit::state(State::Active, None, None);
        assert_eq!(edited("fra", &undrain), TABLES);
    }

    #[test]
    fn reason_and_end_are_written_beside_the_state() {
        let reason = Some("kernel \"upgrade\"");
        let text = edited("iad", &TableEdit::state(State::Draining, reason, Some(1_796_104_800)).over(600));
        let document: toml::Table = text.parse().unwrap();
        let iad = &document["datacenter"]["iad"];
        assert_eq!(iad["state"].as_str(), Some("draining"));
        assert_eq!(iad["reason"].as_str(), Some("kernel \"upgrade\""));
        assert_eq!(iad["until"].as_datetime().unwrap().to_string(), "2026-12-01T06:00:00Z");
        assert_eq!(iad["draining-over"].as_str(), Some("600s"));
        assert_eq!(iad["region"].as_str(), Some("us"));
    }

    #[test]
    fn a_hold_comes_and_goes_and_nothing_else_does() {
        let held = edited("fra", &TableEdit::hold(Some(0.4567)));
        assert_eq!(held, TABLES.replace("# edit me\n", "# edit me\ndrain-hold = \"45.7%\"\n"));
        assert_eq!(edited("fra", &TableEdit::hold(None)), TABLES);
    }

    #[test]
    fn a_table_that_is_gone_is_said_and_the_file_stands() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("datacenters.toml");
        fs::write(&path, TABLES).unwrap();
        let drain = TableEdit::state(State::Draining, None, None);
        let error = edit_tables(&path, &[("fra", &drain), ("ams", &drain)]).unwrap_err();
        assert!(matches!(error, EditError::Missing(..)), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), TABLES);
    }
}
