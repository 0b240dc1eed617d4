//! Expectations: the answer in each area that the clients of one are in, under the states that it
//! assumes.

use super::{
    answer_mismatch::AnswerMismatch,
    assumed,
    clients::ClientDivision,
    example_client::example_client,
    items::{ItemMatcher, addresses, answer_text},
    model::{AnswerItem, AnswerRule, Expectation, ExpectedShare},
    requirement_context::RequirementContext,
    trail::AnsweredClient,
    violation::RequirementFault,
};
use crate::{
    dns::Rtype,
    number_format::percent,
    steer::{
        chart::{EndpointAnswer, WheelChoice},
        compile::{PoolSearch, WheelCache},
        inspect::choice_shares,
        model::{Family, MemberKind, RecordKind, ServiceId},
    },
};

/// Shares are compared within this difference, which rounding may cause.
const ROUNDING: f64 = 1e-6;

/// Checks an expectation, whose clients are the set with this number.
pub(super) fn check(
    context: &RequirementContext<'_>,
    clients: &mut ClientDivision,
    (expectation, set): (&Expectation, usize),
    wheels: &mut WheelCache,
) -> Option<RequirementFault> {
    let topology = context.topology;
    let service = &topology.services[expectation.service.index()];
    let check = match ExpectationCheck::new(context, expectation) {
        Ok(check) => check,
        Err(fault) => return Some(fault),
    };
    let plan = context.plans.plan(expectation.service);
    let networks = clients.networks(plan.survey.as_deref(), set);
    let conditions = assumed::conditions(topology, context.now, &expectation.when);
    let mut search = PoolSearch::new(topology, &conditions, wheels);
    let mut found = None;
    'families: for &family in families(&service.kind, expectation.rtype) {
        let is_named = matches!(expectation.rtype, Some(Rtype::A | Rtype::AAAA));
        if !is_named && !plan.publishes(family, &search) {
            continue;
        }
        for (area, network) in networks.iter().enumerate() {
            let Some(network) = *network else { continue };
            let choice = plan.choice_in(area, family, &mut search);
            if let Some(wrong) = check.wrong_answer(choice.as_ref()) {
                found = Some((wrong, family, network, choice));
                break 'families;
            }
        }
    }
    drop(search);
    let (wrong, family, network, choice) = found?;
    let network = match choice.zip(wrong.endpoint) {
        Some((choice, endpoint)) => {
            example_client(network, &choice, endpoint, wheels.turn_counters())
        }
        None => network,
    };
    let client = AnsweredClient { service: expectation.service, family, network };
    let found = wrong.counterexample(context, client, (&expectation.when, &conditions));
    Some(RequirementFault::Counterexample(Box::new(found)))
}

/// The families in which a type is answered.
fn families(kind: &RecordKind, rtype: Option<Rtype>) -> &'static [Family] {
    match (kind, rtype) {
        (RecordKind::Srv, _) | (_, Some(Rtype::A)) => &[Family::V4],
        (_, Some(Rtype::AAAA)) => &[Family::V6],
        _ => &Family::ALL,
    }
}

/// An expectation with its items resolved.
struct ExpectationCheck<'a> {
    context: &'a RequirementContext<'a>,
    expectation: &'a Expectation,
    /// The items of the answer.
    items: Vec<ItemMatcher<'a>>,
    shares: Vec<(&'a ExpectedShare, ItemMatcher<'a>)>,
}

/// The endpoints of an answer, each with its share.
type AnswerShares<'a> = Vec<(f64, &'a EndpointAnswer)>;

impl<'a> ExpectationCheck<'a> {
    /// Resolves the items.
    ///
    /// # Errors
    /// The service can answer no record of an item.
    fn new(
        context: &'a RequirementContext<'a>,
        expectation: &'a Expectation,
    ) -> Result<Self, RequirementFault> {
        let service = expectation.service;
        let matcher = |item: &'a AnswerItem, is_excluded: bool| {
            let matcher = ItemMatcher::new(context.topology, service, item);
            // What is excluded may be a datacenter without a member of the service.
            let may_be_empty = is_excluded && matches!(item, AnswerItem::Datacenters { .. });
            if matcher.is_empty() && !may_be_empty {
                return Err(context.unknown_item(service, item));
            }
            Ok(matcher)
        };
        let (items, is_excluded): (&[AnswerItem], bool) = match &expectation.answer {
            None => (&[], false),
            Some(AnswerRule::Only(items)) => (items, false),
            Some(AnswerRule::Not(items)) => (items, true),
        };
        let items =
            items.iter().map(|item| matcher(item, is_excluded)).collect::<Result<_, _>>()?;
        let share = |share: &'a ExpectedShare| Ok((share, matcher(&share.item, false)?));
        let shares = expectation.shares.iter().map(share).collect::<Result<_, _>>()?;
        Ok(Self { context, expectation, items, shares })
    }

    /// The answer of a choice, if it is not as expected.
    fn wrong_answer(&self, choice: Option<&WheelChoice>) -> Option<AnswerMismatch> {
        let mut shares = choice.map(choice_shares).unwrap_or_default();
        shares.retain(|(share, answer)| *share > 0.0 && !answer.rdata.is_empty());
        self.wrong_record(&shares).or_else(|| self.wrong_share(&shares))
    }

    fn wrong_record(&self, shares: &AnswerShares<'_>) -> Option<AnswerMismatch> {
        let rule = self.expectation.answer.as_ref()?;
        let names = self.items.iter().map(|matcher| name(matcher.item)).collect::<Vec<_>>();
        let is_wrong = |answer: &EndpointAnswer| {
            addresses(answer).into_iter().any(|address| match rule {
                AnswerRule::Only(_) => {
                    !self.items.iter().any(|item| item.covers(answer.endpoint, address))
                }
                AnswerRule::Not(_) => {
                    self.items.iter().any(|item| item.touches(answer.endpoint, address))
                }
            })
        };
        let expected = match rule {
            AnswerRule::Only(items) if items.is_empty() => "nothing".to_owned(),
            AnswerRule::Only(_) => names.join(" or "),
            AnswerRule::Not(_) => format!("not {}", names.join(" or ")),
        };
        let needs_record = matches!(rule, AnswerRule::Only(items) if !items.is_empty());
        let (wrong, others): (Vec<_>, Vec<_>) =
            shares.iter().map(|(_, answer)| *answer).partition(|answer| is_wrong(answer));
        if wrong.is_empty() && !(needs_record && shares.is_empty()) {
            return None;
        }
        let text = |answer: &&EndpointAnswer| answer_text(self.context.topology, answer);
        Some(AnswerMismatch {
            answer: wrong.iter().chain(&others).map(text).collect(),
            expected,
            endpoint: wrong.first().map(|answer| answer.endpoint),
        })
    }

    fn wrong_share(&self, shares: &AnswerShares<'_>) -> Option<AnswerMismatch> {
        let share_of = |matcher: &ItemMatcher<'_>| -> f64 {
            shares.iter().filter(|(_, answer)| matcher.is_of(answer)).map(|(share, _)| share).sum()
        };
        let is_wrong = |(expected, matcher): &&(&ExpectedShare, ItemMatcher<'_>)| {
            (share_of(matcher) - expected.share).abs() > expected.tolerance + ROUNDING
        };
        let (expected, matcher) = self.shares.iter().find(is_wrong)?;
        let name = name(&expected.item);
        let of_item = shares.iter().find(|(_, answer)| matcher.is_of(answer));
        Some(AnswerMismatch {
            answer: vec![format!("{} {name}", percent(share_of(matcher)))],
            expected: format!(
                "{} +- {} {name}",
                percent(expected.share),
                percent(expected.tolerance)
            ),
            endpoint: of_item.map(|(_, answer)| answer.endpoint),
        })
    }
}

impl RequirementContext<'_> {
    /// The fault of an item that a service cannot answer, with the names that it can answer.
    fn unknown_item(&self, service: ServiceId, item: &AnswerItem) -> RequirementFault {
        let topology = self.topology;
        let service = &topology.services[service.index()];
        let mut known: Vec<Box<str>> = Vec::new();
        for member in topology.members_below(service.roots().map(MemberKind::Pool)) {
            known.push(topology.member_name(member).into());
            if let MemberKind::Endpoint(id) = member {
                known.extend(self.names(&topology.endpoints[id.index()].datacenters));
            }
        }
        known.sort_unstable();
        known.dedup();
        RequirementFault::UnknownItem {
            item: name(item).into(),
            service: service.name.clone(),
            known,
        }
    }
}

/// The item as written.
fn name(item: &AnswerItem) -> String {
    match item {
        AnswerItem::Datacenters { name, .. } | AnswerItem::Member(name) => name.to_string(),
        AnswerItem::Address(address) => address.to_string(),
    }
}
