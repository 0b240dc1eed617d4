//! The text of each view, from documents as a server sends them.

use serde_json::{Value, json};

use super::{StatusRequest, failing, lists, overrides, overview, subject, view::StatusView};
use crate::{
    admin::ListPage,
    cli::{screen::Screen, text::StatusStyle},
    control::{ServiceStatus, Status, SubjectReport},
};

const PLAIN: StatusStyle = StatusStyle { is_coloured: false };
const NOW: i64 = 1_796_083_200;

fn screen(columns: usize) -> Screen {
    Screen { columns, lines: 24 }
}

fn target(index: usize, verdict: &str) -> Value {
    let last = if verdict == "down" { "connection refused" } else { "ok" };
    json!({
        "monitor": "web", "target": format!("192.0.2.{index}"), "datacenters": [format!("dc{:02}", index % 20)],
        "verdict": verdict, "since": NOW - 185, "last": last, "latency-ms": 3,
    })
}

/// An override of a member's weight that is in force.
fn change(subject: &str, value: &str, since: i64) -> Value {
    json!({
        "subject": subject, "subject-kind": "member", "kind": "weight", "value": value, "author": "ada",
        "peer": "192.0.2.7", "since": since, "is-defined": true, "in-force": true, "longest-ttl": 30,
        "effective": true,
    })
}

/// A server with 20 datacenters, 200 targets and this number of services. If `is_failing`, some of
/// everything fails.
fn status(services: usize, is_failing: bool) -> Status {
    let datacenters: Vec<Value> = (0..20)
        .map(|index| {
            let is_drained = is_failing && index == 3;
            let mut datacenter = json!({
                "name": format!("dc{index:02}"), "region": "eu", "state": "active", "services": 100,
                "file": "zones/dc.toml:4:13", "up": 10, "down": 0, "unknown": 0, "health": "all-up",
            });
            if is_drained {
                datacenter["state"] = "draining".into();
                datacenter["reason"] = "kernel upgrade".into();
                datacenter["origin"] = "the override of dc03 by ada since 2026-11-30".into();
                datacenter["until"] = (NOW + 7200).into();
                datacenter["drain"] =
                    json!({ "effective": NOW - 60, "longest-ttl": 30, "expires": NOW - 30 });
            }
            datacenter
        })
        .collect();
    let distressed = |index: usize| {
        json!({
            "name": format!("s{index:04}.gslb.example.com"), "rtype": "A",
            "plight": "192.0.2.1, 192.0.2.2, as if up (on-all-down = \"all\")",
        })
    };
    let failing = if is_failing { 12 } else { 0 };
    let verdict = |index: usize| if index < 3 * failing { "down" } else { "up" };
    let concerns = [
        "no usable member for s0000.gslb.example.com A, s0001.gslb.example.com A, s0002.gslb.example.com A and 9 more",
        "zones/other.toml is held at its last good content: zones/other.toml:5:14: \"192.0.2.300\" is not an address \
         (help: each number is at most 255); zones/other.toml:9:1: service \"x.example.com\" has no members",
    ];
    let concerns: Vec<Value> = concerns
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "text": text, "is-grave": index == 0 }))
        .collect();
    let mut overrides: Vec<Value> =
        (1..=4).map(|index| change(&format!("web/web-{index}"), "weight 5", NOW - 3600)).collect();
    let mut drain = change("dc03", "draining", NOW - 120);
    drain["subject-kind"] = "datacenter".into();
    drain["kind"] = "state".into();
    drain["reason"] = "kernel upgrade".into();
    drain["ends"] = (NOW + 7200).into();
    overrides.insert(0, drain);
    serde_json::from_value(json!({
        "overrides": if is_failing { overrides } else { Vec::new() },
        "version": "0.1.0", "generation": 17, "started": NOW - 11_100, "now": NOW,
        "configuration": { "loaded": NOW, "reloads": 1, "failures": 0, "errors": [], "warnings": [] },
        "concerns": if is_failing { concerns } else { Vec::new() },
        "databases": [], "zones": [
            { "name": "gslb.example.com", "serial": 1, "records": 3, "services": services },
        ],
        "datacenters": datacenters, "services": services,
        "service-counts": {
            "distressed": failing, "recovering": 0, "degraded": 20 * failing,
            "well": services - 21 * failing,
        },
        "distressed": (0..failing).map(distressed).collect::<Vec<_>>(), "distressed-count": failing,
        "targets": (0..200).map(|index| target(index, verdict(index))).collect::<Vec<_>>(),
        "checker": { "doubt": "trusting", "freezes": 0, "started": 1, "late": 0, "discarded": 0, "in-flight": 0 },
    }))
    .unwrap()
}

/// Asserts that a text fits 24 lines of this width, with the line that names the server above and
/// the prompt below.
fn assert_fits(text: &str, columns: usize) {
    let server_lines = 100_usize.div_ceil(columns);
    assert!(text.lines().count() + server_lines < 24, "{text}");
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= columns, "{widest} columns:\n{text}");
}

#[test]
fn two_thousand_services_with_failures_fit_one_screen_and_what_is_wrong_is_named() {
    let text = overview::render(&status(2000, true), screen(100), PLAIN);
    assert_fits(&text, 100);
    insta::assert_snapshot!(text);
    let narrow = overview::render(&status(2000, true), screen(80), PLAIN);
    assert_fits(&narrow, 80);
}

#[test]
fn two_thousand_services_that_are_well_are_a_few_lines() {
    let text = overview::render(&status(2000, false), screen(100), PLAIN);
    assert_fits(&text, 100);
    insta::assert_snapshot!(text);
}

#[test]
fn a_higher_screen_shows_more_of_what_is_wrong_and_in_the_end_everything() {
    let lines = |lines: usize| {
        let screen = Screen { columns: 100, lines };
        overview::render(&status(2000, true), screen, PLAIN).lines().count()
    };
    assert_eq!([lines(24), lines(40)], [22, 38]);
    let text = overview::render(&status(2000, true), Screen { columns: 100, lines: 200 }, PLAIN);
    assert!(text.contains("dc19") && text.contains("gslb.example.com: 3 records"), "{text}");
}

#[test]
fn failing_lists_every_concern_in_full_and_every_target_that_fails() {
    let text = failing::render(&status(2000, true), screen(80), PLAIN);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("service \"x.example.com\" has no members"), "{text}");
    assert_eq!(text.matches("connection refused").count(), 36);
    assert_eq!(text.matches("answered with").count(), 12);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

fn services() -> Vec<ServiceStatus> {
    let service = |name: &str, state: &str, down: usize, datacenters: &[&str], why: &[&str]| {
        json!({
            "name": name, "zone": "gslb.example.com", "pool": "web", "policy": "weighted", "ttl": 30,
            "state": state, "members": 1200, "down": down, "out": 1, "datacenters": datacenters, "why": why,
        })
    };
    serde_json::from_value(json!([
        service(
            "www.gslb.example.com",
            "distressed",
            1199,
            &["fra", "iad", "sin", "syd"],
            &["A (country DE): answered with NODATA", "AAAA: answered with NODATA"],
        ),
        service("api.gslb.example.com", "degraded", 2, &["fra"], &["down: web-fra, web-iad"]),
        service("static.gslb.example.com", "well", 0, &[], &[]),
    ]))
    .unwrap()
}

#[test]
fn services_are_a_table_with_aligned_numbers_at_every_width() {
    let texts = [80, 120].map(|columns| lists::services(&services(), screen(columns), PLAIN));
    for (text, columns) in texts.iter().zip([80, 120]) {
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_heading_of_the_services_counts_all_of_them_and_not_only_those_listed() {
    let request = StatusRequest { view: StatusView::Services, failing: true, is_complete: false };
    let page: ListPage<ServiceStatus> = serde_json::from_value(json!({
        "generation": 1, "now": NOW, "total": 0, "offset": 0, "entries": [],
        "counts": { "well": 2000 },
    }))
    .unwrap();
    assert_eq!(
        request.services_text(&page, &[], screen(80), PLAIN),
        "2,000 services: 2,000 well\n"
    );
}

#[test]
fn datacenters_and_overrides_show_the_reason_the_end_and_the_effect() {
    let mut status = status(2000, true);
    status.datacenters[4].state = "draining".to_owned();
    status.datacenters[4].still_answered_count = 1;
    status.datacenters[4].still_answered = serde_json::from_value(json!([
        { "service": "www.gslb.example.com", "type": "A", "why": "no other member is left" },
    ]))
    .unwrap();
    status.overrides[1].in_force = false;
    status.overrides[1].starts = Some(NOW + 600);
    status.overrides[2].is_defined = false;
    status.overrides[3].value = "draining".to_owned();
    status.overrides[3].kind = "state".to_owned();
    status.overrides[3].effective = false;
    status.overrides[3].still_answered_count = 1;
    status.overrides[3].still_answered = status.datacenters[4].still_answered.clone();
    status.override_fault = Some("the file of the overrides was damaged".to_owned());
    let shown: Vec<_> = status.datacenters[2..6].iter().collect();
    let texts = [
        lists::datacenters(&shown, NOW, screen(80), PLAIN),
        overrides::view(&status, screen(120), PLAIN),
        overrides::first_lines(&status.overrides, screen(80)),
    ];
    insta::assert_snapshot!(texts.join("\n"));
    let text = overrides::view(&self::status(1, false), screen(120), PLAIN);
    assert_eq!(text, "no override is set\nevery datacenter is active\n");
}

#[test]
fn held_files_are_listed_with_their_errors() {
    let request = StatusRequest { view: StatusView::Held, failing: false, is_complete: false };
    let mut status = status(1, false);
    let text = request.status_text(&status, screen(80), PLAIN);
    assert_eq!(text, "every file is in use as it is\n");
    status.held = serde_json::from_value(json!([
        { "file": "zones/a.toml", "since": NOW, "errors": ["zones/a.toml:1:1: wrong (help: fix it)"] },
    ]))
    .unwrap();
    let text = request.status_text(&status, screen(80), PLAIN);
    assert_eq!(
        text,
        "files whose newest content is not in use\n  zones/a.toml since 2026-12-01 00:00:00 UTC: held at its last good \
         content\n    zones/a.toml:1:1: wrong (help: fix it)\n"
    );
}

#[test]
fn a_subject_shows_members_health_weight_share_and_why() {
    let member = |name: &str, percent: f64, why: &str, verdict: &str| {
        json!({
            "name": name, "weight": 10, "percent": percent, "why": why, "state": "active",
            "datacenters": [{ "name": "fra", "state": "active", "reason": null, "until": null }],
            "targets": [{ "target": name, "is-of-family": true, "verdict": verdict, "flips-in-secs": null }],
        })
    };
    let inner = json!({
        "name": "web-fra", "policy": "weighted", "min-up": "1", "is-usable": true, "is-by-place": false,
        "members": [
            member("192.0.2.1", 100.0, "the only usable member", "up"),
            member("192.0.2.2", 0.0, "down since its last probes", "down"),
        ],
    });
    let service = json!({
        "name": "www.gslb.example.com", "zone": "gslb.example.com", "pool": "web", "policy": "nearest", "ttl": 30,
        "state": "degraded", "members": 2, "down": 1, "out": 0, "datacenters": ["fra"],
        "why": ["down: 192.0.2.2"], "file": "zones/x.toml:12:10", "on-all-down": "all",
        "answers": [{ "type": "A", "groups": 3, "members": [
            {
                "name": "192.0.2.1", "datacenters": ["fra"], "least-percent": 20.0, "greatest-percent": 100.0,
                "groups": 2,
            },
        ] }, { "type": "AAAA", "groups": 2, "members": [
            {
                "name": "192.0.2.1", "datacenters": ["fra"], "least-percent": 100.0, "greatest-percent": 100.0,
                "groups": 1,
            },
        ], "examples": [
            { "client": "8.0.0.0", "country": "US", "members": [
                { "name": "web-1", "datacenters": ["fra"], "percent": 25.0 },
                { "name": "web-2", "datacenters": ["fra"], "percent": 75.0 },
            ] },
            { "client": "80.0.0.0", "members": [] },
        ] }],
        "pools": [{
            "name": "web", "policy": "nearest", "min-up": "50%", "is-usable": true, "is-by-place": true,
            "members": [{ "name": "web-fra", "weight": 1, "why": "by distance", "pool": inner }],
        }],
    });
    let report: SubjectReport = serde_json::from_value(json!({
        "name": "www.gslb.example.com", "generation": 1, "now": NOW, "services": [service],
        "targets": [{ "status": target(1, "down"), "members": ["web-fra/192.0.2.1"] }],
    }))
    .unwrap();
    let text = subject::render(&report, screen(100), PLAIN);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text);
}
