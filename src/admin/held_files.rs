//! Messages about files that are not in use as they are now.

use std::collections::HashMap;

use crate::{control::HeldStatus, listing};

/// Lists the held files with the reason, one line for all files that are held for the same reason.
pub(super) fn describe_held_files(held: &[HeldStatus]) -> Vec<String> {
    let mut groups: Vec<(&HeldStatus, Vec<&str>)> = Vec::new();
    let mut by_reason: HashMap<(bool, &[String]), usize> = HashMap::new();
    for file in held {
        let index =
            *by_reason.entry((file.is_left_out, file.errors.as_slice())).or_insert_with(|| {
                groups.push((file, Vec::new()));
                groups.len() - 1
            });
        groups[index].1.push(&file.file);
    }
    groups.into_iter().map(|(first, files)| describe_held_group(first, &files)).collect()
}

/// The line for `files`, all of which are held for the reason that `first` has.
fn describe_held_group(first: &HeldStatus, files: &[&str]) -> String {
    const MAX_FILES: usize = 5;
    const MAX_ERRORS: usize = 3;
    let more = first.errors.len().saturating_sub(MAX_ERRORS);
    let more = if more > 0 { format!("; and {more} more errors") } else { String::new() };
    let errors =
        first.errors.iter().take(MAX_ERRORS).map(String::as_str).collect::<Vec<_>>().join("; ");
    let are = if files.len() == 1 { "is" } else { "are" };
    format!(
        "{} {are} {}: {errors}{more}",
        listing::join_first(files, MAX_FILES, files.len()),
        first.in_use()
    )
}
