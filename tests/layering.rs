//! The import rules: what each module may import, and what the pure modules must not mention.
//!
//! Reads `src/` as text, without its comments, strings and tests. Reports every violation as
//! `file:line`.

use std::{collections::BTreeMap, fmt, fs};

use imports::Imports;
use rust::{TokenKind, files_below, is_test_file, relative, tokens, without_tests};

#[path = "support/imports.rs"]
mod imports;
#[path = "support/rust.rs"]
mod rust;

/// A row of the table in `src/lib.rs`. A module imports from the rows above its own.
struct Layer {
    modules: &'static [&'static str],
    /// Whether a module may also import from those to its left in the same row.
    leans_left: bool,
}

const fn apart(modules: &'static [&'static str]) -> Layer {
    Layer { modules, leans_left: false }
}

const fn leaning(modules: &'static [&'static str]) -> Layer {
    Layer { modules, leans_left: true }
}

const LAYERS: [Layer; 9] = [
    apart(&["demand", "dns", "geo", "health", "load", "listing", "number_format", "printable"]),
    apart(&["steer"]),
    apart(&["zone"]),
    apart(&["snapshot"]),
    apart(&["os"]),
    apart(&["dns_client", "files", "random"]),
    apart(&["engine", "config", "probe", "resolve"]),
    leaning(&["transport", "control", "admin"]),
    leaning(&["app", "cli"]),
];

/// Modules that are functions of their arguments.
const PURE: [&str; 12] = [
    "demand",
    "dns",
    "geo",
    "health",
    "load",
    "listing",
    "number_format",
    "printable",
    "steer",
    "zone",
    "snapshot",
    "engine",
];

/// What a pure module must not mention, and why.
const IMPURE: [(&str, &str); 18] = [
    ("tokio", "nothing pure waits"),
    ("async", "nothing pure waits"),
    ("UdpSocket", "sockets are transport's"),
    ("TcpStream", "sockets are transport's"),
    ("TcpListener", "sockets are transport's"),
    ("socket2", "sockets are transport's"),
    ("libc", "system calls belong to the os module"),
    ("fs", "files are read by config and control, and handed over as octets"),
    ("File", "files are read by config and control, and handed over as octets"),
    ("env", "the environment is an argument"),
    ("thread", "threads are started by app and transport"),
    ("Instant", "the time is an argument"),
    ("SystemTime", "the time is an argument"),
    ("Mutex", "a snapshot never changes: there is nothing to lock"),
    ("RwLock", "a snapshot never changes: there is nothing to lock"),
    ("RefCell", "a snapshot never changes: there is nothing to borrow"),
    ("println", "output is the command line's"),
    ("eprintln", "output is the command line's"),
];

/// Modules that a query passes through: they do not log either. (`steer` logs surveys, which take
/// long.)
const QUERY_PATH: [&str; 5] = ["dns", "geo", "zone", "snapshot", "engine"];

/// The one module that may hold `unsafe`.
const UNSAFE: &str = "os";

#[test]
fn every_module_imports_only_from_below() {
    let offences: Vec<Violation> = sources().iter().flat_map(imports_from_above).collect();
    assert!(offences.is_empty(), "{}", listed(&offences));
}

#[test]
fn pure_modules_know_no_clock_no_lock_no_socket_and_no_file() {
    let offences: Vec<Violation> = sources().iter().flat_map(impurities).collect();
    assert!(offences.is_empty(), "{}", listed(&offences));
}

#[test]
fn only_the_os_module_holds_unsafe() {
    let offences: Vec<Violation> = sources().iter().flat_map(unsafe_elsewhere).collect();
    assert!(offences.is_empty(), "{}", listed(&offences));
}

#[test]
fn no_files_of_a_module_import_each_other_in_a_circle() {
    let imports = Imports::read();
    assert!(
        imports.files.len() > 300,
        "only {} files: are these the sources?",
        imports.files.len()
    );
    let circles: Vec<String> = imports.circles().iter().map(|circle| circle.join("\n  ")).collect();
    assert!(
        circles.is_empty(),
        "{} groups of files import each other in a circle: move the noun that they share into a file \
         of its own\n  {}",
        circles.len(),
        circles.join("\n\n  ")
    );
}

#[test]
fn a_circle_is_found_in_every_form() {
    let circles_of = |texts: &[(&str, &str)]| {
        let texts = texts.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        Imports::of_texts(texts).circles().len()
    };
    for (texts, expected, why) in [
        (
            vec![("src/a/b.rs", "use super::c::X;"), ("src/a/c.rs", "use super::b::Y;")],
            1,
            "two files",
        ),
        (
            vec![("src/a/mod.rs", "mod b;\nstruct X; use b::Y;"), ("src/a/b.rs", "use super::X;")],
            1,
            "a parent that has the item",
        ),
        (
            vec![
                ("src/a/mod.rs", "mod b;\nmod c;\npub use b::Y;\npub(super) use c::X;"),
                ("src/a/b.rs", "use super::X;"),
                ("src/a/c.rs", ""),
            ],
            0,
            "a parent that re-exports the item",
        ),
        (
            vec![
                ("src/a/mod.rs", "mod b;\nmod c;\npub use {b::Y, c::X};"),
                ("src/a/b.rs", "fn f() { super::X::new() }"),
                ("src/a/c.rs", "use crate::a::{other, Y};"),
            ],
            1,
            "two files by their parent",
        ),
        (
            vec![("src/a/b.rs", "use crate::c::X;"), ("src/c.rs", "use crate::a::b::Y;")],
            0,
            "two top modules: the rule of layers covers them",
        ),
        (
            vec![
                ("src/a/b.rs", "#[cfg(test)]\nmod tests { use super::super::c::X; }"),
                ("src/a/c.rs", "use super::b::Y;"),
            ],
            0,
            "by a test",
        ),
    ] {
        assert_eq!(circles_of(&texts), expected, "{why}");
    }
}

#[test]
fn an_import_from_above_is_found_in_every_form() {
    for (text, expected, why) in [
        ("use crate::engine::answer;", vec![(1, "engine")], "a plain path"),
        (
            "use crate::{\n    dns::Name,\n    control::{self, World},\n};",
            vec![(3, "control")],
            "a tree",
        ),
        ("fn f() {\n    crate::app::serve()\n}", vec![(2, "app")], "a path in code"),
        ("use super::super::zone::Zone;", vec![(1, "zone")], "a way up to the root"),
        ("pub(crate) use crate::steer::Chart;", vec![(1, "steer")], "its own layer, and beside it"),
        ("use crate::nowhere::Thing;", vec![(1, "nowhere")], "a module that has no layer"),
        (
            "use crate::dns::Name;\nuse crate::geo::Atlas;",
            vec![(2, "geo")],
            "the same layer, another module",
        ),
        (
            "/* crate::app */ // crate::app\n/// [`crate::app`]\nconst A: &str = \"crate::app\";",
            vec![],
            "not code",
        ),
        (
            "#[cfg(test)]\nmod tests {\n    use crate::control::World;\n}",
            vec![],
            "tests may use everything",
        ),
        ("use super::name::Name;\nuse crate::dns::Rcode;", vec![], "its own module"),
    ] {
        let source = ModuleFile::new("dns", "src/dns/sample.rs", text);
        let found: Vec<_> = imports_from_above(&source)
            .into_iter()
            .map(|offence| (offence.line, offence.what))
            .collect();
        let found: Vec<_> = found.iter().map(|(line, what)| (*line, what.as_str())).collect();
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn an_impurity_is_found_wherever_it_hides() {
    for (text, expected, why) in [
        ("use std::{\n    net::IpAddr,\n    time::Instant,\n};", vec![3], "in a tree"),
        ("fn f() { let _ = std::fs::read(\"x\"); }", vec![1], "in code"),
        ("struct S(std::sync::Mutex<u8>);", vec![1], "in a type"),
        ("fn f() { tracing::info!(\"x\"); }", vec![1], "a log on the way of a query"),
        (
            "// std::fs, Instant\nconst X: char = 'x';\nfn f<'fs>(_: &'fs str) {}",
            vec![],
            "no code, a lifetime",
        ),
        ("const X: &str = r#\"Mutex \"quoted\" fs\"#;", vec![], "a raw string"),
        ("fn f(fs_type: u8) {}", vec![], "part of a longer word"),
    ] {
        let found: Vec<usize> =
            impurities(&ModuleFile::new("engine", "src/engine/sample.rs", text))
                .iter()
                .map(|found| found.line)
                .collect();
        assert_eq!(found, expected, "{why}");
    }
    let elsewhere =
        ModuleFile::new("control", "src/control/sample.rs", "use std::{fs, time::Instant};");
    assert!(impurities(&elsewhere).is_empty(), "the control side may have both");
    let steer = ModuleFile::new("steer", "src/steer/sample.rs", "unsafe fn f() {}");
    assert_eq!(unsafe_elsewhere(&steer).len(), 1);
}

/// A rule that a line breaks.
#[derive(Debug)]
struct Violation {
    path: String,
    line: usize,
    what: String,
    why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}`: {}", self.path, self.line, self.what, self.why)
    }
}

fn listed(offences: &[Violation]) -> String {
    let lines: Vec<String> = offences.iter().map(ToString::to_string).collect();
    format!("{} lines break a wall:\n{}", lines.len(), lines.join("\n"))
}

/// A file of `src/`: its top module and its words.
struct ModuleFile {
    module: String,
    path: String,
    /// How many modules it is inside of, its own included.
    depth: usize,
    words: Vec<Lexeme>,
}

impl ModuleFile {
    fn new(module: &str, path: &str, text: &str) -> Self {
        let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
        let depth = inside.trim_end_matches("/mod").split('/').count();
        Self { module: module.into(), path: path.into(), depth, words: words(text) }
    }

    fn offence(&self, word: &Lexeme, why: impl Into<String>) -> Violation {
        Violation {
            path: self.path.clone(),
            line: word.line,
            what: word.text.clone(),
            why: why.into(),
        }
    }
}

/// Every file of `src/` but the tests and the binary.
fn sources() -> Vec<ModuleFile> {
    let sources: Vec<ModuleFile> = files_below("src")
        .iter()
        .filter_map(|file| {
            let path = relative(file);
            let module = path.trim_start_matches("src/").split(['/', '.']).next()?;
            let is_root = ["lib", "main"].contains(&module);
            (!is_test_file(&path) && !is_root).then(|| {
                ModuleFile::new(module, &path, &fs::read_to_string(file).expect("a source file"))
            })
        })
        .collect();
    assert!(sources.len() > 50, "only {} files: are these the sources?", sources.len());
    sources
}

// The rules

fn imports_from_above(source: &ModuleFile) -> Vec<Violation> {
    let places: BTreeMap<&str, (usize, usize)> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(row, layer)| {
            layer.modules.iter().enumerate().map(move |(column, module)| (*module, (row, column)))
        })
        .collect();
    let Some(&(row, column)) = places.get(source.module.as_str()) else {
        let line = Lexeme { text: source.module.clone(), line: 1 };
        return vec![source.offence(
            &line,
            "a module without a layer: add it to the tables here and in src/lib.rs",
        )];
    };
    let why = |target: &str| match places.get(target) {
        _ if target == source.module => None,
        None => Some("a module without a layer, or an item of the root".to_owned()),
        Some(&(above, _)) if above > row => {
            Some(format!("layer {} must not know layer {}", row + 1, above + 1))
        }
        Some(&(same, left)) if same == row && !(LAYERS[row].leans_left && left < column) => Some(
            format!("{} and {target} stand beside each other in layer {}", source.module, row + 1),
        ),
        Some(_) => None,
    };
    imported(source)
        .into_iter()
        .filter_map(|word| Some(source.offence(word, why(&word.text)?)))
        .collect()
}

/// The top modules that paths name, each with its place.
fn imported(source: &ModuleFile) -> Vec<&Lexeme> {
    let words = &source.words;
    let mut found = Vec::new();
    for start in 0..words.len() {
        let is_path_start = start == 0 || words[start - 1].text != "::";
        let after = match words[start].text.as_str() {
            "crate" if is_path_start => start + 1,
            "super" if is_path_start => {
                let supers =
                    words[start..].chunks(2).take_while(|pair| pair[0].text == "super").count();
                if supers < source.depth {
                    continue;
                }
                start + 2 * supers - 1
            }
            _ => continue,
        };
        if words.get(after).is_none_or(|word| word.text != "::") {
            continue;
        }
        match words.get(after + 1) {
            Some(word) if word.text == "{" => found.extend(first_names(&words[after + 1..])),
            Some(word) => found.push(word),
            None => {}
        }
    }
    found
}

/// In `{ a::b, c::{d, e} }` the names `a` and `c`.
fn first_names(tree: &[Lexeme]) -> Vec<&Lexeme> {
    let mut depth = 0;
    let mut names = Vec::new();
    for (at, word) in tree.iter().enumerate() {
        match word.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => {}
            _ if depth == 1 && ["{", ","].contains(&tree[at - 1].text.as_str()) => names.push(word),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn impurities(source: &ModuleFile) -> Vec<Violation> {
    let is_in = |modules: &[&str]| modules.contains(&source.module.as_str());
    let why = |word: &Lexeme| match word.text.as_str() {
        "tracing" if is_in(&QUERY_PATH) => Some("nothing is logged on a query's way"),
        text if is_in(&PURE) => IMPURE.iter().find(|(name, _)| *name == text).map(|(_, why)| *why),
        _ => None,
    };
    source.words.iter().filter_map(|word| Some(source.offence(word, why(word)?))).collect()
}

fn unsafe_elsewhere(source: &ModuleFile) -> Vec<Violation> {
    let is_unsafe = |word: &&Lexeme| source.module != UNSAFE && word.text == "unsafe";
    source
        .words
        .iter()
        .filter(is_unsafe)
        .map(|word| source.offence(word, "only the os module may hold unsafe"))
        .collect()
}

/// An identifier, `::`, or one other character of the code.
#[derive(Debug)]
struct Lexeme {
    text: String,
    line: usize,
}

/// The code of a file without comments, strings, characters, lifetimes and tests.
fn words(text: &str) -> Vec<Lexeme> {
    without_tests(tokens(text))
        .into_iter()
        .filter(|token| token.kind == TokenKind::Code)
        .map(|token| Lexeme { text: token.text.into(), line: token.line })
        .collect()
}
