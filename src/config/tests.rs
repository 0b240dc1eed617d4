//! Valid configurations and the domain values that they become.

use super::*;
use crate::steer::{
    AnswerCount, EndpointId, EndpointTarget, MemberKind, MinUp, OnAllDown, Policy, PoolId,
    ServingState, Spread, Tie,
};

fn load(texts: &[(&str, &str)]) -> Config {
    let sources = Sources::from_texts(&SourceOptions::default(), texts.iter().copied());
    match Config::load(&sources) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{}", errors.render(Colours::Plain)),
    }
}

const SAMPLES: [(&str, &str); 2] = [
    ("zones/datacenters.toml", include_str!("../../zones/datacenters.toml")),
    ("zones/gslb.example.com.toml", include_str!("../../zones/gslb.example.com.toml")),
];

#[test]
fn the_samples_serve_two_services_from_three_datacenters() {
    let config = load(&SAMPLES);
    assert_eq!(
        Summary::new(&config, 0).to_string(),
        "zone gslb.example.com: 3 records, 2 services\n  \
         api.gslb.example.com nearest ttl 20: 192.0.2.21, 198.51.100.21, 203.0.113.21 (3 endpoints)\n  \
         www.gslb.example.com pool web nearest ttl 30: web-fra, web-iad, web-sin (4 endpoints)\n\
         datacenter fra in eu: active, 2 services depend on it\n\
         datacenter iad in us: active, 2 services depend on it\n\
         datacenter sin in ap: active, 2 services depend on it\n\
         0 monitors, 0 targets\n"
    );
}

#[test]
fn a_summary_counts_delegations_and_load_sources_and_names_the_type() {
    let config = load_tables(
        r#"
        [load.each]
        haproxy = { url = "http://{address}:8404/stats;csv", proxy = "www" }
        [delegate."eu.x.example"]
        nameservers = ["ns1.example.net", "ns2.example.net"]
        [service."www.x.example"]
        type    = "HTTPS"
        policy  = "load"
        members = [{ addresses = ["192.0.2.1"], load = "each" }, { addresses = ["192.0.2.2"], load = "each" }]
        "#,
    );
    assert_eq!(
        Summary::new(&config, 0).to_string(),
        "zone x.example: 4 records, 1 service, 1 delegation\n  \
         www.x.example HTTPS load ttl 30: 192.0.2.1, 192.0.2.2 (2 endpoints)\n\
         0 monitors, 0 targets, 1 load source reporting on 2 balancers\n"
    );
}

#[test]
fn services_and_zones_are_in_alphabetical_order() {
    let tables: String = ["b", "a-long-name", "c", "ab"]
        .iter()
        .map(|name| {
            format!(
                "[service.\"{name}.x.example\"]\nmembers = [{{ addresses = [\"192.0.2.1\"] }}]\n{}",
                ZONE.replace("x.example", &format!("{name}.test"))
            )
        })
        .collect();
    let config = load_tables(&tables);
    let zones: Vec<String> = config.zones.iter().map(|zone| zone.apex.to_string()).collect();
    assert_eq!(zones, ["a-long-name.test", "ab.test", "b.test", "c.test", "x.example"]);
    let services: Vec<String> =
        config.topology.services.iter().map(|service| service.name.to_string()).collect();
    assert_eq!(services, ["a-long-name.x.example", "ab.x.example", "b.x.example", "c.x.example"]);
}

#[test]
fn the_samples_have_no_warnings() {
    let sources = Sources::from_texts(&SourceOptions::default(), SAMPLES);
    let (_, warnings) = Config::load(&sources).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
}

const ZONE: &str = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"host.master@example.com\"\n";

fn load_tables(tables: &str) -> Config {
    load(&[("zones/x.toml", &format!("{ZONE}{tables}"))])
}

/// Every key of a datacenter, a pool, a service and a monitor that has a value of its own.
const EVERY_KEY: &str = r#"
[datacenter.fra]
location = { latitude = 50, longitude = 8.68 }
region = "eu"
state = "draining"
reason = "kernel upgrade"
until = 2026-12-01T06:00:00Z
[datacenter.ams]
region = "eu"
[monitor.web]
https = { host = "www.example.com", status = ["200-299", 404], verify = false }
interval = "1m30s"
[pool.inner]
datacenter = "eu"
monitor = "web"
spread = "client"
answers = 1
min-up = "50%"
members = [
  { addresses = ["192.0.2.1", "2001:db8::1"], weight = 0, state = "standby", force = "down" },
  { name = "b", cname = "CDN.example.net.", datacenter = "fra" },
]
[pool.outer]
policy = "nearest"
tie = "100km"
members = [{ pool = "inner", bias = -25, weight = 7 }]
[service."WWW.x.example."]
pool = "outer"
ttl = 7
ipv6 = false
on-all-down = { pool = "inner" }
"#;

#[test]
fn every_key_of_a_pool_becomes_its_domain_value() {
    let config = load_tables(EVERY_KEY);
    let topology = &config.topology;
    let [ams, fra] = &topology.datacenters[..] else { panic!() };
    assert_eq!((&*ams.name, &*fra.name), ("ams", "fra"));
    assert_eq!(
        (fra.state, fra.until, fra.reason.as_deref()),
        (ServingState::Draining, Some(1_796_104_800), Some("kernel upgrade"))
    );
    let [inner, outer] = &topology.pools[..] else { panic!() };
    assert_eq!((inner.spread, inner.min_up), (Spread::Client, MinUp::Share(0.5)));
    assert_eq!(inner.answers, AnswerCount::Count(std::num::NonZeroU32::MIN));
    assert_eq!(outer.policy, Policy::Nearest { tie: Some(Tie::Kilometres(100.0)) });
    let member = &outer.members[0];
    assert_eq!((member.kind, member.weight, member.bias), (MemberKind::Pool(PoolId(0)), 7, -25));
    assert_eq!(inner.members[0].kind, MemberKind::Endpoint(EndpointId(0)));
    let [a, b] = &topology.endpoints[..] else { panic!() };
    assert_eq!((&*a.name, a.datacenters.len(), a.state), ("192.0.2.1", 2, ServingState::Standby));
    assert_eq!(a.force, Some(crate::steer::HealthOverride::Down));
    assert_eq!((&*b.name, b.datacenters.len()), ("b", 1));
    assert_eq!(b.target, EndpointTarget::Cname("cdn.example.net".parse().unwrap()));
}

#[test]
fn every_key_of_a_service_and_a_monitor_becomes_its_domain_value() {
    let config = load_tables(EVERY_KEY);
    let topology = &config.topology;
    let service = &topology.services[0];
    assert_eq!(
        (service.name.to_string().as_str(), service.ttl_secs, service.ipv6),
        ("www.x.example", 7, false)
    );
    assert_eq!((service.pool, service.on_all_down), (PoolId(1), OnAllDown::Pool(PoolId(0))));
    let monitor = &topology.monitors[0];
    assert_eq!(
        (
            monitor.interval.as_secs(),
            monitor.timeout.as_secs(),
            monitor.rise.get(),
            monitor.fall.get()
        ),
        (90, 2, 2, 3)
    );
    let crate::health::Check::Http(check) = &monitor.check else { panic!() };
    let verify = check.tls.as_ref().map(|terms| terms.verify);
    assert_eq!((check.port, verify, check.status.len(), &*check.path), (443, Some(false), 2, "/"));
    assert_eq!(topology.probes.len(), 3);
}

#[test]
fn a_geo_pool_shares_members_among_its_rules() {
    let config = load_tables(
        r#"
        [pool.a]
        members = [{ addresses = ["192.0.2.1"] }]
        [pool.geo]
        policy = "geo"
        rules = [
          { subnet = ["203.0.113.0/24"], country = ["de"], members = ["a", { addresses = ["192.0.2.9"] }] },
          { continent = ["eu"], members = [{ addresses = ["192.0.2.9"] }] },
        ]
        default = ["a"]
        [service."www.x.example"]
        pool = "geo"
        "#,
    );
    let pool = &config.topology.pools[1];
    assert_eq!(pool.members.len(), 2);
    let Policy::Geo { rules, default } = &pool.policy else { panic!() };
    assert_eq!(
        (&rules[0].members[..], &rules[1].members[..], &default[..]),
        (&[0, 1][..], &[1][..], &[0][..])
    );
    assert_eq!((&*rules[0].countries[0], &*rules[1].continents[0]), ("DE", "EU"));
}

#[test]
fn the_hostmaster_becomes_an_rname_with_its_dots_escaped() {
    let mut config = load_tables("");
    let zone = config.zones[0].take_zone(7).unwrap();
    let soa = zone.soa().unwrap().records().next().unwrap();
    let rest = &soa.stored_rdata()["ns1.example.com".len() + 2..];
    let rname = b"\x0bhost.master\x07example\x03com\x00";
    assert_eq!(&rest[..rname.len()], rname);
    assert_eq!(
        rest[rname.len()..],
        [0, 0, 0, 7, 0, 0, 14, 16, 0, 0, 3, 132, 0, 18, 117, 0, 0, 0, 0, 60]
    );
}

#[test]
fn the_content_hash_depends_on_the_content_and_not_on_states() {
    let hash = |tables: &str| match load_tables(tables).zones[0].serial {
        SerialSource::FromContent { hash, .. } => hash,
        SerialSource::OwnSoa(_) => panic!(),
    };
    let tables = "[pool.a]\nmembers = [{ addresses = [\"192.0.2.1\"], datacenter = \"fra\" }]\n[service.\"www.x.example\"]\npool = \"a\"\n[datacenter.fra]\n";
    let before = hash(tables);
    assert_eq!(hash(tables), before);
    assert_ne!(hash(&tables.replace("192.0.2.1", "192.0.2.2")), before);
    assert_ne!(hash(&tables.replace("www.", "web.")), before);
    assert_ne!(hash(&tables.replace("pool = \"a\"", "pool = \"a\"\nttl = 31")), before);
    assert_eq!(hash(&format!("{tables}state = \"draining\"\n")), before);
}

#[test]
fn the_content_hash_of_a_configuration_is_the_same_in_every_version() {
    let config = load_tables(
        r#"
        [datacenter.fra]
        location = { latitude = 50, longitude = 8 }
        [datacenter.nyc]
        location = { latitude = 40, longitude = -74 }
        [load.lb]
        prometheus = { url = "http://192.0.2.9/metrics", gauges = { queue = "queue_length" } }
        [pool.load]
        policy = "load"
        by = "queue"
        answers = 2
        min-up = 1
        members = [
          { addresses = ["192.0.2.1"], load = "lb" },
          { addresses = ["192.0.2.2"], load = "lb" },
        ]
        [pool.near]
        policy = "nearest"
        tie = "100km"
        spread = "client"
        shed = "10%"
        members = [
          { addresses = ["192.0.2.3"], datacenter = "fra", bias = -25 },
          { name = "b", alias = "cdn.example.net", datacenter = "nyc" },
        ]
        [pool.geo]
        policy = "geo"
        families = "together"
        rules = [{ country = ["DE"], subnet = ["192.0.2.0/24"], members = ["near"], strict = true }]
        default = ["load"]
        [service."www.x.example"]
        pool = "geo"
        type = "HTTPS"
        [service."_sip._tcp.x.example"]
        type = "SRV"
        policy = "failover"
        failback = "manual"
        members = [{ target = "sip.example.net", port = 5060, priority = 1, weight = 2 }]
        "#,
    );
    let SerialSource::FromContent { hash, .. } = config.zones[0].serial else { panic!() };
    assert_eq!(hash, 916_272_127_309_419_700, "a new hash gives each zone a new serial");
}

#[test]
fn a_master_file_that_nothing_names_is_a_zone_by_itself() {
    let soa = "@ 3600 IN SOA ns1.example.com. h.example.com. 42 3600 900 1209600 60\n@ IN NS ns1.example.com.\n$INCLUDE part.zone\n";
    let config = load(&[
        ("zones/a\\.b.example.zone", soa),
        ("zones/part.zone", "www IN A 192.0.2.1\n"),
        ("zones/root.zone", soa),
    ]);
    let apexes: Vec<_> = config
        .zones
        .iter()
        .map(|zone| (zone.apex.to_string(), zone.serial, zone.record_count()))
        .collect();
    let master_file_serial = SerialSource::OwnSoa(42);
    assert_eq!(
        apexes,
        [(".".into(), master_file_serial, 3), ("a\\.b.example".into(), master_file_serial, 3)]
    );
}

#[test]
fn a_service_belongs_to_the_innermost_zone() {
    let child = ZONE.replace("x.example", "sub.x.example");
    let config = load_tables(&format!(
        "{child}[service.\"www.sub.x.example\"]\nmembers = [{{ addresses = [\"192.0.2.1\"] }}]\n"
    ));
    let zone = config.topology.services[0].zone;
    assert_eq!(config.zones[zone.index()].apex.to_string(), "sub.x.example");
}

#[test]
fn only_files_below_the_zones_directory_are_master_files() {
    let texts = [("portolan.toml", ""), ("zones/x.toml", ""), ("zones/sub/x.zone", "")];
    let sources = Sources::from_texts(&SourceOptions::default(), texts);
    for (path, is_found, why) in [
        ("sub/x.zone", true, "a file"),
        ("sub/../sub/x.zone", true, "the same by another way"),
        ("../portolan.toml", false, "the settings are outside"),
        (".", false, "the directory itself is no file"),
        ("sub", false, "nor is one below it"),
    ] {
        let found = sources.find(path, std::path::Path::new("zones"));
        assert_eq!(found.is_some(), is_found, "{path}: {why}");
    }
}

#[test]
fn flags_override_the_file_and_the_file_overrides_the_defaults() {
    let text = "[server]\nlisten = [\"[::]:53\"]\nadmin = false\nstate = \"s\"\ncanaries = [\"[2001:db8::1]:443\"]\n[geoip]\ndatabases = [\"a.mmdb\"]\n";
    let locations =
        SourceOptions { config: Some("etc/portolan.toml".into()), ..SourceOptions::default() };
    let settings = |locations: &SourceOptions| {
        let sources = Sources::from_texts(locations, [("portolan.toml", text)]);
        Config::load(&sources).unwrap().0
    };
    let config = settings(&locations);
    assert_eq!(config.server.listen, ["[::]:53".parse().unwrap()]);
    assert_eq!(
        (&config.server.admin.listen[..], config.server.state_directory.to_str()),
        (&[][..], Some("etc/s"))
    );
    assert_eq!(config.server.canaries, [Canary { host: "2001:db8::1".into(), port: 443 }]);
    assert_eq!(config.geoip[0].path.to_str(), Some("etc/a.mmdb"));
    assert_eq!(config.geoip[0].origin.as_deref(), Some("portolan.toml:7:14"));
    let flags = SourceOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        geoip: vec!["b.mmdb".into()],
        ..locations
    };
    let config = settings(&flags);
    assert_eq!(
        (config.server.listen, config.geoip[0].path.to_str()),
        (flags.listen, Some("b.mmdb"))
    );
    assert_eq!(load(&[]).server.listen, ["127.0.0.1:5300".parse().unwrap()]);
}

#[test]
fn tables_and_lists_nested_without_end_are_refused() {
    let deep = 100_000;
    for text in [
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}1{}", "{ a = ".repeat(deep), " }".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
        "[[a]]\n".repeat(deep),
        "]".repeat(deep),
        "a = \n".repeat(deep),
    ] {
        let sources = Sources::from_texts(&SourceOptions::default(), [("zones/x.toml", &*text)]);
        assert!(!Config::load(&sources).unwrap_err().render(Colours::Plain).is_empty());
    }
}

mod disk {
    use std::{fs, os::unix::fs::symlink, process::Command};

    use super::*;

    fn load_from_disk(directory: &std::path::Path) -> Result<Config, String> {
        let locations =
            SourceOptions { zones: Some(directory.join("zones")), ..SourceOptions::default() };
        let sources = Sources::read(&locations);
        let strip = |text: String| text.replace(&format!("{}/", directory.display()), "");
        Config::load(&sources).map(|(config, _)| config).map_err(|errors| strip(errors.to_string()))
    }

    #[test]
    fn an_absent_directory_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            load_from_disk(directory.path()).unwrap_err(),
            "zones: the zones directory cannot be read: No such file or directory (os error 2) (help: create it and put your \
             *.toml and *.zone files there, or name another with --zones DIR)"
        );
    }

    #[test]
    fn irregular_files_are_refused_without_waiting_and_leftovers_of_editors_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        fs::create_dir_all(zones.join("deeper.toml")).unwrap();
        fs::write(zones.join("deeper.toml/dc.toml"), "[datacenter.fra]\n").unwrap();
        for ignored in [".hidden.toml", "a.toml~", "a.toml.bak"] {
            fs::write(zones.join(ignored), "garbage").unwrap();
        }
        assert_eq!(load_from_disk(directory.path()).unwrap().topology.datacenters.len(), 1);
        symlink("/dev/zero", zones.join("zero.toml")).unwrap();
        assert!(Command::new("mkfifo").arg(zones.join("fifo.toml")).status().unwrap().success());
        let huge = fs::File::create(zones.join("huge.toml")).unwrap();
        huge.set_len(65 << 20).unwrap();
        let regular = "replace it by a regular file, or move it out of the zones directory";
        let smaller = "split the file, or move what is not zone data out of the zones directory";
        let bound = "one file may have 64 MiB, all together 512 MiB";
        let cannot = "the file cannot be read: it is";
        assert_eq!(
            load_from_disk(directory.path()).unwrap_err().lines().collect::<Vec<_>>(),
            [
                format!("zones/fifo.toml: {cannot} a FIFO, not a regular file (help: {regular})"),
                format!("zones/huge.toml: {cannot} too large: {bound} (help: {smaller})"),
                format!("zones/zero.toml: {cannot} a device, not a regular file (help: {regular})"),
            ]
        );
    }

    #[test]
    fn links_inside_the_directory_are_followed_as_kubernetes_makes_them() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        fs::create_dir_all(zones.join("..2026/sub")).unwrap();
        fs::write(zones.join("..2026/dc.toml"), "[datacenter.fra]\n").unwrap();
        fs::write(zones.join("..2026/sub/dc.toml"), "[datacenter.iad]\n").unwrap();
        symlink("..2026", zones.join("..data")).unwrap();
        symlink("..data/dc.toml", zones.join("dc.toml")).unwrap();
        symlink("..data/sub", zones.join("sub")).unwrap();
        symlink(".", zones.join("loop")).unwrap();
        assert_eq!(load_from_disk(directory.path()).unwrap().topology.datacenters.len(), 2);
    }

    #[test]
    fn an_include_does_not_leave_the_zones_directory_by_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).unwrap();
        fs::write(directory.path().join("secret"), "www IN A 192.0.2.1\n").unwrap();
        let secret = directory.path().join("secret");
        fs::write(zones.join("inside"), "www IN A 192.0.2.1\n").unwrap();
        for path in [
            "../secret",
            secret.to_str().unwrap(),
            "/dev/zero",
            ".",
            zones.to_str().unwrap(),
            "../zones/inside",
        ] {
            fs::write(zones.join("x.example.zone"), format!("$INCLUDE {path}\n")).unwrap();
            let errors = load_from_disk(directory.path()).unwrap_err();
            let is_refused = errors.contains("below the zones directory")
                && errors.starts_with("zones/x.example.zone:1:");
            assert!(is_refused, "{path}: {errors}");
            assert!(errors.contains("without `..`"), "{path}: {errors}");
        }
    }

    #[test]
    fn an_absolute_path_below_the_zones_directory_is_found_whatever_form_the_directory_has() {
        let text = [("zones/sub/x.zone", "")];
        let sources = Sources::from_texts(&SourceOptions::default(), text);
        let absolute = std::path::absolute("zones/sub/x.zone").unwrap();
        for directory in ["zones", "zones/sub"] {
            assert!(
                sources
                    .find_included(absolute.to_str().unwrap(), std::path::Path::new(directory))
                    .is_some()
            );
        }
        let outside = std::path::absolute("zones-other/sub/x.zone").unwrap();
        assert!(
            sources
                .find_included(outside.to_str().unwrap(), std::path::Path::new("zones"))
                .is_none()
        );
    }

    const ZONE: &str =
        "@ 300 SOA ns1.example.net. h.example.net. 1 2 3 4 5\n@ 300 NS ns1.example.net.\n";

    fn zone_names(directory: &std::path::Path) -> Vec<String> {
        let config = load_from_disk(directory).unwrap();
        config.zones.iter().map(|zone| zone.apex.to_string()).collect()
    }

    #[test]
    fn links_are_followed_wherever_they_lead_and_cycles_end() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        let elsewhere = directory.path().join("elsewhere/deeper");
        fs::create_dir_all(&zones).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        fs::write(elsewhere.join("linked.test.zone"), ZONE).unwrap();
        fs::write(elsewhere.join("included"), "www 300 A 192.0.2.1\n").unwrap();
        fs::write(
            directory.path().join("elsewhere/file.test.zone"),
            format!("{ZONE}$INCLUDE include\n"),
        )
        .unwrap();
        symlink("../elsewhere/deeper", zones.join("directory")).unwrap();
        symlink("../elsewhere/file.test.zone", zones.join("file.test.zone")).unwrap();
        symlink(elsewhere.join("included"), zones.join("include")).unwrap();
        symlink(&zones, elsewhere.join("back")).unwrap();
        symlink(".", elsewhere.join("again")).unwrap();
        assert_eq!(zone_names(directory.path()), ["file.test", "linked.test"]);
    }

    #[test]
    fn file_extensions_in_capitals_are_read_like_others() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).unwrap();
        fs::write(zones.join("X.TEST.ZONE"), ZONE).unwrap();
        fs::write(zones.join("DC.TOML"), "[datacenter.fra]\n").unwrap();
        let config = load_from_disk(directory.path()).unwrap();
        assert_eq!(config.topology.datacenters.len(), 1);
        assert_eq!(zone_names(directory.path()), ["x.test"]);
    }

    #[test]
    fn a_broken_link_is_an_error_by_name_and_not_an_empty_directory() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).unwrap();
        let long = "n".repeat(300);
        for (target, reason, why) in [
            ("/mnt/is-not-mounted", "No such file or directory", "a volume that is not there"),
            ("shared", "Too many levels of symbolic links", "a link to itself"),
            (&*long, "File name too long", "a target that no file system can hold"),
        ] {
            symlink(target, zones.join("shared")).unwrap();
            let errors = load_from_disk(directory.path()).unwrap_err();
            let start = "zones/shared: cannot be read, and which zones it holds is not known: ";
            assert!(errors.starts_with(start) && errors.contains(reason), "{why}: {errors}");
            fs::remove_file(zones.join("shared")).unwrap();
        }
    }

    #[test]
    fn a_link_that_every_user_may_replace_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (zones, elsewhere) =
            (directory.path().join("zones"), directory.path().join("elsewhere"));
        fs::create_dir(&zones).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("x.test.zone"), ZONE).unwrap();
        symlink(&elsewhere, zones.join("shared")).unwrap();
        let mode = |mode| fs::set_permissions(&zones, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let errors = load_from_disk(directory.path()).unwrap_err();
        assert!(
            errors.starts_with("zones/shared: ") && errors.contains("every user may replace it"),
            "{errors}"
        );
        assert!(errors.contains("chmod o-w"), "{errors}");
        for safe in [0o1777, 0o775] {
            mode(safe);
            assert_eq!(zone_names(directory.path()), ["x.test"]);
        }
    }

    #[test]
    fn a_database_directory_that_cannot_be_listed_is_an_error_unless_its_databases_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        fs::write(directory.path().join("portolan.toml"), "").unwrap();
        let geoip = directory.path().join("geoip");
        let locations = SourceOptions {
            config: Some(directory.path().join("portolan.toml")),
            ..SourceOptions::default()
        };
        let load = |in_use: &[&str]| {
            let mut sources = Sources::read(&locations);
            sources.keep_databases(in_use.iter().map(|name| geoip.join(name)).collect());
            if !in_use.is_empty() {
                sources.tolerate_databases(ToleratedDatabases::Unnamed);
            }
            Config::load(&sources).map(|(config, _)| config.geoip)
        };
        assert!(load(&[]).unwrap().is_empty(), "the directory is optional");
        symlink("geoip", &geoip).unwrap();
        let errors = load(&[]).unwrap_err().to_string();
        assert!(errors.contains("geoip cannot be listed: Too many levels"), "{errors}");
        let databases = load(&["city.mmdb"]).unwrap();
        let fault = databases[0].fault.clone().unwrap();
        assert!(
            databases[0].path == geoip && fault.line.contains("cannot be listed: Too many levels"),
            "{fault:?}"
        );
        assert_eq!((&databases[1].path, &databases[1].fault), (&geoip.join("city.mmdb"), &None));
    }
}

mod mutations {
    use proptest::prelude::*;

    use super::*;

    const RICH: &str = include_str!("../../zones/gslb.example.com.toml");

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Cuts, swaps and foreign octets at random places end in a configuration or in errors that
        /// can be rendered.
        #[test]
        fn a_mutated_configuration_never_panics(
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, "\\PC{0,6}|[\\[\\]{}\"=.,#\n\u{0}-]{0,4}"), 1..6)
        ) {
            let mut text: Vec<char> = format!("{}{RICH}", SAMPLES[0].1).chars().collect();
            for (at, cut, put) in edits {
                let at = at.index(text.len() + 1).min(text.len());
                let end = (at + cut).min(text.len());
                text.splice(at..end, put.chars());
            }
            let text: String = text.into_iter().collect();
            let sources = Sources::from_texts(&SourceOptions::default(), [("zones/x.toml", &*text), ("portolan.toml", &*text)]);
            match Config::load(&sources) {
                Ok((config, warnings)) => {
                    Summary::new(&config, 0).to_string();
                    warnings.render(Colours::Plain);
                }
                Err(errors) => {
                    prop_assert!(!errors.is_empty());
                    let shown = errors.render(Colours::Ansi) + &errors.to_string() + &errors.to_json().to_string();
                    let has_raw_control = shown.contains('\u{0}');
                    prop_assert!(!has_raw_control);
                }
            }
        }
    }
}

#[test]
fn a_state_whose_end_has_passed_is_summarised_as_active() {
    let config = load_tables(
        "[datacenter.fra]\nstate = \"draining\"\nreason = \"kernel upgrade\"\nuntil = 2026-12-01T06:00:00Z\n",
    );
    let summary_at = |now: i64| Summary::new(&config, now).to_string();
    let until = 1_796_104_800;
    assert!(
        summary_at(until - 1).contains("datacenter fra: draining (kernel upgrade),"),
        "{}",
        summary_at(until - 1)
    );
    assert!(
        summary_at(until)
            .contains("datacenter fra: active (the `until` of its draining has passed),"),
        "{}",
        summary_at(until)
    );
    assert_eq!(Summary::new(&config, until).to_json()["datacenters"][0]["state"], "active");
}
