//! The countries of ISO 3166-1: the continent and coordinates of each, for databases that name a
//! country and no more.
//!
//! Coordinates are those of the CIA World Factbook ("geographic coordinates", a work of the United
//! States government and so in the public domain), rounded to a hundredth of a degree: about the
//! middle of the country. If the middle is almost uninhabited (Russia, Canada, Australia, Brazil
//! and others), they are those of the capital or of the largest city, so that `nearest` measures
//! from where clients are. Continents are as GeoNames and the databases have them. `XK` (Kosovo) is
//! not in ISO 3166-1, but databases use it.
//!
//! Invariant: sorted by code.

use super::Coordinates;

/// Code, continent, degrees north, degrees east.
type Country = (&'static str, &'static str, f64, f64);

#[rustfmt::skip]
const COUNTRIES: &[Country] = &[
    ("AD", "EU", 42.5, 1.5),
    ("AE", "AS", 24.0, 54.0),
    ("AF", "AS", 33.0, 65.0),
    ("AG", "NA", 17.05, -61.8),
    ("AI", "NA", 18.25, -63.17),
    ("AL", "EU", 41.0, 20.0),
    ("AM", "AS", 40.0, 45.0),
    ("AO", "AF", -12.5, 18.5),
    ("AQ", "AN", -90.0, 0.0),
    ("AR", "SA", -34.6, -58.4),
    ("AS", "OC", -14.33, -170.0),
    ("AT", "EU", 47.33, 13.33),
    ("AU", "OC", -33.87, 151.21),
    ("AW", "NA", 12.5, -69.97),
    ("AX", "EU", 60.12, 19.9),
    ("AZ", "AS", 40.5, 47.5),
    ("BA", "EU", 44.0, 18.0),
    ("BB", "NA", 13.17, -59.53),
    ("BD", "AS", 24.0, 90.0),
    ("BE", "EU", 50.83, 4.0),
    ("BF", "AF", 13.0, -2.0),
    ("BG", "EU", 43.0, 25.0),
    ("BH", "AS", 26.0, 50.55),
    ("BI", "AF", -3.5, 30.0),
    ("BJ", "AF", 9.5, 2.25),
    ("BL", "NA", 17.9, -62.83),
    ("BM", "NA", 32.33, -64.75),
    ("BN", "AS", 4.5, 114.67),
    ("BO", "SA", -17.0, -65.0),
    ("BQ", "NA", 12.18, -68.25),
    ("BR", "SA", -23.55, -46.63),
    ("BS", "NA", 24.25, -76.0),
    ("BT", "AS", 27.5, 90.5),
    ("BV", "AN", -54.43, 3.4),
    ("BW", "AF", -22.0, 24.0),
    ("BY", "EU", 53.0, 28.0),
    ("BZ", "NA", 17.25, -88.75),
    ("CA", "NA", 43.65, -79.38),
    ("CC", "AS", -12.5, 96.83),
    ("CD", "AF", -4.32, 15.31),
    ("CF", "AF", 7.0, 21.0),
    ("CG", "AF", -4.27, 15.28),
    ("CH", "EU", 47.0, 8.0),
    ("CI", "AF", 8.0, -5.0),
    ("CK", "OC", -21.23, -159.77),
    ("CL", "SA", -33.45, -70.67),
    ("CM", "AF", 6.0, 12.0),
    ("CN", "AS", 34.75, 113.65),
    ("CO", "SA", 4.0, -72.0),
    ("CR", "NA", 10.0, -84.0),
    ("CU", "NA", 21.5, -80.0),
    ("CV", "AF", 16.0, -24.0),
    ("CW", "NA", 12.17, -69.0),
    ("CX", "AS", -10.5, 105.67),
    ("CY", "AS", 35.0, 33.0),
    ("CZ", "EU", 49.75, 15.5),
    ("DE", "EU", 51.0, 9.0),
    ("DJ", "AF", 11.5, 43.0),
    ("DK", "EU", 56.0, 10.0),
    ("DM", "NA", 15.42, -61.33),
    ("DO", "NA", 19.0, -70.67),
    ("DZ", "AF", 36.75, 3.05),
    ("EC", "SA", -2.0, -77.5),
    ("EE", "EU", 59.0, 26.0),
    ("EG", "AF", 30.05, 31.25),
    ("EH", "AF", 24.5, -13.0),
    ("ER", "AF", 15.0, 39.0),
    ("ES", "EU", 40.0, -4.0),
    ("ET", "AF", 8.0, 38.0),
    ("FI", "EU", 60.17, 24.93),
    ("FJ", "OC", -18.0, 175.0),
    ("FK", "SA", -51.75, -59.0),
    ("FM", "OC", 6.92, 158.25),
    ("FO", "EU", 62.0, -7.0),
    ("FR", "EU", 46.0, 2.0),
    ("GA", "AF", -1.0, 11.75),
    ("GB", "EU", 54.0, -2.0),
    ("GD", "NA", 12.12, -61.67),
    ("GE", "AS", 42.0, 43.5),
    ("GF", "SA", 4.0, -53.0),
    ("GG", "EU", 49.47, -2.58),
    ("GH", "AF", 8.0, -2.0),
    ("GI", "EU", 36.13, -5.35),
    ("GL", "NA", 64.18, -51.75),
    ("GM", "AF", 13.47, -16.57),
    ("GN", "AF", 11.0, -10.0),
    ("GP", "NA", 16.25, -61.58),
    ("GQ", "AF", 2.0, 10.0),
    ("GR", "EU", 39.0, 22.0),
    ("GS", "AN", -54.5, -37.0),
    ("GT", "NA", 15.5, -90.25),
    ("GU", "OC", 13.47, 144.78),
    ("GW", "AF", 12.0, -15.0),
    ("GY", "SA", 5.0, -59.0),
    ("HK", "AS", 22.25, 114.17),
    ("HM", "AN", -53.1, 72.52),
    ("HN", "NA", 15.0, -86.5),
    ("HR", "EU", 45.17, 15.5),
    ("HT", "NA", 19.0, -72.42),
    ("HU", "EU", 47.0, 20.0),
    ("ID", "AS", -6.17, 106.82),
    ("IE", "EU", 53.0, -8.0),
    ("IL", "AS", 31.5, 34.75),
    ("IM", "EU", 54.25, -4.5),
    ("IN", "AS", 20.0, 77.0),
    ("IO", "AS", -6.0, 71.5),
    ("IQ", "AS", 33.0, 44.0),
    ("IR", "AS", 32.0, 53.0),
    ("IS", "EU", 65.0, -18.0),
    ("IT", "EU", 42.83, 12.83),
    ("JE", "EU", 49.25, -2.17),
    ("JM", "NA", 18.25, -77.5),
    ("JO", "AS", 31.0, 36.0),
    ("JP", "AS", 36.0, 138.0),
    ("KE", "AF", 1.0, 38.0),
    ("KG", "AS", 41.0, 75.0),
    ("KH", "AS", 13.0, 105.0),
    ("KI", "OC", 1.42, 173.0),
    ("KM", "AF", -12.17, 44.25),
    ("KN", "NA", 17.33, -62.75),
    ("KP", "AS", 40.0, 127.0),
    ("KR", "AS", 37.0, 127.5),
    ("KW", "AS", 29.5, 45.75),
    ("KY", "NA", 19.5, -80.5),
    ("KZ", "AS", 48.0, 68.0),
    ("LA", "AS", 18.0, 105.0),
    ("LB", "AS", 33.83, 35.83),
    ("LC", "NA", 13.88, -60.97),
    ("LI", "EU", 47.27, 9.53),
    ("LK", "AS", 7.0, 81.0),
    ("LR", "AF", 6.5, -9.5),
    ("LS", "AF", -29.5, 28.5),
    ("LT", "EU", 56.0, 24.0),
    ("LU", "EU", 49.75, 6.17),
    ("LV", "EU", 57.0, 25.0),
    ("LY", "AF", 32.88, 13.17),
    ("MA", "AF", 32.0, -5.0),
    ("MC", "EU", 43.73, 7.4),
    ("MD", "EU", 47.0, 29.0),
    ("ME", "EU", 42.5, 19.3),
    ("MF", "NA", 18.08, -63.95),
    ("MG", "AF", -20.0, 47.0),
    ("MH", "OC", 9.0, 168.0),
    ("MK", "EU", 41.83, 22.0),
    ("ML", "AF", 12.65, -8.0),
    ("MM", "AS", 22.0, 98.0),
    ("MN", "AS", 47.92, 106.92),
    ("MO", "AS", 22.17, 113.55),
    ("MP", "OC", 15.2, 145.75),
    ("MQ", "NA", 14.67, -61.0),
    ("MR", "AF", 18.12, -16.03),
    ("MS", "NA", 16.75, -62.2),
    ("MT", "EU", 35.83, 14.58),
    ("MU", "AF", -20.28, 57.55),
    ("MV", "AS", 3.25, 73.0),
    ("MW", "AF", -13.5, 34.0),
    ("MX", "NA", 19.43, -99.13),
    ("MY", "AS", 3.17, 101.7),
    ("MZ", "AF", -18.25, 35.0),
    ("NA", "AF", -22.0, 17.0),
    ("NC", "OC", -21.5, 165.5),
    ("NE", "AF", 13.52, 2.12),
    ("NF", "OC", -29.03, 167.95),
    ("NG", "AF", 10.0, 8.0),
    ("NI", "NA", 13.0, -85.0),
    ("NL", "EU", 52.5, 5.75),
    ("NO", "EU", 59.92, 10.75),
    ("NP", "AS", 28.0, 84.0),
    ("NR", "OC", -0.53, 166.92),
    ("NU", "OC", -19.03, -169.87),
    ("NZ", "OC", -41.0, 174.0),
    ("OM", "AS", 21.0, 57.0),
    ("PA", "NA", 9.0, -80.0),
    ("PE", "SA", -12.05, -77.05),
    ("PF", "OC", -17.53, -149.57),
    ("PG", "OC", -6.0, 147.0),
    ("PH", "AS", 13.0, 122.0),
    ("PK", "AS", 30.0, 70.0),
    ("PL", "EU", 52.0, 20.0),
    ("PM", "NA", 46.83, -56.33),
    ("PN", "OC", -25.07, -130.08),
    ("PR", "NA", 18.25, -66.5),
    ("PS", "AS", 31.92, 35.2),
    ("PT", "EU", 39.5, -8.0),
    ("PW", "OC", 7.5, 134.5),
    ("PY", "SA", -25.27, -57.67),
    ("QA", "AS", 25.5, 51.25),
    ("RE", "AF", -21.1, 55.6),
    ("RO", "EU", 46.0, 25.0),
    ("RS", "EU", 44.0, 21.0),
    ("RU", "EU", 55.75, 37.6),
    ("RW", "AF", -2.0, 30.0),
    ("SA", "AS", 25.0, 45.0),
    ("SB", "OC", -8.0, 159.0),
    ("SC", "AF", -4.58, 55.67),
    ("SD", "AF", 15.6, 32.53),
    ("SE", "EU", 59.33, 18.05),
    ("SG", "AS", 1.37, 103.8),
    ("SH", "AF", -15.93, -5.7),
    ("SI", "EU", 46.12, 14.82),
    ("SJ", "EU", 78.0, 20.0),
    ("SK", "EU", 48.67, 19.5),
    ("SL", "AF", 8.5, -11.5),
    ("SM", "EU", 43.77, 12.42),
    ("SN", "AF", 14.0, -14.0),
    ("SO", "AF", 2.07, 45.33),
    ("SR", "SA", 4.0, -56.0),
    ("SS", "AF", 8.0, 30.0),
    ("ST", "AF", 1.0, 7.0),
    ("SV", "NA", 13.83, -88.92),
    ("SX", "NA", 18.03, -63.05),
    ("SY", "AS", 35.0, 38.0),
    ("SZ", "AF", -26.5, 31.5),
    ("TC", "NA", 21.75, -71.58),
    ("TD", "AF", 12.1, 15.03),
    ("TF", "AN", -49.25, 69.17),
    ("TG", "AF", 8.0, 1.17),
    ("TH", "AS", 15.0, 100.0),
    ("TJ", "AS", 39.0, 71.0),
    ("TK", "OC", -9.0, -172.0),
    ("TL", "AS", -8.83, 125.92),
    ("TM", "AS", 40.0, 60.0),
    ("TN", "AF", 34.0, 9.0),
    ("TO", "OC", -20.0, -175.0),
    ("TR", "AS", 39.0, 35.0),
    ("TT", "NA", 11.0, -61.0),
    ("TV", "OC", -8.0, 178.0),
    ("TW", "AS", 23.5, 121.0),
    ("TZ", "AF", -6.0, 35.0),
    ("UA", "EU", 49.0, 32.0),
    ("UG", "AF", 1.0, 32.0),
    ("UM", "OC", 19.28, 166.65),
    ("US", "NA", 38.0, -97.0),
    ("UY", "SA", -33.0, -56.0),
    ("UZ", "AS", 41.0, 64.0),
    ("VA", "EU", 41.9, 12.45),
    ("VC", "NA", 13.25, -61.2),
    ("VE", "SA", 8.0, -66.0),
    ("VG", "NA", 18.5, -64.5),
    ("VI", "NA", 18.33, -64.83),
    ("VN", "AS", 16.0, 106.0),
    ("VU", "OC", -16.0, 167.0),
    ("WF", "OC", -13.3, -176.2),
    ("WS", "OC", -13.58, -172.33),
    ("XK", "EU", 42.58, 21.0),
    ("YE", "AS", 15.0, 48.0),
    ("YT", "AF", -12.83, 45.17),
    ("ZA", "AF", -29.0, 24.0),
    ("ZM", "AF", -15.0, 30.0),
    ("ZW", "AF", -20.0, 30.0),
];

fn country(code: &str) -> Option<&'static Country> {
    let position = COUNTRIES.binary_search_by(|(other, ..)| (*other).cmp(code)).ok()?;
    COUNTRIES.get(position)
}

/// Whether `code`, in upper case, is the code of a country.
pub fn is_country(code: &str) -> bool {
    country(code).is_some()
}

/// The continent that a country belongs to: `EU` for `DE`.
pub(super) fn continent(code: &str) -> Option<&'static str> {
    country(code).map(|(_, continent, ..)| *continent)
}

/// The built-in coordinates of a country.
pub(super) fn coordinates(code: &str) -> Option<Coordinates> {
    country(code)
        .and_then(|&(_, _, latitude, longitude)| Coordinates::new(latitude, longitude).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_found_on_a_continent_and_never_at_zero_zero() {
        assert_eq!(
            COUNTRIES.len(),
            249 + 1,
            "ISO 3166-1 has 249 codes, and XK is in use beside them"
        );
        assert!(COUNTRIES.is_sorted_by(|a, b| a.0 < b.0));
        for (code, ..) in COUNTRIES {
            let point = coordinates(code).unwrap_or_else(|| panic!("{code} has no coordinates"));
            assert!(point.latitude() != 0.0 || point.longitude() != 0.0, "{code}");
            assert!(
                ["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(&continent(code).unwrap()),
                "{code}"
            );
        }
        assert_eq!((continent("DE"), continent("UK"), coordinates("??")), (Some("EU"), None, None));
    }

    #[test]
    fn distances_between_countries_are_plausible() {
        let km =
            |from: &str, to: &str| coordinates(from).unwrap().distance_km(coordinates(to).unwrap());
        for (from, to, min, max) in [
            ("DE", "FR", 500.0, 1000.0),
            ("US", "CA", 1000.0, 2000.0),
            ("GB", "AU", 16_000.0, 18_000.0),
            ("JP", "KR", 700.0, 1200.0),
            ("BR", "PT", 7000.0, 9000.0),
        ] {
            let found = km(from, to);
            assert!((min..max).contains(&found), "{from} to {to}: {found} km");
        }
    }
}
