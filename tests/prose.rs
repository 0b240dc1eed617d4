//! How the sources read: names of types, comments, messages, and the length of files and functions.
//!
//! Reads `src/`, `tests/`, `benches/` and the fuzz targets as text. Names every offence as
//! `file:line`, with what to do. CONTRIBUTING.md has the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rust::{Token, TokenKind, files_below, is_test_file, relative, tokens, without_tests};

#[path = "support/rust.rs"]
mod rust;

const DIRECTORIES: [&str; 4] = ["src", "tests", "benches", "fuzz/fuzz_targets"];

/// Words that type names are made of: the field's, and plain English for software. A name that
/// needs another word needs a second look: is it the word that a network engineer would search for?
const TYPE_WORDS: &str = include_str!("prose/type_words.txt");

/// Type names that several modules may have, with the reason.
const SHARED_NAMES: [(&str, &str); 0] = [];

/// Words that comments and messages do without, and what to write instead.
const AVOIDED: [(&str, &str); 21] = [
    ("whom", "name the client, task or member"),
    ("whoever", "name the client, task or member"),
    ("somebody", "name the client, task or member"),
    ("nobody", "name the thing, and say `no`: no client, no task"),
    ("anew", "again"),
    ("amid", "during"),
    ("lest", "so that ... not"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("patience", "timeout"),
    ("in vain", "without effect"),
    ("under way", "in progress"),
    ("hangs on", "depends on"),
    ("hang on", "depend on"),
    ("thrown away", "discarded"),
    ("taken up", "applied"),
    ("earlier life", "previous run"),
    ("last words", "close timeout"),
    ("it is owed", "say what is missing"),
    ("is owed", "say what is missing"),
];

const COLUMNS: usize = 100;
const FILE_LINES: usize = 700;
const FUNCTION_LINES: usize = 70;
const GLOSSARY_ENTRIES: usize = 60;

#[test]
fn type_names_are_made_of_words_of_the_field() {
    let known: BTreeSet<&str> = TYPE_WORDS.split_whitespace().collect();
    let offences = each_file(&DIRECTORIES, |file| {
        let names = types(&file.tokens());
        names.into_iter().filter_map(|(name, line)| {
            let word = words_of_type(name).find(|word| !known.contains(word.as_str()))?;
            let advice = "find a word of the field, or add this one to tests/prose/type_words.txt";
            Some(file.offence(line, &format!("`{name}`: `{word}` is no known word: {advice}")))
        })
    });
    assert_none(&offences);
}

#[test]
fn a_type_name_stands_for_one_type() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files(&["src"]) {
        for (name, line) in types(&without_tests(file.tokens())) {
            places.entry(name.into()).or_default().push(format!("{}:{line}", file.path));
        }
    }
    let is_shared = |name: &str| SHARED_NAMES.iter().any(|(shared, _)| *shared == name);
    let offences: Vec<String> = places
        .iter()
        .filter(|(name, places)| places.len() > 1 && !is_shared(name))
        .map(|(name, places)| format!("`{name}` stands for several types: {}", places.join(", ")))
        .collect();
    assert_none(&offences);
    for (name, why) in SHARED_NAMES {
        assert!(places.get(name).is_some_and(|places| places.len() > 1), "`{name}`: {why}: not so");
    }
}

#[test]
fn comments_and_messages_use_established_words() {
    let offences = each_file(&DIRECTORIES, |file| {
        let texts = file.tokens().into_iter().filter(|token| token.kind != TokenKind::Code);
        texts.flat_map(|token| avoided_in(file, &token)).collect::<Vec<_>>()
    });
    assert_none(&offences);
}

#[test]
fn doc_comments_have_more_than_three_words() {
    let offences = each_file(&DIRECTORIES, |file| {
        doc_comments(&file.text).into_iter().filter_map(|(line, text)| {
            let words = text.split_whitespace().filter(|word| word.contains(char::is_alphabetic));
            (words.count() <= 3).then(|| {
                let advice = "say unit, range and meaning, or let a better name speak";
                file.offence(line, &format!("`{text}`: {advice}"))
            })
        })
    });
    assert_none(&offences);
}

#[test]
fn comments_are_at_most_100_columns_wide() {
    let offences = each_file(&DIRECTORIES, |file| {
        let wide = |line: &str| {
            let text = line.trim_start();
            let is_table = text.starts_with("//! |") || text.starts_with("/// |");
            let is_link = text.contains("https://");
            text.starts_with("//") && !is_table && !is_link && line.chars().count() > COLUMNS
        };
        let lines = file.text.lines().enumerate().filter(move |(_, line)| wide(line));
        lines.map(|(index, _)| file.offence(index + 1, "a comment wider than 100 columns"))
    });
    assert_none(&offences);
}

#[test]
fn files_have_at_most_700_lines_and_functions_at_most_70() {
    let offences = each_file(&["src"], |file| {
        let count = file.text.lines().count();
        let long = (count > FILE_LINES).then(|| file.offence(1, &format!("{count} lines")));
        let functions = match is_test_file(&file.path) {
            true => Vec::new(),
            false => functions(&without_tests(file.tokens())),
        };
        let functions = functions.into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES);
        let functions = functions
            .map(|(name, line, lines)| file.offence(line, &format!("`{name}`: {lines} lines")));
        long.into_iter().chain(functions).collect::<Vec<_>>()
    });
    assert_none(&offences);
}

#[test]
fn the_glossary_has_at_most_60_entries_and_each_names_something_in_the_sources() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/glossary.md"))
        .expect("the glossary");
    let entries: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("- **")).collect();
    assert!((20..=GLOSSARY_ENTRIES).contains(&entries.len()), "{} entries", entries.len());
    let sources: String =
        files(&["src"]).into_iter().map(|file| file.text.to_lowercase()).collect();
    for entry in entries {
        let (term, meaning) = entry.split_once("**: ").unwrap_or_else(|| panic!("{entry}"));
        assert!(meaning.split_whitespace().count() > 4, "{term}: {meaning}");
        let names = ["", " ", "_", "-"].map(|gap| term.replace(' ', gap).to_lowercase());
        assert!(names.iter().any(|name| sources.contains(name)), "no source says `{term}`");
    }
}

#[test]
fn an_offence_is_found_in_every_form() {
    let file = |text: &str| SourceFile { path: "src/sample.rs".into(), text: text.into() };
    let names = |text: &str| {
        types(&file(text).tokens()).into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("pub struct A;\nenum B {}\ntrait C {}\ntype D = u8;"), ["A", "B", "C", "D"]);
    assert_eq!(names("impl I for S { type Item = u8; }"), [""; 0], "an associated type");
    let words: Vec<String> = words_of_type("HttpsRRsetV4Id").collect();
    assert_eq!(words, ["Https", "R", "Rset", "V4", "Id"]);
    let avoided = |text: &str| {
        let file = file(text);
        file.tokens().iter().flat_map(|token| avoided_in(&file, token)).count()
    };
    assert_eq!(avoided("// For whom.\nlet whom = \"Nobody, in\\n vain\";"), 3);
    assert_eq!(avoided("// Two lines: work in\n// vain"), 0, "one line at a time");
    assert_eq!(avoided("// recommends, pleasant"), 0, "parts of longer words");
    assert_eq!(doc_comments("/// Of whom.\nstruct S;\n\n    /// One\n    /// two.\n").len(), 2);
    let long = format!("fn short() {{}}\nfn long() {{\n{}}}\n", "    x();\n".repeat(71));
    let found = functions(&file(&long).tokens());
    assert_eq!(found, [("short", 1, 1), ("long", 2, 73)].map(|(n, l, c)| (n.to_owned(), l, c)));
}

/// One file of the sources.
struct SourceFile {
    /// The path from the project's root.
    path: String,
    text: String,
}

impl SourceFile {
    fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.text)
    }

    fn offence(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn files(directories: &[&str]) -> Vec<SourceFile> {
    let paths = directories.iter().flat_map(|directory| files_below(directory));
    paths
        // This file names what it forbids.
        .filter(|path| !path.ends_with("tests/prose.rs"))
        .map(|path| SourceFile {
            path: relative(&path),
            text: fs::read_to_string(&path).expect("a source file"),
        })
        .collect()
}

fn each_file<'f, I: IntoIterator<Item = String>>(
    directories: &[&str],
    offences: impl Fn(&'static SourceFile) -> I + 'f,
) -> Vec<String> {
    // A test reads its files once and then ends.
    let files: &'static [SourceFile] = files(directories).leak();
    assert!(files.len() > 50, "only {} files: are these the sources?", files.len());
    files.iter().flat_map(offences).collect()
}

fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

/// The names of types that a file defines, with their lines. Associated types are left out.
fn types<'t>(all: &[Token<'t>]) -> Vec<(&'t str, usize)> {
    let code: Vec<&Token<'t>> = all.iter().filter(|token| token.kind == TokenKind::Code).collect();
    let mut found = Vec::new();
    // For each open brace, whether it is that of an `impl` or a `trait`.
    let mut open: Vec<bool> = Vec::new();
    let mut is_of_items = false;
    for (index, token) in code.iter().enumerate() {
        let name = code.get(index + 1).map_or("", |next| next.text);
        let is_named = name.starts_with(char::is_uppercase);
        match token.text {
            "impl" => is_of_items = true,
            "trait" if is_named => {
                is_of_items = true;
                found.push((name, token.line));
            }
            "{" => open.push(std::mem::take(&mut is_of_items)),
            "}" => {
                open.pop();
            }
            ";" => is_of_items = false,
            "struct" | "enum" if is_named => found.push((name, token.line)),
            "type" if is_named && open.last() != Some(&true) => found.push((name, token.line)),
            _ => {}
        }
    }
    found
}

/// `HttpProbe` is `Http` and `Probe`.
fn words_of_type(name: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_uppercase() => word.push(c),
            _ => words.push(c.into()),
        }
    }
    words.into_iter()
}

fn avoided_in(file: &SourceFile, token: &Token<'_>) -> Vec<String> {
    if token.kind == TokenKind::Code {
        return Vec::new();
    }
    let text = format!(" {} ", token.text.to_lowercase().replace("\\n", " "));
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).collect();
    let line = format!(" {} ", words.join(" "));
    AVOIDED
        .iter()
        .filter(|(word, _)| line.contains(&format!(" {word} ")))
        .map(|(word, instead)| file.offence(token.line, &format!("`{word}`: write: {instead}")))
        .collect()
}

/// Each block of `///` lines as one text, with its first line's number.
fn doc_comments(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut is_inside = false;
    for (index, line) in text.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("///");
        match (comment, found.last_mut()) {
            (Some(comment), Some((_, text))) if is_inside => {
                text.push(' ');
                text.push_str(comment.trim());
            }
            (Some(comment), _) => found.push((index + 1, comment.trim().to_owned())),
            (None, _) => {}
        }
        is_inside = comment.is_some();
    }
    found
}

/// The functions of a file: name, first line, number of lines.
fn functions(all: &[Token<'_>]) -> Vec<(String, usize, usize)> {
    let code: Vec<&Token<'_>> = all.iter().filter(|token| token.kind == TokenKind::Code).collect();
    let starts = (0..code.len()).filter(|&at| code[at].text == "fn" && at + 1 < code.len());
    starts
        .filter_map(|start| {
            let mut depth = 0;
            for token in &code[start..] {
                match token.text {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    // A declaration without a body.
                    ";" if depth == 0 => return None,
                    _ => continue,
                }
                if depth == 0 && token.text == "}" {
                    let (name, first) = (code[start + 1].text.to_owned(), code[start].line);
                    return Some((name, first, token.line - first + 1));
                }
            }
            None
        })
        .collect()
}
