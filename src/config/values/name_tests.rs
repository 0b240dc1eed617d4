//! Names of tables, checked against the help that the errors print.

use super::*;
use crate::config::{Config, SourceOptions, Sources};

/// The errors of a configuration with one more file.
fn errors(text: &str) -> Vec<String> {
    let zone = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n";
    let files = [("zones/zone.toml", zone), ("zones/x.toml", text)];
    match Config::load(&Sources::from_texts(&SourceOptions::default(), files)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.lines().collect(),
    }
}

/// A table of each kind with this name, which is written as a TOML string.
fn tables(name: &str) -> [(&'static str, String); 6] {
    let place = "location = { latitude = 1.0, longitude = 2.0 }";
    [
        ("datacenter", format!("[datacenter.{name}]\n{place}\n")),
        ("region", format!("[datacenter.fra]\n{place}\nregion = {name}\n")),
        ("monitor", format!("[monitor.{name}]\ntcp = {{ port = 443 }}\n")),
        ("load", format!("[load.{name}]\nnginx = {{ url = \"http://192.0.2.1/\" }}\n")),
        ("pool", format!("[pool.{name}]\nmembers = [{{ addresses = [\"192.0.2.1\"] }}]\n")),
        (
            "endpoint",
            format!("[pool.a]\nmembers = [{{ name = {name}, addresses = [\"192.0.2.1\"] }}]\n"),
        ),
    ]
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

#[test]
fn a_name_may_contain_exactly_the_characters_that_the_help_allows() {
    // The characters of ASCII that are neither letters nor digits, by their names in the help.
    let words = [("hyphen", '-'), ("underscore", '_'), ("dot", '.'), ("colon", ':')];
    let allowed: Vec<char> =
        words.iter().filter(|(word, _)| NAME_HELP.contains(word)).map(|(_, c)| *c).collect();
    assert_eq!(allowed.len(), words.len());
    let others = ['ß', 'Ж', '京', '٣', '\u{a0}', '\u{200b}', '\u{202e}', '\u{9b}', '🦀', '–', '∕'];
    for c in (0..128).map(char::from).chain(others) {
        let is_allowed = c.is_alphanumeric() || allowed.contains(&c);
        for (kind, text) in tables(&quoted(&format!("a{c}b"))) {
            let errors = errors(&text);
            assert_eq!(errors.is_empty(), is_allowed, "{kind} with {c:?}: {errors:?}");
            assert!(
                errors.iter().all(|error| error.contains(NAME_HELP)),
                "{kind} with {c:?}: {errors:?}"
            );
        }
    }
}

#[test]
fn a_name_starts_and_ends_as_the_help_says() {
    for (name, is_name, why) in [
        ("a", true, "one letter"),
        ("1", true, "one digit"),
        ("_", true, "an underscore"),
        ("192.0.2.1:443", true, "what a member is called by default"),
        ("", false, "nothing"),
        (".", false, "the directory itself in a URL"),
        ("..", false, "the directory above in a URL"),
        ("-x", false, "an option of a command"),
        ("a-", false, "a hyphen at the end"),
        ("a.", false, "a dot at the end"),
        (":a", false, "a colon at the start"),
    ] {
        assert_eq!(name_fault(name).is_none(), is_name, "{why}: {name:?}");
        for (kind, text) in tables(&quoted(name)) {
            assert_eq!(
                errors(&text).is_empty(),
                is_name,
                "{kind}, {why}: {name:?}: {:?}",
                errors(&text)
            );
        }
    }
    let longest = "x".repeat(MAX_NAME_OCTETS);
    assert!(name_fault(&longest).is_none() && name_fault(&(longest + "x")).is_some());
}

#[test]
fn the_names_of_services_contain_letters_digits_hyphens_and_dots() {
    let service = |name: &str| {
        format!(
            "[service.{}]\nmembers = [{{ addresses = [\"192.0.2.1\"] }}]\n",
            quoted(&format!("{name}.x.example"))
        )
    };
    for (label, is_name) in [
        ("a-b", true),
        ("a.b", true),
        ("a1", true),
        ("_sip._tcp", true),
        ("a b", false),
        ("a\tb", false),
    ] {
        assert_eq!(errors(&service(label)).is_empty(), is_name, "{label:?}");
    }
}
