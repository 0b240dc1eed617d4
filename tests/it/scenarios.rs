//! One test for each file of `tests/scenarios`.

use std::path::Path;

use crate::script::play;

/// Defines a test for each scenario, named after its file, with underscores for dashes.
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
    client_subnet_off
    delegated_region
    disabled_datacenter
    drain_by_edit
    everything_down
    families_apart
    families_together
    force_overrides_health
    https_service
    members_as_cname
    min_up
    names_without_case
    nearest_bias_and_tie
    nested_pools
    policy_all
    policy_failover
    policy_geo
    policy_geo_strict
    policy_load
    policy_nearest
    policy_weighted
    regions_name_datacenters
    requirements_enforced
    rfc1034_cname_chains
    rfc1034_exact_match
    rfc1034_nearest_zone
    rfc1034_referral
    rfc1034_root_zone
    rfc1035_additional_addresses
    rfc1035_classes_and_opcodes
    rfc1035_truncation
    rfc2308_negative_answers
    rfc3597_unknown_types
    rfc4035_ds_at_the_parent
    rfc4592_wildcards
    rfc5001_nsid
    rfc5936_no_transfer
    rfc6672_dname
    rfc6891_edns
    rfc6891_payload_size
    rfc7766_tcp
    rfc7871_malformed_options
    rfc7871_scope
    rfc7871_scope_zero
    rfc7873_cookies
    rfc8020_empty_non_terminals
    rfc8482_any
    rfc8906_names_of_others
    several_answers
    spread_by_client
    spread_by_turn
    srv_service
    standby_members
    zone_file_removed
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}
