//! `portolan plan`: edited files, drains, outages and databases compared with a running server or
//! with other files.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
};

use serde_json::Value;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill, sample_database},
    query::{REPLY_TIMEOUT, TestQuery},
};

const WWW: &str = "www.example.org";
const PLACES: &str = "zones/datacenters.toml";
const ZONE: &str = "zones/example.org.toml";

/// German clients are nearest to `fra`, those in the USA and Japan to `iad`.
fn site() -> ServerDirectory {
    let places = r#"[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
region   = "eu"
state    = "active"
capacity = 900
[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }
capacity = 700
"#;
    let zone = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[pool.web]
policy = "nearest"
members = [
{ name = "a", datacenter = "fra", addresses = ["192.0.2.1"] },
{ name = "b", datacenter = "iad", addresses = ["192.0.2.2"] },
]
[service."www.example.org"]
pool = "web"
ttl = 40
[service."api.example.org"]
members = [{ datacenter = "iad", addresses = ["192.0.2.3"] }]
"#;
    ServerDirectory::new(&[(PLACES, places), (ZONE, zone)])
}

/// Exit code, stdout and stderr of `plan` for this server.
fn plan(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let url = format!("http://{}", server.admin.unwrap());
    let mut command = site.command(&[&["plan"], arguments].concat());
    let output = command.env("PORTOLAN_SERVER", url).output().unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The document of `plan --json`.
fn document(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> Value {
    let (code, out, err) = plan(site, server, &[arguments, &["--json"]].concat());
    assert!(code == 0 || code == 3, "{arguments:?}: {code} {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

/// A copy of the zone files in which `old` is replaced by `new`.
fn edited_copy(site: &ServerDirectory, old: &str, new: &str) -> &'static str {
    for path in [PLACES, ZONE] {
        let text = site.read(path).replace(old, new);
        site.write(&path.replace("zones/", "edited/"), &text);
    }
    "edited"
}

fn share(plan: &Value, datacenter: &str) -> (f64, f64) {
    let loads = plan["plan"]["loads"].as_array().unwrap();
    let load = loads.iter().find(|load| load["datacenter"] == datacenter).unwrap();
    (load["before-percent"].as_f64().unwrap(), load["after-percent"].as_f64().unwrap())
}

#[test]
fn the_files_that_a_server_has_applied_move_nothing() {
    let site = site();
    let server = site.serve();
    let (code, out, err) = plan(&site, &server, &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("before: the running server http://127.0.0.1:"), "{out}");
    assert_eq!(lines[1], "after:  the files in zones");
    assert_eq!(lines[2], "nothing moves: 2 services answer as before");
}

#[test]
fn edited_files_are_compared_with_the_server() {
    let site = site();
    let server = site.serve();
    let edited = edited_copy(&site, "state    = \"active\"", "state    = \"draining\"");
    let (code, out, err) = plan(&site, &server, &["--zones", edited]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for part in [
        "1 of 2 services change",
        "datacenter fra: active -> draining",
        "clients are weighed by announced networks, not by queries",
        "share of each country's clients: DE",
        "80.0.0.0/8",
        "resolvers keep answers from before the change for up to 40 s (www.example.org): until ",
        "shares fra ",
    ] {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
    let (code, _, err) = plan(&site, &server, &["--zones", edited, "--max-moved", "10%"]);
    assert!(code == 3 && err.starts_with("forbidden: www.example.org: "), "{code} {err}");
    // A server is also named by --against.
    let url = server.admin.unwrap().to_string();
    let (code, out, err) = site.run(&["plan", "--against", &url, "--zones", edited]);
    assert!(code == 0 && out.contains("datacenter fra: active -> draining"), "{out}{err}");
}

#[test]
fn a_drain_alone_reads_no_files_and_moves_what_the_real_drain_moves() {
    let site = site();
    let server = site.serve();
    let edited = edited_copy(&site, "state    = \"active\"", "state    = \"draining\"");
    let of_files = document(&site, &server, &["--zones", edited]);
    for subject in ["fra", "eu", "web/a"] {
        let of_drain = document(&site, &server, &["--drain", subject, "--zones", "zones"]);
        let moved = |document: &Value| document["plan"]["movements"].clone();
        assert_eq!(moved(&of_drain), moved(&of_files), "{subject}");
        let alone = document(&site, &server, &["--drain", subject]);
        assert_eq!(alone["plan"]["changed"], of_drain["plan"]["changed"], "{subject}");
    }
    site.write("zones/broken.toml", "[datacenter.fra\n");
    let (code, out, err) = plan(&site, &server, &["--drain", "fra"]);
    assert!(code == 0 && out.contains("\nafter:  the same with fra drained\n"), "{out}{err}");
    let (code, _, err) = plan(&site, &server, &["--drain", "fra", "--zones", "zones"]);
    assert!(code == 1 && err.contains("broken.toml"), "{err}");
}

#[test]
fn an_unknown_subject_names_the_nearest_one() {
    let site = site();
    let server = site.serve();
    for (subject, nearest) in [
        ("frb", "did you mean \"fra\"?"),
        ("web/aa", "did you mean \"web/a\"?"),
        ("zzz", "POOL/MEMBER"),
    ] {
        let (code, out, err) = plan(&site, &server, &["--drain", subject]);
        assert!(code == 1 && err.contains(nearest), "{subject}: {code} {out}{err}");
    }
}

#[test]
fn without_a_server_the_message_says_how_to_compare_files() {
    let site = site();
    let (code, out, err) = site.run(&["plan", "--server", "127.0.0.1:1"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: no portolan server answers at http://127.0.0.1:1: "), "{err}");
    assert!(err.contains("--against DIR"), "{err}");
    let edited = edited_copy(&site, "state    = \"active\"", "state    = \"disabled\"");
    let (code, out, err) = site.run(&["plan", "--against", "zones", "--zones", edited]);
    assert!(code == 0 && out.contains("datacenter fra: active -> disabled"), "{out}{err}");
    let (code, out, err) = site.run(&["plan", "--against", "zones", "--drain", "fra"]);
    assert!(code == 0 && out.contains("datacenter fra: active -> draining"), "{out}{err}");
}

#[test]
fn health_of_the_server_is_that_of_both_sides() {
    let site = site();
    // A port on which nothing listens: `fra` is down, so that no client moves when it is drained.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let monitor = fill(
        "[monitor.web]\ntcp = { port = $port }\ninterval = \"1s\"\ntimeout = \"500ms\"\nrise = 1\nfall = 1\n[pool.web]\nmonitor = \"web\"\n",
        &[("$port", &closed)],
    );
    site.edit(ZONE, "[pool.web]\n", &monitor);
    site.edit(ZONE, "192.0.2.1", "127.0.0.1");
    let open = TcpListener::bind(("127.0.0.2", closed)).unwrap();
    site.edit(ZONE, "192.0.2.2", "127.0.0.2");
    let server = site.serve();
    let german = TestQuery::new(WWW, "A").subnet("80.0.0.0/24");
    server.until("fra is down", WAIT_TIMEOUT, |server| {
        server.ask(&german).answers() == ["127.0.0.2"]
    });
    let drained = document(&site, &server, &["--drain", "fra"]);
    assert_eq!(drained["plan"]["changed"], serde_json::json!([]), "{drained:#}");
    let unchanged = document(&site, &server, &[]);
    assert_eq!(unchanged["plan"]["changed"], serde_json::json!([]), "{unchanged:#}");
    assert_eq!(share(&unchanged, "fra"), (0.0, 0.0));
    // The other one down as well: nothing usable is left.
    let (code, out, err) = plan(&site, &server, &["--down", "iad"]);
    assert!(code == 3 && err.contains("nothing usable would be left"), "{code} {out}{err}");
    assert!(
        out.contains("A      nothing usable is left for all clients: on-all-down answers"),
        "{out}"
    );
    drop(open);
}

#[test]
fn clients_of_targets_that_no_monitor_checks_stay_and_the_plan_says_so() {
    let site = site();
    let server = site.serve();
    let (code, out, err) = plan(&site, &server, &["--down", "fra"]);
    assert!(code == 0 && out.contains("nothing moves"), "{out}{err}");
    assert!(out.contains("fra down: 1 endpoint keep"), "{out}");
}

#[test]
fn another_database_is_a_change_of_the_same_configuration() {
    let site = site();
    let server = site.serve();
    fs::write(site.path("moved.mmdb"), database_with_germany_in_virginia()).unwrap();
    let moved = document(&site, &server, &["--geoip", "moved.mmdb"]);
    let flows = &moved["plan"]["changed"][0]["shifts"][0]["flows"][0];
    assert_eq!((&flows["from"], &flows["to"]), (&"fra".into(), &"iad".into()), "{moved:#}");
    assert!(moved["after"].as_str().unwrap().starts_with("the same, with clients located by "));
    // In combination with files and a drain.
    let both =
        document(&site, &server, &["--geoip", "moved.mmdb", "--zones", "zones", "--drain", "iad"]);
    assert_eq!(share(&both, "iad").1, 50.0, "only api stays: {both:#}");
    fs::write(site.path("same.mmdb"), sample_database()).unwrap();
    let same = document(&site, &server, &["--geoip", "same.mmdb"]);
    assert_eq!(same["plan"]["changed"], serde_json::json!([]), "{same:#}");
}

fn database_with_germany_in_virginia() -> Vec<u8> {
    use mmdb_writer::{Value, Writer};
    let mut writer =
        Writer::builder("GeoLite2-City").description(&[("en", "made up for tests")]).build();
    let place = |country: &str| {
        let (latitude, longitude) = (Value::from(39.04), Value::from(-77.49));
        Value::map([
            ("country", Value::map([("iso_code", Value::from(country))])),
            ("location", Value::map([("latitude", latitude), ("longitude", longitude)])),
        ])
    };
    for (network, country) in [("80.0.0.0/8", "DE"), ("8.0.0.0/8", "US"), ("2600::/16", "US")] {
        writer.insert_value(network.parse::<ipnet::IpNet>().unwrap(), place(country)).unwrap();
    }
    writer.to_bytes().unwrap()
}

#[test]
fn capacities_outages_and_the_map_of_a_change() {
    let site = site();
    let server = site.serve();
    let arguments = ["--drain", "fra", "--demand", "1000", "--n-1", "--map", "moved.svg"];
    let (code, out, err) = plan(&site, &server, &arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let breach =
        "over capacity: datacenter iad would have a load of 1,000, and its capacity is 700";
    assert!(out.contains(breach), "{out}");
    assert!(
        out.contains("after the change, if one datacenter is down:\n  iad: no share changes\n"),
        "{out}"
    );
    let map = site.read("moved.svg");
    assert!(map.starts_with("<svg ") && map.contains(">fra") && map.contains(">iad"), "{map}");
    let (code, _, err) = plan(&site, &server, &["--map", "nowhere/moved.svg"]);
    assert!(code == 1 && err.contains("nowhere/moved.svg") && err.contains("help: "), "{err}");
}

#[test]
fn services_weigh_by_the_answers_of_the_server() {
    let site = site();
    let server = site.serve();
    for _ in 0..300 {
        server.addresses("api.example.org");
    }
    (0..100).for_each(|_| drop(server.addresses(WWW)));
    let weighted = document(&site, &server, &["--drain", "fra"]);
    assert_eq!(weighted["plan"]["basis"]["is-by-answers"], true);
    // A quarter of the demand is for `www`; the clients of `fra` are some of it.
    let (before, after) = share(&weighted, "fra");
    assert!(before > 0.0 && before < 25.0 && after == 0.0, "{weighted:#}");
}

/// Sends `count` queries of clients in Germany and in the USA, nine to one, and waits for the
/// replies.
fn ask_as_germans_and_americans(server: &Server, count: usize) {
    let message = |subnet: &str| TestQuery::new(WWW, "A").subnet(subnet).message(7);
    let (german, american) = (message("80.1.2.0/24"), message("8.1.2.0/24"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(REPLY_TIMEOUT)).unwrap();
    for number in 0..count {
        socket.send(if number % 10 == 0 { &american } else { &german }).unwrap();
        if number % 32 == 31 {
            (0..32).for_each(|_| assert!(socket.recv(&mut [0; 1232]).is_ok()));
        }
    }
}

#[test]
fn clients_weigh_by_the_queries_that_the_server_observed_also_after_a_restart() {
    let site = site();
    let server = site.serve();
    let drained = |server: &Server| document(&site, server, &["--drain", "fra"]);
    let moved = |plan: &Value| plan["plan"]["movements"][0]["moved-percent"].as_f64().unwrap();
    let by_networks = moved(&drained(&server));
    let observed = |plan: &Value| plan["plan"]["basis"]["observed"]["ipv4"].clone();
    assert_eq!(observed(&drained(&server)), Value::Null);
    server.until("1,000 samples are there", WAIT_TIMEOUT, |server| {
        ask_as_germans_and_americans(server, 8192);
        observed(&drained(server))["is-used"] == true
    });
    let planned = drained(&server);
    let percent = moved(&planned);
    assert!((85.0..94.0).contains(&percent) && by_networks < 80.0, "{by_networks} {planned:#}");
    assert_eq!(observed(&planned)["networks"], 2);
    let fra = share(&planned, "fra");
    assert!((85.0..94.0).contains(&fra.0) && fra.1 == 0.0, "{fra:?}");
    let samples = observed(&planned)["samples"].as_u64().unwrap();
    assert!(server.terminate().0.success());
    let server = site.serve();
    let (_, out, err) = plan(&site, &server, &["--drain", "fra"]);
    let basis = "clients are weighed by queries observed since ";
    assert!(
        out.contains(basis) && out.contains(" from 2 networks; IPv6 clients, with"),
        "{out}{err}"
    );
    let kept = observed(&drained(&server))["samples"].as_u64().unwrap();
    assert!(kept >= samples - 1, "{kept} of {samples} samples");
}

#[test]
fn overrides_of_the_server_stay_in_force_in_a_plan_of_edited_files() {
    let site = site();
    let server = site.serve();
    let run = |arguments: &[&str]| {
        let url = format!("http://{}", server.admin.unwrap());
        let (code, out, err) = site.run(&[arguments, &["--server", &url]].concat());
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    };
    run(&["drain", "fra"]);
    run(&["weight", "web/b", "7"]);
    let (code, out, err) = plan(&site, &server, &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("\nnothing moves: 2 services answer as before"), "{out}");
    // What the files drain, too, changes nothing.
    let edited = edited_copy(&site, "state    = \"active\"", "state    = \"draining\"");
    let (_, out, _) = plan(&site, &server, &["--zones", edited]);
    assert!(!out.contains(" of IPv4 clients move"), "{out}");
}

#[test]
fn a_dry_run_of_a_drain_is_its_plan_and_changes_nothing() {
    let site = site();
    let server = site.serve();
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) = site.run(&["drain", "fra", "--dry-run", "--server", &url]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (_, planned, _) = plan(&site, &server, &["--drain", "fra"]);
    let without_times = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("until ")).map(str::to_owned).collect()
    };
    assert_eq!(without_times(&out), without_times(&planned));
    assert_eq!(server.status().overrides, []);
}
