//! The screen: how many columns and lines a report has, and how text is fitted into them.

use std::io::IsTerminal as _;

/// The size of a screen that no terminal reports.
const DEFAULT_LINES: usize = 24;
/// The least width to which text is fitted.
const MIN_COLUMNS: usize = 40;

/// The room for a report. A pipe gets whole lines, however long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// The number of columns; `usize::MAX` where lines are not fitted.
    pub(super) columns: usize,
    /// The number of lines of an overview.
    pub(super) lines: usize,
}

impl Screen {
    /// The screen of this process: that of the terminal, else by COLUMNS and LINES.
    pub(super) fn of_process() -> Self {
        let variable = |name: &str| std::env::var(name).ok()?.parse().ok();
        let terminal = match std::io::stdout().is_terminal() {
            true => terminal_size::terminal_size(),
            false => None,
        };
        let columns = terminal.map(|(width, _)| usize::from(width.0));
        let lines = terminal.map(|(_, height)| usize::from(height.0));
        Self {
            columns: columns
                .or_else(|| variable("COLUMNS"))
                .map_or(usize::MAX, |columns: usize| columns.max(MIN_COLUMNS)),
            lines: lines.or_else(|| variable("LINES")).unwrap_or(DEFAULT_LINES).max(DEFAULT_LINES),
        }
    }

    /// The number of lines that a text takes, with those that a terminal adds at its edge.
    pub(super) fn lines_of(&self, text: &str) -> usize {
        text.trim_end().lines().map(|line| width(line).max(1).div_ceil(self.columns)).sum()
    }

    /// A line that is cut at the edge; an ellipsis shows where.
    pub(super) fn cut(&self, line: &str) -> String {
        if width(line) <= self.columns {
            return line.to_owned();
        }
        let mut kept: String = line.chars().take(self.columns - 1).collect();
        kept.push('\u{2026}');
        kept
    }

    /// A text as lines that fit, each but the first with `indent` blanks in front.
    pub(super) fn wrap(&self, text: &str, indent: usize) -> Vec<String> {
        let words = text.trim_start_matches(' ');
        let mut lines = Vec::new();
        let mut line = " ".repeat(text.len() - words.len());
        let mut is_first = true;
        for word in words.split(' ') {
            if !is_first && width(&line) + 1 + width(word) > self.columns {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent) + word));
                continue;
            }
            if !is_first {
                line.push(' ');
            }
            line.push_str(word);
            is_first = false;
        }
        lines.push(line);
        lines
    }
}

/// The number of columns of a text without control sequences of colours.
pub(super) fn width(text: &str) -> usize {
    let mut count = 0;
    let mut is_sequence = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => is_sequence = true,
            'm' if is_sequence => is_sequence = false,
            _ if is_sequence => {}
            _ => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_between_words_and_cut_at_the_edge() {
        let screen = Screen { columns: 12, lines: 24 };
        assert_eq!(screen.wrap("  one two three four", 4), ["  one two", "    three", "    four"]);
        assert_eq!(screen.wrap("averyverylongword", 4), ["averyverylongword"]);
        assert_eq!(screen.cut("exactly 12 c"), "exactly 12 c");
        assert_eq!(screen.cut("more than twelve"), "more than t\u{2026}");
        assert_eq!(
            screen.lines_of("short\n\n\u{1b}[1mtwelve chars\u{1b}[0m\nmore than twelve\n"),
            5
        );
        let pipe = Screen { columns: usize::MAX, lines: 24 };
        assert_eq!(pipe.cut("more than twelve"), "more than twelve");
        assert_eq!(pipe.lines_of("more than twelve"), 1);
    }
}
