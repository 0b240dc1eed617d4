//! The errors that keep configuration files from being used, as replies to operators carry them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Errors of configuration files, one line each: `file:line:column: what (help: how to fix it)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    pub(super) fn new(lines: Vec<String>) -> Self {
        Self(lines)
    }

    /// One line for each error.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// All errors in one line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}
