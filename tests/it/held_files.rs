//! Files that are broken, missing or deleted: their last good content stays in use, and all other
//! edits apply.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Duration,
};

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill},
    query::Deadline,
};

const WWW: &str = "www.example.org";
const PLACES: &str = "zones/datacenters.toml";
const ZONE: &str = "zones/example.org.toml";
const OTHER: &str = "zones/other.toml";
/// An edit of a datacenter's state must appear in answers within this time.
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which the content of a deleted file stays in use.
const REMOVAL_GRACE: Duration = Duration::from_secs(3);

fn places(state: &str) -> String {
    format!(
        r#"[datacenter.fra]
state = "{state}"
[datacenter.iad]
"#
    )
}

fn zone(address: &str) -> String {
    fill(
        r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."www.example.org"]
policy = "failover"
members = [
{ datacenter = "fra", addresses = ["$address"] },
{ datacenter = "iad", addresses = ["192.0.2.2"] },
]
"#,
        &[("$address", &address)],
    )
}

fn other(address: &str) -> String {
    fill(
        r#"[zone."example.net"]
nameservers = ["ns1.example.com"]
hostmaster = "h@example.net"
[service."www.example.net"]
members = [{ addresses = ["$address"] }]
"#,
        &[("$address", &address)],
    )
}

fn site() -> ServerDirectory {
    ServerDirectory::new(&[
        (PLACES, &places("active")),
        (ZONE, &zone("192.0.2.1")),
        (OTHER, &other("192.0.2.7")),
    ])
}

fn concerns(server: &Server) -> String {
    let (code, body) = server.http("/readyz");
    assert_eq!(code, 200, "the server still serves");
    body
}

#[test]
fn drains_by_edit_and_by_command_work_while_another_file_is_broken() {
    let site = site();
    let server = site.serve();
    let url = format!("http://{}", server.admin.unwrap());
    site.write(OTHER, &other("192.0.2.300"));
    server.until_logged("other.toml:5:");
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    site.write(PLACES, &places("active"));
    server.until_answers(WWW, &["192.0.2.1"], APPLY_TIMEOUT);
    let (code, out, err) = site.run(&["drain", "fra", "--server", &url]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(server.addresses(WWW), ["192.0.2.2"]);
    // The broken file is held, and readyz, metrics, `status` and `check` report it.
    assert_eq!(server.addresses("www.example.net"), ["192.0.2.7"]);
    assert!(concerns(&server).contains("other.toml:5:"), "{}", concerns(&server));
    assert_eq!(server.metric("portolan_held_files", ""), 1.0);
    let held = server.status().held;
    assert!(
        held[0].file.ends_with("other.toml") && held[0].errors[0].contains("192.0.2.300"),
        "{held:?}"
    );
    let (code, out, _) = site.run(&["status", "--server", &url]);
    assert!(code == 0 && out.contains("other.toml since") && out.contains("192.0.2.300"), "{out}");
    let (code, _, err) = site.run(&["reload", "--server", &url]);
    assert!(
        code == 1 && err.contains("generation") && err.contains("other.toml:5:"),
        "{code} {err}"
    );
    assert_eq!(site.run(&["check", "--config", "portolan.toml"]).0, 1, "check is strict");
    // The file applies once it is fixed.
    site.write(OTHER, &other("192.0.2.8"));
    server.until_answers("www.example.net", &["192.0.2.8"], APPLY_TIMEOUT);
    server.until_logged("held file is fixed");
    assert_eq!(server.metric("portolan_held_files", ""), 0.0);
    let (code, out, err) = site.run(&["reload", "--server", &url]);
    assert!(code == 0 && out.contains("all files are in use"), "{code} {out}{err}");
}

#[test]
fn a_start_with_a_broken_file_serves_its_last_good_content() {
    let site = site();
    let server = site.serve();
    site.write(ZONE, &zone("192.0.2.9"));
    server.until_answers(WWW, &["192.0.2.9"], APPLY_TIMEOUT);
    assert!(server.terminate().0.success());
    for broken in [zone("192.0.2.300"), "[zone".to_owned()] {
        site.write(ZONE, &broken);
        site.edit(OTHER, "192.0.2", "198.51.100");
        let server = site.serve();
        assert_eq!(server.addresses(WWW), ["192.0.2.9"], "the last good content");
        assert!(
            !server.addresses("www.example.net").contains(&"192.0.2.7".to_owned()),
            "the other files are applied"
        );
        assert!(
            concerns(&server).contains("example.org.toml:") && server.log().contains("ERROR"),
            "{}",
            server.log()
        );
        site.edit(OTHER, "198.51.100", "192.0.2");
        server.until_answers("www.example.net", &["192.0.2.7"], APPLY_TIMEOUT);
    }
    fs::remove_dir_all(site.path("state")).unwrap();
    let refused = site.serve_with(&[]).err().unwrap();
    assert!(
        refused.contains("example.org.toml:1:"),
        "without a last good set the start is refused: {refused}"
    );
}

#[test]
fn a_damaged_or_foreign_last_good_set_is_a_warning() {
    let site = site();
    assert!(site.serve().terminate().0.success());
    let set = fs::read(site.path("state/last-good")).unwrap();
    fs::write(site.path("state/last-good"), &set[..set.len() / 2]).unwrap();
    let (status, log) = site.serve().terminate();
    assert!(
        status.success() && log.contains("WARN") && log.contains("cut off or damaged"),
        "{log}"
    );
    fs::create_dir(site.path("elsewhere")).unwrap();
    fs::write(site.path("elsewhere/example.org.toml"), "[zone").unwrap();
    let refused = site.serve_with(&["--zones", "elsewhere"]).err().unwrap();
    assert!(refused.contains("last good files are not used"), "{refused}");
}

#[test]
fn a_broken_portolan_toml_is_held_at_a_start_and_while_it_runs() {
    let site = site();
    let server = site.serve();
    let good = site.read("portolan.toml");
    site.write("portolan.toml", &format!("{good}nsdi = \"typo\"\n"));
    server.until("the removal is held", WAIT_TIMEOUT, |server| {
        concerns(server).contains("portolan.toml:5:")
    });
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert_eq!(server.addresses(WWW), ["192.0.2.2"]);
    assert!(concerns(&server).contains("portolan.toml:5:"));
}

#[test]
fn settings_that_name_a_zones_directory_without_zones_are_held() {
    let site = site();
    let server = site.serve();
    let good = site.read("portolan.toml");
    fs::create_dir(site.path("empty")).unwrap();
    for (directory, why) in
        [("nowhere", "directory nowhere cannot be read"), ("empty", "no zone would be left of 2")]
    {
        site.write("portolan.toml", &format!("{good}zones = \"{directory}\"\n"));
        server.until("the removal is held", WAIT_TIMEOUT, |server| concerns(server).contains(why));
        assert!(concerns(&server).contains("portolan.toml is held"), "{}", concerns(&server));
        site.write(PLACES, &places("draining"));
        server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
        site.write(PLACES, &places("active"));
        server.until_answers(WWW, &["192.0.2.1"], APPLY_TIMEOUT);
        assert_eq!(server.metric("portolan_held_files", ""), 1.0);
        site.write("portolan.toml", &good);
        server.until("nothing is held", WAIT_TIMEOUT, |server| {
            concerns(server).contains("\"concerns\":[]")
        });
    }
}

#[test]
fn a_file_that_is_deleted_and_written_again_stays_in_service() {
    let site = site();
    let server = site.serve();
    let there = |server: &Server| server.addresses("www.example.net") == ["192.0.2.7"];
    fs::remove_file(site.path(OTHER)).unwrap();
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    server.stays("the zone whose file is gone", REMOVAL_GRACE / 2, there);
    site.write(OTHER, &other("192.0.2.7"));
    server.stays("the zone whose file came back", REMOVAL_GRACE, there);
    // A file that stays away is removed from service, and the log names its zone.
    fs::remove_file(site.path(OTHER)).unwrap();
    server.until("the zone is gone", WAIT_TIMEOUT, |server| {
        server.addresses("www.example.net").is_empty()
    });
    server.until_logged("example.net");
    assert!(server.log().contains("removed"), "{}", server.log());
    assert_eq!(server.metric("portolan_held_files", ""), 0.0, "nothing is held");
}

#[test]
fn removed_zones_are_held_until_an_operator_accepts_the_removal() {
    let site = site();
    let server = site.serve();
    let url = format!("http://{}", server.admin.unwrap());
    for file in [PLACES, ZONE, OTHER] {
        fs::remove_file(site.path(file)).unwrap();
    }
    server.until("the concern appears", WAIT_TIMEOUT, |server| {
        concerns(server).contains("--accept-removal")
    });
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    assert_eq!(server.metric("portolan_removal_held", ""), 1.0);
    let (code, _, err) = site.run(&["reload", "--server", &url]);
    assert!(code == 3 && err.contains("no zone would be left of 2"), "{code} {err}");
    // A restart does not end the hold.
    assert!(server.terminate().0.success());
    let server = site.serve();
    let url = format!("http://{}", server.admin.unwrap());
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    let (code, out, err) = site.run(&["reload", "--accept-removal", "--server", &url]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(server.addresses(WWW), [] as [&str; 0]);
    assert!(server.status().zones.is_empty());
}

#[test]
fn removing_most_zones_is_held_until_a_second_sighup() {
    let site = site();
    let plain = "@ 300 SOA ns1 h 7 3600 600 86400 300
@ 300 NS ns1.example.com.
@ 300 A 192.0.2.80
";
    let file = |number: usize| format!("zones/z{number}.test.zone");
    (0..20).for_each(|number| site.write(&file(number), plain));
    let server = site.serve();
    (0..15).for_each(|number| fs::remove_file(site.path(&file(number))).unwrap());
    // A signal sent before the hold does not accept the removal.
    server.signal(libc::SIGHUP);
    server.until("the removal is held", WAIT_TIMEOUT, |server| {
        server.metric("portolan_removal_held", "") == 1.0
    });
    assert_eq!(server.metric("portolan_held_files", ""), 15.0);
    assert_eq!(server.addresses("z0.test"), ["192.0.2.80"]);
    let listed = concerns(&server);
    let listed = listed.split("\"configuration\"").next().unwrap();
    assert_eq!(
        listed.matches("15 of 22 zones would be removed").count(),
        1,
        "one concern for all files: {listed}"
    );
    // All other edits apply.
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    server.signal(libc::SIGHUP);
    let is_reloaded = |server: &Server| server.log().matches("reload by SIGHUP").count() == 2;
    server.until("the reload is done", WAIT_TIMEOUT, is_reloaded);
    assert_eq!(server.addresses("z0.test"), ["192.0.2.80"]);
    server.signal(libc::SIGHUP);
    server.until("the removal is accepted", WAIT_TIMEOUT, |server| {
        server.addresses("z0.test").is_empty()
    });
    assert_eq!(server.addresses("z19.test"), ["192.0.2.80"]);
    server.until_logged("held file is gone");
    assert!(!server.log().contains("held file is fixed"), "{}", server.log());
    assert_eq!(server.metric("portolan_removal_held", ""), 0.0);
    assert!(concerns(&server).contains("\"concerns\":[]"), "{}", concerns(&server));
}

#[test]
fn a_first_start_or_a_check_without_zones_is_an_error() {
    let site = ServerDirectory::new(&[]);
    let refused = site.serve_with(&[]).err().unwrap();
    assert!(refused.contains("no zone is defined"), "{refused}");
    let (code, _, err) = site.run(&["check", "--config", "portolan.toml"]);
    assert!(code == 1 && err.contains("no zone is defined"), "{code} {err}");
}

#[test]
fn the_last_good_set_survives_a_kill_at_any_time() {
    let site = site();
    for round in 0..5 {
        let server = site.serve();
        for edit in 0..4 {
            site.write(ZONE, &zone(&format!("192.0.2.{}", 10 + round * 10 + edit)));
        }
        let deadline = Deadline::after(Duration::from_millis(40 * round));
        while deadline.tick() {}
        drop(server);
        // After the kill, the set on disk is complete: the previous one or the newest.
        site.write(ZONE, "[zone");
        let server = site.serve();
        assert_eq!(server.addresses(WWW).len(), 1, "{}", server.log());
        assert!(!server.log().contains("not used"), "{}", server.log());
        site.write(ZONE, &zone("192.0.2.1"));
        server.until_answers(WWW, &["192.0.2.1"], APPLY_TIMEOUT);
    }
}

#[test]
fn state_that_cannot_be_saved_is_a_concern_until_it_can() {
    let site = site();
    site.write("state", "a file where the directory should be");
    let server = site.serve();
    server.until("the concern appears", WAIT_TIMEOUT, |server| {
        concerns(server).contains("state is not saved")
    });
    assert_eq!(server.metric("portolan_state_unsaved", ""), 1.0);
    assert!(concerns(&server).contains("move that file away"), "{}", concerns(&server));
    fs::remove_file(site.path("state")).unwrap();
    server
        .until("all is saved", WAIT_TIMEOUT, |server| concerns(server).contains("\"concerns\":[]"));
    let files = ["cookie.key", "last-good", "serials.json", "verdicts.json"];
    assert!(files.iter().all(|file| site.path("state").join(file).exists()));
    fs::remove_dir_all(site.path("state")).unwrap();
    server.until("the state is saved again", WAIT_TIMEOUT, |_| {
        files.iter().all(|file| site.path("state").join(file).exists())
    });
    server.until_logged("state files are gone");
}

#[test]
fn a_name_moved_into_an_unusable_file_stays_in_service() {
    let site = site();
    let plain = "@ 300 SOA ns1 h 7 3600 600 86400 300
@ 300 NS ns1.example.com.
@ 300 A 192.0.2.80
";
    site.write("zones/x.test.zone", plain);
    let server = site.serve();
    let all = |server: &Server| {
        [WWW, "www.example.net", "x.test"].map(|name| server.addresses(name).len()) == [1, 1, 1]
    };
    // The zone moves into a new file with an error, while a drain elsewhere applies.
    site.write("zones/new.toml", &format!("{}[broken", other("192.0.2.7")));
    site.write(OTHER, "# moved\n");
    server.until("the removal waits", WAIT_TIMEOUT, |server| {
        server.metric("portolan_removal_held", "") == 1.0
    });
    site.write(PLACES, &places("draining"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    server.stays("the zone that was cut and pasted", REMOVAL_GRACE + APPLY_TIMEOUT, all);
    let concerns = concerns(&server);
    assert!(
        concerns.contains("zone example.net") && concerns.contains("zones/new.toml, which cannot"),
        "{concerns}"
    );
    // Two signals confirm the fix of a file; they do not accept the removal of names.
    for count in 1..=3 {
        server.signal(libc::SIGHUP);
        let is_reloaded =
            |server: &Server| server.log().matches("reload by SIGHUP").count() == count;
        server.until("the reload is done", WAIT_TIMEOUT, is_reloaded);
        server.stays("all names stay in service", APPLY_TIMEOUT / 2, all);
    }
    // A second removal waits as well, and a restart does not change this.
    fs::remove_file(site.path("zones/x.test.zone")).unwrap();
    server.stays("the zone whose file is gone", REMOVAL_GRACE + APPLY_TIMEOUT, all);
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert!(all(&server), "{}", server.log());
    site.write("zones/new.toml", &other("192.0.2.8"));
    server.until_answers("www.example.net", &["192.0.2.8"], APPLY_TIMEOUT);
    server.until("the deleted zone is gone", WAIT_TIMEOUT, |server| {
        server.addresses("x.test").is_empty()
    });
    assert!(self::concerns(&server).contains("\"concerns\":[]"), "{}", self::concerns(&server));
}

#[test]
fn a_name_whose_new_file_is_still_being_written_stays_in_service_unless_its_removal_is_accepted() {
    let site = site();
    site.write(OTHER, "# moved\n");
    site.write("zones/new.toml", &other("192.0.2.8"));
    let server = site.serve();
    assert_eq!(server.addresses("www.example.net"), ["192.0.2.8"]);
    // The grace period applies during the slow copy.
    fs::create_dir(site.path("zones/sub")).unwrap();
    let mut copy = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(site.path("zones/sub/new.toml"))
        .unwrap();
    let text = other("192.0.2.9");
    copy.write_all(&text.as_bytes()[..text.len() / 2]).unwrap();
    fs::remove_file(site.path("zones/new.toml")).unwrap();
    server.stays("the zone during a slow copy", REMOVAL_GRACE + APPLY_TIMEOUT, |server| {
        server.addresses("www.example.net") == ["192.0.2.8"]
    });
    copy.write_all(&text.as_bytes()[text.len() / 2..]).unwrap();
    drop(copy);
    server.until_answers("www.example.net", &["192.0.2.9"], APPLY_TIMEOUT);
    // A removal that the operator accepts applies at once.
    let url = format!("http://{}", server.admin.unwrap());
    site.write("zones/sub/new.toml", "[broken");
    server.until_logged("zones/sub/new.toml");
    fs::remove_file(site.path(ZONE)).unwrap();
    server.stays("a zone without a file", REMOVAL_GRACE + APPLY_TIMEOUT, |server| {
        server.addresses(WWW).len() == 1
    });
    let (code, _, err) = site.run(&["reload", "--accept-removal", "--server", &url]);
    assert!(code == 1 && server.addresses(WWW).is_empty(), "{err}");
    assert_eq!(
        server.addresses("www.example.net"),
        ["192.0.2.9"],
        "the broken file itself is held"
    );
}
