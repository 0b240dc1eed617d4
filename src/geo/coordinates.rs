//! Points on the Earth and the great-circle distance between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The mean radius of the Earth (IUGG), in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A point: latitude in [-90, 90], longitude in [-180, 180], in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Coordinates {
    latitude: f64,
    longitude: f64,
}

/// A latitude or longitude that is out of range or not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CoordinatesError {
    /// The latitude is not in [-90, 90].
    Latitude(f64),
    /// The longitude is not in [-180, 180].
    Longitude(f64),
}

impl fmt::Display for CoordinatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latitude(value) => write!(f, "latitude {value} is not within -90 to 90"),
            Self::Longitude(value) => write!(f, "longitude {value} is not within -180 to 180"),
        }
    }
}

impl std::error::Error for CoordinatesError {}

impl Coordinates {
    /// The point at a latitude and a longitude in degrees.
    ///
    /// # Errors
    /// [`CoordinatesError`], with the number that is out of range.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, CoordinatesError> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(CoordinatesError::Latitude(latitude));
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(CoordinatesError::Longitude(longitude));
        }
        Ok(Self { latitude, longitude })
    }

    /// The latitude in degrees north, -90 to 90.
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// The longitude in degrees east, -180 to 180.
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// The great-circle distance in kilometres (haversine).
    pub fn distance_km(self, other: Self) -> f64 {
        let (phi, other_phi) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_phi = (other_phi - phi) / 2.0;
        let half_lambda = (other.longitude - self.longitude).to_radians() / 2.0;
        let h = half_phi.sin().powi(2) + phi.cos() * other_phi.cos() * half_lambda.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }
}

/// Hashed by bits, so that a point can be a key. `-0.0` and `0.0` are equal points with different
/// hashes; the reader of records makes no `-0.0`.
impl Eq for Coordinates {}

impl std::hash::Hash for Coordinates {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.latitude.to_bits().hash(state);
        self.longitude.to_bits().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    #[test]
    fn distance_is_along_the_great_circle() {
        let (oslo, frankfurt, helsinki) =
            (point(59.91, 10.75), point(50.11, 8.68), point(60.17, 24.94));
        assert!((oslo.distance_km(frankfurt) - 1098.0).abs() < 3.0);
        assert!((oslo.distance_km(helsinki) - 787.0).abs() < 3.0);
        assert!((point(0.0, 179.5).distance_km(point(0.0, -179.5)) - 111.2).abs() < 0.1);
        assert!((point(90.0, 0.0).distance_km(point(-90.0, 77.0)) - 20015.1).abs() < 0.1);
        assert_eq!(oslo.distance_km(oslo), 0.0);
    }

    #[test]
    fn coordinates_out_of_range_are_refused() {
        assert_eq!(Coordinates::new(90.1, 0.0), Err(CoordinatesError::Latitude(90.1)));
        assert_eq!(Coordinates::new(0.0, -180.5), Err(CoordinatesError::Longitude(-180.5)));
        assert!(Coordinates::new(f64::NAN, 0.0).is_err());
    }
}
