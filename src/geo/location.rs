//! The location of a network, as the databases have it.

use super::Coordinates;

/// The location of an address, as far as the databases have it. In a location with `None` in all
/// fields, nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// The continent in the record, otherwise that of the country: `AF`, `AN`, `AS`, `EU`, `NA`,
    /// `OC` or `SA`.
    pub continent: Option<Box<str>>,
    /// The country, as an ISO 3166-1 alpha-2 code in upper case.
    pub country: Option<Box<str>>,
    /// The subdivisions, as ISO 3166-2 codes with the country, the narrowest first: `GB-WBK`,
    /// `GB-ENG`.
    pub subdivisions: Box<[Box<str>]>,
    /// The English name of the city. It is only displayed.
    pub city: Option<Box<str>>,
    /// The coordinates of the network, otherwise those of its country in the databases or in a
    /// built-in table; never (0, 0) for "unknown".
    pub coordinates: Option<Coordinates>,
    /// The autonomous system that announces the network.
    pub asn: Option<u32>,
    /// The name of the autonomous system. It is only displayed.
    pub organization: Option<Box<str>>,
}

impl Location {
    /// Each field of this location, or of `other` where this one has none.
    pub(crate) fn merged(&self, other: &Self) -> Self {
        let or = |first: &Option<Box<str>>, second: &Option<Box<str>>| {
            first.as_ref().or(second.as_ref()).cloned()
        };
        Location {
            continent: or(&self.continent, &other.continent),
            country: or(&self.country, &other.country),
            subdivisions: if self.subdivisions.is_empty() {
                &other.subdivisions
            } else {
                &self.subdivisions
            }
            .clone(),
            city: or(&self.city, &other.city),
            coordinates: self.coordinates.or(other.coordinates),
            asn: self.asn.or(other.asn),
            organization: or(&self.organization, &other.organization),
        }
    }
}
