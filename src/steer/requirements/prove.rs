//! The proof of assertions: every area that their clients are in, under every failure of
//! datacenters up to their depth.
//!
//! A failure is looked at only where it can change the answer. The search notes which outages can
//! change the endpoints that it evaluated. Where an outage is not among them, the answer under it
//! is the answer without it, which has been looked at. So the failures of an area are those of the
//! members that it tries first, and not all pairs of datacenters.
//!
//! The search has no slot tables: it takes every member that a table could name as answered. Where
//! such a member is not allowed, the tables are made and decide.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    rc::Rc,
};

use ipnet::IpNet;

use super::{
    answer_mismatch::AnswerMismatch,
    assumed,
    clients::ClientDivision,
    example_client::example_client,
    items::answer_text,
    model::{Assertion, AssumedStates},
    requirement_context::RequirementContext,
    trail::AnsweredClient,
    violation::Counterexample,
};
use crate::steer::{
    chart::{EndpointAnswer, WheelChoice},
    compile::{OutageSet, PoolSearch, WheelCache},
    inspect::choice_shares,
    model::{Conditions, DatacenterId, EndpointId, Family, ServiceId, Topology},
};

/// The number of plans that are proved together: more would need more memory at once for their
/// questions.
const BATCH_PLANS: usize = 64;

/// An assertion about the services of one plan.
struct PlanAssertion {
    /// A position in [`Proof::assertions`].
    assertion: usize,
    /// The first service of the plan that the assertion is about.
    service: ServiceId,
    /// By area: a network of its clients; `None` where there is none.
    networks: Rc<[Option<IpNet>]>,
}

/// The clients of one area that ask for one family of a plan's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AreaQuestion {
    plan: usize,
    /// A position in [`Family::ALL`].
    family: usize,
    area: usize,
}

/// The questions to look at, by the datacenters that are down, in ascending order.
type Failures = BTreeMap<Vec<DatacenterId>, Vec<AreaQuestion>>;

/// The proof of all assertions together.
pub(super) struct Proof<'a> {
    context: &'a RequirementContext<'a>,
    assertions: Vec<&'a Assertion>,
    /// By plan of the context: the assertions about its services.
    goals: Vec<Vec<PlanAssertion>>,
    /// By endpoint: the outages that can change it.
    outages: Vec<OutageSet>,
    found: Vec<Option<Counterexample>>,
    wheels: WheelCache,
}

impl<'a> Proof<'a> {
    /// Prepares the proof of these assertions, each with the number of its set of clients.
    pub(super) fn new(
        context: &'a RequirementContext<'a>,
        clients: &mut ClientDivision,
        assertions: &[(&'a Assertion, usize)],
    ) -> Self {
        let mut goals: Vec<Vec<PlanAssertion>> = Vec::new();
        goals.resize_with(context.plans.plans.len(), Vec::new);
        for (position, (assertion, set)) in assertions.iter().enumerate() {
            for &service in &assertion.services {
                let plan = context.plans.position(service);
                if goals[plan].iter().any(|goal| goal.assertion == position) {
                    continue;
                }
                let survey = context.plans.plans[plan].survey.as_deref();
                let networks = clients.networks(survey, *set);
                goals[plan].push(PlanAssertion { assertion: position, service, networks });
            }
        }
        Self {
            context,
            goals,
            outages: assumed::outages_by_endpoint(context.topology),
            found: vec![None; assertions.len()],
            assertions: assertions.iter().map(|(assertion, _)| *assertion).collect(),
            wheels: WheelCache::default(),
        }
    }

    /// By assertion: the smallest counterexample, that is with the fewest datacenters down; `None`
    /// where the assertion holds.
    pub(super) fn run(mut self) -> Vec<Option<Counterexample>> {
        let plans = self.goals.len();
        for first in (0..plans).step_by(BATCH_PLANS) {
            let batch = first..plans.min(first + BATCH_PLANS);
            let mut failures = Failures::from([(Vec::new(), self.all_questions(batch))]);
            while !failures.is_empty() {
                let mut further = Failures::new();
                for (down, mut questions) in failures {
                    questions.sort_unstable();
                    questions.dedup();
                    self.examine(down, &questions, &mut further);
                }
                failures = further;
            }
        }
        self.found
    }

    /// The questions of every area of these plans that an assertion is about.
    fn all_questions(&self, plans: Range<usize>) -> Vec<AreaQuestion> {
        let mut questions = Vec::new();
        for plan in plans {
            let goals = &self.goals[plan];
            for area in 0..self.context.plans.plans[plan].area_count() {
                if goals.iter().any(|goal| goal.networks[area].is_some()) {
                    questions.extend((0..Family::ALL.len()).map(|family| AreaQuestion {
                        plan,
                        family,
                        area,
                    }));
                }
            }
        }
        questions
    }

    /// Looks at questions while some datacenters are down. `further` gets the failures that can
    /// change an answer.
    fn examine(
        &mut self,
        down: Vec<DatacenterId>,
        questions: &[AreaQuestion],
        further: &mut Failures,
    ) {
        let context = self.context;
        let topology = context.topology;
        let assumed = AssumedStates { down, drained: Vec::new() };
        let conditions = assumed::conditions(topology, context.now, &assumed);
        let outages = std::mem::take(&mut self.outages);
        let mut search = PoolSearch::without_wheels(topology, &conditions).noting_outages(&outages);
        // The search keeps its choices, so that their addresses stay those of the same choices.
        let mut known: HashMap<usize, Rc<[EndpointId]>> = HashMap::new();
        for &question in questions {
            let plan = &context.plans.plans[question.plan];
            let family = Family::ALL[question.family];
            let choice = plan.choice_in(question.area, family, &mut search);
            let outages = search.take_outages();
            if let Some(choice) = &choice {
                let endpoints = known.entry(choice.identity()).or_insert_with(|| possible(choice));
                let endpoints = Rc::clone(endpoints);
                self.check(question, &endpoints, (&assumed, &conditions));
            }
            if self.is_open_below(question, assumed.down.len()) {
                let others = (0..topology.datacenters.len() as u32).map(DatacenterId);
                for id in others.filter(|&id| outages.may_contain(id)) {
                    if !assumed.down.contains(&id) {
                        let mut down = assumed.down.clone();
                        down.push(id);
                        down.sort_unstable();
                        further.entry(down).or_default().push(question);
                    }
                }
            }
        }
        drop(search);
        self.outages = outages;
    }

    /// Whether an assertion that has no counterexample with as few datacenters down is about more
    /// failures of a question.
    fn is_open_below(&self, question: AreaQuestion, down: usize) -> bool {
        self.goals[question.plan].iter().any(|goal| {
            goal.networks[question.area].is_some()
                && self.is_open(goal.assertion, down + 1)
                && self.assertions[goal.assertion].under.count() > down
        })
    }

    /// Whether an assertion has no counterexample with this number of datacenters down, or fewer.
    fn is_open(&self, assertion: usize, down: usize) -> bool {
        self.found[assertion].as_ref().is_none_or(|found| found.down.len() > down)
    }

    /// Finds counterexamples among the endpoints that a question may be answered with.
    fn check(
        &mut self,
        question: AreaQuestion,
        endpoints: &[EndpointId],
        states: (&AssumedStates, &Conditions),
    ) {
        let context = self.context;
        let (goals, down) = (std::mem::take(&mut self.goals), states.0.down.len());
        for goal in &goals[question.plan] {
            let assertion = self.assertions[goal.assertion];
            let is_allowed = |id: &EndpointId| is_allowed(context.topology, assertion, *id);
            let Some(network) = goal.networks[question.area] else { continue };
            if !self.is_open(goal.assertion, down)
                || assertion.under.count() < down
                || endpoints.iter().all(is_allowed)
            {
                continue;
            }
            if let Some((wrong, network)) =
                self.wrong_answer((question, network), assertion, states.1)
            {
                let (service, family) = (goal.service, Family::ALL[question.family]);
                let client = AnsweredClient { service, family, network };
                self.found[goal.assertion] = Some(wrong.counterexample(context, client, states));
            }
        }
        self.goals = goals;
    }

    /// The answer to a question by the slot tables, if it is not allowed, and the part of the
    /// network that gets it.
    fn wrong_answer(
        &mut self,
        (question, network): (AreaQuestion, IpNet),
        assertion: &Assertion,
        conditions: &Conditions,
    ) -> Option<(AnswerMismatch, IpNet)> {
        let topology = self.context.topology;
        let plan = &self.context.plans.plans[question.plan];
        let mut search = PoolSearch::new(topology, conditions, &mut self.wheels);
        let choice = plan.choice_in(question.area, Family::ALL[question.family], &mut search)?;
        let mut shares = choice_shares(&choice);
        shares.retain(|(share, answer)| *share > 0.0 && !answer.rdata.is_empty());
        let (allowed, wrong): (Vec<_>, Vec<_>) = shares
            .iter()
            .map(|(_, answer)| *answer)
            .partition(|answer| is_allowed(topology, assertion, answer.endpoint));
        let text = |answer: &&EndpointAnswer| answer_text(topology, answer);
        let endpoint = wrong.first()?.endpoint;
        let answer = wrong.iter().chain(&allowed).map(text).collect();
        drop(search);
        let turns = self.wheels.turn_counters();
        let network = example_client(network, &choice, endpoint, turns);
        let expected = format!("only {}", assertion.only_names);
        Some((AnswerMismatch { answer, expected, endpoint: Some(endpoint) }, network))
    }
}

/// Whether an assertion allows an endpoint: all of its datacenters are allowed, and it has one.
fn is_allowed(topology: &Topology, assertion: &Assertion, id: EndpointId) -> bool {
    let datacenters = &topology.endpoints[id.index()].datacenters;
    let is_in = |id: &DatacenterId| assertion.only.binary_search(id).is_ok();
    !datacenters.is_empty() && datacenters.iter().all(is_in)
}

/// The endpoints that a choice without slot tables may answer.
fn possible(choice: &WheelChoice) -> Rc<[EndpointId]> {
    fn visit(choice: &WheelChoice, found: &mut Vec<EndpointId>) {
        match choice {
            WheelChoice::Answer(answer) if answer.rdata.is_empty() => {}
            WheelChoice::Answer(answer) => found.push(answer.endpoint),
            WheelChoice::Wheel(wheel) => wheel.choices.iter().for_each(|one| visit(one, found)),
        }
    }
    let mut found = Vec::new();
    visit(choice, &mut found);
    found.sort_unstable();
    found.dedup();
    found.into()
}
