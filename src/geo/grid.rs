//! The grid: the address space divided into cells. All addresses of a cell have the same location
//! in the databases, and the same named prefixes contain them.
//!
//! One sweep over all networks finds the cells and counts the addresses of each. A classification
//! then looks at thousands of cells instead of millions of networks, and one sweep lays out many
//! atlases.

use std::{hash::Hash, net::IpAddr};

use hashbrown::{HashMap, hash_map::Entry};
use ipnet::IpNet;

use super::{
    Atlas, Databases, Location,
    address::{Address, embedded_ipv4},
    atlas::{self, EMBEDDED_IPV4},
    hash_state::FastHashState,
    joint_records::JointRecords,
    network_list::{NetworkCursor, NetworkList},
    overlay::{Overlay, PrefixClass, PrefixClasses},
    runs::{RunsBuilder, SortedRuns},
};

/// A number that no cell has.
const NO_CELL: u32 = u32::MAX;

/// The maximum number of atlases laid out in one sweep. More would save little time and need more
/// memory at once.
const MAX_FOLDS_PER_SWEEP: usize = 16;

/// The address space, divided into cells. Immutable.
#[derive(Debug)]
pub struct Grid {
    databases: Databases,
    named: Vec<IpNet>,
    v4: Overlay<u32>,
    v6: Overlay<u128>,
    classes: Vec<PrefixClass>,
    joint: JointRecords,
    numbers: CellNumbers,
    cells: Vec<Cell>,
}

/// The properties of a cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    class: u32,
    joint: u32,
    /// The number of IPv4 addresses in the cell.
    addresses: u64,
    /// The first network in the cell, IPv4 before IPv6.
    first_network: IpNet,
}

/// The number of the cell of each combination of a class and a joint record.
#[derive(Debug, Default)]
struct CellNumbers {
    /// For the first class, which nearly all networks have, by joint record.
    common: Vec<u32>,
    /// For all other classes, by class and joint record.
    rare: HashMap<(u32, u32), u32, FastHashState>,
}

/// An area of one division and an area of another one that have addresses in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AreaOverlap {
    /// The number of the area of the first division.
    pub first: u32,
    /// The number of the area of the second division.
    pub second: u32,
    /// The first network that is in both areas, IPv4 before IPv6.
    pub network: IpNet,
}

/// The cells of a grid, joined into areas by one classification.
#[derive(Debug)]
pub struct Division {
    /// For each cell, the value that its runs have in an atlas: the area, and whether it is
    /// special.
    values: Box<[u32]>,
    area_count: usize,
}

impl Grid {
    /// Divides the address space by the databases and these prefixes. Takes about 10 ns for each
    /// network.
    pub fn new(databases: &Databases, named: Vec<IpNet>) -> Self {
        let mut classes = PrefixClasses::new();
        let (v4, v6) =
            (Overlay::<u32>::new(&named, &mut classes), Overlay::<u128>::new(&named, &mut classes));
        let mut joint = JointRecords::new(databases);
        let mut numbers = CellNumbers::default();
        let mut cells: Vec<Cell> = Vec::new();
        let mut cell_of = |class, joint, network: &dyn Fn() -> IpNet| {
            let new = cells.len() as u32;
            let cell = numbers.find_or_insert(class, joint, new);
            if cell == new {
                cells.push(Cell { class, joint, addresses: 0, first_network: network() });
            }
            cell
        };
        let lists = databases.list().iter().map(|database| database.v4()).collect();
        let mut addresses: Vec<u64> = Vec::new();
        sweep(&v4, lists, |start: u32, last, class, cursors| {
            let joint = joint.find_or_insert(cursors);
            let cell = cell_of(class, joint, &|| first_network(start, last)) as usize;
            addresses.resize(addresses.len().max(cell + 1), 0);
            addresses[cell] += u64::from(last - start) + 1;
        });
        let lists = databases.list().iter().map(|database| database.v6()).collect();
        sweep(&v6, lists, |start: u128, last, class, cursors| {
            let joint = joint.find_or_insert(cursors);
            _ = cell_of(class, joint, &|| first_network(start, last));
        });
        cells.iter_mut().zip(addresses).for_each(|(cell, addresses)| cell.addresses = addresses);
        let classes = classes.into_list();
        Self { databases: databases.clone(), named, v4, v6, classes, joint, numbers, cells }
    }

    /// The named prefixes that the cells were divided by.
    pub fn named(&self) -> &[IpNet] {
        &self.named
    }

    /// Joins all cells with equal values of `classify` into areas, numbered in order of first
    /// appearance (IPv4 first), and returns the value of each area.
    ///
    /// `named` are the prefixes of the grid that count, all or some of them, each once. `classify`
    /// gets the location and the positions in `named` of the prefixes that contain the cell,
    /// longest first, and is called once for each distinct pair. Special-purpose addresses that no
    /// such prefix contains and no database has a location for form separate areas, even if their
    /// value is that of others.
    pub fn divide<S: Eq + Hash + Clone>(
        &self,
        named: &[IpNet],
        mut classify: impl FnMut(&Location, &[u32]) -> S,
    ) -> (Division, Vec<S>) {
        let mut areas: Vec<S> = Vec::new();
        let mut known_areas: HashMap<(S, bool), u32, FastHashState> = HashMap::default();
        // The position in `named` of each prefix of the grid.
        let positions_in_named: Vec<Option<u32>> = if named == self.named {
            (0..named.len() as u32).map(Some).collect()
        } else {
            let positions: HashMap<IpNet, u32> = named.iter().copied().zip(0..).collect();
            self.named.iter().map(|prefix| positions.get(prefix).copied()).collect()
        };
        let mut lists: HashMap<Vec<u32>, u32> = HashMap::default();
        let views: Vec<(u32, Vec<u32>, bool)> = self
            .classes
            .iter()
            .map(|class| {
                let list: Vec<u32> = class
                    .named
                    .iter()
                    .filter_map(|&prefix| positions_in_named[prefix as usize])
                    .collect();
                let next = lists.len() as u32;
                let number = *lists.entry_ref(&list).or_insert(next);
                let is_special = class.is_special && list.is_empty();
                (number << 1 | u32::from(is_special), list, is_special)
            })
            .collect();
        let mut known_values: HashMap<(u32, u32), u32, FastHashState> = HashMap::default();
        let mut value = |cell: &Cell| {
            let (view, list, is_special) = &views[cell.class as usize];
            if self.classes[cell.class as usize].is_embedded_ipv4 {
                return EMBEDDED_IPV4;
            }
            *known_values.entry((*view, cell.joint)).or_insert_with(|| {
                let location = self.joint.location(&self.databases, cell.joint);
                // A private network with a location in a database is treated like any other.
                let is_special = *is_special && location == Location::default();
                let class = classify(&location, list);
                let next = areas.len() as u32;
                let area = match known_areas.entry((class, is_special)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        areas.push(new.key().0.clone());
                        *new.insert(next)
                    }
                };
                atlas::pack_area(area, is_special)
            })
        };
        let values = self.cells.iter().map(&mut value).collect();
        (Division { values, area_count: areas.len() }, areas)
    }

    /// The atlas of a division, without joining areas.
    pub fn atlas(&self, division: &Division) -> Atlas {
        let map: Vec<u32> = (0..division.area_count as u32).collect();
        self.fold(division, &map)
    }

    /// The atlas of a division in which area `a` became area `map[a]`.
    ///
    /// # Panics
    /// If `map` is shorter than [`area_count`](Division::area_count).
    pub fn fold(&self, division: &Division, map: &[u32]) -> Atlas {
        let mut atlases = self.folds(&[(division, map)]);
        atlases.pop().unwrap_or_else(|| unreachable!("one was asked for"))
    }

    /// For each division the atlas in which area `a` became area `map[a]`, with equal neighbours
    /// joined. Special addresses are not joined with others. Each sweep lays out up to 16 atlases,
    /// and takes about 5 ns for each network, and 1 ns more for each atlas.
    ///
    /// # Panics
    /// If a map is shorter than [`area_count`](Division::area_count).
    pub fn folds(&self, requests: &[(&Division, &[u32])]) -> Vec<Atlas> {
        requests.chunks(MAX_FOLDS_PER_SWEEP).flat_map(|chunk| self.fold_chunk(chunk)).collect()
    }

    fn fold_chunk(&self, requests: &[(&Division, &[u32])]) -> Vec<Atlas> {
        let width = requests.len();
        let mut values = vec![EMBEDDED_IPV4; self.cells.len() * width];
        for (column, (division, map)) in requests.iter().enumerate() {
            assert!(map.len() >= division.area_count, "every area needs one to become");
            for (cell, &value) in
                division.values.iter().enumerate().filter(|(_, value)| **value != EMBEDDED_IPV4)
            {
                values[cell * width + column] =
                    atlas::pack_area(map[(value >> 1) as usize], value & 1 == 1);
            }
        }
        let lists = self.databases.list().iter().map(|database| database.v4()).collect();
        let v4 = self.runs(&self.v4, lists, &values, width);
        let lists = self.databases.list().iter().map(|database| database.v6()).collect();
        let v6 = self.runs(&self.v6, lists, &values, width);
        let counts = requests.iter().map(|(division, map)| {
            map[..division.area_count].iter().max().map_or(0, |&highest| highest as usize + 1)
        });
        v4.into_iter()
            .zip(v6)
            .zip(counts)
            .map(|((v4, v6), count)| Atlas::from_runs(v4, v6, count))
            .collect()
    }

    /// The runs of one family for each column of `values`, which has a row for each cell and
    /// `width` columns.
    fn runs<K: Address>(
        &self,
        overlay: &Overlay<K>,
        lists: Vec<&NetworkList<K>>,
        values: &[u32],
        width: usize,
    ) -> Vec<SortedRuns<K>> {
        let mut builders: Vec<RunsBuilder<K>> = (0..width).map(|_| RunsBuilder::new()).collect();
        let mut last = NO_CELL;
        sweep(overlay, lists, |start, _, class, cursors| {
            let cell = self.numbers.find(class, self.joint.find(cursors));
            if cell != last {
                let row = &values[cell as usize * width..][..width];
                builders
                    .iter_mut()
                    .zip(row)
                    .for_each(|(builder, &value)| builder.push(start, value));
                last = cell;
            }
        });
        builders.into_iter().map(RunsBuilder::finish).collect()
    }

    /// The number of IPv4 addresses in each area, without special ones.
    pub fn addresses(&self, division: &Division) -> Vec<f64> {
        let mut addresses = vec![0.0; division.area_count];
        for (cell, &value) in self.cells.iter().zip(&division.values) {
            if value != EMBEDDED_IPV4 && value & 1 == 0 {
                addresses[(value >> 1) as usize] += cell.addresses as f64;
            }
        }
        addresses
    }

    /// The pairs of an area of one division and an area of another one that have addresses in
    /// common, each once, in order of their first networks. Both divisions are of this grid.
    pub fn overlaps(&self, first: &Division, second: &Division) -> Vec<AreaOverlap> {
        let mut known: HashMap<(u32, u32), (), FastHashState> = HashMap::default();
        let mut overlaps = Vec::new();
        for (cell, (&a, &b)) in self.cells.iter().zip(first.values.iter().zip(&second.values)) {
            if a == EMBEDDED_IPV4 || b == EMBEDDED_IPV4 {
                continue;
            }
            let (first, second) = (a >> 1, b >> 1);
            if known.insert((first, second), ()).is_none() {
                overlaps.push(AreaOverlap { first, second, network: cell.first_network });
            }
        }
        overlaps
    }

    /// The number of the area that an address is in.
    pub fn area(&self, division: &Division, ip: IpAddr) -> usize {
        let cell = match ip {
            IpAddr::V4(v4) => self.cell_of_v4(u32::from(v4)),
            IpAddr::V6(v6) => {
                let address = u128::from(v6);
                embedded_ipv4(address).map_or_else(
                    || {
                        let records = self
                            .databases
                            .list()
                            .iter()
                            .map(|database| database.v6().find(address).0);
                        self.numbers
                            .find(self.v6.class_at(address), self.joint.find_by_records(records))
                    },
                    |(v4, _)| self.cell_of_v4(v4),
                )
            }
        };
        (division.values[cell as usize] >> 1) as usize
    }

    fn cell_of_v4(&self, address: u32) -> u32 {
        let records = self.databases.list().iter().map(|database| database.v4().find(address).0);
        self.numbers.find(self.v4.class_at(address), self.joint.find_by_records(records))
    }
}

impl Division {
    /// Joins the areas with equal values in `classes`, which has a value for each area. Returns the
    /// values of the joined areas, numbered in order of first appearance. Special-purpose addresses
    /// stay in separate areas.
    pub fn joined<S: Eq + Hash + Clone>(&self, classes: &[S]) -> (Self, Vec<S>) {
        let mut areas: Vec<S> = Vec::new();
        let mut known_areas: HashMap<(&S, bool), u32, FastHashState> = HashMap::default();
        let mut join = |value: u32| {
            if value == EMBEDDED_IPV4 {
                return EMBEDDED_IPV4;
            }
            let (class, is_special) = (&classes[(value >> 1) as usize], value & 1 == 1);
            let area = *known_areas.entry((class, is_special)).or_insert_with(|| {
                areas.push(class.clone());
                areas.len() as u32 - 1
            });
            atlas::pack_area(area, is_special)
        };
        let values = self.values.iter().map(|&value| join(value)).collect();
        (Self { values, area_count: areas.len() }, areas)
    }

    /// The number of areas; each has a number below it.
    pub fn area_count(&self) -> usize {
        self.area_count
    }
}

impl CellNumbers {
    /// The cell of a combination that the first sweep found.
    #[inline]
    fn find(&self, class: u32, joint: u32) -> u32 {
        if class == 0 { self.common[joint as usize] } else { self.rare[&(class, joint)] }
    }

    /// The cell of a combination, which becomes `new` if the combination has none.
    #[inline]
    fn find_or_insert(&mut self, class: u32, joint: u32, new: u32) -> u32 {
        if class != 0 {
            return *self.rare.entry((class, joint)).or_insert(new);
        }
        let needed = joint as usize + 1;
        if self.common.len() < needed {
            self.common.resize(needed, NO_CELL);
        }
        let cell = &mut self.common[joint as usize];
        if *cell == NO_CELL {
            *cell = new;
        }
        *cell
    }
}

/// The widest prefix that starts at `first` and ends at `last` or before.
fn first_network<K: Address>(first: K, last: K) -> IpNet {
    let fits = |length: &u8| {
        first.without_bits(K::host_bits(*length)) == first && first.last_of(*length) <= last
    };
    first.prefix((0..=K::WIDTH).find(fits).unwrap_or(K::WIDTH))
}

/// Walks the networks of all databases and the overlay of one family side by side, in address
/// order. `visit` gets the first and the last address of each piece, its class, and cursors at the
/// records of the databases.
fn sweep<'l, K: Address>(
    overlay: &Overlay<K>,
    lists: Vec<&'l NetworkList<K>>,
    mut visit: impl FnMut(K, K, u32, &[NetworkCursor<'l, K>]),
) {
    let mut cursors: Vec<NetworkCursor<'l, K>> = lists.iter().map(|list| list.cursor()).collect();
    let mut start = K::MIN;
    for &(stretch_end, class) in &overlay.stretches {
        loop {
            let end = cursors.iter().fold(stretch_end, |end, cursor| end.min(cursor.last));
            visit(start, end, class, &cursors);
            cursors.iter_mut().filter(|cursor| cursor.last == end).for_each(|cursor| {
                cursor.advance();
            });
            let Some(next) = end.following() else { break };
            start = next;
            if end == stretch_end {
                break;
            }
        }
    }
}
