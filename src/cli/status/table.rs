//! Tables: aligned columns, of which the last one is wrapped at the edge of the screen.

use crate::cli::screen::{Screen, width};
use crate::cli::text::StatusStyle;

/// The blanks between two columns.
const GAP: usize = 2;
/// The least width of a last column that is wrapped; one with less room is below the others.
const MIN_LAST: usize = 24;
/// The blanks in front of a last cell that is below the others.
const BELOW_INDENT: usize = 8;

/// How a cell is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellColour {
    Plain,
    Good,
    Warn,
    Bad,
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(super) struct TableCell {
    text: String,
    colour: CellColour,
}

impl TableCell {
    pub(super) fn coloured(text: impl Into<String>, colour: CellColour) -> Self {
        Self { text: text.into(), colour }
    }
}

impl<T: Into<String>> From<T> for TableCell {
    fn from(text: T) -> Self {
        Self::coloured(text, CellColour::Plain)
    }
}

/// A table with a heading.
#[derive(Debug)]
pub(super) struct TextTable {
    heading: Vec<&'static str>,
    /// Columns of numbers, which are aligned to the right.
    numbers: &'static [&'static str],
    rows: Vec<Vec<TableCell>>,
}

impl TextTable {
    /// A table of these columns; those in `numbers` are aligned to the right.
    pub(super) fn new(heading: &[&'static str], numbers: &'static [&'static str]) -> Self {
        Self { heading: heading.to_vec(), numbers, rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn push(&mut self, row: Vec<TableCell>) {
        self.rows.push(row);
    }

    /// The lines of the heading and of each row. A row whose last cell is wrapped has several. If
    /// there is no room for the last column, its cells are below the others.
    pub(super) fn lines(&self, screen: Screen, style: StatusStyle) -> Vec<String> {
        let heading: Vec<TableCell> = self.heading.iter().map(|&title| title.into()).collect();
        let widths = self.widths();
        let indent: usize = widths.iter().rev().skip(1).map(|width| width + GAP).sum();
        let room = screen.columns.saturating_sub(indent);
        let fits = widths.last().is_none_or(|last| *last <= room);
        let layout = match (fits, room < MIN_LAST) {
            (true, _) => LastColumn::InLine,
            (false, false) => LastColumn::Wrapped { indent },
            (false, true) => LastColumn::Below,
        };
        let mut lines = Vec::new();
        // A heading of cells that are below would be a line of its own.
        let shown = if layout == LastColumn::Below { heading.len() - 1 } else { heading.len() };
        let line = self.start(&heading[..shown], &widths, StatusStyle { is_coloured: false });
        lines.push(style.strong(line.trim_end()));
        for row in &self.rows {
            let Some((last, others)) = row.split_last() else { continue };
            let start = self.start(others, &widths, style);
            lines.extend(last_lines(start, last, layout, screen, style));
        }
        lines
    }

    /// The width of each column.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heading.iter().map(|title| width(title)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(&cell.text).max(*widest);
            }
        }
        widths
    }

    /// The cells of a row, each padded to the width of its column.
    fn start(&self, cells: &[TableCell], widths: &[usize], style: StatusStyle) -> String {
        let mut start = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(width(&cell.text)));
            let text = painted(cell, &cell.text, style);
            let is_number = self.numbers.contains(&self.heading[column]);
            let (before, after) = if is_number { (&*padding, "") } else { ("", &*padding) };
            start += &format!("{before}{text}{after}{}", " ".repeat(GAP));
        }
        start
    }
}

/// Where the cells of the last column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastColumn {
    /// Behind the others, in the same line.
    InLine,
    /// Behind the others, wrapped at the edge.
    Wrapped { indent: usize },
    /// In lines of its own below the others.
    Below,
}

/// The lines of a row, from its padded cells and its last one.
fn last_lines(
    start: String,
    last: &TableCell,
    layout: LastColumn,
    screen: Screen,
    style: StatusStyle,
) -> Vec<String> {
    let wrapped = |indent: usize| {
        let columns = screen.columns.saturating_sub(indent).max(1);
        Screen { columns, ..screen }.wrap(&last.text, 0)
    };
    let indented = |indent: usize, part: &String| " ".repeat(indent) + &painted(last, part, style);
    let mut lines = match layout {
        LastColumn::InLine => vec![start + &painted(last, &last.text, style)],
        LastColumn::Wrapped { indent } => {
            let parts = wrapped(indent);
            let first = start + &painted(last, &parts[0], style);
            let others = parts[1..].iter().map(|part| indented(indent, part));
            std::iter::once(first).chain(others).collect()
        }
        LastColumn::Below if last.text.is_empty() => vec![start],
        LastColumn::Below => {
            let parts = wrapped(BELOW_INDENT);
            let below = parts.iter().map(|part| indented(BELOW_INDENT, part));
            std::iter::once(start).chain(below).collect()
        }
    };
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

fn painted(cell: &TableCell, text: &str, style: StatusStyle) -> String {
    match cell.colour {
        CellColour::Plain => text.to_owned(),
        CellColour::Good => style.good(text),
        CellColour::Warn => style.warn(text),
        CellColour::Bad => style.bad(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_numbers_to_the_right_and_the_last_column_is_wrapped() {
        let mut table = TextTable::new(&["name", "members", "why"], &["members"]);
        table.push(vec!["www".into(), "4".into(), "the first of two words in two lines".into()]);
        table.push(vec!["a-longer-name".into(), "1,234".into(), "".into()]);
        let style = StatusStyle { is_coloured: false };
        let screen = Screen { columns: 50, lines: 24 };
        assert_eq!(
            table.lines(screen, style),
            [
                "name           members  why",
                "www                  4  the first of two words in",
                "                        two lines",
                "a-longer-name    1,234",
            ]
        );
        let narrow = Screen { columns: 40, lines: 24 };
        assert_eq!(
            table.lines(narrow, style),
            [
                "name           members",
                "www                  4",
                "        the first of two words in two",
                "        lines",
                "a-longer-name    1,234",
            ]
        );
        let pipe = Screen { columns: usize::MAX, lines: 24 };
        assert_eq!(table.lines(pipe, style).len(), 3, "a pipe gets whole lines");
    }
}
