//! Surveys: the world divided by one set of preferences. Kept over reloads: only new preferences or
//! new databases need one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ipnet::IpNet;

use super::preference::{LossRange, Preferences, Ranking, Rankings};
use crate::geo::{Atlas, Databases, Division, Grid};

/// With no more folds than this nothing is forgotten.
const MAX_UNUSED_FOLDS: usize = 16;

/// Classes of loss that together hold less than this of a nearest member's clients are one.
const MIN_CLASS_SHARE: f64 = 1.0 / 128.0;

/// The world divided by one set of preferences.
#[derive(Debug)]
pub(in crate::steer) struct Survey {
    grid: Arc<Grid>,
    /// The grid's cells in areas.
    division: Division,
    /// What each area makes of the preferences' pools.
    pub rankings: Vec<Rankings>,
    /// By area, by pool: where the area stands among those of the same nearest member. Empty where
    /// no member gives clients away.
    loss_ranges: Vec<Box<[Option<LossRange>]>>,
}

impl Survey {
    fn new(grid: Arc<Grid>, preferences: &Preferences) -> Self {
        let named = preferences.named_prefixes();
        let (division, sights) = grid.divide(&named, |location, within| {
            let within: Vec<_> = within.iter().map(|&at| named[at as usize]).collect();
            preferences.rankings(location, &within)
        });
        let (division, rankings) = merge_loss_classes(&grid, division, sights);
        let loss_ranges = loss_ranges(&grid, &division, &rankings);
        Self { grid, division, rankings, loss_ranges }
    }

    /// The spans of a client's area.
    pub(in crate::steer) fn loss_ranges_at(
        &self,
        client: std::net::IpAddr,
    ) -> &[Option<LossRange>] {
        self.loss_ranges(self.grid.area(&self.division, client))
    }

    /// The spans of one area, by pool; empty where no member gives clients away.
    pub(in crate::steer) fn loss_ranges(&self, area: usize) -> &[Option<LossRange>] {
        self.loss_ranges.get(area).map_or(&[], |spans| spans)
    }
}

/// What a sight says of who gives clients away: the nearest member, and the class of what its
/// clients lose.
fn nearest_loss(sight: &Ranking) -> Option<(u16, u16)> {
    match sight {
        Ranking::Nearest { order, loss, .. } => order.first().copied().zip(*loss),
        Ranking::Geo(_) => None,
    }
}

/// By pool, nearest member and class of loss: the number of IPv4 addresses, which stands for the
/// unknown number of clients. It is used for both families, since most IPv6 addresses are unused.
/// An area without IPv4 addresses counts as one.
fn weights(grid: &Grid, division: &Division, sights: &[Rankings]) -> LossWeights {
    let addresses = grid.addresses(division).into_iter().map(|count| 1.0 + count);
    let mut weights = LossWeights::new();
    for (sights, addresses) in sights.iter().zip(addresses) {
        for (at, (first, loss)) in
            sights.iter().enumerate().filter_map(|(at, sight)| Some((at, nearest_loss(sight)?)))
        {
            *weights.entry((at, first)).or_default().entry(loss).or_default() += addresses;
        }
    }
    weights
}

/// By pool and nearest member, by class of loss.
type LossWeights = BTreeMap<(usize, u16), BTreeMap<u16, f64>>;

/// Joins neighbouring classes of loss while they together hold less than `MIN_CLASS_SHARE` of the
/// nearest member's clients. Classes are fine so that clients leave in the order of what they lose,
/// but each class costs at least one area.
fn merge_loss_classes(
    grid: &Grid,
    division: Division,
    mut sights: Vec<Rankings>,
) -> (Division, Vec<Rankings>) {
    if !sights.iter().flatten().any(|sight| nearest_loss(sight).is_some()) {
        return (division, sights);
    }
    let mut joined: HashMap<(usize, u16, u16), u16> = HashMap::new();
    for ((at, first), classes) in weights(grid, &division, &sights) {
        let least = classes.values().sum::<f64>() * MIN_CLASS_SHARE;
        let (mut head, mut held) = (0, f64::INFINITY);
        for (loss, weight) in classes {
            if held + weight > least {
                (head, held) = (loss, 0.0);
            }
            held += weight;
            joined.insert((at, first, loss), head);
        }
    }
    for (at, sight) in sights.iter_mut().flat_map(|sights| sights.iter_mut().enumerate()) {
        if let Ranking::Nearest { order, loss: Some(loss), .. } = sight
            && let Some(head) = order.first().and_then(|first| joined.get(&(at, *first, *loss)))
        {
            *loss = *head;
        }
    }
    division.joined(&sights)
}

/// Areas that have the same nearest member of a pool, in order of what their clients would lose by
/// going to the second, with the share of the addresses before them and with them.
fn loss_ranges(
    grid: &Grid,
    division: &Division,
    sights: &[Rankings],
) -> Vec<Box<[Option<LossRange>]>> {
    let weights = weights(grid, division, sights);
    if weights.is_empty() {
        return Vec::new();
    }
    let mut found: HashMap<(usize, u16, u16), LossRange> = HashMap::new();
    for ((at, first), classes) in weights {
        let total: f64 = classes.values().sum();
        let mut before = 0.0;
        for (loss, weight) in classes {
            found.insert(
                (at, first, loss),
                LossRange { from: before / total, to: (before + weight) / total },
            );
            before += weight;
        }
    }
    let span = |(at, sight): (usize, &Ranking)| {
        let (first, loss) = nearest_loss(sight)?;
        found.get(&(at, first, loss)).copied()
    };
    sights.iter().map(|sights| sights.iter().enumerate().map(span).collect()).collect()
}

/// A survey, what its areas are to become, and the atlas of that once it is made.
#[derive(Debug, Clone)]
struct Fold {
    survey: Arc<Survey>,
    map: Arc<[u32]>,
    atlas: Option<Arc<Atlas>>,
}

/// A fold that was asked for. Good until [`Surveys::prune`].
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct FoldId(usize);

/// Every survey that some service needs, and the folds made of them.
#[derive(Debug, Default, Clone)]
pub struct Surveys {
    /// Of the databases and of all prefixes that some rule names.
    grid: Option<Arc<Grid>>,
    surveys: HashMap<Preferences, Arc<Survey>>,
    undivided: Option<Arc<Survey>>,
    folds: Vec<Fold>,
    /// How many of them have their atlas.
    made_count: usize,
    /// By the survey's place in memory, which the fold itself keeps from being used again.
    fold_of: HashMap<(usize, Arc<[u32]>), usize>,
}

impl Surveys {
    /// Makes a grid for all surveys to come, unless there is one that has all of these prefixes.
    pub(in crate::steer) fn prepare(&mut self, mut named: Vec<IpNet>, databases: &Databases) {
        named.sort_unstable();
        named.dedup();
        if self.grid.as_ref().is_none_or(|grid| grid.named() != named) {
            // A named prefix more or less changes nothing for those who do not name it: their
            // surveys stay.
            self.grid = Some(Arc::new(Grid::new(databases, named)));
        }
    }

    /// The survey of `preferences`, made now where it is new; `None` where geography has no part.
    pub(in crate::steer) fn survey(
        &mut self,
        preferences: Preferences,
        databases: &Databases,
    ) -> Option<Arc<Survey>> {
        if preferences.is_empty() {
            return None;
        }
        if let Some(survey) = self.surveys.get(&preferences) {
            return Some(Arc::clone(survey));
        }
        if self.grid.is_none() {
            self.prepare(preferences.named_prefixes(), databases);
        }
        let grid = Arc::clone(self.grid.as_ref()?);
        let survey = Arc::new(Survey::new(grid, &preferences));
        tracing::debug!(areas = survey.division.area_count(), "address space divided into areas");
        self.surveys.insert(preferences, Arc::clone(&survey));
        Some(survey)
    }

    /// The world undivided but for its special-purpose addresses: for services that pick by the
    /// client's prefix and by nothing else of it.
    pub(in crate::steer) fn undivided(&mut self) -> Arc<Survey> {
        let made = || {
            Arc::new(Survey::new(
                Arc::new(Grid::new(&Databases::default(), Vec::new())),
                &Preferences::default(),
            ))
        };
        Arc::clone(self.undivided.get_or_insert_with(made))
    }

    /// Asks for the survey's atlas with area `a` become `map[a]`; equal folds are one.
    pub(in crate::steer) fn fold(&mut self, survey: &Arc<Survey>, map: &[u32]) -> FoldId {
        let map: Arc<[u32]> = map.into();
        let key = (Arc::as_ptr(survey).addr(), Arc::clone(&map));
        let folds = &mut self.folds;
        FoldId(*self.fold_of.entry(key).or_insert_with(|| {
            folds.push(Fold { survey: Arc::clone(survey), map, atlas: None });
            folds.len() - 1
        }))
    }

    /// How many folds were asked for that are not made yet.
    pub(in crate::steer) fn pending_folds(&self) -> usize {
        self.folds.len() - self.made_count
    }

    /// Makes all folds that were asked for since; those of one grid in few sweeps.
    pub(in crate::steer) fn make_folds(&mut self) {
        let mut open: Vec<&mut Fold> =
            self.folds.iter_mut().filter(|fold| fold.atlas.is_none()).collect();
        open.sort_by_key(|fold| Arc::as_ptr(&fold.survey.grid).addr());
        for folds in
            open.chunk_by_mut(|one, other| Arc::ptr_eq(&one.survey.grid, &other.survey.grid))
        {
            let wanted: Vec<_> =
                folds.iter().map(|fold| (&fold.survey.division, &*fold.map)).collect();
            let made = folds[0].survey.grid.folds(&wanted);
            folds.iter_mut().zip(made).for_each(|(fold, atlas)| fold.atlas = Some(Arc::new(atlas)));
        }
        self.made_count = self.folds.len();
    }

    /// The atlas of a fold, once it is made.
    pub(in crate::steer) fn atlas(&self, fold: FoldId) -> Option<Arc<Atlas>> {
        self.folds.get(fold.0)?.atlas.clone()
    }

    /// The same surveys without any fold.
    pub fn without_folds(&self) -> Self {
        Self { folds: Vec::new(), made_count: 0, fold_of: HashMap::new(), ..self.clone() }
    }

    /// Forgets what nothing uses any more. A few folds are kept all the same: what flaps comes back
    /// to them.
    pub fn prune(&mut self) {
        if self.folds.len() > MAX_UNUSED_FOLDS {
            self.folds.retain(|fold| {
                fold.atlas.as_ref().is_some_and(|atlas| Arc::strong_count(atlas) > 1)
            });
            let keys = self
                .folds
                .iter()
                .map(|fold| (Arc::as_ptr(&fold.survey).addr(), Arc::clone(&fold.map)));
            self.fold_of = keys.zip(0..).collect();
            self.made_count = self.folds.len();
        }
        self.surveys.retain(|_, survey| Arc::strong_count(survey) > 1);
    }
}
