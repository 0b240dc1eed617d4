//! One error or warning about the files: place, message, help.

use super::{definition::Definition, place::SourcePlace, quoted::escaped};

/// Whether the configuration can be used despite the mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used.
    Warning,
}

impl Severity {
    /// The severity as messages write it: `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// How much of the configuration must be read to find a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// The mistake is found in one file alone.
    #[default]
    Reading,
    /// The mistake is found only when all files are read together.
    Checking,
}

/// The fault of a name that a mistake is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// No table defines the name.
    Missing(Definition),
    /// Two tables or files define the name.
    Duplicate(Definition),
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration can be used despite the mistake.
    pub severity: Severity,
    /// The place in the files that is at fault.
    pub place: SourcePlace,
    /// What is wrong and with what consequence, on one line.
    pub message: String,
    /// A few words about the marked place.
    pub label: Option<String>,
    /// Other places that belong to the mistake, each with a few words: the first of two
    /// definitions, for example.
    pub related: Vec<(SourcePlace, String)>,
    /// The remedy, on one line.
    pub help: Option<String>,
    /// How much of the configuration must be read to find the mistake.
    pub stage: Stage,
    /// The name that the mistake is about, if any.
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
