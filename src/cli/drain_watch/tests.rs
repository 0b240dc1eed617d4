//! Tests of the progress of a drain: from status documents to stages, lines and ends.

use serde_json::{Value, json};

use super::{
    progress::{DrainStage, WatchedDrain},
    progress_text::{progress_line, progress_text},
};
use crate::{
    cli::{exit::CommandExit, screen::Screen},
    control::{DrainReport, Status},
};

const START: i64 = 1_796_083_200;

/// A status document: datacenter fra in this state, and the sessions that its balancer reports.
fn status(
    after_secs: i64,
    datacenter: Value,
    ramp: Option<Value>,
    sessions: Option<f64>,
) -> Status {
    let load = json!({
        "load": "haproxy", "datacenters": ["fra"], "is-stale": false, "age-secs": 1,
        "connections": sessions,
    });
    let mut fra = json!({
        "name": "fra", "state": "draining", "services": 2, "file": "zones/dc.toml:4:13",
        "up": 2, "down": 0, "unknown": 0,
    });
    fra.as_object_mut().unwrap().extend(datacenter.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "version": "0.1.0", "generation": 17, "started": START, "now": START + after_secs,
        "configuration": { "loaded": START, "reloads": 1, "failures": 0, "errors": [], "warnings": [] },
        "databases": [], "zones": [], "datacenters": [fra], "services": 2,
        "distressed": [], "distressed-count": 0, "targets": [],
        "loads": sessions.map_or(json!([]), |_| json!([load])),
        "ramps": ramp.map_or(json!([]), |ramp| json!([ramp])),
        "checker": { "doubt": "trusting", "freezes": 0, "started": 1, "late": 0, "discarded": 0, "in-flight": 0 },
    }))
    .unwrap()
}

fn watched() -> WatchedDrain {
    let report: DrainReport = serde_json::from_value(json!({
        "generation": 17, "files": [], "datacenters": [], "distressed": [],
        "outcomes": [{ "datacenter": "fra", "state": "draining" }],
    }))
    .unwrap();
    WatchedDrain::of_report(&report).pop().unwrap()
}

fn effective() -> Value {
    json!({ "drain": { "effective": START + 60, "longest-ttl": 30, "expires": START + 90 } })
}

/// A gradual drain at half of its way.
fn ramp() -> Value {
    json!({ "name": "fra", "kind": "drain", "at": 0.38, "goal": 0.0, "ends": START + 60 })
}

#[test]
fn a_drain_is_followed_from_the_first_client_to_the_last_session() {
    let mut drain = watched();
    let mut lines = Vec::new();
    let mut exits = Vec::new();
    for status in [
        status(10, json!({}), Some(ramp()), Some(387.0)),
        status(65, effective(), None, Some(200.0)),
        status(95, effective(), None, Some(12.0)),
        status(110, effective(), None, Some(0.0)),
    ] {
        drain.follow(&status);
        lines.push(progress_line(drain.progress()));
        exits.push(drain.progress().stage.exit());
    }
    let wanted = [
        "fra: 62% of its clients moved, all of them in 50 s",
        "fra: out of every new answer since 2026-12-01 00:01:00 UTC; the last cached answer expires at \
         2026-12-01 00:01:30 UTC (in 25 s)",
        "fra: out of every answer and cache since 2026-12-01 00:01:30 UTC; haproxy still has 3.1% of its sessions",
        "fra: drained: DNS answers 0%, and its load reports show no sessions",
    ];
    let text: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(text, wanted);
    assert_eq!(exits, [None, None, None, Some(CommandExit::Success)]);
}

#[test]
fn a_watch_ends_with_code_4_while_sessions_go_on_after_the_caches_expired() {
    let mut drain = watched();
    drain.follow(&status(10, json!({}), Some(ramp()), Some(387.0)));
    drain.follow(&status(149, effective(), None, Some(12.0)));
    assert_eq!(drain.progress().stage.exit(), None, "a minute has not passed");
    drain.follow(&status(150, effective(), None, Some(12.0)));
    assert_eq!(drain.progress().stage.exit(), Some(CommandExit::MustAct));
    let line = progress_line(drain.progress());
    assert_eq!(line, "fra: DNS answers 0%, haproxy still has 3.1% of its sessions");
}

#[test]
fn a_report_from_before_the_caches_expired_proves_nothing() {
    let mut drain = watched();
    let mut early = status(90, effective(), None, Some(0.0));
    early.loads[0].age_secs = Some(2);
    drain.follow(&early);
    assert_eq!(drain.progress().stage, DrainStage::InUse { expired: START + 90 });
    early.loads[0].age_secs = Some(0);
    drain.follow(&early);
    assert_eq!(drain.progress().stage, DrainStage::Drained { effective: START + 60 });
}

#[test]
fn a_drain_that_another_operator_ends_is_a_failure_of_the_watch() {
    let mut drain = watched();
    drain.follow(&status(10, json!({ "state": "active" }), None, None));
    assert_eq!(drain.progress().stage.exit(), Some(CommandExit::Failure));
    assert_eq!(progress_line(drain.progress()), "fra: not drained: its state is active");
}

#[test]
fn answers_that_stay_are_named_with_their_reason() {
    let still = json!({
        "still-answered-count": 2,
        "still-answered": [{ "service": "www.example.com", "type": "A", "why": "no other member is usable" }],
    });
    let mut drain = watched();
    drain.follow(&status(10, still, None, None));
    assert_eq!(
        progress_line(drain.progress()),
        "fra: still in the answers of 2 names and types, such as www.example.com A: no other member is usable"
    );
    assert_eq!(drain.progress().stage.exit(), None);
}

#[test]
fn on_a_terminal_a_bar_shows_the_share_that_moved() {
    let mut drain = watched();
    drain.follow(&status(10, json!({}), Some(ramp()), Some(387.0)));
    let screen = Screen { columns: 100, lines: 24 };
    assert_eq!(
        progress_text(drain.progress(), screen),
        "[############--------] fra: 62% of its clients moved, all of them in 50 s\n                       load reports: \
         haproxy has 387 of 387 sessions (100%)\n"
    );
}

/// The report of a drain of member a of pool web, which answers still name.
fn member_drain() -> DrainReport {
    let drain = json!({
        "subject": "web/a", "subject-kind": "member", "kind": "state", "value": "draining",
        "author": "ada", "since": START, "is-defined": true, "in-force": true,
        "longest-ttl": 30, "effective": false, "still-answered": [], "still-answered-count": 1,
    });
    serde_json::from_value(json!({
        "generation": 17, "files": [], "datacenters": [], "distressed": [], "outcomes": [],
        "overrides": [drain],
    }))
    .unwrap()
}

#[test]
fn the_drain_of_a_member_is_followed_by_its_own_ramp() {
    let report = member_drain();
    let mut watched = WatchedDrain::of_report(&report).pop().unwrap();
    let mut status = status(10, json!({}), None, None);
    status.overrides.clone_from(&report.overrides);
    // The first member of the same name is in another pool.
    let ramp = |pool: &str, at: f64| {
        let ramp = json!({
            "name": "a", "pool": pool, "kind": "drain", "at": at, "goal": 0.0, "ends": START + 60,
        });
        serde_json::from_value(ramp).unwrap()
    };
    status.ramps = vec![ramp("api", 0.25), ramp("web", 0.75)];
    watched.follow(&status);
    assert_eq!(
        watched.progress().stage,
        DrainStage::Leaving { share: 0.75, ends: Some(START + 60) }
    );
}

#[test]
fn caches_keep_a_members_last_answer_for_its_ttl_after_the_second_in_which_it_was_given() {
    let mut report = member_drain();
    let mut watched = WatchedDrain::of_report(&report).pop().unwrap();
    report.overrides[0].effective = true;
    report.overrides[0].still_answered_count = 0;
    let mut status = status(10, json!({}), None, None);
    status.overrides = report.overrides;
    watched.follow(&status);
    assert_eq!(
        watched.progress().stage,
        DrainStage::Cached { effective: START + 11, expires: START + 41 }
    );
}
