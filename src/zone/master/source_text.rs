//! The text of one file: turns spans into positions with line and column, and checks the encoding.

use super::{
    file::{FilePosition, MasterError},
    problem::Problem,
    span::TextSpan,
};

/// The maximum length of a message and of a help, in octets: either may quote a field of 1 MiB.
const MAX_MESSAGE_OCTETS: usize = 1000;

/// The text of one file, and its number in [`FilePosition::file`].
#[derive(Clone, Copy)]
pub(super) struct SourceText<'a> {
    pub(super) file: u32,
    pub(super) text: &'a [u8],
}

impl SourceText<'_> {
    pub(super) fn position(self, span: TextSpan) -> FilePosition {
        let before = &self.text[..span.start];
        let line_start =
            before.iter().rposition(|&byte| byte == b'\n').map_or(0, |position| position + 1);
        // Continuation octets of UTF-8 do not start a character.
        let characters = before[line_start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        FilePosition {
            file: self.file,
            line: span.line,
            column: u32::try_from(characters + 1).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn error(self, problem: Problem) -> MasterError {
        MasterError {
            position: self.position(problem.span),
            span: problem.span.range(),
            message: truncate_message(problem.message.into_owned()),
            help: problem.help.map(|help| truncate_message(help.into_owned())),
            about_path: problem.about_path,
            is_load_budget: problem.excess.is_some_and(|excess| excess.is_of_load),
        }
    }
}

/// The text, cut after [`MAX_MESSAGE_OCTETS`] octets; the memory of the rest is freed.
fn truncate_message(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_OCTETS {
        let end = (0..=MAX_MESSAGE_OCTETS)
            .rev()
            .find(|&position| text.is_char_boundary(position))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Checks for the errors that are reported once for the whole file: a byte order mark and zero
/// octets.
pub(super) fn check_encoding(text: &[u8]) -> Result<(), Problem> {
    let start = TextSpan { start: 0, length: 0, line: 1 };
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(Problem::new(start, "the file starts with a byte order mark")
            .with_help("save it as UTF-8 without one (\"UTF-8\", not \"UTF-8 with BOM\")"));
    }
    if let Some(position) = text.iter().position(|&byte| byte == 0) {
        let line = 1 + text[..position].iter().filter(|&&byte| byte == b'\n').count();
        return Err(Problem::new(
            TextSpan { start: position, length: 1, line: u32::try_from(line).unwrap_or(u32::MAX) },
            "there is a zero octet here: this is not a text file",
        )
        .with_help("a master file is text in ASCII or UTF-8, not in UTF-16 and not binary"));
    }
    Ok(())
}
