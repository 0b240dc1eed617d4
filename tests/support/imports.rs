//! Which source file of `src/` uses which: the graph of paths in code, and its circles.
//!
//! `mod` and `pub use` declarations do not count: a module that only declares and re-exports
//! depends on its children by nature. A path through such a re-export counts as one to the file
//! that has the item.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust::{Token, TokenKind, files_below, is_test_file, relative, tokens, without_tests};

/// A module's path from the crate's root: `["steer", "chart"]`.
type ModulePath = Vec<String>;

/// The files of `src/` and the edges between them.
pub(crate) struct Imports {
    /// The path of each module's file.
    pub(crate) files: BTreeMap<ModulePath, String>,
    edges: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

/// What is read of one file.
struct Source {
    /// Paths of `pub use`: what the module re-exports.
    exported: Vec<Vec<String>>,
    /// All other paths, of `use` and in code.
    used: Vec<Vec<String>>,
}

impl Imports {
    /// Reads all files of `src/` but tests, `lib.rs` and `main.rs`.
    pub(crate) fn read() -> Self {
        let texts = files_below("src").into_iter().filter_map(|file| {
            let path = relative(&file);
            let is_root = path == "src/lib.rs" || path == "src/main.rs";
            let text = std::fs::read_to_string(&file).expect("a source file");
            (!is_root && !is_test_file(&path)).then_some((path, text))
        });
        Self::of_texts(texts.collect())
    }

    /// The graph of files given as path and text.
    pub(crate) fn of_texts(texts: Vec<(String, String)>) -> Self {
        let mut files = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for (path, text) in &texts {
            let module = module_path(path);
            sources.insert(module.clone(), Source::read(text));
            files.insert(module, path.clone());
        }
        let exports: BTreeMap<_, _> = sources
            .iter()
            .map(|(module, source)| (module.clone(), exports(&files, module, source)))
            .collect();
        let edges = sources
            .iter()
            .map(|(module, source)| {
                let mut targets: BTreeSet<ModulePath> = source
                    .used
                    .iter()
                    .filter_map(|path| target(&files, &exports, module, path))
                    .collect();
                targets.remove(module);
                (module.clone(), targets)
            })
            .collect();
        Self { files, edges }
    }

    /// Groups of files of one top module of which each uses the others, directly or not.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
            self.files.keys().map(|module| (module, self.reachable(module))).collect();
        let mut circles = Vec::new();
        let mut seen = BTreeSet::new();
        for module in self.files.keys() {
            if !reached[module].contains(module) || seen.contains(module) {
                continue;
            }
            let circle: Vec<&ModulePath> = self
                .files
                .keys()
                .filter(|other| reached[module].contains(other) && reached[other].contains(module))
                .collect();
            seen.extend(circle.iter().copied());
            circles.push(circle.into_iter().map(|other| self.files[other].as_str()).collect());
        }
        circles
    }

    /// The modules of the same top module that paths from `module` lead to.
    fn reachable(&self, module: &ModulePath) -> BTreeSet<&ModulePath> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&ModulePath> = self.edges[module].iter().collect();
        while let Some(next) = waiting.pop() {
            if next.first() == module.first() && reached.insert(next) {
                waiting.extend(&self.edges[next]);
            }
        }
        reached
    }
}

/// `src/steer/chart/mod.rs` and `src/steer/chart.rs` are both `steer::chart`.
fn module_path(path: &str) -> ModulePath {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside.trim_end_matches("/mod").split('/').map(str::to_owned).collect()
}

impl Source {
    fn read(text: &str) -> Self {
        let all = without_tests(tokens(text));
        let code: Vec<Token<'_>> =
            all.into_iter().filter(|token| token.kind == TokenKind::Code).collect();
        let mut source = Self { exported: Vec::new(), used: Vec::new() };
        let mut at = 0;
        while at < code.len() {
            if code[at].text == "use" {
                let end = at + code[at..].iter().take_while(|token| token.text != ";").count();
                let paths = paths_of_tree(&code[at + 1..end]);
                match is_public(&code[..at]) {
                    true => source.exported.extend(paths),
                    false => source.used.extend(paths),
                }
                at = end;
            } else if let Some(path) = path_in_code(&code, at) {
                at += 2 * path.len() - 1;
                source.used.push(path);
            } else {
                at += 1;
            }
        }
        source
    }
}

/// Whether `pub` or `pub(...)` comes last.
fn is_public(before: &[Token<'_>]) -> bool {
    let last = before.len().checked_sub(1).map(|last| before[last].text);
    match last {
        Some("pub") => true,
        Some(")") => {
            let open = before.iter().rposition(|token| token.text == "(");
            open.and_then(|open| open.checked_sub(1)).is_some_and(|at| before[at].text == "pub")
        }
        _ => false,
    }
}

/// The path that begins at this token: at least two names joined by `::`.
fn path_in_code(code: &[Token<'_>], at: usize) -> Option<Vec<String>> {
    let is_start = at == 0 || code[at - 1].text != "::";
    let mut names = vec![code[at].text.to_owned()];
    let mut next = at + 1;
    while is_start
        && code.get(next).is_some_and(|token| token.text == "::")
        && code.get(next + 1).is_some_and(|token| is_name(token.text))
    {
        names.push(code[next + 1].text.to_owned());
        next += 2;
    }
    (is_name(code[at].text) && names.len() > 1).then_some(names)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The paths of a `use` tree: `a::{b, c::d as e}` is `a::b` and `a::c::d`.
fn paths_of_tree(tree: &[Token<'_>]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut prefix: Vec<String> = Vec::new();
    // How long the path was at each opening brace.
    let mut outer: Vec<usize> = Vec::new();
    let mut is_alias = false;
    let mut is_complete = false;
    let mut finish = |prefix: &mut Vec<String>, outer: &[usize], is_complete: bool| {
        let base = outer.last().copied().unwrap_or_default();
        if is_complete && prefix.len() > base {
            paths.push(prefix.clone());
        }
        prefix.truncate(base);
    };
    for token in tree {
        match token.text {
            "::" => {}
            "{" => {
                outer.push(prefix.len());
                is_complete = false;
            }
            "," => {
                finish(&mut prefix, &outer, is_complete);
                (is_alias, is_complete) = (false, false);
            }
            "}" => {
                finish(&mut prefix, &outer, is_complete);
                outer.pop();
                (is_alias, is_complete) = (false, false);
            }
            "as" => is_alias = true,
            name if !is_alias => {
                prefix.push(name.to_owned());
                is_complete = true;
            }
            _ => {}
        }
    }
    finish(&mut prefix, &outer, is_complete);
    paths
}

/// The module that a path leads to as it is written, without regard to re-exports.
fn written_target(
    files: &BTreeMap<ModulePath, String>,
    module: &ModulePath,
    path: &[String],
) -> Option<ModulePath> {
    let (mut base, rest) = match path[0].as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (module.clone(), &path[1..]),
        "super" => {
            let supers = path.iter().take_while(|name| *name == "super").count();
            (module[..module.len().checked_sub(supers)?].to_vec(), &path[supers..])
        }
        child => {
            let is_child = files.contains_key(&[&module[..], &[child.to_owned()]].concat());
            (is_child.then(|| module.clone())?, path)
        }
    };
    let mut found = files.contains_key(&base).then(|| base.clone());
    for name in rest {
        base.push(name.clone());
        if !files.contains_key(&base) {
            break;
        }
        found = Some(base.clone());
    }
    found
}

/// What a module re-exports: the item's name and the module that has it.
type Exports = BTreeMap<String, ModulePath>;

fn exports(files: &BTreeMap<ModulePath, String>, module: &ModulePath, source: &Source) -> Exports {
    source
        .exported
        .iter()
        .filter_map(|path| {
            let target = written_target(files, module, path)?;
            (target != *module).then(|| (path.last().cloned().unwrap_or_default(), target))
        })
        .collect()
}

/// The module that has the item of a path.
fn target(
    files: &BTreeMap<ModulePath, String>,
    exports: &BTreeMap<ModulePath, Exports>,
    module: &ModulePath,
    path: &[String],
) -> Option<ModulePath> {
    let mut target = written_target(files, module, path)?;
    // The first name behind the module is the item: `super::Pool::new`. Each re-export leads on.
    while let Some(next) = path.iter().find_map(|name| exports.get(&target)?.get(name)) {
        if *next == target {
            break;
        }
        target = next.clone();
    }
    Some(target)
}
