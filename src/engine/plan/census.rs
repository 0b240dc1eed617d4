//! The census: how many clients each pair of areas has, by country. Two atlases are walked run by
//! run, never by address.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crate::geo::{Atlas, Databases, Run};

/// The address family of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClientFamily {
    /// Counted by address.
    V4,
    /// Counted by address, which is to say by /48.
    V6,
}

impl ClientFamily {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// `IPv4`, `IPv6`.
    pub(super) fn word(self) -> &'static str {
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

/// Clients that are in one area before, in one after, and in one country.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverlapCell {
    pub(super) before: u32,
    pub(super) after: u32,
    /// A position in [`ClientCensus::countries`].
    pub(super) country: u32,
    pub(super) addresses: u128,
}

/// Who is counted: the networks whose country a database knows, or all where none knows any.
/// Special-purpose addresses never.
pub(super) struct ClientCensus {
    atlas: Atlas,
    /// By area of the census.
    pub(super) countries: Vec<Option<Box<str>>>,
    /// Whether only networks with a country count, for IPv4 and IPv6.
    is_by_country: [bool; 2],
    overlaps: HashMap<(usize, usize, ClientFamily), Arc<Vec<OverlapCell>>>,
}

/// Addresses next to each other with one answer.
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
        let knows = |clients: ClientFamily| {
            atlas.runs().any(|run| {
                clients.holds(&run) && !run.is_special && countries[run.area.0 as usize].is_some()
            })
        };
        let is_by_country = ClientFamily::BOTH.map(knows);
        Self { atlas, countries, is_by_country, overlaps: HashMap::new() }
    }

    /// Whether only networks with a known country count.
    pub(super) fn is_by_country(&self, clients: ClientFamily) -> bool {
        self.is_by_country[usize::from(clients == ClientFamily::V6)]
    }

    /// How many addresses count.
    pub(super) fn population(&mut self, clients: ClientFamily) -> u128 {
        self.overlap(None, None, clients).iter().map(|cell| cell.addresses).sum()
    }

    /// The clients of each pair of areas that has any. Each pair of atlases is walked once.
    pub(super) fn overlap(
        &mut self,
        before: Option<&Arc<Atlas>>,
        after: Option<&Arc<Atlas>>,
        clients: ClientFamily,
    ) -> Arc<Vec<OverlapCell>> {
        // The caller's worlds keep the atlases alive, so that their places in memory name them.
        let place = |atlas: Option<&Arc<Atlas>>| atlas.map_or(0, |atlas| Arc::as_ptr(atlas).addr());
        let key = (place(before), place(after), clients);
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

    fn counts(&self, piece: &AddressRun, clients: ClientFamily) -> bool {
        !piece.is_special
            && (!self.is_by_country(clients) || self.countries[piece.area as usize].is_some())
    }
}

/// A walk along an atlas's runs.
struct AtlasCursor<'a> {
    pieces: Box<dyn Iterator<Item = AddressRun> + 'a>,
    current: AddressRun,
    whole: AddressRun,
}

impl<'a> AtlasCursor<'a> {
    fn new(atlas: Option<&'a Atlas>, clients: ClientFamily) -> Self {
        let whole = AddressRun { first: 0, last: clients.last(), area: 0, is_special: false };
        let mut pieces = runs_of(atlas, clients);
        let current = pieces.next().unwrap_or(whole);
        Self { pieces, current, whole }
    }

    /// The piece that holds an address, which is not before the one asked for last.
    fn run_at(&mut self, address: u128) -> AddressRun {
        while self.current.last < address {
            self.current = self.pieces.next().unwrap_or(self.whole);
        }
        self.current
    }
}

/// The runs of one family; where there is no atlas, all addresses are in area 0.
fn runs_of<'a>(
    atlas: Option<&'a Atlas>,
    clients: ClientFamily,
) -> Box<dyn Iterator<Item = AddressRun> + 'a> {
    let number = |address| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let piece = move |run: Run| AddressRun {
        first: number(run.first),
        last: number(run.last),
        area: run.area.0,
        is_special: run.is_special,
    };
    match atlas {
        Some(atlas) => Box::new(atlas.runs().filter(move |run| clients.holds(run)).map(piece)),
        None => Box::new(std::iter::once(AddressRun {
            first: 0,
            last: clients.last(),
            area: 0,
            is_special: false,
        })),
    }
}
