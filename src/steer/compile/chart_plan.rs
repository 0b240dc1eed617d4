//! Chart plans: what services with equal settings share, and their answers in each area under given
//! conditions.

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

/// The plan of one chart, shared by all services with equal settings.
#[derive(Debug)]
pub(in crate::steer) struct ChartPlan {
    pub(in crate::steer) key: ChartKey,
    pub(in crate::steer) survey: Option<Arc<Survey>>,
    /// The `nearest` and `geo` pools of the tree, in the order of the survey's rankings.
    pub(in crate::steer) geographic: Vec<PoolId>,
    published: PublishedFamilies,
    may_answer_cname: bool,
}

/// The settings of a service that its chart depends on.
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

    /// Whether every wheel picks its slot by the client's prefix.
    pub(in crate::steer) fn is_by_client(&self) -> bool {
        self.kind.is_by_client()
    }

    /// The pools that the service's answers can come from.
    pub(in crate::steer) fn roots(&self) -> Vec<PoolId> {
        std::iter::once(self.pool).chain(self.on_all_down.pool()).collect()
    }
}

impl ChartPlan {
    /// Makes the plan and the survey that it needs. This is slow, and the only step that reads the
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

    /// Whether the plan, made for `original`, is valid in another topology whose pools and
    /// endpoints below its roots are the same.
    pub(in crate::steer) fn is_valid_in(&self, other: &Topology, original: &Topology) -> bool {
        !self.published.has_aliases() || other.aliases == original.aliases
    }

    /// The chart under the conditions of `search`, without its atlases.
    pub(in crate::steer) fn draft(
        &self,
        search: &mut PoolSearch<'_>,
        surveys: &mut Surveys,
    ) -> ChartDraft {
        let (v4, v4_fold) = self.family(Family::V4, search, surveys);
        let (v6, v6_fold) = self.family(Family::V6, search, surveys);
        let has_answers =
            [&v4, &v6].iter().any(|family| family.areas.iter().any(|area| area.choice.is_some()));
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

    /// The number of areas of the survey; 1 if the answer does not depend on geography.
    pub(in crate::steer) fn area_count(&self) -> usize {
        self.survey.as_ref().map_or(1, |survey| survey.rankings.len())
    }

    /// What the clients of one area are searched for.
    fn context(&self, area: usize, family: Family) -> SearchContext<'_> {
        let survey = self.survey.as_ref();
        SearchContext {
            pools: &self.geographic,
            rankings: survey.map_or(&[], |survey| &survey.rankings[area]),
            loss_ranges: survey.map_or(&[], |survey| survey.loss_ranges(area)),
            is_by_client: self.key.is_by_client(),
            ..SearchContext::without_geography(family)
        }
    }

    /// Whether any client can get records of a family under the conditions of `search`.
    pub(in crate::steer) fn publishes(&self, family: Family, search: &PoolSearch<'_>) -> bool {
        self.published.holds(family, search)
    }

    /// The choice that answers the clients of one area in one family, under the conditions of
    /// `search`; `None` is NODATA.
    pub(in crate::steer) fn choice_in(
        &self,
        area: usize,
        family: Family,
        search: &mut PoolSearch<'_>,
    ) -> Option<WheelChoice> {
        if !self.published.holds(family, search) {
            return None;
        }
        let context = self.context(area, family);
        self.key.resolve(context, &self.published, search).finding.choice
    }

    /// The service's answers in one family without their atlas, and the fold that makes the atlas.
    fn family(
        &self,
        family: Family,
        search: &mut PoolSearch<'_>,
        surveys: &mut Surveys,
    ) -> (FamilyChart, Option<FoldId>) {
        if !self.published.holds(family, search) {
            return (FamilyChart::default(), None);
        }
        let mut answers = FamilyAnswers::default();
        for area in 0..self.area_count() {
            let context = self.context(area, family);
            answers.add(self.key.resolve(context, &self.published, search));
        }
        let is_by_client = answers.is_by_client();
        let fold = match &self.survey {
            Some(survey) if answers.areas.len() > 1 => Some(surveys.fold(survey, &answers.map)),
            // One answer for all, but drawn by the client's prefix: a special-purpose prefix still
            // does not locate its client.
            _ if is_by_client => {
                let undivided = surveys.undivided();
                Some(surveys.fold(&undivided, &vec![0; undivided.rankings.len()]))
            }
            _ => None,
        };
        (
            FamilyChart {
                atlas: None,
                areas: answers.areas.into_boxed_slice(),
                is_by_client,
                ignores_subnets: !self.key.client_subnet,
                stage: answers.stage,
                unusable_areas: answers.unusable_areas.into_boxed_slice(),
            },
            fold,
        )
    }
}

/// The answers of one family, collected area by area. Areas with the same choice share one answer:
/// so each answer gets its widest scope.
#[derive(Default)]
struct FamilyAnswers {
    areas: Vec<AreaAnswer>,
    /// The position of each answer in `areas`, by the identity of its choice.
    index_of: HashMap<usize, u32>,
    /// By area of the survey: the position of its answer in `areas`.
    map: Vec<u32>,
    /// The worst fallback stage of any area.
    stage: FallbackStage,
    unusable_areas: Vec<UnusableArea>,
}

impl FamilyAnswers {
    /// Adds the answer of the survey's next area.
    fn add(&mut self, resolution: AreaResolution) {
        let AreaResolution { finding, stage, pool, is_recovering } = resolution;
        let area = self.map.len() as u32;
        let identity = finding.choice.as_ref().map_or(0, WheelChoice::identity);
        let areas = &mut self.areas;
        let answer_index = *self.index_of.entry(identity).or_insert_with(|| {
            let keeps_order = finding.choice.as_ref().is_some_and(WheelChoice::keeps_order);
            areas.push(AreaAnswer {
                choice: finding.choice.clone(),
                flips_in_secs: u32::MAX,
                keeps_order,
            });
            areas.len() as u32 - 1
        });
        let flips_in_secs = &mut areas[answer_index as usize].flips_in_secs;
        *flips_in_secs = finding.flips_in_secs.min(*flips_in_secs);
        self.map.push(answer_index);
        self.stage = self.stage.max(stage);
        if stage != FallbackStage::Normal {
            self.unusable_areas.push(UnusableArea {
                area,
                answer_index,
                stage,
                pool,
                is_recovering,
            });
        }
    }

    /// Whether some answer is drawn by the client's prefix.
    fn is_by_client(&self) -> bool {
        let spreads =
            |area: &AreaAnswer| area.choice.as_ref().is_some_and(WheelChoice::spreads_by_client);
        self.areas.iter().any(spreads)
    }
}

/// A chart without its atlases, which are made together with those of other charts.
pub(in crate::steer) struct ChartDraft {
    chart: Chart,
    folds: [Option<FoldId>; 2],
}

impl ChartDraft {
    /// The chart with its atlases, which [`Surveys::make_folds`] has made.
    pub(in crate::steer) fn chart(mut self, surveys: &Surveys) -> Chart {
        let [v4, v6] = self.folds.map(|fold| fold.and_then(|fold| surveys.atlas(fold)));
        (self.chart.v4.atlas, self.chart.v6.atlas) = (v4, v6);
        self.chart
    }
}

/// The answer of a service in one area.
struct AreaResolution {
    finding: SearchResult,
    /// The fallback that found the answer.
    stage: FallbackStage,
    /// The pool that the answer was found in; `None` for NODATA.
    pool: Option<PoolId>,
    /// Whether members are usable, but too few after an outage of all.
    is_recovering: bool,
}

/// One attempt of a service to find an answer in a pool.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct PoolAttempt {
    /// The pool to search.
    pub pool: PoolId,
    /// The stage that decides which members the search accepts.
    pub search_stage: FallbackStage,
    /// The fallback stage of the service if this attempt finds an answer.
    pub stage: FallbackStage,
}

impl ChartKey {
    /// The attempts of the service in order; the first that finds an answer ends the search.
    pub(in crate::steer) fn attempts(&self) -> Vec<PoolAttempt> {
        let in_own_pool = |stage| PoolAttempt { pool: self.pool, search_stage: stage, stage };
        let mut attempts = vec![in_own_pool(FallbackStage::Normal)];
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
                .map(in_own_pool),
            );
        }
        attempts
    }

    /// The service's answer in one area.
    fn resolve(
        &self,
        context: SearchContext<'_>,
        published: &PublishedFamilies,
        search: &mut PoolSearch<'_>,
    ) -> AreaResolution {
        let mut found = self.search(context, published, search);
        // An area for which the family has no member is NODATA by configuration and no outage.
        if found.stage != FallbackStage::Normal && !search.may_offer(self.pool, context) {
            found.stage = FallbackStage::Normal;
        }
        found
    }

    fn search(
        &self,
        context: SearchContext<'_>,
        published: &PublishedFamilies,
        search: &mut PoolSearch<'_>,
    ) -> AreaResolution {
        // The answer also depends on the verdicts that left nothing usable in the earlier stages.
        let is_strict = search.is_strict(self.pool, context);
        let recovering =
            search.recovering(self.pool, context).filter(|_| self.fails_open(is_strict));
        let mut flips_in_secs = recovering.unwrap_or(u32::MAX);
        for PoolAttempt { pool, search_stage, stage } in self.attempts() {
            if is_strict && pool != self.pool {
                continue;
            }
            let context = SearchContext { stage: search_stage, ..context };
            let (found, _) = search.service(pool, context);
            flips_in_secs = flips_in_secs.min(found.flips_in_secs);
            let is_passed_over = stage == FallbackStage::Normal && recovering.is_some();
            if found.choice.is_some() && !is_passed_over
                || stage == FallbackStage::Normal && found.is_empty_by_config
            {
                let pool = found.choice.is_some().then_some(pool);
                let is_recovering = recovering.is_some() && stage == FallbackStage::AllDown;
                return AreaResolution {
                    finding: SearchResult { flips_in_secs, ..found },
                    stage,
                    pool,
                    is_recovering,
                };
            }
            if is_passed_over {
                continue;
            }
            if let Some(other) = published.other_family(pool, context, search) {
                flips_in_secs = flips_in_secs.min(other.flips_in_secs);
                if other.choice.is_some() {
                    return AreaResolution {
                        finding: SearchResult::nothing(flips_in_secs),
                        stage: FallbackStage::OtherFamily,
                        pool: None,
                        is_recovering: false,
                    };
                }
            }
        }
        let finding = SearchResult::nothing(flips_in_secs);
        AreaResolution { finding, stage: FallbackStage::AllDown, pool: None, is_recovering: false }
    }

    /// Whether clients are answered with all members, as if these were up, as soon as none is
    /// usable. The clients of a strict rule are not answered from another pool first.
    pub(in crate::steer) fn fails_open(&self, is_strict: bool) -> bool {
        match self.on_all_down {
            OnAllDown::All => true,
            OnAllDown::Pool(_) => is_strict,
            OnAllDown::Empty => false,
        }
    }

    /// The service's own pool.
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
