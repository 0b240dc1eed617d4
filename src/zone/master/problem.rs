//! What is wrong in a master file and where, before the file's index and the column are known.

use std::borrow::Cow;

use super::{
    budget::{BudgetExceeded, mebibytes},
    span::TextSpan,
};

/// What is wrong at a [`TextSpan`], and how to mend it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) span: TextSpan,
    pub(super) message: Cow<'static, str>,
    pub(super) help: Option<Cow<'static, str>>,
    /// The other file that it is about: its path.
    pub(super) about_path: Option<String>,
    /// The bound that it is about.
    pub(super) excess: Option<BudgetExceeded>,
}

impl Problem {
    pub(super) fn new(span: TextSpan, message: impl Into<Cow<'static, str>>) -> Self {
        Self { span, message: message.into(), help: None, about_path: None, excess: None }
    }

    pub(super) fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A bound is passed here.
    pub(super) fn budget_exceeded(spot: TextSpan, excess: BudgetExceeded) -> Self {
        Self { excess: Some(excess), ..Self::new(spot, excess.message()) }.with_help(excess.help())
    }

    /// A bound would be passed by the file with this path, of so many octets, that is named here.
    pub(super) fn file_exceeds_budget(
        spot: TextSpan,
        excess: BudgetExceeded,
        path: &str,
        octets: u64,
    ) -> Self {
        let message = format!("{path} ({}) is too much: {}", mebibytes(octets), excess.message());
        let problem = Self {
            excess: Some(excess),
            about_path: Some(path.to_owned()),
            ..Self::new(spot, message)
        };
        problem.with_help(excess.help())
    }
}
