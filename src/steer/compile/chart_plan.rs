//! Plans: what services with equal settings have in common, and what they resolve to in each area
//! under given conditions.

use std::{collections::HashMap, sync::Arc};

use super::{
    policy::SearchResult,
    preference::Preferences,
    published_families::PublishedFamilies,
    search::{PoolSearch, SearchContext},
    survey::{FoldId, Survey, Surveys},
};
use crate::{
    geo::Databases,
    steer::{
        chart::{AreaAnswer, Chart, FallbackStage, FamilyChart, UnusableArea, WheelChoice},
        model::{
            EndpointId, EndpointTarget, Family, OnAllDown, PoolId, RecordKind, Service, Topology,
        },
    },
};

/// What services with one chart have in common.
#[derive(Debug)]
pub(in crate::steer) struct ChartPlan {
    pub(in crate::steer) key: ChartKey,
    pub(in crate::steer) survey: Option<Arc<Survey>>,
    /// The geographic pools of the tree, in the order of the survey's sights.
    pub(in crate::steer) geographic: Vec<PoolId>,
    published: PublishedFamilies,
    may_answer_cname: bool,
}

/// All of a service that its chart depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::steer) struct ChartKey {
    kind: RecordKind,
    pool: PoolId,
    ttl_secs: u32,
    on_all_down: OnAllDown,
    ipv6: bool,
    client_subnet: bool,
}

impl ChartKey {
    pub(in crate::steer) fn new(service: &Service) -> Self {
        Self {
            kind: service.kind.clone(),
            pool: service.pool,
            ttl_secs: service.ttl_secs,
            on_all_down: service.on_all_down,
            ipv6: service.ipv6,
            client_subnet: service.client_subnet,
        }
    }

    /// Whether every wheel picks by the client's prefix.
    pub(in crate::steer) fn is_by_client(&self) -> bool {
        self.kind.is_by_client()
    }

    /// The pools that the service may be answered from.
    pub(in crate::steer) fn roots(&self) -> Vec<PoolId> {
        std::iter::once(self.pool).chain(self.on_all_down.pool()).collect()
    }
}

impl ChartPlan {
    /// Surveys what the services need of the world; the slow part, and the only one that reads the
    /// databases.
    pub(in crate::steer) fn new(
        topology: &Topology,
        key: ChartKey,
        databases: &Databases,
        surveys: &mut Surveys,
    ) -> Self {
        let (preferences, geographic) = Preferences::of(topology, &key.roots());
        let is_cname = |endpoint: &EndpointId| {
            matches!(topology.endpoints[endpoint.index()].target, EndpointTarget::Cname(_))
        };
        let may_answer_cname = topology.endpoints_below(key.roots()).iter().any(is_cname);
        let published = key.published(topology);
        let survey = surveys.survey(preferences, databases);
        Self { key, survey, geographic, published, may_answer_cname }
    }

    /// Whether the plan is valid in another topology whose pools and endpoints below its roots are
    /// the same.
    pub(in crate::steer) fn is_valid_in(&self, other: &Topology, own: &Topology) -> bool {
        !self.published.has_aliases() || other.aliases == own.aliases
    }

    /// The chart under the conditions of `search`, but for its atlases.
    pub(in crate::steer) fn draft(
        &self,
        search: &mut PoolSearch<'_>,
        surveys: &mut Surveys,
    ) -> ChartDraft {
        let (v4, v4_fold) = self.family(Family::V4, search, surveys);
        let (v6, v6_fold) = self.family(Family::V6, search, surveys);
        let has_answers =
            [&v4, &v6].iter().any(|family| family.areas.iter().any(|reach| reach.choice.is_some()));
        let awaits_alias = self.published.awaits_alias(search);
        let chart = Chart {
            ttl_secs: self.key.ttl_secs,
            v4,
            v6,
            may_answer_cname: self.may_answer_cname,
            kind: self.key.kind.clone(),
            awaits_alias,
            is_unresolved: awaits_alias && !has_answers,
        };
        ChartDraft { chart, folds: [v4_fold, v6_fold] }
    }

    /// What the service comes to in one family, but for its atlas.
    fn family(
        &self,
        family: Family,
        search: &mut PoolSearch<'_>,
        surveys: &mut Surveys,
    ) -> (FamilyChart, Option<FoldId>) {
        if !self.published.holds(family, search) {
            return (FamilyChart::default(), None);
        }
        // Areas that come to the same choice become one: that is what gives each answer its widest
        // scope.
        let mut areas: Vec<AreaAnswer> = Vec::new();
        let mut number_of: HashMap<usize, u32> = HashMap::new();
        let mut map = Vec::new();
        let (mut plight, mut distress) = (FallbackStage::Normal, Vec::new());
        let no_sights = Vec::from([Box::default()]);
        let every_sights = self.survey.as_ref().map_or(&no_sights, |survey| &survey.rankings);
        for (at, sights) in every_sights.iter().enumerate() {
            let pools = &self.geographic;
            let spans = self.survey.as_ref().map_or(&[][..], |survey| survey.loss_ranges(at));
            let by_client = self.key.is_by_client();
            let view = SearchContext {
                pools,
                rankings: sights,
                loss_ranges: spans,
                is_by_client: by_client,
                ..SearchContext::without_geography(family)
            };
            let AreaResolution { finding, stage: found_plight, pool, is_recovering } =
                self.key.resolve(view, &self.published, search);
            plight = plight.max(found_plight);
            let identity = finding.choice.as_ref().map_or(0, WheelChoice::identity);
            let number = *number_of.entry(identity).or_insert_with(|| {
                let keeps_order = finding.choice.as_ref().is_some_and(WheelChoice::keeps_order);
                areas.push(AreaAnswer {
                    choice: finding.choice.clone(),
                    flips_in_secs: u32::MAX,
                    keeps_order,
                });
                areas.len() as u32 - 1
            });
            let flips_in_secs = &mut areas[number as usize].flips_in_secs;
            *flips_in_secs = finding.flips_in_secs.min(*flips_in_secs);
            map.push(number);
            if found_plight != FallbackStage::Normal {
                distress.push(UnusableArea {
                    area: at as u32,
                    answer_index: number,
                    stage: found_plight,
                    pool,
                    is_recovering,
                });
            }
        }
        let by_client = areas
            .iter()
            .any(|reach| reach.choice.as_ref().is_some_and(WheelChoice::spreads_by_client));
        let fold = match &self.survey {
            Some(survey) if areas.len() > 1 => Some(surveys.fold(survey, &map)),
            // One answer for all, but drawn by the client's prefix: special-purpose prefixes still
            // say nothing.
            _ if by_client => {
                let undivided = surveys.undivided();
                Some(surveys.fold(&undivided, &vec![0; undivided.rankings.len()]))
            }
            _ => None,
        };
        (
            FamilyChart {
                atlas: None,
                areas: areas.into_boxed_slice(),
                is_by_client: by_client,
                ignores_subnets: !self.key.client_subnet,
                stage: plight,
                unusable_areas: distress.into_boxed_slice(),
            },
            fold,
        )
    }
}

/// A chart whose atlases are still to be made, with those of all others.
pub(in crate::steer) struct ChartDraft {
    chart: Chart,
    folds: [Option<FoldId>; 2],
}

impl ChartDraft {
    /// The chart with its atlases, which are made by now.
    pub(in crate::steer) fn chart(mut self, surveys: &Surveys) -> Chart {
        let [v4, v6] = self.folds.map(|fold| fold.and_then(|fold| surveys.atlas(fold)));
        (self.chart.v4.atlas, self.chart.v6.atlas) = (v4, v6);
        self.chart
    }
}

/// What a service comes to in one area.
struct AreaResolution {
    finding: SearchResult,
    /// How far it had to go for it.
    stage: FallbackStage,
    /// The pool that it was found in; nothing for NODATA.
    pool: Option<PoolId>,
    /// Members are usable, but too few after an outage of all.
    is_recovering: bool,
}

/// A pool that a service turns to.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct PoolAttempt {
    /// The pool to search.
    pub pool: PoolId,
    /// What it is searched for.
    pub search_stage: FallbackStage,
    /// How far the service has gone by then.
    pub stage: FallbackStage,
}

impl ChartKey {
    /// The pools that the service turns to, one after the other until one comes to something.
    pub(in crate::steer) fn attempts(&self) -> Vec<PoolAttempt> {
        let own = |plight| PoolAttempt { pool: self.pool, search_stage: plight, stage: plight };
        let mut attempts = vec![own(FallbackStage::Normal)];
        if let OnAllDown::Pool(other) = self.on_all_down {
            attempts.push(PoolAttempt {
                pool: other,
                search_stage: FallbackStage::Normal,
                stage: FallbackStage::AllDown,
            });
        }
        if self.on_all_down != OnAllDown::Empty {
            attempts.extend(
                [
                    FallbackStage::AllDown,
                    FallbackStage::OnlyDrainedLeft,
                    FallbackStage::OnlyDisabledLeft,
                ]
                .map(own),
            );
        }
        attempts
    }

    /// What the service comes to in one area.
    fn resolve(
        &self,
        view: SearchContext<'_>,
        published: &PublishedFamilies,
        search: &mut PoolSearch<'_>,
    ) -> AreaResolution {
        let mut found = self.search(view, published, search);
        // An area that the family has no member for is NODATA by configuration, whatever the
        // health.
        if found.stage != FallbackStage::Normal && !search.may_offer(self.pool, view) {
            found.stage = FallbackStage::Normal;
        }
        found
    }

    fn search(
        &self,
        view: SearchContext<'_>,
        published: &PublishedFamilies,
        search: &mut PoolSearch<'_>,
    ) -> AreaResolution {
        // The answer depends on the verdicts that left nothing usable in the stages before it, too.
        let is_strict = search.is_strict(self.pool, view);
        let recovering = search.recovering(self.pool, view).filter(|_| self.fails_open(is_strict));
        let mut flips_in_secs = recovering.unwrap_or(u32::MAX);
        for PoolAttempt { pool, search_stage: within, stage: plight } in self.attempts() {
            if is_strict && pool != self.pool {
                continue;
            }
            let view = SearchContext { stage: within, ..view };
            let (found, _) = search.service(pool, view);
            flips_in_secs = flips_in_secs.min(found.flips_in_secs);
            let is_passed_over = plight == FallbackStage::Normal && recovering.is_some();
            if found.choice.is_some() && !is_passed_over
                || plight == FallbackStage::Normal && found.is_empty_by_config
            {
                let pool = found.choice.is_some().then_some(pool);
                let is_recovering = recovering.is_some() && plight == FallbackStage::AllDown;
                return AreaResolution {
                    finding: SearchResult { flips_in_secs, ..found },
                    stage: plight,
                    pool,
                    is_recovering,
                };
            }
            if is_passed_over {
                continue;
            }
            if let Some(other) = published.other_family(pool, view, search) {
                flips_in_secs = flips_in_secs.min(other.flips_in_secs);
                if other.choice.is_some() {
                    let finding = SearchResult::nothing(flips_in_secs);
                    let plight = FallbackStage::OtherFamily;
                    return AreaResolution {
                        finding,
                        stage: plight,
                        pool: None,
                        is_recovering: false,
                    };
                }
            }
        }
        let finding = SearchResult::nothing(flips_in_secs);
        AreaResolution { finding, stage: FallbackStage::AllDown, pool: None, is_recovering: false }
    }

    /// Whether clients are answered all members as if they were up as soon as none is usable. A
    /// strict rule turns to no other pool before that.
    pub(in crate::steer) fn fails_open(&self, is_strict: bool) -> bool {
        match self.on_all_down {
            OnAllDown::All => true,
            OnAllDown::Pool(_) => is_strict,
            OnAllDown::Empty => false,
        }
    }

    /// The pool that the service names.
    pub(in crate::steer) fn own_pool(&self) -> PoolId {
        self.pool
    }

    /// The families that the service publishes.
    pub(in crate::steer) fn published(&self, topology: &Topology) -> PublishedFamilies {
        PublishedFamilies::new(
            topology,
            &self.kind,
            self.ipv6,
            &topology.endpoints_below([self.pool]),
        )
    }
}
