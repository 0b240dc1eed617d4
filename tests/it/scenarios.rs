//! Every file of `tests/scenarios`, each a test of its own.

use std::path::Path;

use crate::script::play;

/// A test for each scenario; its name is the file's, with dashes for underscores.
macro_rules! scenarios {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            play(&directory().join(format!("{}.txt", stringify!($name).replace('_', "-"))));
        })+

        #[test]
        fn every_scenario_is_played() {
            let played = [$(stringify!($name).replace('_', "-")),+];
            for file in std::fs::read_dir(directory()).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(played.iter().any(|played| played == name), "{name} is not in the list");
            }
        }
    };
}

scenarios! {
    answers_from_plain_zones
    aliases_are_followed
    client_subnet_forms
    edns_is_honoured
    hosts_are_chosen_for_srv
    long_answers_are_truncated
    nearest_datacenter_answers
    policies_choose_members
    regions_are_delegated
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}
