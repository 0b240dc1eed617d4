//! Geography: coordinates, what a database says of an address, and the atlas compiled from both. Layer 1: pure; bytes come in as arguments.

mod coordinates;
mod location;

pub use coordinates::{Coordinates, CoordinatesError};
pub use location::Location;
