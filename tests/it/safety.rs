//! Safety rules on a real server: every path to the answers keeps them.

use std::{net::Ipv4Addr, sync::atomic::Ordering::SeqCst};

use serde_json::Value;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    health::Target,
    ports::free_port,
};

const PLACES: &str = "zones/datacenters.toml";
const ZONE: &str = "zones/example.org.toml";
const RULES: &str = "zones/safety.toml";
const WWW: &str = "www.example.org";

const PLACES_TEXT: &str = r#"[datacenter.fra]
region = "eu"
[datacenter.ams]
region = "eu"
[datacenter.iad]
"#;

/// One service with a member in each datacenter, a third of the clients each.
const ZONE_TEXT: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
$monitor
[pool.web]
policy = "weighted"
$pool
members = [
  { name = "f", datacenter = "fra", addresses = ["127.0.41.1"] },
  { name = "a", datacenter = "ams", addresses = ["127.0.41.2"] },
  { name = "i", datacenter = "iad", addresses = ["127.0.41.3"] },
]
[service."www.example.org"]
ttl = 20
pool = "web"
"#;

fn site(rules: &str) -> ServerDirectory {
    let zone = fill(ZONE_TEXT, &[("$monitor", &""), ("$pool", &"")]);
    let rules = format!("[safety]\n{rules}\n");
    ServerDirectory::new(&[(PLACES, PLACES_TEXT), (ZONE, &zone), (RULES, &rules)])
}

/// Exit code, stdout and stderr of a command for this server.
fn run(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let url = format!("http://{}", server.admin.unwrap());
    site.run(&[arguments, &["--server", &url]].concat())
}

fn done(site: &ServerDirectory, server: &Server, arguments: &[&str]) {
    let (code, out, err) = run(site, server, arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
}

/// Runs a command that a rule refuses; returns its message.
fn forbidden(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = run(site, server, arguments);
    assert_eq!(code, 3, "{arguments:?}: {out}{err}");
    err
}

fn state(server: &Server, name: &str) -> String {
    let status = server.status();
    let found = status.datacenters.iter().find(|datacenter| datacenter.name == name);
    found.unwrap().state.clone()
}

/// Whether any of many answers has this address.
fn answers(server: &Server, address: &str) -> bool {
    (0..200).any(|_| server.addresses(WWW).iter().any(|found| found == address))
}

fn until_held(server: &Server, rule: &str) {
    server.until("a file is held by a rule", WAIT_TIMEOUT, |server| {
        let held = server.status().held;
        held.iter().any(|file| file.errors.iter().any(|error| error.contains(rule)))
    });
}

fn events(site: &ServerDirectory, server: &Server) -> String {
    run(site, server, &["log"]).1
}

#[test]
fn a_minimum_of_active_datacenters_binds_overrides_edits_and_files_until_an_operator_overrides_it()
{
    let site = site("min-active-datacenters = 2\nat-least = [{ count = 1, of = [\"eu\"] }]");
    let server = site.serve();
    done(&site, &server, &["drain", "fra"]);
    for command in [
        &["drain", "ams"][..],
        &["drain", "iad"],
        &["drain", "ams", "--edit"],
        &["drain", "ams", "--force"],
        &["disable", "iad"],
        &["standby", "ams"],
        &["force", "down", "iad"],
        &["drain", "web/a", "web/i"],
        &["drain", "ams", "--at", "2027-01-01T00:00:00Z"],
    ] {
        let generation = server.status().generation;
        let message = forbidden(&site, &server, command);
        assert!(
            message.contains("min-active-datacenters: 2 datacenters must be active"),
            "{message}"
        );
        assert!(message.contains("zones/safety.toml:1:1"), "{message}");
        assert!(message.contains("--override min-active-datacenters"), "{message}");
        assert_eq!(server.status().generation, generation, "{command:?} changed answers");
    }
    let message = forbidden(&site, &server, &["drain", "ams"]);
    assert!(message.contains("at-least: 1 of eu must be active, and 0 would be"), "{message}");
    assert_eq!(site.read(PLACES), PLACES_TEXT, "no file was edited");
    // A file.
    site.edit(PLACES, "[datacenter.iad]\n", "[datacenter.iad]\nstate = \"draining\"\n");
    until_held(&server, "min-active-datacenters");
    assert_eq!(state(&server, "iad"), "active");
    assert!(answers(&server, "127.0.41.3"), "the last allowed state answers");
    let message = forbidden(&site, &server, &["reload"]);
    assert!(message.contains("portolan reload --override min-active-datacenters"), "{message}");
    // A colleague's file is applied all the same.
    site.edit(ZONE, "ttl = 20", "ttl = 21");
    server.until("another file is applied", WAIT_TIMEOUT, |server| {
        server.ask(&crate::query::TestQuery::new(WWW, "A")).ttl() == 21
    });
    let consent = ["--override", "min-active-datacenters", "--reason", "fire"];
    done(&site, &server, &[&["reload"][..], &consent].concat());
    assert_eq!(state(&server, "iad"), "draining");
    let concerns = server.status().concerns;
    let is_alarm = |text: &str| text.contains("min-active-datacenters is broken: 2 datacenters");
    assert!(concerns.iter().any(|one| one.is_grave && is_alarm(&one.text)), "{concerns:?}");
    assert!(server.metric("portolan_safety_broken_rules", "") == 1.0);
    // What makes it no worse is no new breach.
    done(&site, &server, &["weight", "web/a", "3"]);
    let log = events(&site, &server);
    assert!(log.contains("safety min-active-datacenters: refused"), "{log}");
    assert!(log.contains("\"fire\" (overridden: 2 datacenters must be active"), "{log}");
}

#[test]
fn what_people_move_within_a_time_is_limited_and_survives_a_restart() {
    let site = site("max-moved = { share = \"40%\", within = \"1h\" }");
    let server = site.serve();
    done(&site, &server, &["drain", "fra"]);
    let message = forbidden(&site, &server, &["drain", "ams"]);
    assert!(
        message.contains("max-moved: 50% of the demand would move (ams to iad 50%;"),
        "{message}"
    );
    assert!(
        message.contains("33% of earlier changes still counts; the limit is 40% within 1h"),
        "{message}"
    );
    for command in [&["undrain", "fra"][..], &["weight", "web/a", "9"], &["drain", "ams", "--edit"]]
    {
        assert!(forbidden(&site, &server, command).contains("max-moved"), "{command:?}");
    }
    site.edit(ZONE, "127.0.41.2", "127.0.41.9");
    until_held(&server, "max-moved");
    assert!(answers(&server, "127.0.41.2"));
    site.edit(ZONE, "127.0.41.9", "127.0.41.2");
    server.until("nothing is held", WAIT_TIMEOUT, |server| server.status().held.is_empty());
    // A gradual change counts by what moves within the time.
    let gradual = ["drain", "ams", "--over", "20h"];
    done(&site, &server, &gradual);
    assert!(server.status().safety.moved_percent.unwrap() < 36.5);
    let (status, _) = server.terminate();
    assert!(status.success());
    let server = site.serve();
    assert!(forbidden(&site, &server, &["undrain", "fra"]).contains("max-moved"));
    done(&site, &server, &["undrain", "fra", "--override", "max-moved", "--reason", "back"]);
    assert!(server.metric("portolan_safety_moved_ratio", "rule=\"max-moved\"") > 0.6);
    assert!(server.metric("portolan_safety_refusals_total", "rule=\"max-moved\"") >= 1.0);
}

#[test]
fn frozen_answers_change_by_health_alone_until_the_freeze_is_edited_away() {
    let port = free_port();
    let addresses = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 41, last));
    let targets = addresses.map(|address| Target::at(address, port, true));
    let monitor = format!(
        "[monitor.m]\nhttp = {{ path = \"/\", port = {port} }}\ninterval = \"200ms\"\ntimeout = \"150ms\"\nrise = 1\nfall = 1\n"
    );
    let zone = fill(ZONE_TEXT, &[("$monitor", &monitor), ("$pool", &"monitor = \"m\"")]);
    let site = ServerDirectory::new(&[
        (PLACES, PLACES_TEXT),
        (ZONE, &zone),
        (RULES, "[safety]\nfreeze = false\n"),
    ]);
    let server = site.serve();
    site.edit(RULES, "false", "true");
    server.until("it is frozen", WAIT_TIMEOUT, |server| server.status().safety.is_frozen);
    let message = forbidden(&site, &server, &["drain", "fra"]);
    assert!(message.contains("freeze: the rules say freeze = true"), "{message}");
    assert!(forbidden(&site, &server, &["drain", "fra", "--edit"]).contains("freeze"));
    site.edit(ZONE, "ttl = 20", "ttl = 21");
    until_held(&server, "safety rule freeze");
    targets[0].answers.store(false, SeqCst);
    server
        .until("health still moves clients", WAIT_TIMEOUT, |server| !answers(server, "127.0.41.1"));
    let (_, text, _) = run(&site, &server, &["status"]);
    assert!(
        text.contains("frozen: only health, aliases and what began before change answers"),
        "{text}"
    );
    done(&site, &server, &["drain", "ams", "--override", "freeze", "--reason", "smoke"]);
    assert!(!answers(&server, "127.0.41.2"));
    site.edit(RULES, "true", "false");
    server.until("what was held is applied", WAIT_TIMEOUT, |server| {
        server.ask(&crate::query::TestQuery::new(WWW, "A")).ttl() == 21
    });
    assert!(!server.status().safety.is_frozen);
}

#[test]
fn health_checks_never_take_out_more_datacenters_than_the_rules_allow() {
    let port = free_port();
    let addresses = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 42, last));
    let targets = addresses.map(|address| Target::at(address, port, true));
    let monitor = format!(
        "[monitor.m]\nhttp = {{ path = \"/\", port = {port} }}\ninterval = \"200ms\"\ntimeout = \"150ms\"\nrise = 1\nfall = 1\n"
    );
    let zone = fill(ZONE_TEXT, &[("$monitor", &monitor), ("$pool", &"monitor = \"m\"")])
        .replace("127.0.41.", "127.0.42.");
    let site = ServerDirectory::new(&[
        (PLACES, PLACES_TEXT),
        (ZONE, &zone),
        (RULES, "[safety]\nmin-active-datacenters = 2\n"),
    ]);
    let mut server = site.serve();
    let goes = |server: &Server, last: u8| {
        let address = format!("127.0.42.{last}");
        server.until("clients leave", WAIT_TIMEOUT, |server| !answers(server, &address));
    };
    targets[0].answers.store(false, SeqCst);
    goes(&server, 1);
    targets[1].answers.store(false, SeqCst);
    server.until("the second one is held", WAIT_TIMEOUT, |server| {
        server.status().safety.held_datacenters == ["ams"]
    });
    let check = |server: &Server| {
        assert!(answers(server, "127.0.42.2") && answers(server, "127.0.42.3"));
        assert!(!answers(server, "127.0.42.1"), "what had gone before stays away");
        let down: Vec<(String, String)> = server.verdicts();
        assert_eq!(down.iter().filter(|(_, verdict)| verdict == "down").count(), 2, "{down:?}");
    };
    check(&server);
    let concerns = server.status().concerns;
    let is_alarm =
        |text: &str| text.starts_with("ams is down by its health checks, and a safety rule");
    assert!(concerns.iter().any(|one| one.is_grave && is_alarm(&one.text)), "{concerns:?}");
    assert_eq!(server.metric("portolan_safety_held_datacenters", ""), 1.0);
    // A restart does not end the hold.
    server.until("it is saved", WAIT_TIMEOUT, |_| site.path("state/safety.json").exists());
    let (status, _) = server.terminate();
    assert!(status.success());
    server = site.serve();
    server.until("it is held again", WAIT_TIMEOUT, |server| {
        server.status().safety.held_datacenters == ["ams"]
    });
    check(&server);
    // Once another one is back, the held one goes.
    targets[0].answers.store(true, SeqCst);
    goes(&server, 2);
    assert!(answers(&server, "127.0.42.1") && answers(&server, "127.0.42.3"));
    assert!(server.status().safety.held_datacenters.is_empty());
    let log = events(&site, &server);
    assert!(log.contains("safety ams: held in the answers"), "{log}");
    assert!(log.contains("safety ams: held in the answers -> as its health checks say"), "{log}");
}

#[test]
fn overrides_that_begin_or_end_by_the_clock_are_held_by_rules() {
    let site = site("min-active-datacenters = 2");
    let server = site.serve();
    let at = jiff::Timestamp::now().as_second() + 2;
    let at = jiff::Timestamp::from_second(at).unwrap().to_string();
    // Each is allowed by itself.
    done(&site, &server, &["drain", "fra", "--at", &at]);
    done(&site, &server, &["drain", "ams", "--at", &at]);
    server.until("both are held", WAIT_TIMEOUT, |server| {
        !server.status().safety.held_timers.is_empty()
    });
    assert_eq!((state(&server, "fra"), state(&server, "ams")), ("active".into(), "active".into()));
    let concerns = server.status().concerns;
    assert!(
        concerns.iter().any(|one| one.text.contains("held by safety rule min-active-datacenters")),
        "{concerns:?}"
    );
    // A request meanwhile brings none of it in force, and a load neither.
    done(&site, &server, &["weight", "web/i", "2"]);
    site.edit(ZONE, "ttl = 20", "ttl = 21");
    server.until("a load is applied", WAIT_TIMEOUT, |server| {
        server.ask(&crate::query::TestQuery::new(WWW, "A")).ttl() == 21
    });
    assert_eq!((state(&server, "fra"), state(&server, "ams")), ("active".into(), "active".into()));
    // Without one of them, the other one begins.
    done(&site, &server, &["undrain", "ams"]);
    server.until("the other one begins", WAIT_TIMEOUT, |server| state(server, "fra") == "draining");
    assert!(server.status().safety.held_timers.is_empty());
}

#[test]
fn an_override_whose_end_would_break_a_rule_stays_in_force() {
    let site = site("min-active-datacenters = 2");
    site.edit(PLACES, "[datacenter.iad]\n", "[datacenter.iad]\nstate = \"disabled\"\n");
    let server = site.serve();
    done(&site, &server, &["enable", "iad", "--for", "2s"]);
    done(&site, &server, &["drain", "fra"]);
    server.until("the end is held", WAIT_TIMEOUT, |server| {
        !server.status().safety.held_timers.is_empty()
    });
    assert_eq!(state(&server, "iad"), "active", "what the override says stays in force");
    assert!(answers(&server, "127.0.41.3"));
    done(&site, &server, &["undrain", "fra"]);
    server.until("it ends once the rule permits it", WAIT_TIMEOUT, |server| {
        state(server, "iad") == "disabled"
    });
}

#[test]
fn another_database_is_held_where_it_moves_too_much() {
    let zone = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."www.example.org"]
policy = "geo"
rules = [{ country = ["DE"], members = [{ datacenter = "fra", addresses = ["192.0.2.1"] }] }]
default = [{ datacenter = "iad", addresses = ["192.0.2.2"] }]
"#;
    let rules = "[safety]\nmax-moved = { share = \"1%\", within = \"1h\" }\n";
    let site = ServerDirectory::new(&[(PLACES, PLACES_TEXT), (ZONE, zone), (RULES, rules)]);
    let server = site.serve();
    let before = server.status().databases[0].networks;
    assert!(before > 0);
    // Every country becomes another one.
    let other: Vec<u8> = replaced(&crate::harness::sample_database(), b"DE", b"SE");
    std::fs::write(site.path("geoip/new"), other).unwrap();
    std::fs::rename(site.path("geoip/new"), site.path("geoip/world.mmdb")).unwrap();
    until_held(&server, "max-moved");
    let held: Value = serde_json::from_str(&run(&site, &server, &["status", "--json"]).1).unwrap();
    assert!(held.to_string().contains("geoip/world.mmdb"), "{held}");
    let german = crate::query::TestQuery::new(WWW, "A").subnet("80.1.2.0/24");
    let answer = |server: &Server| server.ask(&german).answers().join(" ");
    assert!(answer(&server).contains("192.0.2.1"), "{}", answer(&server));
    done(&site, &server, &["reload", "--override", "max-moved", "--reason", "new release"]);
    assert!(answer(&server).contains("192.0.2.2"), "{}", answer(&server));
}

fn replaced(octets: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    for start in 0..octets.len().saturating_sub(old.len()) {
        if &octets[start..start + old.len()] == old {
            octets[start..start + old.len()].copy_from_slice(new);
        }
    }
    octets
}

#[test]
fn check_refuses_rules_that_can_never_be_kept_and_names_that_are_unknown() {
    for (rules, expected) in [
        ("min-active-datacenters = 4", "can never be kept: it demands 4 active datacenters"),
        ("at-least = [{ count = 3, of = [\"eu\"] }]", "demands 3 active datacenters of eu"),
        ("at-least = [{ count = 1, of = [\"frq\"] }]", "there is no datacenter or region \"frq\""),
        ("max-moved = { share = \"0%\", within = \"10m\" }", "0%"),
        ("max-moved = { share = \"30%\" }", "has no `within`"),
        ("min-active-datacenter = 2", "min-active-datacenters"),
    ] {
        let site = site(rules);
        let (code, out, err) = site.run(&["check"]);
        assert_eq!(code, 1, "{rules}: {out}{err}");
        assert!((out.clone() + &err).contains(expected), "{rules}: {out}{err}");
    }
}

#[test]
fn a_restart_brings_nothing_in_force_that_a_rule_holds() {
    let site = site("min-active-datacenters = 2");
    let server = site.serve();
    let both = PLACES_TEXT.replace("region = \"eu\"\n", "region = \"eu\"\nstate = \"draining\"\n");
    site.replace(PLACES, &both);
    until_held(&server, "min-active-datacenters");
    let soon = jiff::Timestamp::now().as_second() + 2;
    let soon = jiff::Timestamp::from_second(soon).unwrap().to_string();
    done(&site, &server, &["drain", "iad", "--at", &soon]);
    done(&site, &server, &["drain", "fra", "--at", &soon]);
    server.until("both are held", WAIT_TIMEOUT, |server| {
        !server.status().safety.held_timers.is_empty()
    });
    server.signal(libc::SIGKILL);
    drop(server);
    // An edit while no server runs is judged like any other.
    site.edit(PLACES, "[datacenter.iad]", "[datacenter.iad]  # Ashburn");
    let server = site.serve();
    let all_answer = |server: &Server| {
        ["127.0.41.1", "127.0.41.2", "127.0.41.3"].iter().all(|address| answers(server, address))
    };
    assert!(all_answer(&server), "the last allowed state answers from the first query on");
    until_held(&server, "min-active-datacenters");
    server.until("both are still held", WAIT_TIMEOUT, |server| {
        !server.status().safety.held_timers.is_empty()
    });
    assert!(all_answer(&server));
}

#[test]
fn a_ramp_that_is_made_faster_or_resumed_counts_by_what_it_then_moves() {
    let site = site("max-moved = { share = \"20%\", within = \"1h\" }");
    let server = site.serve();
    done(&site, &server, &["drain", "fra", "--over", "20h"]);
    let message = forbidden(&site, &server, &["drain", "fra", "--over", "0s"]);
    assert!(message.contains("max-moved: 33% of the demand would move"), "{message}");
    assert!(answers(&server, "127.0.41.1"));
    done(&site, &server, &["drain", "fra", "--pause"]);
    let moved = server.status().safety.moved_percent.unwrap();
    done(&site, &server, &["drain", "fra", "--resume"]);
    assert!(server.status().safety.moved_percent.unwrap() > moved + 1.0, "what is resumed counts");
}

#[test]
fn a_minimum_counts_what_files_remove_rename_or_move_and_members_with_weight_0() {
    let site = site("min-active-datacenters = 2\nat-least = [{ count = 1, of = [\"eu\"] }]");
    let server = site.serve();
    done(&site, &server, &["drain", "fra"]);
    for command in [&["weight", "web/a", "0"][..], &["drain", "eu"]] {
        assert!(
            forbidden(&site, &server, command).contains("min-active-datacenters"),
            "{command:?}"
        );
    }
    // ams leaves the region that the rule counts.
    site.replace(
        PLACES,
        &PLACES_TEXT.replacen("region = \"eu\"\n[datacenter.iad]", "[datacenter.iad]", 1),
    );
    until_held(&server, "at-least");
    site.replace(PLACES, PLACES_TEXT);
    server.until("nothing is held", WAIT_TIMEOUT, |server| server.status().held.is_empty());
    // iad is removed with its member.
    site.edit(
        ZONE,
        "  { name = \"i\", datacenter = \"iad\", addresses = [\"127.0.41.3\"] },\n",
        "",
    );
    until_held(&server, "min-active-datacenters");
    assert!(answers(&server, "127.0.41.3"));
}

#[test]
fn rules_that_a_file_would_take_with_it_stay_in_force() {
    let site = site("min-active-datacenters = 2");
    let server = site.serve();
    std::fs::remove_file(site.path(RULES)).unwrap();
    until_held(&server, "all rules of [safety] would be gone");
    site.replace(PLACES, &PLACES_TEXT.replace("region = \"eu\"\n", "state = \"draining\"\n"));
    server.until("the drains are held as well", WAIT_TIMEOUT, |server| {
        server.status().held.iter().any(|file| file.file.contains("datacenters"))
    });
    assert_eq!(state(&server, "fra"), "active");
    let message = forbidden(&site, &server, &["reload"]);
    assert!(message.contains("--override max-removed"), "{message}");
    site.write(RULES, "[safety]\n");
    server.until("an empty table has no rules", WAIT_TIMEOUT, |server| {
        state(server, "fra") == "draining"
    });
}

#[test]
fn an_override_that_was_set_with_consent_begins_although_a_rule_forbids_it() {
    let site = site("min-active-datacenters = 3");
    let server = site.serve();
    let soon = jiff::Timestamp::now().as_second() + 2;
    let soon = jiff::Timestamp::from_second(soon).unwrap().to_string();
    let consent = ["--override", "min-active-datacenters", "--reason", "planned"];
    done(&site, &server, &[&["drain", "ams", "--at", &soon][..], &consent].concat());
    server.until("it begins", WAIT_TIMEOUT, |server| state(server, "ams") == "draining");
    assert!(server.status().safety.held_timers.is_empty());
}

#[test]
fn a_failback_by_command_keeps_the_rules() {
    let port = free_port();
    let first = Target::at(Ipv4Addr::new(127, 0, 43, 1), port, true);
    let _second = Target::at(Ipv4Addr::new(127, 0, 43, 2), port, true);
    let _third = Target::at(Ipv4Addr::new(127, 0, 43, 3), port, true);
    let monitor = format!(
        "[monitor.m]\nhttp = {{ path = \"/\", port = {port} }}\ninterval = \"200ms\"\ntimeout = \"150ms\"\nrise = 1\nfall = 1\n"
    );
    let zone = fill(
        ZONE_TEXT,
        &[("$monitor", &monitor), ("$pool", &"monitor = \"m\"\nfailback = \"manual\"")],
    )
    .replace("127.0.41.", "127.0.43.")
    .replace("policy = \"weighted\"", "policy = \"failover\"");
    let site = ServerDirectory::new(&[(PLACES, PLACES_TEXT), (ZONE, &zone), (RULES, "[safety]\n")]);
    let server = site.serve();
    first.answers.store(false, SeqCst);
    server.until("the second one holds the clients", WAIT_TIMEOUT, |server| {
        !answers(server, "127.0.43.1")
    });
    first.answers.store(true, SeqCst);
    server.until("the first one is back", WAIT_TIMEOUT, |server| {
        server.verdicts().iter().all(|(_, verdict)| verdict == "up")
    });
    site.edit(RULES, "[safety]\n", "[safety]\nfreeze = true\n");
    server.until("it is frozen", WAIT_TIMEOUT, |server| server.status().safety.is_frozen);
    assert!(forbidden(&site, &server, &["failback", "web"]).contains("freeze"));
    assert!(!answers(&server, "127.0.43.1"));
    done(&site, &server, &["failback", "web", "--override", "freeze", "--reason", "tested"]);
    server.until("clients return", WAIT_TIMEOUT, |server| answers(server, "127.0.43.1"));
}

#[test]
fn changes_by_the_clock_are_judged_moment_by_moment() {
    let site = site("max-moved = { share = \"40%\", within = \"6s\" }");
    let server = site.serve();
    let soon = |secs: i64| {
        let at = jiff::Timestamp::now().as_second() + secs;
        jiff::Timestamp::from_second(at).unwrap().to_string()
    };
    // Both together would move two thirds.
    done(&site, &server, &["drain", "fra", "--at", &soon(2)]);
    done(&site, &server, &["drain", "ams", "--at", &soon(3)]);
    server.until("the first one begins", WAIT_TIMEOUT, |server| state(server, "fra") == "draining");
    server.until("the second one waits", WAIT_TIMEOUT, |server| {
        !server.status().safety.held_timers.is_empty()
    });
    assert_eq!(state(&server, "ams"), "active");
    done(&site, &server, &["undrain", "ams"]);
}

#[test]
fn a_state_of_a_file_whose_end_is_held_stays_over_a_restart_and_ends_with_consent() {
    let site = site("max-moved = { share = \"10%\", within = \"1h\" }");
    let until = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 3).unwrap();
    let state_line = format!("[datacenter.iad]\nstate = \"draining\"\nuntil = {until}\n");
    site.edit(PLACES, "[datacenter.iad]\n", &state_line);
    let held = |server: &Server| !server.status().safety.held_timers.is_empty();
    let server = site.serve();
    server.until("its end is held", WAIT_TIMEOUT, held);
    assert_eq!(state(&server, "iad"), "draining");
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert!(!answers(&server, "127.0.41.3"), "the last allowed state answers");
    server.until("its end is still held", WAIT_TIMEOUT, held);
    done(&site, &server, &["reload", "--override", "max-moved", "--reason", "it may return"]);
    server.until("it ends", WAIT_TIMEOUT, |server| state(server, "iad") == "active");
    assert!(answers(&server, "127.0.41.3") && !held(&server));
}

#[test]
fn a_gradual_drain_in_a_file_counts_by_its_pace() {
    let site = site("max-moved = { share = \"20%\", within = \"1h\" }");
    let server = site.serve();
    let gradual = "[datacenter.iad]\nstate = \"draining\"\ndrain-over = \"20h\"\n";
    site.edit(PLACES, "[datacenter.iad]\n", gradual);
    server.until("it is applied", WAIT_TIMEOUT, |server| state(server, "iad") == "draining");
    let moved = server.status().safety.moved_percent.unwrap();
    assert!(moved > 1.0 && moved < 2.0, "{moved}");
}
