//! Reads what the files say about answers: `[[expect]]` and `[[assert]]`.

mod assertion;
mod client_set;
mod expectation;

pub(in crate::config) use assertion::AssertionSpec;
pub(in crate::config) use expectation::{ExpectationSpec, WrittenRule};

use crate::config::{
    place::Placed,
    problems::Problems,
    reader::{TableReader, ValueReader},
    values,
};

/// Reads each table of a list `[[key]]`.
pub(super) fn read_list<T>(
    item: ValueReader<'_>,
    problems: &mut Problems,
    read: impl Fn(ValueReader<'_>, &mut Problems) -> Option<T>,
) -> Vec<T> {
    let key = item.key;
    if item.is_table() {
        problems
            .error(item.place, format!("`{key}` is a list of tables"))
            .help(format!("write [[{key}]] in two pairs of brackets, and its keys below"));
        return Vec::new();
    }
    let items = item.list("tables", problems).unwrap_or_default();
    items.into_iter().filter_map(|item| read(item, problems)).collect()
}

/// Reads the name by which reports call a requirement, and makes it the subject of the table.
fn read_name<'t>(
    table: &mut TableReader<'t>,
    sample: &str,
    problems: &mut Problems,
) -> Option<Placed<Box<str>>> {
    let help = format!("write what it says: name = \"{sample}\"");
    let item = table.required("name", &help, problems)?;
    let text = item.text(problems)?;
    values::reason(item, problems)?;
    // Mistakes about the whole table are shown at its name.
    table.place = text.place;
    table.subject.name = text.value;
    Some(text.map(Into::into))
}

/// Reads one string, or a list of strings. `None` where it is neither.
fn texts<'t>(item: ValueReader<'t>, problems: &mut Problems) -> Option<Vec<Placed<&'t str>>> {
    if item.is_text() {
        return item.text(problems).map(|text| vec![text]);
    }
    item.texts("strings", problems)
}

/// Reads names that are referred to: one, or a list of them. `None` where it is neither.
fn names(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<Placed<Box<str>>>> {
    let texts = texts(item, problems)?;
    Some(texts.into_iter().map(|text| text.map(Into::into)).collect())
}
