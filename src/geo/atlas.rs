//! The atlas: every address of both families in its area, and the widest prefix around it that
//! stays in that area.
//!
//! Invariants: the runs cover both spaces; neighbouring runs differ; blocks of IPv6 that carry IPv4
//! are runs of their own that no scope crosses, because their addresses are judged by the IPv4
//! runs.

use std::net::IpAddr;

use super::{
    address::{Address, embedded_ipv4},
    blocks::{Blocks, ScopedValue},
    runs::{IndexedRuns, SortedRuns, ValueRun},
};

/// The value of runs whose addresses are looked up as the IPv4 they carry.
pub(super) const EMBEDDED_IPV4: u32 = u32::MAX;

/// An area's number with whether it is special: a run's value.
pub(super) fn pack_area(area: u32, is_special: bool) -> u32 {
    area << 1 | u32::from(is_special)
}

/// A set of addresses that are all answered by the same preferences. A position in what
/// [`Atlas::survey`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Area(pub u32);

/// Every address's area. Immutable.
#[derive(Debug, Clone)]
pub struct Atlas {
    v4: Blocks,
    v6: IndexedRuns<u128>,
    area_count: usize,
    /// All addresses are in this one area, special ones too.
    only: Option<Area>,
}

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressArea {
    /// Its area.
    pub area: Area,
    /// The length of the widest prefix around the address, in its own family, that lies wholly in
    /// one run of the area: the ECS SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1). 0 where the atlas
    /// is all one area, but for special addresses: these are judged by their resolver's address, so
    /// that their scope never leaves the special range.
    pub scope: u8,
    /// A special-purpose address (RFC 6890) that no named prefix contains and no database knows: it
    /// says nothing of where a client is.
    pub is_special: bool,
}

/// Something that [`Atlas::locate`] will read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AtlasHint {
    /// The first look said it all.
    Resolved(u32),
    /// A block's position.
    Block(u32),
    /// A run's number.
    Run(usize),
}

/// Neighbouring addresses of one area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
    /// How many addresses.
    pub addresses: u128,
    /// Their area.
    pub area: Area,
    /// As [`AddressArea::is_special`].
    pub is_special: bool,
}

impl Atlas {
    pub(super) fn from_runs(v4: SortedRuns<u32>, v6: SortedRuns<u128>, area_count: usize) -> Self {
        let (v4, v6) = (Blocks::from_runs(&v4), IndexedRuns::with_index(v6));
        let only = only_area(&v4, &v6);
        Self { v4, v6, area_count, only }
    }

    /// Where an address is. No allocation; about 20 ns.
    #[inline]
    pub fn locate(&self, ip: &IpAddr) -> AddressArea {
        let place = match *ip {
            IpAddr::V4(v4) => address_area(self.v4.find(u32::from(v4))),
            IpAddr::V6(v6) => self.locate_v6(u128::from(v6)),
        };
        if self.only.is_some() && !place.is_special {
            AddressArea { scope: 0, ..place }
        } else {
            place
        }
    }

    #[inline]
    fn locate_v6(&self, address: u128) -> AddressArea {
        match embedded_ipv4(address) {
            Some((v4, carriage)) => {
                let place = address_area(self.v4.find(v4));
                AddressArea { scope: carriage.prefix_length(place.scope), ..place }
            }
            None => {
                let found = self.v6.find(address);
                address_area(ScopedValue { value: found.value, scope: found.scope(address) })
            }
        }
    }

    /// What [`Atlas::locate`] will read of an address after its first look.
    #[inline]
    pub(crate) fn hint(&self, ip: IpAddr) -> AtlasHint {
        let v4 = |address| {
            self.v4
                .cell_or_block(address)
                .map_or_else(AtlasHint::Block, |spot| AtlasHint::Resolved(spot.value))
        };
        match ip {
            IpAddr::V4(address) => v4(u32::from(address)),
            IpAddr::V6(address) => match embedded_ipv4(u128::from(address)) {
                Some((address, _)) => v4(address),
                None => AtlasHint::Run(self.v6.candidate_runs(u128::from(address)).0),
            },
        }
    }

    /// Follows a lead that this atlas gave: what it leads to is in the cache afterwards. The number
    /// means nothing.
    #[inline]
    pub(crate) fn prefetch(&self, lead: AtlasHint) -> u32 {
        match lead {
            AtlasHint::Resolved(value) => value,
            AtlasHint::Block(at) => self.v4.block_head(at),
            AtlasHint::Run(run) => self.v6.start(run) as u32,
        }
    }

    /// Areas are numbered below this.
    pub fn area_count(&self) -> usize {
        self.area_count
    }

    /// The area of all addresses, if there is but one.
    pub fn only_area(&self) -> Option<Area> {
        self.only
    }

    /// Runs of both families.
    pub fn run_count(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// All runs in address order, IPv4 first. Blocks of IPv6 that carry IPv4 are left out.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.v4.iter().filter_map(run).chain(self.v6.iter().filter_map(run))
    }

    /// Memory held, in octets.
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes()
    }
}

/// The referee of folds that are made from a grid: a fold made from the runs of an atlas.
#[cfg(test)]
impl Atlas {
    /// The atlas in which area `a` has become area `map[a]`.
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
        .map(|f| f.value)
        .chain(v6.iter().map(|f| f.value))
        .filter(|&value| value != EMBEDDED_IPV4);
    let first = areas.next()? >> 1;
    areas.all(|value| value >> 1 == first).then_some(Area(first))
}
