//! The console in a real browser: what an operator sees of a status document, and of a server that
//! has stopped.
//!
//! A small HTTP server takes the place of portolan: it serves the page's own files and prepared
//! documents. Without chromium the tests print a message and pass.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test says why it skips, and may panic"
)]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use portolan::control::Status;
use serde_json::{Value, json};

const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html", include_str!("../src/admin/console/console.html")),
    ("/console.css", "text/css", include_str!("../src/admin/console/console.css")),
    ("/console.js", "text/javascript", include_str!("../src/admin/console/console.js")),
];
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[test]
fn state_and_health_are_shown_apart_and_a_paused_drain_is_not_a_slow_start() {
    let Some(page) = page(usize::MAX) else { return };
    for words in [
        "✕ all down",
        "▽ drain paused",
        "▽ drain paused: iad",
        "▼ drained",
        "still.example.org A",
        "by the override of nrt by anna",
        "nrt: draining, by anna since",
        "Serving, with problems.",
    ] {
        assert!(page.contains(words), "{words:?} is not on the page:\n{page}");
    }
    assert!(!page.contains("slow start"), "{page}");
    assert!(!page.contains("● active"), "a state is not green");
    assert!(!page.contains("class=\"stale\""), "current data has its colours");
    assert!(!page.contains("100 % of its normal traffic"), "99.6 % is not all");
}

#[test]
fn a_page_whose_server_has_stopped_is_grey_and_shows_the_age_of_its_data() {
    let Some(page) = page(2) else { return };
    assert!(page.contains("class=\"stale\""), "{page}");
    assert!(page.contains("The server does not answer."), "{page}");
    assert!(page.contains("This page shows data of 2027-01-15T08:00:00Z, "), "{page}");
    assert!(page.contains("<title>(no answer) portolan edge-1</title>"), "{page}");
    assert!(page.contains("✕ all down"), "the last data stays readable");
}

/// The page as the browser shows it after the server has answered `documents` requests for
/// documents; `None` without a browser.
fn page(documents: usize) -> Option<String> {
    let browser =
        BROWSERS.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(browser) = browser else {
        eprintln!("skipped: none of {BROWSERS:?} is installed");
        return None;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let left = Arc::new(AtomicUsize::new(documents));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let left = Arc::clone(&left);
            std::thread::spawn(move || serve(&stream, &left));
        }
    });
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--no-first-run", "--dump-dom"])
        .args(["--virtual-time-budget=15000", "--timeout=60000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Answers one request; closes the connection without an answer once no document is left.
fn serve(stream: &TcpStream, left: &AtomicUsize) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.find(String::is_empty);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let file = FILES.iter().find(|(name, ..)| *name == path);
    let (media_type, text) = match (file, path) {
        (Some((_, media_type, text)), _) => (*media_type, (*text).to_owned()),
        (None, "/api/v1/status" | "/api/v1/totals") => {
            if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
                return;
            }
            let document = if path.ends_with("status") { status() } else { totals() };
            ("application/json", document.to_string())
        }
        _ => return,
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let mut stream = stream;
    // The browser may have closed the connection.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes()));
}

fn totals() -> Value {
    let transport = json!({ "received": 10, "ignored": 0, "send-errors": 0, "kernel-drops": 0 });
    json!({ "transports": { "udp": transport }, "rcodes": {}, "rtypes": {}, "services": {}, "datacenters": {} })
}

/// A status document: one datacenter active with targets that are down, one with a paused drain,
/// one drained, and one drained that some answers still name.
fn status() -> Value {
    const NOW: i64 = 1_800_000_000;
    let datacenter = |name: &str, state: &str, health: &str, up: usize, down: usize| {
        json!({
            "name": name, "state": state, "file": "zones/x.toml:1:1", "services": 1, "health": health,
            "up": up, "down": down, "unknown": 0, "effective": false, "still-answered": [], "still-answered-count": 0,
        })
    };
    let mut drained = datacenter("nrt", "draining", "all-up", 1, 0);
    drained["effective"] = true.into();
    drained["origin"] = "the override of nrt by anna".into();
    drained["drain"] = json!({ "effective": NOW - 100, "longest-ttl": 30, "expires": NOW - 70 });
    let mut still = datacenter("syd", "draining", "all-up", 1, 0);
    still["still-answered"] =
        json!([{ "service": "still.example.org", "type": "A", "why": "no other member is left" }]);
    still["still-answered-count"] = 1.into();
    let document = json!({
        "version": "0.1.0", "server": { "node": "edge-1", "pid": 1, "started": NOW - 1000 }, "generation": 7,
        "started": NOW - 1000, "now": NOW,
        "configuration": { "loaded": NOW - 900, "reloads": 1, "failures": 0, "errors": [], "warnings": [] },
        "databases": [], "zones": [], "services": 4, "distressed": [], "distressed-count": 0, "targets": [],
        "datacenters": [
            datacenter("fra", "active", "all-down", 0, 2), datacenter("iad", "draining", "all-up", 1, 0), drained, still,
        ],
        "overrides": [{
            "subject": "nrt", "kind": "state", "value": "draining", "author": "anna", "since": NOW - 100,
            "in-force": true, "effective": true,
        }],
        "ramps": [{ "name": "iad", "kind": "held-drain", "at": 0.996, "goal": 0.996, "ends": NOW - 5 }],
        "checker": { "doubt": "trusting", "freezes": 0, "started": 9, "late": 0, "discarded": 0, "in-flight": 0 },
    });
    // Proves that portolan could have written the document.
    let status: Status = serde_json::from_value(document).expect("a status document");
    serde_json::to_value(status).expect("a document")
}
