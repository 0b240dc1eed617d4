//! Each kind of load source becomes its domain value.

use std::{num::NonZeroU64, path::Path, time::Duration};

use crate::{
    config::{Config, SourceOptions, Sources},
    load::{HaproxySource, LoadKind, LoadSource, PageHost, ShareUnit, TimeUnit},
};

fn loads(text: &str) -> Vec<LoadSource> {
    let sources = Sources::from_texts(&SourceOptions::default(), [("zones/x.toml", text)]);
    let (config, _) = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    config.topology.load_sources.clone()
}

fn load(text: &str) -> LoadSource {
    loads(&format!("[load.web]\n{text}\n")).pop().unwrap()
}

#[test]
fn default_times_are_those_of_monitors_and_reports_expire_after_three_intervals() {
    let source = load("orca = {}");
    let secs = Duration::from_secs;
    assert_eq!((source.interval, source.timeout, source.stale_after), (secs(5), secs(2), secs(15)));
    assert_eq!((source.limit, source.scales_by_servers, source.kind), (None, true, LoadKind::Orca));
    let source = load("orca = {}\ninterval = \"2s\"\nlimit = 1000");
    assert_eq!(
        (source.timeout, source.stale_after, source.limit),
        (secs(1), secs(6), NonZeroU64::new(1000))
    );
}

#[test]
fn each_kind_is_read() {
    let source = load(
        "haproxy = { url = \"http://10.0.0.5:8404/stats;csv\", proxy = \"www\" }\nscale-by-servers = false",
    );
    let LoadKind::Haproxy(HaproxySource::Page { page, proxy }) = source.kind else {
        panic!("{source:?}")
    };
    assert_eq!((page.port, &*page.path, proxy.as_deref()), (8404, "/stats;csv", Some("www")));
    assert_eq!(page.host, PageHost::Address("10.0.0.5".parse().unwrap()));

    let socket = |path: &str| load(&format!("haproxy = {{ socket = \"{path}\" }}")).kind;
    let expected = |path: &str| {
        LoadKind::Haproxy(HaproxySource::Socket { path: Path::new(path).into(), proxy: None })
    };
    assert_eq!(socket("/run/haproxy/admin.sock"), expected("/run/haproxy/admin.sock"));
    assert_eq!(socket("admin.sock"), expected("zones/admin.sock"), "beside the file that names it");

    let nginx = load("nginx = { url = \"http://{address}/stub_status\" }");
    assert!(nginx.is_per_address());

    let envoy = load(
        "envoy = { url = \"http://10.0.0.5:9901/stats?format=prometheus\", cluster = \"web\" }",
    );
    assert!(matches!(envoy.kind, LoadKind::Envoy { cluster, .. } if &*cluster == "web"));

    let prometheus = load(
        "prometheus = { url = \"https://m.example/metrics\", connections = \"x{proxy=\\\"www\\\"}\", limit = \"y\", \
         cpu = \"max(c)\", response-time = \"t\", servers-up = \"u\", servers-total = \"n\", gauges = { queue = \"q\" } }\n\
         ca = \"ca.pem\"\nbasic-auth = { user = \"a\", password = \"b\" }\nheaders = { X-Team = \"edge\" }",
    );
    let LoadKind::Prometheus { page, mapping } = prometheus.kind else { panic!("{prometheus:?}") };
    assert_eq!(page.authorities.as_deref(), Some(Path::new("zones/ca.pem")));
    let headers: Vec<_> =
        page.headers.iter().map(|header| (&*header.name, &*header.value)).collect();
    assert_eq!(headers, [("x-team", "edge"), ("authorization", "Basic YTpi")]);
    assert_eq!(mapping.selectors().count(), 7);
    assert_eq!(
        (mapping.response_time_unit, mapping.cpu_unit),
        (TimeUnit::Seconds, ShareUnit::Share)
    );

    let json = load(
        "json = { url = \"http://10.0.0.5/\", connections = \"/stats/active\", cpu = \"/cpu\", cpu-unit = \"percent\", \
         response-time = \"/latency_ms\" }",
    );
    let LoadKind::Json { mapping, .. } = json.kind else { panic!("{json:?}") };
    assert_eq!(
        (mapping.response_time_unit, mapping.cpu_unit),
        (TimeUnit::Milliseconds, ShareUnit::Percent)
    );
}

#[test]
fn load_sources_are_in_order_of_name() {
    let sources = loads("[load.b]\norca = {}\n[load.a]\norca = {}\n[load.c]\norca = {}\n");
    let names: Vec<_> = sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}
