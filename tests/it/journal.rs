//! The journal and the history of the real program: what a kill, a cut line and a missing state
//! directory leave, and that answers of the past are repeated.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write as _},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    query::Deadline,
};

const ZONE: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
[datacenter.fra]
[datacenter.iad]
[service."www.example.org"]
policy = "failover"
members = [
  { datacenter = "fra", addresses = ["192.0.2.1"] },
  { datacenter = "iad", addresses = ["192.0.2.2"] },
]
"#;
const ZONE_FILE: &str = "zones/example.org.toml";
const WWW: &str = "www.example.org";

fn site() -> ServerDirectory {
    ServerDirectory::new(&[(ZONE_FILE, ZONE)])
}

/// Runs a command for this server; returns its stdout.
fn run(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> String {
    let admin = server.admin.unwrap().to_string();
    let (code, out, err) = site.run(&[arguments, &["--server", &admin]].concat());
    assert_eq!(code, 0, "{out}{err}");
    out
}

/// The events of the journal, as `log --json` prints them.
fn events(site: &ServerDirectory, server: &Server, arguments: &[&str]) -> Vec<Value> {
    let out = run(site, server, &[&["log", "--json"], arguments].concat());
    let document: Value = serde_json::from_str(&out).unwrap();
    document["events"].as_array().unwrap().clone()
}

/// Waits until the journal has an event of this kind and subject.
fn until_event(site: &ServerDirectory, server: &Server, kind: &str, subject: &str) -> Value {
    let arguments = ["--kind", kind, "--subject", subject];
    let mut found = None;
    server.until(&format!("an event {kind} of {subject}"), WAIT_TIMEOUT, |server| {
        found = events(site, server, &arguments).pop();
        found.is_some()
    });
    found.unwrap()
}

/// A command that runs until it is dropped, and its lines.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Follower {
    fn start(site: &ServerDirectory, server: &Server) -> Self {
        let admin = server.admin.unwrap().to_string();
        let mut command = site.command(&["log", "--follow", "--server", &admin]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Self { child, lines }
    }

    /// Waits for a line with these words.
    fn until_line(&self, words: &str) -> String {
        let deadline = Deadline::after(WAIT_TIMEOUT);
        let mut seen = Vec::new();
        while deadline.tick() {
            while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
                if line.contains(words) {
                    return line;
                }
                seen.push(line);
            }
        }
        panic!("no line with {words:?}: {seen:?}")
    }
}

#[test]
fn log_shows_a_drain_with_its_author_while_it_happens_and_an_edit_by_hand() {
    let site = site();
    let server = site.serve();
    let follower = Follower::start(&site, &server);
    follower.until_line("server: started: version ");
    run(&site, &server, &["drain", "fra", "--reason", "kernel upgrade"]);
    let line = follower.until_line("fra drained by ");
    assert!(line.contains("(127.0.0.1): \"kernel upgrade\" (override set: draining"), "{line}");
    run(&site, &server, &["undrain", "fra"]);
    follower.until_line("fra put back into service by ");
    site.edit(ZONE_FILE, "[datacenter.fra]\n", "[datacenter.fra]\nstate = \"draining\"\n");
    follower.until_line("state fra: active -> draining");
    let configuration = until_event(&site, &server, "configuration", "configuration");
    assert!(configuration["cause"].as_str().unwrap().contains("zones/example.org.toml"));
    server.signal(libc::SIGHUP);
    run(&site, &server, &["reload"]);
    follower.until_line("configuration reloaded by ");
}

#[test]
fn a_kill_and_a_line_that_is_cut_off_lose_no_earlier_event() {
    let site = site();
    let server = site.serve();
    run(&site, &server, &["drain", "fra"]);
    let drained = until_event(&site, &server, "override", "fra");
    server.signal(libc::SIGKILL);
    drop(server);
    let path = site.path("state/journal/0001.jsonl");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"id\":99,\"time\":\"2026-12-01T0").unwrap();
    let server = site.serve();
    server.until_logged("last event of the journal is incomplete: it is dropped");
    let started = until_event(&site, &server, "server", "server");
    let all = events(&site, &server, &[]);
    assert!(all.contains(&drained), "{all:?}");
    let ids: Vec<u64> = all.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert!(started["id"].as_u64() > drained["id"].as_u64());
    assert_eq!(server.http("/readyz").1.matches("damaged").count(), 0);
}

#[test]
fn a_changed_line_sets_the_file_aside_and_is_a_concern() {
    let site = site();
    let server = site.serve();
    run(&site, &server, &["drain", "fra"]);
    until_event(&site, &server, "override", "fra");
    drop(server.terminate());
    let path = site.path("state/journal/0001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"started\"", "\"stopped\"", 1)).unwrap();
    let server = site.serve();
    server.until("the concern about the journal", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("0001.jsonl.damaged")
    });
    assert_eq!(server.metric("portolan_journal_damaged_files", "") as u64, 1);
    assert_eq!(server.addresses(WWW), ["192.0.2.2"], "it serves");
    fs::remove_file(site.path("state/journal/0001.jsonl.damaged")).unwrap();
    server
        .until("no concern", WAIT_TIMEOUT, |server| !server.http("/readyz").1.contains("damaged"));
}

#[test]
fn without_a_state_directory_events_are_in_memory_and_a_concern_says_so() {
    let site = site();
    site.edit("portolan.toml", "[server]\n", "[server]\nstate = \"file/state\"\n");
    site.write("file", "");
    let server = site.serve();
    site.edit(ZONE_FILE, "[datacenter.fra]\n", "[datacenter.fra]\nstate = \"draining\"\n");
    server.until_answers(WWW, &["192.0.2.2"], WAIT_TIMEOUT);
    assert_eq!(until_event(&site, &server, "state", "fra")["after"], "draining");
    server.until("the concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("the journal is not written")
    });
    assert_eq!(server.metric("portolan_journal_unsaved", "") as u64, 1);
    assert_eq!(server.metric("portolan_history_unsaved", "") as u64, 1);
}

#[test]
fn explain_at_a_time_shows_the_answer_as_it_was_across_a_drain_and_a_restart() {
    let site = site();
    let server = site.serve();
    let answer = |server: &Server, at: &str| -> Value {
        let arguments = ["explain", WWW, "--client", "198.51.100.1", "--json", "--at", at];
        serde_json::from_str(&run(&site, server, &arguments)).unwrap()
    };
    let rdata = |document: &Value| document["reply"]["answers"][0]["rdata"].clone();
    let started = until_event(&site, &server, "server", "server");
    // The first record is made just before the event.
    let first = started["time"].as_str().unwrap().to_owned();
    run(&site, &server, &["drain", "fra"]);
    let drained = until_event(&site, &server, "state", "fra");
    let drained = drained["time"].as_str().unwrap().to_owned();
    site.edit(ZONE_FILE, "192.0.2.2", "192.0.2.3");
    server.until_answers(WWW, &["192.0.2.3"], WAIT_TIMEOUT);
    drop(server.terminate());
    let server = site.serve();
    assert_eq!(rdata(&answer(&server, "0s")), "192.0.2.3");
    assert_eq!(rdata(&answer(&server, &drained)), "192.0.2.2", "after the drain");
    let before = answer(&server, &first);
    assert_eq!(rdata(&before), "192.0.2.1", "before the drain");
    assert!(before["replay"]["since"].as_str().unwrap() <= first.as_str());
    let admin = server.admin.unwrap().to_string();
    let (code, _, err) = site.run(&[
        "explain",
        WWW,
        "--client",
        "198.51.100.1",
        "--at",
        "2020-01-01T00:00:00Z",
        "--server",
        &admin,
    ]);
    assert_eq!(code, 1);
    assert!(err.contains("history begins at "), "{err}");
    let (code, _, err) = site.run(&["explain", WWW, "--client", "198.51.100.1", "--at", "1h"]);
    assert_eq!((code, err.contains("only a running server has the history")), (1, true), "{err}");
}

#[test]
fn the_journal_has_all_changes_of_three_clients_at_once_with_their_authors() {
    let site = site();
    let server = site.serve();
    let change = |user: &str, number: usize| {
        // Each change differs from all others.
        let weight = (number + 100 * user.len()).to_string();
        let member = format!("service:{WWW}/192.0.2.{}", 1 + number % 2);
        let admin = server.admin.unwrap().to_string();
        let mut command = site.command(&["weight", &member, &weight, "--server", &admin]);
        let output = command.env("SUDO_USER", user).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::thread::scope(|scope| {
        for user in ["ada", "grace", "edsger"] {
            scope.spawn(move || (0..20).for_each(|number| change(user, number)));
        }
    });
    let arguments = ["--kind", "override", "--since", "1h"];
    server.until("an event of each change", WAIT_TIMEOUT, |server| {
        let events = events(&site, server, &arguments);
        ["ada", "grace", "edsger"].iter().all(|user| {
            events.iter().filter(|event| event["author"]["user"] == **user).count() == 20
        })
    });
}
