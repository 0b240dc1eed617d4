//! Surveys: the world divided by one set of preferences. Kept over reloads: only new preferences or new databases need one.

use std::{collections::HashMap, sync::Arc};

use super::preference::{Preferences, Sights};
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
        let survey = Arc::new(Survey { atlas, sights });
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
