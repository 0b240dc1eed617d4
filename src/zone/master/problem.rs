//! What is wrong in a master file and where, before the file's index and the column are known.

use std::borrow::Cow;

use super::budget::{Excess, mebibytes};

/// Where in one file's text something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// The first octet, counted from 0.
    pub(super) start: usize,
    /// How many octets, quotes included.
    pub(super) length: usize,
    /// The line, counted from 1.
    pub(super) line: u32,
}

/// What is wrong at a [`Spot`], and how to mend it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) spot: Spot,
    pub(super) message: Cow<'static, str>,
    pub(super) help: Option<Cow<'static, str>>,
    /// The other file that it is about: its path.
    pub(super) about: Option<String>,
    /// The bound that it is about.
    pub(super) excess: Option<Excess>,
}

impl Problem {
    pub(super) fn new(spot: Spot, message: impl Into<Cow<'static, str>>) -> Self {
        Self { spot, message: message.into(), help: None, about: None, excess: None }
    }

    pub(super) fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A bound is passed here.
    pub(super) fn of_excess(spot: Spot, excess: Excess) -> Self {
        Self { excess: Some(excess), ..Self::new(spot, excess.message()) }.help(excess.help())
    }

    /// A bound would be passed by the file with this path, of so many octets, that is named here.
    pub(super) fn of_large_file(spot: Spot, excess: Excess, path: &str, octets: u64) -> Self {
        let message = format!("{path} ({}) is too much: {}", mebibytes(octets), excess.message());
        let problem =
            Self { excess: Some(excess), about: Some(path.to_owned()), ..Self::new(spot, message) };
        problem.help(excess.help())
    }
}
