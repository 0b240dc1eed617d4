//! The documentation is complete and true: what the program has is documented, what a document
//! names exists, and each configuration in a document passes `portolan check`.
//!
//! The program itself says what it has: its error for an unknown key lists the known keys,
//! `/metrics` lists the metrics, `--help` lists commands and flags. The sources are read as text
//! where no command says it: for the keys that are asked for, so that no table is forgotten here,
//! for the paths of the admin API and for the phrases of the log.
//!
//! How a document holds configurations:
//!
//! - A fenced block whose first line is `# file: zones/example.org.toml` (or `; file: ...` in a
//!   master file) is a file. All files of one document are one site. A file that is shown again
//!   replaces the earlier one, and the site is checked before that and at the end. Databases and
//!   PEM files that it names are put there.
//! - Any other block of `toml` (or `toml,fragment`) is a fragment. It is checked below
//!   [`MINIMAL_SITE`], of which those tables are left out that the fragment has itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use site::{Document, Site};
use tables::{TABLES, Table};

#[path = "docs/site.rs"]
mod site;
#[path = "docs/tables.rs"]
mod tables;

/// A key that no table has, and that is near to no key.
const UNKNOWN: &str = "qqqqqqqqqq";

/// What fragments may refer to, table by table.
const MINIMAL_SITE: [&str; 15] = [
    "[zone.\"example.org\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"hostmaster@example.com\"",
    "[zone.\"gslb.example.com\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"hostmaster@example.com\"",
    "[datacenter.fra]\nlocation = { latitude = 50.11, longitude = 8.68 }\nregion = \"eu\"",
    "[datacenter.iad]\nlocation = { latitude = 38.95, longitude = -77.45 }\nregion = \"us\"",
    "[datacenter.sin]\nlocation = { latitude = 1.35, longitude = 103.82 }\nregion = \"ap\"",
    "[monitor.web]\nhttp = { path = \"/healthz\" }",
    "[load.fra]\nnginx = { url = \"http://192.0.2.11/stub_status\" }",
    "[load.iad]\nnginx = { url = \"http://198.51.100.11/stub_status\" }",
    "[load.sin]\nnginx = { url = \"http://203.0.113.11/stub_status\" }",
    "[pool.web]\npolicy = \"nearest\"\nmembers = [\"web-fra\", \"web-iad\", \"web-sin\"]",
    "[pool.sorry]\nmembers = [{ addresses = [\"203.0.113.99\"] }]",
    "[pool.web-fra]\ndatacenter = \"fra\"\nmembers = [{ addresses = [\"192.0.2.11\"] }]",
    "[pool.web-iad]\ndatacenter = \"iad\"\nmembers = [{ addresses = [\"198.51.100.11\"] }]",
    "[pool.web-sin]\ndatacenter = \"sin\"\nmembers = [{ addresses = [\"203.0.113.11\"] }]",
    "[service.\"minimal.gslb.example.com\"]\npool = \"web\"",
];

#[test]
fn every_configuration_key_is_documented_and_every_documented_key_exists() {
    let document = read("docs/configuration.md");
    let mut faults = Vec::new();
    for table in &TABLES {
        let heading = table.heading;
        let known = table.known_keys();
        let mut documented = words_of_first_column(section(&document, heading));
        if let Some(also) = table.also {
            documented.extend(words_of_first_column(section(&document, also)));
        }
        faults.extend(
            known
                .difference(&documented)
                .map(|key| format!("{heading}: `{key}` is not documented")),
        );
        faults.extend(
            documented.difference(&known).map(|key| format!("{heading}: there is no key `{key}`")),
        );
    }
    for heading in headings_with_keys(&document) {
        if TABLES.iter().all(|table| table.heading != heading) {
            faults
                .push(format!("{heading}: this table is not in TABLES, so that nothing checks it"));
        }
    }
    assert_no(&faults);
}

#[test]
fn every_key_that_the_sources_ask_for_is_of_a_table_that_is_checked_here() {
    // Tables without a name are asked for like keys.
    let tables = ["server", "admin", "geoip", "expect", "assert", "safety"];
    let mut known: BTreeSet<String> = tables.map(str::to_owned).into();
    for table in &TABLES {
        known.extend(table.known_keys());
    }
    let sources = sources("src/config");
    let mut asked = BTreeSet::new();
    for call in [".value(\"", ".optional(\"", ".required(\""] {
        asked.extend(literals(&sources, call));
    }
    assert!(
        asked.len() > 60,
        "only {} keys: do the sources ask for keys in another way now?",
        asked.len()
    );
    let missing = asked.into_iter().filter(|key| !known.contains(*key));
    assert_no(
        &missing.map(|key| format!("`{key}` is of a table that TABLES lacks")).collect::<Vec<_>>(),
    );
}

#[test]
fn every_metric_is_documented_with_its_type_and_every_documented_metric_exists() {
    let known = metrics_of_a_server();
    let document = read("docs/metrics.md");
    let mut documented = BTreeMap::new();
    for line in document.lines() {
        // Metrics stand in tables of five columns, the type in the second one.
        let cells = cells(line);
        if cells.len() == 5 {
            documented.extend(
                words(cells[0]).into_iter().map(|name| (name.to_owned(), cells[1].to_owned())),
            );
        }
    }
    let mut faults = Vec::new();
    for (name, kind) in &known {
        match documented.get(name) {
            Some(documented) if documented == kind => {}
            Some(documented) => faults.push(format!("{name} is a {kind}, not a {documented}")),
            None => faults.push(format!("{name} is not documented")),
        }
    }
    let unknown = documented.keys().filter(|name| !known.contains_key(*name));
    faults.extend(unknown.map(|name| format!("docs/metrics.md: there is no metric {name}")));
    for document in documents() {
        for (at, _) in document.text.match_indices("portolan_") {
            let rest = &document.text[at..];
            let end =
                rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            if !known.contains_key(&rest[..end]) {
                faults.push(format!("{}: there is no metric {}", document.path, &rest[..end]));
            }
        }
    }
    assert_no(&faults);
}

#[test]
fn every_link_leads_to_a_file_and_every_source_file_that_is_named_exists() {
    let mut faults = Vec::new();
    let roots = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "benches/README.md"];
    let mut documents = documents();
    documents.extend(roots.map(|path| Document { path: path.into(), text: read(path) }));
    for document in &documents {
        let folder = repository().join(&document.path);
        let folder = folder.parent().unwrap();
        let links = document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            if !folder.join(file).exists() {
                faults.push(format!("{}: there is no {link}", document.path));
            }
        }
        // The texts between backticks that look like a Rust file: `zone/index.rs`, `tests/logs.rs`.
        let named = document.text.split('`').skip(1).step_by(2).filter(|text| {
            text.ends_with(".rs")
                && !text.starts_with("foo")
                && text.contains('/')
                && !text.contains(['*', ' ', 'N'])
        });
        for file in named {
            let bases = [repository().to_owned(), repository().join("src"), folder.to_owned()];
            let is_found = bases.iter().any(|base| base.join(file).is_file());
            if !is_found {
                faults.push(format!("{}: there is no file {file}", document.path));
            }
        }
    }
    assert_no(&faults);
}

#[test]
fn every_command_and_flag_is_documented_and_every_documented_one_exists() {
    let document = read("docs/operations.md");
    let section = section(&document, "Command line");
    let commands = commands();
    let mut documented = BTreeSet::new();
    for word in words_of_first_column(section) {
        if !word.starts_with("--") {
            documented.insert(word.split(' ').next().unwrap_or_default().to_owned());
        }
    }
    let flags: BTreeSet<&str> =
        section.split(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '-')).collect();
    let mut faults = Vec::new();
    for (command, known) in &commands {
        if !documented.contains(command) {
            faults.push(format!("{command} is not documented"));
        }
        let missing = known.iter().filter(|flag| !flags.contains(flag.as_str()));
        faults.extend(missing.map(|flag| format!("{flag} of {command} is not documented")));
    }
    let unknown = documented.iter().filter(|command| !commands.contains_key(*command));
    faults.extend(unknown.map(|command| format!("there is no command {command}")));
    for flag in flags.into_iter().filter(|flag| flag.starts_with("--") && flag.len() > 3) {
        if flag != "--version" && !commands.values().any(|known| known.contains(flag)) {
            faults.push(format!("no command has {flag}"));
        }
    }
    for document in documents() {
        for line in
            document.text.lines().filter_map(|line| line.trim_start().strip_prefix("$ portolan "))
        {
            if let Some(fault) = usage_fault(line, &commands) {
                faults.push(format!("{}: portolan {line}: {fault}", document.path));
            }
        }
    }
    assert_no(&faults);
}

#[test]
fn every_path_of_the_admin_api_is_documented_and_every_documented_path_exists() {
    let sources = sources("src/admin");
    let mut known: BTreeSet<&str> = literals(&sources, ".route(\"").into_iter().collect();
    known.extend(literals(&sources, ".route(\n\""));
    assert!(known.len() > 10, "only {} paths: are these the sources?", known.len());
    let document = read("docs/api.md");
    let mut faults = Vec::new();
    for path in &known {
        if !document.contains(path) {
            faults.push(format!("{path} is not documented"));
        }
    }
    for word in words_of_first_column(&document) {
        if let Some((_, path)) = word.split_once(' ')
            && !known.contains(path)
        {
            faults.push(format!("there is no path {path}"));
        }
    }
    assert_no(&faults);
}

#[test]
fn every_log_phrase_that_is_documented_is_logged() {
    let sources = sources("src");
    let document = read("docs/operations.md");
    let phrases = words_of_first_column(section(&document, "The log"));
    assert!(phrases.len() > 50, "only {} phrases: is this the section?", phrases.len());
    let missing = phrases.into_iter().filter(|phrase| !sources.contains(&format!("\"{phrase}\"")));
    assert_no(&missing.map(|phrase| format!("{phrase:?} is never logged")).collect::<Vec<_>>());
}

#[test]
fn every_configuration_in_a_document_passes_check() {
    let mut checked = 0;
    let mut faults = Vec::new();
    for document in documents() {
        let mut site = Site::new(&document.path);
        for block in document.blocks() {
            if let Some(file) = block.file() {
                faults.extend(site.add(file, &block));
                checked += 1;
            } else if block.info == "toml" || block.info == "toml,fragment" {
                faults.extend(Site::below_the_minimum(&document.path, &block).fault());
                checked += 1;
            }
        }
        if !site.files.is_empty() {
            faults.extend(site.fault());
        }
    }
    assert!(checked > 10, "only {checked} configurations: are these the documents?");
    assert_no(&faults);
}

impl Table {
    /// The keys that the program names when it meets an unknown one.
    fn known_keys(&self) -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        for sample in self.samples {
            known.extend(known_keys(sample));
        }
        known
    }
}

fn known_keys(sample: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("zones")).unwrap();
    fs::write(directory.path().join(file_of(sample, "zones/sample.toml")), sample).unwrap();
    let output = portolan(&["check", ".", "--json"], directory.path());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for diagnostic in report["diagnostics"].as_array().unwrap() {
        let (message, help) =
            (diagnostic["message"].as_str().unwrap(), diagnostic["help"].as_str());
        if let (true, Some(keys)) =
            (message.contains(UNKNOWN), help.and_then(|help| help.strip_prefix("the keys are ")))
        {
            return keys.split(", ").map(str::to_owned).collect();
        }
    }
    panic!("check does not list the known keys of\n{sample}\n{report:#}");
}

/// The file that a TOML text is for: `portolan.toml` for the tables of settings, else `otherwise`.
fn file_of(text: &str, otherwise: &'static str) -> &'static str {
    let is_settings = text.lines().any(|line| ["[server]", "[admin]", "[geoip]"].contains(&line));
    if is_settings { "portolan.toml" } else { otherwise }
}

/// The metrics that a server has, with their types.
fn metrics_of_a_server() -> BTreeMap<String, String> {
    let page = metrics_page();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let metrics: BTreeMap<String, String> =
        types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    assert!(metrics.len() > 50, "only {} metrics: is this the page?\n{page}", metrics.len());
    metrics
}

/// The page of metrics of a server with one service.
fn metrics_page() -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("zones")).unwrap();
    fs::write(directory.path().join("zones/minimal.toml"), MINIMAL_SITE.join("\n")).unwrap();
    let settings = "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n";
    fs::write(directory.path().join("portolan.toml"), settings).unwrap();
    let mut serve = command(&["serve"], directory.path());
    let mut server = Server(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("the server starts").unwrap();
        if let Some(address) = line.strip_prefix("listening admin ") {
            break address.to_owned();
        }
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every command with its flags, as `--help` lists them.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let text = help(&["--help"]);
    let list = text.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let mut commands = BTreeMap::new();
    for name in list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        // A line that begins with more blanks continues the text of the command before.
        if !name.is_empty() {
            commands.insert(
                name.to_owned(),
                if name == "help" { BTreeSet::new() } else { flags_of(name) },
            );
        }
    }
    commands
}

fn flags_of(command: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for line in help(&[command, "--help"]).lines() {
        let line = line.trim_start().trim_start_matches("-h, ");
        if line.starts_with("--") {
            flags.insert(line.split(' ').next().unwrap_or_default().to_owned());
        }
    }
    flags
}

fn help(arguments: &[&str]) -> String {
    String::from_utf8(portolan(arguments, repository()).stdout).unwrap()
}

/// What is wrong with a command line behind `portolan`.
fn usage_fault(line: &str, commands: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    const ENDS: [&str; 7] = ["|", "#", "&&", ";", ">", "<", "2>&1"];
    let words: Vec<&str> =
        line.split_whitespace().take_while(|word| !ENDS.contains(word)).collect();
    let command = words.iter().find(|word| !word.starts_with("--"))?;
    let Some(flags) = commands.get(*command) else {
        return Some(format!("there is no command {command}"));
    };
    let mut used = words.iter().filter(|word| word.starts_with("--") && word.len() > 2);
    let unknown = used.find(|word| !flags.contains(word.split('=').next().unwrap_or_default()))?;
    Some(format!("{command} has no {unknown}"))
}

/// README.md and everything below docs/.
fn documents() -> Vec<Document> {
    let mut paths = vec![repository().join("README.md")];
    each_file(&repository().join("docs"), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path.to_owned());
        }
    });
    let mut documents = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(repository()).unwrap().display().to_string();
        documents.push(Document { path, text });
    }
    documents
}

/// A heading of a document.
struct Heading<'t> {
    title: &'t str,
    level: usize,
    /// The range of its line in the document.
    line: Range<usize>,
}

fn headings(document: &str) -> Vec<Heading<'_>> {
    let mut headings = Vec::new();
    let (mut at, mut is_inside_block) = (0, false);
    for line in document.split_inclusive('\n') {
        let level = line.bytes().take_while(|octet| *octet == b'#').count();
        if line.trim_start().starts_with("```") {
            is_inside_block = !is_inside_block;
        } else if level > 0 && !is_inside_block {
            headings.push(Heading {
                title: line[level..].trim(),
                level,
                line: at..at + line.len(),
            });
        }
        at += line.len();
    }
    headings
}

/// The text below a heading, up to the next heading of its level or a higher one.
fn section<'t>(document: &'t str, title: &str) -> &'t str {
    let headings = headings(document);
    let at = headings.iter().position(|heading| heading.title == title);
    let at = at.unwrap_or_else(|| panic!("there is no heading {title:?}"));
    let next = headings[at + 1..].iter().find(|heading| heading.level <= headings[at].level);
    &document[headings[at].line.end..next.map_or(document.len(), |heading| heading.line.start)]
}

/// The headings below which a table of keys stands.
fn headings_with_keys(document: &str) -> Vec<&str> {
    let headings = headings(document);
    let mut found = Vec::new();
    for (at, heading) in headings.iter().enumerate() {
        let end = headings.get(at + 1).map_or(document.len(), |next| next.line.start);
        if document[heading.line.end..end].lines().any(|line| cells(line).first() == Some(&"key")) {
            found.push(heading.title);
        }
    }
    found
}

/// The cells of a row of a table; none where the line is no row. `\|` is a bar inside of a cell.
fn cells(line: &str) -> Vec<&str> {
    let Some(row) = line.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
        return Vec::new();
    };
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in row.match_indices('|') {
        if !row[..at].ends_with('\\') {
            cells.push(row[start..at].trim());
            start = at + 1;
        }
    }
    cells.push(row[start..].trim());
    cells
}

/// What stands between backticks.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn words_of_first_column(section: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in section.lines() {
        if let Some(cell) = cells(line).first() {
            found.extend(words(cell).into_iter().map(str::to_owned));
        }
    }
    found
}

/// The text literals behind a call that the sources hold.
fn literals<'t>(sources: &'t str, call: &str) -> Vec<&'t str> {
    sources
        .match_indices(call)
        .filter_map(|(at, _)| sources[at + call.len()..].split('"').next())
        .collect()
}

/// All sources below a directory, without their unit tests and the white space at the start of
/// lines.
fn sources(directory: &str) -> String {
    let mut text = String::new();
    each_file(&repository().join(directory), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            let code = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for line in code.lines() {
                text.push_str(line.trim_start());
                text.push('\n');
            }
        }
    });
    text
}

fn each_file(directory: &Path, act: &mut impl FnMut(&Path)) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            each_file(&path, act);
        } else {
            act(&path);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn command(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command.env_remove("PORTOLAN_LOG").env("NO_COLOR", "1");
    command.env_remove("PORTOLAN_SERVER").env_remove("PORTOLAN_TOKEN");
    command
}

/// Runs the program to its end.
fn portolan(arguments: &[&str], directory: &Path) -> Output {
    command(arguments, directory).output().unwrap()
}

fn assert_no(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
