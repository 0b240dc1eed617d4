//! Changes to a running server: edits, commands, signals and restarts.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::UdpSocket,
    os::unix::fs::symlink,
    time::Duration,
};

use crate::{
    harness::{ServerDirectory, WAIT_TIMEOUT, fill, sample_database},
    query::{REPLY_TIMEOUT, TestQuery},
};

const WWW: &str = "www.example.org";
const ZONE: &str = "zones/example.org.toml";
const PLACES: &str = "zones/datacenters.toml";
/// A saved edit must appear in answers within this time.
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);

fn places(state: &str) -> String {
    fill(
        r#"# This comment stays.
[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
region = "eu"   # and this one
state = "$state"
[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }
"#,
        &[("$state", &state)],
    )
}

fn zone() -> &'static str {
    r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."www.example.org"]
policy = "failover"
members = [
{ datacenter = "fra", addresses = ["192.0.2.1"] },
{ datacenter = "iad", addresses = ["192.0.2.2"] },
]
"#
}

fn site() -> ServerDirectory {
    ServerDirectory::new(&[(PLACES, &places("active")), (ZONE, zone())])
}

#[test]
fn a_drain_answers_within_a_second_however_it_is_saved() {
    let site = site();
    let server = site.serve();
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    site.replace(PLACES, &places("active"));
    server.until_answers(WWW, &["192.0.2.1"], APPLY_TIMEOUT);
}

#[test]
fn a_drain_answers_within_a_second_when_kubernetes_swaps_a_link() {
    let site = ServerDirectory::new(&[(ZONE, zone())]);
    // Files are mounted as in a Kubernetes ConfigMap: links into `..data`, which is itself a link
    // to the directory of one version.
    for (version, state) in [("..1", "active"), ("..2", "draining")] {
        site.write(&format!("zones/map/{version}/datacenters.toml"), &places(state));
    }
    symlink("..1", site.path("zones/map/..data")).unwrap();
    symlink("..data/datacenters.toml", site.path("zones/map/datacenters.toml")).unwrap();
    let server = site.serve();
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    symlink("..2", site.path("zones/map/..data_tmp")).unwrap();
    fs::rename(site.path("zones/map/..data_tmp"), site.path("zones/map/..data")).unwrap();
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
}

#[test]
fn the_commands_drain_and_undrain_and_keep_every_comment() {
    let site = site();
    let server = site.serve();
    let url = format!("http://{}", server.admin.unwrap());
    let run = |arguments: &[&str]| site.run(&[arguments, &["--server", &url]].concat());
    let (code, out, err) =
        run(&["drain", "fra", "--edit", "--for", "2h", "--reason", "kernel upgrade"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("longest TTL") && out.contains("30 s"), "{out}");
    // The command returns when the drain is effective.
    assert_eq!(server.addresses(WWW), ["192.0.2.2"]);
    let text = site.read(PLACES);
    assert!(text.contains("# This comment stays.") && text.contains("# and this one"), "{text}");
    assert!(text.contains("state = \"draining\"") && text.contains("kernel upgrade"), "{text}");
    let (code, out, _) = run(&["status"]);
    assert!(code == 0 && out.contains("draining") && out.contains("kernel upgrade"), "{out}");
    let (code, _, err) = run(&["drain", "iad", "--edit"]);
    assert!(code == 3 && err.contains(WWW) && err.contains("--force"), "{code} {err}");
    assert!(
        !site.read(PLACES).contains("latitude = 38.95, longitude = -77.45 }\nstate"),
        "a refusal edits nothing"
    );
    assert_eq!(run(&["drain", "iad", "--edit", "--force"]).0, 0);
    // Rule: a drain never leaves a name without an answer.
    assert_eq!(server.ask(&TestQuery::new(WWW, "A")).answers().len(), 1);
    for datacenter in ["iad", "eu"] {
        let (code, out, err) = run(&["undrain", datacenter, "--edit"]);
        assert_eq!(code, 0, "{out}{err}");
    }
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    let (code, _, err) = run(&["drain", "frra", "--edit"]);
    assert!(code == 1 && err.contains("fra"), "the nearest name is told: {err}");
    let (code, out, _) = run(&["status", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["datacenters"][0]["state"]), (0, &"active".into()));
}

#[test]
fn a_broken_edit_is_reported_and_the_old_answers_stay_until_it_is_fixed() {
    let site = site();
    let server = site.serve();
    site.write(PLACES, &places("drainin"));
    server.until_logged("datacenters.toml:5:");
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    let (code, body) = server.http("/readyz");
    assert_eq!(code, 200, "the server still serves");
    assert!(body.contains("datacenters.toml:5:"), "{body}");
    assert_eq!(server.metric("portolan_configuration_refused", ""), 1.0);
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    assert!(!server.http("/readyz").1.contains("datacenters.toml:5:"));
    assert_eq!(server.metric("portolan_reload_failures_total", ""), 1.0);
}

#[test]
fn a_file_written_piece_by_piece_is_never_applied_half_written() {
    let site = site();
    let mut old = zone().to_owned();
    for number in 0..20 {
        old += &fill(
            r#"[service."s$number.example.org"]
members = [{ addresses = ["192.0.2.10"] }]
"#,
            &[("$number", &number)],
        );
    }
    site.write(ZONE, &old);
    let server = site.serve();
    let new = old.replace("192.0.2.10", "192.0.2.20");
    let mut file = OpenOptions::new().write(true).truncate(true).open(site.path(ZONE)).unwrap();
    // Each piece ends at the end of a table, where the file so far would be valid.
    let pieces: Vec<&str> = new.split_inclusive("}]\n").collect();
    for piece in pieces.chunks(2) {
        file.write_all(piece.concat().as_bytes()).unwrap();
        server.stays("the old answers", Duration::from_millis(150), |server| {
            server.addresses("s0.example.org") == ["192.0.2.10"]
                && server.addresses("s19.example.org") == ["192.0.2.10"]
        });
    }
    drop(file);
    server.until_answers("s19.example.org", &["192.0.2.20"], APPLY_TIMEOUT);
    assert_eq!(server.addresses("s0.example.org"), ["192.0.2.20"]);
    assert!(!server.log().contains("refused"), "{}", server.log());
}

#[test]
fn a_broken_database_changes_nothing_and_a_valid_one_is_applied() {
    let site = site();
    site.edit(ZONE, "failover", "nearest");
    let server = site.serve();
    let american = |server: &crate::harness::Server| {
        server.ask(&TestQuery::new(WWW, "A").subnet("8.1.2.0/24")).answers()
    };
    assert_eq!(american(&server), ["192.0.2.2"]);
    fs::write(site.path("geoip/new"), &sample_database()[..700]).unwrap();
    fs::rename(site.path("geoip/new"), site.path("geoip/world.mmdb")).unwrap();
    server.until("the error is shown", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("world.mmdb")
    });
    assert_eq!(american(&server), ["192.0.2.2"]);
    fs::remove_file(site.path("geoip/world.mmdb")).unwrap();
    server.signal(libc::SIGHUP);
    server.stays("the old database", APPLY_TIMEOUT, |server| american(server) == ["192.0.2.2"]);
    // The new database does not contain American networks: their clients have no location and get
    // the first member.
    let mut writer =
        mmdb_writer::Writer::builder("GeoLite2-City").description(&[("en", "made up")]).build();
    let nowhere = mmdb_writer::Value::map([(
        "continent",
        mmdb_writer::Value::map([("code", mmdb_writer::Value::from("EU"))]),
    )]);
    writer.insert_value("80.0.0.0/8".parse::<ipnet::IpNet>().unwrap(), nowhere).unwrap();
    fs::write(site.path("geoip/new"), writer.to_bytes().unwrap()).unwrap();
    fs::rename(site.path("geoip/new"), site.path("geoip/world.mmdb")).unwrap();
    server.until("the new database is in use", Duration::from_secs(5), |server| {
        american(server) == ["192.0.2.1"]
    });
    assert!(server.status().databases.iter().all(|database| database.error.is_none()));
}

#[test]
fn sighup_reloads_the_files() {
    let site = site();
    let server = site.serve();
    let before = server.status().configuration.reloads;
    site.write(PLACES, &places("draining"));
    server.signal(libc::SIGHUP);
    server.until("the edit is applied", APPLY_TIMEOUT, |server| {
        server.status().configuration.reloads > before
    });
    assert_eq!(server.addresses(WWW), ["192.0.2.2"]);
}

#[test]
fn after_sigterm_received_queries_are_answered_and_the_exit_code_is_0() {
    let site = site();
    let server = site.serve();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(REPLY_TIMEOUT)).unwrap();
    const SENT: u16 = 100;
    for id in 0..SENT {
        socket.send(&TestQuery::new(WWW, "A").message(id)).unwrap();
    }
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let mut buffer = [0; 2048];
    let replies = (0..SENT).filter(|_| socket.recv(&mut buffer).is_ok()).count();
    assert_eq!(replies, usize::from(SENT));
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// The zone with both targets probed on port 1, where connections are refused.
fn probed() -> String {
    zone()
        .to_owned()
        .replace("192.0.2.1\"", "127.0.21.1\"")
        .replace("192.0.2.2\"", "127.0.21.2\"")
        .replace("policy = \"failover\"", "policy = \"failover\"\nmonitor = \"tcp\"")
        + r#"[monitor.tcp]
tcp = { port = 1 }
interval = "30s"
timeout = "1s"
"#
}

#[test]
fn health_status_survives_a_restart() {
    let site = site();
    site.write(ZONE, &probed());
    let server = site.serve();
    server.until("both are down", WAIT_TIMEOUT, |server| {
        server.verdicts().iter().all(|(_, verdict)| verdict == "down")
    });
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert!(
        server.verdicts().iter().all(|(_, verdict)| verdict == "down"),
        "{:?}",
        server.verdicts()
    );
}

#[test]
fn an_unusable_state_directory_is_a_warning() {
    for make in [
        |site: &ServerDirectory| site.write("state", "a file where the directory should be"),
        |site: &ServerDirectory| {
            for file in ["verdicts.json", "serials.json", "cookie-key"] {
                site.write(&format!("state/{file}"), "\u{0}garbage{");
            }
        },
    ] {
        let site = site();
        make(&site);
        let server = site.serve();
        assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
        let (status, log) = server.terminate();
        assert!(status.success(), "{log}");
        assert!(log.contains("WARN"), "{log}");
    }
}

#[test]
fn each_kind_of_failure_has_its_message_and_exit_code() {
    let site = site();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = UdpSocket::bind(taken).unwrap();
    let (code, _, err) =
        site.run(&["serve", "--config", "portolan.toml", "--listen", &taken.to_string()]);
    drop(holder);
    assert!(code == 1 && err.contains(&taken.to_string()), "{code} {err}");
    let (code, _, err) = site.run(&["serve", "--lisen", "127.0.0.1:0"]);
    assert!(code == 2 && err.contains("--listen"), "{code} {err}");
    site.write(PLACES, &places("drainin"));
    for command in ["serve", "check"] {
        let (code, _, err) = site.run(&[command, "--config", "portolan.toml"]);
        assert!(
            code == 1 && err.contains("datacenters.toml:5:") && err.contains("draining"),
            "{command}: {code} {err}"
        );
    }
    let (code, _, err) = site.run(&["status", "--server", "http://127.0.0.1:1"]);
    assert!(code == 1 && err.contains("127.0.0.1:1"), "{code} {err}");
}

#[test]
fn a_zones_directory_that_was_moved_away_and_restored_is_watched_again() {
    let site = site();
    let server = site.serve();
    fs::rename(site.path("zones"), site.path("away")).unwrap();
    server.until("the missing directory is a concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("cannot be read")
    });
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    fs::create_dir(site.path("zones")).unwrap();
    for file in ["datacenters.toml", "example.org.toml"] {
        fs::copy(site.path(&format!("away/{file}")), site.path(&format!("zones/{file}"))).unwrap();
    }
    server.until("the directory is read again", WAIT_TIMEOUT, |server| {
        !server.http("/readyz").1.contains("cannot be read")
    });
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], WAIT_TIMEOUT);
}

#[test]
fn sighup_during_a_write_waits_for_its_end() {
    let site = site();
    let server = site.serve();
    let half = "[service.\"new.example.org\"]\nmembers = [{ addresses = [\"192.0.2.9\"] }]\n";
    let mut file = OpenOptions::new().append(true).open(site.path(ZONE)).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    let is_old = |server: &crate::harness::Server| server.addresses("new.example.org").is_empty();
    server.stays("the old file", Duration::from_millis(150), is_old);
    server.signal(libc::SIGHUP);
    server.stays("the old file", Duration::from_millis(500), is_old);
    drop(file);
    server.until_answers("new.example.org", &["192.0.2.9"], APPLY_TIMEOUT);
}

#[test]
fn settings_that_need_a_restart_are_reported() {
    let site = site();
    let server = site.serve();
    site.edit("portolan.toml", "threads = 1", "threads = 2");
    server.until_logged("`threads` of `server` has changed");
    assert!(server.http("/readyz").1.contains("`threads` of `server` has changed"));
    site.edit("portolan.toml", "threads = 2", "threads = 1\nsocket-affinity = true");
    server.until_logged("`socket-affinity` of `server` has changed");
    site.edit("portolan.toml", "\nsocket-affinity = true", "");
    server.until("the concern ends", WAIT_TIMEOUT, |server| {
        !server.http("/readyz").1.contains("`threads`")
    });
}

#[test]
fn with_json_a_failure_is_also_one_document() {
    let site = site();
    for arguments in [
        &["status", "--server", "http://127.0.0.1:1"][..],
        &["drain", "fra", "--server", "http://127.0.0.1:1"],
        &["explain", "www.example.net", "--client", "192.0.2.1"],
        &["plan", "--against", "nowhere"],
        &["locate", "--geoip", "nowhere.mmdb", "192.0.2.1"],
    ] {
        let (code, out, err) = site.run(&[arguments, &["--json"]].concat());
        let document: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}{err}"));
        assert!(code == 1 && document["error"].is_string(), "{arguments:?}: {code} {out}{err}");
    }
}

#[test]
fn check_refuses_a_certificate_that_serve_would_refuse() {
    let site = site();
    let tls =
        "tls = { listen = [\"127.0.0.1:0\"], certificate = \"none.pem\", key = \"none.pem\" }\n";
    site.write("portolan.toml", &format!("{}{tls}", site.read("portolan.toml")));
    let (code, out, err) = site.run(&["check"]);
    assert!(code == 1 && err.contains("none.pem"), "{code} {out}{err}");
}
