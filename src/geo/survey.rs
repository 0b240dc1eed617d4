//! A survey: the grid of all databases divided once, and the atlas of that.

use std::hash::Hash;

use ipnet::IpNet;

use super::{Atlas, Databases, Grid, Location};

impl Atlas {
    /// Joins all networks for which `classify` says the same into areas, numbered in order of first
    /// appearance (IPv4 first), and returns what it said of each.
    ///
    /// `classify` gets the location and the positions in `named` of all prefixes that contain the
    /// network, longest first; it is called once for each distinct pair. Special-purpose addresses
    /// that no named prefix contains are areas of their own, whatever it says. A named prefix
    /// inside a block of IPv6 that carries IPv4 names the IPv4 prefix. About 15 ns a network; who
    /// divides the world more than once keeps the [`Grid`].
    pub fn survey<S: Eq + Hash + Clone>(
        databases: &Databases,
        named: &[IpNet],
        classify: impl FnMut(&Location, &[u32]) -> S,
    ) -> (Self, Vec<S>) {
        let grid = Grid::new(databases, named.to_vec());
        let (division, areas) = grid.divide(named, classify);
        (grid.atlas(&division), areas)
    }
}
