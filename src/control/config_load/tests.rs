//! Loads of files on the disk that go on from a configuration in force.

use std::fs;

use super::*;
use crate::control::serials::Completeness;

const ZONE: &str =
    "[zone.\"x.test\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@x.test\"\n";
const SERVICES: &str = "[service.\"www.x.test\"]\npool = \"web\"\nttl = 30\n[service.\"api.x.test\"]\npool = \"web\"\n";
const PLACES: &str = "# the places\n[datacenter.fra]\nstate = \"active\"\n[datacenter.iad]\n";
const POOLS: &str = "[pool.web]\nmembers = [{ addresses = [\"192.0.2.1\"], datacenter = \"fra\" }, { addresses = [\"192.0.2.2\"] }]\n";

/// A zones directory, and the world that was made of it last.
struct ReloadFixture {
    directory: tempfile::TempDir,
    world: LoadedConfig,
}

impl ReloadFixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join("zones").join(name), text).unwrap();
        }
        let world = LoadedConfig::load(&locations(directory.path()), Colours::Plain)
            .unwrap_or_else(|refusal| panic!("{}", refusal.rendered));
        Self { directory, world }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join("zones").join(name), text).unwrap();
    }

    fn previous(&self) -> ReloadBase {
        ReloadBase {
            databases: self.world.databases.clone(),
            serials: Some(EarlierSerials {
                serials: self.world.serials.clone(),
                completeness: Completeness::Complete,
            }),
            last_good: Arc::clone(&self.world.last_good),
            applied: Some(self.world.applied()),
            ..ReloadBase::default()
        }
    }

    fn load(&self, previous: ReloadBase) -> LoadedConfig {
        match load(
            &locations(self.directory.path()),
            previous,
            ReloadTrigger::FileChange,
            Colours::Plain,
        ) {
            Ok(ReloadOutcome::Config(world)) => *world,
            other => panic!("{other:?}"),
        }
    }

    /// Loads what differs. The result equals that of a load which knows nothing but the serials and
    /// the last good files.
    fn reload(&mut self) -> LoadMode {
        let world = self.load(self.previous());
        let referee = self.load(ReloadBase { applied: None, ..self.previous() });
        assert!(matches!(referee.config.load_mode, LoadMode::Full { .. }));
        let origins = |world: &LoadedConfig| format!("{:?}", world.config.datacenter_origins);
        let zones = |world: &LoadedConfig| {
            let list = world.zones.list().iter();
            let zones = list
                .map(|zone| (zone.apex.clone(), zone.serial(), zone.node_count()))
                .collect::<Vec<_>>();
            (zones, world.zone_summaries.to_vec(), world.serials.clone())
        };
        let outlook = |world: &LoadedConfig| {
            (world.hold_report.held.clone(), world.hold_report.held_removal.clone())
        };
        let topology = |world: &LoadedConfig| {
            format!(
                "{:?} {:?} {:?}",
                world.topology.datacenters, world.topology.pools, world.topology.services
            )
        };
        assert_eq!(topology(&world), topology(&referee));
        assert_eq!(origins(&world), origins(&referee));
        assert_eq!(zones(&world), zones(&referee));
        assert_eq!(outlook(&world), outlook(&referee));
        assert_eq!(world.warnings, referee.warnings);
        assert_eq!(world.last_good.inventory, referee.last_good.inventory);
        self.world = world;
        self.world.config.load_mode
    }
}

fn locations(directory: &Path) -> SourceOptions {
    SourceOptions { zones: Some(directory.join("zones")), ..SourceOptions::default() }
}

fn fixture() -> ReloadFixture {
    ReloadFixture::new(&[
        ("a-zone.toml", ZONE),
        ("b-services.toml", SERVICES),
        ("c-places.toml", PLACES),
        ("d-pools.toml", POOLS),
    ])
}

#[test]
fn an_edit_of_a_service_reads_its_table_and_gives_the_zone_another_serial() {
    let mut site = fixture();
    let before = site.world.zones.list()[0].serial();
    site.write("b-services.toml", &SERVICES.replace("ttl = 30", "ttl = 60"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_eq!(site.world.topology.services[1].ttl_secs, 60);
    assert_ne!(site.world.zones.list()[0].serial(), before);
    // And back again, which is a new edition too.
    let between = site.world.zones.list()[0].serial();
    site.write("b-services.toml", SERVICES);
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_ne!(site.world.zones.list()[0].serial(), between);
}

#[test]
fn a_drain_reads_the_datacenters_table_and_leaves_zones_and_pools_shared() {
    let mut site = fixture();
    let (zones, pools) = (Arc::clone(&site.world.zones), site.world.topology.pools.clone());
    site.write("c-places.toml", &PLACES.replace("active", "draining"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert!(Arc::ptr_eq(&zones, &site.world.zones), "a drain is no new edition of a zone");
    assert!(pools.iter().zip(&site.world.topology.pools).all(|(old, new)| Arc::ptr_eq(old, new)));
}

#[test]
fn a_datacenter_is_found_in_its_file_after_an_amendment_moved_it() {
    let mut site = fixture();
    let text =
        PLACES.replace("# the places\n", "# the places\n# of this network, each\n# with a state\n");
    site.write("c-places.toml", &text);
    assert_eq!(site.reload(), LoadMode::Amended { tables: 0 });
    let origins = &site.world.config.datacenter_origins;
    assert_eq!([&text[origins[0].span.clone()], &text[origins[1].span.clone()]], ["fra", "iad"]);
    assert_eq!([origins[0].line, origins[1].line], [4, 6]);
}

#[test]
fn a_file_with_errors_is_held_beside_an_amendment_and_amended_once_it_is_repaired() {
    let mut site = fixture();
    site.write("d-pools.toml", &POOLS.replace("192.0.2.1", "192.0.2.300"));
    site.write("b-services.toml", &SERVICES.replace("ttl = 30", "ttl = 60"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_eq!(site.world.hold_report.held.len(), 1);
    site.write("c-places.toml", &PLACES.replace("active", "draining"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 }, "while the file is held");
    site.write("d-pools.toml", &POOLS.replace("192.0.2.1", "192.0.2.30"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert!(site.world.hold_report.held.is_empty());
    assert_eq!(&*site.world.topology.endpoints[0].name, "192.0.2.30");
}

#[test]
fn a_new_table_is_a_load_in_full_and_the_next_edit_an_amendment_of_that() {
    let mut site = fixture();
    let more = format!("{SERVICES}[service.\"new.x.test\"]\npool = \"web\"\n");
    site.write("b-services.toml", &more);
    assert_eq!(site.reload(), LoadMode::Full { tables: 7 });
    site.write("b-services.toml", &more.replace("ttl = 30", "ttl = 90"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
}

#[test]
fn files_that_say_what_they_said_are_no_load() {
    let site = fixture();
    site.write("b-services.toml", SERVICES);
    let loaded = load(
        &locations(site.directory.path()),
        site.previous(),
        ReloadTrigger::FileChange,
        Colours::Plain,
    );
    assert!(matches!(loaded, Ok(ReloadOutcome::Unchanged(..))), "{loaded:?}");
}
