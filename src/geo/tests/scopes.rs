//! Every scope is the widest valid one: its prefix lies in the area, and the prefix that is one bit
//! shorter does not.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::geo::{Area, Atlas, Grid, Location, address::Address, special_purpose};

/// The naive model: a list of prefixes, each of which is tested.
struct NaiveAtlas {
    named: Vec<IpNet>,
    /// The number of classes that named prefixes have, besides that of other addresses.
    classification_count: u32,
}

impl NaiveAtlas {
    /// The class of an address, and whether it is special.
    fn classify_address(&self, ip: IpAddr) -> (u32, bool) {
        let mut around: Vec<u32> = (0..self.named.len() as u32)
            .filter(|&n| self.named[n as usize].contains(&ip))
            .collect();
        around.sort_by_key(|&n| std::cmp::Reverse(self.named[n as usize].prefix_len()));
        (
            self.classify(&around),
            around.is_empty() && special_purpose::blocks().any(|block| block.contains(&ip)),
        )
    }

    fn classify(&self, named: &[u32]) -> u32 {
        named.first().map_or(0, |&longest| 1 + longest % self.classification_count)
    }

    /// The first addresses of all stretches with one value.
    fn edges<K: Address>(&self) -> Vec<K> {
        let blocks = special_purpose::blocks().chain(self.named.iter().copied());
        let prefixes = blocks.filter_map(|prefix| K::of_prefix(&prefix));
        prefixes
            .flat_map(|(first, length)| [Some(first), first.last_of(length).following()])
            .flatten()
            .collect()
    }

    fn survey(&self) -> (Atlas, Vec<u32>) {
        Atlas::survey(&Databases::default(), &self.named, |location, named| {
            assert_eq!(location, &Location::default());
            self.classify(named)
        })
    }
}

/// Checks that the atlas agrees with the model at `address`, and has the widest valid scope there.
fn check<K: Address>(
    atlas: &Atlas,
    value: impl Fn(IpAddr) -> (u32, bool),
    edges: &[K],
    address: K,
) {
    let located = atlas.locate(&address.to_ip());
    let expected = value(address.to_ip());
    assert_eq!((located.area.0, located.is_special), expected, "{}", address.to_ip());
    let holds = |length: u8| {
        let (first, last) =
            (address.without_bits(K::host_bits(length)), address.with_bits(K::host_bits(length)));
        let inside = edges.iter().copied().filter(|&edge| first <= edge && edge <= last);
        inside.chain([first, last]).all(|inside| value(inside.to_ip()) == expected)
    };
    assert!(holds(located.scope), "{}/{} is not all alike", address.to_ip(), located.scope);
    assert!(
        located.scope == 0 || !holds(located.scope - 1),
        "{}/{} could be wider",
        address.to_ip(),
        located.scope
    );
}

/// Prefixes in a few corners of the address space, so that they nest, touch and overlap special
/// blocks.
fn v4_prefixes() -> impl Strategy<Value = Vec<IpNet>> {
    let corner = prop::sample::select(vec![
        0x0a00_0000u32,
        0xc000_0200,
        0x0100_0000,
        0,
        0xffff_ff00,
        0x7f00_0000,
    ]);
    let prefix = (corner, any::<u16>(), 0..=32u8)
        .prop_map(|(corner, low, length)| (corner ^ u32::from(low)).prefix(length));
    prop::collection::vec(prefix, 0..12)
}

fn v6_prefixes() -> impl Strategy<Value = Vec<IpNet>> {
    let corner = prop::sample::select(vec![
        0x2001_0db8u128 << 96,
        0x2a00 << 112,
        0xfc00 << 112,
        0xffff << 112,
    ]);
    let prefix =
        (corner, any::<u16>(), 0..6u32, 17..=128u8).prop_map(|(corner, bits, located, length)| {
            (corner ^ u128::from(bits) << (16 * located)).prefix(length)
        });
    prop::collection::vec(prefix, 0..12)
}

proptest! {
    #[test]
    fn ipv4_scopes_are_the_widest_valid_ones(named in v4_prefixes(), class_count in 1..4u32, probes in prop::collection::vec(any::<u32>(), 20)) {
        let model = NaiveAtlas { named, classification_count: class_count };
        let (atlas, areas) = model.survey();
        let edges: Vec<u32> = model.edges();
        let near = edges.iter().flat_map(|&edge| [Some(edge), edge.preceding()]).flatten();
        for address in near.chain(probes) {
            let value = |ip| {
                let (class, special) = model.classify_address(ip);
                let located = atlas.locate(&ip);
                assert_eq!((areas[located.area.0 as usize], located.is_special), (class, special));
                (located.area.0, special)
            };
            check(&atlas, value, &edges, address);
        }
    }

    #[test]
    fn ipv6_scopes_are_the_widest_valid_ones(named in v6_prefixes(), class_count in 1..4u32, probes in prop::collection::vec(any::<u128>(), 20)) {
        let model = NaiveAtlas { named, classification_count: class_count };
        let (atlas, areas) = model.survey();
        let mut edges: Vec<u128> = model.edges();
        let near: Vec<u128> = edges.iter().flat_map(|&edge| [Some(edge), edge.preceding()]).flatten().collect();
        // No scope crosses the blocks that embed IPv4, so the model gets their edges, and a
        // separate value inside them.
        let embedding_blocks: Vec<IpNet> = ["::ffff:0:0/96", "2001::/32", "2002::/16"].map(|block| block.parse().unwrap()).into();
        edges.extend(embedding_blocks.iter().filter_map(u128::of_prefix).map(|(first, _)| first));
        let value = |ip: IpAddr| {
            if embedding_blocks.iter().any(|block| block.contains(&ip)) {
                return (u32::MAX, false);
            }
            (atlas.locate(&ip).area.0, model.classify_address(ip).1)
        };
        for address in near.into_iter().chain(probes) {
            let ip = address.to_ip();
            if embedding_blocks.iter().all(|block| !block.contains(&ip)) {
                prop_assert_eq!(areas[atlas.locate(&ip).area.0 as usize], model.classify_address(ip).0);
                check(&atlas, value, &edges, address);
            }
        }
    }

    #[test]
    fn a_folded_atlas_is_the_atlas_of_the_folded_areas(named in v4_prefixes(), map in prop::collection::vec(0..3u32, 40)) {
        let model = NaiveAtlas { named, classification_count: 100 };
        let (atlas, areas) = model.survey();
        let folded = atlas.fold(&map[..areas.len()]);
        let edges: Vec<u32> = model.edges();
        let value = |ip| {
            let located = atlas.locate(&ip);
            (map[located.area.0 as usize], located.is_special)
        };
        for address in edges.iter().flat_map(|&edge| [Some(edge), edge.preceding()]).flatten() {
            if folded.only_area().is_none() || folded.locate(&address.to_ip()).is_special {
                check(&folded, value, &edges, address);
            } else {
                prop_assert_eq!(folded.locate(&address.to_ip()).scope, 0);
            }
        }
    }
}

proptest! {
    #[test]
    fn prefixes_that_only_others_name_change_nothing(named in v4_prefixes(), others in v4_prefixes()) {
        let sorted = |mut prefixes: Vec<IpNet>| {
            prefixes.sort_unstable();
            prefixes.dedup();
            prefixes
        };
        let model = NaiveAtlas { named: sorted(named), classification_count: 100 };
        let (atlas, areas) = model.survey();
        let grid = Grid::new(&Databases::default(), sorted([&model.named[..], &others].concat()));
        let (division, grid_areas) = grid.divide(&model.named, |_, named| model.classify(named));
        let among_others = grid.atlas(&division);
        prop_assert_eq!(among_others.run_count(), atlas.run_count());
        let edges: Vec<u32> = NaiveAtlas { named: others, classification_count: 1 }.edges().into_iter().chain(model.edges()).collect();
        for ip in edges.into_iter().map(|edge| edge.to_ip()) {
            let (alone, joint) = (atlas.locate(&ip), among_others.locate(&ip));
            prop_assert_eq!((alone.scope, alone.is_special), (joint.scope, joint.is_special));
            prop_assert_eq!(areas[alone.area.0 as usize], grid_areas[joint.area.0 as usize]);
            prop_assert_eq!(grid.area(&division, ip), joint.area.0 as usize);
        }
    }
}

#[test]
fn atlases_from_one_sweep_equal_those_from_separate_sweeps() {
    let named: Vec<IpNet> =
        (0..50u8).map(|octet| format!("1.{octet}.0.0/16").parse().unwrap()).collect();
    let grid = Grid::new(&Databases::default(), named.clone());
    let (division, areas) = grid.divide(&named, |_, within| within.to_vec());
    let maps: Vec<Vec<u32>> =
        (1..40).map(|step| (0..areas.len() as u32).map(|area| area / step).collect()).collect();
    let requests: Vec<_> = maps.iter().map(|map| (&division, &map[..])).collect();
    for (together, map) in grid.folds(&requests).iter().zip(&maps) {
        assert!(together.runs().eq(grid.atlas(&division).fold(map).runs()));
    }
}

#[test]
fn an_atlas_of_one_area_has_scope_zero_except_for_special_addresses() {
    let (atlas, _) = Atlas::survey(&Databases::default(), &[], |_, _| ());
    let folded = atlas.fold(&vec![0; atlas.area_count()]);
    assert_eq!((folded.only_area(), folded.area_count()), (Some(Area(0)), 1));
    for ip in ["8.8.8.8", "2a00::1", "::ffff:8.8.8.8", "2002:808:808::"] {
        assert_eq!(folded.locate(&ip.parse().unwrap()).scope, 0, "{ip}");
    }
    for (ip, scope) in [
        ("10.0.0.1", 8),
        ("100.64.0.1", 10),
        ("fc00::1", 7),
        ("fe80::1", 9),
        ("::ffff:192.168.0.1", 112),
    ] {
        let located = folded.locate(&ip.parse().unwrap());
        assert_eq!(
            (located.is_special, located.scope),
            (true, scope),
            "{ip}: the special block, because the resolver decides"
        );
    }
}

#[test]
fn an_ipv6_address_that_embeds_ipv4_is_in_the_area_of_the_ipv4_address() {
    let named = ["8.8.8.0/24".parse().unwrap(), "2000::/3".parse().unwrap()];
    let (atlas, areas) = Atlas::survey(&Databases::default(), &named, |_, named| named.to_vec());
    for (ip, scope, reason) in [
        ("8.8.8.8", 24, "itself"),
        ("::ffff:8.8.8.8", 96 + 24, "mapped: the last 32 bits"),
        ("2002:808:808:1::1", 16 + 24, "6to4: the 32 bits after the first 16"),
        ("2001:0:102:304:0:0:f7f7:f7f7", 96 + 24, "Teredo: the last 32 bits, inverted"),
    ] {
        let located = atlas.locate(&ip.parse().unwrap());
        assert_eq!(
            (&areas[located.area.0 as usize][..], located.scope),
            (&[0][..], scope),
            "{ip}: {reason}"
        );
    }
    let beside = atlas.locate(&"2003::1".parse().unwrap());
    assert_eq!(
        (&areas[beside.area.0 as usize][..], beside.scope),
        (&[1][..], 16),
        "not over 2002::/16"
    );
    assert_eq!(atlas.locate(&"2001:1::1".parse().unwrap()).scope, 47 - 15, "not over 2001::/32");
}

#[test]
fn named_prefixes_come_longest_first_and_apply_inside_special_blocks() {
    let named = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "10.1.0.0/16"]
        .map(|prefix| prefix.parse().unwrap());
    let (atlas, areas) = Atlas::survey(&Databases::default(), &named, |_, named| named.to_vec());
    for (ip, expected, scope) in
        [("10.1.2.3", &[1, 3, 0, 2][..], 16), ("10.2.2.3", &[0, 2], 15), ("127.0.0.1", &[2], 2)]
    {
        let located = atlas.locate(&ip.parse().unwrap());
        assert_eq!(
            (&areas[located.area.0 as usize][..], located.is_special, located.scope),
            (expected, false, scope),
            "{ip}"
        );
    }
    assert!(atlas.locate(&"fe80::1".parse().unwrap()).is_special);
}

#[test]
fn special_addresses_are_separate_areas_even_with_an_equal_class() {
    let (atlas, areas) = Atlas::survey(&Databases::default(), &[], |_, _| "same");
    assert_eq!(areas, ["same", "same"]);
    for (ip, special) in [
        ("10.0.0.1", true),
        ("11.0.0.1", false),
        ("::1", true),
        ("2a00::1", false),
        ("ff02::1", true),
    ] {
        assert_eq!(atlas.locate(&ip.parse().unwrap()).is_special, special, "{ip}");
    }
}

#[test]
fn runs_cover_all_of_ipv4_once() {
    let (atlas, _) =
        Atlas::survey(&Databases::default(), &["192.0.2.0/25".parse().unwrap()], |_, named| {
            named.len()
        });
    let v4: Vec<_> = atlas.runs().filter(|run| run.first.is_ipv4()).collect();
    assert_eq!(v4.iter().map(|run| run.addresses).sum::<u128>(), 1 << 32);
    assert!(v4.windows(2).all(|pair| pair[0].last < pair[1].first));
    let v6: u128 = atlas.runs().filter(|run| run.first.is_ipv6()).map(|run| run.addresses).sum();
    assert_eq!(v6, u128::MAX - (1 << 112) - (1 << 96) - (1 << 32) + 1);
}

/// Whether all networks of a prefix have this location, of which at most `hops` are looked at.
fn has_one_location(
    databases: &Databases,
    prefix: IpNet,
    location: &Location,
    hops: &mut u32,
) -> bool {
    let mut ip = prefix.network();
    loop {
        let lookup = databases.lookup(ip);
        let special = special_purpose::blocks().any(|block| block.contains(&ip));
        if &lookup.location != location || special {
            return false;
        }
        let end = lookup.network.broadcast();
        *hops = hops.saturating_sub(1);
        if end >= prefix.broadcast() || *hops == 0 {
            return true;
        }
        ip = match end {
            IpAddr::V4(end) => IpAddr::V4((u32::from(end) + 1).into()),
            IpAddr::V6(end) => IpAddr::V6((u128::from(end) + 1).into()),
        };
    }
}

#[test]
fn the_atlas_of_a_real_database_agrees_with_it_and_has_the_widest_scopes() {
    let Some(bytes) = sample("world-country.mmdb") else { return };
    let databases = databases(&[open("world", bytes)]);
    let (atlas, areas) = Atlas::survey(&databases, &[], |location, _| location.clone());
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..4000 {
        let ip: IpAddr = match round % 2 {
            0 => IpAddr::V4(random.u32(1 << 24..0xe000_0000).into()),
            _ => IpAddr::V6((0x2a00 << 112 | random.u128(..) >> random.u32(13..40)).into()),
        };
        let located = atlas.locate(&ip);
        let location = &areas[located.area.0 as usize];
        assert_eq!(location, &databases.lookup(ip).location, "{ip}");
        if located.is_special {
            continue;
        }
        let scope = IpNet::new(ip, located.scope).unwrap();
        assert!(has_one_location(&databases, scope.trunc(), location, &mut 3000), "{scope}");
        let wider = scope.supernet().unwrap();
        let mut hops = 3000;
        assert!(!has_one_location(&databases, wider, location, &mut hops) || hops == 0, "{wider}");
    }
}
