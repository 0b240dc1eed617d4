//! Several of many endpoints in one answer: 3 of 500, 5 of 1,000, and all of 400, 2,000 and 4,000,
//! which nearly fill a message. Measures how long the start and a status change take, the memory of
//! both, and the share of a core while 500 endpoints change their status all the time.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{
    figures::{Figure, Measured, tabulate},
    peers::Peer,
    process::{Server, free_address},
    sampling::{Answer, Sampler},
    targets::{Targets, address, turn},
};

const NAME: &str = "all.x.example";
/// The endpoint that goes down.
const DEAD: usize = 7;
/// The period over which the CPU of flapping endpoints is measured.
const FLAPPING: Duration = Duration::from_secs(10);
/// The dead endpoint counts as removed after a run of answers without it. The run is this many
/// times as long as the run in which it would be expected once.
const CLEAN_ANSWERS: usize = 12;

/// The number of endpoints, and the number of them in one answer.
#[derive(Debug, Clone, Copy)]
struct Draw {
    /// The number of members in an answer; `None` for all.
    answers: Option<usize>,
    endpoints: usize,
}

pub(crate) fn run() -> io::Result<()> {
    for (what, draw) in [
        ("endpoints, 3 of them answered", Draw { answers: Some(3), endpoints: 500 }),
        ("endpoints, 5 of them answered", Draw { answers: Some(5), endpoints: 1_000 }),
    ] {
        let targets = Targets::start(draw.endpoints)?;
        tabulate("portolan", what, &[draw.endpoints], |_| measure(draw, &targets))?;
    }
    let sizes = [400, 2_000, 4_000];
    let targets = Targets::start(4_000)?;
    tabulate("portolan", "endpoints, all of them answered", &sizes, |endpoints| {
        measure(Draw { answers: None, endpoints }, &targets)
    })
}

fn measure(draw: Draw, targets: &Targets) -> Measured {
    let dns = free_address();
    let directory = tempfile::tempdir()?;
    write(directory.path(), dns, draw, targets.port)?;
    let began = Instant::now();
    let Some(server) = Server::start(&mut Peer::Portolan.command(directory.path()), dns)? else {
        return Ok(None);
    };
    let mut asking = ServiceSampler { sampler: Sampler::new(dns, 1)?, draw };
    asking.until_serving()?;
    let mut figures = vec![
        figure("start s", began.elapsed().as_secs_f64()),
        figure("start, CPU s", server.cpu_secs()?),
        figure("start, peak MiB", server.peak_mib()?),
        figure("resident MiB", server.settled_mib()?),
    ];
    server.forget_peak()?;
    let decided = targets.turn_and_wait(DEAD)?;
    let gone = asking.until_gone()?;
    targets.turn_and_wait(DEAD)?;
    asking.until_back()?;
    figures.push(figure("status change s", gone.saturating_duration_since(decided).as_secs_f64()));
    figures.push(figure("status change, peak MiB", server.peak_mib()?));
    if draw.endpoints == 500 {
        let [rest, flapping] = shares(&server, targets)?;
        figures.push(figure("core taken by probes alone", rest));
        figures.push(figure("core taken while flapping", flapping));
    }
    Ok(Some(figures))
}

fn figure(heading: &'static str, value: f64) -> Figure {
    Figure { heading, value: Some(value) }
}

/// The fraction of a core that the server uses while idle, and while endpoints go down and up.
fn shares(server: &Server, targets: &Targets) -> io::Result<[f64; 2]> {
    let share = || -> io::Result<f64> {
        let (before, began) = (server.cpu_secs()?, Instant::now());
        thread::sleep(FLAPPING);
        Ok((server.cpu_secs()? - before) / began.elapsed().as_secs_f64())
    };
    let rest = share()?;
    let (is_over, switches) = (AtomicBool::new(false), &targets.is_down);
    let flapping = thread::scope(|scope| {
        scope.spawn(|| flap(switches, &is_over));
        let flapping = share();
        is_over.store(true, Relaxed);
        flapping
    })?;
    Ok([rest, flapping])
}

/// Ten times per second, ten endpoints go down for one second, so that a fifth of them is down at
/// any time.
fn flap(switches: &[AtomicBool], is_over: &AtomicBool) {
    let turned = |step: usize| (0..10).map(move |index| (step * 10 + index) % 500);
    let mut step: usize = 0;
    while !is_over.load(Relaxed) {
        turned(step).for_each(|target| turn(switches, target));
        if let Some(back) = step.checked_sub(10) {
            turned(back).for_each(|target| turn(switches, target));
        }
        step += 1;
        thread::sleep(Duration::from_millis(100));
    }
    switches.iter().for_each(|switch| switch.store(false, Relaxed));
}

/// Queries the service; over TCP if its answer exceeds a datagram.
struct ServiceSampler {
    sampler: Sampler,
    draw: Draw,
}

impl ServiceSampler {
    fn ask(&mut self) -> io::Result<Answer> {
        match self.draw.answers {
            Some(_) => self.sampler.ask(NAME, 0),
            None => self.sampler.ask_over_tcp(NAME),
        }
    }

    fn until_serving(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let expected = self.draw.answers.unwrap_or(self.draw.endpoints);
        loop {
            match self.ask() {
                Ok(answer) if answer.addresses.len() == expected => return Ok(()),
                Err(error) if began.elapsed() > Duration::from_secs(120) => return Err(error),
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Returns the time of the last answer with the dead endpoint.
    fn until_gone(&mut self) -> io::Result<Instant> {
        let expected = self.draw.endpoints / self.draw.answers.unwrap_or(self.draw.endpoints);
        let (mut last, mut clean) = (Instant::now(), 0);
        while clean < expected * CLEAN_ANSWERS {
            clean += 1;
            if self.ask()?.names(&[address(DEAD)]) {
                (last, clean) = (Instant::now(), 0);
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(last)
    }

    fn until_back(&mut self) -> io::Result<()> {
        while !self.ask()?.names(&[address(DEAD)]) {}
        Ok(())
    }
}

fn write(directory: &Path, dns: SocketAddr, draw: Draw, port: u16) -> io::Result<()> {
    Peer::Portolan.prepare(directory, dns)?;
    fs::create_dir_all(directory.join("zones"))?;
    let answers = draw.answers.map_or_else(|| "\"all\"".to_owned(), |answers| answers.to_string());
    let text = pool(NAME, &answers, draw.endpoints, "interval = \"1s\"\ntimeout = \"900ms\"", port);
    fs::write(directory.join("zones/services.toml"), text)
}

/// A file with one service with `endpoints` endpoints, whose weights are 1 to 5. `times` are timing
/// keys of the monitor.
pub(crate) fn pool(name: &str, answers: &str, endpoints: usize, times: &str, port: u16) -> String {
    let members: String = (0..endpoints)
        .map(|at| format!("  {{ addresses = [\"{}\"], weight = {} }},\n", address(at), at % 5 + 1))
        .collect();
    format!(
        "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n\
         [monitor.m]\nhttp = {{ path = \"/\", port = {port} }}\n{times}\nrise = 1\nfall = 1\n\
         [service.\"{name}\"]\nttl = 30\nmonitor = \"m\"\nanswers = {answers}\nmembers = [\n{members}]\n"
    )
}
