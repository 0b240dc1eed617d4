//! Makes JSON documents safe to display. Each string is treated by itself, so that the document
//! stays valid JSON.

use std::borrow::Cow;

use super::{escape::escaped_json, secrets::redacted};

/// The same document, without the secrets of URLs in its strings and without unprintable
/// characters.
pub fn safe_json(json: &str) -> Cow<'_, str> {
    match redacted_strings(json) {
        Cow::Borrowed(json) => escaped_json(json),
        Cow::Owned(json) => Cow::Owned(escaped_json(&json).into_owned()),
    }
}

fn redacted_strings(json: &str) -> Cow<'_, str> {
    let mut changed = String::new();
    let (mut copied_to, mut position) = (0, 0);
    while let Some(string) = next_string(json, position) {
        position = string.end;
        if let Some(safe) = redacted_string(&json[string.clone()]) {
            changed.push_str(&json[copied_to..string.start]);
            changed.push_str(&safe);
            copied_to = string.end;
        }
    }
    if copied_to == 0 {
        return Cow::Borrowed(json);
    }
    changed.push_str(&json[copied_to..]);
    Cow::Owned(changed)
}

/// The range of the next string in a JSON text, with its quotation marks.
fn next_string(json: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let start = from + json[from..].find('"')?;
    let mut is_escape = false;
    let length = json[start + 1..].bytes().position(|octet| {
        let is_end = octet == b'"' && !is_escape;
        is_escape = octet == b'\\' && !is_escape;
        is_end
    })?;
    Some(start..start + 1 + length + 1)
}

/// The redacted string, if it holds a secret: a secret always has a `=` or a `@` next to it.
fn redacted_string(quoted: &str) -> Option<String> {
    if !quoted.contains(['=', '@']) {
        return None;
    }
    let text: String = serde_json::from_str(quoted).ok()?;
    match redacted(&text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(safe) => serde_json::to_string(&safe).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_document_stays_json_whatever_text_is_next_to_a_secret() {
        let document = json!({
            "quoted": r#"x?key=a"b"#,
            "escaped": "\\?token=abc\\\" \u{1b}[2J",
            "in a line": "error: \"http://h/x y?api_key=s3cret\" is no URL\n --> a.toml:1",
            "user": ["https://u:p\"w@h/", "plain", "a=b"],
            "key=\"k\"": 7,
        });
        let text = document.to_string();
        let safe = safe_json(&text);
        let read: Value = serde_json::from_str(&safe).unwrap();
        assert_eq!((&read["user"][1], &read["user"][2]), (&json!("plain"), &json!("a=b")));
        for secret in ["s3cret", "abc", "\u{1b}"] {
            assert!(!safe.contains(secret), "{secret}: {safe}");
        }
        assert_eq!(read["quoted"], json!(redacted(r#"x?key=a"b"#)));
    }

    #[test]
    fn a_document_without_secrets_is_the_same() {
        let text = json!({ "a\\\"": ["\\", "", "\"=\"", { "n": 1.5 }] }).to_string();
        assert_eq!(safe_json(&text), text);
    }
}
