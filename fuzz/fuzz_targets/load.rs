//! Any octets as the page of a balancer, in every format and cut anywhere: the result is a
//! plausible report or a reason. It never panics and always ends quickly. The first octet chooses
//! the format, the second where the page is cut.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use portolan::{
    config::{Config, SourceOptions, Sources},
    load::{LoadSource, PollHistory},
};

/// Load sources of every kind, as a configuration creates them.
static SOURCES: LazyLock<Vec<LoadSource>> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("portolan-fuzz-load-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let kinds = [
        r#"haproxy = { url = "http://192.0.2.1/;csv" }"#,
        r#"haproxy = { url = "http://192.0.2.1/;csv", proxy = "www" }"#,
        r#"nginx = { url = "http://192.0.2.1/" }"#,
        r#"envoy = { url = "http://192.0.2.1/", cluster = "web" }"#,
        r#"prometheus = { url = "http://192.0.2.1/", connections = "c{a=\"b\"}", limit = "max(l)", cpu = "p", gauges = { q = "q" } }"#,
        r#"json = { url = "http://192.0.2.1/", connections = "/a/0", limit = "/b", response-time = "/c~1d" }"#,
        "orca = {}",
    ];
    let tables: String =
        kinds.iter().enumerate().map(|(at, kind)| format!("[load.l{at}]\n{kind}\n")).collect();
    std::fs::write(directory.join("loads.toml"), tables).expect("a file");
    let locations = SourceOptions { zones: Some(directory.clone()), ..SourceOptions::default() };
    let (config, _) = Config::load(&Sources::read(&locations)).expect("a good configuration");
    std::fs::remove_dir_all(directory).expect("our own directory");
    config.topology.load_sources.clone()
});

fuzz_target!(|bytes: &[u8]| {
    let [kind, cut, page @ ..] = bytes else { return };
    let source = &SOURCES[usize::from(*kind) % SOURCES.len()];
    let report = match source.reader() {
        Some(mut reader) => {
            let pieces = page.chunks(usize::from(*cut).max(1));
            if pieces.into_iter().any(|piece| reader.feed(piece).is_err()) {
                return;
            }
            reader.finish(&mut PollHistory::default())
        }
        None => source.read_header(&String::from_utf8_lossy(page)),
    };
    if let Ok(report) = report {
        assert_eq!(report.check(), Ok(()));
        assert!((0.0..=1.0).contains(&source.capacity_left(&report)));
        assert!(report.response_time.is_none_or(|time| time <= Duration::from_secs(3600)));
    }
});
