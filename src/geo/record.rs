//! One record of a database, decoded: the shapes of MaxMind (City, Country, ASN), DB-IP (the same,
//! without subdivision codes) and IPinfo (a flat map of strings) in one table,
//! [`RecordPath::child`].
//!
//! All values of a record are read, not only those that are used, so that a damaged record is found
//! when the file is opened. Values that are known and not used (names in other languages, the
//! registered country, traits) are skipped: they are most of a City record, and other readers
//! accept a file in which they are damaged.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{Coordinates, Location};

/// The fields of a record, and what it cost to read.
#[derive(Debug, Default)]
pub(super) struct DecodedRecord {
    fields: LocationFields,
    /// The number of keys and values read, plus an eighth of the octets of keys and texts. Shared
    /// values count each time.
    pub(super) cost: u64,
}

#[derive(Debug, Default)]
struct LocationFields {
    continent: Option<Box<str>>,
    country: Option<Box<str>>,
    /// The codes of the subdivisions, the widest first.
    subdivisions: Vec<Box<str>>,
    city: Option<Box<str>>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    asn: Option<u32>,
    organization: Option<Box<str>>,
}

/// The position of a value in a record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum RecordPath {
    Root,
    Continent,
    Country,
    Subdivisions,
    Subdivision,
    City,
    CityNames,
    Location,
    ContinentCode,
    CountryCode,
    SubdivisionCode,
    CityName,
    Latitude,
    Longitude,
    Asn,
    Organization,
    /// A known value that is not used.
    Ignored,
    /// An unknown value, which is read only to check its encoding.
    Unknown,
}

impl RecordPath {
    /// The path of the value of `key` in a map at this path.
    fn child(self, key: &str) -> Self {
        match (self, key) {
            (Self::Root, "continent") => Self::Continent,
            (Self::Root, "country") => Self::Country,
            (Self::Root, "city") => Self::City,
            (Self::Root, "location") => Self::Location,
            (Self::Root, "subdivisions") => Self::Subdivisions,
            (Self::Root, "autonomous_system_number" | "asn") => Self::Asn,
            (Self::Root, "autonomous_system_organization" | "as_name" | "name") => {
                Self::Organization
            }
            (Self::Root, "continent_code") | (Self::Continent, "code") => Self::ContinentCode,
            (Self::Root, "country_code") | (Self::Country, "iso_code") => Self::CountryCode,
            (Self::Root, "region_code") | (Self::Subdivision, "iso_code") => Self::SubdivisionCode,
            (Self::Root, "lat" | "latitude") | (Self::Location, "latitude") => Self::Latitude,
            (Self::Root, "lng" | "longitude") | (Self::Location, "longitude") => Self::Longitude,
            (Self::City, "names") => Self::CityNames,
            (Self::CityNames, "en") => Self::CityName,
            (Self::CityNames, _) => Self::Ignored,
            (Self::Root, "registered_country" | "represented_country" | "postal" | "traits") => {
                Self::Ignored
            }
            (Self::Continent | Self::Country | Self::Subdivision, "names") => Self::Ignored,
            _ => Self::Unknown,
        }
    }
}

impl LocationFields {
    fn set_text(&mut self, path: RecordPath, text: &str) {
        match path {
            // The flat files of IPinfo have a code or a name under these keys, depending on the
            // product. A code is recognised by its form.
            RecordPath::Continent | RecordPath::ContinentCode => {
                self.continent = continent(text).or(self.continent.take())
            }
            RecordPath::Country | RecordPath::CountryCode => {
                self.country = country(text).or(self.country.take())
            }
            RecordPath::SubdivisionCode => self.subdivisions.extend(subdivision(text)),
            RecordPath::City | RecordPath::CityName => self.city = displayable_text(text),
            RecordPath::Latitude => self.latitude = text.trim().parse().ok(),
            RecordPath::Longitude => self.longitude = text.trim().parse().ok(),
            RecordPath::Asn => {
                self.asn = text.trim_start_matches("AS").parse().ok().filter(|&asn| asn != 0)
            }
            RecordPath::Organization => self.organization = displayable_text(text),
            _ => {}
        }
    }

    fn set_float(&mut self, path: RecordPath, value: f64) {
        match path {
            RecordPath::Latitude => self.latitude = Some(value),
            RecordPath::Longitude => self.longitude = Some(value),
            _ => {}
        }
    }

    fn set_unsigned(&mut self, path: RecordPath, value: u64) {
        match path {
            RecordPath::Asn => self.asn = u32::try_from(value).ok().filter(|&asn| asn != 0),
            _ => self.set_float(path, value as f64),
        }
    }
}

impl DecodedRecord {
    /// The location of the record, without invalid codes and coordinates, and without (0, 0), which
    /// some databases write for "unknown".
    pub(super) fn into_location(self) -> Location {
        let fields = self.fields;
        let in_country = |code: &str| match &fields.country {
            _ if code.contains('-') => Some(code.into()),
            Some(country) => Some(format!("{country}-{code}").into_boxed_str()),
            None => None,
        };
        let subdivisions =
            fields.subdivisions.iter().rev().filter_map(|code| in_country(code)).collect();
        let coordinates = match (fields.latitude, fields.longitude) {
            (Some(latitude), Some(longitude)) if latitude != 0.0 || longitude != 0.0 => {
                // Adding 0.0 turns -0.0 into 0.0, so that equal points have equal hashes.
                Coordinates::new(latitude + 0.0, longitude + 0.0).ok()
            }
            _ => None,
        };
        Location {
            continent: fields.continent,
            country: fields.country,
            subdivisions,
            city: fields.city,
            coordinates,
            asn: fields.asn,
            organization: fields.organization,
        }
    }
}

fn continent(text: &str) -> Option<Box<str>> {
    ["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(&text).then(|| text.into())
}

fn country(text: &str) -> Option<Box<str>> {
    let is_code = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase().into())
}

fn subdivision(text: &str) -> Option<Box<str>> {
    let is_code = (1..=6).contains(&text.len())
        && text.bytes().all(|o| o.is_ascii_alphanumeric() || o == b'-');
    is_code.then(|| text.to_ascii_uppercase().into())
}

/// A text that is only displayed; `None` for one with control characters, which could forge a log
/// line or change the colours of a terminal.
fn displayable_text(text: &str) -> Option<Box<str>> {
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.into())
}

impl<'de> Deserialize<'de> for DecodedRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut record = Self::default();
        deserializer
            .deserialize_any(RecordVisitor { path: RecordPath::Root, record: &mut record })?;
        Ok(record)
    }
}

/// Reads the value at one path into the record.
struct RecordVisitor<'a> {
    path: RecordPath,
    record: &'a mut DecodedRecord,
}

impl RecordVisitor<'_> {
    fn add_cost(&mut self, octets: usize) {
        self.record.cost += 1 + (octets / 8) as u64;
    }
}

impl<'de> DeserializeSeed<'de> for RecordVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path == RecordPath::Root { "a map" } else { "a value" })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.add_cost(0);
        while let Some(key) = map.next_key::<&str>()? {
            let path = self.path.child(key);
            self.add_cost(key.len());
            if path == RecordPath::Ignored {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(RecordVisitor { path, record: self.record })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut values: A) -> Result<(), A::Error> {
        self.add_cost(0);
        if self.path == RecordPath::Root {
            return Err(de::Error::custom("a record is an array, not a map"));
        }
        // The elements run from the widest subdivision to the narrowest. Rules may name any of
        // them.
        let path = if self.path == RecordPath::Subdivisions {
            RecordPath::Subdivision
        } else {
            RecordPath::Unknown
        };
        while values.next_element_seed(RecordVisitor { path, record: self.record })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        self.add_cost(text.len());
        self.record.fields.set_text(self.path, text);
        Ok(())
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        self.add_cost(0);
        self.record.fields.set_float(self.path, value);
        Ok(())
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<(), E> {
        self.visit_f64(f64::from(value))
    }

    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        self.add_cost(0);
        self.record.fields.set_unsigned(self.path, value);
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(mut self, _: u128) -> Result<(), E> {
        self.add_cost(0);
        Ok(())
    }

    fn visit_bool<E: de::Error>(mut self, _: bool) -> Result<(), E> {
        self.add_cost(0);
        Ok(())
    }

    fn visit_bytes<E: de::Error>(mut self, octets: &[u8]) -> Result<(), E> {
        self.add_cost(octets.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Location {
        serde_json::from_str::<DecodedRecord>(json).unwrap().into_location()
    }

    #[test]
    fn a_maxmind_record_gives_every_field() {
        let location = read(
            r#"{"continent":{"code":"NA","names":{"en":"North America"}},"country":{"iso_code":"US","geoname_id":1},
                "subdivisions":[{"iso_code":"CA"},{"iso_code":"XX"}],"city":{"names":{"de":"x","en":"San José"}},
                "location":{"latitude":37.3,"longitude":-121.9,"accuracy_radius":5},"registered_country":{"iso_code":"DE"}}"#,
        );
        assert_eq!(location.continent.as_deref(), Some("NA"));
        assert_eq!(location.country.as_deref(), Some("US"));
        assert_eq!(*location.subdivisions, ["US-XX".into(), "US-CA".into()], "the narrowest first");
        assert_eq!(location.city.as_deref(), Some("San José"));
        assert_eq!(location.coordinates, Coordinates::new(37.3, -121.9).ok());
    }

    #[test]
    fn the_flat_shapes_of_ipinfo_are_told_apart_by_their_values() {
        let lite = read(
            r#"{"asn":"AS64500","as_name":"Example","continent":"Europe","continent_code":"EU","country":"Germany","country_code":"DE"}"#,
        );
        assert_eq!(
            (lite.asn, lite.country.as_deref(), lite.continent.as_deref()),
            (Some(64500), Some("DE"), Some("EU"))
        );
        assert_eq!(lite.organization.as_deref(), Some("Example"));
        let standard = read(
            r#"{"city":"Berlin","region_code":"BE","country":"de","lat":"52.5","lng":"13.4"}"#,
        );
        assert_eq!(
            (&*standard.subdivisions, standard.city.as_deref()),
            (&["DE-BE".into()][..], Some("Berlin"))
        );
        assert_eq!(standard.coordinates, Coordinates::new(52.5, 13.4).ok());
    }

    #[test]
    fn values_that_are_not_a_location_are_left_out() {
        for (json, reason) in [
            (r#"{"location":{"latitude":0.0,"longitude":0.0}}"#, "(0, 0) is written for unknown"),
            (r#"{"location":{"latitude":91.0,"longitude":1.0}}"#, "no such latitude"),
            (r#"{"location":{"latitude":1.0}}"#, "half a point"),
            (r#"{"lat":"north","lng":"1"}"#, "no number"),
            (r#"{"country":{"iso_code":"D1"}}"#, "no country code"),
            (r#"{"continent":{"code":"XX"}}"#, "no continent code"),
            (r#"{"asn":"AS0"}"#, "AS 0 is reserved (RFC 7607)"),
            (r#"{"city":{"names":{"en":"a\nb"}}}"#, "a name that would forge a log line"),
            (r#"{"subdivisions":[{"iso_code":"CA"}]}"#, "a subdivision of no country"),
        ] {
            assert_eq!(read(json), Location::default(), "{reason}");
        }
    }

    #[test]
    fn a_record_that_is_not_a_map_is_refused() {
        for json in ["[]", "[{}]"] {
            assert!(
                serde_json::from_str::<DecodedRecord>(json)
                    .unwrap_err()
                    .to_string()
                    .contains("not a map")
            );
        }
    }
}
