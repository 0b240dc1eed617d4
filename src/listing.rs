//! Lists in messages, cut after a few items, with the number of items that are left out.

use std::fmt::{Display, Write as _};

/// The first `max_shown` items, and how many more of all `count` there are: `a, b and 3 more`.
pub fn join_first(
    items: impl IntoIterator<Item: Display>,
    max_shown: usize,
    count: usize,
) -> String {
    let mut text = String::new();
    let mut shown = 0;
    for item in items.into_iter().take(max_shown) {
        let comma = if shown > 0 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{item}");
        shown += 1;
    }
    match count.saturating_sub(shown) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// A count with its noun in singular or plural: `1 service`, `2 services`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_many_items_are_left_out() {
        for (max_shown, count, text) in
            [(3, 3, "1, 2, 3"), (2, 3, "1, 2 and 1 more"), (3, 5, "1, 2, 3 and 2 more")]
        {
            assert_eq!(join_first([1, 2, 3], max_shown, count), text);
        }
        assert_eq!(join_first([0; 0], 3, 0), "");
    }
}
