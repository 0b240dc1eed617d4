//! Requirements of the files on their own answers: what `check` shows, and what a running server
//! does with an edit that breaks one.

use std::{fs, time::Duration};

use crate::harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill};

const WWW: &str = "www.example.org";
const ZONE: &str = "zones/example.org.toml";
const REQUIREMENTS: &str = "zones/requirements.toml";
/// An edit must appear in answers within this time.
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// A zone whose service has Frankfurt first, and what is left then.
fn zone(second: &str) -> String {
    fill(
        r#"[datacenter.fra]
region = "eu"
[datacenter.ams]
region = "eu"
[datacenter.iad]
[monitor.web]
tcp = { port = 9 }
[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[service."www.example.org"]
pool = "web"
[pool.web]
policy = "failover"
members = ["first", { pool = "second" }]
[pool.first]
members = [{ datacenter = "fra", addresses = ["192.0.2.1"], monitor = "web" }]
[pool.second]
members = [{ datacenter = "$second", addresses = ["192.0.2.2"] }]
"#,
        &[("$second", &second)],
    )
}

fn assertion(enforces: &str) -> String {
    fill(
        r#"[safety]
enforce-asserts = $enforces
[[assert]]
name = "Germans stay in the EU"
services = ["*.example.org"]
clients = { country = ["DE"] }
only = ["eu"]
under = "any-one-down"
"#,
        &[("$enforces", &enforces)],
    )
}

fn site(enforces: &str) -> ServerDirectory {
    ServerDirectory::new(&[(ZONE, &zone("ams")), (REQUIREMENTS, &assertion(enforces))])
}

/// The zone as it is served in tests: nothing is probed.
fn unprobed(second: &str) -> String {
    zone(second).replace(", monitor = \"web\"", "")
}

/// The zone with the second pool alone.
fn without_first(second: &str) -> String {
    unprobed(second).replace("\"first\", ", "")
}

fn concerns(server: &Server) -> String {
    let (code, body) = server.http("/readyz");
    assert_eq!(code, 200, "the server still serves");
    body
}

#[test]
fn check_shows_a_counterexample_at_the_assertion_with_the_path_to_the_answer() {
    let site = site("false");
    let (code, out, err) = site.run(&["check"]);
    assert!(code == 0 && out.contains("0 expectations met, 1 assertion proved"), "{out}{err}");
    site.write(ZONE, &zone("iad"));
    let (code, out, err) = site.run(&["check", "--color", "never"]);
    assert_eq!(code, 1, "{out}{err}");
    for part in [
        "error: assertion \"Germans stay in the EU\" does not hold: www.example.org A for 80.0.0.0/8 \
         with fra down: expected only eu, got 192.0.2.2 (iad)",
        "zones/requirements.toml:4:8",
        "the answer came by web > second > 192.0.2.2",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (code, out, _) = site.run(&["check", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["valid"]), (1, &false.into()));
    assert!(document["errors"][0].as_str().unwrap().contains("requirements.toml:4:8: "), "{out}");
}

#[test]
fn a_failed_expectation_says_what_was_expected_and_what_is_answered() {
    let site = site("false");
    site.write(
        "zones/expect.toml",
        r#"[[expect]]
name = "Frankfurt, else Amsterdam"
service = "www.example.org"
client = "80.1.2.3"
answer = ["fra"]
when = { down = ["fra"] }
[[expect]]
name = "a member that is misspelt"
service = "www.example.org"
client = "80.1.2.3"
answer = ["secnd"]
"#,
    );
    let (code, _, err) = site.run(&["check", "--color", "never"]);
    assert_eq!(code, 1, "{err}");
    for part in [
        "expectation \"Frankfurt, else Amsterdam\" fails: www.example.org A for 80.1.2.3/32 with fra \
         down: expected fra, got 192.0.2.2 (ams)",
        "has no member, address or datacenter \"secnd\"",
        "help: did you mean \"second\"?",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[test]
fn a_requirement_by_country_needs_a_database_with_countries() {
    let site = site("false");
    fs::remove_file(site.path("geoip/world.mmdb")).unwrap();
    let (code, _, err) = site.run(&["check"]);
    assert!(
        code == 1
            && err.contains("no GeoIP database is loaded, so countries of clients are not known"),
        "{code} {err}"
    );
}

#[test]
fn an_edit_that_breaks_a_requirement_applies_and_is_a_concern_until_it_is_fixed() {
    let site = site("false");
    site.write(ZONE, &unprobed("ams"));
    let server = site.serve();
    site.write(ZONE, &without_first("iad"));
    server.until_answers(WWW, &["192.0.2.2"], APPLY_TIMEOUT);
    server.until("the assertion is a concern", WAIT_TIMEOUT, |server| {
        concerns(server).contains("does not hold")
    });
    server.until_logged("requirement does not hold");
    assert!(concerns(&server).contains("requirements.toml:4:8: "), "{}", concerns(&server));
    assert_eq!(server.status().requirements.len(), 1);
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) = site.run(&["status", "--server", &url]);
    assert!(code == 0 && out.contains("requirements of the files that do not hold"), "{out}{err}");
    site.write(ZONE, &unprobed("ams"));
    server.until("all requirements hold", WAIT_TIMEOUT, |server| {
        concerns(server).contains("\"concerns\":[]")
    });
    server.until_logged("all requirements hold again");
}

#[test]
fn an_edit_that_breaks_an_enforced_requirement_is_held() {
    let site = site("true");
    site.write(ZONE, &unprobed("ams"));
    let server = site.serve();
    site.write(ZONE, &without_first("iad"));
    server.until_logged("file held at its last good content");
    assert!(concerns(&server).contains("does not hold"), "{}", concerns(&server));
    assert_eq!(server.addresses(WWW), ["192.0.2.1"]);
    assert!(server.status().held[0].file.ends_with("example.org.toml"));
    site.write(ZONE, &unprobed("ams").replace("192.0.2.2", "192.0.2.3"));
    server.until_logged("held file is fixed");
    // A requirement that does not hold from the start is held itself.
    site.write(REQUIREMENTS, &assertion("true").replace("\"eu\"", "\"iad\""));
    server.until("the requirement is held", WAIT_TIMEOUT, |server| {
        server.status().held.iter().any(|held| held.file.ends_with("requirements.toml"))
    });
    assert!(server.terminate().0.success());
    fs::remove_dir_all(site.path("state")).unwrap();
    let refused = site.serve_with(&[]).err().unwrap();
    assert!(
        refused.contains("does not hold: none of its services has a member"),
        "without a last good set the start is refused: {refused}"
    );
}
