//! From files to a world: everything that a reload does, away from the controller's task and from every query.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    databases::{DatabaseFiles, DatabaseProblem},
    state::{SavedSerial, unix_now},
    watch::Interest,
};
use crate::{
    config::{Colours, Config, Diagnostics, Locations, SerialSource, Sources, ZoneConfig},
    dns::Name,
    snapshot::{Identity, Snapshot},
    steer::{Chart, Compiler, Conditions, ServiceId, State, Surveys, Topology, ZoneId},
    zone::Zones,
};

/// What one configuration comes to before health is known.
#[derive(Debug)]
pub struct World {
    /// The server's own settings, the zones' names and origins; the records are in `zones`.
    pub config: Config,
    /// What is in use and looks wrong, one line each.
    pub warnings: Vec<String>,
    /// What steers.
    pub topology: Arc<Topology>,
    /// What is answered as it stands.
    pub zones: Arc<Zones>,
    /// By [`ZoneId`].
    pub(super) summaries: Vec<ZoneSummary>,
    /// Makes charts.
    pub compiler: Compiler,
    /// What the compiler knows of the world.
    pub surveys: Surveys,
    pub(super) databases: DatabaseFiles,
    pub(super) serials: HashMap<Name, SavedSerial>,
    /// Of every file as it was read.
    pub(super) fingerprint: u64,
    /// Where changes matter.
    pub(super) interests: Vec<Interest>,
}

/// A zone in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ZoneSummary {
    pub serial: u32,
    pub records: usize,
    pub services: usize,
}

/// What a reload goes on from.
#[derive(Debug, Clone, Default)]
pub(super) struct Previous {
    pub databases: DatabaseFiles,
    pub surveys: Surveys,
    pub serials: HashMap<Name, SavedSerial>,
    pub fingerprint: u64,
}

/// What came of reading the files.
#[derive(Debug)]
pub(super) enum Loaded {
    /// They say what they said before. Of the databases, which stay in use too, the newest files may be refused.
    Unchanged(DatabaseFiles),
    /// A new world.
    World(Box<World>),
}

/// Why the files are no configuration. Nothing of them is in use.
#[derive(Debug)]
pub struct Refusal {
    /// One line each: `file:line:column: what (help: how to mend it)`.
    pub lines: Vec<String>,
    /// All of them as a compiler would show them.
    pub rendered: String,
    pub(super) fingerprint: u64,
}

impl World {
    /// Reads and compiles everything that `locations` name.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(locations: &Locations, colours: Colours) -> Result<Self, Refusal> {
        match load(locations, Previous::default(), colours)? {
            Loaded::World(world) => Ok(*world),
            Loaded::Unchanged(_) => unreachable!("nothing was read before"),
        }
    }

    /// Compiles a configuration that was read from `sources`.
    ///
    /// # Errors
    /// What shows only now: databases that cannot be read, say.
    pub fn of(sources: Sources, config: Config, warnings: &Diagnostics) -> Result<Self, Refusal> {
        let fingerprint = fingerprint(&sources);
        match compile(sources, config, warnings.lines().collect(), Previous::default(), fingerprint)? {
            Loaded::World(world) => Ok(*world),
            Loaded::Unchanged(_) => unreachable!("nothing was read before"),
        }
    }

    /// The snapshot that a server would start with, and its conditions: nothing probed yet.
    pub fn first_snapshot(&mut self) -> (Snapshot, Conditions) {
        let conditions = Conditions::unknown(&self.topology, unix_now());
        let charts = self.compiler.compile(&conditions, &mut self.surveys);
        (self.snapshot(0, charts, &conditions, Arc::default()), conditions)
    }

    /// The snapshot of `charts`, which were compiled under `conditions`.
    pub(super) fn snapshot(
        &self,
        generation: u64,
        charts: Vec<Arc<Chart>>,
        conditions: &Conditions,
        identity: Arc<Identity>,
    ) -> Snapshot {
        Snapshot {
            generation,
            zones: Arc::clone(&self.zones),
            charts,
            turn_counters: self.compiler.turn_counters(),
            identity,
            topology: Arc::clone(&self.topology),
            standings: conditions.standings.clone().into(),
        }
    }

    /// The databases that charts are compiled with.
    pub fn databases(&self) -> &Arc<crate::geo::Databases> {
        self.databases.databases()
    }
}

pub(super) fn load(locations: &Locations, previous: Previous, colours: Colours) -> Result<Loaded, Refusal> {
    let mut sources = Sources::read(locations);
    sources.keep_databases(previous.databases.iter().map(|file| file.path.clone()).collect());
    let fingerprint = fingerprint(&sources);
    let (config, warnings) = Config::load(&sources).map_err(|found| Refusal {
        lines: found.lines().collect(),
        rendered: found.render(colours),
        fingerprint,
    })?;
    let warnings = warnings.lines().collect();
    compile(sources, config, warnings, previous, fingerprint)
}

fn compile(
    sources: Sources,
    mut config: Config,
    warnings: Vec<String>,
    previous: Previous,
    fingerprint: u64,
) -> Result<Loaded, Refusal> {
    let started = Instant::now();
    let refused = |lines, rendered| Refusal { lines, rendered, fingerprint };
    let paths: Vec<PathBuf> = database_paths(&config, &previous.databases);
    let databases = previous.databases.refreshed(&paths).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        refused(lines, problems.iter().map(DatabaseProblem::render).collect())
    })?;
    let same_databases = Arc::ptr_eq(databases.databases(), previous.databases.databases());
    if same_databases && fingerprint == previous.fingerprint {
        return Ok(Loaded::Unchanged(databases));
    }
    let interests = interests(&sources, &paths);
    // Nothing below looks at the files' text.
    drop(sources);
    let topology = Arc::new(std::mem::take(&mut config.topology));
    let (zones, summaries, serials) = zones(&mut config.zones, &topology, &previous.serials)
        .map_err(|lines| refused(lines.clone(), lines.iter().map(|line| format!("error: {line}\n")).collect()))?;
    let mut surveys = if same_databases { previous.surveys } else { Surveys::default() };
    let compiler = Compiler::new(Arc::clone(&topology), databases.databases(), &mut surveys);
    tracing::info!(
        zones = zones.list().len(),
        services = topology.services.len(),
        targets = topology.probes.len(),
        ms = started.elapsed().as_millis() as u64,
        "configuration compiled"
    );
    Ok(Loaded::World(Box::new(World {
        warnings: warnings.into_iter().chain(lapsed(&config, &topology)).collect(),
        interests,
        zones: Arc::new(zones),
        config,
        topology,
        summaries,
        compiler,
        surveys,
        databases,
        serials,
        fingerprint,
    })))
}

/// States that have ended by their `until` while the file still names them.
fn lapsed(config: &Config, topology: &Topology) -> Vec<String> {
    let now = unix_now();
    let has_ended = |until: Option<i64>| until.is_some_and(|until| until <= now);
    let with_origin = topology.datacenters.iter().zip(&config.datacenter_origins);
    let ended = with_origin.filter(|(datacenter, _)| datacenter.state != State::Active && has_ended(datacenter.until));
    ended
        .map(|(datacenter, origin)| {
            let (name, word) = (&datacenter.name, datacenter.state.word());
            let help = "write state = \"active\" and take `until` away, or write a later one";
            format!("{origin}: datacenter {name:?} was {word} until a time that has passed: it counts as active (help: {help})")
        })
        .collect()
}

/// The databases named, and those found earlier in a directory that they have vanished from: a file that goes away takes
/// nobody's geography with it.
fn database_paths(config: &Config, in_use: &DatabaseFiles) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = config.geoip.iter().map(|database| database.path.clone()).collect();
    let is_by_name = config.geoip.iter().any(|database| database.origin.is_some());
    if !is_by_name {
        paths.extend(
            in_use
                .iter()
                .map(|file| file.path.clone())
                .filter(|path| !paths.contains(path) && !path.exists())
                .collect::<Vec<_>>(),
        );
    }
    paths
}

fn interests(sources: &Sources, databases: &[PathBuf]) -> Vec<Interest> {
    let locations = sources.locations();
    let zones = sources.zones_directory().to_owned();
    let config = locations.config.clone().unwrap_or_else(|| "portolan.toml".into());
    let found_in = config.parent().map(|base| base.join("geoip")).unwrap_or_else(|| "geoip".into());
    let mut interests = vec![Interest::Entry(zones.clone()), Interest::Tree(zones), Interest::Entry(config)];
    if locations.geoip.is_empty() {
        interests.push(Interest::Tree(found_in));
    }
    interests.extend(databases.iter().cloned().map(Interest::Entry));
    interests
}

type BuiltZones = (Zones, Vec<ZoneSummary>, HashMap<Name, SavedSerial>);

fn zones(
    configs: &mut [ZoneConfig],
    topology: &Topology,
    old_serials: &HashMap<Name, SavedSerial>,
) -> Result<BuiltZones, Vec<String>> {
    let mut errors = Vec::new();
    let mut built = Vec::with_capacity(configs.len());
    let mut summaries = Vec::with_capacity(configs.len());
    let mut serials = HashMap::new();
    for config in configs {
        let serial = serial(config.serial, old_serials.get(&config.apex));
        if let SerialSource::FromContent { hash, .. } = config.serial {
            serials.insert(config.apex.clone(), SavedSerial { content: hash, serial });
        }
        summaries.push(ZoneSummary { serial, records: config.record_count(), services: 0 });
        match config.take_zone(serial) {
            Ok(zone) => built.push(Arc::new(zone)),
            Err(why) => errors.extend(why.into_iter().map(|why| format!("{}: {why}", config.origin))),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let services: Vec<(Name, ZoneId, ServiceId)> = topology
        .services
        .iter()
        .zip(0..)
        .map(|(service, id)| (service.name.clone(), service.zone, ServiceId(id)))
        .collect();
    for (_, zone, _) in &services {
        summaries[zone.index()].services += 1;
    }
    Ok((Zones::build(built, &services), summaries, serials))
}

/// The SOA's serial: the file's own; or the one that this content had before; or, for new content, when it was written,
/// and always greater than the one before (RFC 1982).
fn serial(source: SerialSource, old: Option<&SavedSerial>) -> u32 {
    match source {
        SerialSource::Own(serial) => serial,
        SerialSource::FromContent { hash, newest } => {
            let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
            let written = newest.and_then(since_1970).map_or_else(|| unix_now() as u32, |since| since.as_secs() as u32);
            match old {
                Some(old) if old.content == hash => old.serial,
                Some(old) if (written.wrapping_sub(old.serial) as i32) <= 0 => old.serial.wrapping_add(1),
                _ => written,
            }
        }
    }
}

/// Tells one reading of the files from another.
fn fingerprint(sources: &Sources) -> u64 {
    use std::hash::{BuildHasher, Hash, Hasher};
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    for file in sources.files() {
        file.path.hash(&mut hasher);
        file.content.as_ref().ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_follows_the_content_and_never_goes_back() {
        let at = |secs: u64| Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(secs));
        let content = |hash, secs| SerialSource::FromContent { hash, newest: at(secs) };
        let old = SavedSerial { content: 1, serial: 1000 };
        for (source, old, serial_then, why) in [
            (content(1, 2000), None, 2000, "a zone never seen before"),
            (content(1, 2000), Some(&old), 1000, "touched, not changed"),
            (content(2, 2000), Some(&old), 2000, "changed"),
            (content(2, 500), Some(&old), 1001, "changed to an older file"),
            (SerialSource::Own(7), Some(&old), 7, "the file's own word"),
        ] {
            assert_eq!(serial(source, old), serial_then, "{why}");
        }
    }
}
