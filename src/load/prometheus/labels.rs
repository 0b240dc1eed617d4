//! Labels of a series, in pages and in selectors.

use std::borrow::Cow;

/// A label: name, operator and value.
#[derive(Debug)]
pub(super) struct Label<'t> {
    pub(super) name: Cow<'t, str>,
    /// `=`, or in a selector another comparison. It is empty for a quoted name without a value,
    /// which is the name of the metric.
    pub(super) operator: &'t str,
    pub(super) value: Cow<'t, str>,
}

/// Passes each label up to the closing brace to `each`, and returns the text after the brace.
/// `None` if the syntax is wrong.
pub(super) fn each_label<'t, E>(
    mut text: &'t str,
    mut each: impl FnMut(Label<'t>) -> Result<(), E>,
) -> Option<Result<&'t str, E>> {
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Some(Ok(rest));
        }
        let (name, rest) = match text.strip_prefix('"') {
            Some(inner) => read_quoted_text(inner)?,
            None => {
                let (name, rest) = text
                    .split_at(text.find(|c: char| !is_metric_character(c)).filter(|&end| end > 0)?);
                (name.into(), rest)
            }
        };
        let is_quoted = text.starts_with('"');
        let rest = rest.trim_start();
        let (operator, value, rest) =
            match ["=~", "!~", "!=", "="].into_iter().find(|word| rest.starts_with(word)) {
                None if is_quoted => ("", Cow::Borrowed(""), rest),
                None => return None,
                Some(word) => {
                    let (value, rest) =
                        read_quoted_text(rest.strip_prefix(word)?.trim_start().strip_prefix('"')?)?;
                    (word, value, rest)
                }
            };
        if let Err(error) = each(Label { name, operator, value }) {
            return Some(Err(error));
        }
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(more) => more,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// A value up to its closing quotation mark, and the text after it.
fn read_quoted_text(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    let (plain, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), rest));
    }
    let mut value = plain.to_owned();
    let mut rest = rest.chars();
    loop {
        match rest.next()? {
            '"' => return Some((Cow::Owned(value), rest.as_str())),
            '\\' => value.push(match rest.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

/// Whether the name of a metric may contain this character without quotation marks.
pub(super) fn is_metric_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}
