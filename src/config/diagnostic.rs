//! One error or warning about the files: place, message, help.

use super::{definition::Definition, place::SourcePlace, quoted::escaped};

/// Whether the configuration can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What has to be known to find a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// One file by itself.
    #[default]
    Reading,
    /// What several files say together.
    Checking,
}

/// What a mistake says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// No table defines the name.
    Missing(Definition),
    /// Two places define it.
    Duplicate(Definition),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration can be used in spite of it.
    pub severity: Severity,
    /// Where.
    pub place: SourcePlace,
    /// What is wrong, on one line.
    pub message: String,
    /// What the marked place is, in a few words.
    pub label: Option<String>,
    /// Other places that belong to it: where the first of two was defined.
    pub related: Vec<(SourcePlace, String)>,
    /// How to fix it, on one line.
    pub help: Option<String>,
    /// What has to be known to find it.
    pub stage: Stage,
    /// The name that it is about, where it is about one.
    pub name_fault: Option<NameFault>,
}

impl Diagnostic {
    pub(super) fn new(severity: Severity, place: SourcePlace, message: impl AsRef<str>) -> Self {
        Self {
            severity,
            place,
            message: escaped(message.as_ref()),
            label: None,
            related: Vec::new(),
            help: None,
            stage: Stage::Reading,
            name_fault: None,
        }
    }

    pub(super) fn about(&mut self, fault: NameFault) -> &mut Self {
        self.name_fault = Some(fault);
        self
    }

    pub(super) fn help(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.help = Some(escaped(text.as_ref()));
        self
    }

    pub(super) fn label(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.label = Some(escaped(text.as_ref()));
        self
    }

    pub(super) fn also(&mut self, place: SourcePlace, text: impl AsRef<str>) -> &mut Self {
        self.related.push((place, escaped(text.as_ref())));
        self
    }
}
