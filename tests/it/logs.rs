//! The log on stderr: the form of its records, and the filter.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::harness::ServerDirectory;

const PLACES: &str = "[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }
";
/// The port of the endpoints is closed, so that their health status becomes down.
const ZONE: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[monitor.web]
tcp = { port = 1 }
interval = "1s"
timeout = "500ms"
fall = 1
[service."www.example.org"]
policy = "failover"
monitor = "web"
members = [
{ datacenter = "fra", addresses = ["127.0.0.1"] },
{ datacenter = "iad", addresses = ["127.0.0.2"] },
]
"#;
const HOSTILE_REASON: &str = "upgrade\n2026-01-01T00:00:00Z ERROR forged=\"yes\"\u{1b}[31m";

#[test]
fn a_hostile_reason_cannot_forge_a_text_record() {
    let site =
        ServerDirectory::new(&[("zones/places.toml", PLACES), ("zones/example.org.toml", ZONE)]);
    let server = site.serve();
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) =
        site.run(&["drain", "fra", "--force", "--reason", HOSTILE_REASON, "--server", &url]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        err.contains("the reason holds the control character \\n") && !err.contains('\u{1b}'),
        "{err}"
    );
    server.until_logged("operator request refused");
    assert!(!site.read("zones/places.toml").contains("draining"), "nothing is edited");
    let (_, log) = server.terminate();
    assert!(!log.contains("\nERROR") && !log.contains('\u{1b}'), "{log}");
    let record = log
        .lines()
        .find(|line| line.contains("operator request received"))
        .expect("the audit record");
    for part in [
        " INFO operator request received action=drain subjects=fra peer=127.0.0.1:",
        " user_agent=portolan/",
        r#" reason="upgrade\n2026-01-01T00:00:00Z ERROR forged=\"yes\"\u001b[31m" "#,
        " force=true",
    ] {
        assert!(record.contains(part), "no {part:?} in {record}");
    }
}

#[test]
fn every_json_record_is_an_object_without_duplicate_keys() {
    let site =
        ServerDirectory::new(&[("zones/places.toml", PLACES), ("zones/example.org.toml", ZONE)]);
    let server = site.serve_with(&["--log-format", "json"]).unwrap();
    let url = format!("http://{}", server.admin.unwrap());
    site.run(&["drain", "fra", "--force", "--reason", HOSTILE_REASON, "--server", &url]);
    site.run(&["drain", "frra", "--server", &url]);
    server.until_logged("health status changed");
    server.until_logged("\"frra\"");
    let (_, log) = server.terminate();
    let records: Vec<LogRecord> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let find = |phrase: &str, level: &str| {
        let is_it =
            |record: &&LogRecord| record.text("message") == phrase && record.text("level") == level;
        records.iter().find(is_it).unwrap_or_else(|| panic!("no {level} {phrase:?}:\n{log}"))
    };
    let down = find("health status changed", "WARN");
    assert_eq!(
        (down.text("endpoint"), down.text("monitor"), down.text("to")),
        ("127.0.0.1", "web", "down")
    );
    assert!(down.text("target").starts_with("portolan::"), "the module that logs");
    assert_eq!(find("operator request received", "INFO").text("reason"), HOSTILE_REASON);
    let refused =
        records.iter().filter(|record| record.text("message") == "operator request refused");
    let refused: Vec<&str> = refused.map(|record| record.text("subjects")).collect();
    assert_eq!(refused, ["fra", "frra"], "refused for the reason, and for an unknown subject");
}

#[test]
fn debug_shows_portolan_and_not_its_libraries() {
    let site =
        ServerDirectory::new(&[("zones/places.toml", PLACES), ("zones/example.org.toml", ZONE)]);
    let mut command =
        site.command(&["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"]);
    command.args(["--log-format", "json"]).env("PORTOLAN_LOG", "debug");
    let server = crate::harness::Server::start(command).unwrap();
    let (code, _) = server.http("/readyz");
    assert_eq!(code, 200);
    server.until_logged("\"DEBUG\"");
    let (_, log) = server.terminate();
    for line in log.lines() {
        let record: LogRecord = serde_json::from_str(line).expect(line);
        assert!(record.text("target").starts_with("portolan"), "{line}");
    }
}

#[test]
fn an_invalid_log_filter_fails_the_start_with_the_remedy() {
    let site =
        ServerDirectory::new(&[("zones/places.toml", PLACES), ("zones/example.org.toml", ZONE)]);
    let mut command =
        site.command(&["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"]);
    let output = command.env("PORTOLAN_LOG", "debgu").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.starts_with("error: PORTOLAN_LOG: \"debgu\"") && err.contains("help: the levels are"),
        "{err}"
    );
}

/// A JSON record. A duplicate key is a parse error.
struct LogRecord(Vec<(String, Value)>);

impl LogRecord {
    fn text(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for LogRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = LogRecord;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LogRecord, A::Error> {
                let (mut entries, mut keys) = (Vec::new(), BTreeSet::new());
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if !keys.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("duplicate key {key}")));
                    }
                    entries.push((key, value));
                }
                Ok(LogRecord(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
