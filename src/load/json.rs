//! JSON documents, with a JSON pointer (RFC 6901) to each number.

use std::{fmt, str::FromStr};

use serde_json::Value;

use super::{LoadReport, ReportError, ReportMapping};

/// The longest document, in octets.
pub(super) const MAX_OCTETS: usize = 256 << 10;

/// A JSON pointer (RFC 6901): empty, or a sequence of tokens, each after a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPointer(Box<str>);

/// Why a text is not a JSON pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonPointerError {
    /// The text is not empty and does not start with a slash.
    NoSlash,
    /// A tilde is not followed by 0 or 1.
    LoneTilde,
}

impl FromStr for JsonPointer {
    type Err = JsonPointerError;

    fn from_str(text: &str) -> Result<Self, JsonPointerError> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(JsonPointerError::NoSlash);
        }
        if text.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return Err(JsonPointerError::LoneTilde);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for JsonPointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlash => {
                "a JSON pointer starts with a slash: \"/stats/active\", \"/servers/0/load\""
            }
            Self::LoneTilde => {
                "in a JSON pointer `~` is written `~0` and a slash in a name `~1` (RFC 6901)"
            }
        })
    }
}

/// Reads a complete document.
///
/// # Errors
/// The document is not JSON, or lacks a number of the mapping.
pub(super) fn read(
    octets: &[u8],
    mapping: &ReportMapping<JsonPointer>,
) -> Result<LoadReport, ReportError> {
    let document: Value =
        serde_json::from_slice(octets).map_err(|_| ReportError::WrongFormat("JSON"))?;
    mapping.build_report(|JsonPointer(pointer)| match document.pointer(pointer)? {
        Value::Null => None,
        value => Some(number(value)),
    })
}

/// The number that a value is, or that a string contains in JSON notation: JavaScript, protobuf and
/// many exporters write numbers as strings. `None` for a string with a unit.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => {
            serde_json::from_str::<serde_json::Number>(text.trim()).ok()?.as_f64()
        }
        value => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{ServerCount, ShareUnit, TimeUnit};

    fn pointer(text: &str) -> Option<JsonPointer> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_number_is_found_by_its_pointer_and_converted_from_its_unit() {
        let mapping = ReportMapping {
            connections: pointer("/stats/active"),
            limit: pointer("/stats/max"),
            cpu: pointer("/cpu"),
            response_time: pointer("/latency_ms"),
            servers: pointer("/up").zip(pointer("/all/1")),
            gauges: vec![("queue".into(), pointer("/a~1b~0c").unwrap())],
            cpu_unit: ShareUnit::Percent,
            response_time_unit: TimeUnit::Milliseconds,
        };
        let document = br#"{"stats": {"active": 120, "max": 1e3}, "cpu": 35, "latency_ms": 12.5, "up": 3, "all": [9, 4], "a/b~c": -2}"#;
        let report = read(document, &mapping).unwrap();
        assert_eq!((report.connections, report.limit), (Some(120.0), Some(1000.0)));
        assert_eq!(report.response_time, Some(Duration::from_micros(12_500)));
        assert_eq!(report.servers, Some(ServerCount { up: 3, total: 4 }));
        let gauges: Vec<_> = report.gauges.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(gauges, [("cpu", 0.35), ("queue", -2.0)]);
    }

    #[test]
    fn a_number_may_be_written_as_a_string() {
        let mapping = ReportMapping { connections: pointer("/x"), ..ReportMapping::empty() };
        for (text, number) in [("7", 7.0), (" 12.5 ", 12.5), ("1e3", 1000.0), ("-0", 0.0)] {
            let document = format!("{{\"x\": \"{text}\"}}");
            assert_eq!(
                read(document.as_bytes(), &mapping).unwrap().connections,
                Some(number),
                "{text}"
            );
        }
    }

    #[test]
    fn a_missing_number_is_named_by_its_configuration_key() {
        for (document, path, error) in [
            ("{}", "/x", "no data found for `connections`"),
            ("{\"x\": null}", "/x", "no data found for `connections`"),
            ("[1]", "/1", "no data found for `connections`"),
            ("{\"x\": \"7 ms\"}", "/x", "the value for `connections` is not a number"),
            ("{\"x\": \"NaN\"}", "/x", "the value for `connections` is not a number"),
            ("{\"x\": \"\"}", "/x", "the value for `connections` is not a number"),
            ("{\"x\": {}}", "/x", "the value for `connections` is not a number"),
            ("{\"x\": true}", "/x", "the value for `connections` is not a number"),
            ("{\"x\": 1", "/x", "the load report is not JSON"),
            ("<html>", "/x", "the load report is not JSON"),
            ("{\"x\": 1e999}", "/x", "the load report is not JSON"),
        ] {
            let mapping = ReportMapping { connections: pointer(path), ..ReportMapping::empty() };
            assert_eq!(
                read(document.as_bytes(), &mapping).unwrap_err().to_string(),
                error,
                "{document}"
            );
        }
        let whole = ReportMapping { connections: pointer(""), ..ReportMapping::empty() };
        assert_eq!(read(b"17", &whole).unwrap().connections, Some(17.0), "the whole document");
    }

    #[test]
    fn an_invalid_pointer_is_an_error_with_the_reason() {
        assert_eq!("x".parse::<JsonPointer>(), Err(JsonPointerError::NoSlash));
        assert_eq!("/a~2".parse::<JsonPointer>(), Err(JsonPointerError::LoneTilde));
        assert_eq!("/a~".parse::<JsonPointer>(), Err(JsonPointerError::LoneTilde));
    }

    #[test]
    fn deeply_nested_brackets_are_refused() {
        let deep = "[".repeat(MAX_OCTETS);
        assert_eq!(
            read(deep.as_bytes(), &ReportMapping::empty()),
            Err(ReportError::WrongFormat("JSON"))
        );
    }
}
