//! JSON, with a pointer (RFC 6901) to each number.

use std::{fmt, str::FromStr};

use serde_json::Value;

use super::{LoadReport, ReportError, ReportMapping};

/// The longest document, in octets.
pub(super) const MAX_OCTETS: usize = 256 << 10;

/// A place in a JSON document (RFC 6901): empty, or tokens each after a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPointer(Box<str>);

/// A text is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonPointerError {
    /// It is not empty and does not start with a slash.
    NoSlash,
    /// A tilde without 0 or 1 after it.
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

/// Reads a whole document.
///
/// # Errors
/// It is no JSON, or what is wanted is not in it.
pub(super) fn read(
    octets: &[u8],
    wanted: &ReportMapping<JsonPointer>,
) -> Result<LoadReport, ReportError> {
    let document: Value =
        serde_json::from_slice(octets).map_err(|_| ReportError::WrongFormat("JSON"))?;
    wanted.build_report(|JsonPointer(pointer)| match document.pointer(pointer)? {
        Value::Null => None,
        value => Some(number(value)),
    })
}

/// A number, or a text that is one as JSON writes it: JavaScript and protobuf write long numbers as
/// texts, and so do many exporters. A unit is not read.
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

    fn at(text: &str) -> Option<JsonPointer> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_number_is_found_by_its_pointer_and_read_in_its_unit() {
        let wanted = ReportMapping {
            connections: at("/stats/active"),
            limit: at("/stats/max"),
            cpu: at("/cpu"),
            response_time: at("/latency_ms"),
            servers: at("/up").zip(at("/all/1")),
            gauges: vec![("queue".into(), at("/a~1b~0c").unwrap())],
            cpu_unit: ShareUnit::Percent,
            response_time_unit: TimeUnit::Milliseconds,
        };
        let document = br#"{"stats": {"active": 120, "max": 1e3}, "cpu": 35, "latency_ms": 12.5, "up": 3, "all": [9, 4], "a/b~c": -2}"#;
        let report = read(document, &wanted).unwrap();
        assert_eq!((report.connections, report.limit), (Some(120.0), Some(1000.0)));
        assert_eq!(report.response_time, Some(Duration::from_micros(12_500)));
        assert_eq!(report.servers, Some(ServerCount { up: 3, total: 4 }));
        let gauges: Vec<_> = report.gauges.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(gauges, [("cpu", 0.35), ("queue", -2.0)]);
    }

    #[test]
    fn a_number_may_be_written_as_a_string() {
        let wanted = ReportMapping { connections: at("/x"), ..ReportMapping::empty() };
        for (text, number) in [("7", 7.0), (" 12.5 ", 12.5), ("1e3", 1000.0), ("-0", 0.0)] {
            let document = format!("{{\"x\": \"{text}\"}}");
            assert_eq!(
                read(document.as_bytes(), &wanted).unwrap().connections,
                Some(number),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wanted_and_not_there_is_named_as_the_configuration_names_it() {
        for (document, pointer, fault) in [
            ("{}", "/x", "nothing there for `connections`"),
            ("{\"x\": null}", "/x", "nothing there for `connections`"),
            ("[1]", "/1", "nothing there for `connections`"),
            ("{\"x\": \"7 ms\"}", "/x", "what is there for `connections` is no number"),
            ("{\"x\": \"NaN\"}", "/x", "what is there for `connections` is no number"),
            ("{\"x\": \"\"}", "/x", "what is there for `connections` is no number"),
            ("{\"x\": {}}", "/x", "what is there for `connections` is no number"),
            ("{\"x\": true}", "/x", "what is there for `connections` is no number"),
            ("{\"x\": 1", "/x", "what came is not JSON"),
            ("<html>", "/x", "what came is not JSON"),
            ("{\"x\": 1e999}", "/x", "what came is not JSON"),
        ] {
            let wanted = ReportMapping { connections: at(pointer), ..ReportMapping::empty() };
            assert_eq!(
                read(document.as_bytes(), &wanted).unwrap_err().to_string(),
                fault,
                "{document}"
            );
        }
        let whole = ReportMapping { connections: at(""), ..ReportMapping::empty() };
        assert_eq!(read(b"17", &whole).unwrap().connections, Some(17.0), "the whole document");
    }

    #[test]
    fn a_bad_pointer_is_told_how_to_write_it() {
        assert_eq!("x".parse::<JsonPointer>(), Err(JsonPointerError::NoSlash));
        assert_eq!("/a~2".parse::<JsonPointer>(), Err(JsonPointerError::LoneTilde));
        assert_eq!("/a~".parse::<JsonPointer>(), Err(JsonPointerError::LoneTilde));
    }

    #[test]
    fn a_document_of_nothing_but_brackets_is_refused_without_harm() {
        let deep = "[".repeat(MAX_OCTETS);
        assert_eq!(
            read(deep.as_bytes(), &ReportMapping::empty()),
            Err(ReportError::WrongFormat("JSON"))
        );
    }
}
