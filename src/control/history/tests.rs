//! Answers of random moments, repeated from what was recorded, equal those that were given.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::{
    History, PublishedConditions, PublishedConfiguration, ReplayBase, ReplayError,
    difference::{Facts, conditions, facts},
    fact::{FactKey, FactValue},
    names::NameTable,
    past,
    record::{HistoryGap, HistoryRecord},
    recorder::HistoryRecorder,
    shared::SharedHistory,
};
use crate::{
    config::{Colours, SourceOptions},
    control::{
        LoadedConfig,
        config_load::{self, ReloadBase, ReloadOutcome, ReloadTrigger},
        journal::{Event, EventFilter, EventKind, Journal, list_segments},
        saved_serials::{Completeness, EarlierSerials},
    },
    engine::{self, ExplainRequest, Explanation, SnapshotContext},
    health::{HealthStatus, Verdict},
    steer::{
        ClientGroup, Conditions, DatacenterId, EndpointId, FailbackProgress, Fraction,
        HealthOverride, Override, OverrideSet, OverrideSubject, OverrideValue, PoolId,
        ResolvedAlias, ServingState,
    },
};

const ZONE: &str = r#"
[zone."x.test"]
nameservers = ["ns1.example.com"]
hostmaster = "h@x.test"
[datacenter.fra]
region = "eu"
[datacenter.iad]
[datacenter.nrt]
[monitor.web]
http = { host = "www.x.test" }
[monitor.tcp]
tcp = { port = 80 }
"#;

/// Services of all policies that need no database. `variant` changes pools, members and names.
fn services(variant: usize) -> String {
    let ttl = 20 + variant % 7;
    let member = |host: usize, datacenter: &str, monitor: &str| {
        format!(
            "{{ addresses = [\"192.0.2.{host}\", \"2001:db8::{host}\"], datacenter = \"{datacenter}\", monitor = \"{monitor}\" }}"
        )
    };
    let (fra, iad) = (member(1, "fra", "web"), member(2, "iad", "web"));
    let (nrt, other) = (member(3, "nrt", "tcp"), member(4 + variant % 3, "fra", "tcp"));
    let extra = match variant % 3 {
        0 => String::new(),
        _ => format!("[pool.extra{variant}]\nmembers = [{nrt}, {other}]\n"),
    };
    let first = match variant % 2 {
        0 => format!("{fra}, {iad}, {nrt}"),
        _ => format!("{nrt}, {fra}"),
    };
    format!(
        r#"{extra}
[pool.web]
members = [{first}]
spread = "client"
[pool.backup]
policy = "failover"
failback = "manual"
members = [{iad}, {other}, {nrt}]
[service."www.x.test"]
pool = "web"
ttl = {ttl}
[service."api.x.test"]
pool = "backup"
[service."all.x.test"]
members = [{fra}, {iad}, {other}]
answers = 2
[service."lb.x.test"]
members = [{{ alias = "lb.example.net", datacenter = "fra" }}, {iad}]
[service."old.x.test"]
members = [{{ cname = "www.x.test" }}]
"#
    )
}

/// A configuration that is loaded again and again, with conditions that change at random.
struct HistoryBench {
    directory: tempfile::TempDir,
    loaded: LoadedConfig,
    configuration: Arc<PublishedConfiguration>,
    conditions: Conditions,
    journal: Journal,
    history: History,
    time_ms: i64,
    generation: u64,
    random: fastrand::Rng,
}

/// An answer that was given.
struct GivenAnswer {
    time_ms: i64,
    request: ExplainRequest,
    explanation: Explanation,
    facts: Facts,
}

fn locations(directory: &Path) -> SourceOptions {
    SourceOptions { zones: Some(directory.join("zones")), ..SourceOptions::default() }
}

impl HistoryBench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        fs::write(directory.path().join("zones/a.toml"), ZONE).unwrap();
        fs::write(directory.path().join("zones/b.toml"), services(0)).unwrap();
        let loaded = LoadedConfig::load(&locations(directory.path()), Colours::Plain)
            .unwrap_or_else(|refusal| panic!("{}", refusal.rendered));
        let journal = Journal::start(directory.path().join("journal")).unwrap();
        let history = History::start(directory.path().join("history"), journal.clone()).unwrap();
        Self {
            configuration: Arc::new(PublishedConfiguration::of(&loaded)),
            conditions: Conditions::unprobed(&loaded.topology, 0),
            directory,
            loaded,
            journal,
            history,
            time_ms: 1_800_000_000_000,
            generation: 0,
            random: fastrand::Rng::with_seed(7),
        }
    }

    /// Loads another variant of the services, as a reload does.
    fn reload(&mut self, variant: usize) {
        fs::write(self.directory.path().join("zones/b.toml"), services(variant)).unwrap();
        let compiled = self.loaded.compiler.compile(&self.conditions, &mut self.loaded.surveys);
        let base = ReloadBase {
            compiled: Some(compiled),
            serials: Some(EarlierSerials {
                serials: self.loaded.serials.clone(),
                completeness: Completeness::Complete,
            }),
            last_good: Arc::clone(&self.loaded.last_good),
            applied: Some(self.loaded.applied()),
            overrides: Arc::clone(&self.loaded.overrides),
            ..ReloadBase::default()
        };
        let (locations, trigger) = (locations(self.directory.path()), ReloadTrigger::Operator);
        match config_load::load(&locations, base, trigger, Colours::Plain) {
            Ok(ReloadOutcome::Config(loaded)) => {
                self.conditions =
                    self.conditions.carried_over(&self.loaded.topology, &loaded.topology, 0);
                // Feedback forgets pools and members that are gone; so does this.
                self.conditions.adjustments = Default::default();
                self.conditions.recovering = BTreeMap::new();
                self.loaded = *loaded;
                self.configuration = Arc::new(PublishedConfiguration::of(&self.loaded));
            }
            Ok(ReloadOutcome::Unchanged(..)) => {}
            Err(refusal) => panic!("{}", refusal.rendered),
        }
    }

    /// Sets an override at random, or removes all.
    fn set_override(&mut self) {
        let random = &mut self.random;
        let mut overrides = OverrideSet::clone(&self.loaded.overrides);
        let (pool, member) = ("web".into(), "192.0.2.1".into());
        let subject = match random.u8(0..4) {
            0 => OverrideSubject::Region("eu".into()),
            1 => OverrideSubject::Datacenter("iad".into()),
            2 => OverrideSubject::Pool("backup".into()),
            _ => OverrideSubject::Member { pool, member },
        };
        let value = match random.u8(0..6) {
            0 => OverrideValue::State(ServingState::Draining),
            1 => OverrideValue::State(ServingState::Disabled),
            2 => OverrideValue::State(ServingState::Active),
            3 => OverrideValue::Force(HealthOverride::Down),
            4 => OverrideValue::Force(HealthOverride::Up),
            _ => OverrideValue::Weight(random.u16(0..9)),
        };
        match random.u8(0..4) {
            0 => overrides = OverrideSet::default(),
            _ => overrides.set(Override {
                subject,
                value,
                author: "ada".into(),
                peer: None,
                reason: Some("test".into()),
                set_at: 0,
                starts: None,
                ends: None,
                over: None,
                hold: None,
                accepted: Vec::new(),
            }),
        }
        let before = Arc::clone(&self.loaded.topology);
        self.loaded.apply_overrides(Arc::new(overrides), 1);
        let after = &self.loaded.topology;
        self.conditions = self.conditions.carried_over(&before, after, 1);
        self.configuration = Arc::new(PublishedConfiguration::of(&self.loaded));
    }

    /// Changes one condition at random.
    fn change(&mut self) {
        let topology = Arc::clone(&self.loaded.topology);
        let random = &mut self.random;
        let Conditions { datacenters, health_statuses, aliases, adjustments, recovering } =
            &mut self.conditions;
        let pool = PoolId(random.u32(0..topology.pools.len() as u32));
        let members = topology.pools[pool.index()].members.len() as u16;
        let fraction = Fraction::from_share(f64::from(random.u32(0..1024)) / 1024.0);
        let datacenter = DatacenterId(random.u32(0..topology.datacenters.len() as u32));
        let is_removal = random.u8(0..3) == 0;
        match random.u8(0..14) {
            0..=4 => {
                let verdicts = [Verdict::Unknown, Verdict::Up, Verdict::Up, Verdict::Down];
                let at = random.usize(0..health_statuses.len());
                health_statuses[at] = HealthStatus {
                    verdict: verdicts[random.usize(0..4)],
                    flips_in_secs: random.bool().then(|| random.u32(1..60)),
                    is_pending: random.u8(0..10) == 0,
                    is_held: false,
                };
            }
            5 | 6 => {
                use ServingState::{Active, Disabled, Draining, Standby};
                let states = [Active, Active, Standby, Draining, Disabled];
                datacenters[datacenter.index()] = states[random.usize(0..5)];
            }
            7 => {
                let address = std::net::IpAddr::from([203, 0, 113, random.u8(..)]);
                let list = if is_removal { Vec::new() } else { vec![address] };
                aliases[0] = Arc::new(ResolvedAlias::new(list, random.u32(1..300)));
            }
            8 if is_removal => adjustments.datacenter_fractions.clear(),
            8 => drop(adjustments.datacenter_fractions.insert(datacenter, fraction)),
            9 if is_removal => adjustments.endpoint_fractions.clear(),
            9 => {
                let endpoint = EndpointId(random.u32(0..topology.endpoints.len() as u32));
                adjustments.endpoint_fractions.insert(endpoint, fraction);
            }
            10 if is_removal => adjustments.holders.clear(),
            10 => drop(adjustments.holders.insert(pool, random.u16(0..members))),
            11 if is_removal => adjustments.kept_fractions.clear(),
            11 => drop(adjustments.kept_fractions.insert(pool, fraction)),
            12 if members > 1 => {
                let progress = FailbackProgress { from: 1, to: 0, fraction };
                adjustments.failbacks.insert(pool, progress);
            }
            _ => {
                let members: Box<[u16]> = (0..members).collect();
                let group = ClientGroup { pool, members, is_strict: false };
                match is_removal {
                    true => drop(recovering.remove(&group)),
                    false => drop(recovering.insert(group, random.u32(1..100))),
                }
                let weights: Vec<u32> = (0..topology.pools[pool.index()].members.len())
                    .map(|_| random.u32(0..1024))
                    .collect();
                adjustments.weights.insert(pool, weights.into());
            }
        }
    }

    fn publish(&mut self) {
        self.time_ms += self.random.i64(1..2000);
        self.generation += 1;
        self.history.publish(PublishedConditions {
            time_ms: self.time_ms,
            generation: self.generation,
            conditions: Arc::new(self.conditions.clone()),
            configuration: Arc::clone(&self.configuration),
            causes: Vec::new(),
        });
    }

    fn request(&mut self) -> ExplainRequest {
        let names =
            ["www.x.test", "api.x.test", "all.x.test", "lb.x.test", "old.x.test", "no.x.test"];
        ExplainRequest {
            name: names[self.random.usize(0..names.len())].parse().unwrap(),
            rtype: ["A", "AAAA"][self.random.usize(0..2)].parse().unwrap(),
            client: [198, 51, 100, self.random.u8(..)].into(),
            subnet: None,
            seed: self.random.u64(..),
        }
    }

    /// The answer that a client gets now.
    fn answer(&mut self) -> GivenAnswer {
        let request = self.request();
        let charts = self.loaded.compiler.compile(&self.conditions, &mut self.loaded.surveys);
        let snapshot = self.loaded.snapshot(self.generation, &charts, Arc::default());
        let context = SnapshotContext {
            snapshot: &snapshot,
            databases: self.loaded.databases(),
            conditions: &self.conditions,
        };
        let explanation = engine::explain(&context, &request).unwrap();
        let names = NameTable::new(&self.loaded.topology, &self.loaded.numbering);
        let facts = facts(&names, &self.conditions);
        GivenAnswer { time_ms: self.time_ms, request, explanation, facts }
    }

    fn base(&self) -> ReplayBase {
        ReplayBase {
            locations: locations(self.directory.path()),
            configuration: Arc::clone(&self.configuration),
            compiler: Arc::clone(&self.loaded.compiler),
            surveys: self.loaded.surveys.clone(),
            zones: Arc::clone(&self.loaded.zones),
            databases: Arc::clone(self.loaded.databases()),
        }
    }

    fn records(&self) -> std::path::PathBuf {
        self.directory.path().join("history")
    }
}

#[tokio::test]
async fn answers_of_random_moments_among_10_000_events_are_repeated_exactly() {
    let mut bench = HistoryBench::new();
    let mut given = Vec::new();
    for event in 1..=10_000 {
        match event % 400 {
            0 => bench.reload(event / 400),
            number if number % 50 == 0 => bench.set_override(),
            _ => bench.change(),
        }
        bench.publish();
        if bench.random.u8(0..80) == 0 {
            given.push(bench.answer());
        }
        if event % 32 == 0 {
            bench.history.flush().await;
        }
    }
    bench.history.flush().await;
    assert!(given.len() > 80 && list_segments(&bench.records()).len() == 1);
    for GivenAnswer { time_ms, request, explanation, facts } in given {
        let moment = past::find(&bench.records(), time_ms).unwrap();
        assert_eq!(moment.facts, facts, "{time_ms}");
        let (replay, repeated) = bench
            .history
            .explain_at(bench.base(), &request, time_ms)
            .unwrap_or_else(|error| panic!("{time_ms}: {error}"));
        // A snapshot that differs in nothing from the one before has no record of its own.
        assert!(repeated.generation <= explanation.generation);
        let repeated = Explanation { generation: explanation.generation, ..repeated };
        assert_eq!(repeated, explanation, "{} {}", request.name, request.rtype);
        assert!(replay.notes.is_empty(), "{replay:?}");
    }
}

#[test]
fn every_kind_of_condition_is_the_same_after_it_was_a_fact() {
    let mut bench = HistoryBench::new();
    let names = NameTable::new(&bench.loaded.topology, &bench.loaded.numbering);
    for _ in 0..500 {
        bench.change();
        let facts = facts(&names, &bench.conditions);
        let line = serde_json::to_string(&facts.iter().collect::<Vec<_>>()).unwrap();
        let read: Vec<(FactKey, FactValue)> = serde_json::from_str(&line).unwrap();
        let again = conditions(&names, &read.into_iter().collect()).unwrap();
        // An alias without addresses has one form, whatever its TTL was.
        assert_eq!(again, bench.conditions);
    }
}

#[tokio::test]
async fn what_differs_between_snapshots_is_in_the_journal() {
    let mut bench = HistoryBench::new();
    bench.publish();
    bench.conditions.health_statuses[0].verdict = Verdict::Down;
    bench.conditions.datacenters[1] = ServingState::Draining;
    bench.publish();
    bench.reload(1);
    bench.publish();
    bench.history.flush().await;
    bench.journal.flush().await;
    let events: Vec<Event> = bench
        .journal
        .find(&EventFilter::default(), 99)
        .events
        .into_iter()
        .map(|entry| entry.event)
        .collect();
    let of = |kind: EventKind| events.iter().find(|event| event.kind == kind).unwrap();
    let (health, state) = (of(EventKind::Health), of(EventKind::State));
    assert_eq!(health.subject, "web 192.0.2.2");
    assert_eq!(
        (health.before.as_deref(), health.after.as_deref()),
        (Some("unknown"), Some("down"))
    );
    assert_eq!((state.subject.as_str(), state.generation), ("iad", Some(2)));
    assert_eq!(state.after.as_deref(), Some("draining"));
    let configurations: Vec<&Event> =
        events.iter().filter(|event| event.kind == EventKind::Configuration).collect();
    let [first, second] = configurations[..] else { panic!("{events:?}") };
    assert_eq!(first.after, second.before);
    assert!(second.cause.as_ref().unwrap().contains("changed: "), "{second:?}");
    assert!(second.cause.as_ref().unwrap().contains("zones/b.toml"), "{second:?}");
}

#[tokio::test]
async fn a_time_that_was_not_recorded_is_an_error_and_a_restart_is_a_note() {
    let mut bench = HistoryBench::new();
    let request = bench.request();
    let error = |found: Result<_, ReplayError>| found.map(|_| ()).unwrap_err().to_string();
    let explain =
        |bench: &HistoryBench, time_ms| bench.history.explain_at(bench.base(), &request, time_ms);
    assert!(error(explain(&bench, 0)).contains("no history is recorded yet"));
    bench.publish();
    let first = bench.time_ms;
    bench.conditions.health_statuses[0].verdict = Verdict::Down;
    bench.publish();
    bench.history.flush().await;
    assert!(error(explain(&bench, first - 1)).starts_with("history begins at 2027-01-15T08:00:0"));
    // The next run of the program begins with a record of all conditions.
    bench.history = History::start(bench.records(), bench.journal.clone()).unwrap();
    let last = bench.time_ms;
    bench.publish();
    bench.history.flush().await;
    let (replay, _) = explain(&bench, last).unwrap();
    assert!(replay.notes[0].starts_with("the server stopped after "), "{replay:?}");
    assert!(explain(&bench, bench.time_ms).unwrap().0.notes.is_empty());
    // Records of which some were lost.
    let gap = HistoryRecord {
        time_ms: bench.time_ms + 1000,
        is_complete: true,
        gap: Some(HistoryGap::Lost),
        ..HistoryRecord::default()
    };
    fs::write(bench.records().join("0099.jsonl"), gap.line()).unwrap();
    assert!(error(explain(&bench, bench.time_ms)).starts_with("the time is not recorded"));
}

#[test]
fn after_a_failure_all_facts_are_written_and_the_time_between_is_not_recorded() {
    let mut bench = HistoryBench::new();
    let directory = bench.directory.path().join("other");
    // A file in the place of the directory: even root cannot write there.
    fs::write(&directory, "").unwrap();
    let shared = Arc::new(SharedHistory::new(directory.clone()));
    let mut recorder = HistoryRecorder::open(Arc::clone(&shared), bench.journal.clone());
    let published = |bench: &HistoryBench, time_ms| PublishedConditions {
        time_ms,
        generation: 1,
        conditions: Arc::new(bench.conditions.clone()),
        configuration: Arc::clone(&bench.configuration),
        causes: Vec::new(),
    };
    recorder.record(published(&bench, 1000));
    assert!(shared.unsaved().as_ref().unwrap().contains("help: "));
    fs::remove_file(&directory).unwrap();
    bench.conditions.health_statuses[0].verdict = Verdict::Down;
    recorder.record(published(&bench, 2000));
    assert!(list_segments(&directory).is_empty(), "the next attempt is 10 s later");
    recorder.retry();
    assert_eq!(*shared.unsaved(), None);
    let moment = past::find(&directory, i64::MAX).unwrap();
    assert_eq!(moment.facts.len(), 1, "{moment:?}");
    // The directory is removed during the run.
    fs::remove_dir_all(&directory).unwrap();
    bench.conditions.health_statuses[1].verdict = Verdict::Down;
    recorder.record(published(&bench, 3000));
    assert_eq!(past::find(&directory, i64::MAX).unwrap().facts.len(), 2);
    assert!(matches!(past::find(&directory, 2999), Err(ReplayError::BeforeHistory(3000))));
}

#[tokio::test]
async fn a_half_written_or_lost_file_never_gives_another_answer() {
    let mut bench = HistoryBench::new();
    let request = bench.request();
    bench.publish();
    let first = bench.time_ms;
    bench.conditions.health_statuses[0].verdict = Verdict::Down;
    bench.publish();
    bench.reload(1);
    bench.publish();
    bench.history.flush().await;
    let (_, path) = list_segments(&bench.records()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let replayed = |bench: &HistoryBench, time_ms| {
        bench
            .history
            .explain_at(bench.base(), &request, time_ms)
            .map(|(_, answer)| answer.generation)
    };
    assert_eq!(replayed(&bench, first).unwrap(), 1);
    assert_eq!(replayed(&bench, bench.time_ms).unwrap(), 2, "the record of the third is cut off");
    // A record in the middle is damaged: those after it are not guessed.
    let damaged =
        String::from_utf8(whole).unwrap().replacen("\"generation\":2", "\"generation\":x", 1);
    fs::write(&path, damaged).unwrap();
    assert_eq!(
        replayed(&bench, first).unwrap_err().to_string().split(':').next(),
        Some("the time is not recorded")
    );
    assert!(replayed(&bench, bench.time_ms).is_err());
    fs::write(&path, "").unwrap();
    assert!(matches!(replayed(&bench, first), Err(ReplayError::NoHistory)));
    bench.history = History::start(bench.records(), bench.journal.clone()).unwrap();
    bench.publish();
    let first = bench.time_ms;
    bench.reload(2);
    bench.publish();
    bench.history.flush().await;
    for entry in fs::read_dir(bench.records().join("configurations")).unwrap() {
        fs::write(entry.unwrap().path(), "x").unwrap();
    }
    let error = replayed(&bench, first).unwrap_err().to_string();
    assert!(error.contains("the configuration of that time cannot be read"), "{error}");
    assert!(error.contains("damaged"), "{error}");
}
