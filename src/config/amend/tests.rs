//! Compares amendments with full loads of the same files, which are their referee.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::*;
use crate::config::{SerialSource, SourceFile, SourceOptions};

/// Files by path, each with the second at which it was written.
type TestFiles = Vec<(&'static str, String, u64)>;

const ZONES: &str = r#"# zones
[zone."x.test"]
nameservers = ["ns1.example.com"]
hostmaster = "h@x.test"
[zone."y.test"]
nameservers = ["ns1.example.com", "ns2.example.com"]
hostmaster = "h@y.test"
[delegate."d.x.test"]
nameservers = ["ns.example.net"]
"#;

const PLACES: &str = r#"
[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
region = "eu"
state = "active"
[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }
until = 2020-01-01T00:00:00Z
state = "draining"
[monitor.web]
http = { path = "/health" }
[monitor.tcp]
tcp = { port = 443 }
interval = "7s"
[load.each]
nginx = { url = "http://{address}/stub_status" }
"#;

const POOLS: &str = r#"# Pools.
[pool.a-fra]
datacenter = "fra"
monitor = "web"
members = [
  { addresses = ["192.0.2.1", "2001:db8::1"], weight = 7 }, # first
  { addresses = ["192.0.2.2"], weight = 1, state = "standby" },
]

[pool.a-iad] # the other
datacenter = "iad"
members = [{ name = "one", addresses = ["198.51.100.1"] }, { name = "two", addresses = ["198.51.100.1"] }]
[pool.names]
members = [{ cname = "cdn.example.net" }, { cname = "www.x.test", weight = 2 }]
[pool.both]
policy = "nearest"
client-subnet = true
members = ["a-fra", { pool = "a-iad", bias = 10 }]
[pool.rules]
policy = "geo"
default = ["both"]
[[pool.rules.rules]]
country = ["DE", "FR"]
members = ["a-fra"]
[[pool.rules.rules]]
asn = [64500]
members = ["a-iad", "both"]
[pool.loaded]
policy = "load"
monitor = "web"
members = [{ addresses = ["192.0.2.7"], load = "each" }, { addresses = ["192.0.2.8"], load = "each", weight = 3 }]
[pool.unused]
members = [{ addresses = ["203.0.113.9"] }]
"#;

const SERVICES: &str = r#"[service."www.x.test"]
pool = "both"
ttl = 30
on-all-down = "all"
[service."api.x.test"]
members = [{ addresses = ["192.0.2.20"], datacenter = "fra" }, { addresses = ["192.0.2.21"], datacenter = "iad" }]
spread = "client"
monitor = "tcp"
[service."geo.y.test"]
pool = "rules"
on-all-down = { pool = "a-fra" }
ttl = "1m"
[service."cdn.y.test"]
pool = "names"
[service."sip.y.test"]
type = "SRV"
members = [{ target = "sip1.example.com", port = 5060 }, { target = "sip2.example.com", port = 5060, priority = 10 }]
[service."load.y.test"]
pool = "loaded"
"#;

fn files() -> TestFiles {
    vec![
        ("zones/a-pools.toml", POOLS.to_owned(), 1000),
        ("zones/b-places.toml", PLACES.to_owned(), 1001),
        ("zones/c-services.toml", SERVICES.to_owned(), 1002),
        ("zones/d-zones.toml", ZONES.to_owned(), 1003),
    ]
}

/// The same files, and one with services that answer with exactly as many records as resolvers
/// accept.
fn files_near_bounds() -> TestFiles {
    let addresses = |prefix: &str, numbers: std::ops::Range<u32>| {
        numbers.map(|at| format!("\"{prefix}{at}\"")).collect::<Vec<_>>().join(", ")
    };
    let hosts: String = (1..=100).map(|at| format!("{{target=\"h.test\",port={at}}},\n")).collect();
    let (many, six) = (addresses("10.0.0.", 1..100), addresses("2001:db8::", 1..102));
    let text = format!(
        "[service.\"six.y.test\"]\npool = \"six\"\nipv6 = false\n\
         [service.\"late.y.test\"]\nmembers = [{{ addresses = [\"192.0.2.1\"] }}]\n\
         on-all-down = {{ pool = \"six\" }}\nipv6 = false\n\
         [service.\"many.y.test\"]\npool = \"many\"\nttl = 7\n\
         [service.\"srv.y.test\"]\npool = \"srv\"\ntype = \"SRV\"\n\
         [service.\"twice.y.test\"]\npool = \"twice\"\n\
         [pool.many]\nanswers = \"all\"\nmembers = [\n\
         {{ addresses = [\"192.0.2.1\"], weight = 0 }},\n\
         {{ addresses = [\"192.0.2.2\"], state = \"standby\" }},\n\
         {{ addresses = [\"192.0.2.3\"], weight = 5 }},\n\
         {{ addresses = [{many}] }}]\n\
         [pool.twice]\nanswers = \"all\"\nmembers = [\n\
         {{ addresses = [\"192.0.2.3\"] }},\n\
         {{ addresses = [\"192.0.2.3\"], weight = 3, name = \"again\" }},\n\
         {{ addresses = [{many}] }}]\n\
         [pool.six]\nmembers = [{{ addresses = [\"192.0.2.9\", {six}] }}]\n\
         [pool.srv]\nanswers = \"all\"\nmembers = [\n{hosts}{{target=\"h.test\",port=100,name=\"again\"}}]\n",
    );
    let mut files = files();
    files.push(("zones/e-near-bounds.toml", text, 1004));
    files
}

fn sources(files: &TestFiles) -> Sources {
    let mut sources = Sources::from_texts(
        &SourceOptions::default(),
        files.iter().map(|(path, text, _)| (*path, text.as_str())),
    );
    let versions: Vec<_> = sources
        .entries()
        .filter_map(|(id, file)| {
            let (path, text, written) =
                files.iter().find(|(path, ..)| Path::new(path) == file.path)?;
            let written = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(*written));
            Some((
                id,
                SourceFile::with_content(
                    Path::new(path),
                    file.role,
                    written,
                    text.clone().into_bytes(),
                ),
            ))
        })
        .collect();
    sources.replace_files(versions);
    sources
}

fn load(files: &TestFiles) -> Result<(Config, Diagnostics), Diagnostics> {
    Config::load(&sources(files))
}

/// Everything that can be observed of a configuration, as text, one part after the other.
fn observed(config: &Config, warnings: &Diagnostics) -> Vec<String> {
    let topology = &config.topology;
    let feeds_of = |pool: &crate::steer::Pool| {
        pool.members.iter().map(|member| topology.feeds_of_member(member.kind)).collect::<Vec<_>>()
    };
    let zone = |zone: &crate::config::ZoneConfig| {
        let serial: SerialSource = zone.serial;
        (
            zone.apex.clone(),
            zone.client_subnet,
            zone.whoami.clone(),
            serial,
            zone.origin.clone(),
            zone.record_count(),
        )
    };
    vec![
        format!("{:?}", topology.datacenters),
        format!("{:?}", topology.monitors),
        format!("{:?}", topology.load_sources),
        format!("{:#?}", topology.endpoints),
        format!("{:#?}", topology.pools),
        format!("{:#?}", topology.services),
        format!("{:?} {:?}", topology.probes, topology.combined_probes),
        format!("{:?}", topology.endpoint_probes),
        format!("{:?}", topology.feeds.list),
        format!("{:?}", topology.pools.iter().map(|pool| feeds_of(pool)).collect::<Vec<_>>()),
        format!("{:?} {:?}", topology.aliases, topology.endpoint_alias),
        format!("{:#?}", config.zones.iter().map(zone).collect::<Vec<_>>()),
        format!("{:#?}", config.datacenter_origins),
        format!("{:?} {:?}", config.master_files, config.server),
        warnings.render(crate::config::Colours::Plain),
        format!("{:#?}", warnings.iter().collect::<Vec<_>>()),
    ]
}

/// Replaces `old` by `new` in the one file that contains it.
fn edited(files: &TestFiles, old: &str, new: &str) -> TestFiles {
    let mut files = files.clone();
    let (_, text, written) = files.iter_mut().find(|(_, text, _)| text.contains(old)).unwrap();
    *text = text.replacen(old, new, 1);
    *written += 100;
    files
}

/// The number of tables that an edit reads again; `None` where all are read. Checks that an amended
/// configuration equals a full load.
fn tables_read(base: &Config, files: &TestFiles) -> Option<(usize, Config)> {
    let amended = base.amend(&sources(files));
    match (amended, load(files)) {
        (None, _) => None,
        (Some(_), Err(errors)) => panic!("an amendment with errors: {errors}"),
        (Some((config, warnings)), Ok((whole, whole_warnings))) => {
            assert_eq!(observed(&config, &warnings), observed(&whole, &whole_warnings));
            Some((config.load_mode.tables_read(), config))
        }
    }
}

/// Asserts for each edit, from old to new text, how many tables are read; `None` for a full load.
fn assert_tables_read(edits: &[(&str, &str, Option<usize>, &str)]) {
    let base = files();
    let (config, warnings) = load(&base).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(warnings.count() >= 3, "{warnings}");
    for (old, new, expected, why) in edits {
        let found = tables_read(&config, &edited(&base, old, new)).map(|(tables, _)| tables);
        assert_eq!(found, *expected, "{why}: {old} -> {new}");
    }
}

#[test]
fn an_edit_of_a_service_or_member_reads_one_table_unless_others_depend_on_it() {
    assert_tables_read(&[
        ("ttl = 30", "ttl = 60", Some(1), "a service's TTL"),
        ("ttl = 30", "ipv6 = false", Some(1), "a service's flag in place of another"),
        (
            "on-all-down = \"all\"",
            "on-all-down = \"empty\"",
            Some(1),
            "what a service answers at the end",
        ),
        ("on-all-down = \"all\"", "", None, "the pool's word for it, which is in another table"),
        ("on-all-down = \"all\"", "on-all-down = { pool = \"names\" }", None, "another pool"),
        ("pool = \"both\"\nttl", "pool = \"rules\"\nttl", None, "another pool"),
        ("weight = 7", "weight = 9", Some(1), "a weight"),
        ("weight = 7", "weight = 70000", None, "an error, which a full load reports"),
        (
            "weight = 7 }, # first\n  { addresses = [\"192.0.2.2\"], weight = 1",
            "weight = 0 }, # first\n  { addresses = [\"192.0.2.2\"], weight = 0",
            None,
            "no weight at all: an error",
        ),
        ("192.0.2.2\"", "192.0.2.3\"", Some(1), "an address"),
        (
            "[\"192.0.2.2\"]",
            "[\"192.0.2.1\"], name = \"n\"",
            Some(1),
            "an address twice, which makes a warning",
        ),
        (
            "{ name = \"two\", addresses = [\"198.51.100.1\"]",
            "{ name = \"two\", addresses = [\"198.51.100.2\"]",
            Some(1),
            "an address once, which ends a warning",
        ),
        ("[\"192.0.2.2\"]", "[\"192.0.2.2\", \"192.0.2.3\"]", Some(1), "one more address of a few"),
        ("state = \"standby\"", "state = \"disabled\"", Some(1), "a member's state"),
        ("state = \"standby\"", "force = \"up\"", Some(1), "a member's force"),
        ("name = \"one\"", "name = \"three\"", Some(1), "a member's name"),
        ("name = \"one\"", "name = \"two\"", None, "a member's name twice: an error"),
        ("bias = 10", "bias = 20", Some(1), "a bias"),
    ]);
}

#[test]
fn an_edit_of_a_pool_reads_one_table_unless_others_depend_on_it() {
    assert_tables_read(&[
        (
            "client-subnet = true",
            "client-subnet = false",
            None,
            "what services over the pool do, which are other tables",
        ),
        ("spread = \"client\"", "spread = \"turn\"", Some(1), "how clients pick"),
        ("spread = \"client\"", "answers = 2", Some(1), "how many answer, of a few"),
        ("spread = \"client\"", "min-up = 2", Some(1), "when a pool is usable"),
        (
            "spread = \"client\"",
            "families = \"together\"",
            Some(1),
            "whether a member needs all of its families",
        ),
        ("spread = \"client\"", "min-up = 3", None, "more than there are: an error"),
        ("spread = \"client\"", "policy = \"failover\"", None, "a policy"),
        ("country = [\"DE\", \"FR\"]", "country = [\"DE\"]", Some(1), "a geo rule"),
        (
            "country = [\"DE\", \"FR\"]",
            "strict = true\ncountry = [\"DE\"]",
            None,
            "a strict rule, which other pools mind",
        ),
        ("asn = [64500]", "asn = [64500]\ncountry = [\"FR\"]", None, "two equal rules: an error"),
        ("port = 5060, priority", "port = 5061, priority", Some(1), "a port"),
        ("sip1.example.com", "sip3.example.com", None, "another name"),
        ("cdn.example.net", "cdn.example.com", None, "another name"),
    ]);
}

#[test]
fn an_edit_of_a_datacenter_reads_one_table_unless_others_depend_on_it() {
    assert_tables_read(&[
        ("state = \"active\"", "state = \"draining\"\nreason = \"fibre\"", Some(1), "a drain"),
        (
            "state = \"active\"",
            "shed = \"20%\"\ndrain-hold = \"50%\"",
            Some(1),
            "a part of a drain",
        ),
        ("state = \"active\"", "slow-start = \"1m\"", None, "a pace, which its endpoints have"),
        ("latitude = 50.11", "latitude = 50.12", Some(1), "a location"),
        ("region = \"eu\"", "", None, "a region"),
        (
            "until = 2020-01-01T00:00:00Z\nstate = \"draining\"",
            "",
            Some(1),
            "the end of a drain that had ended",
        ),
        ("interval = \"7s\"", "interval = \"8s\"", None, "a monitor"),
        ("hostmaster = \"h@y.test\"", "hostmaster = \"i@y.test\"", None, "a zone"),
    ]);
}

#[test]
fn an_edit_of_comments_and_line_ends_reads_at_most_one_table_unless_it_is_an_error() {
    assert_tables_read(&[
        ("by", "by", Some(0), "nothing"),
        ("# zones\n", "", Some(0), "a comment above everything"),
        ("# Pools.", "# The pools\n# of this network.", Some(0), "comments above everything"),
        ("# the other", "# another", Some(1), "a comment behind a header"),
        ("\n[pool.a-iad]", "\n\n# more\n[pool.a-iad]", Some(0), "a comment between tables"),
        ("# first", "# the first", Some(1), "a comment inside of a table"),
        ("[zone.\"y.test\"]", "# second\n[zone.\"y.test\"]", Some(0), "a comment above a zone"),
        ("# zones\n", "# zo\u{1}nes\n", None, "a control character above everything"),
        ("# Pools.", "# Po\rols", None, "a bare CR above everything"),
        ("# the other", "# the \u{7f}other", None, "DEL behind a header"),
        (
            "\n[pool.a-iad]",
            "\n# mo\u{1}re\n[pool.a-iad]",
            None,
            "a control character between tables",
        ),
        ("\n[pool.a-iad]", "\r\n[pool.a-iad]", Some(0), "a line end of two octets"),
        ("\n[pool.a-iad]", "\r[pool.a-iad]", None, "half of it"),
        ("pool = \"loaded\"\n", "pool = \"loaded\"\n\r", None, "a bare CR at the end"),
        (
            "pool = \"loaded\"\n",
            "pool = \"loaded\"\n# \r",
            None,
            "a bare CR at the end of a comment",
        ),
        ("pool = \"loaded\"\n", "pool = \"loaded\"\n#\u{7f}\n", None, "DEL at the end"),
    ]);
}

#[test]
fn an_edit_that_adds_renames_or_removes_a_table_reads_everything() {
    assert_tables_read(&[
        ("[pool.unused]", "[pool.used]", None, "another name"),
        (
            "[pool.unused]",
            "[pool.unused2]\nmembers = [{ addresses = [\"203.0.113.8\"] }]\n[pool.unused]",
            None,
            "a new table",
        ),
        ("[service.\"cdn.y.test\"]\npool = \"names\"\n", "", None, "a table less"),
        ("[pool.unused]", "[pool.unused", None, "half a header"),
        ("[pool.unused]", "\"[pool.unused]", None, "a string that does not end"),
        ("ttl = 30\n", "ttl = 30 ", None, "two keys in a line"),
        ("[pool.loaded]\n", "[pool.loaded]\n[pool.unused]\n", None, "a table twice"),
    ]);
}

#[test]
fn an_edit_that_may_exceed_a_bound_on_answers_reads_everything() {
    let base = files_near_bounds();
    let (config, warnings) = load(&base).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(!warnings.to_string().contains("records at once"), "{warnings}");
    for (old, new, passes, why) in [
        ("weight = 0 }", "weight = 1 }", true, "a standby by weight becomes active"),
        ("weight = 5 }", "weight = 0 }", false, "an active member becomes a standby"),
        (
            "2.2\"], state = \"standby\"",
            "2.2\"], state = \"active\"",
            true,
            "a standby by state becomes active",
        ),
        (
            "[\"192.0.2.3\"], weight = 3",
            "[\"192.0.2.4\"], weight = 3",
            true,
            "an address of two members is one of one",
        ),
        ("six\"\nipv6 = false", "six\"\nipv6 = true", true, "the addresses of a pool are answered"),
        (
            "six\" }\nipv6 = false",
            "six\" }\nipv6 = true",
            true,
            "the addresses of the fallback pool are answered",
        ),
        ("port=1}", "port=101}", false, "the port of an SRV target"),
        ("port=100}", "port=101}", true, "the port of one of two equal SRV targets"),
    ] {
        let now = edited(&base, old, new);
        assert!(tables_read(&config, &now).is_none(), "{why}");
        let (_, warnings) = load(&now).unwrap();
        assert_eq!(warnings.to_string().contains("records at once"), passes, "{why}: {warnings}");
    }
    for (old, new, why) in [
        ("weight = 5 }", "weight = 6 }", "a weight that stays above 0"),
        ("ttl = 7", "ttl = 8", "a TTL"),
        ("state = \"active\"", "state = \"draining\"", "the state of a datacenter"),
    ] {
        assert_eq!(
            tables_read(&config, &edited(&base, old, new)).map(|(tables, _)| tables),
            Some(1),
            "{why}"
        );
    }
}

#[test]
fn edits_of_several_tables_and_files_are_one_amendment() {
    let base = files();
    let (config, _) = load(&base).unwrap();
    let mut now = base;
    for (old, new) in [
        ("weight = 7", "weight = 8"),
        ("bias = 10", "bias = -3"),
        ("ttl = 30", "ttl = 31"),
        ("active", "draining"),
    ] {
        now = edited(&now, old, new);
    }
    assert_eq!(tables_read(&config, &now).map(|(tables, _)| tables), Some(4));
}

/// Writes a text in another form with the same meaning.
type TextRewrite = Box<dyn Fn(&str) -> String>;

#[test]
fn texts_of_every_kind_are_amended_as_they_are_read() {
    let long = format!("# {}\n", "x".repeat(70_000));
    let kinds: [(&str, TextRewrite); 5] = [
        ("line ends of two octets", Box::new(|text| text.replace('\n', "\r\n"))),
        ("a byte-order mark", Box::new(|text| format!("\u{feff}{text}"))),
        ("no line end at the end", Box::new(|text| text.trim_end().to_owned())),
        ("a file that is read table by table", Box::new(move |text| format!("{long}{text}"))),
        (
            "strings of several lines",
            Box::new(|text| {
                text.replace("\"draining\"", "\"draining\"\nreason = \"\"\"\\\n[pool.no]\"\"\"")
            }),
        ),
    ];
    for (why, kind) in kinds {
        let mut base = files();
        base.iter_mut().for_each(|(_, text, _)| *text = kind(text));
        let (mut config, _) = load(&base).unwrap_or_else(|errors| panic!("{why}: {errors}"));
        let mut now = base;
        for (old, new) in [
            ("ttl = 30", "ttl = 6000"),
            ("weight = 7", "weight = 12"),
            ("weight = 12", "weight = 3"),
            ("active", "standby"),
        ] {
            now = edited(&now, old, new);
            let (tables, amended) =
                tables_read(&config, &now).unwrap_or_else(|| panic!("{why}: {old}"));
            assert_eq!(tables, 1, "{why}");
            config = amended;
        }
    }
}

/// The kind of a random edit at a position.
#[derive(Debug, Clone)]
enum RandomEdit {
    Insert(&'static str),
    Delete(usize),
    /// Replaces the next word of this list by another one.
    Word(usize),
    /// Replaces the next digit by another one.
    Digit(u8),
}

/// Words that can replace each other.
const WORDS: [[&str; 3]; 10] = [
    ["active", "draining", "standby"],
    ["\"all\"", "\"empty\"", "\"never\""],
    ["192.0.2.1\"", "192.0.2.2\"", "2001:db8::7\""],
    ["weight = 1", "weight = 0", "weight = 65535"],
    ["spread = \"client\"", "spread = \"query\"", "answers = 2"],
    ["\"a-fra\"", "\"a-iad\"", "\"both\""],
    ["fra", "iad", "eu"],
    ["client-subnet = true", "client-subnet = false", "answers = 1"],
    ["ipv6 = false", "ipv6 = true", "ttl = 7"],
    ["weight = 5", "state = \"standby\"", "weight = 0"],
];

const INSERTED: [&str; 19] = [
    "\n",
    "# comment\n",
    " ",
    "\"",
    "[",
    "]",
    "{",
    "[pool.new]\n",
    "state = \"draining\"\n",
    "'''",
    "\r\n",
    "a = 1\n",
    "reason = \"a [pool.b] \\n\"\n",
    "\t",
    // Each is an error, even between tables.
    "# a\u{1}b\n",
    "# a\rb\n",
    "#\u{7f}\n",
    "# \r",
    "\r",
];

fn random_edit() -> impl Strategy<Value = (usize, usize, RandomEdit)> {
    let what = prop_oneof![
        2 => (0..INSERTED.len()).prop_map(|at| RandomEdit::Insert(INSERTED[at])),
        1 => (1..30_usize).prop_map(RandomEdit::Delete),
        6 => (0..WORDS.len() * 3).prop_map(RandomEdit::Word),
        4 => (0..10_u8).prop_map(RandomEdit::Digit),
    ];
    (0..5_usize, 0..4096_usize, what)
}

fn apply(text: &mut String, at: usize, what: &RandomEdit) {
    let mut at = at % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    match what {
        RandomEdit::Insert(octets) => {
            // Most insertions are at the start of a line: elsewhere they are errors.
            let line = text[at..].find('\n').map_or(at, |end| at + end + 1);
            text.insert_str(line, octets);
        }
        RandomEdit::Delete(octets) => {
            let end =
                text[at..].char_indices().nth(*octets).map_or(text.len(), |(end, _)| at + end);
            text.replace_range(at..end, "");
        }
        RandomEdit::Word(word) => {
            let list = &WORDS[word / 3];
            let next = list.iter().filter_map(|old| Some((text[at..].find(old)? + at, *old))).min();
            if let Some((start, old)) = next {
                text.replace_range(start..start + old.len(), list[word % 3]);
            }
        }
        RandomEdit::Digit(digit) => {
            if let Some(start) = text[at..].find(|c: char| c.is_ascii_digit()) {
                text.replace_range(at + start..at + start + 1, &digit.to_string());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is edited, an amended configuration equals a full load of the same files.
    #[test]
    fn every_amended_configuration_equals_a_full_load(
        steps in proptest::collection::vec(proptest::collection::vec(random_edit(), 1..3), 1..6),
        large in any::<bool>(),
        line_ends in any::<bool>(),
    ) {
        let mut now = files_near_bounds();
        if large {
            now[0].1.insert_str(0, &format!("# {}\n", "x".repeat(66_000)));
        }
        if line_ends {
            now.iter_mut().for_each(|(_, text, _)| *text = text.replace('\n', "\r\n"));
        }
        let (mut config, _) = load(&now).unwrap_or_else(|errors| panic!("{errors}"));
        for (second, step) in (2000..).zip(steps) {
            let before = now.clone();
            for (file, at, what) in step {
                // Large files have their tables at the end.
                let at = if large && file == 0 { 66_003 + at % POOLS.len() } else { at };
                let (_, text, written) = &mut now[file];
                apply(text, at, &what);
                *written = second;
            }
            match load(&now) {
                Err(_) => {
                    prop_assert!(config.amend(&sources(&now)).is_none());
                    now = before;
                }
                Ok((whole, _)) => config = tables_read(&config, &now).map_or(whole, |(_, amended)| amended),
            }
        }
    }
}
