//! An error in a master file, located by its span in one file's text. `source_text` turns it into
//! an error with file, line and column.

use std::borrow::Cow;

use super::{
    budget::{BudgetExceeded, binary_size},
    span::TextSpan,
};

/// An error at a [`TextSpan`], and how to fix it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) span: TextSpan,
    pub(super) message: Cow<'static, str>,
    pub(super) help: Option<Cow<'static, str>>,
    /// The path of the included file that the error is about, if it is about one.
    pub(super) about_path: Option<String>,
    /// The limit that was exceeded, if the error is about one.
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

    /// The error that a limit is exceeded at `span`.
    pub(super) fn budget_exceeded(span: TextSpan, excess: BudgetExceeded) -> Self {
        Self { excess: Some(excess), ..Self::new(span, excess.message()) }.with_help(excess.help())
    }

    /// The error that including the file at `path`, of this many octets, would exceed a limit;
    /// `span` is where the `$INCLUDE` names it.
    pub(super) fn file_exceeds_budget(
        span: TextSpan,
        excess: BudgetExceeded,
        path: &str,
        octets: u64,
    ) -> Self {
        let message = format!("{path} ({}) is too much: {}", binary_size(octets), excess.message());
        let problem = Self {
            excess: Some(excess),
            about_path: Some(path.to_owned()),
            ..Self::new(span, message)
        };
        problem.with_help(excess.help())
    }
}
