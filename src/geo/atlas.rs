//! The atlas: the area of every address of both families, and the widest prefix around the address
//! that lies in that area.
//!
//! Invariants: the runs cover both address spaces; neighbouring runs differ; blocks of IPv6 that
//! embed IPv4 are separate runs, which no scope crosses, because their addresses are looked up in
//! the IPv4 runs.

use std::net::IpAddr;

use super::{
    address::{Address, embedded_ipv4},
    blocks::{Blocks, ScopedValue},
    runs::{IndexedRuns, SortedRuns, ValueRun},
};

/// The value of runs whose addresses are looked up as the IPv4 addresses that they embed.
pub(super) const EMBEDDED_IPV4: u32 = u32::MAX;

/// The value of a run: the number of its area, and whether its addresses are special.
pub(super) fn pack_area(area: u32, is_special: bool) -> u32 {
    area << 1 | u32::from(is_special)
}

/// A set of addresses with the same value of the classification, by its position in the list that
/// [`Atlas::survey`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Area(pub u32);

/// The area of every address. Immutable.
#[derive(Debug, Clone)]
pub struct Atlas {
    v4: Blocks,
    v6: IndexedRuns<u128>,
    area_count: usize,
    /// The area of all addresses, including special ones, if there is only one.
    only: Option<Area>,
}

/// The area of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressArea {
    /// The area that the address is in.
    pub area: Area,
    /// The length of the widest prefix around the address, in its family, that lies in one run of
    /// the area: the ECS SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1). It is 0 if the atlas has
    /// only one area, except for special addresses: for those the address of the resolver decides,
    /// so their scope never exceeds the special block.
    pub scope: u8,
    /// Whether the address is a special-purpose one (RFC 6890) that no named prefix contains and no
    /// database has a location for. It does not show where a client is.
    pub is_special: bool,
}

/// What [`Atlas::locate`] will read after its first look at an address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AtlasHint {
    /// Nothing more: the value is known.
    Resolved(u32),
    /// The block of IPv4 at this position.
    Block(u32),
    /// The run of IPv6 with this number.
    Run(usize),
}

/// Consecutive addresses of one area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first address of the run.
    pub first: IpAddr,
    /// The last address of the run, included.
    pub last: IpAddr,
    /// The number of addresses; saturates at 2^128 - 1.
    pub addresses: u128,
    /// The area of all the addresses.
    pub area: Area,
    /// Whether the area is special-purpose, as in [`AddressArea::is_special`].
    pub is_special: bool,
}

impl Atlas {
    pub(super) fn from_runs(v4: SortedRuns<u32>, v6: SortedRuns<u128>, area_count: usize) -> Self {
        let (v4, v6) = (Blocks::from_runs(&v4), IndexedRuns::with_index(v6));
        let only = only_area(&v4, &v6);
        Self { v4, v6, area_count, only }
    }

    /// The area of an address. Allocates nothing and takes about 20 ns.
    #[inline]
    pub fn locate(&self, ip: &IpAddr) -> AddressArea {
        let found = match *ip {
            IpAddr::V4(v4) => address_area(self.v4.find(u32::from(v4))),
            IpAddr::V6(v6) => self.locate_v6(u128::from(v6)),
        };
        if self.only.is_some() && !found.is_special {
            AddressArea { scope: 0, ..found }
        } else {
            found
        }
    }

    #[inline]
    fn locate_v6(&self, address: u128) -> AddressArea {
        match embedded_ipv4(address) {
            Some((v4, embedding)) => {
                let found = address_area(self.v4.find(v4));
                AddressArea { scope: embedding.prefix_length(found.scope), ..found }
            }
            None => {
                let found = self.v6.find(address);
                address_area(ScopedValue { value: found.value, scope: found.scope(address) })
            }
        }
    }

    /// The first look of [`Atlas::locate`] at an address.
    #[inline]
    pub(crate) fn hint(&self, ip: IpAddr) -> AtlasHint {
        let v4 = |address| {
            self.v4
                .cell_or_block(address)
                .map_or_else(AtlasHint::Block, |found| AtlasHint::Resolved(found.value))
        };
        match ip {
            IpAddr::V4(address) => v4(u32::from(address)),
            IpAddr::V6(address) => match embedded_ipv4(u128::from(address)) {
                Some((address, _)) => v4(address),
                None => AtlasHint::Run(self.v6.candidate_runs(u128::from(address)).0),
            },
        }
    }

    /// Reads what a hint of this atlas leads to, so that it is in the cache afterwards. The
    /// returned number has no meaning.
    #[inline]
    pub(crate) fn prefetch(&self, hint: AtlasHint) -> u32 {
        match hint {
            AtlasHint::Resolved(value) => value,
            AtlasHint::Block(position) => self.v4.block_head(position),
            AtlasHint::Run(run) => self.v6.start(run) as u32,
        }
    }

    /// The number of areas, which are numbered from 0.
    pub fn area_count(&self) -> usize {
        self.area_count
    }

    /// The area of all addresses, if there is only one.
    pub fn only_area(&self) -> Option<Area> {
        self.only
    }

    /// The number of runs of both families.
    pub fn run_count(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// All runs in address order, IPv4 first, without the blocks of IPv6 that embed IPv4.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.v4.iter().filter_map(run).chain(self.v6.iter().filter_map(run))
    }

    /// The memory that the atlas holds, in octets.
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes()
    }
}

/// The referee of folds that are made from a grid: a fold made from the runs of an atlas.
#[cfg(test)]
impl Atlas {
    /// The atlas in which area `a` became area `map[a]`.
    pub(super) fn fold(&self, map: &[u32]) -> Self {
        fn mapped<K: Address>(
            runs: impl Iterator<Item = ValueRun<K>>,
            value: impl Fn(u32) -> u32,
        ) -> SortedRuns<K> {
            let mut builder = super::runs::RunsBuilder::new();
            runs.for_each(|run| builder.push(run.first, value(run.value)));
            builder.finish()
        }
        assert!(map.len() >= self.area_count, "every area needs one to become");
        let values: Vec<u32> =
            map.iter().flat_map(|&to| [pack_area(to, false), pack_area(to, true)]).collect();
        let value = |value: u32| {
            if value == EMBEDDED_IPV4 { EMBEDDED_IPV4 } else { values[value as usize] }
        };
        let area_count =
            map[..self.area_count].iter().max().map_or(0, |&highest| highest as usize + 1);
        Self::from_runs(mapped(self.v4.iter(), value), mapped(self.v6.iter(), value), area_count)
    }
}

#[inline]
fn address_area(found: ScopedValue) -> AddressArea {
    AddressArea {
        area: Area(found.value >> 1),
        scope: found.scope,
        is_special: found.value & 1 == 1,
    }
}

fn run<K: Address>(found: ValueRun<K>) -> Option<Run> {
    (found.value != EMBEDDED_IPV4).then(|| Run {
        first: found.first.to_ip(),
        last: found.last.to_ip(),
        addresses: K::count(found.first, found.last),
        area: Area(found.value >> 1),
        is_special: found.value & 1 == 1,
    })
}

fn only_area(v4: &Blocks, v6: &IndexedRuns<u128>) -> Option<Area> {
    let mut areas = v4
        .iter()
        .map(|run| run.value)
        .chain(v6.iter().map(|run| run.value))
        .filter(|&value| value != EMBEDDED_IPV4);
    let first = areas.next()? >> 1;
    areas.all(|value| value >> 1 == first).then_some(Area(first))
}
