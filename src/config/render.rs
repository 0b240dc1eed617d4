//! Renders a diagnostic as a compiler shows it: the line, a caret under the marked octets, the
//! help.
//!
//! The renderer gets only the marked lines, and no line longer than the bound: a file may be one
//! line of 60 MB. Passwords of URLs in the lines are shown as stars.

use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use super::{
    diagnostic::{Diagnostic, Severity},
    place::SourcePlace,
    position::position,
    sources::SourceFile,
};
use crate::printable::{is_unprintable, secret_ranges};

/// Whether rendered text carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Plain text without ANSI colour codes.
    Plain,
    /// Text with ANSI escape sequences for colours.
    Ansi,
}

/// The longest line that is shown, in octets.
const LONGEST_LINE: usize = 400;

/// Appends the rendered diagnostic to `out`, without a final newline.
pub(super) fn render(
    files: &[SourceFile],
    diagnostic: &Diagnostic,
    colours: Colours,
    out: &mut String,
) {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(diagnostic.message.as_str()).element(excerpt(
        files,
        diagnostic.place,
        AnnotationKind::Primary,
        diagnostic.label.as_deref(),
    ));
    for (place, text) in &diagnostic.related {
        group = group.element(excerpt(files, *place, AnnotationKind::Context, Some(text)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = match colours {
        Colours::Plain => Renderer::plain(),
        Colours::Ansi => Renderer::styled(),
    };
    out.push_str(&renderer.render(&[group]));
}

/// The first line of a place with its octets marked, or the position alone where no line can be
/// shown.
fn excerpt<'d>(
    files: &'d [SourceFile],
    place: SourcePlace,
    kind: AnnotationKind,
    label: Option<&'d str>,
) -> Element<'d> {
    let position = position(files, place);
    let Some((line, column)) = position.line_column else {
        return Origin::path(position.file).into();
    };
    match line_of(files, place) {
        Some((text, from, to)) => {
            let mark: Annotation<'_> = kind.span(from..to).label(label);
            Snippet::source(text).line_start(line).path(position.file).annotation(mark).into()
        }
        None => Origin::path(position.file).line(line).char_column(column).into(),
    }
}

/// The line in which a place starts, and the range of it that is marked.
fn line_of(files: &[SourceFile], place: SourcePlace) -> Option<(String, usize, usize)> {
    let file = files.get(place.file().index())?;
    let (octets, span) = (file.octets(), place.span()?);
    let start = span.start.min(octets.len());
    let (_, line_start) = file.line_at(start);
    let longest = octets.len().min(line_start + LONGEST_LINE + 1);
    let line_end = octets
        .get(start..longest)?
        .iter()
        .position(|&b| b == b'\n')
        .map_or(longest, |length| start + length);
    if line_end - line_start > LONGEST_LINE {
        return None;
    }
    let mut line = octets[line_start..line_end].to_vec();
    for secret in secret_ranges(&line) {
        line[secret].fill(b'*');
    }
    let (start, end) = (start - line_start, span.end.clamp(start, line_end) - line_start);
    // The parts are made printable one by one, so that the mark stays under its octets.
    let before = visible_text(&line[..start]);
    let marked = visible_text(&line[start..end]);
    let after = visible_text(&line[end..]);
    let (from, to) = (before.len(), before.len() + marked.len());
    Some((before + &marked + after.trim_end(), from, to))
}

/// The octets as text, with a replacement for each character that a terminal interprets.
fn visible_text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets)
        .chars()
        .filter(|&c| c != '\r')
        .map(|c| if is_unprintable(c) && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}
