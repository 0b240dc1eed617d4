//! What is wrong in a master file and where, before the file's index and the column are known.

use std::borrow::Cow;

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
}

impl Problem {
    pub(super) fn new(spot: Spot, message: impl Into<Cow<'static, str>>) -> Self {
        Self { spot, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }
}
