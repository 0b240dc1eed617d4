//! Surveys: the address space divided by one set of preferences. They are kept across reloads: only
//! new preferences or new databases need a new survey.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ipnet::IpNet;

use super::preference::{LossRange, Preferences, Ranking, Rankings};
use crate::geo::{Atlas, Databases, Division, Grid};

/// Up to this number of folds, [`Surveys::prune`] removes none.
const MAX_UNUSED_FOLDS: usize = 16;

/// Neighbouring classes of loss are merged while together they hold less than this share of a
/// nearest member's clients.
const MIN_CLASS_SHARE: f64 = 1.0 / 128.0;

/// The address space divided by one set of preferences.
#[derive(Debug)]
pub(in crate::steer) struct Survey {
    grid: Arc<Grid>,
    /// The areas, as sets of the grid's cells.
    division: Division,
    /// By area: how it ranks the members of each pool of the preferences.
    pub rankings: Vec<Rankings>,
    /// By area, by pool: the area's range among those with the same nearest member. Empty if no
    /// member may give clients away.
    loss_ranges: Vec<Box<[Option<LossRange>]>>,
}

impl Survey {
    fn new(grid: Arc<Grid>, preferences: &Preferences) -> Self {
        let named = preferences.named_prefixes();
        let (division, rankings) = grid.divide(&named, |location, prefixes| {
            let prefixes: Vec<_> = prefixes.iter().map(|&index| named[index as usize]).collect();
            preferences.rankings(location, &prefixes)
        });
        let (division, rankings) = merge_loss_classes(&grid, division, rankings);
        let loss_ranges = loss_ranges(&grid, &division, &rankings);
        Self { grid, division, rankings, loss_ranges }
    }

    /// The areas, as sets of the cells of the grid that the survey was made from.
    pub(in crate::steer) fn division(&self) -> &Division {
        &self.division
    }

    /// The loss ranges of a client's area, by pool.
    pub(in crate::steer) fn loss_ranges_at(
        &self,
        client: std::net::IpAddr,
    ) -> &[Option<LossRange>] {
        self.loss_ranges(self.grid.area(&self.division, client))
    }

    /// The loss ranges of one area, by pool; empty if no member may give clients away.
    pub(in crate::steer) fn loss_ranges(&self, area: usize) -> &[Option<LossRange>] {
        self.loss_ranges.get(area).map_or(&[], |ranges| ranges)
    }
}

/// The nearest member of a ranking and the class of the distance that its clients would lose;
/// `None` if the loss does not matter.
fn nearest_loss(ranking: &Ranking) -> Option<(u16, u16)> {
    match ranking {
        Ranking::Nearest { order, loss, .. } => order.first().copied().zip(*loss),
        Ranking::Geo(_) => None,
    }
}

/// By pool, nearest member and class of loss: the number of IPv4 addresses, as an estimate for the
/// unknown number of clients. It is used for both families, since most IPv6 addresses are unused.
/// Each area counts one address more, so that an area without IPv4 addresses is not lost.
fn weights(grid: &Grid, division: &Division, rankings: &[Rankings]) -> LossWeights {
    let addresses = grid.addresses(division).into_iter().map(|count| 1.0 + count);
    let mut weights = LossWeights::new();
    for (rankings, addresses) in rankings.iter().zip(addresses) {
        for (pool, ranking) in rankings.iter().enumerate() {
            if let Some((nearest, loss)) = nearest_loss(ranking) {
                let classes = weights.entry((pool, nearest)).or_default();
                *classes.entry(loss).or_default() += addresses;
            }
        }
    }
    weights
}

/// By pool and nearest member, by class of loss: the number of addresses.
type LossWeights = BTreeMap<(usize, u16), BTreeMap<u16, f64>>;

/// Merges neighbouring classes of loss while together they hold less than `MIN_CLASS_SHARE` of the
/// nearest member's clients. Fine classes let clients leave in the order of what they lose, but
/// each class costs at least one area.
fn merge_loss_classes(
    grid: &Grid,
    division: Division,
    mut rankings: Vec<Rankings>,
) -> (Division, Vec<Rankings>) {
    if !rankings.iter().flatten().any(|ranking| nearest_loss(ranking).is_some()) {
        return (division, rankings);
    }
    let mut merged: HashMap<(usize, u16, u16), u16> = HashMap::new();
    for ((pool, nearest), classes) in weights(grid, &division, &rankings) {
        let min_weight = classes.values().sum::<f64>() * MIN_CLASS_SHARE;
        let (mut first_loss, mut merged_weight) = (0, f64::INFINITY);
        for (loss, weight) in classes {
            if merged_weight + weight > min_weight {
                (first_loss, merged_weight) = (loss, 0.0);
            }
            merged_weight += weight;
            merged.insert((pool, nearest, loss), first_loss);
        }
    }
    for rankings in &mut rankings {
        for (pool, ranking) in rankings.iter_mut().enumerate() {
            if let Ranking::Nearest { order, loss: Some(loss), .. } = ranking
                && let Some(nearest) = order.first()
                && let Some(first_loss) = merged.get(&(pool, *nearest, *loss))
            {
                *loss = *first_loss;
            }
        }
    }
    division.joined(&rankings)
}

/// By area, by pool: the range of the area among those with the same nearest member, ordered by the
/// distance that their clients would lose by going to the second nearest.
fn loss_ranges(
    grid: &Grid,
    division: &Division,
    rankings: &[Rankings],
) -> Vec<Box<[Option<LossRange>]>> {
    let weights = weights(grid, division, rankings);
    if weights.is_empty() {
        return Vec::new();
    }
    let mut ranges: HashMap<(usize, u16, u16), LossRange> = HashMap::new();
    for ((pool, nearest), classes) in weights {
        let total: f64 = classes.values().sum();
        let mut before = 0.0;
        for (loss, weight) in classes {
            ranges.insert(
                (pool, nearest, loss),
                LossRange { from: before / total, to: (before + weight) / total },
            );
            before += weight;
        }
    }
    let range = |(pool, ranking): (usize, &Ranking)| {
        let (nearest, loss) = nearest_loss(ranking)?;
        ranges.get(&(pool, nearest, loss)).copied()
    };
    rankings.iter().map(|rankings| rankings.iter().enumerate().map(range).collect()).collect()
}

/// A survey whose areas are joined by `map`, and the atlas of the joined areas once it is made.
#[derive(Debug, Clone)]
struct Fold {
    survey: Arc<Survey>,
    map: Arc<[u32]>,
    atlas: Option<Arc<Atlas>>,
}

/// The position of a fold that was requested; valid until [`Surveys::prune`].
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct FoldId(usize);

/// The surveys of all services, and the folds made of them.
#[derive(Debug, Default, Clone)]
pub struct Surveys {
    /// The grid of the databases and of all prefixes that rules name.
    grid: Option<Arc<Grid>>,
    surveys: HashMap<Preferences, Arc<Survey>>,
    undivided: Option<Arc<Survey>>,
    folds: Vec<Fold>,
    /// The number of folds that have their atlas.
    made_count: usize,
    /// The position of each fold, by the address of its survey and its map. The fold keeps the
    /// survey alive, so that the address is not reused.
    fold_of: HashMap<(usize, Arc<[u32]>), usize>,
}

impl Surveys {
    /// Makes the grid for later surveys, unless the present one has exactly these prefixes.
    pub(in crate::steer) fn prepare(&mut self, mut named: Vec<IpNet>, databases: &Databases) {
        named.sort_unstable();
        named.dedup();
        if self.grid.as_ref().is_none_or(|grid| grid.named() != named) {
            // Surveys whose preferences do not name the prefixes that differ stay valid.
            self.grid = Some(Arc::new(Grid::new(databases, named)));
        }
    }

    /// The grid that [`Surveys::prepare`] made.
    pub(in crate::steer) fn grid(&self) -> Option<&Arc<Grid>> {
        self.grid.as_ref()
    }

    /// The survey of `preferences`, which is made if it does not exist; `None` if the preferences
    /// are empty, so that geography does not matter.
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

    /// The survey with one area besides the special-purpose addresses, for services that use the
    /// client's prefix only to pick a slot.
    pub(in crate::steer) fn undivided(&mut self) -> Arc<Survey> {
        let new = || {
            Arc::new(Survey::new(
                Arc::new(Grid::new(&Databases::default(), Vec::new())),
                &Preferences::default(),
            ))
        };
        Arc::clone(self.undivided.get_or_insert_with(new))
    }

    /// Requests the fold of a survey in which area `a` becomes `map[a]`. Equal folds are made once.
    pub(in crate::steer) fn fold(&mut self, survey: &Arc<Survey>, map: &[u32]) -> FoldId {
        let map: Arc<[u32]> = map.into();
        let key = (Arc::as_ptr(survey).addr(), Arc::clone(&map));
        let folds = &mut self.folds;
        FoldId(*self.fold_of.entry(key).or_insert_with(|| {
            folds.push(Fold { survey: Arc::clone(survey), map, atlas: None });
            folds.len() - 1
        }))
    }

    /// The number of requested folds that are not made yet.
    pub(in crate::steer) fn pending_folds(&self) -> usize {
        self.folds.len() - self.made_count
    }

    /// Makes all folds that were requested since the last call. Folds of one grid are made
    /// together, because each sweep over the grid is expensive.
    pub(in crate::steer) fn make_folds(&mut self) {
        let mut pending: Vec<&mut Fold> =
            self.folds.iter_mut().filter(|fold| fold.atlas.is_none()).collect();
        pending.sort_by_key(|fold| Arc::as_ptr(&fold.survey.grid).addr());
        for folds in pending.chunk_by_mut(|a, b| Arc::ptr_eq(&a.survey.grid, &b.survey.grid)) {
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

    /// A copy with the same surveys and no folds.
    pub fn without_folds(&self) -> Self {
        Self { folds: Vec::new(), made_count: 0, fold_of: HashMap::new(), ..self.clone() }
    }

    /// Removes surveys and folds that nothing uses. A few unused folds are kept, since a flapping
    /// endpoint soon needs them again.
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
