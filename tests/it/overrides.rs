//! Overrides: commands of operators that no file holds, on real servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    query::TestQuery,
};

const PLACES: &str = "zones/datacenters.toml";
const ZONE: &str = "zones/example.org.toml";
const OTHER: &str = "zones/other.toml";

const PLACES_TEXT: &str = r#"[datacenter.fra]  # Frankfurt
region = "eu"
[datacenter.ams]
region = "eu"
[datacenter.iad]
[datacenter.off]
state = "disabled"  # until it is built
"#;

const ZONE_TEXT: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[pool.web]
members = [
  { name = "a", datacenter = "fra", addresses = ["192.0.2.1"] },
  { name = "b", datacenter = "iad", addresses = ["192.0.2.2"] },
]
[service."www.example.org"]
ttl = 20
pool = "web"
[service."own.example.org"]
members = [
  { name = "x", datacenter = "fra", addresses = ["192.0.2.11"] },
  { name = "y", datacenter = "iad", addresses = ["192.0.2.12"] },
  { name = "z", datacenter = "off", addresses = ["192.0.2.13"] },
]
"#;

const OTHER_TEXT: &str = r#"[zone."example.net"]
nameservers = ["ns1.example.com"]
hostmaster = "h@example.net"
"#;

fn site() -> ServerDirectory {
    ServerDirectory::new(&[(PLACES, PLACES_TEXT), (ZONE, ZONE_TEXT), (OTHER, OTHER_TEXT)])
}

fn url(server: &Server) -> String {
    format!("http://{}", server.admin.unwrap())
}

/// Exit code, stdout and stderr of a command of the user `anna` for this server.
fn run(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let url = url(server);
    let mut command = site.command(&[arguments, &["--server", &url]].concat());
    let output = command.env("SUDO_USER", "anna").output().unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs a command that succeeds; returns its document.
fn done(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> Value {
    let (code, out, err) = run(site, server, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// Runs a command that is refused with this exit code; returns its message.
fn refused(site: &ServerDirectory, server: &Server, code: i32, arguments: &[&str]) -> String {
    let (found, out, err) = run(site, server, arguments);
    assert_eq!(found, code, "{arguments:?}: {out}{err}");
    err
}

/// The share of answers that each address of a name has, in percent, of 400 queries.
fn shares(server: &Server, name: &str) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..400 {
        for address in server.addresses(name) {
            *shares.entry(address).or_insert(0) += 1;
        }
    }
    shares.values_mut().for_each(|count| *count /= 4);
    shares
}

/// The addresses with which a name is answered.
fn answered(server: &Server, name: &str) -> String {
    shares(server, name).into_keys().collect::<Vec<_>>().join(" ")
}

fn datacenter(server: &Server, name: &str) -> String {
    let status = server.status();
    let found = status.datacenters.iter().find(|datacenter| datacenter.name == name);
    found.unwrap().state.clone()
}

#[test]
fn an_override_works_beside_a_broken_file_survives_a_kill_and_edits_no_file() {
    let site = site();
    let server = site.serve();
    site.write(OTHER, "[zone");
    server.until_logged("other.toml:1:");
    let report = done(&site, &server, &["drain", "fra", "--reason", "kernel upgrade"]);
    assert_eq!(report["outcomes"][0]["effective"], true, "{report}");
    assert_eq!(report["overrides"][0]["author"], "anna", "{report}");
    assert_eq!(report["overrides"][0]["peer"], "127.0.0.1", "{report}");
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2", "when the command returns");
    server.signal(libc::SIGKILL);
    drop(server);
    let server = site.serve();
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2", "after a kill");
    let (_, text, _) = run(&site, &server, &["status"]);
    assert!(text.contains("by the override of fra by anna since"), "{text}");
    assert!(text.contains("kernel upgrade") && text.contains("effective"), "{text}");
    assert_eq!(site.read(PLACES), PLACES_TEXT);
    // A load of edited files applies the overrides again.
    site.edit(ZONE, "ttl = 20", "ttl = 21");
    server.until("the edit is applied", WAIT_TIMEOUT, |server| {
        server.status().configuration.reloads > 0
    });
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2", "after a load");
    assert_eq!(
        server.metric("portolan_override", "subject=\"fra\",kind=\"state\",value=\"draining\""),
        1.0
    );
    let (_, listed) = server.http("/api/v1/overrides");
    assert!(
        listed.contains("\"author\":\"anna\"") && listed.contains("\"effective\":true"),
        "{listed}"
    );
    let (_, text, _) = run(&site, &server, &["explain", "www.example.org", "--client", "8.0.0.1"]);
    assert!(text.contains("fra is draining (override of fra by anna since "), "{text}");
    done(&site, &server, &["undrain", "fra"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.1 192.0.2.2");
    assert_eq!(server.status().overrides, []);
}

#[test]
fn an_override_needs_neither_writable_nor_readable_files() {
    let site = site();
    let mount =
        "mkdir ro && mount --bind zones ro && mount -o remount,ro,bind ro && mount --bind ro zones";
    let script = format!("{mount} && exec \"$@\"");
    let is_permitted =
        Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !is_permitted {
        println!("skipped: this user may not mount");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_portolan"), "serve"]);
    command.args(["--config", "portolan.toml", "--listen", "127.0.0.1:0"]);
    command.current_dir(site.path("")).env("NO_COLOR", "1").env("PORTOLAN_LOG", "info");
    command.env_remove("PORTOLAN_SERVER");
    let server = Server::start(command).unwrap();
    let error = refused(&site, &server, 1, &["drain", "fra", "--edit"]);
    assert!(error.contains("Read-only file system"), "{error}");
    done(&site, &server, &["drain", "fra"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2");
    let entered = Command::new("nsenter")
        .args(["-m", "-t", &server.pid().to_string(), "--", "mount", "-t", "tmpfs", "none"])
        .arg(site.path("zones"))
        .status();
    assert!(entered.unwrap().success(), "the files disappear");
    done(&site, &server, &["undrain", "fra"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.1 192.0.2.2");
}

#[test]
fn an_override_ends_into_the_state_of_the_file_and_begins_when_it_should() {
    let site = site();
    let server = site.serve();
    done(&site, &server, &["enable", "off", "--for", "2s"]);
    assert!(answered(&server, "own.example.org").contains("192.0.2.13"));
    server.until("the file's state is back", WAIT_TIMEOUT, |server| {
        datacenter(server, "off") == "disabled"
    });
    server
        .until("no override is left", WAIT_TIMEOUT, |server| server.status().overrides.is_empty());
    assert!(!answered(&server, "own.example.org").contains("192.0.2.13"));
    server.until_logged("override ended");
    let time = |secs: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(secs);
        time.strftime("%FT%TZ").to_string()
    };
    let (at, until) = (time(3), time(6));
    done(&site, &server, &["drain", "fra", "--at", &at, "--until", &until]);
    assert_eq!(datacenter(&server, "fra"), "active", "it has not begun");
    assert!(!server.status().overrides[0].in_force);
    server.until("it has begun", WAIT_TIMEOUT, |server| datacenter(server, "fra") == "draining");
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2");
    server.until("it has ended", WAIT_TIMEOUT, |server| datacenter(server, "fra") == "active");
    // A request for the same at once replaces one that begins later.
    done(&site, &server, &["drain", "fra", "--at", &time(3600)]);
    done(&site, &server, &["drain", "fra"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2");
    done(&site, &server, &["undrain", "fra"]);
    let error = refused(&site, &server, 3, &["drain", "fra", "iad", "--at", &time(60)]);
    assert!(error.contains("no usable member would be left"), "checked before it begins: {error}");
}

#[test]
fn members_regions_weights_and_forced_health_are_overridden_by_name() {
    let site = site();
    let server = site.serve();
    done(&site, &server, &["drain", "web/a", "service:own.example.org/x"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2");
    assert_eq!(answered(&server, "own.example.org"), "192.0.2.12");
    done(&site, &server, &["undrain", "web/a", "service:own.example.org/x"]);
    done(&site, &server, &["force", "down", "web/b"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.1");
    done(&site, &server, &["force", "none", "web/b"]);
    done(&site, &server, &["weight", "web/a", "3"]);
    let share = shares(&server, "www.example.org")["192.0.2.1"];
    assert!((65..85).contains(&share), "three of four: {share}");
    done(&site, &server, &["weight", "web/a", "none"]);
    done(&site, &server, &["drain", "eu"]);
    assert_eq!([datacenter(&server, "fra"), datacenter(&server, "ams")], ["draining", "draining"]);
    // A datacenter is more specific than its region.
    let error = refused(&site, &server, 1, &["undrain", "fra"]);
    assert!(
        error.contains("the override of eu by anna") && error.contains("enable fra"),
        "{error}"
    );
    done(&site, &server, &["enable", "fra"]);
    assert_eq!([datacenter(&server, "fra"), datacenter(&server, "ams")], ["active", "draining"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.1 192.0.2.2");
    done(&site, &server, &["undrain", "eu"]);
    done(&site, &server, &["standby", "web"]);
    let status = server.status();
    assert_eq!(status.overrides.last().map(|one| one.subject.as_str()), Some("web"));
    done(&site, &server, &["enable", "web", "fra"]);
    assert_eq!(server.status().overrides, [], "what the files say needs no override");
}

#[test]
fn what_cannot_be_meant_or_would_leave_nothing_is_refused_and_changes_nothing() {
    let site = site();
    let server = site.serve();
    let generation = server.status().generation;
    for (code, arguments, why) in [
        (1, &["drain", "frra"][..], "did you mean \"fra\"?"),
        (1, &["drain", "web/aa"], "did you mean \"web/a\"?"),
        (1, &["drain", "fra", "iaad"], "did you mean \"iad\"?"),
        (1, &["drain", "off"], "its state is disabled in "),
        (1, &["drain", "fra", "--pause"], "fra is not draining"),
        (1, &["weight", "web", "5"], "no member of a pool"),
        (1, &["drain", "fra", "--until", "2001-01-01T00:00:00Z"], "not after the start"),
        (2, &["drain", "fra", "--until", "tomorrow"], "RFC 3339"),
        (2, &["drain", "fra", "--override", "usable-member"], "--reason"),
        (3, &["drain", "fra", "iad"], "www.example.org A"),
        (3, &["disable", "web"], "www.example.org A"),
        (3, &["force", "down", "web"], "www.example.org A"),
    ] {
        let error = refused(&site, &server, code, arguments);
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    let status = server.status();
    assert_eq!((status.generation, status.overrides), (generation, vec![]));
    let forced = ["disable", "web", "--override", "usable-member", "--reason", "leak"];
    let report = done(&site, &server, &forced);
    assert_eq!(report["distressed"][0]["subject"], "www.example.org A", "{report}");
    assert_eq!(report["overrides"][0]["reason"], "leak");
    // A name keeps an answer.
    assert_eq!(server.ask(&TestQuery::new("www.example.org", "A")).answers().len(), 1);
    done(&site, &server, &["enable", "web"]);
    // A drain in progress counts as complete.
    done(&site, &server, &["drain", "fra", "--over", "60s"]);
    let error = refused(&site, &server, 3, &["drain", "iad"]);
    assert!(error.contains("www.example.org A"), "{error}");
}

#[test]
fn an_undrain_of_what_the_file_drains_names_the_file_and_edits_it_on_request() {
    let site = site();
    site.edit(
        PLACES,
        "region = \"eu\"\n[datacenter.ams]",
        "region = \"eu\"\nstate = \"draining\"\n[datacenter.ams]",
    );
    let server = site.serve();
    let error = refused(&site, &server, 1, &["undrain", "fra"]);
    assert!(error.contains("datacenters.toml:1:") && error.contains("--edit"), "{error}");
    done(&site, &server, &["drain", "fra", "--reason", "twice"]);
    let (code, text, _) = run(&site, &server, &["undrain", "fra"]);
    assert!(code == 0 && text.contains("fra is still draining, by "), "{text}");
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2");
    done(&site, &server, &["drain", "fra", "--reason", "twice"]);
    done(&site, &server, &["undrain", "fra", "--edit"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.1 192.0.2.2");
    assert!(
        site.read(PLACES).contains("state = \"active\"") && server.status().overrides.is_empty()
    );
}

#[test]
fn several_servers_are_changed_by_one_command_and_each_reports() {
    let sites = [site(), site()];
    let servers = [sites[0].serve(), sites[1].serve()];
    let urls = [url(&servers[0]), url(&servers[1])];
    let both = ["--server", &urls[0], "--server", &urls[1]];
    let (code, out, err) = sites[0].run(&[&["drain", "fra", "--json"][..], &both].concat());
    assert_eq!(code, 0, "{out}{err}");
    let reports: Value = serde_json::from_str(&out).unwrap();
    for (report, url) in reports.as_array().unwrap().iter().zip(&urls) {
        assert_eq!(
            (&report["server"]["url"], &report["outcomes"][0]["effective"]),
            (&Value::from(url.as_str()), &true.into())
        );
    }
    servers.iter().for_each(|server| assert_eq!(answered(server, "www.example.org"), "192.0.2.2"));
    let missing = ["--server", "127.0.0.1:1", "--server", &urls[1]];
    let (code, out, err) = sites[0].run(&[&["undrain", "fra"][..], &missing].concat());
    assert!(code == 1 && err.contains("no portolan server answers at http://127.0.0.1:1"), "{err}");
    assert!(out.contains("fra: in service"), "the other server is changed: {out}");
    assert_eq!(answered(&servers[1], "www.example.org"), "192.0.2.1 192.0.2.2");
}

#[test]
fn reports_of_member_overrides_agree_with_what_queries_are_answered() {
    let site = site();
    let server = site.serve();
    let mut count = 0;
    let mut agree = |why: &str| {
        let mut named = BTreeSet::new();
        for name in ["www.example.org", "own.example.org"] {
            for _ in 0..100 {
                count += 1;
                if server
                    .addresses(name)
                    .iter()
                    .any(|address| ["192.0.2.1", "192.0.2.11"].contains(&address.as_str()))
                {
                    named.insert(name.to_owned());
                }
            }
        }
        for one in server.status().overrides.iter().filter(|one| one.value == "draining") {
            let mine = if one.subject == "web/a" { "www.example.org" } else { "own.example.org" };
            let listed: BTreeSet<String> =
                one.still_answered.iter().map(|still| still.service.clone()).collect();
            let expected: BTreeSet<String> =
                named.iter().filter(|name| *name == mine).cloned().collect();
            assert_eq!((one.effective, listed), (expected.is_empty(), expected), "{why}: {one:?}");
        }
    };
    agree("as configured");
    done(&site, &server, &["drain", "web/a"]);
    agree("drained at once");
    done(&site, &server, &["drain", "service:own.example.org/x", "--over", "60s"]);
    agree("a ramp in progress");
    done(&site, &server, &["drain", "service:own.example.org/x", "--pause"]);
    agree("paused");
    done(&site, &server, &["disable", "iad", "--force"]);
    agree("nothing else is left");
    done(&site, &server, &["enable", "iad"]);
    agree("something else is left again");
    assert!(count >= 1000, "{count} queries");
}

#[test]
fn an_override_of_what_the_files_no_longer_define_waits_until_they_do() {
    let site = site();
    let server = site.serve();
    done(&site, &server, &["drain", "web/a"]);
    site.edit(ZONE, "name = \"a\"", "name = \"c\"");
    server.until_answers_of("www.example.org", "192.0.2.1 192.0.2.2");
    let concerns = server.http("/readyz").1;
    assert!(
        concerns.contains("name nothing in the configuration") && concerns.contains("web/a"),
        "{concerns}"
    );
    site.edit(ZONE, "name = \"c\"", "name = \"a\"");
    server.until_answers_of("www.example.org", "192.0.2.2");
}

#[test]
fn lost_overrides_are_a_concern_and_none_is_accepted_that_a_restart_would_lose() {
    let site = site();
    let server = site.serve();
    done(&site, &server, &["drain", "fra"]);
    done(&site, &server, &["drain", "web/b", "--force"]);
    assert!(server.terminate().0.success());
    site.write("state/overrides", "{\"version\":1,\"overr");
    let server = site.serve();
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2", "the version before");
    assert!(server.http("/readyz").1.contains("overrides.damaged"), "{}", server.http("/readyz").1);
    assert_eq!(server.metric("portolan_overrides_lost", ""), 1.0);
    done(&site, &server, &["drain", "ams"]);
    assert!(!server.http("/readyz").1.contains("overrides.damaged"));
    fs::rename(site.path("state"), site.path("moved")).unwrap();
    site.write("state", "a file where the directory should be");
    let error = refused(&site, &server, 1, &["undrain", "fra"]);
    assert!(error.contains("a restart would lose it") && error.contains("help:"), "{error}");
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2", "nothing was changed");
}

#[test]
fn a_gradual_drain_is_paused_resumed_and_returned_over_a_time() {
    let site = site();
    let server = site.serve();
    let ramp = || server.status().ramps.first().map(|ramp| ramp.kind.clone()).unwrap_or_default();
    done(&site, &server, &["drain", "fra", "--over", "60s", "--reason", "slowly"]);
    assert_eq!(ramp(), "drain");
    let leave = || {
        server.until("clients leave", WAIT_TIMEOUT, |server| {
            server.status().ramps.first().is_some_and(|ramp| ramp.at < 0.97)
        });
    };
    leave();
    done(&site, &server, &["drain", "fra", "--pause"]);
    assert_eq!(ramp(), "held-drain");
    let held = server.status();
    assert!(!held.overrides[0].effective && held.datacenters[1].still_answered_count == 2);
    assert_eq!(held.overrides[0].reason.as_deref(), Some("slowly"), "a pause keeps the reason");
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.1 192.0.2.2");
    done(&site, &server, &["drain", "fra", "--resume"]);
    assert_eq!(ramp(), "drain");
    done(&site, &server, &["drain", "fra", "--over", "0s"]);
    assert_eq!(answered(&server, "www.example.org"), "192.0.2.2");
    let (code, text, _) = run(&site, &server, &["undrain", "fra", "--over", "60s"]);
    assert!(code == 0 && text.contains("fra: coming back into service: receives "), "{text}");
    assert_eq!(ramp(), "slow-start");
    assert_eq!(server.status().overrides[0].value, "returning");
    done(&site, &server, &["undrain", "web/b", "fra"]);
    done(&site, &server, &["enable", "fra"]);
    assert_eq!(server.status().overrides, [], "the return is cut short");
    // A member follows like a datacenter.
    done(&site, &server, &["drain", "web/a", "--over", "60s"]);
    assert_eq!(ramp(), "drain");
    leave();
    done(&site, &server, &["drain", "web/a", "--pause"]);
    assert_eq!(ramp(), "held-drain");
    done(&site, &server, &["drain", "web/a", "--over", "0s"]);
    done(&site, &server, &["undrain", "web/a", "--over", "60s"]);
    assert_eq!(ramp(), "slow-start");
}

#[test]
fn an_undrain_that_names_a_time_changes_a_return_in_progress() {
    let site = site();
    let server = site.serve();
    done(&site, &server, &["drain", "fra"]);
    done(&site, &server, &["undrain", "fra", "--over", "1h"]);
    assert!(shares(&server, "www.example.org")["192.0.2.2"] > 90, "hardly a client has returned");
    let ends = || server.status().overrides[0].ends.unwrap();
    let before = ends();
    let (code, text, _) = run(&site, &server, &["undrain", "fra"]);
    assert!(code == 0 && text.contains("already returning; to change the duration"), "{text}");
    done(&site, &server, &["undrain", "fra", "--over", "2h"]);
    assert!(ends() > before + 3000, "{before}, then {}", ends());
    done(&site, &server, &["undrain", "fra", "--over", "0s"]);
    assert_eq!(server.status().overrides, []);
    let share = shares(&server, "www.example.org")["192.0.2.1"];
    assert!((35..65).contains(&share), "all clients have returned: {share}");
}

#[test]
fn two_hundred_changes_from_three_clients_end_in_the_last_of_each() {
    const ROUNDS: usize = 67;
    let site = site();
    let server = site.serve();
    let changes =
        |subject: &'static str, set: &'static [&'static str], back: &'static [&'static str]| {
            let (site, server) = (&site, &server);
            move || {
                for round in 0..ROUNDS {
                    let verb = if round % 2 == 0 { set } else { back };
                    let (code, out, err) = run(site, server, &[verb, &[subject]].concat());
                    assert_eq!(code, 0, "{out}{err}");
                }
            }
        };
    std::thread::scope(|scope| {
        scope.spawn(changes("fra", &["drain"], &["undrain"]));
        scope.spawn(changes("ams", &["disable"], &["enable"]));
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                site.replace(ZONE, &ZONE_TEXT.replace("ttl = 20", &format!("ttl = {round}")));
            }
        });
    });
    let is_last = |server: &Server| {
        let reply = server.ask(&TestQuery::new("www.example.org", "A"));
        reply.answers() == ["192.0.2.2"] && reply.ttl() == ROUNDS as u32
    };
    server.until("the last edit and the last override hold", WAIT_TIMEOUT, is_last);
    assert_eq!([datacenter(&server, "fra"), datacenter(&server, "ams")], ["draining", "disabled"]);
    assert_eq!(server.log().matches(" override set ").count(), 2 * ROUNDS.div_ceil(2));
    assert_eq!(site.read(PLACES), PLACES_TEXT);
    server.signal(libc::SIGKILL);
    drop(server);
    let server = site.serve();
    assert!(is_last(&server) && datacenter(&server, "ams") == "disabled");
}

impl Server {
    /// Waits until the addresses with which a name is answered are these.
    fn until_answers_of(&self, name: &str, expected: &str) {
        self.until(&format!("{name} is {expected}"), WAIT_TIMEOUT, |server| {
            answered(server, name) == expected
        });
    }
}

#[test]
fn a_drain_is_watched_until_caches_have_forgotten_it_and_an_undrain_ends_the_watch() {
    let site = site();
    site.edit(ZONE, "ttl = 20", "ttl = 1");
    site.edit(ZONE, "[service.\"own.example.org\"]", "[service.\"own.example.org\"]\nttl = 1");
    let server = site.serve();
    let (code, text, _) = run(&site, &server, &["drain", "fra", "--watch", "--reason", "test"]);
    assert_eq!(code, 0, "{text}");
    let stages = [
        "fra: override set: draining",
        "the last cached answer expires at ",
        "fra: drained: DNS answers 0%",
    ];
    let places: Vec<_> = stages.iter().map(|stage| text.find(stage)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{text}");
    let drain = server.status().datacenters.iter().find(|found| found.name == "fra").unwrap().drain;
    assert!(server.status().now >= drain.unwrap().expires, "the caches have expired");
    done(&site, &server, &["undrain", "fra"]);

    let url = url(&server);
    let arguments = ["drain", "web/a", "--over", "1h", "--watch", "--server", &url];
    let watch = site.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    server.until("the drain has begun", WAIT_TIMEOUT, |server| {
        server.status().overrides.iter().any(|one| one.subject == "web/a")
    });
    done(&site, &server, &["undrain", "web/a", "--over", "0s"]);
    let ended = watch.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(
        text.trim_end().ends_with("web/a: not drained: its state is what the files say"),
        "{text}"
    );
}
