//! The inspector: the tree of pools as the compiler searches it for one client, kept for people to
//! read.
//!
//! Nothing is decided here. Every pick comes from the same [`PoolSearch`], the same policies and
//! the same preferences as the chart of the service.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    decision::{Decision, PickReason, SkipReason},
    inspection::{
        ClientLocation, FinalRule, InspectedAttempt, InspectedEndpoint, InspectedMember,
        InspectedNode, InspectedPool, Inspection, MatchedKey,
    },
    share_modifiers::{ModifierContext, ShareModifiers},
};
use crate::{
    geo::{Atlas, Databases},
    steer::{
        chart::{FallbackStage, WheelChoice},
        compile::{
            ChartKey, LossRange, MatchedRules, PoolAttempt, PoolSearch, Preferences, Quorum,
            Ranking, RuleKeys, SearchContext, SearchResult, Specificity, Surveys, WheelCache,
            biased_km, member_coordinates,
        },
        model::{
            Conditions, DatacenterId, EndpointId, EndpointTarget, Family, GeoRule, HealthOverride,
            Member, MemberKind, Policy, Pool, PoolId, ServiceId, ServingState, Topology,
            effective_state,
        },
    },
};

/// Inspects what a service comes to for one client. For people: it searches the whole tree anew.
pub fn inspect(
    topology: &Topology,
    conditions: &Conditions,
    databases: &Databases,
    service: ServiceId,
    family: Family,
    client: ClientLocation<'_>,
) -> Inspection {
    let key = ChartKey::new(&topology.services[service.index()]);
    let (preferences, geographic) = Preferences::of(topology, &key.roots());
    let within = matching_prefixes(&preferences, client.address);
    let sights = preferences.rankings(client.location, &within);
    let spans = loss_ranges_at(preferences, databases, client.address);
    let mut wheels = WheelCache::default();
    let mut inspector = Inspector {
        topology,
        conditions,
        client,
        within: &within,
        search: PoolSearch::new(topology, conditions, &mut wheels),
    };
    let published = key.published(topology);
    let mut attempts = Vec::new();
    let own_view = SearchContext {
        pools: &geographic,
        rankings: &sights,
        ..SearchContext::without_geography(family)
    };
    let is_strict = inspector.search.is_strict(key.own_pool(), own_view);
    let recovering =
        inspector.search.recovering(key.own_pool(), own_view).filter(|_| key.fails_open(is_strict));
    let mut flips_in_secs = recovering.unwrap_or(u32::MAX);
    for PoolAttempt { pool, search_stage: within, stage: plight } in key.attempts() {
        let by_client = key.is_by_client();
        let (pools, sights, spans) = (&geographic[..], &sights[..], &spans[..]);
        let view = SearchContext {
            family,
            stage: within,
            pools,
            rankings: sights,
            loss_ranges: spans,
            counts_other_family: false,
            is_by_client: by_client,
        };
        if pool != key.own_pool() && is_strict {
            continue;
        }
        let (found, view) = inspector.search.service(pool, view);
        let tree = inspector.pool(pool, view);
        flips_in_secs = flips_in_secs.min(found.flips_in_secs);
        let is_passed_over = plight == FallbackStage::Normal && recovering.is_some();
        let mut ends = tree.is_usable && !is_passed_over
            || plight == FallbackStage::Normal && tree.is_deliberate;
        let mut serves_other_family = false;
        if !ends
            && !is_passed_over
            && let Some(other) = published.other_family(pool, view, &mut inspector.search)
        {
            flips_in_secs = flips_in_secs.min(other.flips_in_secs);
            serves_other_family = other.choice.is_some();
            ends = serves_other_family;
        }
        attempts.push(InspectedAttempt {
            stage: plight,
            search_stage: within,
            tree,
            serves_other_family,
        });
        if ends {
            break;
        }
    }
    let flips_in_secs = (flips_in_secs != u32::MAX).then_some(flips_in_secs);
    Inspection {
        matching_prefixes: within,
        attempts,
        flips_in_secs,
        is_recovering: recovering.is_some(),
    }
}

/// Where a client's area stands among those that have the same nearest member. Only a survey of the
/// whole world can tell, which is made where some member gives clients away.
fn loss_ranges_at(
    preferences: Preferences,
    databases: &Databases,
    client: IpAddr,
) -> Vec<Option<LossRange>> {
    if !preferences.may_give_clients_away() {
        return Vec::new();
    }
    let survey = Surveys::default().survey(preferences, databases);
    survey.map(|survey| survey.loss_ranges_at(client).to_vec()).unwrap_or_default()
}

/// The named prefixes that hold an address, longest first, as a survey has them.
fn matching_prefixes(preferences: &Preferences, address: IpAddr) -> Vec<IpNet> {
    let named = preferences.named_prefixes();
    let (atlas, of_area) =
        Atlas::survey(&Databases::default(), &named, |_, within| within.to_vec());
    of_area[atlas.locate(&address).area.0 as usize].iter().map(|&at| named[at as usize]).collect()
}

struct Inspector<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    client: ClientLocation<'a>,
    within: &'a [IpNet],
    search: PoolSearch<'a>,
}

impl Inspector<'_> {
    fn pool(&mut self, id: PoolId, view: SearchContext<'_>) -> InspectedPool {
        let topology = self.topology;
        let pool = &topology.pools[id.index()];
        let election = self.search.select_members(id, view);
        let finding = self.search.pool(id, view);
        let picked = election.selection.groups.concat();
        let chosen: Vec<usize> =
            picked.iter().map(|&at| identity(election.results[usize::from(at)].as_ref())).collect();
        let (shares, slots, picks) = shares_of(finding.choice.as_ref(), &chosen);
        let sight = view.pools.iter().position(|&at| at == id).and_then(|at| view.rankings.get(at));
        let offers = self.matched_keys(pool, sight);
        let order = order(pool, sight, &offers);
        let findings: Vec<SearchResult> =
            pool.members.iter().map(|member| self.search.member(pool, member, view)).collect();
        let span = view
            .pools
            .iter()
            .position(|&at| at == id)
            .and_then(|at| view.loss_ranges.get(at).copied().flatten());
        let nearest = matches!(sight, Some(Ranking::Nearest { .. }))
            .then_some(order.first().copied().zip(span))
            .flatten();
        let terming = ModifierContext { topology, conditions: self.conditions, id, nearest };
        let terms: Vec<ShareModifiers> = findings
            .iter()
            .enumerate()
            .map(|(at, finding)| terming.modifiers(at, finding))
            .collect();
        let tally = DecisionInputs {
            pool,
            terms: &terms,
            picks,
            order: &order,
            groups: &election.selection.groups,
            findings: &findings,
            offers: &offers,
            meets_min_up: election.quorum != Quorum::Missed,
        };
        let members = order
            .iter()
            .map(|&at| {
                let content = self.content(&pool.members[at], view);
                InspectedMember {
                    position: at,
                    decision: tally.decision(at, || self.skip_reason(&content, view.family)),
                    share: picked
                        .iter()
                        .position(|&m| usize::from(m) == at)
                        .map_or(0.0, |position| shares[position]),
                    is_standby: findings[at].tier.is_standby(),
                    has_family_down: findings[at].tier.has_family_down(),
                    modifiers: terms[at],
                    distance_km: self.distance(pool, &pool.members[at]),
                    matched_key: offers[at].clone(),
                    datacenters: datacenters_of(topology, pool.members[at].kind),
                    content,
                }
            })
            .collect();
        InspectedPool {
            id,
            search_stage: view.stage,
            final_rule: self.final_rule(pool, sight),
            meets_min_up: election.quorum != Quorum::Missed,
            is_usable: finding.choice.is_some(),
            is_deliberate: finding.is_empty_by_config,
            picks,
            spread: view.spread(pool),
            slots,
            members,
        }
    }

    fn content(&mut self, member: &Member, view: SearchContext<'_>) -> InspectedNode {
        match member.kind {
            MemberKind::Pool(id) => InspectedNode::Pool(self.pool(id, view)),
            MemberKind::Endpoint(id) => InspectedNode::Endpoint(self.endpoint(id)),
        }
    }

    fn endpoint(&self, id: EndpointId) -> InspectedEndpoint {
        let endpoint = &self.topology.endpoints[id.index()];
        let state = effective_state(self.topology, self.conditions, id);
        let has_state =
            |id: &&DatacenterId| self.conditions.datacenters.get(id.index()) == Some(&state);
        let probes = &self.topology.endpoint_probes[id.index()];
        let addresses = match &endpoint.target {
            EndpointTarget::Cname(_) | EndpointTarget::Host(_) => vec![None],
            EndpointTarget::Addresses(addresses) => addresses.iter().copied().map(Some).collect(),
            EndpointTarget::Alias(_) => {
                let resolved = self.topology.endpoint_alias[id.index()]
                    .map(|alias| self.conditions.resolved_alias(alias));
                resolved
                    .into_iter()
                    .flat_map(|resolved| resolved.addresses())
                    .copied()
                    .map(Some)
                    .collect()
            }
        };
        let standing = |probe: &Option<_>| probe.map(|probe| self.conditions.standing(Some(probe)));
        InspectedEndpoint {
            id,
            state,
            state_of: endpoint
                .datacenters
                .iter()
                .filter(|_| endpoint.state != state)
                .find(has_state)
                .copied(),
            is_forced_down: endpoint.force == Some(HealthOverride::Down),
            // An alias has one probe, whatever it resolves to.
            addresses: addresses
                .into_iter()
                .zip(probes.iter().chain(probes.last().into_iter().cycle()).map(standing))
                .collect(),
        }
    }

    /// For each member of a `geo` pool: the most specific key that offers it.
    fn matched_keys(&self, pool: &Pool, sight: Option<&Ranking>) -> Vec<Option<MatchedKey>> {
        let mut offers = vec![None; pool.members.len()];
        let (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) = (&pool.policy, sight)
        else {
            return offers;
        };
        let reached = MatchedRules::new(rules, matching);
        for rule in reached.rules() {
            let offer = self.matched_key(rule);
            rule.members
                .iter()
                .for_each(|&member| set_if_none(&mut offers[member as usize], &offer));
        }
        let default = if reached.final_rule().is_none() { &default[..] } else { &[] };
        default.iter().for_each(|&member| {
            set_if_none(&mut offers[member as usize], &Some(MatchedKey::Default))
        });
        offers
    }

    /// The key of the rule that ends a `geo` pool's search for this client: by `strict`, or because
    /// it has no members.
    fn final_rule(&self, pool: &Pool, sight: Option<&Ranking>) -> Option<FinalRule> {
        let (Policy::Geo { rules, .. }, Some(Ranking::Geo(matching))) = (&pool.policy, sight)
        else {
            return None;
        };
        let rule = MatchedRules::new(rules, matching).final_rule()?;
        Some(FinalRule {
            matched_key: self.matched_key(rule)?,
            is_strict: !rule.members.is_empty(),
        })
    }

    fn matched_key(&self, rule: &GeoRule) -> Option<MatchedKey> {
        let location = self.client.location;
        Some(match RuleKeys::of(rule).specificity(location, self.within)? {
            Specificity::Subnet(length) => {
                let fits = |prefix: &&IpNet| {
                    prefix.prefix_len() == length && rule.subnets.contains(prefix)
                };
                MatchedKey::Subnet(*self.within.iter().find(fits)?)
            }
            Specificity::Asn => MatchedKey::Asn(location.asn?),
            Specificity::Subdivision(_) => MatchedKey::Subdivision(
                location.subdivisions.iter().find(|code| rule.subdivisions.contains(code))?.clone(),
            ),
            Specificity::Country => MatchedKey::Country(location.country.clone()?),
            Specificity::Continent => MatchedKey::Continent(location.continent.clone()?),
        })
    }

    fn distance(&self, pool: &Pool, member: &Member) -> Option<(f64, f64)> {
        if !matches!(pool.policy, Policy::Nearest { .. }) {
            return None;
        }
        let client = self.client.location.coordinates?;
        let points = member_coordinates(self.topology, member);
        (!points.is_empty())
            .then(|| (biased_km(&points, 0, client), biased_km(&points, member.bias, client)))
    }

    /// Why a member that came to nothing did.
    fn skip_reason(&self, content: &InspectedNode, family: Family) -> SkipReason {
        let inspected = match content {
            InspectedNode::Pool(pool) if !pool.meets_min_up => return SkipReason::BelowMinUp,
            InspectedNode::Pool(_) => return SkipReason::Unusable,
            InspectedNode::Endpoint(inspected) => inspected,
        };
        if inspected.addresses.is_empty() {
            return SkipReason::Unresolved;
        }
        let of_family =
            |address: Option<IpAddr>| address.is_none_or(|address| family.contains(address));
        if !inspected.addresses.iter().any(|(address, _)| of_family(*address)) {
            return SkipReason::NoAddress;
        }
        let is_forced =
            self.topology.endpoints[inspected.id.index()].force == Some(HealthOverride::Down);
        match inspected.state {
            ServingState::Disabled => SkipReason::Disabled,
            _ if is_forced => SkipReason::ForcedDown,
            ServingState::Draining => SkipReason::Draining,
            ServingState::Active | ServingState::Standby => SkipReason::Down,
        }
    }
}

fn set_if_none(place: &mut Option<MatchedKey>, offer: &Option<MatchedKey>) {
    if place.is_none() {
        place.clone_from(offer);
    }
}

/// The order in which a pool's members are shown, which is also that in which a ranking policy
/// tries them.
fn order(pool: &Pool, sight: Option<&Ranking>, offers: &[Option<MatchedKey>]) -> Vec<usize> {
    let mut order: Vec<usize> = match (&pool.policy, sight) {
        (Policy::Nearest { .. }, Some(Ranking::Nearest { order, .. })) => {
            order.iter().map(|&at| at.into()).collect()
        }
        (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) => {
            MatchedRules::new(rules, matching).order(default).into_iter().map(usize::from).collect()
        }
        _ => Vec::new(),
    };
    // Members that no rule offers come last, as written.
    order.extend((0..offers.len()).collect::<Vec<_>>());
    let mut seen = vec![false; offers.len()];
    order.retain(|&at| !std::mem::replace(&mut seen[at], true));
    order
}

/// What is known of a pool's members when each one's fate is to be named.
struct DecisionInputs<'a> {
    pool: &'a Pool,
    terms: &'a [ShareModifiers],
    /// How many members an answer has.
    picks: usize,
    order: &'a [usize],
    groups: &'a [Vec<u16>],
    findings: &'a [SearchResult],
    offers: &'a [Option<MatchedKey>],
    meets_min_up: bool,
}

impl DecisionInputs<'_> {
    fn decision(&self, at: usize, cause: impl FnOnce() -> SkipReason) -> Decision {
        let group = self.groups.iter().position(|group| group.contains(&(at as u16)));
        if let Some(group) = group {
            return Decision::Picked(self.pick_reason(at, group));
        }
        let finding = &self.findings[at];
        let is_offered =
            !matches!(self.pool.policy, Policy::Geo { .. }) || self.offers[at].is_some();
        Decision::Skipped(match self.first_picked() {
            _ if !is_offered => SkipReason::NoRule,
            _ if finding.choice.is_none() => cause(),
            _ if !self.meets_min_up => SkipReason::PoolBelowMinUp,
            Some(first) if self.terms[first].is_holder && at < first => {
                SkipReason::AwaitingFailback(first)
            }
            _ if self.gives_all_away(at) => SkipReason::GivesClientsAway,
            Some(first)
                if finding.tier.has_family_down()
                    && !self.findings[first].tier.has_family_down() =>
            {
                SkipReason::OtherFamilyDown
            }
            Some(first) if finding.tier.is_pending() && !self.findings[first].tier.is_pending() => {
                SkipReason::Pending
            }
            Some(first) if finding.tier.is_standby() && !self.findings[first].tier.is_standby() => {
                SkipReason::Standby
            }
            Some(first) => SkipReason::Behind(first),
            None => SkipReason::Unusable,
        })
    }

    fn first_picked(&self) -> Option<usize> {
        self.groups.first().and_then(|group| group.first()).map(|&at| at.into())
    }

    fn pick_reason(&self, at: usize, group: usize) -> PickReason {
        match self.pool.policy {
            _ if self.terms[at].is_holder && group == 0 => PickReason::Holder,
            _ if self.findings[at].tier.is_standby() => PickReason::LastResort,
            Policy::Weighted | Policy::Load(_) => PickReason::Weight,
            Policy::All => PickReason::AllUsable,
            _ if group > 0 && self.picks > 1 => PickReason::NextInOrder,
            _ if group > 0 && self.has_full_before(group) => PickReason::Trickle,
            _ if group > 0 => PickReason::Remainder,
            _ if self.first_picked() != Some(at) => PickReason::Tied,
            _ if self.order.first() == Some(&at) => PickReason::First,
            _ if self.order.first().is_some_and(|&first| self.gives_all_away(first)) => {
                PickReason::Remainder
            }
            _ => PickReason::FirstUsable,
        }
    }

    /// Whether a usable member gives away every client like this one.
    fn gives_all_away(&self, at: usize) -> bool {
        self.findings[at].choice.is_some()
            && self.terms[at].retained.is_some_and(|kept| kept.fraction_in_area.is_zero())
    }

    /// Whether a member of an earlier group would take all that comes to it.
    fn has_full_before(&self, group: usize) -> bool {
        let is_full = |&at: &u16| {
            let terms = &self.terms[usize::from(at)];
            terms.ramp.is_none()
                && terms.retained.is_none_or(|kept| kept.fraction_in_area.is_full())
        };
        self.groups[..group].iter().flatten().any(is_full)
    }
}

/// The identity of what a member came to.
fn identity(finding: Option<&SearchResult>) -> usize {
    finding.and_then(|finding| finding.choice.as_ref()).map_or(0, WheelChoice::identity)
}

/// Of a pool that picked members with these identities: the share of its answers that hold each,
/// its slots and its picks.
fn shares_of(choice: Option<&WheelChoice>, picked: &[usize]) -> (Vec<f64>, usize, usize) {
    let Some(WheelChoice::Wheel(wheel)) = choice.filter(|_| picked.len() > 1) else {
        return (vec![1.0; picked.len()], 1, picked.len().min(1));
    };
    if !wheel.is_layered {
        return (wheel.slots.shares(picked.len()), wheel.slots.count(), wheel.slots.picks());
    }
    let (mut shares, mut slots, mut picks) = (vec![0.0; picked.len()], 1, 1);
    for (layer, of_layer) in wheel.choices.iter().zip(wheel.slots.shares(wheel.choices.len())) {
        let WheelChoice::Wheel(layer) = layer else { continue };
        (slots, picks) = (layer.slots.count().max(slots), layer.slots.picks());
        for (choice, held) in layer.choices.iter().zip(layer.slots.shares(layer.choices.len())) {
            let at = picked.iter().position(|&identity| identity == choice.identity());
            at.into_iter().for_each(|at| shares[at] += of_layer * held);
        }
    }
    (shares, slots, picks)
}

/// The datacenters of an endpoint, or of all endpoints below a pool, each once.
fn datacenters_of(topology: &Topology, kind: MemberKind) -> Vec<DatacenterId> {
    let endpoints = topology.endpoints_of([kind]).map(|id| &topology.endpoints[id.index()]);
    let mut datacenters: Vec<DatacenterId> =
        endpoints.flat_map(|endpoint| &endpoint.datacenters).copied().collect();
    datacenters.sort_unstable();
    datacenters.dedup();
    datacenters
}
