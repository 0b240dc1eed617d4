//! Reads `[safety]`: what a change must not do.

use crate::config::{
    place::SourcePlace,
    problems::Problems,
    reader::{TableSubject, ValueReader},
};

/// The rules of safety, as written.
#[derive(Debug)]
pub(in crate::config) struct SafetySpec {
    pub(in crate::config) place: SourcePlace,
    /// Whether files with which a requirement does not hold are held.
    pub(in crate::config) enforce_asserts: bool,
}

impl SafetySpec {
    pub(super) fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = item.table(TableSubject { kind: "[safety]", name: "" }, problems)?;
        let enforce_asserts =
            table.optional("enforce-asserts", problems, |item, problems| item.boolean(problems));
        table.finish(problems);
        Some(Self { place: item.place, enforce_asserts: enforce_asserts.unwrap_or_default() })
    }

    /// Reports a second table of rules: there is one for all files.
    pub(super) fn report_duplicate(&self, second: SourcePlace, problems: &mut Problems) {
        problems
            .error(second, "[safety] is written twice")
            .also(self.place, "first written here")
            .help("the rules apply to all files: write one table [safety]");
    }
}
