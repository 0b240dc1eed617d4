//! One run of a fleet. A server is started, its files are edited, a datacenter is drained and
//! undrained by file and by API, and a balancer dies. Each step ends when the sampled answers show
//! it.

use std::{
    fs, io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    admin,
    figures::{Figure, Measured},
    fleet::{
        BALANCERS, DATACENTERS, EDITED_TTL_SECS, Fleet, Kind, OTHER, State, datacenters,
        gdnsd_states, other_record, other_zone,
    },
    peers::{EditKind, Peer},
    process::{Server, free_address},
    sampling::{LONGEST, Sampler},
    targets::{Targets, address},
};

/// The number of balancers that die one after the other; the slowest removal counts.
const DEAD: [usize; 2] = [3, 14];
/// The number of consecutive answers with the first member that show the edit of its weight.
const ROW: usize = 20;

/// Measures one run of a fleet.
pub(crate) fn measure(peer: Peer, fleet: Fleet, targets: &Targets) -> Measured {
    let (dns, admin) = (free_address(), free_address());
    let directory = tempfile::tempdir()?;
    fleet.write(peer, directory.path(), dns, admin)?;
    let began = Instant::now();
    let Some(server) = Server::start(&mut peer.command(directory.path()), dns)? else {
        return Ok(None);
    };
    let sampler = Sampler::new(dns, fleet.clients())?;
    let mut trial = FleetTrial {
        peer,
        fleet,
        directory,
        server,
        sampler,
        admin,
        targets,
        largest_peak: 0.0,
        replaced: None,
        beside_mib: 0.0,
        figures: Vec::new(),
    };
    trial.start(began)?;
    let clock = ProbeCounter::start(&trial)?;
    trial.edits()?;
    trial.drains_by_file()?;
    if peer == Peer::Portolan {
        trial.drains_by_api()?;
    }
    if peer != Peer::Knot {
        trial.dead_members()?;
    }
    trial.note("peak of an edit / resident", Some(trial.largest_peak));
    clock.end(&mut trial)?;
    Ok(Some(trial.figures))
}

/// A running server and its figures so far.
struct FleetTrial<'t> {
    peer: Peer,
    fleet: Fleet,
    directory: TempDir,
    server: Server,
    sampler: Sampler,
    admin: SocketAddr,
    targets: &'t Targets,
    /// The largest ratio, over all steps, of the memory peak to the resident memory before the
    /// step.
    largest_peak: f64,
    /// The process that a new one has replaced, until the end of the step.
    replaced: Option<Server>,
    /// The memory of that process.
    beside_mib: f64,
    figures: Vec<Figure>,
}

impl FleetTrial<'_> {
    fn note(&mut self, heading: &'static str, value: Option<f64>) {
        self.figures.push(Figure { heading, value });
    }

    /// Starts the server and waits until the last service is answered with its members.
    fn start(&mut self, began: Instant) -> io::Result<()> {
        let last = self.fleet.services - 1;
        let members = Fleet::members(last).map(address);
        self.server.wait_for_reply()?;
        let end = self.sampler.until(&Fleet::name(last), |answer| answer.names(&members))?;
        self.note("start s", Some((end - began).as_secs_f64()));
        self.note("start, CPU s", Some(self.server.cpu_secs()?));
        self.note("start, peak MiB", Some(self.server.peak_mib()?));
        let settled = self.server.settled_mib()?;
        self.note("resident MiB", Some(settled));
        Ok(())
    }

    /// Times a change, from the end of `act` to the time that `until` returns, and notes the memory
    /// peak.
    fn step(
        &mut self,
        heading: &'static str,
        act: impl FnOnce(&mut Self) -> io::Result<()>,
        until: impl FnOnce(&mut Self) -> io::Result<Instant>,
    ) -> io::Result<()> {
        let before = self.server.settled_mib()?;
        self.server.forget_peak()?;
        act(self)?;
        let since = Instant::now();
        let end = until(self)?;
        self.note(heading, Some(end.saturating_duration_since(since).as_secs_f64()));
        let peak = self.server.peak_mib()? + std::mem::take(&mut self.beside_mib);
        self.largest_peak = self.largest_peak.max(peak / before);
        self.replaced = None;
        Ok(())
    }

    fn edits(&mut self) -> io::Result<()> {
        self.step(
            "edit of another zone s",
            |trial| trial.edit_other(0),
            |trial| trial.until_other(1),
        )?;
        if self.peer == Peer::Portolan {
            let comment =
                ("zones/services.toml", "edit of this comment: 0", "edit of this comment: 1");
            // No answer shows that a comment was read; the edit of a record right after it does.
            let act = |trial: &mut Self| {
                trial.replace(comment.0, comment.1, comment.2).and_then(|()| trial.edit_other(1))
            };
            self.step("edit of a comment s", act, |trial| trial.until_other(0))?;
        }
        let middle = self.fleet.services / 2;
        let act = |trial: &mut Self| {
            let (file, old, new) = trial.fleet.edit(trial.peer, middle);
            trial.replace(file, &old, &new)
        };
        self.step("edit of one service s", act, |trial| {
            trial.take_up(EditKind::Configuration)?;
            trial.until_edited(middle)
        })
    }

    /// Waits until a service is answered as edited.
    fn until_edited(&mut self, service: usize) -> io::Result<Instant> {
        let name = Fleet::name(service);
        if self.fleet.kind != Kind::Weighted {
            return self.sampler.until(&name, |answer| answer.ttl_secs == EDITED_TTL_SECS);
        }
        let first = [address(Fleet::members(service)[0])];
        let (mut row, began) = (0, Instant::now());
        while began.elapsed() < LONGEST {
            if self.sampler.ask(&name, 0)?.names(&first) {
                row += 1;
            } else {
                row = 0;
                thread::sleep(Duration::from_millis(1));
            }
            if row == ROW {
                return Ok(Instant::now());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the weights of {name} did not change"),
        ))
    }

    /// Edits the other zone's record from one of its addresses to the other.
    fn edit_other(&mut self, from: usize) -> io::Result<()> {
        self.replace(
            other_zone(self.peer),
            &other_record(OTHER[from]),
            &other_record(OTHER[1 - from]),
        )
    }

    fn until_other(&mut self, to: usize) -> io::Result<Instant> {
        self.take_up(EditKind::Zone("other.example."))?;
        self.sampler.until("r.other.example", |answer| answer.names(&[OTHER[to]]))
    }

    fn drains_by_file(&mut self) -> io::Result<()> {
        if self.peer == Peer::Knot {
            return Ok(());
        }
        let drained = Fleet::drained();
        let sample = self.fleet.sample(&drained);
        let until_gone = |trial: &mut Self| trial.sampler.until_gone(&sample, &drained);
        let until_named = |trial: &mut Self| trial.sampler.until_named(&sample, &drained);
        self.step("drain by file s", |trial| trial.write_states(State::Draining), until_gone)?;
        self.step("undrain by file s", |trial| trial.write_states(State::Active), until_named)
    }

    fn write_states(&mut self, state: State) -> io::Result<()> {
        let (file, text) = match self.peer {
            Peer::Gdnsd { .. } => ("state/admin_state", gdnsd_states(state)),
            Peer::Portolan | Peer::Knot => (DATACENTERS, datacenters(state)),
        };
        fs::write(self.directory.path().join(file), text)
    }

    fn drains_by_api(&mut self) -> io::Result<()> {
        let drained = Fleet::drained();
        let sample = self.fleet.sample(&drained);
        for (heading, act) in [("drain by API s", "drain"), ("undrain by API s", "undrain")] {
            let admin = self.admin;
            let path = format!("/api/v1/datacenters/fra/{act}");
            let until = |trial: &mut Self| {
                thread::scope(|scope| {
                    let request = scope.spawn(move || admin::post(admin, &path));
                    let end = match act {
                        "drain" => trial.sampler.until_gone(&sample, &drained),
                        _ => trial.sampler.until_named(&sample, &drained),
                    };
                    request.join().map_err(|_| io::Error::other("the request panicked"))??;
                    end
                })
            };
            self.step(heading, |_| Ok(()), until)?;
        }
        Ok(())
    }

    /// The slowest removal of a member, from the deciding probe to the last answer with it.
    fn dead_members(&mut self) -> io::Result<()> {
        let mut slowest: f64 = 0.0;
        for member in DEAD {
            let dead = [address(member)];
            let sample = self.fleet.sample(&dead);
            self.server.settled_mib()?;
            let decided = self.targets.turn_and_wait(member)?;
            let end = self.sampler.until_gone(&sample, &dead)?;
            slowest = slowest.max(end.saturating_duration_since(decided).as_secs_f64());
            self.targets.turn_and_wait(member)?;
            self.sampler.until_named(&sample, &dead)?;
        }
        self.note("dead member s", Some(slowest));
        Ok(())
    }

    fn replace(&mut self, file: &str, old: &str, new: &str) -> io::Result<()> {
        let path = self.directory.path().join(file);
        let text = fs::read_to_string(&path)?;
        assert!(text.contains(old), "{} has no {old:?}", path.display());
        fs::write(path, text.replacen(old, new, 1))
    }

    /// Makes a server that does not watch its files apply an edit.
    fn take_up(&mut self, what: EditKind) -> io::Result<()> {
        let Some(mut command) = self.peer.take_up_of(self.directory.path(), what) else {
            return Ok(());
        };
        if what == EditKind::Configuration && self.peer.is_replaced() {
            let address = self.server.address()?;
            if let Some(next) = Server::start(&mut command, address)? {
                // Both processes are in memory until the new one has taken over.
                self.beside_mib = self.server.resident_mib()?;
                self.replaced = Some(std::mem::replace(&mut self.server, next));
            }
            return Ok(());
        }
        command.output().map(drop)
    }
}

/// Counts probes between two moments.
struct ProbeCounter {
    since: Instant,
    answered: u64,
    late: f64,
}

impl ProbeCounter {
    fn start(trial: &FleetTrial<'_>) -> io::Result<Self> {
        Ok(Self { since: Instant::now(), answered: trial.targets.answered(), late: late(trial)? })
    }

    fn end(self, trial: &mut FleetTrial<'_>) -> io::Result<()> {
        if trial.peer != Peer::Portolan {
            return Ok(());
        }
        let made = trial.targets.answered() - self.answered;
        let due = self.since.elapsed().as_secs_f64() / f64::from(trial.fleet.interval_secs)
            * BALANCERS as f64;
        trial.note("probes made / due", Some(made as f64 / due));
        trial.note("probes late", Some(late(trial)? - self.late));
        Ok(())
    }
}

/// Probes that the server itself counts as late.
fn late(trial: &FleetTrial<'_>) -> io::Result<f64> {
    if trial.peer != Peer::Portolan {
        return Ok(0.0);
    }
    admin::late_probes(trial.admin)
}
