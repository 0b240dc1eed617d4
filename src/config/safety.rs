//! The safety rules with the place where they are written.

use super::definition_origin::DefinitionOrigin;
use crate::steer::SafetyRules;

/// The safety rules of the files.
#[derive(Debug, Clone, Default)]
pub struct WrittenSafety {
    /// The rules as domain values.
    pub rules: SafetyRules,
    /// The place of the table `[safety]`; `None` if no file has one.
    pub origin: Option<DefinitionOrigin>,
}

impl WrittenSafety {
    /// The file, line and column of the rules; `None` if no file has any.
    pub fn origin_text(&self) -> Option<String> {
        self.origin.as_ref().map(ToString::to_string)
    }
}
