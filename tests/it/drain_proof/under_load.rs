//! A drain during queries and HTTP sessions, beside a colleague's broken file: effective on both
//! servers at once, out of caches when its report says so, and watched until no session is left.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, ExitStatus, Stdio},
    sync::atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{Acquire, Release},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    late_relay::start_relay,
    replies::{MemberNames, QueryClient, datacenter},
    rows::{ClientArea, Row, rows},
    site::{COLLEAGUE, Site, url},
};
use crate::{
    balancers::are_installed,
    harness::{Server, WAIT_TIMEOUT},
    query::Deadline,
};

/// The TTL of each answer, in seconds.
const TTL_SECS: u32 = 2;
/// The number of HTTP sessions at HAProxy.
const SESSIONS: usize = 12;
/// The timeout of the load, which bounds the number of its queries.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The number of clients that query each row in a round.
const CLIENTS_AT_ONCE: usize = 25;
/// The service in the file that a colleague breaks.
const COLLEAGUE_ROW: Row =
    Row { service: "colleague.example.info", rtype: "A", area: ClientArea::Everywhere };

/// Clients behind caches, which query one server all the time.
struct QueryLoad<'a> {
    site: &'a Site,
    /// The number of rounds that the clients of each server have made.
    rounds: [AtomicUsize; 2],
    /// No answer to a query that is sent from now on may name fra.
    is_drained: AtomicBool,
    is_over: AtomicBool,
}

/// What the clients of one server observed.
#[derive(Debug, Default)]
struct LoadCounts {
    /// The number of replies.
    replies: usize,
    /// The number of replies that named fra, and of those to queries sent after the drain.
    from_fra: usize,
    from_fra_after_drain: usize,
    /// The earliest time since 1970 at which the last cached answer that names fra expires: its TTL
    /// after its query.
    cached_until: Duration,
}

impl<'a> QueryLoad<'a> {
    fn new(site: &'a Site) -> Self {
        Self {
            site,
            rounds: [AtomicUsize::new(0), AtomicUsize::new(0)],
            is_drained: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// Queries every row again and again, for 25 clients each time, until the load is over.
    fn query(&self, server: usize, names: &MemberNames) -> LoadCounts {
        let mut asker = QueryClient::new(self.site.servers[server].address, names);
        let mut observed = LoadCounts::default();
        // The clients leave the machine time for what they observe.
        let deadline = Deadline::after(LOAD_TIMEOUT);
        let rows: Vec<Row> = rows().into_iter().chain([COLLEAGUE_ROW]).collect();
        for round in 0.. {
            self.rounds[server].store(round, Release);
            for &row in &rows {
                if self.is_over.load(Acquire) {
                    return observed;
                }
                assert!(deadline.tick(), "the load is not over: {observed:?}");
                let is_drained = self.is_drained.load(Acquire);
                let first = round * CLIENTS_AT_ONCE;
                let clients: Vec<[u8; 3]> = (first..first + CLIENTS_AT_ONCE)
                    .map(|index| row.area.client(index % 1000))
                    .collect();
                let asked = since_1970();
                let replies = asker.ask(row, &clients);
                let named = replies.answers.iter().flatten();
                let from_fra = named.filter(|member| datacenter(member) == "fra").count();
                observed.replies += replies.answers.len();
                observed.from_fra += from_fra;
                observed.from_fra_after_drain += if is_drained { from_fra } else { 0 };
                if from_fra > 0 {
                    let ttl = Duration::from_secs(replies.greatest_ttl.into());
                    observed.cached_until = asked + ttl;
                }
                let is_as_ever = replies.count("colleague") == replies.answers.len();
                assert!(is_as_ever || row != COLLEAGUE_ROW, "the held file's service: {replies:?}");
            }
        }
        observed
    }
}

/// Ends the load when the test ends, also by a panic.
struct LoadEnd<'a>(&'a QueryLoad<'a>);

impl Drop for LoadEnd<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Release);
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A command that runs beside the test, and its output.
struct RunningCommand {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    text: String,
}

impl RunningCommand {
    fn start(site: &Site, arguments: &[&str], servers: &[String]) -> Self {
        let flags = servers.iter().flat_map(|server| ["--server", server]);
        let arguments: Vec<&str> = arguments.iter().copied().chain(flags).collect();
        let mut child =
            site.directories[0].command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, text: String::new() }
    }

    /// Reads lines until `count` of them contain `words`.
    fn read_until(&mut self, words: &str, count: usize) {
        for _ in 0..count {
            loop {
                let Some(Ok(line)) = self.lines.next() else {
                    panic!("no line with {words:?} follows:\n{}", self.text)
                };
                self.text += &format!("{line}\n");
                if line.contains(words) {
                    break;
                }
            }
        }
    }

    /// Reads the rest of the output, and waits for the exit.
    fn finish(mut self) -> (ExitStatus, String) {
        for line in self.lines.by_ref().map_while(Result::ok) {
            self.text += &format!("{line}\n");
        }
        (self.child.wait().unwrap(), std::mem::take(&mut self.text))
    }
}

/// Opens HTTP sessions at the HAProxy of fra, and waits until both servers know of them.
fn open_sessions(site: &Site) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect((site.fra, site.port)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream
    };
    let sessions: Vec<TcpStream> = (0..SESSIONS).map(open).collect();
    until_sessions(site, SESSIONS);
    sessions
}

/// Waits until both servers know that HAProxy has this number of sessions.
fn until_sessions(site: &Site, count: usize) {
    site.until_both(&format!("HAProxy has {count} sessions"), |server| {
        let loads = server.status().loads;
        loads.iter().any(|load| load.load == "haproxy" && load.connections == Some(count as f64))
    });
}

/// When the last cached answer that names fra expires, as a server reports it.
fn reported_expiry(server: &Server) -> Duration {
    let status = server.status();
    let fra = status.datacenters.iter().find(|datacenter| datacenter.name == "fra").unwrap();
    let drain = fra.drain.expect("the drain is effective");
    Duration::from_secs(drain.expires.unsigned_abs())
}

#[test]
fn a_drain_under_load_is_effective_at_once_and_in_caches_when_its_report_says_so() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let site = Site::start(["127.0.84.1", "127.0.84.2"], TTL_SECS);
    for directory in &site.directories {
        directory.write(COLLEAGUE, "[zone");
    }
    site.until_both("the broken file is held", |server| !server.status().held.is_empty());
    let sessions = open_sessions(&site);
    let names = MemberNames::new(&site);
    let load = QueryLoad::new(&site);
    std::thread::scope(|scope| {
        let (load, names) = (&load, &names);
        let end = LoadEnd(load);
        let clients = [0, 1].map(|server| scope.spawn(move || load.query(server, names)));
        site.servers[0].until("each row was queried by many clients", WAIT_TIMEOUT, |_| {
            load.rounds.iter().all(|rounds| rounds.load(Acquire) >= 2)
        });
        let expiries = watch_to_the_end(&site, load, sessions);
        drop(end);
        for (thread, expires) in clients.into_iter().zip(expiries) {
            let observed = thread.join().unwrap();
            assert!(observed.from_fra > 100, "there was load before the drain: {observed:?}");
            assert_eq!(observed.from_fra_after_drain, 0, "{observed:?}");
            assert!(observed.cached_until <= expires, "reported {expires:?}: {observed:?}");
        }
    });
}

/// Drains fra on both servers, and watches until the last session ends. Returns the expiry that
/// each server reports.
fn watch_to_the_end(
    site: &Site,
    load: &QueryLoad<'_>,
    mut sessions: Vec<TcpStream>,
) -> [Duration; 2] {
    let servers = site.servers.each_ref().map(url);
    let drain = ["drain", "fra", "--reason", "kernel upgrade", "--watch"];
    let mut watch = RunningCommand::start(site, &drain, &servers);
    watch.read_until("fra: override set: draining (\"kernel upgrade\")", 2);
    load.is_drained.store(true, Release);
    let expiries = site.servers.each_ref().map(reported_expiry);
    watch.read_until("haproxy still has 100% of its sessions", 2);
    assert!(expiries.iter().all(|expires| *expires <= since_1970()), "{}", watch.text);
    sessions.truncate(SESSIONS / 2);
    until_sessions(site, SESSIONS / 2);
    drop(sessions);
    let (status, text) = watch.finish();
    let ends = text.matches("fra: drained: DNS answers 0%, and its load reports show no sessions");
    assert_eq!((status.code(), ends.count()), (Some(0), 2), "{text}");
    expiries
}

#[test]
fn a_watch_ends_with_code_4_and_the_part_of_the_sessions_that_remain() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let site = Site::start(["127.0.85.1", "127.0.85.2"], TTL_SECS);
    let _sessions = open_sessions(&site);
    // The watch waits for a minute at least.
    let relays = site.servers.each_ref().map(|server| start_relay(server, 70).to_string());
    let watch = RunningCommand::start(&site, &["drain", "fra", "--watch"], &relays);
    let (status, text) = watch.finish();
    let ends = text.matches("fra: DNS answers 0%, haproxy still has 100% of its sessions");
    assert_eq!((status.code(), ends.count()), (Some(4), 2), "{text}");
}
