//! The records of the log, checked in the source: every call of a `tracing` macro in `src/`.
//!
//! A record is a fixed phrase with typed fields. No field has a name that the logger uses itself,
//! because a JSON record would contain that key twice. No field is written by `Debug`, because its
//! form is not stable.

use std::{fs, path::Path};

const MACROS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "event"];
/// Names of the keys that the logger adds to every record.
const RESERVED: [&str; 9] =
    ["target", "level", "message", "timestamp", "time", "span", "spans", "module", "parent"];

#[test]
fn every_record_is_a_fixed_phrase_with_typed_fields() {
    let mut calls = 0;
    let mut violations = Vec::new();
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, text| {
        for call in calls_of(code_of(text)) {
            calls += 1;
            violations.extend(
                violations_of(&call)
                    .into_iter()
                    .map(|what| format!("{path}:{}: {what}", call.line)),
            );
        }
    });
    assert!(calls > 50, "only {calls} calls: are these the sources?");
    assert!(
        violations.is_empty(),
        "{} records break a rule:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn every_form_of_a_violation_is_found() {
    for (text, expected, why) in [
        (r#"tracing::info!("stopping");"#, vec![], "a phrase alone"),
        (
            r#"tracing::warn!(pool = %p.name, %error, secs, host = f("a, b"), "no report");"#,
            vec![],
            "typed fields",
        ),
        (
            r#"tracing::warn!(target = %key, "x");"#,
            vec!["`target` is the logger's own name"],
            "reserved",
        ),
        (
            r#"tracing::warn!(%target, "x");"#,
            vec!["`target` is the logger's own name"],
            "reserved, in short form",
        ),
        (
            r#"tracing::warn!(target: "a", "x");"#,
            vec!["`target` is the logger's own name"],
            "another module's name",
        ),
        (
            r#"tracing::error!(?source, "x");"#,
            vec!["`source` is written by Debug"],
            "the short form",
        ),
        (
            r#"tracing::error!(source = ?peer, "x");"#,
            vec!["`source` is written by Debug"],
            "the long form",
        ),
        (
            r#"tracing::error!(a = format!("{b:?}"), "x");"#,
            vec!["`a` is written by Debug"],
            "by format!",
        ),
        (
            r#"tracing::error!(a, "a {} panicked", b);"#,
            vec!["the phrase is not fixed"],
            "arguments",
        ),
        (
            r#"tracing::error!(a, "a {b} panicked");"#,
            vec!["the phrase is not fixed"],
            "captured arguments",
        ),
        (r#"tracing::error!(a, b);"#, vec!["there is no phrase"], "fields alone"),
        (r#"tracing::event!(Level::INFO, a = 1, "x");"#, vec![], "a level is not a field"),
        ("// tracing::info!(?a);\n", vec![], "a comment"),
    ] {
        let found: Vec<String> = calls_of(text).iter().flat_map(violations_of).collect();
        assert_eq!(found, expected, "{why}: {text}");
    }
}

fn each_source(directory: &Path, act: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_source(&path, act);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            act(&path.display().to_string(), &fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// The source without its unit tests, which are at its end.
fn code_of(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// A call of a `tracing` macro.
struct Call<'a> {
    line: usize,
    arguments: Vec<&'a str>,
}

fn calls_of(text: &str) -> Vec<Call<'_>> {
    let is_commented = |at: usize| {
        text[..at].lines().last().is_some_and(|line| line.trim_start().starts_with("//"))
    };
    let call = |(at, _): (usize, &str)| {
        let rest = &text[at + "tracing::".len()..];
        let (name, after) = rest.split_once('!')?;
        let inside =
            after.strip_prefix('(').filter(|_| MACROS.contains(&name) && !is_commented(at))?;
        let arguments = arguments_of(inside);
        let is_level = |argument: &&str| name == "event" && argument.contains("Level::");
        let arguments = arguments.into_iter().filter(|argument| !is_level(argument)).collect();
        Some(Call { line: text[..at].matches('\n').count() + 1, arguments })
    };
    text.match_indices("tracing::").filter_map(call).collect()
}

/// The arguments of the call, up to its closing parenthesis.
fn arguments_of(inside: &str) -> Vec<&str> {
    let mut arguments = Vec::new();
    let (mut depth, mut start, mut is_quoted, mut is_escaped) = (0, 0, false, false);
    for (at, c) in inside.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            ')' | ']' | '}' if depth == 0 => {
                arguments.push(inside[start..at].trim());
                break;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

fn violations_of(call: &Call<'_>) -> Vec<String> {
    let Some(phrase) = call.arguments.iter().position(|argument| argument.starts_with('"')) else {
        return vec!["there is no phrase".to_owned()];
    };
    let mut violations: Vec<String> =
        call.arguments[..phrase].iter().filter_map(|field| violation_of(field)).collect();
    if phrase + 1 < call.arguments.len() || call.arguments[phrase].contains('{') {
        violations.push("the phrase is not fixed".to_owned());
    }
    violations
}

fn violation_of(field: &str) -> Option<String> {
    let (name, value) = field.split_once(['=', ':']).unwrap_or((field, field));
    let (name, value) = (name.trim().trim_start_matches(['%', '?']), value.trim());
    if RESERVED.contains(&name) {
        return Some(format!("`{name}` is the logger's own name"));
    }
    let is_debug = field.starts_with('?')
        || value.starts_with('?')
        || value.contains(":?}")
        || value.contains("debug(");
    is_debug.then(|| format!("`{name}` is written by Debug"))
}
