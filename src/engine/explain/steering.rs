//! How a service chose: the deciding address and its location, the pools searched, and the TTL.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    phrase::{PhraseContext, format_key, format_min_up, format_timestamp, spread_name},
    request::ExplainRequest,
    view::{
        AttemptView, DatacenterView, DecidedByView, LocationView, MemberView, PoolView, RecordView,
        ReplyView, SteeringView, TargetView, TtlView,
    },
};
use crate::{
    dns::Name,
    engine::{service_answer::family, snapshot_context::SnapshotContext},
    geo::{Location, MergedLookup},
    steer::{
        Chart, ClientLocation, DatacenterId, DecidingAddress, Decision, EndpointTarget,
        FallbackStage, Family, FinalRule, Fraction, InspectedAttempt, InspectedEndpoint,
        InspectedMember, InspectedNode, InspectedPool, Inspection, OnAllDown, RecordKind, Service,
        ServiceId, ServingState, inspect,
    },
};

/// A question to a service.
pub(super) struct ServiceQuestion<'a> {
    pub(super) service: ServiceId,
    pub(super) request: &'a ExplainRequest,
    /// Whether the zone of the question uses client subnets.
    pub(super) client_subnet: bool,
    /// The records of the answer section.
    pub(super) answers: &'a [RecordView],
}

/// How a service chose; `None` for a type that the service does not answer.
pub(super) fn steering(
    context: &SnapshotContext<'_>,
    question: &ServiceQuestion<'_>,
) -> Option<SteeringView> {
    let chart = context.snapshot.charts.get(question.service.index())?;
    let family = family(chart, question.request.rtype)?;
    steering_in(context, question, chart, family)
}

/// How a service chose the IPv6 hints of an HTTPS or SVCB record, where [`steering`] is about its
/// IPv4 hints; `None` for other records.
pub(super) fn steering_of_ipv6_hints(
    context: &SnapshotContext<'_>,
    question: &ServiceQuestion<'_>,
) -> Option<SteeringView> {
    let chart = context.snapshot.charts.get(question.service.index())?;
    let has_hints = match chart.kind() {
        RecordKind::Binding(binding) => {
            binding.rtype == question.request.rtype && binding.has_hints
        }
        _ => false,
    };
    let has_both = Family::ALL.iter().all(|family| chart.publishes(*family));
    (has_hints && has_both).then(|| steering_in(context, question, chart, Family::V6)).flatten()
}

fn steering_in(
    context: &SnapshotContext<'_>,
    question: &ServiceQuestion<'_>,
    chart: &Chart,
    family: Family,
) -> Option<SteeringView> {
    let topology = &context.snapshot.topology;
    let service = topology.services.get(question.service.index())?;
    let (address, decided_by) = decided_by(chart, family, question);
    let found = context.databases.lookup(address);
    let client = ClientLocation { address, location: &found.location };
    let inspection =
        inspect(topology, context.conditions, context.databases, question.service, family, client);
    let phrases = PhraseContext { topology, conditions: context.conditions, family };
    let route = chart.route(family, Some(address), &address);
    let atlas = chart.atlas(family).filter(|_| chart.area_count(family) > 1);
    Some(SteeringView {
        records: match &service.kind {
            RecordKind::Binding(binding) if binding.rtype == question.request.rtype => {
                binding.rtype.to_string()
            }
            kind => kind.record_type(family).to_owned(),
        },
        decided_by,
        location: location(&found, &inspection.matching_prefixes),
        areas: chart.area_count(family),
        area: atlas.map(|atlas| atlas.locate(&address).area.0),
        ttl: ttl(&phrases, service, route.ttl_secs, &inspection),
        attempts: attempts(&phrases, service, &inspection, question.answers),
    })
}

/// The address that decides, and the reason.
fn decided_by(
    chart: &Chart,
    family: Family,
    question: &ServiceQuestion<'_>,
) -> (IpAddr, DecidedByView) {
    let ExplainRequest { client, subnet, .. } = question.request;
    let resolver_decides = |why: String| {
        let address = client.to_string();
        (*client, DecidedByView { address, is_subnet: false, why })
    };
    let Some(subnet) = subnet else {
        return resolver_decides("no client subnet came with the query".to_owned());
    };
    if subnet.prefix_len() == 0 {
        return resolver_decides(format!(
            "{subnet} asks for an answer that does not depend on the client's network"
        ));
    }
    if !question.client_subnet {
        return resolver_decides("the zone has client-subnet = false".to_owned());
    }
    match chart.deciding_address(family, subnet.addr()) {
        DecidingAddress::Resolver => {
            resolver_decides("the service has client-subnet = false".to_owned())
        }
        DecidingAddress::ResolverForSpecialSubnet => {
            let word = special_kind(subnet.addr());
            resolver_decides(format!(
                "{subnet} is {word}, and neither a rule nor a database has it"
            ))
        }
        DecidingAddress::Subnet => {
            let why = "the client subnet that the resolver sent".to_owned();
            (subnet.addr(), DecidedByView { address: subnet.to_string(), is_subnet: true, why })
        }
    }
}

/// The kind of a special-purpose address, which does not show where a client is.
fn special_kind(address: IpAddr) -> &'static str {
    let is_documentation = match address {
        IpAddr::V4(v4) => v4.is_documentation(),
        IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0xdb8] || v6.segments()[0] == 0x3fff,
    };
    let is_private = match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    match () {
        () if is_private => "private",
        () if address.is_loopback() => "loopback",
        () if is_documentation => "for documentation",
        () if address.is_multicast() => "multicast",
        () => "special-purpose",
    }
}

fn location(found: &MergedLookup<'_>, named: &[IpNet]) -> LocationView {
    let text = |field: &Option<Box<str>>| field.as_ref().map(|text| text.to_string());
    let location = &found.location;
    LocationView {
        network: found.network.to_string(),
        carried: found.embedded_ipv4.map(|ipv4| ipv4.to_string()),
        continent: text(&location.continent),
        country: text(&location.country),
        subdivision: text(&location.subdivisions.last().cloned()),
        subdivisions: location.subdivisions.iter().map(ToString::to_string).collect(),
        city: text(&location.city),
        latitude: location.coordinates.map(|point| rounded(point.latitude(), 1e4)),
        longitude: location.coordinates.map(|point| rounded(point.longitude(), 1e4)),
        asn: location.asn,
        organization: text(&location.organization),
        databases: deciding_databases(found),
        named: named.iter().map(IpNet::to_string).collect(),
    }
}

/// The labels of the databases that the location was taken from; of all databases if none of them
/// knows the address.
fn deciding_databases(found: &MergedLookup<'_>) -> Vec<String> {
    let mut merged = Location::default();
    let mut labels = Vec::new();
    for source in &found.by_database {
        let with_source = merged.merged(source.location);
        if with_source != merged {
            labels.push(source.label.to_owned());
        }
        merged = with_source;
    }
    if labels.is_empty() {
        labels.extend(found.by_database.iter().map(|source| source.label.to_owned()));
    }
    labels
}

/// A number rounded to a fraction of `1 / parts`, so that it is short in JSON and equal after a
/// round trip.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

fn percent_of_fraction(fraction: Fraction) -> f64 {
    rounded(fraction.share() * 100.0, 100.0)
}

fn ttl(
    phrases: &PhraseContext<'_>,
    service: &Service,
    secs: u32,
    inspection: &Inspection,
) -> TtlView {
    let flipping = || {
        let secs = inspection.flips_in_secs?;
        let tree = |attempt: &InspectedAttempt| flipping_target(phrases, &attempt.tree, secs);
        let (target, verdict) = inspection.attempts.iter().find_map(tree)?;
        Some(match verdict {
            "unknown" => {
                format!(
                    "{target} has no verdict yet; its first health check is due within {secs} s"
                )
            }
            "down" => format!("{target} is down and may be up in {secs} s"),
            _ => format!("{target} is up and may be down in {secs} s"),
        })
    };
    let aging = || {
        let secs = inspection.flips_in_secs?;
        let alias = inspection
            .attempts
            .iter()
            .find_map(|attempt| aging_alias(phrases, &attempt.tree, secs))?;
        Some(format!("the addresses of {alias} may change in {secs} s"))
    };
    let lowered_because = (secs < service.ttl_secs).then(|| flipping().or_else(aging)).flatten();
    TtlView { secs, configured_secs: service.ttl_secs, lowered_because }
}

/// An address below a pool whose verdict may change in `secs` seconds.
fn flipping_target(
    phrases: &PhraseContext<'_>,
    pool: &InspectedPool,
    secs: u32,
) -> Option<(String, &'static str)> {
    pool.members.iter().find_map(|member| match &member.content {
        InspectedNode::Pool(inner) => flipping_target(phrases, inner, secs),
        InspectedNode::Endpoint(endpoint) => targets(phrases, endpoint)
            .into_iter()
            .zip(&endpoint.addresses)
            .find_map(|(target, (_, status))| {
                let status = status.filter(|status| status.flips_in_secs == Some(secs))?;
                Some((target.target, status.verdict.as_str()))
            }),
    })
}

/// An alias below a pool that is resolved again in `secs` seconds.
fn aging_alias<'a>(
    phrases: &PhraseContext<'a>,
    pool: &InspectedPool,
    secs: u32,
) -> Option<&'a Name> {
    pool.members.iter().find_map(|member| match &member.content {
        InspectedNode::Pool(inner) => aging_alias(phrases, inner, secs),
        InspectedNode::Endpoint(endpoint) => {
            let (name, resolved) = phrases.alias(endpoint)?;
            (resolved.ttl_secs() == secs).then_some(name)
        }
    })
}

fn attempts(
    phrases: &PhraseContext<'_>,
    service: &Service,
    inspection: &Inspection,
    answers: &[RecordView],
) -> Vec<AttemptView> {
    let last = inspection.attempts.len() - 1;
    let view = |(index, attempt): (usize, &InspectedAttempt)| {
        let is_answering = index == last && attempt.tree.is_usable;
        AttemptView {
            why: why(phrases, service, inspection, attempt),
            is_answering,
            serves_other_family: attempt.serves_other_family,
            pool: pool(phrases, &attempt.tree, if is_answering { answers } else { &[] }),
        }
    };
    inspection.attempts.iter().enumerate().map(view).collect()
}

/// Why the service tries a pool; `None` for its configured pool in normal operation.
fn why(
    phrases: &PhraseContext<'_>,
    service: &Service,
    inspection: &Inspection,
    attempt: &InspectedAttempt,
) -> Option<String> {
    let is_own = attempt.tree.id == service.pool;
    Some(match (attempt.stage, service.on_all_down) {
        (FallbackStage::Normal | FallbackStage::OtherFamily, _) => return None,
        (FallbackStage::AllDown, OnAllDown::Pool(other)) if !is_own => {
            let name = &phrases.topology.pools[other.index()].name;
            format!("nothing is usable: on-all-down turns to pool {name}")
        }
        (FallbackStage::AllDown, _) if is_own && inspection.is_recovering => {
            "recovering: all members were down, and less than half of them by weight are back: as if all were up"
                .to_owned()
        }
        (FallbackStage::AllDown, OnAllDown::Pool(_)) if attempt.tree.final_rule.is_some() => {
            "nothing is usable, and `strict = true` ends the search at this rule: its own members are answered as if all were up".to_owned()
        }
        (FallbackStage::AllDown, OnAllDown::Pool(_)) => "that pool is not usable either: as if all were up".to_owned(),
        (FallbackStage::AllDown, _) => "nothing is usable: on-all-down = \"all\" answers as if all were up".to_owned(),
        (FallbackStage::OnlyDrainedLeft, _) => format!("nothing but {} is left: they are answered", describe_drained(&attempt.tree)),
        (FallbackStage::OnlyDisabledLeft, _) => "nothing but disabled members is left: they are answered".to_owned(),
    })
}

/// The kind of members that are answered because nothing else is left.
fn describe_drained(pool: &InspectedPool) -> &'static str {
    let is_forced = any_endpoint(pool, &|endpoint| {
        endpoint.is_forced_down && endpoint.state != ServingState::Disabled
    });
    let drains = any_endpoint(pool, &|endpoint| {
        endpoint.state == ServingState::Draining && !endpoint.is_forced_down
    });
    match (is_forced, drains) {
        (true, false) => "members that are forced down",
        (true, true) => "members that drain or are forced down",
        (false, _) => "draining members",
    }
}

fn any_endpoint(pool: &InspectedPool, matches: &dyn Fn(&InspectedEndpoint) -> bool) -> bool {
    pool.members.iter().any(|member| match &member.content {
        InspectedNode::Pool(inner) => any_endpoint(inner, matches),
        InspectedNode::Endpoint(endpoint) => matches(endpoint),
    })
}

fn pool(
    phrases: &PhraseContext<'_>,
    inspected: &InspectedPool,
    answers: &[RecordView],
) -> PoolView {
    let configured = phrases.pool(inspected);
    PoolView {
        name: configured.name.to_string(),
        policy: configured.policy.as_str().to_owned(),
        spread: spread_name(inspected.spread).to_owned(),
        min_up: format_min_up(configured.min_up),
        meets_min_up: inspected.meets_min_up,
        is_usable: inspected.is_usable,
        ends_at: inspected.final_rule.as_ref().map(describe_final_rule),
        picks: inspected.picks,
        slots: inspected.slots,
        members: inspected
            .members
            .iter()
            .map(|inner| member(phrases, inspected, inner, answers))
            .collect(),
    }
}

fn member(
    phrases: &PhraseContext<'_>,
    parent: &InspectedPool,
    inspected: &InspectedMember,
    answers: &[RecordView],
) -> MemberView {
    let configured = &phrases.pool(parent).members[inspected.position];
    let is_picked = matches!(inspected.decision, Decision::Picked(_));
    // The answer does not come from a skipped member, even if it has the same addresses.
    let answers = if is_picked { answers } else { &[] };
    let (state, targets, inner) = match &inspected.content {
        InspectedNode::Endpoint(endpoint) => {
            (Some(endpoint.state.as_str().to_owned()), targets(phrases, endpoint), None)
        }
        InspectedNode::Pool(inner) => (None, Vec::new(), Some(pool(phrases, inner, answers))),
    };
    let is_answer = |target: &TargetView| {
        // The rdata of SRV and HTTPS records includes more than the target.
        let mut texts = answers.iter().flat_map(|record| record.rdata.split([' ', ',', '=', '"']));
        texts.any(|text| text.strip_suffix('.').unwrap_or(text) == target.target)
    };
    let is_answered = targets.iter().any(is_answer)
        || inner
            .as_ref()
            .is_some_and(|inner| inner.members.iter().any(|member| member.is_answered));
    MemberView {
        name: phrases.member_name(configured).to_owned(),
        is_picked,
        is_answered,
        reason: phrases.reason(parent, inspected),
        percent: rounded(inspected.share * 100.0, 100.0),
        weight: configured.weight,
        bias: configured.bias,
        is_standby: inspected.is_standby,
        takes_percent: inspected.modifiers.ramp.map(|ramped| percent_of_fraction(ramped.fraction)),
        keeps_percent: inspected
            .modifiers
            .retained
            .map(|retained| percent_of_fraction(retained.fraction)),
        keeps_here_percent: inspected
            .modifiers
            .retained
            .map(|retained| percent_of_fraction(retained.fraction_in_area)),
        weight_by_load: inspected.modifiers.load_weight.map(|(weight, _)| weight),
        is_holder: inspected.modifiers.is_holder,
        distance_km: inspected.distance_km.map(|(km, _)| rounded(km, 10.0)),
        biased_km: inspected.distance_km.map(|(_, biased)| rounded(biased, 10.0)),
        rule: inspected.matched_key.as_ref().map(format_key),
        datacenters: datacenters(phrases, &inspected.datacenters),
        state,
        alias: match &inspected.content {
            InspectedNode::Endpoint(endpoint) => {
                phrases.alias(endpoint).map(|(name, _)| name.to_string())
            }
            InspectedNode::Pool(_) => None,
        },
        targets,
        pool: inner,
    }
}

pub(super) fn datacenters(
    phrases: &PhraseContext<'_>,
    ids: &[DatacenterId],
) -> Vec<DatacenterView> {
    ids.iter().map(|id| datacenter(phrases, *id)).collect()
}

fn datacenter(phrases: &PhraseContext<'_>, id: DatacenterId) -> DatacenterView {
    let configured = &phrases.topology.datacenters[id.index()];
    let state = phrases.conditions.datacenters.get(id.index()).copied().unwrap_or(configured.state);
    let is_as_configured = state == configured.state;
    DatacenterView {
        name: configured.name.to_string(),
        state: state.as_str().to_owned(),
        reason: configured
            .reason
            .as_ref()
            .filter(|_| is_as_configured)
            .map(|reason| reason.to_string()),
        until: configured.until.filter(|_| is_as_configured).and_then(format_timestamp),
    }
}

pub(super) fn targets(
    phrases: &PhraseContext<'_>,
    endpoint: &InspectedEndpoint,
) -> Vec<TargetView> {
    let configured = &phrases.topology.endpoints[endpoint.id.index()];
    let view =
        |(address, status): &(Option<IpAddr>, Option<crate::health::HealthStatus>)| TargetView {
            target: match (address, &configured.target) {
                (Some(address), _) => address.to_string(),
                (None, EndpointTarget::Cname(name)) => name.to_string(),
                (None, EndpointTarget::Host(host)) => host.name.to_string(),
                (None, EndpointTarget::Addresses(_) | EndpointTarget::Alias(_)) => String::new(),
            },
            is_of_family: address
                .is_none_or(|address| address.is_ipv4() == (phrases.family == Family::V4)),
            verdict: status.map(|status| match status.is_held {
                true => "down, held in the answers by a safety rule".to_owned(),
                false => status.verdict.as_str().to_owned(),
            }),
            flips_in_secs: status.and_then(|status| status.flips_in_secs),
        };
    endpoint.addresses.iter().map(view).collect()
}

/// The deciding reason: that of the first pool on the way to the answer that has several members.
pub(super) fn deciding_reason(steering: &SteeringView, reply: &ReplyView) -> String {
    let Some(last) = steering.attempts.last() else { return String::new() };
    let prefix = last.why.as_ref().map(|why| format!("{why}; ")).unwrap_or_default();
    if !last.is_answering && reply.rcode == "SERVFAIL" {
        return "SERVFAIL: nothing is usable, and an alias was never resolved; see `portolan status`".to_owned();
    }
    if !last.is_answering {
        return no_answer(steering, last);
    }
    let mut path = Vec::new();
    let mut pool = Some(&last.pool);
    while let Some(view) = pool {
        let answered = || view.members.iter().find(|member| member.is_answered);
        let Some(member) =
            answered().or_else(|| view.members.iter().find(|member| member.is_picked))
        else {
            break;
        };
        path.push((view, member));
        pool = member.pool.as_ref();
    }
    let decides = |(view, member): &&(&PoolView, &MemberView)| {
        view.members.len() > 1 && !member.reason.is_empty()
    };
    let decisive = path.iter().find(decides).or(path.first());
    match decisive {
        Some((view, member)) if view.picks > 1 && view.policy == "all" => {
            format!("{prefix}pool {}: {}", view.name, member.reason)
        }
        Some((view, member)) => {
            let before =
                view.members.first().filter(|first| !first.is_picked && first.name != member.name);
            let before = before
                .map(|first| format!("; {}: {}", first.name, first.reason))
                .unwrap_or_default();
            format!("{prefix}{}, {}{before}{}", member.name, member.reason, format_rcode(reply))
        }
        None => prefix,
    }
}

fn format_rcode(reply: &ReplyView) -> String {
    if reply.rcode == "NOERROR" { String::new() } else { format!(" ({})", reply.rcode) }
}

fn no_answer(steering: &SteeringView, last: &AttemptView) -> String {
    let records = &steering.records;
    let (family, other) = if records == "AAAA" { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
    if !any_target(&last.pool, &|_, _| true, &|target| target.is_of_family) {
        return format!(
            "no member has an {family} address: no {records} records, whatever the health"
        );
    }
    if steering.areas == 0 {
        return "the service has ipv6 = false: it publishes no AAAA records".to_owned();
    }
    if let Some(rule) = last
        .pool
        .ends_at
        .as_ref()
        .filter(|_| !last.pool.members.iter().any(|member| member.rule.is_some()))
    {
        return format!("NODATA by pool {}: the search ends at {rule}", last.pool.name);
    }
    if last.pool.policy == "geo" && !last.pool.members.iter().any(|member| member.rule.is_some()) {
        return format!(
            "no rule of pool {} matches this client, and its default is empty",
            last.pool.name
        );
    }
    if !any_target(&last.pool, &is_offered, &|target| target.is_of_family) {
        return format!("NODATA for {records}: no member for this client has an {family} address");
    }
    if last.serves_other_family {
        return format!("NODATA for {records}: no usable {family} member, {other} has some");
    }
    match &last.pool.ends_at {
        Some(rule) => {
            format!("nothing is usable: the search ends at {rule}, and on-all-down answers nothing")
        }
        None => "nothing is usable, and on-all-down answers nothing".to_owned(),
    }
}

fn describe_final_rule(last: &FinalRule) -> String {
    let how = if last.is_strict { "strict = true" } else { "members = []" };
    format!("the rule for {}, which has {how}", format_key(&last.matched_key))
}

/// Whether a pool offers a member to this client: a `geo` pool offers only members of matching
/// rules.
fn is_offered(pool: &PoolView, member: &MemberView) -> bool {
    pool.policy != "geo" || member.rule.is_some()
}

/// Whether `matches` holds for any target of the pool. Only members for which `counts` holds are
/// searched, in this pool and in the pools below it.
fn any_target(
    pool: &PoolView,
    counts: &dyn Fn(&PoolView, &MemberView) -> bool,
    matches: &dyn Fn(&TargetView) -> bool,
) -> bool {
    let inner = |member: &MemberView| {
        member.pool.as_ref().is_some_and(|inner| any_target(inner, counts, matches))
    };
    let mut counted = pool.members.iter().filter(|member| counts(pool, member));
    counted.any(|member| member.targets.iter().any(matches) || inner(member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::DatabaseLookup;

    #[test]
    fn the_databases_that_the_location_comes_from_are_named_or_all_if_none_knows_the_address() {
        let country = Location { country: Some("DE".into()), ..Location::default() };
        let asn = Location { asn: Some(64_500), ..Location::default() };
        let nothing = Location::default();
        let network: IpNet = "192.0.2.0/24".parse().unwrap();
        for (locations, expected, why) in [
            ([&country, &nothing, &country], vec!["a"], "the others add nothing"),
            ([&nothing, &country, &asn], vec!["b", "c"], "each adds a field"),
            ([&nothing, &nothing, &nothing], vec!["a", "b", "c"], "no database knows the address"),
        ] {
            let lookup = |(label, location)| DatabaseLookup {
                label,
                kind: "",
                build_epoch: 0,
                location,
                network,
            };
            let found = MergedLookup {
                location: Location::default(),
                network,
                embedded_ipv4: None,
                by_database: ["a", "b", "c"].into_iter().zip(locations).map(lookup).collect(),
            };
            assert_eq!(deciding_databases(&found), expected, "{why}");
        }
    }
}
