//! Secrets in URLs: user information (RFC 3986 section 3.2.1), and the values of parameters whose
//! names mark them as secret.

use std::{borrow::Cow, ops::Range};

/// The text that replaces each secret.
const REDACTION: &str = "***";

/// A parameter is secret if its name contains one of these words.
const SECRET_WORDS: [&str; 8] = [
    "token",
    "passw",
    "passphrase",
    "secret",
    "credential",
    "signature",
    "authorization",
    "apikey",
];
/// A parameter is secret if its name ends in one of these words.
const SECRET_SUFFIXES: [&str; 6] = ["key", "pass", "pwd", "auth", "sig", "jwt"];

/// The text with `***` for each secret of a URL in it: `https://***@192.0.2.1/stats?token=***`.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let found = secret_ranges(text.as_bytes());
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut copied_to = 0;
    for secret in found {
        // A secret ends and starts at ASCII characters or at the text's ends, which are boundaries
        // of characters.
        clean.push_str(&text[copied_to..secret.start]);
        clean.push_str(REDACTION);
        copied_to = secret.end;
    }
    clean.push_str(&text[copied_to..]);
    Cow::Owned(clean)
}

/// The ranges of the secrets of URLs in a text, in order and without overlap, for a caller that
/// must keep lengths. The time is linear in the length of any text.
pub fn secret_ranges(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut without_at = 0;
    let mut position = 0;
    while position < text.len() {
        let secret = match text[position] {
            b':' if text[position..].starts_with(b"://") => {
                user_information(text, position + 3, &mut without_at)
            }
            b'?' | b'&' | b';' | b'#' => parameter(text, position + 1),
            _ => None,
        };
        position = secret.as_ref().map_or(position + 1, |secret| secret.end);
        found.extend(secret);
    }
    found
}

/// The user information of the authority that starts at `start`, without its `@`. An earlier search
/// found no `@` before `without_at`, so that no octet is searched twice.
fn user_information(text: &[u8], start: usize, without_at: &mut usize) -> Option<Range<usize>> {
    let rest = &text[start..];
    let last_at = |text: &[u8]| text.iter().rposition(|&octet| octet == b'@');
    let ends_authority = |octet: &u8| ends_url(*octet) || b"/?#".contains(octet);
    let authority = &rest[..rest.iter().position(ends_authority).unwrap_or(rest.len())];
    let end = match last_at(authority) {
        Some(end) => end,
        None if is_host_and_port(authority) || start < *without_at => return None,
        // A password that contains a slash, which should be percent-encoded: the text before the
        // slash is not a host and port.
        None => {
            let url = &rest[..rest.iter().position(|&octet| ends_url(octet)).unwrap_or(rest.len())];
            let Some(end) = last_at(url) else {
                *without_at = start + url.len();
                return None;
            };
            end
        }
    };
    (end > 0).then(|| start..start + end)
}

/// Whether the text after the last colon can be a port.
fn is_host_and_port(authority: &[u8]) -> bool {
    match authority.iter().rposition(|&octet| octet == b':') {
        None => true,
        Some(colon) => {
            let port = &authority[colon + 1..];
            port.iter().all(u8::is_ascii_digit) || authority.ends_with(b"]")
        }
    }
}

/// The value of the parameter whose name starts at `start`, if the name is that of a secret.
fn parameter(text: &[u8], start: usize) -> Option<Range<usize>> {
    let is_in_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"_-.[]%".contains(octet);
    let length = text[start..].iter().take_while(|octet| is_in_name(octet)).count();
    let (name, rest) = text[start..].split_at(length);
    let value = rest.strip_prefix(b"=")?;
    let length = value
        .iter()
        .position(|&octet| ends_url(octet) || b"&;#".contains(&octet))
        .unwrap_or(value.len());
    let value_start = start + name.len() + 1;
    (length > 0 && is_secret(name)).then(|| value_start..value_start + length)
}

fn is_secret(name: &[u8]) -> bool {
    let name: String = name
        .iter()
        .filter(|octet| octet.is_ascii_alphanumeric())
        .map(|&octet| char::from(octet))
        .collect();
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
        || SECRET_SUFFIXES.iter().any(|end| name.ends_with(end))
}

/// Whether an octet cannot be part of a URL in running text.
fn ends_url(octet: u8) -> bool {
    octet.is_ascii_whitespace() || octet.is_ascii_control() || b"\"'<>`".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_secrets_in_urls_are_replaced() {
        for (text, expected, why) in [
            (
                "http://ada:hunter2@192.0.2.1:8404/stats;csv",
                "http://***@192.0.2.1:8404/stats;csv",
                "user and password",
            ),
            ("https://ghp_0123@example.com/", "https://***@example.com/", "a token as the user"),
            (
                "no portolan at http://a:b@h: refused",
                "no portolan at http://***@h: refused",
                "in a sentence",
            ),
            (
                "\"http://a:p@ss@h/\" and 'http://c:d@i'",
                "\"http://***@h/\" and 'http://***@i'",
                "an @ in it; two URLs",
            ),
            ("http://a:p/w?d@h/", "http://***@h/", "characters that should be percent-encoded"),
            ("http://h/?token=abc&x=1", "http://h/?token=***&x=1", "a parameter"),
            (
                "/stats?x=1&API_Key=a%20b;pwd=c#d",
                "/stats?x=1&API_Key=***;pwd=***#d",
                "without a scheme, any case",
            ),
            (
                "http://h/?X-Amz-Signature=0a&access_token=1",
                "http://h/?X-Amz-Signature=***&access_token=***",
                "longer names",
            ),
            ("http://h/#access_token=1", "http://h/#access_token=***", "a fragment"),
            ("http://Köln:geheimß@h/?secret=ß", "http://***@h/?secret=***", "not ASCII"),
            (
                "http://h:8404/stats;csv?scope=@a",
                "http://h:8404/stats;csv?scope=@a",
                "an @ after the host",
            ),
            ("http://[2001:db8::1]/@x", "http://[2001:db8::1]/@x", "an IPv6 address"),
            ("http://{address}:8404/x?csv", "http://{address}:8404/x?csv", "a placeholder"),
            (
                "key = \"key.pem\"; token=1 is it? key: no",
                "key = \"key.pem\"; token=1 is it? key: no",
                "no URL",
            ),
            ("mail hostmaster@example.com", "mail hostmaster@example.com", "a mail address"),
            ("http://@h/?key=", "http://@h/?key=", "empty"),
            ("://", "://", "next to nothing"),
        ] {
            assert_eq!(redacted(text), expected, "{why}");
        }
    }

    #[test]
    fn a_long_text_of_beginnings_of_urls_is_searched_once() {
        // 2 MB, which would take minutes if each beginning were searched to the end of the text.
        for text in [
            "://a:x/".repeat(300_000),
            "://".repeat(700_000),
            "?key".repeat(500_000),
            "&".repeat(2_000_000),
        ] {
            assert!(secret_ranges(text.as_bytes()).is_empty());
            assert_eq!(secret_ranges(format!("{text} http://a:b@h").as_bytes()).len(), 1);
        }
    }

    #[test]
    fn a_secret_is_replaced_in_any_surrounding_text() {
        // No text around a URL makes its password visible.
        let around = ["", " ", "\"", "a", "ß", "://", "@", "?", "\n", "{", "http://"];
        for before in around {
            for after in around {
                let text = format!("{before}http://ada:hunter2@h/?token=hunter2&x{after}");
                assert!(!redacted(&text).contains("hunter2"), "{text:?}");
            }
        }
    }
}
