//! Surveys: the world divided by one set of preferences. Kept over reloads: only new preferences or new databases need one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::preference::{Preferences, Sight, Sights, Span};
use crate::geo::{Atlas, Databases};

/// With no more folds than this nothing is forgotten.
const SPARE_FOLDS: usize = 16;

/// The world divided by one set of preferences.
#[derive(Debug)]
pub(super) struct Survey {
    /// Client to area.
    pub atlas: Atlas,
    /// What each area makes of the preferences' pools.
    pub sights: Vec<Sights>,
    /// By area, by pool: where the area stands among those of the same nearest member. Empty where no member gives clients
    /// away.
    spans: Vec<Box<[Option<Span>]>>,
}

impl Survey {
    fn new(atlas: Atlas, sights: Vec<Sights>) -> Self {
        let spans = spans(&atlas, &sights);
        Self { atlas, sights, spans }
    }

    /// The spans of a client's area.
    pub(super) fn spans_at(&self, client: std::net::IpAddr) -> &[Option<Span>] {
        self.spans(self.atlas.locate(client).area.0 as usize)
    }

    /// The spans of one area, by pool; empty where no member gives clients away.
    pub(super) fn spans(&self, area: usize) -> &[Option<Span>] {
        self.spans.get(area).map_or(&[], |spans| spans)
    }
}

/// Areas that have the same nearest member of a pool, in order of what their clients would lose by going to the second, with
/// the share of the addresses before them and with them. Addresses stand for clients: of those nobody knows the number.
fn spans(atlas: &Atlas, sights: &[Sights]) -> Vec<Box<[Option<Span>]>> {
    let loss_of = |sight: &Sight| match sight {
        Sight::Nearest { order, loss, .. } => order.first().copied().zip(*loss),
        Sight::Geo(_) => None,
    };
    if !sights.iter().flatten().any(|sight| loss_of(sight).is_some()) {
        return Vec::new();
    }
    // IPv6 has too many addresses that nobody uses: both families follow IPv4, and areas without any count a little.
    let mut addresses = vec![1.0_f64; sights.len()];
    atlas
        .runs()
        .filter(|run| run.first.is_ipv4() && !run.special)
        .for_each(|run| addresses[run.area.0 as usize] += run.addresses as f64);
    let mut weights: BTreeMap<(usize, u16, u8), f64> = BTreeMap::new();
    for (sights, addresses) in sights.iter().zip(&addresses) {
        for (at, (first, loss)) in sights.iter().enumerate().filter_map(|(at, sight)| Some((at, loss_of(sight)?))) {
            *weights.entry((at, first, loss)).or_default() += addresses;
        }
    }
    let mut found: BTreeMap<(usize, u16, u8), Span> = BTreeMap::new();
    for (&(at, first, loss), weight) in &weights {
        let of_first = weights.range((at, first, 0)..=(at, first, u8::MAX));
        let total: f64 = of_first.clone().map(|(_, weight)| weight).sum();
        let before: f64 = of_first.take_while(|((.., other), _)| *other < loss).map(|(_, weight)| weight).sum();
        found.insert((at, first, loss), Span { from: before / total, to: (before + weight) / total });
    }
    let span = |(at, sight): (usize, &Sight)| {
        let (first, loss) = loss_of(sight)?;
        found.get(&(at, first, loss)).copied()
    };
    sights.iter().map(|sights| sights.iter().enumerate().map(span).collect()).collect()
}

/// A survey and its atlas with areas made one.
type Fold = (Arc<Survey>, Arc<Atlas>);

/// Every survey that some service needs, and the folds made of them.
#[derive(Debug, Default, Clone)]
pub struct Surveys {
    surveys: HashMap<Preferences, Arc<Survey>>,
    /// By the survey's place in memory, which the entry itself keeps from being used again.
    folds: HashMap<(usize, Box<[u32]>), Fold>,
}

impl Surveys {
    /// The survey of `preferences`, made now where it is new; `None` where geography has no part.
    pub(super) fn survey(&mut self, preferences: Preferences, databases: &Databases) -> Option<Arc<Survey>> {
        (!preferences.is_empty()).then(|| self.divide(preferences, databases))
    }

    /// The world undivided but for its special-purpose addresses: for services that pick by the client's prefix and by
    /// nothing else of it.
    pub(super) fn undivided(&mut self) -> Arc<Survey> {
        self.divide(Preferences::default(), &Databases::default())
    }

    fn divide(&mut self, preferences: Preferences, databases: &Databases) -> Arc<Survey> {
        if let Some(survey) = self.surveys.get(&preferences) {
            return Arc::clone(survey);
        }
        let named = preferences.named();
        let (atlas, sights) = Atlas::survey(databases, &named, |location, within| {
            let within: Vec<_> = within.iter().map(|&at| named[at as usize]).collect();
            preferences.sights(location, &within)
        });
        tracing::info!(
            areas = atlas.area_count(),
            runs = atlas.run_count(),
            bytes = atlas.memory_bytes(),
            "surveyed the world"
        );
        let survey = Arc::new(Survey::new(atlas, sights));
        self.surveys.insert(preferences, Arc::clone(&survey));
        survey
    }

    /// The survey's atlas with area `a` become `map[a]`; equal folds are made once.
    pub(super) fn fold(&mut self, survey: &Arc<Survey>, map: Box<[u32]>) -> Arc<Atlas> {
        let key = (Arc::as_ptr(survey).addr(), map);
        if let Some((_, atlas)) = self.folds.get(&key) {
            return Arc::clone(atlas);
        }
        let atlas = Arc::new(survey.atlas.fold(&key.1));
        self.folds.insert(key, (Arc::clone(survey), Arc::clone(&atlas)));
        atlas
    }

    /// Forgets what nothing uses any more. A few folds are kept all the same: what flaps comes back to them.
    pub fn prune(&mut self) {
        if self.folds.len() > SPARE_FOLDS {
            self.folds.retain(|_, (_, atlas)| Arc::strong_count(atlas) > 1);
        }
        self.surveys.retain(|_, survey| Arc::strong_count(survey) > 1);
    }
}
