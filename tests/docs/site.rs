//! The documents of the repository, their fenced blocks, and the sites that the blocks of one
//! document make.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::Path,
};

use super::{MINIMAL_SITE, file_of, portolan, repository};

/// A Markdown file of the repository.
pub(crate) struct Document {
    /// Relative to the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A fenced block of a document.
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// The text after the opening fence: the language of the block.
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Document {
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(Block, usize)> = None;
        for (at, line) in self.text.lines().enumerate() {
            let bare = line.trim_start();
            if let Some(info) = bare.strip_prefix("```") {
                match open.take() {
                    Some((block, _)) => blocks.push(block),
                    None => {
                        let block = Block {
                            line: at + 1,
                            info: info.trim().to_owned(),
                            text: String::new(),
                        };
                        open = Some((block, line.len() - bare.len()));
                    }
                }
            } else if let Some((block, indent)) = &mut open {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
        }
        blocks
    }
}

impl Block {
    /// The path in its first line, without the directory of an installation.
    pub(crate) fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?;
        let path =
            first.strip_prefix("# file: ").or_else(|| first.strip_prefix("; file: "))?.trim();
        Some(path.strip_prefix(INSTALLED).unwrap_or(path))
    }
}

/// The directory in which an installation has its files.
pub(crate) const INSTALLED: &str = "/etc/portolan/";

/// The files of a document, in a directory of their own.
pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) document: String,
    /// A certificate and its key, which every PEM file holds.
    pub(crate) pem: String,
    /// The line of the block that each file is from.
    pub(crate) files: BTreeMap<String, usize>,
    /// Files written since the last check.
    pub(crate) fresh: BTreeSet<String>,
}

impl Site {
    pub(crate) fn new(document: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = pair.cert.pem() + &pair.signing_key.serialize_pem();
        let document = document.to_owned();
        Self { directory, document, pem, files: BTreeMap::new(), fresh: BTreeSet::new() }
    }

    /// A fragment and the tables that it may refer to.
    pub(crate) fn below_the_minimum(document: &str, block: &Block) -> Self {
        let mut site = Self::new(document);
        site.write_minimum(&block.text);
        site.write(file_of(&block.text, "zones/fragment.toml"), block);
        site
    }

    /// Writes the tables of the minimal site that `text` does not have.
    pub(crate) fn write_minimum(&self, text: &str) {
        let mut minimum = String::new();
        for table in MINIMAL_SITE {
            let header = table.lines().next().unwrap_or_default();
            if !text.lines().any(|line| line.starts_with(header)) {
                let _ = writeln!(minimum, "{table}");
            }
        }
        fs::write(self.directory.path().join("zones/minimal.toml"), minimum).unwrap();
    }

    /// Adds a file. Before one replaces another, the site is checked as it is until here.
    pub(crate) fn add(&mut self, file: &str, block: &Block) -> Option<String> {
        let fault = if self.fresh.contains(file) { self.fault() } else { None };
        self.write(file, block);
        fault
    }

    pub(crate) fn write(&mut self, file: &str, block: &Block) {
        let path = self.directory.path().join(file);
        let beside = path.parent().unwrap();
        fs::create_dir_all(beside).unwrap();
        let written = block.text.replace(&format!("\"{INSTALLED}"), "\"");
        let mut text = written.clone();
        for named in written.split('"').skip(1).step_by(2) {
            // A path from the root is one below the site's directory.
            let place = match named.strip_prefix('/') {
                Some(relative) => self.directory.path().join(relative),
                None => beside.join(named),
            };
            if self.provide(&place) && named.starts_with('/') {
                text = text.replace(&format!("\"{named}\""), &format!("\"{}\"", place.display()));
            }
        }
        fs::write(&path, text).unwrap();
        self.files.insert(file.to_owned(), block.line);
        self.fresh.insert(file.to_owned());
    }

    /// Puts a database or a PEM file there. Whether the place is one of such a file.
    pub(crate) fn provide(&self, place: &Path) -> bool {
        let suffix = place.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
        let is_pem = ["pem", "crt", "key"].contains(&suffix);
        if place.exists() || !is_pem && suffix != "mmdb" {
            return is_pem || suffix == "mmdb";
        }
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        if is_pem {
            fs::write(place, &self.pem).unwrap();
        } else {
            symlink(repository().join("geoip/world-country.mmdb"), place).unwrap();
        }
        true
    }

    /// What `portolan check` has against the site.
    pub(crate) fn fault(&mut self) -> Option<String> {
        self.fresh.clear();
        let minimum = self.directory.path().join("zones/minimal.toml");
        if !self.files.keys().any(|file| file.starts_with("zones/")) && !minimum.exists() {
            self.write_minimum("");
        }
        let output = portolan(&["check", ".", "--color", "never"], self.directory.path());
        if output.status.success() {
            return None;
        }
        let mut fault = format!("{} is not valid:\n", self.document);
        for (file, line) in &self.files {
            let _ = writeln!(fault, "  {file} is the block in line {line}");
        }
        Some(fault + &String::from_utf8_lossy(&output.stderr))
    }
}
