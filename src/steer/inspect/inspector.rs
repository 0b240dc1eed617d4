//! The inspector: the tree of pools as a compilation searches it for one client, kept for people to
//! read.
//!
//! Nothing is decided here. Every result comes from the same [`PoolSearch`], every reason from the
//! same policy, and every ranking from the same preferences as the chart of the service.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{
    inspection::{
        ClientLocation, FinalRule, InspectedAttempt, InspectedEndpoint, InspectedMember,
        InspectedNode, InspectedPool, Inspection, MatchedKey,
    },
    share_modifiers::ModifierContext,
};
use crate::{
    geo::{Atlas, Databases, Location},
    steer::{
        chart::{FallbackStage, WheelChoice},
        compile::{
            ChartKey, Decision, LossRange, MatchedRules, PoolAttempt, PoolSearch, Preferences,
            PublishedFamilies, Quorum, Ranking, RuleKeys, SearchContext, SearchResult, SkipReason,
            Specificity, Surveys, WheelCache, biased_km, member_coordinates,
        },
        model::{
            Conditions, DatacenterId, EndpointId, EndpointTarget, Family, GeoRule, HealthOverride,
            Member, MemberKind, Policy, Pool, PoolId, ServiceId, ServingState, Topology,
            effective_state,
        },
    },
};

/// Inspects how a service is answered for one client. It searches the whole tree of pools again,
/// and surveys the address space where a member gives clients away: for people, not for queries.
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
    let prefixes = matching_prefixes(&preferences, client.address);
    let rankings = preferences.rankings(client.location, &prefixes);
    let loss_ranges = loss_ranges_at(preferences, databases, client.address);
    let mut wheels = WheelCache::default();
    let mut inspector = Inspector {
        topology,
        conditions,
        client,
        prefixes: &prefixes,
        search: PoolSearch::new(topology, conditions, &mut wheels),
    };
    let context = SearchContext {
        pools: &geographic,
        rankings: &rankings,
        loss_ranges: &loss_ranges,
        is_by_client: key.is_by_client(),
        ..SearchContext::without_geography(family)
    };
    let published = key.published(topology);
    let is_strict = inspector.search.is_strict(key.own_pool(), context);
    let recovering =
        inspector.search.recovering(key.own_pool(), context).filter(|_| key.fails_open(is_strict));
    let mut flips_in_secs = recovering.unwrap_or(u32::MAX);
    let mut attempts = Vec::new();
    for attempt in key.attempts() {
        if attempt.pool != key.own_pool() && is_strict {
            continue;
        }
        let is_passed_over = attempt.stage == FallbackStage::Normal && recovering.is_some();
        let inspected = inspector.attempt(attempt, context, is_passed_over, &published);
        flips_in_secs = flips_in_secs.min(inspected.flips_in_secs);
        attempts.push(inspected.attempt);
        if inspected.is_last {
            break;
        }
    }
    Inspection {
        matching_prefixes: prefixes,
        attempts,
        flips_in_secs: (flips_in_secs != u32::MAX).then_some(flips_in_secs),
        is_recovering: recovering.is_some(),
    }
}

/// Inspects a pool by itself, without a client's place: a pool that ranks by place is searched as
/// if no place were known.
pub fn inspect_pool(
    topology: &Topology,
    conditions: &Conditions,
    pool: PoolId,
    family: Family,
) -> InspectedPool {
    let mut wheels = WheelCache::default();
    let (location, address) = (Location::default(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let mut inspector = Inspector {
        topology,
        conditions,
        client: ClientLocation { address, location: &location },
        prefixes: &[],
        search: PoolSearch::new(topology, conditions, &mut wheels),
    };
    inspector.pool(pool, SearchContext::without_geography(family))
}

/// The range of a client's area among the areas with the same nearest member. It takes a survey of
/// the whole address space, which is made only where a member may give clients away.
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

/// The prefixes named in rules that hold an address, longest first, as a survey has them.
fn matching_prefixes(preferences: &Preferences, address: IpAddr) -> Vec<IpNet> {
    let named = preferences.named_prefixes();
    let (atlas, by_area) =
        Atlas::survey(&Databases::default(), &named, |_, matching| matching.to_vec());
    let area = atlas.locate(&address).area.0 as usize;
    by_area[area].iter().map(|&prefix| named[prefix as usize]).collect()
}

struct Inspector<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    client: ClientLocation<'a>,
    /// The prefixes named in rules that hold the client, longest first.
    prefixes: &'a [IpNet],
    search: PoolSearch<'a>,
}

/// An attempt, and whether the service needs no further one.
struct AttemptResult {
    attempt: InspectedAttempt,
    is_last: bool,
    flips_in_secs: u32,
}

impl Inspector<'_> {
    /// Inspects one pool that the service may be answered from. A pool is passed over while too few
    /// of its members have recovered.
    fn attempt(
        &mut self,
        PoolAttempt { pool, search_stage, stage }: PoolAttempt,
        context: SearchContext<'_>,
        is_passed_over: bool,
        published: &PublishedFamilies,
    ) -> AttemptResult {
        let (result, context) =
            self.search.service(pool, SearchContext { stage: search_stage, ..context });
        let tree = self.pool(pool, context);
        let mut flips_in_secs = result.flips_in_secs;
        let mut is_last = tree.is_usable && !is_passed_over
            || stage == FallbackStage::Normal && tree.is_empty_by_config;
        let mut serves_other_family = false;
        if !is_last
            && !is_passed_over
            && let Some(other) = published.other_family(pool, context, &mut self.search)
        {
            flips_in_secs = flips_in_secs.min(other.flips_in_secs);
            serves_other_family = other.choice.is_some();
            is_last = serves_other_family;
        }
        let attempt = InspectedAttempt { stage, search_stage, tree, serves_other_family };
        AttemptResult { attempt, is_last, flips_in_secs }
    }

    fn pool(&mut self, id: PoolId, context: SearchContext<'_>) -> InspectedPool {
        let topology = self.topology;
        let pool = &topology.pools[id.index()];
        let (selected, decisions) = self.search.select_with_decisions(id, context);
        let result = self.search.pool(id, context);
        let picked = selected.selection.groups.concat();
        let identities: Vec<usize> =
            picked.iter().map(|&member| identity(selected.result(member))).collect();
        let WheelShares { shares, slots, picks } =
            WheelShares::new(result.choice.as_ref(), &identities);
        let ranking = context.ranking(id);
        let matched_keys = self.matched_keys(pool, ranking);
        let order = display_order(pool, ranking);
        let nearest = matches!(ranking, Some(Ranking::Nearest { .. }))
            .then_some(order.first().copied().zip(context.loss_range(id)))
            .flatten();
        let modifiers = ModifierContext { topology, conditions: self.conditions, id, nearest };
        let mut member = |position: usize| {
            let configured = &pool.members[position];
            let result = self.search.member(pool, configured, context);
            let content = self.content(configured, context);
            let decision = match decisions[position] {
                Decision::Skipped(SkipReason::Unusable) if result.choice.is_none() => {
                    Decision::Skipped(self.unusable_reason(&content, context.family))
                }
                decision => decision,
            };
            let rank = picked.iter().position(|&member| usize::from(member) == position);
            InspectedMember {
                position,
                decision,
                share: rank.map_or(0.0, |rank| shares[rank]),
                is_standby: result.tier.is_standby(),
                has_family_down: result.tier.has_family_down(),
                modifiers: modifiers.modifiers(position, &result),
                distance_km: self.distance(pool, configured),
                matched_key: matched_keys[position].clone(),
                datacenters: datacenters_of(topology, configured.kind),
                content,
            }
        };
        InspectedPool {
            id,
            members: order.into_iter().map(&mut member).collect(),
            search_stage: context.stage,
            final_rule: self.final_rule(pool, ranking),
            meets_min_up: selected.quorum != Quorum::Missed,
            is_usable: result.choice.is_some(),
            is_empty_by_config: result.is_empty_by_config,
            picks,
            spread: context.spread(pool),
            slots,
        }
    }

    fn content(&mut self, member: &Member, context: SearchContext<'_>) -> InspectedNode {
        match member.kind {
            MemberKind::Pool(id) => InspectedNode::Pool(self.pool(id, context)),
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
        let status =
            |probe: &Option<_>| probe.map(|probe| self.conditions.health_status(Some(probe)));
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
                .zip(probes.iter().chain(probes.last().into_iter().cycle()).map(status))
                .collect(),
        }
    }

    /// By member of a `geo` pool: the most specific key that offers it.
    fn matched_keys(&self, pool: &Pool, ranking: Option<&Ranking>) -> Vec<Option<MatchedKey>> {
        let mut keys = vec![None; pool.members.len()];
        let (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) =
            (&pool.policy, ranking)
        else {
            return keys;
        };
        let matched = MatchedRules::new(rules, matching);
        for rule in matched.rules() {
            let key = self.matched_key(rule);
            rule.members.iter().for_each(|&member| set_if_none(&mut keys[member as usize], &key));
        }
        let default = if matched.final_rule().is_none() { &default[..] } else { &[] };
        let key = Some(MatchedKey::Default);
        default.iter().for_each(|&member| set_if_none(&mut keys[member as usize], &key));
        keys
    }

    /// The key of the rule that ends a `geo` pool's search for this client: by `strict`, or because
    /// it has no members.
    fn final_rule(&self, pool: &Pool, ranking: Option<&Ranking>) -> Option<FinalRule> {
        let (Policy::Geo { rules, .. }, Some(Ranking::Geo(matching))) = (&pool.policy, ranking)
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
        Some(match RuleKeys::of(rule).specificity(location, self.prefixes)? {
            Specificity::Subnet(length) => {
                let fits = |prefix: &&IpNet| {
                    prefix.prefix_len() == length && rule.subnets.contains(prefix)
                };
                MatchedKey::Subnet(*self.prefixes.iter().find(fits)?)
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

    /// Why a member is not usable.
    fn unusable_reason(&self, content: &InspectedNode, family: Family) -> SkipReason {
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

fn set_if_none(key: &mut Option<MatchedKey>, matched: &Option<MatchedKey>) {
    if key.is_none() {
        key.clone_from(matched);
    }
}

/// The order in which a pool's members are shown, which is also that in which a ranking policy
/// tries them. Members that no rule offers come last, as written.
fn display_order(pool: &Pool, ranking: Option<&Ranking>) -> Vec<usize> {
    let mut order: Vec<usize> = match (&pool.policy, ranking) {
        (Policy::Nearest { .. }, Some(Ranking::Nearest { order, .. })) => {
            order.iter().map(|&member| member.into()).collect()
        }
        (Policy::Geo { rules, default }, Some(Ranking::Geo(matching))) => {
            MatchedRules::new(rules, matching).order(default).into_iter().map(usize::from).collect()
        }
        _ => Vec::new(),
    };
    order.extend(0..pool.members.len());
    let mut seen = vec![false; pool.members.len()];
    order.retain(|&member| !std::mem::replace(&mut seen[member], true));
    order
}

/// The [`WheelChoice::identity`] of a member's search result.
fn identity(result: Option<&SearchResult>) -> usize {
    result.and_then(|result| result.choice.as_ref()).map_or(0, WheelChoice::identity)
}

/// What a pool's wheel gives to the members picked.
struct WheelShares {
    /// By member picked: the share of the pool's answers that hold it, from 0 to 1.
    shares: Vec<f64>,
    slots: usize,
    /// How many members an answer has.
    picks: usize,
}

impl WheelShares {
    /// `identities` are those of the members picked.
    fn new(choice: Option<&WheelChoice>, identities: &[usize]) -> Self {
        let count = identities.len();
        let Some(WheelChoice::Wheel(wheel)) = choice.filter(|_| count > 1) else {
            return Self { shares: vec![1.0; count], slots: 1, picks: count.min(1) };
        };
        if !wheel.is_layered {
            let (slots, picks) = (wheel.slots.count(), wheel.slots.picks());
            return Self { shares: wheel.slots.shares(count), slots, picks };
        }
        let mut of_layers = Self { shares: vec![0.0; count], slots: 1, picks: 1 };
        let layer_shares = wheel.slots.shares(wheel.choices.len());
        for (layer, layer_share) in wheel.choices.iter().zip(layer_shares) {
            let WheelChoice::Wheel(layer) = layer else { continue };
            of_layers.slots = layer.slots.count().max(of_layers.slots);
            of_layers.picks = layer.slots.picks();
            let shares = layer.slots.shares(layer.choices.len());
            for (choice, share) in layer.choices.iter().zip(shares) {
                let member = identities.iter().position(|&member| member == choice.identity());
                if let Some(member) = member {
                    of_layers.shares[member] += layer_share * share;
                }
            }
        }
        of_layers
    }
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
