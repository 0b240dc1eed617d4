//! What the databases say of one network.

use super::Coordinates;

/// Where an address is, as far as the databases know. `None` everywhere is a client nobody knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`: of the record, else of its country.
    pub continent: Option<Box<str>>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<Box<str>>,
    /// ISO 3166-2, country included, the narrowest first: `GB-WBK`, `GB-ENG`.
    pub subdivisions: Box<[Box<str>]>,
    /// The city's English name; shown, never decided on.
    pub city: Option<Box<str>>,
    /// Of the network, else of its country, by the databases or by a built-in table; never (0, 0)
    /// for "unknown".
    pub coordinates: Option<Coordinates>,
    /// The autonomous system that announces the network.
    pub asn: Option<u32>,
    /// The autonomous system's name; shown, never decided on.
    pub organization: Option<Box<str>>,
}

impl Location {
    /// Each field of this location, or of `other` where this one has none.
    pub(super) fn merged(&self, other: &Self) -> Self {
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
