//! A strict reader of the metrics page in the OpenMetrics text format: families one after the
//! other, each sample in its family, no label set twice.

use std::collections::{BTreeMap, HashSet};

/// Samples by name and labels, as written:
/// `portolan_replies_total{transport="udp",rcode="NOERROR"}`.
pub(super) type Samples = BTreeMap<String, f64>;

/// Reads a page of metrics.
///
/// # Errors
/// The first line that the format does not allow.
pub(super) fn parse_exposition(text: &str) -> Result<Samples, String> {
    let mut samples = Samples::new();
    let (mut families, mut family, mut kind) = (HashSet::new(), String::new(), String::new());
    let text = text.strip_suffix("# EOF\n").ok_or("no end")?;
    for line in text.split_terminator('\n') {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap_or_default().to_owned();
            if !families.insert(family.clone()) {
                return Err(wrong("a family twice"));
            }
            kind.clear();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = match rest.split_once(' ') {
                Some((name, kind)) if name == family && ["counter", "gauge"].contains(&kind) => {
                    kind.to_owned()
                }
                _ => return Err(wrong("not this family's type")),
            };
        } else {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let rest = line.strip_prefix(&family).and_then(|rest| rest.strip_prefix(suffix));
            let rest = rest
                .filter(|_| !kind.is_empty())
                .ok_or_else(|| wrong("not this family's sample"))?;
            let after = labels(rest).ok_or_else(|| wrong("bad labels"))?;
            let value = after
                .strip_prefix(' ')
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| wrong("bad value"))?;
            if samples.insert(line[..line.len() - after.len()].to_owned(), value).is_some() {
                return Err(wrong("a sample twice"));
            }
        }
    }
    Ok(samples)
}

/// Checks the labels and returns what follows them.
fn labels(text: &str) -> Option<&str> {
    let Some(mut rest) = text.strip_prefix('{') else { return Some(text) };
    let mut names = HashSet::new();
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) || !names.insert(name) {
            return None;
        }
        rest = value(after)?;
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.strip_prefix('}'),
        }
    }
}

/// Checks a label's value, in which control characters and quotes must be escaped, and returns what
/// follows it.
fn value(text: &str) -> Option<&str> {
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Some(&text[position + 1..]),
            '\\' if !matches!(characters.next()?.1, '\\' | '"' | 'n') => return None,
            control if control.is_control() => return None,
            _ => {}
        }
    }
    None
}

#[test]
fn the_reader_refuses_what_prometheus_would() {
    let good = "# HELP a Help.\n# TYPE a counter\na_total{b=\"c\\\"\\\\\\n}\",d=\"\"} 1\na_total 2\n# EOF\n";
    assert_eq!(parse_exposition(good).map(|samples| samples.len()), Ok(2));
    for (bad, why) in [
        ("a_total{b=\"c\"} 1\n# EOF\n", "a sample of no family"),
        ("# HELP a Help.\n# TYPE a counter\na 1\n# EOF\n", "a counter without its suffix"),
        ("# HELP a Help.\n# TYPE a gauge\na{b=\"\"c\"} 1\n# EOF\n", "a quote that is not escaped"),
        (
            "# HELP a Help.\n# TYPE a gauge\na{b=\"\n\"} 1\n# EOF\n",
            "a line break that is not escaped",
        ),
        ("# HELP a Help.\n# TYPE a gauge\na{b=\"c\"} 1\na{b=\"c\"} 1\n# EOF\n", "a sample twice"),
        ("# HELP a Help.\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n# EOF\n", "a label twice"),
        ("# HELP a Help.\n# TYPE a gauge\na 1\n", "no end"),
    ] {
        assert!(parse_exposition(bad).is_err(), "{why}");
    }
}
