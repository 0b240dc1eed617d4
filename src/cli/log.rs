//! The log of `serve`: its records on stderr, and how `PORTOLAN_LOG` selects them.
//!
//! One record is one line, whatever its fields contain: a reason, a reply or a user agent can
//! neither forge a record nor send control characters to a terminal. Passwords in URLs are removed.
//! Text records are a fixed phrase and `name=value` pairs (logfmt); JSON records are flat objects
//! without duplicate keys.

use std::{
    env,
    fmt::{self, Write as _},
    io::{self, IsTerminal},
};

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use super::args::LogFormat;
use crate::printable::{escaped_json, is_unprintable, redacted};

/// The environment variable whose directives select records.
const FILTER_VARIABLE: &str = "PORTOLAN_LOG";
/// The crate whose records a bare level selects.
const CRATE_NAME: &str = "portolan";
/// The keys of a JSON record that are not fields of its event.
const RESERVED_KEYS: [&str; 4] = ["timestamp", "level", "message", "target"];

/// Starts logging to stderr.
///
/// # Errors
/// `PORTOLAN_LOG` cannot be parsed.
pub(super) fn start(format: LogFormat) -> Result<(), FilterError> {
    let directives = env::var_os(FILTER_VARIABLE).unwrap_or_default();
    let filter = filter(&directives.to_string_lossy())?;
    let records = LogFormatter {
        format,
        is_coloured: format == LogFormat::Text && io::stderr().is_terminal(),
    };
    let layer = tracing_subscriber::fmt::layer().event_format(records).with_writer(io::stderr);
    // Fails only if a subscriber is set already; this runs once.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    Ok(())
}

/// A directive of `PORTOLAN_LOG` that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilterError {
    directive: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{FILTER_VARIABLE}: {:?} is neither a level nor MODULE=LEVEL\n  \
             help: the levels are off, error, warn, info, debug and trace; write for example {FILTER_VARIABLE}=debug, or \
             {FILTER_VARIABLE}=info,{CRATE_NAME}::probe=debug",
            self.directive
        )
    }
}

/// Selects records by directives separated by commas; without any, portolan's from `info` up.
///
/// A bare level applies only to portolan. Libraries log only if a directive names them: their
/// records repeat what clients send, so a client could fill the log and control its text.
fn filter(directives: &str) -> Result<Targets, FilterError> {
    let mut targets = Targets::new().with_target(CRATE_NAME, LevelFilter::INFO);
    for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty())
    {
        let (module, level) = directive.split_once('=').unwrap_or((CRATE_NAME, directive));
        let (module, level) = (module.trim(), level.trim());
        let is_path = !module.is_empty()
            && module.chars().all(|c| c.is_ascii_alphanumeric() || "_-:".contains(c));
        match level.parse::<LevelFilter>() {
            Ok(level_filter) if is_path && !level.is_empty() => {
                targets = targets.with_target(module, level_filter)
            }
            _ => return Err(FilterError { directive: directive.to_owned() }),
        }
    }
    Ok(targets)
}

/// Formats log records as text or as JSON.
struct LogFormatter {
    format: LogFormat,
    is_coloured: bool,
}

impl<S, N> FormatEvent<S, N> for LogFormatter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let record = LogRecord::new(timestamp, event);
        match self.format {
            LogFormat::Text => writeln!(writer, "{}", record.text(self.is_coloured)),
            LogFormat::Json => writeln!(writer, "{}", record.json()),
        }
    }
}

/// One log record, ready to be formatted.
struct LogRecord {
    timestamp: String,
    level: Level,
    /// The module that logs.
    target: String,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl LogRecord {
    fn new(timestamp: String, event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut record = Self {
            timestamp,
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    fn add(&mut self, field: &Field, value: Value) {
        let value = match value {
            Value::String(text) => Value::String(redacted(&text).into_owned()),
            other => other,
        };
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // A record of the `log` crate has its module in fields.
            ("log.target", Value::String(module)) => self.target = module,
            (name, _) if name.starts_with("log.") => {}
            (name, value) if self.fields.iter().all(|(existing, _)| *existing != name) => {
                self.fields.push((name, value))
            }
            _ => {}
        }
    }

    /// The record as a line of text, without its end.
    fn text(&self, is_coloured: bool) -> String {
        let mut line = format!("{} ", self.timestamp);
        let colour = match self.level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            _ => 34,
        };
        // Writing to a string cannot fail.
        let _ = if is_coloured {
            write!(line, "\x1b[{colour}m{:>5}\x1b[0m ", self.level.as_str())
        } else {
            write!(line, "{:>5} ", self.level.as_str())
        };
        escape_into(&mut line, &self.message);
        if self.target != CRATE_NAME && !self.target.starts_with("portolan::") {
            let _ = write!(line, " module={}", logfmt_value(&self.target));
        }
        for (name, value) in &self.fields {
            let _ = match value {
                Value::String(text) => write!(line, " {name}={}", logfmt_value(text)),
                other => write!(line, " {name}={other}"),
            };
        }
        line
    }

    /// The record as a JSON object on one line.
    fn json(&self) -> String {
        let mut octets = Vec::new();
        // All keys are texts, and writing to a vector cannot fail.
        let _ = self.serialize_json(&mut serde_json::Serializer::new(&mut octets));
        let json = String::from_utf8(octets).unwrap_or_default();
        escaped_json(&json).into_owned()
    }

    fn serialize_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        map.serialize_entry("level", self.level.as_str())?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("target", &self.target)?;
        for (name, value) in &self.fields {
            // No event of portolan has such a field (`tests/logs.rs`); one of a library may.
            if RESERVED_KEYS.contains(name) {
                map.serialize_entry(&format!("{name}_"), value)?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl Visit for LogRecord {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    /// Also called for values that are logged by their `Display`.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

/// A value of a text record: unchanged if it is one plain word, else quoted.
fn logfmt_value(text: &str) -> String {
    let is_plain =
        |c: char| !(c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_unprintable(c));
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len() + 2);
    line.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        let plain = part.trim_end_matches(['"', '\\']);
        escape_into(&mut line, plain);
        part[plain.len()..].chars().for_each(|c| line.extend(['\\', c]));
    }
    line.push('"');
    line
}

/// Appends `text` with control characters escaped as in JSON.
fn escape_into(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // All unprintable characters have at most four hexadecimal digits.
            _ if is_unprintable(c) => _ = write!(line, "\\u{:04x}", u32::from(c)),
            _ => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_bare_level_applies_to_portolan_and_libraries_log_only_by_name() {
        for (directives, module, level, is_logged, why) in [
            ("", "portolan::app", Level::INFO, true, "the default"),
            ("", "portolan::app", Level::DEBUG, false, "the default"),
            (
                "",
                "hickory_server::server::h2_handler",
                Level::ERROR,
                false,
                "clients control its text",
            ),
            ("debug", "portolan::app", Level::DEBUG, true, "a bare level"),
            ("debug", "hickory_net::h2", Level::ERROR, false, "a library"),
            ("debug", "rustls::conn", Level::DEBUG, false, "a library of the log crate"),
            ("WARN", "portolan::app", Level::INFO, false, "levels in any case"),
            ("off", "portolan::app", Level::ERROR, false, "nothing at all"),
            ("h2=debug", "h2::codec", Level::DEBUG, true, "a library by name"),
            ("h2=debug", "portolan::app", Level::INFO, true, "portolan as by default beside it"),
            ("portolan::probe=debug", "portolan::probe::tcp", Level::DEBUG, true, "a module"),
            (
                "portolan::probe=debug",
                "portolan::app",
                Level::INFO,
                true,
                "the other modules as by default",
            ),
            (
                " warn , portolan::probe=trace,",
                "portolan::app",
                Level::INFO,
                false,
                "blanks and a last comma",
            ),
        ] {
            let filter = filter(directives).unwrap();
            assert_eq!(
                filter.would_enable(module, &level),
                is_logged,
                "{directives:?}, {module}: {why}"
            );
        }
    }

    #[test]
    fn a_directive_that_cannot_be_parsed_is_an_error() {
        for (directives, directive) in [
            ("debgu", "debgu"),
            ("info,portolan=loud", "portolan=loud"),
            ("portolan=", "portolan="),
            ("=debug", "=debug"),
            ("portolan", "portolan"),
            ("portolan[span]=debug", "portolan[span]=debug"),
            ("info;debug", "info;debug"),
        ] {
            let directive = directive.to_owned();
            assert_eq!(filter(directives), Err(FilterError { directive }), "{directives}");
        }
    }

    #[test]
    fn a_value_is_quoted_unless_it_is_one_plain_word() {
        for (value, expected) in [
            ("fra", "fra"),
            ("192.0.2.1:53", "192.0.2.1:53"),
            ("/etc/portolan/zones/a.toml", "/etc/portolan/zones/a.toml"),
            ("Köln", "Köln"),
            ("", r#""""#),
            ("kernel upgrade", r#""kernel upgrade""#),
            ("a=b", r#""a=b""#),
            (r#"say "no""#, r#""say \"no\"""#),
            (r"C:\zones", r#""C:\\zones""#),
            ("one\nERROR two\r\t", r#""one\nERROR two\r\t""#),
            ("\u{1b}[31m\u{7f}\u{9b}\0", r#""\u001b[31m\u007f\u009b\u0000""#),
            ("a\u{2028}b\u{202e}c\u{200b}", r#""a\u2028b\u202ec\u200b""#),
        ] {
            assert_eq!(logfmt_value(value), expected);
        }
    }

    #[test]
    fn one_record_is_one_line_of_text_whatever_it_contains() {
        let lines = logged(LogFormat::Text, || {
            tracing::warn!(datacenter = "fra", secs = 3, share = 0.5, note = %"a\n2026 b", "state\nchanged");
            tracing::info!(target: "library", message = "text\u{1b}c", "key with blank" = true);
        });
        assert_eq!(
            lines,
            [
                r#"  WARN state\nchanged datacenter=fra secs=3 share=0.5 note="a\n2026 b""#,
                r#"  INFO text\u001bc module=library key with blank=true"#,
            ]
        );
    }

    #[test]
    fn no_record_contains_the_password_of_a_url() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = logged(format, || {
                tracing::warn!(url = "http://ada:hunter2@h/", note = %"GET /?token=hunter2", "asked");
                tracing::info!(target: "library", "http://ada:hunter2@h/?key=hunter2");
            });
            let text = lines.join("\n");
            assert!(!text.contains("hunter2") && text.contains("http://***@h/?key=***"), "{text}");
        }
    }

    #[test]
    fn one_record_is_one_json_object_without_duplicate_keys() {
        let lines = logged(LogFormat::Json, || {
            tracing::warn!(datacenter = "fra", secs = 3, share = f64::NAN, note = %"a\n\"b", "state changed");
            tracing::info!(target: "library", target = "x", level = 1, "text\u{9b}\u{202e}");
        });
        assert_eq!(
            lines,
            [
                r#","level":"WARN","message":"state changed","target":"portolan::cli::log::tests","datacenter":"fra","secs":3,"share":null,"note":"a\n\"b"}"#,
                r#","level":"INFO","message":"text\u009b\u202e","target":"library","target_":"x","level_":1}"#,
            ]
        );
    }

    /// The lines that `log` writes, without their timestamps.
    fn logged(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct LogBuffer(Arc<Mutex<Vec<u8>>>);
        impl io::Write for LogBuffer {
            fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend(octets);
                Ok(octets.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = LogBuffer::default();
        let writer = sink.clone();
        let records = LogFormatter { format, is_coloured: false };
        let layer = tracing_subscriber::fmt::layer()
            .event_format(records)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let time = match format {
            LogFormat::Text => "2026-01-01T00:00:00.000000Z",
            LogFormat::Json => r#"{"timestamp":"2026-01-01T00:00:00.000000Z""#,
        };
        text.lines().map(|line| line[time.len()..].to_owned()).collect()
    }
}
