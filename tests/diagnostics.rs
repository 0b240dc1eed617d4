//! The text of each diagnostic. Every file of `tests/diagnostics/` is a case: a sentence, the files
//! of a configuration, and after `--- output` the exact text shown. `PORTOLAN_BLESS=1` replaces the
//! expected text by the present one.

use std::{fmt::Write as _, fs, path::Path};

use portolan::config::{Colours, Config, SourceOptions, Sources};

#[test]
fn every_mistake_is_shown_with_its_place_and_its_remedy() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut cases: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 50);
    let mut wrong = String::new();
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let (input, expected) = text.split_once("--- output\n").unwrap();
        let shown = output(input);
        if std::env::var_os("PORTOLAN_BLESS").is_some() {
            fs::write(&case, format!("{input}--- output\n{shown}")).unwrap();
        } else if shown != expected {
            writeln!(wrong, "{}:\nwanted\n{expected}\ngot\n{shown}", case.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Large files are read table by table; no diagnostic may show that.
#[test]
fn a_mistake_looks_the_same_in_a_large_file() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let remarks = |count| format!("\n{}", "# a remark that goes on and on\n".repeat(count));
    for case in fs::read_dir(directory).unwrap() {
        let text = fs::read_to_string(case.unwrap().path()).unwrap();
        let (input, _) = text.split_once("--- output\n").unwrap();
        let shown = |count| {
            let padded = |(path, text): (_, &str)| {
                (path, text.trim_end_matches('\n').to_owned() + &remarks(count))
            };
            let is_tables = |path: &str| path.ends_with(".toml");
            let files = files(input).map(|file| {
                if is_tables(file.0) { padded(file) } else { (file.0, file.1.to_owned()) }
            });
            let files: Vec<(&str, String)> = files.collect();
            lines(files.iter().map(|(path, text)| (*path, &**text)))
        };
        assert_eq!(shown(4096), shown(1), "{input}");
    }
}

fn lines<'t>(files: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<String> {
    match Config::load(&Sources::from_texts(&SourceOptions::default(), files)) {
        Ok((_, warnings)) => warnings.lines().collect(),
        Err(errors) => errors.lines().collect(),
    }
}

fn files(input: &str) -> impl Iterator<Item = (&str, &str)> {
    input.split("--- ").skip(1).map(|part| part.split_once('\n').expect("a path, then the file"))
}

/// The text that `check` shows for the files of a case.
fn output(input: &str) -> String {
    let files = files(input);
    let sources = Sources::from_texts(&SourceOptions::default(), files);
    let (verdict, diagnostics) = match Config::load(&sources) {
        Ok((_, warnings)) => ("accepted", warnings),
        Err(errors) => ("refused", errors),
    };
    for diagnostic in diagnostics.iter() {
        assert!(diagnostic.help.is_some(), "{}: how to fix it?", diagnostic.message);
    }
    let mut shown = String::new();
    for line in diagnostics.render(Colours::Plain).lines() {
        shown.push_str(line.trim_end());
        shown.push('\n');
    }
    shown + verdict + "\n"
}
