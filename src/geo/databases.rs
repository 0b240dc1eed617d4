//! Several databases read as one: City or Country from one vendor, ASN from another.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ipnet::IpNet;

use super::{Coordinates, Database, Location, address::embedded_ipv4, countries};

/// Databases in order of precedence: for each field the first that has it wins. With none, nothing
/// is known of anybody.
#[derive(Debug, Clone, Default)]
pub struct Databases {
    list: Vec<Arc<Database>>,
    countries: Arc<BTreeMap<Box<str>, Coordinates>>,
}

/// What all databases together say of one address, without a copy of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocationRef<'a> {
    /// The narrowest of the networks that they say it of; of IPv4 where the address carries one.
    pub network: IpNet,
    /// As in [`Location`].
    pub continent: Option<&'a str>,
    /// As in [`Location`].
    pub country: Option<&'a str>,
    /// As in [`Location`].
    pub subdivision: Option<&'a str>,
    /// As in [`Location`].
    pub city: Option<&'a str>,
    /// As in [`Location`].
    pub coordinates: Option<Coordinates>,
    /// As in [`Location`].
    pub asn: Option<u32>,
}

impl LocationRef<'_> {
    /// Whether no database says anything of the address.
    pub fn is_unknown(&self) -> bool {
        let texts = [self.continent, self.country, self.subdivision, self.city];
        texts.iter().all(Option::is_none) && self.coordinates.is_none() && self.asn.is_none()
    }
}

/// What the databases say of one address.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedLookup<'a> {
    /// All databases together.
    pub location: Location,
    /// The narrowest of the networks that they say it of; of IPv4 where the address carries one.
    pub network: IpNet,
    /// The IPv4 address that an IPv6 address carries and is looked up as.
    pub embedded_ipv4: Option<Ipv4Addr>,
    /// Each database's own word, in order of precedence.
    pub by_database: Vec<DatabaseLookup<'a>>,
}

/// What one database says of one address.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseLookup<'a> {
    /// What the file is called.
    pub label: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// When it was built, in seconds of Unix time.
    pub build_epoch: u64,
    /// What it says.
    pub location: &'a Location,
    /// The network it says it of.
    pub network: IpNet,
}

impl Databases {
    /// In order of precedence.
    pub fn new(list: Vec<Arc<Database>>) -> Self {
        let countries = Arc::new(country_coordinates(&list));
        Self { list, countries }
    }

    /// In order of precedence.
    pub fn list(&self) -> &[Arc<Database>] {
        &self.list
    }

    /// What they say of an address; each database's word apart and all together. For people: about
    /// a microsecond.
    pub fn lookup(&self, ip: IpAddr) -> MergedLookup<'_> {
        let carried = embedded_ipv4_of(ip);
        let ip = carried.map_or(ip, IpAddr::V4);
        let sources: Vec<_> = self.list.iter().map(|database| lookup_in(database, ip)).collect();
        let mut location =
            sources.iter().fold(Location::default(), |all, source| all.merged(source.location));
        self.fill_from_country(&mut location);
        let network = sources.iter().map(|source| source.network).max_by_key(IpNet::prefix_len);
        let network = network.unwrap_or_else(|| whole_family(ip));
        MergedLookup { location, network, embedded_ipv4: carried, by_database: sources }
    }

    /// As [`Databases::lookup`], for queries: without allocation.
    pub fn view(&self, ip: IpAddr) -> LocationRef<'_> {
        let ip = embedded_ipv4_of(ip).map_or(ip, IpAddr::V4);
        let mut view = LocationRef {
            network: whole_family(ip),
            continent: None,
            country: None,
            subdivision: None,
            city: None,
            coordinates: None,
            asn: None,
        };
        for database in &self.list {
            let (location, network) = database.lookup(ip);
            if network.prefix_len() > view.network.prefix_len() {
                view.network = network;
            }
            view.continent = view.continent.or(location.continent.as_deref());
            view.country = view.country.or(location.country.as_deref());
            view.subdivision =
                view.subdivision.or(location.subdivisions.first().map(|code| &**code));
            view.city = view.city.or(location.city.as_deref());
            view.coordinates = view.coordinates.or(location.coordinates);
            view.asn = view.asn.or(location.asn);
        }
        if let Some(country) = view.country {
            view.coordinates = view.coordinates.or_else(|| self.coordinates_of(country));
            view.continent = view.continent.or_else(|| countries::continent(country));
        }
        view
    }

    /// Gives a location that has a country what follows from it: the continent, and coordinates.
    pub(super) fn fill_from_country(&self, location: &mut Location) {
        let Some(country) = &location.country else { return };
        if location.coordinates.is_none() {
            location.coordinates = self.coordinates_of(country);
        }
        if location.continent.is_none() {
            location.continent = countries::continent(country).map(Into::into);
        }
    }

    /// The coordinates that the databases have for a country as a whole, else the built-in ones.
    fn coordinates_of(&self, country: &str) -> Option<Coordinates> {
        self.countries.get(country).copied().or_else(|| countries::coordinates(country))
    }

    /// What the databases know anything about.
    pub fn coverage(&self) -> Coverage {
        let locations = || self.list.iter().flat_map(|database| database.locations());
        Coverage {
            databases: self.list.len(),
            has_countries: locations().any(|location| location.country.is_some()),
            has_continents: locations()
                .any(|location| location.continent.is_some() || location.country.is_some()),
            has_coordinates: locations()
                .any(|location| location.coordinates.is_some() || location.country.is_some()),
            has_subdivisions: locations().any(|location| !location.subdivisions.is_empty()),
            has_asns: locations().any(|location| location.asn.is_some()),
        }
    }
}

/// What a set of databases knows anything about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// The number of databases.
    pub databases: usize,
    /// Countries.
    pub has_countries: bool,
    /// Continents, or countries, from which they follow.
    pub has_continents: bool,
    /// Coordinates, or countries, from which they follow.
    pub has_coordinates: bool,
    /// Subdivisions of countries.
    pub has_subdivisions: bool,
    /// Autonomous systems.
    pub has_asns: bool,
}

/// The IPv4 address that an IPv6 address carries.
fn embedded_ipv4_of(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V6(v6) => embedded_ipv4(u128::from(v6)).map(|(v4, _)| Ipv4Addr::from(v4)),
        IpAddr::V4(_) => None,
    }
}

/// All addresses of the family of this one.
fn whole_family(ip: IpAddr) -> IpNet {
    if ip.is_ipv4() { IpNet::V4(Default::default()) } else { IpNet::V6(Default::default()) }
}

fn lookup_in(database: &Database, ip: IpAddr) -> DatabaseLookup<'_> {
    let (location, network) = database.lookup(ip);
    DatabaseLookup {
        label: database.label(),
        kind: database.kind(),
        build_epoch: database.build_epoch(),
        location,
        network,
    }
}

/// A country's coordinates: those of a record of the country as a whole (no city, no subdivision
/// before none), the first by precedence and address; or the only ones that are known in it.
/// Countries with neither have none: the middle of several cities may be far from all of them.
fn country_coordinates(list: &[Arc<Database>]) -> BTreeMap<Box<str>, Coordinates> {
    /// The best so far, by how much of a whole country it is of: 2 country, 1 subdivision, 0 city;
    /// and whether it is the only one of its kind.
    struct CountryCandidate {
        rank: u8,
        coordinates: Coordinates,
        is_only: bool,
    }
    let mut best: BTreeMap<Box<str>, CountryCandidate> = BTreeMap::new();
    for location in list.iter().flat_map(|database| database.locations()) {
        let (Some(country), Some(coordinates)) = (&location.country, location.coordinates) else {
            continue;
        };
        let rank = match (&location.city, &*location.subdivisions) {
            (Some(_), _) => 0,
            (None, [_, ..]) => 1,
            (None, []) => 2,
        };
        match best.get_mut(country) {
            Some(known) if known.rank < rank => {
                *known = CountryCandidate { rank, coordinates, is_only: true }
            }
            Some(known) => known.is_only &= known.rank != rank || known.coordinates == coordinates,
            None => drop(
                best.insert(country.clone(), CountryCandidate { rank, coordinates, is_only: true }),
            ),
        }
    }
    best.into_iter()
        .filter(|(_, known)| known.rank > 0 || known.is_only)
        .map(|(c, b)| (c, b.coordinates))
        .collect()
}
