//! Databases in the formats of all vendors, alone and merged.

use std::net::IpAddr;

use maxminddb::{Reader, path};
use proptest::prelude::*;

use super::*;
use crate::geo::{Atlas, Coordinates, DatabaseProgress, Location};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn point(latitude: f64, longitude: f64) -> Option<Coordinates> {
    Coordinates::new(latitude, longitude).ok()
}

fn record(code: &str, city: Option<&str>, point: Option<(f64, f64)>) -> Value {
    let mut fields = vec![("country", Value::map([("iso_code", Value::from(code))]))];
    if let Some(name) = city {
        fields.push(("city", Value::map([("names", Value::map([("en", Value::from(name))]))])));
    }
    if let Some((latitude, longitude)) = point {
        let point = [("latitude", Value::from(latitude)), ("longitude", Value::from(longitude))];
        fields.push(("location", Value::map(point)));
    }
    Value::map(fields)
}

#[test]
fn city_and_asn_databases_give_both() {
    let (Some(city), Some(asn)) = (
        sample("maxmind-test/GeoIP2-City-Test.mmdb"),
        sample("maxmind-test/GeoLite2-ASN-Test.mmdb"),
    ) else {
        return;
    };
    let databases = databases(&[open("city", city), open("asn", asn)]);
    let lookup = databases.lookup(ip("89.160.20.115"));
    assert_eq!(lookup.location.country.as_deref(), Some("SE"));
    assert_eq!(lookup.location.city.as_deref(), Some("Linköping"));
    assert_eq!(*lookup.location.subdivisions, ["SE-E".into()]);
    assert_eq!(lookup.location.asn, Some(29518));
    assert_eq!(lookup.network, "89.160.20.112/28".parse().unwrap());
    let sources: Vec<_> =
        lookup.by_database.iter().map(|s| (s.label, s.kind, s.network.to_string())).collect();
    assert_eq!(sources[0], ("city", "GeoIP2-City", "89.160.20.112/28".to_owned()));
    assert_eq!((sources[1].0, sources[1].1), ("asn", "GeoLite2-ASN"));

    let (atlas, areas) = Atlas::survey(&databases, &[], |location, _| location.clone());
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let ip = if random.bool() {
            IpAddr::V4(random.u32(..).into())
        } else {
            IpAddr::V6((0x2000 << 112 | random.u128(..) >> random.u32(3..60)).into())
        };
        assert_eq!(areas[atlas.locate(&ip).area.0 as usize], databases.lookup(ip).location, "{ip}");
    }
}

#[test]
fn each_lookup_agrees_with_the_maxminddb_reader() {
    for name in [
        "world-country.mmdb",
        "maxmind-test/GeoIP2-City-Test.mmdb",
        "maxmind-test/GeoIP2-Country-Test.mmdb",
    ] {
        let Some(bytes) = sample(name) else { return };
        let reader = Reader::from_source(bytes.clone()).unwrap();
        let database = open(name, bytes);
        let networks: Vec<_> = reader
            .networks(Default::default())
            .unwrap()
            .map(|n| n.unwrap().network().unwrap())
            .collect();
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..5000 {
            let ip = random.choice(&networks).unwrap().ip();
            let ip = if random.bool() { ip } else { IpAddr::V4(random.u32(..).into()) };
            // The reader iterates IPv4 as ::/96, which has no addresses of clients.
            let ip = match ip {
                IpAddr::V6(v6) if u128::from(v6) >> 32 == 0 => {
                    IpAddr::V4((u128::from(v6) as u32).into())
                }
                other => other,
            };
            let theirs = reader.lookup(ip).unwrap();
            let (location, network) = database.lookup(ip);
            if network.addr().is_ipv4() != ip.is_ipv4() {
                continue;
            }
            let country: Option<String> =
                theirs.decode_path(&path!["country", "iso_code"]).unwrap();
            assert_eq!(location.country.as_deref(), country.as_deref(), "{name}: {ip}");
            assert_eq!(network.to_string(), theirs.network().unwrap().to_string(), "{name}: {ip}");
        }
    }
}

#[test]
fn for_each_field_the_first_database_that_has_it_wins() {
    let first = written("First", &[("1.0.0.0/24", record("DE", None, None))]);
    let second = written("Second", &[("1.0.0.0/16", record("FR", Some("Paris"), None))]);
    let location = databases(&[first.clone(), second.clone()]).lookup(ip("1.0.0.1")).location;
    assert_eq!(
        (location.country.as_deref(), location.city.as_deref()),
        (Some("DE"), Some("Paris"))
    );
    let both = databases(&[first, second]);
    let beside = both.lookup(ip("1.0.1.1"));
    assert_eq!(
        (beside.location.country.as_deref(), beside.network),
        (Some("FR"), "1.0.1.0/24".parse().unwrap())
    );
}

#[test]
fn a_client_without_coordinates_has_those_of_its_country() {
    let database = written(
        "City",
        &[
            ("1.0.0.0/24", record("DE", Some("Köln"), Some((50.9, 6.9)))),
            ("1.0.1.0/24", record("DE", None, Some((51.0, 9.0)))),
            ("1.0.2.0/24", record("DE", Some("Nowhere"), None)),
            ("1.0.3.0/24", record("LI", Some("Vaduz"), Some((47.1, 9.5)))),
            ("1.0.4.0/24", record("LI", None, Some((0.0, 0.0)))),
            ("1.0.5.0/24", record("FR", Some("Paris"), Some((48.9, 2.3)))),
            ("1.0.6.0/24", record("FR", Some("Lyon"), Some((45.8, 4.8)))),
            ("1.0.7.0/24", record("FR", None, None)),
            ("1.0.8.0/24", record("QZ", None, None)),
        ],
    );
    let databases = databases(&[database]);
    for (address, expected, reason) in [
        ("1.0.2.1", point(51.0, 9.0), "the record without a city is that of the country"),
        ("1.0.4.1", point(47.1, 9.5), "the only coordinates in the country"),
        ("1.0.7.1", point(46.0, 2.0), "two cities, neither preferred: the built-in table"),
        ("1.0.8.1", None, "not a country in the table, and never (0, 0)"),
        ("1.0.0.1", point(50.9, 6.9), "the coordinates of its record"),
        ("9.0.0.1", None, "in no database"),
    ] {
        assert_eq!(
            databases.lookup(ip(address)).location.coordinates,
            expected,
            "{address}: {reason}"
        );
    }
}

#[test]
fn a_continent_follows_from_the_country_if_no_database_has_one() {
    let record = Value::map([("country", Value::map([("iso_code", Value::from("JP"))]))]);
    let databases = databases(&[written("Country", &[("1.0.0.0/24", record)])]);
    let location = databases.lookup(ip("1.0.0.1")).location;
    assert_eq!(
        (location.continent.as_deref(), location.coordinates),
        (Some("AS"), point(36.0, 138.0))
    );
    let (atlas, areas) = Atlas::survey(&databases, &[], |location, _| location.continent.clone());
    let located = atlas.locate(&ip("1.0.0.1"));
    assert_eq!(
        areas[located.area.0 as usize].as_deref(),
        Some("AS"),
        "a survey sees the same location as a lookup"
    );
}

#[test]
fn a_database_without_description_or_type_is_read() {
    for (kind, description) in
        [("Example", &[][..]), ("", &[("en", "written by a test")]), ("", &[])]
    {
        let mut writer = Writer::builder(kind).description(description).build();
        writer
            .insert_value("1.0.0.0/24".parse::<ipnet::IpNet>().unwrap(), record("DE", None, None))
            .unwrap();
        let database = Database::open("db", writer.to_bytes().unwrap()).unwrap();
        assert_eq!(
            database.lookup(ip("1.0.0.1")).0.country.as_deref(),
            Some("DE"),
            "{kind:?} {description:?}"
        );
    }
}

#[test]
fn db_ip_files_are_read() {
    let record = Value::map([
        ("continent", Value::map([("code", Value::from("EU"))])),
        ("country", Value::map([("iso_code", Value::from("CH"))])),
        (
            "subdivisions",
            Value::array([Value::map([("names", Value::map([("en", Value::from("Zurich"))]))])]),
        ),
        ("city", Value::map([("names", Value::map([("en", Value::from("Winterthur"))]))])),
        (
            "location",
            Value::map([("latitude", Value::from(47.5)), ("longitude", Value::from(8.75))]),
        ),
    ]);
    let database =
        written("DBIP-City-Lite", &[("2a02:168::/32", record.clone()), ("77.56.0.0/14", record)]);
    for address in ["2a02:168::1", "77.57.1.1"] {
        let (location, _) = database.lookup(ip(address));
        assert_eq!((location.country.as_deref(), location.subdivisions.len()), (Some("CH"), 0));
        assert_eq!(
            (location.city.as_deref(), location.coordinates),
            (Some("Winterthur"), point(47.5, 8.75))
        );
    }
}

#[test]
fn ipinfo_files_are_read() {
    let lite = [
        ("asn", "AS64500"),
        ("as_name", "Example Net"),
        ("as_domain", "example.net"),
        ("country", "Japan"),
        ("country_code", "JP"),
        ("continent", "Asia"),
        ("continent_code", "AS"),
    ];
    let city = [
        ("city", "Osaka"),
        ("country", "JP"),
        ("lat", "34.69"),
        ("lng", "135.50"),
        ("region", "Osaka"),
    ];
    let map = |fields: &[(&'static str, &'static str)]| {
        Value::map(fields.iter().map(|&(k, v)| (k, Value::from(v))))
    };
    let lite = written("ipinfo lite", &[("1.0.16.0/20", map(&lite))]);
    let city = written("ipinfo standard_location.mmdb", &[("1.0.16.0/24", map(&city))]);
    let location = databases(&[lite, city]).lookup(ip("1.0.16.7")).location;
    let expected = Location {
        continent: Some("AS".into()),
        country: Some("JP".into()),
        city: Some("Osaka".into()),
        coordinates: point(34.69, 135.50),
        asn: Some(64500),
        organization: Some("Example Net".into()),
        ..Location::default()
    };
    assert_eq!(location, expected);
}

#[test]
fn an_address_that_embeds_ipv4_is_looked_up_as_ipv4() {
    let databases = databases(&[written("Country", &[("8.8.8.0/24", country("US"))])]);
    for address in ["::ffff:8.8.8.8", "2002:808:808::1", "2001:0:102:304:0:0:f7f7:f7f7"] {
        let lookup = databases.lookup(ip(address));
        assert_eq!(lookup.location.country.as_deref(), Some("US"), "{address}");
        assert_eq!(
            (lookup.network, lookup.embedded_ipv4),
            ("8.8.8.0/24".parse().unwrap(), Some([8, 8, 8, 8].into()))
        );
    }
}

#[test]
fn without_a_database_every_address_is_unknown() {
    let databases = Databases::default();
    assert_eq!(databases.lookup(ip("8.8.8.8")).location, Location::default());
    assert_eq!(databases.lookup(ip("2a00::1")).network, "::/0".parse().unwrap());
}

#[test]
fn an_ipv6_tree_that_ends_above_ipv4_has_one_ipv4_network() {
    let Some(bytes) = sample("maxmind-test/MaxMind-DB-no-ipv4-search-tree.mmdb") else { return };
    let database = open("no IPv4", bytes);
    assert_eq!(database.lookup(ip("1.2.3.4")).1, "0.0.0.0/0".parse().unwrap());
}

#[test]
fn reading_a_large_database_reports_progress() {
    let Some(bytes) = sample("world-country.mmdb") else { return };
    let mut steps: Vec<DatabaseProgress> = Vec::new();
    let database =
        Database::open_with_progress("world", bytes, &mut |progress| steps.push(progress)).unwrap();
    assert!(
        steps.len() as u64 == database.network_count() as u64 >> 18
            && steps.is_sorted_by_key(|step| step.networks)
    );
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_panics(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>()) {
        let valid = bytes("City", &[
            ("1.0.0.0/8", record("DE", Some("Köln"), Some((50.9, 6.9)))),
            ("2a00::/16", record("FR", Some("Paris"), Some((48.9, 2.3)))),
        ]);
        let mut damaged = valid.clone();
        for (index, octet) in damage {
            let position = index.index(damaged.len());
            damaged[position] = octet;
        }
        if let Ok(database) = Database::open("damaged", damaged) {
            Atlas::survey(&databases(&[Arc::new(database)]), &[], |location, _| location.clone());
        }
        let cut = cut.index(valid.len());
        prop_assert!(Database::open("cut", valid[..cut].to_vec()).is_err());
    }
}
