//! `status` of a real server: its views, names in full, and its exit code.

use serde_json::Value;

use super::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    query::TestQuery,
};

const DATACENTERS: &str = r#"[datacenter.fra]
region = "eu"
[datacenter.iad]
region = "us"
state = "draining"
reason = "kernel upgrade"
"#;

const ZONE: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.com"]
hostmaster = "hostmaster@example.com"
[monitor.web]
tcp = { port = 1 }
interval = "1s"
timeout = "500ms"
[pool.web]
members = [
  { name = "web-1", addresses = ["127.0.66.1"], datacenter = "fra", monitor = "web", weight = 2 },
  { name = "web-2", addresses = ["127.0.66.2"], datacenter = "fra", weight = 3 },
  { name = "web-3", addresses = ["127.0.66.3"], datacenter = "fra" },
  { name = "web-4", addresses = ["127.0.66.4"], datacenter = "iad" },
]
[service."www.example.org"]
pool = "web"
[service."plain.example.org"]
members = [{ addresses = ["192.0.2.1"] }]
"#;

fn site() -> ServerDirectory {
    ServerDirectory::new(&[("zones/dc.toml", DATACENTERS), ("zones/example.org.toml", ZONE)])
}

fn run(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> (i32, String) {
    let address = server.admin.unwrap().to_string();
    let remote = ["--server", &address];
    let (code, out, err) = site.run(&[&["status"], arguments, &remote].concat());
    (code, out + &err)
}

fn document(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> Value {
    let (code, text) = run(site, server, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn until_down(server: &Server) {
    server.until("the target is down", WAIT_TIMEOUT, |server| {
        server.verdicts() == [("127.0.66.1".to_owned(), "down".to_owned())]
    });
}

#[test]
fn each_view_lists_what_it_names_and_failing_only_what_fails() {
    let site = site();
    let server = site.serve();
    until_down(&server);
    for (arguments, expected, absent) in [
        (&["services"][..], &["2 services: 1 degraded, 1 well", "down: web-1", "plain"][..], ""),
        (&["services", "--failing"], &["www.example.org  degraded"], "plain"),
        (&["targets", "--failing"], &["127.0.66.1", "fra", "down"], "plain"),
        (&["datacenters"], &["\niad ", "\"kernel upgrade\""], "every"),
        (&["datacenters", "--failing"], &["\nfra "], "\niad "),
        (&["overrides"], &["iad ", "draining", "dc.toml:3:13", "kernel upgrade"], "fra"),
        (&["held"], &["every file is in use as it is"], "error"),
    ] {
        let (code, text) = run(&site, &server, arguments);
        assert_eq!(code, 0, "{text}");
        for words in expected {
            assert!(text.contains(words), "{arguments:?}: {words:?}\n{text}");
        }
        assert!(absent.is_empty() || !text.contains(absent), "{arguments:?}: {absent}\n{text}");
    }
    site.write("zones/broken.toml", "[zone");
    server.until("the file is held", WAIT_TIMEOUT, |server| !server.status().held.is_empty());
    let (_, text) = run(&site, &server, &["held"]);
    assert!(text.contains("broken.toml since") && text.contains("left out"), "{text}");
}

#[test]
fn a_name_is_shown_in_full_with_shares_and_their_reasons() {
    let site = site();
    let server = site.serve();
    until_down(&server);
    let (code, text) = run(&site, &server, &["WWW.example.org."]);
    assert_eq!(code, 0, "{text}");
    for words in [
        "service www.example.org: degraded, 1 of 4 members down",
        "example.org.toml:15:10, zone example.org",
        "answers of type A now, the same for all clients",
        "  web-2     75%  fra         all",
        "down since its last probes",
        "iad is draining: kernel upgrade",
        "weight 3 of 4",
    ] {
        assert!(text.contains(words), "{words:?}\n{text}");
    }
    let (_, text) = run(&site, &server, &["web"]);
    assert!(
        text.contains("pool web: usable") && text.contains("services      www.example.org"),
        "{text}"
    );
    let (_, text) = run(&site, &server, &["us"]);
    assert!(
        text.contains("region us: 1 datacenter") && text.contains("datacenter iad: draining"),
        "{text}"
    );
    let (_, text) = run(&site, &server, &["127.0.66.1"]);
    assert!(text.contains("members       web/web-1"), "{text}");
    let (code, text) = run(&site, &server, &["ww.example.org"]);
    assert!(code == 1 && text.contains("did you mean \"www.example.org\"?"), "{text}");
}

#[test]
fn the_share_shown_is_the_share_of_answers() {
    let site = site();
    let server = site.serve();
    until_down(&server);
    let report = document(&site, &server, &["www.example.org"]);
    let shares = &report["services"][0]["answers"][0]["members"];
    let percent = |name: &str| {
        let named = shares.as_array().unwrap().iter().find(|member| member["name"] == name);
        named.map_or(0.0, |member| member["greatest-percent"].as_f64().unwrap())
    };
    let count = 1000;
    let mut answered = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..count {
        *answered.entry(server.addresses("www.example.org").remove(0)).or_default() += 1;
    }
    for index in 1..=4 {
        let seen = answered.get(&format!("127.0.66.{index}")).copied().unwrap_or(0) as f64;
        let shown = percent(&format!("web-{index}"));
        assert!((seen / count as f64 * 100.0 - shown).abs() < 6.0, "web-{index}: {seen}, {shown}");
        assert_eq!(
            seen == 0.0,
            shown == 0.0,
            "web-{index}: a member without a share is not answered"
        );
    }
}

#[test]
fn the_exit_code_is_4_where_readyz_has_concerns() {
    let site = site();
    let server = site.serve();
    assert_eq!(run(&site, &server, &["--exit-code"]).0, 0);
    site.write("zones/broken.toml", "[zone");
    server.until("readyz has a concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("broken.toml")
    });
    for view in [&[][..], &["services"], &["plain.example.org"]] {
        let (code, text) = run(&site, &server, &[view, &["--exit-code"]].concat());
        assert_eq!(code, 4, "{text}");
        assert_eq!(run(&site, &server, view).0, 0, "only if it is asked for");
    }
    let (code, text) = run(&site, &server, &["--exit-code", "--server", "127.0.0.1:1"]);
    assert_eq!(code, 1, "a server that does not answer is worse: {text}");
}

#[test]
fn a_watch_needs_a_terminal() {
    let site = site();
    let server = site.serve();
    let (code, text) = run(&site, &server, &["--watch"]);
    assert!(code == 1 && text.contains("--watch draws on a terminal"), "{text}");
    let (code, text) = run(&site, &server, &["--watch", "--exit-code"]);
    assert!(code == 2 && text.contains("cannot be used with"), "{text}");
}

#[test]
fn lists_of_the_api_are_filtered_and_come_in_pages() {
    let site = site();
    let server = site.serve();
    until_down(&server);
    let list = |path: &str| -> Value { serde_json::from_str(&server.http(path).1).unwrap() };
    let page = list("/api/v1/services?limit=1");
    assert_eq!((page["total"].as_u64(), page["next"].as_u64()), (Some(2), Some(1)));
    assert_eq!(page["entries"][0]["state"], "degraded", "the worst first");
    let page = list("/api/v1/services?limit=1&offset=1");
    assert_eq!(
        (&page["entries"][0]["name"], &page["next"]),
        (&"plain.example.org".into(), &Value::Null)
    );
    assert_eq!(list("/api/v1/services?datacenter=fra")["total"], 1);
    assert_eq!(list("/api/v1/services?state=well&name=plain")["total"], 1);
    assert_eq!(list("/api/v1/targets?verdict=up")["total"], 0);
    assert_eq!(list("/api/v1/targets?monitor=web")["entries"][0]["target"], "127.0.66.1");
    assert_eq!(list("/api/v1/services/www.example.org")["on-all-down"], "all");
    assert_eq!(server.http("/api/v1/services/web").0, 404);
    let (code, text) = server.http("/api/v1/services?status=well");
    assert!(code == 400 && text.contains("the parameters are state"), "{text}");
}

#[test]
fn the_state_of_a_service_follows_its_members_and_not_what_operators_took_out() {
    let datacenters = "[datacenter.on]\n[datacenter.off]\nstate = \"disabled\"\n";
    let monitor = "[monitor.web]\ntcp = { port = 1 }\ninterval = \"1s\"\ntimeout = \"500ms\"\n";
    let head = "[zone.\"example.org\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n";
    let services = [
        ("all-down", "{ addresses = [\"127.0.66.1\"], monitor = \"web\" }", ("distressed", 1, 0)),
        (
            "one-down",
            "{ addresses = [\"127.0.66.1\"], monitor = \"web\" }, { addresses = [\"192.0.2.1\"] }",
            ("degraded", 1, 0),
        ),
        ("not-probed", "{ addresses = [\"192.0.2.1\"] }", ("well", 0, 0)),
        (
            "forced-up",
            "{ addresses = [\"127.0.66.1\"], monitor = \"web\", force = \"up\" }",
            ("well", 0, 0),
        ),
        (
            "forced-down",
            "{ addresses = [\"192.0.2.2\"], force = \"down\" }, { addresses = [\"192.0.2.1\"] }",
            ("well", 0, 1),
        ),
        (
            "disabled",
            "{ addresses = [\"127.0.66.1\"], monitor = \"web\", datacenter = \"off\" }, { addresses = [\"192.0.2.1\"] }",
            ("well", 0, 1),
        ),
    ];
    let tables = services.map(|(name, members, _)| {
        format!("[service.\"{name}.example.org\"]\nmembers = [{members}]\n")
    });
    let zone = [head, monitor, &tables.concat()].concat();
    let site =
        ServerDirectory::new(&[("zones/dc.toml", datacenters), ("zones/example.org.toml", &zone)]);
    let server = site.serve();
    until_down(&server);
    let list = document(&site, &server, &["services"]);
    for (name, _, (state, down, out)) in services {
        let is_named = |entry: &&Value| entry["name"] == format!("{name}.example.org");
        let entry = list["entries"].as_array().unwrap().iter().find(is_named).unwrap();
        assert_eq!(entry["state"], state, "{name}: {entry}");
        assert_eq!(
            (entry["down"].as_u64(), entry["out"].as_u64()),
            (Some(down), Some(out)),
            "{name}"
        );
    }
    let counts = document(&site, &server, &[]);
    let expected =
        serde_json::json!({ "distressed": 1, "recovering": 0, "degraded": 1, "well": 4 });
    assert_eq!(counts["service-counts"], expected, "the status document agrees");
    assert_eq!(list["counts"], expected);
    assert_eq!(list["entries"][0]["state"], "distressed", "the worst first");
}

#[test]
fn each_group_of_clients_is_answered_as_its_example_says() {
    let datacenters = "[datacenter.fra]\nlocation = { latitude = 50.11, longitude = 8.68 }\n\
                       [datacenter.iad]\nlocation = { latitude = 38.95, longitude = -77.45 }\n\
                       [datacenter.nrt]\nlocation = { latitude = 35.77, longitude = 140.39 }\n";
    let zone = "[zone.\"example.org\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
                [service.\"www.example.org\"]\npolicy = \"nearest\"\nmembers = [\n\
                { addresses = [\"192.0.2.1\"], datacenter = \"fra\" },\n\
                { addresses = [\"192.0.2.2\"], datacenter = \"iad\" },\n\
                { addresses = [\"192.0.2.3\"], datacenter = \"nrt\" } ]\n";
    let site =
        ServerDirectory::new(&[("zones/dc.toml", datacenters), ("zones/example.org.toml", zone)]);
    let server = site.serve();
    let report = document(&site, &server, &["www.example.org"]);
    let answers = &report["services"][0]["answers"][0];
    let examples = answers["examples"].as_array().unwrap();
    assert_eq!(answers["groups"].as_u64(), Some(3), "{answers}");
    assert_eq!(examples.len(), 3, "{answers}");
    for example in examples {
        let client = example["client"].as_str().unwrap();
        let query = TestQuery::new("www.example.org", "A").subnet(&format!("{client}/24"));
        let expected = example["members"][0]["name"].as_str().unwrap();
        assert_eq!(server.ask(&query).answers(), [expected], "{example}");
        assert_eq!(example["members"][0]["percent"], 100.0, "{example}");
    }
    let (_, text) = run(&site, &server, &["www.example.org"]);
    assert!(text.contains("answers of type A now, to 3 groups of clients"), "{text}");
    assert!(text.contains("by place") && text.contains("by distance"), "{text}");
}

#[test]
fn an_override_is_shown_by_each_view_that_it_concerns() {
    let site = site();
    let server = site.serve();
    let address = server.admin.unwrap().to_string();
    for change in [
        &["drain", "web/web-3", "--reason", "new disks"][..],
        &["weight", "web/web-2", "5"],
        &[
            "drain",
            "service:plain.example.org/192.0.2.1",
            "--force",
            "--at",
            "2096-01-01T00:00:00Z",
        ],
    ] {
        let (code, out, err) = site.run(&[change, &["--server", &address]].concat());
        assert_eq!(code, 0, "{out}{err}");
    }
    let (member, weight, other) = ("web/web-3", "web/web-2", "service:plain.example.org/192.0.2.1");
    for (view, expected, absent) in [
        (&[][..], &[member, weight, other, "\"new disks\""][..], ""),
        (
            &["overrides"],
            &[member, weight, other, "\"new disks\"", "effective", "dc.toml:3:13"],
            "",
        ),
        (&["services"], &["3 overrides set by operators", "web/web-3: draining by"], "dc.toml"),
        (&["www.example.org"], &[member, weight, "\"new disks\""], other),
        (&["web"], &[member, weight], other),
        (&["web/web-3"], &[member, "pool web: usable"], weight),
        (&["fra"], &[member, weight, "datacenter fra: active"], other),
        (&["iad"], &["datacenter iad: draining"], member),
        (&["plain.example.org"], &[other, "not begun", "from 2096-01-01 00:00:00 UTC"], member),
        (&[other], &[other, "service plain.example.org: well"], member),
    ] {
        let (code, text) = run(&site, &server, view);
        assert_eq!(code, 0, "{text}");
        for words in expected {
            assert!(text.contains(words), "{view:?}: {words:?}\n{text}");
        }
        // The names of members are in tables; a line that begins with one is an override.
        let begins = |line: &str| !absent.is_empty() && line.trim_start().starts_with(absent);
        assert!(!text.lines().any(begins), "{view:?}: {absent}\n{text}");
    }
    let report = document(&site, &server, &["web/web-3"]);
    assert_eq!(report["overrides"][0]["reason"], "new disks");
    assert_eq!(report["overrides"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_pool_shows_the_share_of_a_member_in_the_answers_that_can_name_it() {
    let zone = r#"[zone."example.org"]
nameservers = ["ns1.example.com"]
hostmaster = "hostmaster@example.com"
[pool.web]
members = [
  { name = "four", addresses = ["192.0.2.1"] },
  { name = "six-1", addresses = ["2001:db8::1"], weight = 3 },
  { name = "six-2", addresses = ["2001:db8::2"] },
]
[service."www.example.org"]
pool = "web"
"#;
    let site = ServerDirectory::new(&[("zones/example.org.toml", zone)]);
    let server = site.serve();
    let shares = || {
        let report = document(&site, &server, &["web"]);
        let members = report["pools"][0]["pool"]["members"].as_array().unwrap().iter();
        members.map(|member| member["percent"].as_f64()).collect::<Vec<_>>()
    };
    assert_eq!(shares(), [100.0, 75.0, 25.0].map(Some));
    let (_, text) = run(&site, &server, &["web"]);
    assert!(text.contains("IPv6 alone: weight 3 of 4"), "{text}");
    // All members are answered then, because the service says so.
    let url = server.admin.unwrap().to_string();
    let (code, out, err) = site.run(&["force", "down", "web", "--force", "--server", &url]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(shares(), [None; 3], "the pool has no share to give");
    assert_eq!(server.addresses("www.example.org"), ["192.0.2.1"]);
}
