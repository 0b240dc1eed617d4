//! The reports of a drain, of `status` and of the metrics agree with the answers to queries at the
//! same time.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    query::TestQuery,
};

const PLACES: &str = "zones/datacenters.toml";
const ZONE: &str = "zones/example.org.toml";
/// The number of queries for each name and type; more than 1,000 for one comparison.
const QUERIES: usize = 120;
/// Addresses of members in `fra`.
const FRA: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// Services that differ in the address families of each datacenter.
fn site() -> ServerDirectory {
    let service = |name: &str, keys: &str, fra: &str, others: &str| {
        fill(
            r#"[service."$name.example.org"]
ttl = 20
$keysmembers = [{ datacenter = "fra", addresses = [$fra] }, $others]
"#,
            &[("$name", &name), ("$keys", &keys), ("$fra", &fra), ("$others", &others)],
        )
    };
    let member = |addresses: &str| {
        fill(r#"{ datacenter = "iad", addresses = [$addresses] }"#, &[("$addresses", &addresses)])
    };
    let (v4, v6) = ("\"192.0.2.1\"", "\"2001:db8::1\"");
    let both = format!("{v4}, {v6}");
    let mut zone = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
"#
    .to_owned();
    zone += &service("both", "", &both, &member("\"192.0.2.2\", \"2001:db8::2\""));
    zone += &service("first", "policy = \"failover\"\n", &both, &member("\"192.0.2.2\""));
    zone += &service("new", "spread = \"client\"\n", v6, "");
    zone += &service("only", "", &both, "");
    zone += &service("older", "", v4, &member("\"192.0.2.2\""));
    let places = r#"[datacenter.fra]  # Frankfurt
region = "eu"
[datacenter.iad]
region = "us"
[datacenter.off]
region = "us"
state = "disabled"  # for the year
[datacenter.spare]
state = "standby"
"#;
    ServerDirectory::new(&[(PLACES, places), (ZONE, &zone)])
}

/// Exit code, stdout and stderr of a command for this server.
fn run(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let admin = server.admin.unwrap().to_string();
    site.run(&[arguments, &["--server", &admin]].concat())
}

fn document(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> Value {
    let (code, out, err) = run(site, server, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// The names and types for which some answer named an address of `fra`, and the number of those
/// answers.
fn answered_from_fra(server: &Server) -> (BTreeSet<(String, String)>, usize) {
    let (mut named, mut replies) = (BTreeSet::new(), 0);
    for name in
        ["both", "first", "new", "only", "older"].map(|label| format!("{label}.example.org"))
    {
        for rtype in ["A", "AAAA"] {
            for number in 0..QUERIES {
                let answers = server
                    .ask(&TestQuery::new(&name, rtype).subnet(&format!("8.0.{number}.0/24")))
                    .answers();
                if answers.iter().any(|address| FRA.contains(&address.as_str())) {
                    named.insert((name.clone(), rtype.to_owned()));
                    replies += 1;
                }
            }
        }
    }
    (named, replies)
}

fn listed(list: &Value) -> BTreeSet<(String, String)> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(entry, "service"), text(entry, "type")))
        .collect()
}

/// Asserts that `status`, the metrics and answers agree about `fra`, and returns the names and
/// types.
fn agreed(site: &ServerDirectory, server: &Server) -> BTreeSet<(String, String)> {
    let answers =
        || server.metric("portolan_datacenter_answers_total", "datacenter=\"fra\"") as usize;
    let before = answers();
    let (named, replies) = answered_from_fra(server);
    assert_eq!(answers() - before, replies, "the metrics count the replies that name it");
    let status = document(site, server, &["status"]);
    let fra = &status["datacenters"][0];
    let is_drained = fra["state"] == "draining";
    assert_eq!(fra["effective"], Value::from(is_drained && named.is_empty()), "{fra}");
    assert_eq!(fra.get("drain").is_some(), is_drained && named.is_empty(), "{fra}");
    let expected = if is_drained { named.clone() } else { BTreeSet::new() };
    assert_eq!(listed(&fra["still-answered"]), expected, "{fra}");
    assert_eq!(fra["still-answered-count"], expected.len(), "{fra}");
    let counted = server.metric("portolan_datacenter_still_answered", "datacenter=\"fra\"");
    assert_eq!(counted as usize, expected.len());
    let (_, text, _) = run(site, server, &["status", "datacenters"]);
    for (name, rtype) in &expected {
        assert!(text.contains(&format!("{name} {rtype}: ")), "{text}");
    }
    let line = text.lines().find(|line| line.starts_with("fra ")).unwrap();
    assert_eq!(line.contains("effective since"), is_drained && named.is_empty(), "{text}");
    named
}

fn names(pairs: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    pairs
        .iter()
        .map(|(label, rtype)| (format!("{label}.example.org"), (*rtype).to_owned()))
        .collect()
}

#[test]
fn a_refused_drain_edits_nothing_and_names_the_server_and_the_services() {
    let site = site();
    let server = site.serve();
    let (code, _, err) = run(&site, &server, &["drain", "fra"]);
    assert!(
        code == 3 && err.contains("new.example.org") && err.contains("only.example.org"),
        "{err}"
    );
    assert!(err.contains("node test") && !site.read(PLACES).contains("draining"), "{err}");
    let (_, out, _) = run(&site, &server, &["drain", "fra", "--json"]);
    let refused: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(refused["server"]["node"], "test", "{refused}");
    assert!(
        refused["detail"]["distress"].as_array().is_some_and(|all| all.len() >= 2),
        "{refused}"
    );
}

#[test]
fn drain_status_and_metrics_agree_with_what_queries_are_answered() {
    let site = site();
    let server = site.serve();
    let all = agreed(&site, &server);
    assert_eq!(all.len(), 8, "{all:?}");

    // A forced drain: names without another member are still answered, and every report says so.
    let report =
        document(&site, &server, &["drain", "fra", "--force", "--reason", "move", "--for", "2h"]);
    let stuck = names(&[("new", "AAAA"), ("only", "A"), ("only", "AAAA")]);
    let outcome = &report["outcomes"][0];
    assert_eq!(
        (outcome["effective"].as_bool(), listed(&outcome["still-answered"])),
        (Some(false), stuck.clone())
    );
    assert_eq!(
        report["datacenters"][0][1],
        Value::Null,
        "no expiry before it is effective: {report}"
    );
    assert_eq!(report["server"]["node"], "test");
    assert_eq!(agreed(&site, &server), stuck);
    server.until_logged("answers still name a drained datacenter");

    // A second drain keeps the options that it does not name.
    let (code, text, _) = run(&site, &server, &["drain", "fra", "--force"]);
    assert!(code == 0 && text.contains("already draining") && text.contains("move"), "{text}");
    assert!(text.contains("only.example.org AAAA: no other member is left"), "{text}");
    assert!(!text.contains("expires"), "{text}");
    let again = document(&site, &server, &["drain", "fra", "--force", "--reason", "longer move"]);
    let outcome = &again["outcomes"][0];
    assert_eq!(outcome["reason"], "longer move");
    assert_eq!(
        outcome["until"], report["outcomes"][0]["until"],
        "the end of the drain is kept: {again}"
    );

    // With another member for each name, the drain becomes effective later, and the log says so.
    let other = "{ datacenter = \"iad\", addresses = [\"192.0.2.2\", \"2001:db8::2\"] }]\n";
    site.write(ZONE, &site.read(ZONE).replace(", ]\n", &format!(", {other}")));
    server.until_logged("drain is effective: no new answer names the datacenter datacenter=fra");
    assert_eq!(agreed(&site, &server), BTreeSet::new());
    let status = document(&site, &server, &["status"]);
    let drain = &status["datacenters"][0]["drain"];
    assert_eq!(drain["longest-ttl"], 20, "{drain}");
    assert_eq!(
        drain["expires"].as_i64(),
        drain["effective"].as_i64().map(|effective| effective + 20),
        "{drain}"
    );

    let (code, text, _) = run(&site, &server, &["undrain", "fra"]);
    assert!(
        code == 0 && text.contains("fra: in service, in the answers of 8 names and types"),
        "{text}"
    );
    assert_eq!(agreed(&site, &server).len(), 8, "new.example.org A is only in iad");
}

#[test]
fn a_refused_drain_names_the_services_without_another_member() {
    let zone = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[pool.eu]
members = [{ datacenter = "fra", addresses = ["192.0.2.1", "2001:db8::1"] }]
[pool.us]
members = [{ datacenter = "iad", addresses = ["192.0.2.2"] }]
[service."geo.example.org"]
policy = "geo"
rules = [{ country = ["DE", "FR"], members = ["eu"] }]
default = ["us"]
"#;
    let site =
        ServerDirectory::new(&[(PLACES, "[datacenter.fra]\n[datacenter.iad]\n"), (ZONE, zone)]);
    let server = site.serve();
    let (code, _, err) = run(&site, &server, &["drain", "fra"]);
    assert_ne!(code, 0);
    // The IPv4 service continues with the default members.
    let refusal = "no usable member would be left for geo.example.org AAAA (country DE, FR); nothing was changed. --override \
                usable-member with --reason (or --force) does it anyway, and answers geo.example.org AAAA (country DE, FR) with NODATA: IPv4 alone has usable members";
    assert!(err.contains(refusal), "{err}");
}

/// Services in every situation in which a service has no usable member.
const DISTRESSED: &str = r#"
[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[datacenter.fra]
state = "draining"
[datacenter.iad]
[pool.sorry]
members = [{ name = "sorry", addresses = ["192.0.2.99"] }]
[service."all.example.org"]
members = [
  { name = "a1", datacenter = "fra", addresses = ["192.0.2.1"] },
  { name = "a2", datacenter = "iad", addresses = ["192.0.2.2"], monitor = "m" },
  { name = "a3", datacenter = "iad", addresses = ["192.0.2.3"], monitor = "m" },
]
[service."empty.example.org"]
policy = "geo"
on-all-down = "empty"
rules = [
  { country = ["DE"], members = [{ addresses = ["192.0.2.5"], force = "down" }] },
  { country = ["US"], members = [{ addresses = ["192.0.2.6"] }] },
]
default = []
[service."family.example.org"]
members = [
  { name = "f1", datacenter = "fra", addresses = ["192.0.2.11", "2001:db8::11"] },
  { name = "f2", datacenter = "iad", addresses = ["192.0.2.12"], monitor = "m" },
]
[service."first.example.org"]
policy = "failover"
members = [
  { name = "o1", datacenter = "fra", addresses = ["192.0.2.21"] },
  { name = "o2", datacenter = "iad", addresses = ["192.0.2.22"], monitor = "m" },
]
[service."pool.example.org"]
policy = "geo"
on-all-down = { pool = "sorry" }
rules = [
  { country = ["DE"], members = [{ addresses = ["192.0.2.7"], force = "down" }] },
  { country = ["US"], members = [{ addresses = ["192.0.2.8"] }] },
]
default = []
[monitor.m]
tcp = { port = 1 }
interval = "1s"
timeout = "500ms"
fall = 1
# Others pass; otherwise a doubt would freeze the verdicts.
[monitor.up]
tcp = { port = PORT }
interval = "1s"
timeout = "500ms"
[service."up.example.org"]
policy = "failover"
members = [{ addresses = ["127.0.68.1"], monitor = "up" }, { addresses = ["127.0.68.2"], monitor = "up" },
  { addresses = ["127.0.68.3"], monitor = "up" }, { addresses = ["127.0.68.4"], monitor = "up" },
  { addresses = ["127.0.68.5"], monitor = "up" }, { addresses = ["127.0.68.6"], monitor = "up" }]
"#;

#[test]
fn answers_without_a_usable_member_are_reported_by_type_and_clients() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let site = ServerDirectory::new(&[(ZONE, &DISTRESSED.replace("PORT", &port.to_string()))]);
    let server = site.serve();
    server.until("the probed members are down", WAIT_TIMEOUT, |server| {
        server.log().matches("to=down").count() == 4 && server.status().distressed.len() == 6
    });
    let reported: Vec<(String, String)> = server
        .status()
        .distressed
        .iter()
        .map(|service| (service.subject(), service.plight.clone()))
        .collect();
    let expected = [
        ("all.example.org A", "a2, a3, as if up (on-all-down = \"all\")"),
        ("empty.example.org A (country DE)", "NODATA (on-all-down = \"empty\")"),
        ("family.example.org A", "f2, as if up (on-all-down = \"all\")"),
        ("family.example.org AAAA", "NODATA: IPv4 alone has members left to answer with"),
        ("first.example.org A", "o2, as if up (on-all-down = \"all\")"),
        ("pool.example.org A (country DE)", "pool sorry (on-all-down): sorry"),
    ];
    assert_eq!(reported, expected.map(|(subject, plight)| (subject.to_owned(), plight.to_owned())));
    let from = |name: &str, rtype: &str, subnet: &str| {
        let mut found = BTreeSet::new();
        for _ in 0..QUERIES {
            found.extend(
                server
                    .ask(&TestQuery::new(&format!("{name}.example.org"), rtype).subnet(subnet))
                    .answers(),
            );
        }
        found.into_iter().collect::<Vec<_>>().join(" ")
    };
    let (german, american) = ("80.1.2.0/24", "8.1.2.0/24");
    for (name, rtype, subnet, answers) in [
        ("all", "A", german, "192.0.2.2 192.0.2.3"),
        ("empty", "A", german, ""),
        ("empty", "A", american, "192.0.2.6"),
        ("family", "A", german, "192.0.2.12"),
        ("family", "AAAA", german, ""),
        ("first", "A", german, "192.0.2.22"),
        ("pool", "A", german, "192.0.2.99"),
        ("pool", "A", american, "192.0.2.8"),
    ] {
        assert_eq!(from(name, rtype, subnet), answers, "{name} {rtype} for {subnet}");
    }
    let line = "service has no usable member service=empty.example.org rtype=A family=IPv4 clients=\"country DE\" \
                answers=\"NODATA (on-all-down = \\\"empty\\\")\"";
    server.until_logged(line);
}

#[test]
fn a_drain_report_names_https_records() {
    let zone = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."w.example.org"]
type = "HTTPS"
members = [{ datacenter = "fra", addresses = ["192.0.2.1"] }]
"#;
    let site = ServerDirectory::new(&[(PLACES, "[datacenter.fra]\n"), (ZONE, zone)]);
    let server = site.serve();
    let report = document(&site, &server, &["drain", "fra", "--force"]);
    let still = report["outcomes"][0]["still-answered"].as_array().unwrap();
    let types: Vec<&str> = still.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["A", "HTTPS"]);
    assert!(
        server.ask(&TestQuery::new("w.example.org", "HTTPS")).answers()[0].contains("192.0.2.1")
    );
}

#[test]
fn a_ramp_and_a_paused_drain_are_not_effective() {
    let site = site();
    site.edit(
        ZONE,
        ", ]\n",
        ", { datacenter = \"iad\", addresses = [\"192.0.2.2\", \"2001:db8::2\"] }]\n",
    );
    let server = site.serve();
    let (code, text, err) =
        run(&site, &server, &["drain", "fra", "--edit", "--force", "--over", "60s"]);
    assert!(code == 0 && text.contains("draining, not effective yet: receives "), "{text}{err}");
    assert!(
        text.contains("% of its normal traffic, and 0% in ") && !text.contains("expires"),
        "{text}"
    );
    assert_eq!(agreed(&site, &server).len(), 8);
    let (code, text, err) = run(&site, &server, &["drain", "fra", "--edit", "--pause"]);
    assert_eq!(code, 0, "{text}{err}");
    server.until("the drain is paused", WAIT_TIMEOUT, |server| {
        server.status().ramps[0].kind == "held-drain"
    });
    let (_, text, _) = run(&site, &server, &["status"]);
    assert!(text.contains(": paused at "), "{text}");
    let (_, text, _) = run(&site, &server, &["status", "datacenters"]);
    assert!(text.contains("the drain is paused"), "{text}");
    agreed(&site, &server);
    let paused = site.read(PLACES);
    // A second drain keeps the options that it does not name: the duration and the pause.
    document(&site, &server, &["drain", "fra", "--edit", "--reason", "why"]);
    let text = site.read(PLACES);
    assert!(
        paused.contains("drain-hold")
            && text.contains("drain-hold")
            && text.contains("draining-over"),
        "{text}"
    );
    document(&site, &server, &["drain", "fra", "--edit", "--over", "0s"]);
    document(&site, &server, &["drain", "fra", "--edit", "--resume"]);
    assert_eq!(agreed(&site, &server), BTreeSet::new());
}

#[test]
fn a_datacenter_out_of_service_can_be_neither_drained_nor_undrained() {
    let site = site();
    let server = site.serve();
    let before = site.read(PLACES);
    for (name, state) in [("off", "disabled"), ("spare", "standby")] {
        let (code, _, err) = run(&site, &server, &["drain", name, "--edit", "--for", "3s"]);
        assert_eq!(code, 1, "{err}");
        assert!(
            err.contains(&format!("its state is {state} in ")) && err.contains("datacenters.toml:"),
            "{err}"
        );
        assert!(err.contains("state = \""), "the error names the remedy: {err}");
        let (code, text, err) = run(&site, &server, &["undrain", name, "--edit"]);
        assert_eq!(code, 0, "{err}");
        assert!(
            text.contains("not drained")
                && !text.contains("in service:")
                && !text.contains("edited z"),
            "{text}"
        );
    }
    let (code, text, _) = run(&site, &server, &["undrain", "iad", "--edit"]);
    assert!(code == 0 && text.contains("iad: not drained: its state is active"), "{text}");
    assert_eq!(site.read(PLACES), before, "nothing was edited");
    // For a region, the drain applies to those datacenters that can be drained.
    let (code, text, err) = run(&site, &server, &["drain", "us", "--edit"]);
    assert_eq!(code, 0, "{text}{err}");
    assert!(
        text.contains("off: not drained; its table was not changed: its state is disabled")
            && text.contains("iad: out of every new answer"),
        "{text}"
    );
}

#[test]
fn after_a_timed_drain_the_datacenter_is_in_service() {
    let site = site();
    site.edit(
        ZONE,
        ", ]\n",
        ", { datacenter = \"iad\", addresses = [\"192.0.2.2\", \"2001:db8::2\"] }]\n",
    );
    let server = site.serve();
    document(&site, &server, &["drain", "fra", "--edit", "--force", "--for", "1s"]);
    server.until("fra is in service again", WAIT_TIMEOUT, |server| {
        server.status().datacenters[0].state == "active"
    });
    assert_eq!(agreed(&site, &server).len(), 8);
    let (code, text, _) = site.run(&["check", "--config", "portolan.toml"]);
    assert!(
        code == 0
            && text
                .contains("datacenter fra in eu: active (the `until` of its draining has passed)"),
        "{text}"
    );
}

#[test]
fn explain_says_in_its_first_line_whether_a_server_or_the_files_answer() {
    let site = site();
    let server = site.serve();
    let admin = server.admin.unwrap().to_string();
    let explain = ["explain", "both.example.org", "--client", "8.0.0.1"];
    let asked = |named: Option<&str>, more: &[&str]| {
        let mut command = site.command(&[&explain[..], more].concat());
        named.into_iter().for_each(|named| _ = command.env("PORTOLAN_SERVER", named));
        let output = command.output().unwrap();
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, text, err) = asked(Some(&admin), &[]);
    let first = text.lines().next().unwrap_or_default();
    assert!(
        code == Some(0)
            && first.starts_with(&format!("from the running server http://{admin}: node test")),
        "{text}{err}"
    );
    let (_, text, _) = asked(Some(&admin), &["--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["source"]["server"]["pid"], server.pid());
    let (_, text, _) = asked(Some(&admin), &["--zones", "zones"]);
    assert!(text.starts_with("from the files"), "--zones names the files: {text}");
    // An error that the server returns is a final answer.
    let mut command = site.command(&["explain", "www.elsewhere.net", "--client", "8.0.0.1"]);
    let output = command.env("PORTOLAN_SERVER", &admin).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1)
            && err.contains("www.elsewhere.net")
            && err.contains("node test"),
        "{err}"
    );
    // No server answers at the configured address, port 0.
    let (code, text, err) = asked(None, &[]);
    assert!(code == Some(0) && text.starts_with("from the files"), "{text}{err}");
    let (_, text, _) = asked(None, &["--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(
        json["source"]["files"]["because"]
            .as_str()
            .is_some_and(|why| why.contains("no server answers")),
        "{json}"
    );
    // Files do not replace a server that --server names.
    let (code, _, err) = asked(None, &["--server", "127.0.0.1:1"]);
    assert!(
        code == Some(1) && err.contains("no portolan server answers at http://127.0.0.1:1"),
        "{err}"
    );
}

#[test]
fn without_an_admin_address_commands_do_not_try_another_server() {
    let site = site();
    site.write("portolan.toml", "[server]\nadmin = false\n");
    for arguments in [
        &["status", "--config", "portolan.toml"][..],
        &["drain", "fra", "--config", "portolan.toml"],
    ] {
        let (code, _, err) = site.run(arguments);
        assert!(code == 1 && err.contains("portolan.toml has no admin address"), "{err}");
    }
    let (code, text, _) = site.run(&["explain", "both.example.org", "--client", "8.0.0.1"]);
    assert!(code == 0 && text.lines().next().unwrap().contains("has no admin address"), "{text}");
}

#[test]
fn an_https_record_is_explained_by_the_choice_of_both_hints() {
    let zone = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."w.example.org"]
type = "HTTPS"
members = [
  { name = "four", addresses = ["192.0.2.1"] },
  { name = "six", addresses = ["2001:db8::1"] },
]
"#;
    let site = ServerDirectory::new(&[(ZONE, zone)]);
    let server = site.serve();
    let hints = server.ask(&TestQuery::new("w.example.org", "HTTPS")).answers().remove(0);
    assert!(hints.contains("192.0.2.1") && hints.contains("2001:db8::1"), "{hints}");
    let explained =
        document(&site, &server, &["explain", "w.example.org", "HTTPS", "--client", "8.0.0.1"]);
    let answered = |step: &Value| {
        let members = step["steering"]["attempts"][0]["pool"]["members"].as_array().unwrap();
        let answered = members.iter().filter(|member| member["is-answered"] == true);
        answered.map(|member| member["name"].clone()).collect::<Vec<_>>()
    };
    let steps = explained["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(answered).collect::<Vec<_>>(), [["four"], ["six"]], "{explained}");
    assert!(explained["because"].as_str().unwrap().starts_with("four"), "{explained}");
}
