//! Loads of files on the disk that continue from a configuration in force.

use std::{fs, path::Path, sync::Arc};

use super::*;
use crate::{
    config::{Colours, LoadMode, SourceOptions},
    control::saved_serials::{Completeness, EarlierSerials},
    steer::{Override, OverrideSet, OverrideSubject, OverrideValue, ServingState},
};

const ZONE: &str =
    "[zone.\"x.test\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@x.test\"\n";
const SERVICES: &str = "[service.\"www.x.test\"]\npool = \"web\"\nttl = 30\n[service.\"api.x.test\"]\npool = \"web\"\n";
const PLACES: &str = "# the places\n[datacenter.fra]\nstate = \"active\"\n[datacenter.iad]\n";
const POOLS: &str = "[pool.web]\nmembers = [{ addresses = [\"192.0.2.1\"], datacenter = \"fra\" }, { addresses = [\"192.0.2.2\"] }]\n";

/// A zones directory, and the configuration that was loaded from it last.
struct ReloadFixture {
    directory: tempfile::TempDir,
    loaded: LoadedConfig,
}

impl ReloadFixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join("zones").join(name), text).unwrap();
        }
        let loaded = LoadedConfig::load(&locations(directory.path()), Colours::Plain)
            .unwrap_or_else(|refusal| panic!("{}", refusal.rendered));
        Self { directory, loaded }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join("zones").join(name), text).unwrap();
    }

    fn base(&self) -> ReloadBase {
        ReloadBase {
            databases: self.loaded.databases.clone(),
            serials: Some(EarlierSerials {
                serials: self.loaded.serials.clone(),
                completeness: Completeness::Complete,
            }),
            last_good: Arc::clone(&self.loaded.last_good),
            applied: Some(self.loaded.applied()),
            overrides: Arc::clone(&self.loaded.overrides),
            ..ReloadBase::default()
        }
    }

    fn load(&self, base: ReloadBase) -> LoadedConfig {
        match load(
            &locations(self.directory.path()),
            base,
            ReloadTrigger::FileChange,
            Colours::Plain,
        ) {
            Ok(ReloadOutcome::Config(loaded)) => *loaded,
            other => panic!("{other:?}"),
        }
    }

    /// Loads the files after an edit. The result must equal that of a full load, which gets only
    /// the serials and the last good files of the configuration in force.
    fn reload(&mut self) -> LoadMode {
        let loaded = self.load(self.base());
        let referee = self.load(ReloadBase { applied: None, ..self.base() });
        assert!(matches!(referee.config.load_mode, LoadMode::Full { .. }));
        let origins = |loaded: &LoadedConfig| format!("{:?}", loaded.config.datacenter_origins);
        let zones = |loaded: &LoadedConfig| {
            let list = loaded.zones.list().iter();
            let zones = list
                .map(|zone| (zone.apex.clone(), zone.serial(), zone.node_count()))
                .collect::<Vec<_>>();
            (zones, loaded.zone_summaries.to_vec(), loaded.serials.clone())
        };
        let held = |loaded: &LoadedConfig| {
            (loaded.hold_report.held.clone(), loaded.hold_report.held_removal.clone())
        };
        let topology = |loaded: &LoadedConfig| {
            format!(
                "{:?} {:?} {:?}",
                loaded.topology.datacenters, loaded.topology.pools, loaded.topology.services
            )
        };
        assert_eq!(topology(&loaded), topology(&referee));
        assert_eq!(origins(&loaded), origins(&referee));
        assert_eq!(zones(&loaded), zones(&referee));
        assert_eq!(held(&loaded), held(&referee));
        assert_eq!(loaded.warnings, referee.warnings);
        assert_eq!(loaded.last_good.inventory, referee.last_good.inventory);
        self.loaded = loaded;
        self.loaded.config.load_mode
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
    let before = site.loaded.zones.list()[0].serial();
    site.write("b-services.toml", &SERVICES.replace("ttl = 30", "ttl = 60"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_eq!(site.loaded.topology.services[1].ttl_secs, 60);
    assert_ne!(site.loaded.zones.list()[0].serial(), before);
    // The old content is a new edition, too.
    let between = site.loaded.zones.list()[0].serial();
    site.write("b-services.toml", SERVICES);
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_ne!(site.loaded.zones.list()[0].serial(), between);
}

/// A drain of `fra` and another weight of its member.
fn overrides() -> Arc<OverrideSet> {
    let one = |subject, value| Override {
        subject,
        value,
        author: "anna".into(),
        peer: None,
        reason: None,
        set_at: 0,
        starts: None,
        ends: None,
        over: None,
        hold: None,
        accepted: Vec::new(),
    };
    let member = OverrideSubject::Member { pool: "web".into(), member: "192.0.2.1".into() };
    let drain = OverrideValue::State(ServingState::Draining);
    let overrides = [
        one(OverrideSubject::Datacenter("fra".into()), drain),
        one(member, OverrideValue::Weight(7)),
    ];
    Arc::new(overrides.into_iter().collect())
}

#[test]
fn a_load_applies_the_overrides_to_what_the_files_say_and_their_end_restores_it() {
    let mut site = fixture();
    let effective = |loaded: &LoadedConfig| {
        let weight = loaded.topology.pools[0].members[0].weight;
        (loaded.topology.datacenters[0].state.as_str(), weight)
    };
    assert_eq!(effective(&site.loaded), ("active", 1));
    site.loaded.apply_overrides(overrides(), 1);
    assert_eq!(effective(&site.loaded), ("draining", 7), "overrides that changed during a load");
    assert!(Arc::ptr_eq(site.loaded.compiler.topology(), &site.loaded.topology));
    // An amended and a full load continue from what the files say, not from what is effective.
    site.write("b-services.toml", &SERVICES.replace("ttl = 30", "ttl = 60"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_eq!(effective(&site.loaded), ("draining", 7));
    site.write("c-places.toml", &PLACES.replace("active", "disabled"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_eq!(effective(&site.loaded), ("draining", 7), "the override is before the file");
    site.loaded.apply_overrides(Arc::default(), 2);
    assert_eq!(effective(&site.loaded), ("disabled", 1), "the newest file");
    assert!(Arc::ptr_eq(&site.loaded.topology, &site.loaded.configured));
}

#[test]
fn a_drain_reads_the_datacenters_table_and_leaves_zones_and_pools_shared() {
    let mut site = fixture();
    let (zones, pools) = (Arc::clone(&site.loaded.zones), site.loaded.topology.pools.clone());
    site.write("c-places.toml", &PLACES.replace("active", "draining"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert!(Arc::ptr_eq(&zones, &site.loaded.zones), "a drain is no new edition of a zone");
    assert!(pools.iter().zip(&site.loaded.topology.pools).all(|(old, new)| Arc::ptr_eq(old, new)));
}

#[test]
fn the_position_of_a_datacenter_is_correct_after_an_amendment_moved_it() {
    let mut site = fixture();
    let text =
        PLACES.replace("# the places\n", "# the places\n# of this network, each\n# with a state\n");
    site.write("c-places.toml", &text);
    assert_eq!(site.reload(), LoadMode::Amended { tables: 0 });
    let origins = &site.loaded.config.datacenter_origins;
    assert_eq!([&text[origins[0].span.clone()], &text[origins[1].span.clone()]], ["fra", "iad"]);
    assert_eq!([origins[0].line, origins[1].line], [4, 6]);
}

#[test]
fn a_file_with_errors_is_held_during_amendments_and_amended_once_it_is_fixed() {
    let mut site = fixture();
    site.write("d-pools.toml", &POOLS.replace("192.0.2.1", "192.0.2.300"));
    site.write("b-services.toml", &SERVICES.replace("ttl = 30", "ttl = 60"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert_eq!(site.loaded.hold_report.held.len(), 1);
    site.write("c-places.toml", &PLACES.replace("active", "draining"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 }, "while the file is held");
    site.write("d-pools.toml", &POOLS.replace("192.0.2.1", "192.0.2.30"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    assert!(site.loaded.hold_report.held.is_empty());
    assert_eq!(&*site.loaded.topology.endpoints[0].name, "192.0.2.30");
}

#[test]
fn a_new_table_causes_a_full_load_and_the_next_edit_amends_that() {
    let mut site = fixture();
    let more = format!("{SERVICES}[service.\"new.x.test\"]\npool = \"web\"\n");
    site.write("b-services.toml", &more);
    assert_eq!(site.reload(), LoadMode::Full { tables: 7 });
    site.write("b-services.toml", &more.replace("ttl = 30", "ttl = 90"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
}

#[test]
fn unchanged_files_leave_the_configuration_as_it_is() {
    let site = fixture();
    site.write("b-services.toml", SERVICES);
    let loaded = load(
        &locations(site.directory.path()),
        site.base(),
        ReloadTrigger::FileChange,
        Colours::Plain,
    );
    assert!(matches!(loaded, Ok(ReloadOutcome::Unchanged(..))), "{loaded:?}");
}

#[test]
fn only_the_file_that_breaks_an_enforced_requirement_is_held() {
    let requirements = "[safety]\nenforce-asserts = true\n[[assert]]\nname = \"all clients get fra\"\n\
                        services = [\"*.x.test\"]\nclients = { all = true }\nonly = [\"fra\"]\n";
    let pools = POOLS.replace("192.0.2.2\"]", "192.0.2.2\"], datacenter = \"fra\"");
    let site = ReloadFixture::new(&[
        ("a-zone.toml", ZONE),
        ("b-services.toml", SERVICES),
        ("c-places.toml", PLACES),
        ("d-pools.toml", &pools),
        ("e-requirements.toml", requirements),
    ]);
    site.write("b-services.toml", &SERVICES.replace("ttl = 30", "ttl = 60"));
    site.write(
        "d-pools.toml",
        &pools.replace(
            "\"192.0.2.2\"], datacenter = \"fra\"",
            "\"192.0.2.2\"], datacenter = \"iad\"",
        ),
    );
    let base = || ReloadBase { requirements: RequirementPolicy::AsWritten, ..site.base() };
    let loaded = site.load(base());
    let held: Vec<_> =
        loaded.hold_report.held.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(held, ["d-pools.toml"]);
    assert!(loaded.hold_report.held[0].errors[0].contains("does not hold"));
    assert_eq!(loaded.topology.services[1].ttl_secs, 60);
    assert_eq!(loaded.topology.endpoints[1].datacenters, loaded.topology.endpoints[0].datacenters);
    // Where the requirement is new as well, its file is held.
    site.write("e-requirements.toml", &requirements.replace("\"fra\"", "\"iad\""));
    let loaded = site.load(base());
    let held: Vec<_> =
        loaded.hold_report.held.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(held, ["d-pools.toml", "e-requirements.toml"]);
}

#[test]
fn an_edit_beside_requirements_is_amended_and_an_edit_of_requirements_is_read_in_full() {
    let requirements = "[[assert]]\nname = \"all clients get fra\"\nservices = [\"www.x.test\"]\n\
                        clients = { all = true }\nonly = [\"fra\"]\n";
    let mut site = ReloadFixture::new(&[
        ("a-zone.toml", ZONE),
        ("b-services.toml", SERVICES),
        ("c-places.toml", PLACES),
        ("d-pools.toml", POOLS),
        ("e-requirements.toml", requirements),
    ]);
    let lines = |site: &ReloadFixture| {
        let config = &site.loaded.config;
        let list = &config.requirements.list;
        let violations = crate::steer::verify(&config.topology, site.loaded.databases(), list, 0);
        config.requirements.lines(&violations)
    };
    let found = lines(&site);
    assert!(
        found[0].contains("e-requirements.toml:2:8: ") && found[0].contains("got 192.0.2.2 "),
        "{found:?}"
    );
    site.write("d-pools.toml", &POOLS.replace("192.0.2.2", "192.0.2.22"));
    assert_eq!(site.reload(), LoadMode::Amended { tables: 1 });
    let found = lines(&site);
    assert!(
        found[0].contains("e-requirements.toml:2:8: ") && found[0].contains("got 192.0.2.22 "),
        "{found:?}"
    );
    site.write("e-requirements.toml", &format!("# what must hold\n{requirements}"));
    assert_eq!(site.reload(), LoadMode::Full { tables: 7 });
    assert!(lines(&site)[0].contains("e-requirements.toml:3:8: "), "{:?}", lines(&site));
}
