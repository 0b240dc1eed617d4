//! The grid: all addresses in cells, within which the databases say one thing and the same named
//! prefixes hold.
//!
//! One sweep over all networks finds the cells, and counts the addresses of each. Whoever tells
//! places apart then looks at cells, of which there are thousands, and not at networks, of which
//! there are millions; and atlases are made of what became of the cells, many in one sweep.

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

/// No cell has this number.
const NO_CELL: u32 = u32::MAX;

/// How many atlases are made in one sweep: more would want more memory at once than they save time.
const MAX_FOLDS_PER_SWEEP: usize = 16;

/// All addresses in cells. Immutable.
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

/// What is known of a cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    class: u32,
    joint: u32,
    /// How many IPv4 addresses are in it.
    addresses: u64,
}

/// The cells of combinations of a class and a joint record.
#[derive(Debug, Default)]
struct CellNumbers {
    /// Of the first class, by joint record: nearly all networks are in it.
    common: Vec<u32>,
    /// Of the others.
    rare: HashMap<(u32, u32), u32, FastHashState>,
}

/// The areas that one way to tell places apart makes of a grid's cells.
#[derive(Debug)]
pub struct Division {
    /// By cell: the area with whether it is special, as in an atlas.
    values: Box<[u32]>,
    area_count: usize,
}

impl Grid {
    /// Of all that the databases tell apart, and these prefixes. About 10 ns a network.
    pub fn new(databases: &Databases, named: Vec<IpNet>) -> Self {
        let mut classes = PrefixClasses::new();
        let (v4, v6) =
            (Overlay::<u32>::new(&named, &mut classes), Overlay::<u128>::new(&named, &mut classes));
        let mut joint = JointRecords::new(databases);
        let mut numbers = CellNumbers::default();
        let mut cells: Vec<Cell> = Vec::new();
        let mut found = |class, joint| {
            let new = cells.len() as u32;
            let cell = numbers.find_or_insert(class, joint, new);
            if cell == new {
                cells.push(Cell { class, joint, addresses: 0 });
            }
            cell
        };
        let leaves = databases.list().iter().map(|database| database.v4()).collect();
        let mut addresses: Vec<u64> = Vec::new();
        sweep(&v4, leaves, |start: u32, last, class, cursors| {
            let cell = found(class, joint.find_or_insert(cursors)) as usize;
            addresses.resize(addresses.len().max(cell + 1), 0);
            addresses[cell] += u64::from(last - start) + 1;
        });
        let leaves = databases.list().iter().map(|database| database.v6()).collect();
        sweep(&v6, leaves, |_: u128, _, class, cursors| {
            _ = found(class, joint.find_or_insert(cursors))
        });
        cells.iter_mut().zip(addresses).for_each(|(cell, addresses)| cell.addresses = addresses);
        let classes = classes.into_list();
        Self { databases: databases.clone(), named, v4, v6, classes, joint, numbers, cells }
    }

    /// The prefixes it tells apart.
    pub fn named(&self) -> &[IpNet] {
        &self.named
    }

    /// Joins all cells for which `classify` says the same into areas, numbered in order of first
    /// appearance (IPv4 first), and returns what it said of each.
    ///
    /// `named` are those of the grid's prefixes that count, all of them or some, each once;
    /// `classify` gets the location and the positions in `named` of all that contain the cell,
    /// longest first, and is called once for each distinct pair. Special-purpose addresses that
    /// none of them contains and no database knows are areas of their own, whatever it says.
    pub fn divide<S: Eq + Hash + Clone>(
        &self,
        named: &[IpNet],
        mut classify: impl FnMut(&Location, &[u32]) -> S,
    ) -> (Division, Vec<S>) {
        let mut areas: Vec<S> = Vec::new();
        let mut known: HashMap<(S, bool), u32, FastHashState> = HashMap::default();
        // Which of the classes differ for these prefixes.
        let own: Vec<Option<u32>> = if named == self.named {
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
                let list: Vec<u32> =
                    class.named.iter().filter_map(|&at| own[at as usize]).collect();
                let next = lists.len() as u32;
                let number = *lists.entry_ref(&list).or_insert(next);
                let is_special = class.is_special && list.is_empty();
                (number << 1 | u32::from(is_special), list, is_special)
            })
            .collect();
        let mut seen: HashMap<(u32, u32), u32, FastHashState> = HashMap::default();
        let mut value = |cell: &Cell| {
            let (view, list, is_special) = &views[cell.class as usize];
            if self.classes[cell.class as usize].is_embedded_ipv4 {
                return EMBEDDED_IPV4;
            }
            *seen.entry((*view, cell.joint)).or_insert_with(|| {
                let location = self.joint.location(&self.databases, cell.joint);
                // A private network that the databases know has a place like any other.
                let is_special = *is_special && location == Location::default();
                let said = classify(&location, list);
                let next = areas.len() as u32;
                let area = match known.entry((said, is_special)) {
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

    /// The atlas of a division.
    pub fn atlas(&self, division: &Division) -> Atlas {
        let map: Vec<u32> = (0..division.area_count as u32).collect();
        self.fold(division, &map)
    }

    /// The atlas of a division in which area `a` has become area `map[a]`.
    ///
    /// # Panics
    /// Where `map` is shorter than [`area_count`](Division::area_count).
    pub fn fold(&self, division: &Division, map: &[u32]) -> Atlas {
        let mut atlases = self.folds(&[(division, map)]);
        atlases.pop().unwrap_or_else(|| unreachable!("one was asked for"))
    }

    /// Of each division the atlas in which area `a` has become area `map[a]`; neighbours that are
    /// alike then are one. Special addresses stay apart from others. A sweep for every sixteen:
    /// about 5 ns a network, and 1 ns for each.
    ///
    /// # Panics
    /// Where a map is shorter than [`area_count`](Division::area_count).
    pub fn folds(&self, wanted: &[(&Division, &[u32])]) -> Vec<Atlas> {
        wanted.chunks(MAX_FOLDS_PER_SWEEP).flat_map(|some| self.fold_chunk(some)).collect()
    }

    fn fold_chunk(&self, wanted: &[(&Division, &[u32])]) -> Vec<Atlas> {
        let width = wanted.len();
        let mut values = vec![EMBEDDED_IPV4; self.cells.len() * width];
        for (at, (division, map)) in wanted.iter().enumerate() {
            assert!(map.len() >= division.area_count, "every area needs one to become");
            for (cell, &value) in
                division.values.iter().enumerate().filter(|(_, value)| **value != EMBEDDED_IPV4)
            {
                values[cell * width + at] =
                    atlas::pack_area(map[(value >> 1) as usize], value & 1 == 1);
            }
        }
        let leaves = self.databases.list().iter().map(|database| database.v4()).collect();
        let v4 = self.runs(&self.v4, leaves, &values, width);
        let leaves = self.databases.list().iter().map(|database| database.v6()).collect();
        let v6 = self.runs(&self.v6, leaves, &values, width);
        let counts = wanted.iter().map(|(division, map)| {
            map[..division.area_count].iter().max().map_or(0, |&highest| highest as usize + 1)
        });
        v4.into_iter()
            .zip(v6)
            .zip(counts)
            .map(|((v4, v6), count)| Atlas::from_runs(v4, v6, count))
            .collect()
    }

    /// The runs that each column of `values`, which has a row for each cell, makes of one family.
    fn runs<K: Address>(
        &self,
        overlay: &Overlay<K>,
        leaves: Vec<&NetworkList<K>>,
        values: &[u32],
        width: usize,
    ) -> Vec<SortedRuns<K>> {
        let mut builders: Vec<RunsBuilder<K>> = (0..width).map(|_| RunsBuilder::new()).collect();
        let mut last = NO_CELL;
        sweep(overlay, leaves, |start, _, class, cursors| {
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

    /// How many IPv4 addresses each area has, special ones left out.
    pub fn addresses(&self, division: &Division) -> Vec<f64> {
        let mut addresses = vec![0.0; division.area_count];
        for (cell, &value) in self.cells.iter().zip(&division.values) {
            if value != EMBEDDED_IPV4 && value & 1 == 0 {
                addresses[(value >> 1) as usize] += cell.addresses as f64;
            }
        }
        addresses
    }

    /// The area of an address.
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
    /// Joins the areas with equal values of `said`, which has one for each area. Returns the values
    /// of the areas that are left, numbered in order of first appearance. Special-purpose addresses
    /// keep areas of their own.
    pub fn joined<S: Eq + Hash + Clone>(&self, said: &[S]) -> (Self, Vec<S>) {
        let mut areas: Vec<S> = Vec::new();
        let mut known: HashMap<(&S, bool), u32, FastHashState> = HashMap::default();
        let mut join = |value: u32| {
            if value == EMBEDDED_IPV4 {
                return EMBEDDED_IPV4;
            }
            let (said, is_special) = (&said[(value >> 1) as usize], value & 1 == 1);
            let area = *known.entry((said, is_special)).or_insert_with(|| {
                areas.push(said.clone());
                areas.len() as u32 - 1
            });
            atlas::pack_area(area, is_special)
        };
        let values = self.values.iter().map(|&value| join(value)).collect();
        (Self { values, area_count: areas.len() }, areas)
    }

    /// Areas are numbered below this.
    pub fn area_count(&self) -> usize {
        self.area_count
    }
}

impl CellNumbers {
    /// The cell of a combination that the first sweep has met.
    #[inline]
    fn find(&self, class: u32, joint: u32) -> u32 {
        if class == 0 { self.common[joint as usize] } else { self.rare[&(class, joint)] }
    }

    /// The cell of a combination, which is `new` where it has not been met.
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

/// Walks all networks of one family and the overlay side by side, in address order: `piece` gets
/// the first and the last address, the class, and the databases' records.
fn sweep<'l, K: Address>(
    overlay: &Overlay<K>,
    leaves: Vec<&'l NetworkList<K>>,
    mut piece: impl FnMut(K, K, u32, &[NetworkCursor<'l, K>]),
) {
    let mut cursors: Vec<NetworkCursor<'l, K>> =
        leaves.iter().map(|leaves| leaves.cursor()).collect();
    let mut start = K::MIN;
    for &(stretch_end, class) in &overlay.stretches {
        loop {
            let end = cursors.iter().fold(stretch_end, |end, cursor| end.min(cursor.last));
            piece(start, end, class, &cursors);
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
