//! Reads `combine` of a monitor: `{ all = [...] }`, `{ any = [...] }` or `{ at-least = 2, of =
//! [...] }`.

use crate::{
    config::{
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
        values::name_reference,
    },
    health::CombineCheck,
};

const HELP: &str =
    "write { all = [\"web\", \"tls\"] }, { any = [...] } or { at-least = 2, of = [...] }";

pub(super) fn check(
    item: ValueReader<'_>,
    parts: &mut Vec<Placed<Box<str>>>,
    problems: &mut Problems,
) -> Option<CombineCheck> {
    let mut table = item
        .table(TableSubject { kind: "`combine` of monitor", name: item.subject.name }, problems)?;
    let lists: Vec<_> = ["all", "any", "of"].iter().filter_map(|key| table.value(key)).collect();
    let at_least = table.value("at-least");
    let check = match lists[..] {
        [list] => {
            let names = names(list, problems);
            let count = names.as_ref().map_or(1, Vec::len) as i64;
            let min_up = match (list.key, at_least) {
                ("all", None) => Some(count),
                ("any", None) => Some(1),
                ("of", Some(at_least)) => {
                    let help =
                        "it counts monitors in `of`: one at least, and no more than there are";
                    at_least.integer(1, count, help, problems).map(|written| written.value)
                }
                ("of", None) => {
                    problems
                        .error(list.place, format!("{} has `of`, but no `at-least`", table.subject))
                        .help(HELP);
                    None
                }
                (key, Some(at_least)) => {
                    let message = format!("{} has both `{key}` and `at-least`", table.subject);
                    problems.error(at_least.place, message).help(HELP);
                    None
                }
                (_, None) => None,
            };
            let monitors = names.iter().flatten().map(|name| name.value.clone()).collect();
            parts.extend(names.into_iter().flatten());
            min_up
                .and_then(|count| u32::try_from(count).ok())
                .map(|min_up| CombineCheck { min_up, monitors })
        }
        [] => {
            problems.error(item.place, format!("{} names no monitors", table.subject)).help(HELP);
            None
        }
        [first, second, ..] => {
            let message =
                format!("{} has both `{}` and `{}`", table.subject, first.key, second.key);
            problems
                .error(second.place, message)
                .help("nest them: a combined monitor may name combined ones");
            None
        }
    };
    table.finish(problems);
    check.filter(|check| !check.monitors.is_empty())
}

fn names(list: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<Placed<Box<str>>>> {
    let items = list.list("names of monitors", problems)?;
    if items.is_empty() {
        problems.error(list.place, format!("{} names no monitors", list.subject)).help(HELP);
        return None;
    }
    let mut names: Vec<Placed<Box<str>>> = Vec::with_capacity(items.len());
    for item in items {
        let name = name_reference(item, problems)?;
        if let Some(first) = names.iter().find(|first| first.value == name.value) {
            problems
                .error(
                    name.place,
                    format!("{} names monitor {} twice", list.subject, Quoted(&name.value)),
                )
                .also(first.place, "named first here")
                .help("a monitor counts once: remove one");
        }
        names.push(name);
    }
    Some(names)
}

/// Reports the times of a combined monitor, which has none because it probes nothing.
pub(super) fn refuse_times(table: &mut TableReader<'_>, problems: &mut Problems) {
    for key in ["interval", "timeout", "rise", "fall"] {
        if let Some(item) = table.value(key) {
            problems
                .error(item.place, format!("{} has both `combine` and `{key}`", table.subject))
                .help("its parts have their own: omit it here");
        }
    }
}
