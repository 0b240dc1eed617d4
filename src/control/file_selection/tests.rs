//! Which files are held and which apply, in small configurations.

use proptest::prelude::*;

use super::*;
use crate::{config::SourceOptions, control::last_good::Inventory};

type FileTexts<'t> = Vec<(&'t str, &'t str)>;

const ZONE: &str =
    "[zone.\"x.test\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@x.test\"\n";
const PLACES: &str = "[datacenter.fra]\nstate = \"active\"\n[datacenter.iad]\n";
const POOLS: &str =
    "[pool.web]\nmembers = [{ datacenter = \"fra\", addresses = [\"192.0.2.1\"] }]\n";
const SERVICE: &str = "[service.\"www.x.test\"]\npool = \"web\"\n";

fn sources(files: &[(&str, &str)]) -> Sources {
    Sources::from_texts(&SourceOptions::default(), files.iter().copied())
}

/// The last good set of files that load.
fn good(files: &[(&str, &str)]) -> LastGood {
    let sources = sources(files);
    let (config, _) = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    let inventory = Inventory::of(&config);
    let read = config.master_files.clone();
    drop(config);
    LastGood::of(sources, &read, inventory, &LastGood::default())
}

fn base() -> FileTexts<'static> {
    vec![
        ("zones/places.toml", PLACES),
        ("zones/pools.toml", POOLS),
        ("zones/service.toml", SERVICE),
        ("zones/zone.toml", ZONE),
    ]
}

/// `files` with the changed ones in the place of those of the same path. An empty text removes a
/// file.
fn with_changes<'t>(mut files: FileTexts<'t>, changes: &[(&'t str, &'t str)]) -> FileTexts<'t> {
    files.retain(|(path, _)| !changes.iter().any(|(changed, _)| changed == path));
    files.extend(changes.iter().filter(|(_, text)| !text.is_empty()));
    files.sort_unstable();
    files
}

/// The paths that are held after `files` replace `good`, and the configuration that loads.
fn held(good: &LastGood, files: &[(&str, &str)]) -> (Vec<String>, Config) {
    let mut selection = FileSelection::new(sources(files), good, |_| false);
    let (config, _) = selection.find_loadable().unwrap_or_else(|errors| panic!("{errors}"));
    let held = selection.held();
    assert!(held.iter().all(|file| !file.errors.is_empty()), "{held:?}");
    (held.iter().map(|file| file.path.display().to_string()).collect(), config)
}

#[test]
fn a_file_with_errors_is_held_and_a_drain_in_another_applies() {
    let draining = PLACES.replace("active", "draining");
    for (broken, why) in [
        ("[pool.web]\nmembers = [{ addresses = [\"192.0.2.1\" }]\n", "syntax"),
        ("[pool.web]\nmembers = [{ addresses = [\"192.0.2.300\"] }]\n", "a value"),
        (
            "[pool.web]\nmembers = [{ datacenter = \"ams\", addresses = [\"192.0.2.1\"] }]\n",
            "a name never defined",
        ),
        (
            "[pool.other]\nmembers = [{ addresses = [\"192.0.2.1\"] }]\n",
            "a name that the service needs is gone",
        ),
        ("\u{0}", "no text"),
    ] {
        let files =
            with_changes(base(), &[("zones/pools.toml", broken), ("zones/places.toml", &draining)]);
        let (held, config) = held(&good(&base()), &files);
        assert_eq!(held, ["zones/pools.toml"], "{why}");
        assert_eq!(
            config.topology.datacenters[0].state,
            crate::steer::ServingState::Draining,
            "{why}"
        );
    }
}

#[test]
fn a_deleted_file_that_others_need_is_held() {
    for gone in ["zones/pools.toml", "zones/places.toml", "zones/zone.toml"] {
        let (held, config) = held(&good(&base()), &with_changes(base(), &[(gone, "")]));
        assert_eq!(held, [gone]);
        assert_eq!(config.topology.services.len(), 1);
    }
    let (held, config) = held(&good(&base()), &with_changes(base(), &[("zones/service.toml", "")]));
    assert!(held.is_empty() && config.topology.services.is_empty(), "nothing needs the service");
}

#[test]
fn a_name_may_move_between_files_and_is_kept_if_one_of_them_is_broken() {
    let both = [
        ("zones/pools.toml", ""),
        (
            "zones/service.toml",
            "[service.\"www.x.test\"]\npool = \"web\"\n[pool.web]\nmembers = [{ addresses = [\"192.0.2.2\"] }]\n",
        ),
    ];
    assert_eq!(held(&good(&base()), &with_changes(base(), &both)).0, [] as [&str; 0]);
    // The file that the pool moves to is broken: the file that it moved from is held.
    let broken = [both[0], ("zones/service.toml", "[service.\"www.x.test\"\n[pool.web]\n")];
    assert_eq!(
        held(&good(&base()), &with_changes(base(), &broken)).0,
        ["zones/pools.toml", "zones/service.toml"]
    );
    // The file that the pool moves from is broken: the second definition is held.
    let half = [("zones/pools.toml", "[pool.web"), both[1]];
    assert_eq!(
        held(&good(&base()), &with_changes(base(), &half)).0,
        ["zones/pools.toml", "zones/service.toml"]
    );
}

#[test]
fn if_a_name_is_defined_twice_only_the_file_that_added_it_is_held() {
    let edited = POOLS.replace("192.0.2.1", "192.0.2.9");
    let second = format!("{PLACES}[pool.web]\nmembers = [{{ addresses = [\"192.0.2.2\"] }}]\n");
    let files =
        with_changes(base(), &[("zones/pools.toml", &edited), ("zones/places.toml", &second)]);
    assert_eq!(held(&good(&base()), &files).0, ["zones/places.toml"]);
    let new = [
        ("zones/a.toml", "[pool.new]\nmembers = [{ addresses = [\"192.0.2.2\"] }]\n"),
        ("zones/b.toml", "[pool.new]\nmembers = [{ addresses = [\"192.0.2.3\"] }]\n"),
    ];
    assert_eq!(
        held(&good(&base()), &with_changes(base(), &new)).0,
        ["zones/a.toml", "zones/b.toml"],
        "neither is preferred"
    );
}

#[test]
fn a_file_named_by_an_error_that_another_file_caused_is_released() {
    let master = (
        "zones/x.test.zone",
        "@ 300 SOA ns1 h 7 3600 600 86400 300\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n",
    );
    let files = with_changes(base(), &[("zones/zone.toml", ""), master]);
    let conflict = format!("{}www 300 A 192.0.2.80\n", master.1);
    let edited = SERVICE.to_owned() + "ttl = 7\n";
    let new =
        with_changes(files.clone(), &[(master.0, &conflict), ("zones/service.toml", &edited)]);
    let (held, config) = held(&good(&files), &new);
    assert_eq!(held, [master.0]);
    assert_eq!(config.topology.services[0].ttl_secs, 7);
}

#[test]
fn a_new_file_with_errors_is_left_out_and_reported_as_left_out() {
    let good = good(&base());
    let files =
        with_changes(base(), &[("zones/new.toml", "[pool.x"), ("zones/pools.toml", "[pool.web")]);
    let mut selection = FileSelection::new(sources(&files), &good, |_| false);
    let (config, _) = selection.find_loadable().unwrap_or_else(|errors| panic!("{errors}"));
    let held: Vec<_> = selection
        .held()
        .into_iter()
        .map(|file| (file.path.display().to_string(), file.is_left_out))
        .collect();
    assert_eq!(held, [("zones/new.toml".to_owned(), true), ("zones/pools.toml".to_owned(), false)]);
    assert_eq!(config.topology.pools.len(), 1);
}

#[test]
fn reports_about_a_missing_file_or_a_directory_are_true() {
    let nested =
        with_changes(base(), &[("zones/service.toml", ""), ("zones/sub/service.toml", SERVICE)]);
    let good = good(&nested);
    let mut unread =
        SourceFile::with_content(Path::new("zones/sub"), FileRole::Directory, None, Vec::new());
    unread.content = Err(SourceReadError::from(std::io::Error::from_raw_os_error(libc::EACCES)));
    let files = with_changes(nested, &[("zones/sub/service.toml", "x"), ("zones/places.toml", "")]);
    let mut sources = sources(&files);
    let file = sources
        .entries()
        .find(|(_, file)| file.path == Path::new("zones/sub/service.toml"))
        .unwrap()
        .0;
    sources.replace_files(vec![(file, unread)]);
    let mut selection = FileSelection::new(sources, &good, |_| false);
    selection.find_loadable().unwrap_or_else(|errors| panic!("{errors}"));
    let held = selection.held();
    let [places, sub] = &held[..] else { panic!("{held:?}") };
    assert!(
        places.errors[0].starts_with("zones/places.toml: the file is gone, and others need"),
        "{held:?}"
    );
    assert!(
        sub.path == Path::new("zones/sub") && !sub.is_left_out,
        "it has earlier content: {held:?}"
    );
}

#[test]
fn a_directory_that_cannot_be_read_keeps_the_files_below_it() {
    let good = good(&base());
    let mut unread =
        SourceFile::with_content(Path::new("zones"), FileRole::Directory, None, Vec::new());
    unread.content = Err(SourceReadError::from(std::io::Error::from_raw_os_error(libc::EMFILE)));
    let mut sources = sources(&[]);
    let root = sources.entries().next().unwrap().0;
    sources.replace_files(vec![(root, unread)]);
    let mut selection = FileSelection::new(sources, &good, |_| false);
    let (config, _) = selection.find_loadable().unwrap();
    assert_eq!((config.zones.len(), config.topology.services.len()), (1, 1));
    let held = selection.held();
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(held[0].path == Path::new("zones") && held[0].is_transient, "{held:?}");
}

/// Ways in which a file may differ from its last good content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileMutation {
    None,
    Harmless,
    Syntax,
    Value,
    Gone,
    UnknownName,
}

const EDITS: [FileMutation; 6] = [
    FileMutation::None,
    FileMutation::Harmless,
    FileMutation::Syntax,
    FileMutation::Value,
    FileMutation::Gone,
    FileMutation::UnknownName,
];

/// The number of regions. Each has a file of pools and a file of services; one file has the
/// datacenters of all.
const REGIONS: usize = 3;

fn region(number: usize) -> [(String, String); 2] {
    let pools = format!(
        "[pool.p{number}]\nmembers = [{{ datacenter = \"fra\", addresses = [\"192.0.2.{number}\"] }}]\n"
    );
    let services = format!("[service.\"s{number}.x.test\"]\npool = \"p{number}\"\nttl = 30\n");
    [
        (format!("zones/pools{number}.toml"), pools),
        (format!("zones/services{number}.toml"), services),
    ]
}

fn edited(text: &str, edit: FileMutation) -> Option<String> {
    Some(match edit {
        FileMutation::None => text.to_owned(),
        FileMutation::Harmless => {
            text.replace("192.0.2.", "198.51.100.").replace("ttl = 30", "ttl = 40")
        }
        FileMutation::Syntax => format!("{text}[broken"),
        FileMutation::Value => {
            text.replace("192.0.2.", "192.0.2.999").replace("ttl = 30", "ttl = -1")
        }
        FileMutation::Gone => return None,
        FileMutation::UnknownName => {
            text.replace("\"fra\"", "\"nowhere\"").replace("pool = \"p", "pool = \"unknown")
        }
    })
}

/// Everything in a configuration that answers depend on, in an order that does not depend on the
/// order of the files.
fn answer_summary(config: &Config) -> String {
    let topology = &config.topology;
    let mut lines: Vec<String> = topology
        .services
        .iter()
        .map(|service| {
            let pool = &topology.pools[service.pool.index()];
            let targets: Vec<_> = topology
                .endpoints
                .iter()
                .map(|endpoint| format!("{:?}", endpoint.target))
                .collect();
            format!("{} {} {} {}", service.name, service.ttl_secs, pool.name, targets.len())
        })
        .chain(topology.endpoints.iter().map(|endpoint| format!("{:?}", endpoint.target)))
        .chain(config.zones.iter().map(|zone| zone.apex.to_string()))
        .collect();
    lines.sort();
    lines.join("\n")
}

proptest! {
    /// The property of held files: a load with broken files equals a load in which they had not
    /// been touched, and no other file waits for them.
    #[test]
    fn a_load_with_broken_files_equals_a_load_with_their_last_good_content(
        edits in proptest::collection::vec(0..EDITS.len(), 2 * REGIONS),
    ) {
        let edits: Vec<FileMutation> = edits.into_iter().map(|edit| EDITS[edit]).collect();
        let mut before = vec![("zones/places.toml".to_owned(), PLACES.to_owned()), ("zones/zone.toml".to_owned(), ZONE.to_owned())];
        before.extend((0..REGIONS).flat_map(region));
        let borrow = |files: &[(String, String)]| sources(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
        let texts: Vec<(&str, &str)> = before.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let good = good(&texts);
        let (mut now, mut expected) = (before[..2].to_vec(), before[..2].to_vec());
        for (at, (path, text)) in before[2..].iter().enumerate() {
            let (edit, services) = (edits[at], edits[at | 1]);
            // Pools that disappear are needed, unless their services disappear too.
            let is_needed = at % 2 == 0 && edit == FileMutation::Gone && services != FileMutation::Gone;
            let is_broken = matches!(edit, FileMutation::Syntax | FileMutation::Value | FileMutation::UnknownName) || is_needed;
            now.extend(edited(text, edit).map(|text| (path.clone(), text)));
            expected.extend(edited(text, if is_broken { FileMutation::None } else { edit }).map(|text| (path.clone(), text)));
        }
        // A service with an unknown pool is held. It then needs the pool that it had before.
        let mut selection = FileSelection::new(borrow(&now), &good, |_| false);
        let (config, _) = selection.find_loadable().unwrap();
        let (wanted, _) = Config::load(&borrow(&expected)).unwrap();
        prop_assert_eq!(answer_summary(&config), answer_summary(&wanted), "{:?} {:?}", edits, selection.held());
    }

    /// Whatever the files contain, a configuration loads: at worst the last good set.
    #[test]
    fn a_configuration_loads_whatever_the_files_contain(
        texts in proptest::collection::vec(prop_oneof![
            Just(None),
            "[a-z\\[\\]\".={} \n]{0,60}".prop_map(Some),
            Just(Some(format!("{PLACES}{POOLS}{SERVICE}{ZONE}"))),
            Just(Some(format!("{POOLS}{SERVICE}"))),
            Just(Some(ZONE.to_owned())),
            Just(Some(SERVICE.to_owned())),
        ], 4),
    ) {
        let good = good(&base());
        let now: Vec<(&str, &str)> = base()
            .iter()
            .zip(&texts)
            .filter_map(|((path, _), text)| Some((*path, text.as_deref()?)))
            .collect();
        let mut selection = FileSelection::new(sources(&now), &good, |_| false);
        prop_assert!(selection.find_loadable().is_ok());
    }
}
