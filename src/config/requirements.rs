//! Requirements with the places where they are written, so that a violation is shown like any other
//! mistake. Whether they hold is known only with databases ([`crate::steer::verify`]).

use std::{path::PathBuf, sync::Arc};

use super::{
    definition_origin::DefinitionOrigin,
    diagnostic::{Diagnostic, Severity, Stage},
    diagnostics::Diagnostics,
    place::SourcePlace,
    quoted::Quoted,
    sources::Sources,
    spelling::SpellingSuggester,
};
use crate::steer::{RequirementFault, RequirementId, Requirements, Violation};

/// The requirements of the files.
#[derive(Debug, Clone, Default)]
pub struct WrittenRequirements {
    /// The requirements as domain values, in the order of the files.
    pub list: Arc<Requirements>,
    /// Whether files with which a requirement does not hold are held: `enforce-asserts`.
    pub are_enforced: bool,
    /// The source of each expectation.
    pub(super) expectations: Vec<RequirementSource>,
    /// The source of each assertion.
    pub(super) assertions: Vec<RequirementSource>,
}

/// The name of a requirement and the place of the name.
#[derive(Debug, Clone)]
pub(super) struct RequirementSource {
    pub(super) name: Box<str>,
    pub(super) place: SourcePlace,
    pub(super) origin: DefinitionOrigin,
}

impl WrittenRequirements {
    /// The violations as errors, for `check` and for held files.
    pub fn diagnostics(&self, sources: &Sources, violations: &[Violation]) -> Diagnostics {
        let list = violations.iter().map(|violation| self.diagnostic(violation)).collect();
        Diagnostics::new(Arc::clone(&sources.files), list, 0)
    }

    /// The violations as one line each, for the log: `file:line:column: message (help: ...)`.
    pub fn lines(&self, violations: &[Violation]) -> Vec<String> {
        let line = |violation: &Violation| {
            let Diagnostic { message, help, .. } = self.diagnostic(violation);
            let help = help.unwrap_or_default();
            format!("{}: {message} (help: {help})", self.source(violation.requirement).origin)
        };
        violations.iter().map(line).collect()
    }

    /// The files in which the requirements of violations are written.
    pub fn paths(&self, violations: &[Violation]) -> Vec<PathBuf> {
        let path = |violation: &Violation| self.source(violation.requirement).origin.path.clone();
        violations.iter().map(path).collect()
    }

    fn source(&self, id: RequirementId) -> &RequirementSource {
        match id {
            RequirementId::Expectation(position) => &self.expectations[position],
            RequirementId::Assertion(position) => &self.assertions[position],
        }
    }

    fn diagnostic(&self, violation: &Violation) -> Diagnostic {
        let source = self.source(violation.requirement);
        let name = Quoted(&source.name);
        let fault = &violation.fault;
        let message = match violation.requirement {
            RequirementId::Expectation(_) => format!("expectation {name} fails: {fault}"),
            RequirementId::Assertion(_) => format!("assertion {name} does not hold: {fault}"),
        };
        let mut diagnostic = Diagnostic::new(Severity::Error, source.place, message);
        diagnostic.stage = Stage::Checking;
        diagnostic.help(help(fault));
        diagnostic
    }
}

/// The remedy: for a misspelt item, the nearest name that the service can answer.
fn help(fault: &RequirementFault) -> String {
    let nearest = match fault {
        RequirementFault::UnknownItem { item, known, .. } => {
            SpellingSuggester::default().suggest(item, known.iter().map(|name| &**name))
        }
        _ => None,
    };
    match nearest {
        Some(nearest) => format!("did you mean {}?", Quoted(nearest)),
        None => fault.help(),
    }
}
