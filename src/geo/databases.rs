//! Several databases, merged: for example City or Country from one vendor and ASN from another.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ipnet::IpNet;

use super::{Coordinates, Database, Location, address::embedded_ipv4, countries};

/// Databases in order of precedence: each field comes from the first database that has it. Without
/// databases, every address is unknown.
#[derive(Debug, Clone, Default)]
pub struct Databases {
    list: Vec<Arc<Database>>,
    countries: Arc<BTreeMap<Box<str>, Coordinates>>,
}

/// The merged location of one address, borrowed from the databases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocationRef<'a> {
    /// The narrowest network that contains the address in any database. It is an IPv4 network if
    /// the address embeds one.
    pub network: IpNet,
    /// The continent, as in [`Location::continent`].
    pub continent: Option<&'a str>,
    /// The country, as in [`Location::country`].
    pub country: Option<&'a str>,
    /// The narrowest subdivision, the first of [`Location::subdivisions`].
    pub subdivision: Option<&'a str>,
    /// The city, as in [`Location::city`].
    pub city: Option<&'a str>,
    /// The coordinates, as in [`Location::coordinates`].
    pub coordinates: Option<Coordinates>,
    /// The autonomous system, as in [`Location::asn`].
    pub asn: Option<u32>,
}

impl LocationRef<'_> {
    /// Whether no database has a location for the address.
    pub fn is_unknown(&self) -> bool {
        let texts = [self.continent, self.country, self.subdivision, self.city];
        texts.iter().all(Option::is_none) && self.coordinates.is_none() && self.asn.is_none()
    }
}

/// The results of all databases for one address.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedLookup<'a> {
    /// The location merged from all databases.
    pub location: Location,
    /// The narrowest network that contains the address in any database. It is an IPv4 network if
    /// the address embeds one.
    pub network: IpNet,
    /// The IPv4 address that an IPv6 address embeds and is looked up as.
    pub embedded_ipv4: Option<Ipv4Addr>,
    /// The result of each database, in order of precedence.
    pub by_database: Vec<DatabaseLookup<'a>>,
}

/// The result of one database for one address.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseLookup<'a> {
    /// The label of the database in messages.
    pub label: &'a str,
    /// The database type, as in [`Database::kind`].
    pub kind: &'a str,
    /// The build time, in seconds of Unix time.
    pub build_epoch: u64,
    /// The location in this database.
    pub location: &'a Location,
    /// The network of that location.
    pub network: IpNet,
}

impl Databases {
    /// Merges databases, given in order of precedence.
    pub fn new(list: Vec<Arc<Database>>) -> Self {
        let countries = Arc::new(country_coordinates(&list));
        Self { list, countries }
    }

    /// The databases in order of precedence.
    pub fn list(&self) -> &[Arc<Database>] {
        &self.list
    }

    /// Looks an address up in each database, and merges the results. Allocates and takes about a
    /// microsecond, so it is not for the hot path.
    pub fn lookup(&self, ip: IpAddr) -> MergedLookup<'_> {
        let embedded_ipv4 = embedded_ipv4_of(ip);
        let ip = embedded_ipv4.map_or(ip, IpAddr::V4);
        let sources: Vec<_> = self.list.iter().map(|database| lookup_in(database, ip)).collect();
        let mut location =
            sources.iter().fold(Location::default(), |all, source| all.merged(source.location));
        self.fill_from_country(&mut location);
        let network = sources.iter().map(|source| source.network).max_by_key(IpNet::prefix_len);
        let network = network.unwrap_or_else(|| whole_family(ip));
        MergedLookup { location, network, embedded_ipv4, by_database: sources }
    }

    /// The merged location of an address, without allocation, for the hot path.
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

    /// Adds the continent and coordinates of the country to a location that has a country and lacks
    /// them.
    pub(super) fn fill_from_country(&self, location: &mut Location) {
        let Some(country) = &location.country else { return };
        if location.coordinates.is_none() {
            location.coordinates = self.coordinates_of(country);
        }
        if location.continent.is_none() {
            location.continent = countries::continent(country).map(Into::into);
        }
    }

    /// The coordinates that the databases have for a country as a whole, otherwise the built-in
    /// ones.
    fn coordinates_of(&self, country: &str) -> Option<Coordinates> {
        self.countries.get(country).copied().or_else(|| countries::coordinates(country))
    }

    /// The kinds of fields that the databases have.
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

/// The kinds of fields that a set of databases has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// The number of databases.
    pub databases: usize,
    /// Whether a record has a country.
    pub has_countries: bool,
    /// Whether a record has a continent, or a country, from which it follows.
    pub has_continents: bool,
    /// Whether a record has coordinates, or a country, from which they follow.
    pub has_coordinates: bool,
    /// Whether a record has a subdivision of a country.
    pub has_subdivisions: bool,
    /// Whether a record has an autonomous system.
    pub has_asns: bool,
}

/// The IPv4 address that an IPv6 address embeds.
fn embedded_ipv4_of(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V6(v6) => embedded_ipv4(u128::from(v6)).map(|(v4, _)| Ipv4Addr::from(v4)),
        IpAddr::V4(_) => None,
    }
}

/// The prefix of all addresses of the family of this one.
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

/// The coordinates of each country: those of a record of the country as a whole, otherwise those of
/// a record of a subdivision, the first by precedence and address; otherwise those of the cities if
/// all are equal. Other countries have none: the middle of several cities may be far from all of
/// them.
fn country_coordinates(list: &[Arc<Database>]) -> BTreeMap<Box<str>, Coordinates> {
    /// The best coordinates so far. The rank is 2 for a record of a country, 1 for one of a
    /// subdivision, 0 for one of a city. `is_only`: all records of this rank agree.
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
        .map(|(country, best)| (country, best.coordinates))
        .collect()
}
