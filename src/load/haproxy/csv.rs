//! The fields of a line of CSV.

use std::borrow::Cow;

use super::bounds::WRONG_FORMAT;
use crate::load::ReportError;

/// The next field of a line of CSV, and the rest after its comma; `None` if a quotation does not
/// end.
pub(super) fn split_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let (field, rest) = text.split_once(',').unwrap_or((text, ""));
        return Some((field.into(), rest));
    };
    let mut field = String::new();
    loop {
        let (text, rest) = quoted.split_once('"')?;
        field.push_str(text);
        match rest.strip_prefix('"') {
            Some(rest) => {
                field.push('"');
                quoted = rest;
            }
            None => return Some((field.into(), rest.strip_prefix(',').unwrap_or(rest))),
        }
    }
}

/// The whole number in a field; `None` if the field is empty.
pub(super) fn parse_number(field: &str) -> Result<Option<f64>, ReportError> {
    match field {
        "" => Ok(None),
        digits => digits.parse::<i64>().map(|number| Some(number as f64)).map_err(|_| WRONG_FORMAT),
    }
}
