//! Ramps: clients return gradually after a failure and leave gradually during a drain.

use super::site::{Regions, WWW, ZONE, answer_share, assert_answer_share, run_command};
use crate::{
    balancers::are_installed,
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
};

/// The progress of the only ramp, from 0 to 1.
fn ramp(server: &Server) -> Option<f64> {
    server.status().ramps.first().map(|ramp| ramp.at)
}

/// Watches the ramp until `is_so` is true; returns the distinct values in order.
fn watch(server: &Server, what: &str, mut is_so: impl FnMut(Option<f64>) -> bool) -> Vec<f64> {
    let mut seen = Vec::new();
    server.until(what, WAIT_TIMEOUT, |server| {
        let fraction = ramp(server);
        seen.extend(fraction);
        is_so(fraction)
    });
    seen.dedup();
    seen
}

#[test]
fn a_recovered_region_regains_its_share_gradually() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut regions = Regions::start(["127.0.35.1", "127.0.35.2"]);
    let site =
        regions.site("policy = \"weighted\"\nslow-start = \"4s\"\n", &regions.members("", ""));
    let server = site.serve();
    assert_answer_share(&server, regions.fra, 0.5);
    regions.haproxy = None;
    server.until("its clients go to the other", WAIT_TIMEOUT, |server| {
        server.verdicts()[0].1 == "down"
    });
    server.until("no answer names it", WAIT_TIMEOUT, |server| {
        answer_share(server, regions.fra) == 0.0
    });
    regions.start_haproxy();
    let mut seen = watch(&server, "the ramp reaches 30 %", |fraction| {
        fraction.is_some_and(|fraction| fraction > 0.3)
    });
    let share = answer_share(&server, regions.fra);
    assert!((0.1..0.45).contains(&share), "{share} during a slow start\n{}", server.log());
    let text = run_command(&site, &server, &["status"]);
    assert!(text.contains(&format!("{} of pool {WWW}: receives ", regions.fra)), "{text}");
    seen.extend(watch(&server, "the share is complete", |fraction| fraction.is_none()));
    assert!(seen.is_sorted(), "{seen:?}");
    let log = server.log();
    assert!(log.contains("slow start started") && log.contains("full share reached"), "{log}");
    assert!(seen.iter().filter(|fraction| (0.1..0.9).contains(*fraction)).count() >= 5, "{seen:?}");
    assert_answer_share(&server, regions.fra, 0.5);
}

fn drain(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> String {
    run_command(site, server, &[&["drain", "fra", "--edit"], arguments].concat())
}

/// Asserts that `undrain` gives clients back, and keeps every line of the zone file as it was.
fn assert_undrain_restores(
    before: &str,
    regions: &Regions,
    site: &ServerDirectory,
    server: &Server,
) {
    let output = run_command(site, server, &["undrain", "fra", "--edit"]);
    assert!(output.contains("fra: in service"), "{output}");
    assert_answer_share(server, regions.fra, 0.5);
    let text = site.read(ZONE);
    assert!(!text.contains("drain-hold") && text.contains("state = \"active\""), "{text}");
    assert_eq!(
        text.lines().filter(|line| before.contains(line)).count(),
        before.lines().count(),
        "{text}"
    );
}

#[test]
fn a_gradual_drain_can_be_paused_and_resumed_and_survives_restarts() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let regions = Regions::start(["127.0.36.1", "127.0.36.2"]);
    let site = regions.site("policy = \"weighted\"\n", &regions.members("", ""));
    let before = site.read(ZONE);
    let server = site.serve();
    assert_answer_share(&server, regions.fra, 0.5);

    let url = format!("http://{}", server.admin.unwrap());
    let (code, _, err) = site.run(&["drain", "fra", "--edit", "--over", "200h", "--server", &url]);
    assert!(code == 1 && err.contains("7 days") && site.read(ZONE) == before, "{code} {err}");
    let output = drain(&site, &server, &["--over", "4s"]);
    assert!(
        output.contains("receives ") && output.contains("% of its normal traffic, and 0% in "),
        "{output}"
    );
    let seen =
        watch(&server, "clients leave", |fraction| fraction.is_none_or(|fraction| fraction < 0.75));
    assert!(seen.is_sorted_by(|a, b| a >= b) && seen.len() > 3, "{seen:?}");
    server.until_logged("gradual drain started");
    let output = drain(&site, &server, &["--pause"]);
    assert!(output.contains("paused"), "{output}");
    server.until_logged("drain paused");
    let paused_at = ramp(&server).expect("a paused drain is shown");
    assert!((0.3..0.8).contains(&paused_at), "{paused_at}");
    let text = site.read(ZONE);
    assert!(
        text.contains("drain-hold = \"")
            && text.contains("# Our regions.")
            && text.contains("# Frankfurt"),
        "{text}"
    );
    assert!(run_command(&site, &server, &["status"]).contains("paused"));
    // The share is that fraction of one half.
    let share = paused_at / 2.0;
    assert_answer_share(&server, regions.fra, share);

    assert!(server.terminate().0.success());
    let server = site.serve();
    assert_eq!(ramp(&server), Some(paused_at), "it is still paused after a restart");
    assert_answer_share(&server, regions.fra, share);
    let output = drain(&site, &server, &["--resume"]);
    assert!(output.contains("% of its normal traffic, and 0% in "), "{output}");
    watch(&server, "the drain continues", |fraction| {
        fraction.is_none_or(|fraction| fraction < paused_at - 0.1)
    });
    assert!(server.terminate().0.success());
    let server = site.serve();
    let seen = watch(&server, "the drain is complete", |fraction| fraction.is_none());
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    assert!(
        seen.first().is_some_and(|fraction| (0.05..paused_at - 0.1).contains(fraction)),
        "it went on where it was: {seen:?}"
    );
    server.until("no answer names it", WAIT_TIMEOUT, |server| {
        answer_share(server, regions.fra) == 0.0
    });
    let text = run_command(&site, &server, &["status"]);
    assert!(text.contains("effective since"), "{text}");

    assert_undrain_restores(&before, &regions, &site, &server);
}

#[test]
fn a_gradual_drain_by_edit_takes_the_configured_time() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let regions = Regions::start(["127.0.37.1", "127.0.37.2"]);
    let site = regions.site("policy = \"weighted\"\n", &regions.members("", ""));
    let server = site.serve();
    let keys = r#"# Frankfurt
state = "draining"
drain-over = "10m"
"#;
    site.edit(ZONE, "# Frankfurt\n", keys);
    server.until("the drain is applied", WAIT_TIMEOUT, |server| {
        server.status().datacenters[0].state == "draining"
    });
    assert!(ramp(&server).is_some_and(|fraction| fraction > 0.9), "{:?}", server.status().ramps);
    site.edit(ZONE, keys, "# Frankfurt\n");
    server.until("it is taken back", WAIT_TIMEOUT, |server| ramp(server).is_none());
    site.edit(
        ZONE,
        "addresses = [\"127.0.37.1\"]",
        "addresses = [\"127.0.37.1\"], state = \"draining\", drain-over = \"10m\"",
    );
    server.until("an endpoint drains so, too", WAIT_TIMEOUT, |server| {
        ramp(server).is_some_and(|fraction| fraction > 0.9)
    });
    assert_answer_share(&server, regions.fra, 0.5);
}
