//! Rust source text as tokens, as far as the tests of the sources need it: code, comments and
//! string literals with their lines.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An identifier, `::`, or one other character that is not white space.
    Code,
    /// One line of a `//` comment, or a whole `/* */` comment.
    Comment,
    /// A string literal with its quotes.
    Text,
}

/// A piece of a source file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'t str,
    /// The line where it begins, from 1.
    pub(crate) line: usize,
}

/// The tokens of a file. Characters and lifetimes are left out.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = token(rest, first);
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: &rest[..length], line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The kind and length in octets of what `rest` begins with; no kind for what is left out.
fn token(rest: &str, first: char) -> (Option<TokenKind>, usize) {
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (Some(TokenKind::Comment), rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Some(TokenKind::Comment), end_of("*/", rest, 2));
    }
    if let Some(length) = string_length(rest) {
        return (Some(TokenKind::Text), length);
    }
    if let Some(after) = rest.strip_prefix('\'') {
        let is_character = after.starts_with('\\') || after.chars().nth(1) == Some('\'');
        let length = match is_character {
            true => quoted_length(rest, 1, '\''),
            false => 1 + after.find(|c| !is_of_word(c)).unwrap_or(after.len()),
        };
        return (None, length);
    }
    let length = match first {
        _ if is_of_word(first) => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
        _ if rest.starts_with("::") => 2,
        _ => first.len_utf8(),
    };
    (Some(TokenKind::Code), length)
}

/// The length of the string literal, raw or not, that `rest` begins with.
fn string_length(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| c != 'b' && c != 'r' && c != 'c').unwrap_or(0);
    let hashes = rest[prefix..].bytes().take_while(|octet| *octet == b'#').count();
    if prefix > 2 || !rest[prefix + hashes..].starts_with('"') {
        return None;
    }
    let open = prefix + hashes + 1;
    Some(match rest[..prefix].contains('r') {
        true => end_of(&format!("\"{}", "#".repeat(hashes)), rest, open),
        false => quoted_length(rest, open, '"'),
    })
}

fn end_of(end: &str, rest: &str, from: usize) -> usize {
    rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len())
}

/// The length of a quotation that may hold escapes.
fn quoted_length(rest: &str, open: usize, quote: char) -> usize {
    let mut is_escaped = false;
    for (offset, c) in rest[open..].char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return open + offset + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The tokens without the items that are compiled for tests alone.
pub(crate) fn without_tests(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let is_attribute = tokens[at..].len() >= ATTRIBUTE.len()
            && tokens[at..].iter().zip(ATTRIBUTE).all(|(token, text)| token.text == text);
        if is_attribute {
            at += item_length(&tokens[at..]);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// How many tokens the item at the start has: up to its `;` or its closing brace.
fn item_length(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate() {
        match (token.kind, token.text) {
            (TokenKind::Code, "{") => depth += 1,
            (TokenKind::Code, "}") => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            (TokenKind::Code, ";") if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The Rust files below a directory of the project, sorted by path.
pub(crate) fn files_below(directory: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut files);
    files.sort();
    files
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A file's path from the project's root, with forward slashes.
pub(crate) fn relative(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.strip_prefix(root).expect("a file of the project").to_string_lossy().replace('\\', "/")
}

/// Whether all of a file is compiled for tests alone.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}
