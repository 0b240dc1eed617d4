//! The client census: how many clients are in each pair of an area before and an area after a
//! change, by country. It walks two atlases run by run, never address by address.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crate::geo::{Atlas, Databases, Run};

/// The address family of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClientFamily {
    /// IPv4 clients, counted by address.
    V4,
    /// IPv6 clients, counted by address, and shown by /48.
    V6,
}

impl ClientFamily {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The name of the family: `IPv4` or `IPv6`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn holds(self, run: &Run) -> bool {
        run.first.is_ipv4() == (self == Self::V4)
    }

    fn last(self) -> u128 {
        match self {
            Self::V4 => u128::from(u32::MAX),
            Self::V6 => u128::MAX,
        }
    }
}

/// The number of clients in one area before, one area after and one country.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverlapCell {
    pub(super) before: u32,
    pub(super) after: u32,
    /// A position in [`ClientCensus::countries`].
    pub(super) country: u32,
    pub(super) addresses: u128,
}

/// The clients that are counted: networks whose country a database has; all networks if no database
/// has countries; never special-purpose addresses.
pub(super) struct ClientCensus {
    atlas: Atlas,
    /// The country of each area of the census.
    pub(super) countries: Vec<Option<Box<str>>>,
    /// Whether only networks with a known country are counted, for IPv4 and IPv6.
    is_by_country: [bool; 2],
    overlaps: HashMap<(usize, usize, ClientFamily), Arc<Vec<OverlapCell>>>,
}

/// Consecutive addresses of one area.
#[derive(Clone, Copy)]
struct AddressRun {
    first: u128,
    last: u128,
    area: u32,
    is_special: bool,
}

impl ClientCensus {
    pub(super) fn new(databases: &Databases) -> Self {
        let (atlas, countries) =
            Atlas::survey(databases, &[], |location, _| location.country.clone());
        let has_countries = |clients: ClientFamily| {
            atlas.runs().any(|run| {
                clients.holds(&run) && !run.is_special && countries[run.area.0 as usize].is_some()
            })
        };
        let is_by_country = ClientFamily::BOTH.map(has_countries);
        Self { atlas, countries, is_by_country, overlaps: HashMap::new() }
    }

    /// Whether only networks with a known country are counted.
    pub(super) fn is_by_country(&self, clients: ClientFamily) -> bool {
        self.is_by_country[usize::from(clients == ClientFamily::V6)]
    }

    /// The number of addresses that are counted.
    pub(super) fn population(&mut self, clients: ClientFamily) -> u128 {
        self.overlap(None, None, clients).iter().map(|cell| cell.addresses).sum()
    }

    /// The number of clients in each pair of areas; pairs without clients are left out. Without an
    /// atlas, all addresses are in area 0. Each pair of atlases is walked only once.
    pub(super) fn overlap(
        &mut self,
        before: Option<&Arc<Atlas>>,
        after: Option<&Arc<Atlas>>,
        clients: ClientFamily,
    ) -> Arc<Vec<OverlapCell>> {
        // The caller's snapshots keep the atlases alive, so their memory addresses identify them.
        let identity =
            |atlas: Option<&Arc<Atlas>>| atlas.map_or(0, |atlas| Arc::as_ptr(atlas).addr());
        let key = (identity(before), identity(after), clients);
        if let Some(known) = self.overlaps.get(&key) {
            return Arc::clone(known);
        }
        let cells =
            Arc::new(self.walk(before.map(|atlas| &**atlas), after.map(|atlas| &**atlas), clients));
        self.overlaps.insert(key, Arc::clone(&cells));
        cells
    }

    fn walk(
        &self,
        before: Option<&Atlas>,
        after: Option<&Atlas>,
        clients: ClientFamily,
    ) -> Vec<OverlapCell> {
        let (mut before, mut after) =
            (AtlasCursor::new(before, clients), AtlasCursor::new(after, clients));
        let mut counted: HashMap<(u32, u32, u32), u128> = HashMap::new();
        for base in runs_of(Some(&self.atlas), clients).filter(|base| self.counts(base, clients)) {
            let mut first = base.first;
            loop {
                let (left, right) = (before.run_at(first), after.run_at(first));
                let last = base.last.min(left.last).min(right.last);
                let addresses = (last - first).saturating_add(1);
                *counted.entry((left.area, right.area, base.area)).or_default() += addresses;
                if last == base.last {
                    break;
                }
                first = last + 1;
            }
        }
        let cell = |((before, after, country), addresses)| OverlapCell {
            before,
            after,
            country,
            addresses,
        };
        let mut cells: Vec<OverlapCell> = counted.into_iter().map(cell).collect();
        cells.sort_unstable_by_key(|cell| (cell.before, cell.after, cell.country));
        cells
    }

    fn counts(&self, run: &AddressRun, clients: ClientFamily) -> bool {
        !run.is_special
            && (!self.is_by_country(clients) || self.countries[run.area as usize].is_some())
    }
}

/// A position among the runs of an atlas.
struct AtlasCursor<'a> {
    runs: Box<dyn Iterator<Item = AddressRun> + 'a>,
    current: AddressRun,
    all: AddressRun,
}

impl<'a> AtlasCursor<'a> {
    fn new(atlas: Option<&'a Atlas>, clients: ClientFamily) -> Self {
        let all = AddressRun { first: 0, last: clients.last(), area: 0, is_special: false };
        let mut runs = runs_of(atlas, clients);
        let current = runs.next().unwrap_or(all);
        Self { runs, current, all }
    }

    /// The run that contains an address. Addresses must be asked for in rising order.
    fn run_at(&mut self, address: u128) -> AddressRun {
        while self.current.last < address {
            self.current = self.runs.next().unwrap_or(self.all);
        }
        self.current
    }
}

/// The runs of one family; without an atlas, a single run of area 0.
fn runs_of<'a>(
    atlas: Option<&'a Atlas>,
    clients: ClientFamily,
) -> Box<dyn Iterator<Item = AddressRun> + 'a> {
    let number = |address| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let address_run = move |run: Run| AddressRun {
        first: number(run.first),
        last: number(run.last),
        area: run.area.0,
        is_special: run.is_special,
    };
    match atlas {
        Some(atlas) => {
            Box::new(atlas.runs().filter(move |run| clients.holds(run)).map(address_run))
        }
        None => Box::new(std::iter::once(AddressRun {
            first: 0,
            last: clients.last(),
            area: 0,
            is_special: false,
        })),
    }
}
