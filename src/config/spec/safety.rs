//! Reads `[safety]`: what a change must not do.

use std::time::Duration;

use super::regulation::share;
use crate::config::{
    place::{Placed, SourcePlace},
    problems::Problems,
    reader::{TableReader, TableSubject, ValueReader},
    values,
};

/// The largest number of datacenters that a rule can demand.
const MAX_COUNT: i64 = 65_535;
const MIN_WITHIN: Duration = Duration::from_secs(1);
const MAX_WITHIN: Duration = Duration::from_secs(7 * 86_400);
const AT_LEAST_HELP: &str = "write at-least = [{ count = 1, of = [\"fra\", \"ams\"] }]";
const MAX_MOVED_HELP: &str = "write max-moved = { share = \"30%\", within = \"10m\" }";
const COUNT_HELP: &str = "write how many datacenters must stay active";

/// The rules of safety, as written.
#[derive(Debug)]
pub(in crate::config) struct SafetySpec {
    pub(in crate::config) place: SourcePlace,
    /// Whether files with which a requirement does not hold are held.
    pub(in crate::config) enforce_asserts: bool,
    pub(in crate::config) min_active: Option<Placed<usize>>,
    pub(in crate::config) at_least: Vec<MinimumSpec>,
    pub(in crate::config) max_moved: Option<MaxMovedSpec>,
    /// A share from 0 to 1.
    pub(in crate::config) max_removed: Option<f64>,
    pub(in crate::config) freeze: bool,
}

/// How many of some datacenters must stay active.
#[derive(Debug)]
pub(in crate::config) struct MinimumSpec {
    pub(in crate::config) count: Placed<usize>,
    /// Names of datacenters and regions.
    pub(in crate::config) of: Vec<Placed<Box<str>>>,
}

/// How much demand may move.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct MaxMovedSpec {
    /// Above 0 and at most 1.
    pub(in crate::config) share: f64,
    pub(in crate::config) within: Duration,
}

impl SafetySpec {
    pub(super) fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = item.table(TableSubject { kind: "[safety]", name: "" }, problems)?;
        let enforce_asserts = table.optional("enforce-asserts", problems, ValueReader::boolean);
        let min_active = table.optional("min-active-datacenters", problems, read_count);
        let at_least = table.optional("at-least", problems, |item, problems| {
            let rules = item.list("tables", problems)?;
            Some(rules.into_iter().filter_map(|item| MinimumSpec::read(item, problems)).collect())
        });
        let max_moved = table.optional("max-moved", problems, MaxMovedSpec::read);
        let max_removed =
            table.optional("max-removed", problems, |item, problems| share(item, 100.0, problems));
        let freeze = table.optional("freeze", problems, ValueReader::boolean);
        table.finish(problems);
        Some(Self {
            place: item.place,
            enforce_asserts: enforce_asserts.unwrap_or_default(),
            min_active,
            at_least: at_least.unwrap_or_default(),
            max_moved,
            max_removed,
            freeze: freeze.unwrap_or_default(),
        })
    }

    /// Reports a second table of rules: there is one for all files.
    pub(super) fn report_duplicate(&self, second: SourcePlace, problems: &mut Problems) {
        problems
            .error(second, "[safety] is written twice")
            .also(self.place, "first written here")
            .help("the rules apply to all files: write one table [safety]");
    }
}

impl MinimumSpec {
    fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table =
            item.table(TableSubject { kind: "`at-least` of [safety]", name: "" }, problems)?;
        let count = table.required("count", AT_LEAST_HELP, problems);
        let count = count.and_then(|item| read_count(item, problems));
        let of = read_names(&mut table, problems);
        table.finish(problems);
        Some(Self { count: count?, of: of? })
    }
}

/// Reads the names of datacenters and regions that a rule counts.
fn read_names(
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<Vec<Placed<Box<str>>>> {
    let item = table.required("of", AT_LEAST_HELP, problems)?;
    let names = item.texts("names", problems)?;
    if names.is_empty() {
        problems
            .error(item.place, format!("{} names nothing", item.description()))
            .help(AT_LEAST_HELP);
        return None;
    }
    Some(names.into_iter().map(|name| Placed::new(name.value.into(), name.place)).collect())
}

impl MaxMovedSpec {
    fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table =
            item.table(TableSubject { kind: "`max-moved` of [safety]", name: "" }, problems)?;
        let moved = table.required("share", MAX_MOVED_HELP, problems);
        let moved = moved.and_then(|item| share(item, 100.0, problems));
        let within = table.required("within", MAX_MOVED_HELP, problems);
        let within =
            within.and_then(|item| values::duration(item, MIN_WITHIN, MAX_WITHIN, problems));
        table.finish(problems);
        Some(Self { share: moved?, within: within?.value })
    }
}

fn read_count(item: ValueReader<'_>, problems: &mut Problems) -> Option<Placed<usize>> {
    let count = item.integer(1, MAX_COUNT, COUNT_HELP, problems)?;
    Some(Placed::new(usize::try_from(count.value).ok()?, count.place))
}
