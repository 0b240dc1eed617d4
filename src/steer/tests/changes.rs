//! The cost of a change: how many plans are compiled for it, and that the charts are those of a
//! compilation from nothing.

use proptest::prelude::*;

use super::*;

/// A member: an endpoint by the last octet of its address and its datacenter, or a pool by its
/// number.
#[derive(Debug, Clone, PartialEq)]
enum ModelMember {
    Endpoint(u8, Option<usize>),
    Pool(usize),
}

/// Policy, spread, answers, and members with their weights.
type ModelPool = (u8, u8, u32, Vec<(ModelMember, u16)>);

/// A configuration and its conditions, by name.
#[derive(Debug, Clone)]
struct ModelConfig {
    states: Vec<ServingState>,
    /// The pools by number. A pool that is a member has a higher number than its parent.
    pools: BTreeMap<usize, ModelPool>,
    /// The services by number: the pool, the TTL in seconds, and the pool of `on-all-down`.
    services: BTreeMap<usize, (usize, u32, Option<usize>)>,
    down: Vec<u8>,
    steering: Vec<(usize, u16)>,
}

const SPREADS: [Spread; 2] = [Spread::Query, Spread::Client];

impl ModelConfig {
    /// Two services that each have a pool, and one over both pools. Endpoints 1 and 2 are in
    /// datacenter 0, endpoints 3 and 4 in datacenter 1.
    fn small() -> Self {
        let endpoints = |first: u8, datacenter| {
            (first..first + 2)
                .map(|octet| (ModelMember::Endpoint(octet, Some(datacenter)), 1))
                .collect::<Vec<_>>()
        };
        Self {
            states: vec![ServingState::Active; 2],
            pools: BTreeMap::from([
                (0, (1, 0, 1, vec![(ModelMember::Pool(1), 1), (ModelMember::Pool(2), 1)])),
                (1, (0, 0, 1, endpoints(1, 0))),
                (2, (0, 1, 2, endpoints(3, 1))),
            ]),
            services: BTreeMap::from([(0, (0, 30, None)), (1, (1, 30, None)), (2, (2, 30, None))]),
            down: Vec::new(),
            steering: Vec::new(),
        }
    }

    fn topology(&self) -> Topology {
        let mut draft = TopologyBuilder::default();
        for (index, state) in self.states.iter().enumerate() {
            draft.datacenter(&format!("dc{index}"), *state);
        }
        let position = |number: &usize| {
            self.pools.keys().position(|key| key == number).map(|index| PoolId(index as u32))
        };
        for (number, (policy, spread, answers, members)) in &self.pools {
            let policy =
                [Policy::Weighted, Policy::Failover, Policy::All][usize::from(*policy) % 3].clone();
            let member = |(member, weight): &(ModelMember, u16)| match member {
                ModelMember::Endpoint(octet, datacenter) => {
                    let datacenter = datacenter.map(|index| DatacenterId(index as u32));
                    Some((draft.endpoint(&format!("192.0.2.{octet}"), datacenter), *weight))
                }
                ModelMember::Pool(number) => Some((MemberKind::Pool(position(number)?), *weight)),
            };
            let members: Vec<_> = members.iter().filter_map(member).collect();
            let id = draft.pool(policy, &members);
            let pool = &mut draft.pools[id.index()];
            pool.name = format!("p{number}").into();
            pool.spread = SPREADS[usize::from(*spread) % 2];
            pool.answers = AnswerCount::Count(NonZeroU32::new(*answers).unwrap());
        }
        let service =
            |(number, (pool, ttl_secs, fallback)): (&usize, &(usize, u32, Option<usize>))| {
                let on_all_down =
                    fallback.as_ref().and_then(position).map_or(OnAllDown::All, OnAllDown::Pool);
                Some(Service {
                    name: format!("s{number}.example.com").parse::<Name>().unwrap(),
                    kind: RecordKind::default(),
                    zone: ZoneId(0),
                    pool: position(pool)?,
                    ttl_secs: *ttl_secs,
                    on_all_down,
                    ipv6: true,
                    client_subnet: true,
                })
            };
        let services = self.services.iter().filter_map(service).collect();
        Topology::new(draft.datacenters, vec![monitor()], draft.endpoints, draft.pools, services)
    }

    fn conditions(&self, topology: &Topology) -> Conditions {
        let mut conditions = Conditions::unprobed(topology, 0);
        for (probe, status) in topology.probes.iter().zip(&mut conditions.health_statuses) {
            let is_down = |octet: &u8| probe.target.to_string() == format!("192.0.2.{octet}");
            if self.down.iter().any(is_down) {
                status.verdict = Verdict::Down;
            }
        }
        for (number, weight) in &self.steering {
            let name = format!("p{number}");
            let Some(at) = topology.pools.iter().position(|pool| *pool.name == *name) else {
                continue;
            };
            let weights = vec![u32::from(*weight); topology.pools[at].members.len()];
            conditions.adjustments.weights.insert(PoolId(at as u32), weights.into());
        }
        conditions
    }
}

/// The charts of the latest model.
struct ModelCharts {
    surveys: Surveys,
    wheels: WheelCache,
    compiled: CompiledCharts,
}

impl ModelCharts {
    fn new(model: &ModelConfig) -> Self {
        let topology = Arc::new(model.topology());
        let mut surveys = Surveys::default();
        let compiler = Compiler::new(Arc::clone(&topology), &Databases::default(), &mut surveys);
        let compiled = compiler.compile(&model.conditions(&topology), &mut surveys);
        Self { surveys, wheels: WheelCache::default(), compiled }
    }

    /// Loads another model, as a reload does. Returns how many plans were compiled for it.
    fn load(&mut self, model: &ModelConfig) -> usize {
        let old = self.compiled.compiler();
        let written = Arc::new(model.topology());
        let topology = Numbering::after(&written, old.topology()).apply(&written, None);
        let compiler = old.next(Arc::clone(&topology), &Databases::default(), &mut self.surveys);
        self.compile(compiler, model.conditions(&topology))
    }

    /// Applies a model's conditions. Returns how many plans were compiled for them.
    fn follow(&mut self, model: &ModelConfig) -> usize {
        let compiler = Arc::clone(self.compiled.compiler());
        let conditions = model.conditions(compiler.topology());
        self.compile(compiler, conditions)
    }

    fn compile(&mut self, compiler: Arc<Compiler>, conditions: Conditions) -> usize {
        let mut compilation = Compilation::after(&self.compiled, compiler, Arc::new(conditions));
        compilation.run(&mut self.surveys, &mut self.wheels, &mut || false);
        self.compiled = compilation.compiled(&self.wheels).unwrap();
        compilation.compiled_count()
    }

    /// Every chart as text, with everything that a query or a report reads.
    fn described(&self) -> Vec<String> {
        self.compiled.charts().iter().map(|chart| format!("{chart:?}")).collect()
    }

    /// The same after a compilation from nothing, with the same numbers.
    fn compiled_afresh(&self) -> Vec<String> {
        let mut surveys = Surveys::default();
        let topology = Arc::clone(self.compiled.compiler().topology());
        let compiler = Compiler::new(topology, &Databases::default(), &mut surveys);
        let compiled = compiler.compile(self.compiled.conditions(), &mut surveys);
        compiled.charts().iter().map(|chart| format!("{chart:?}")).collect()
    }
}

#[test]
fn a_change_compiles_the_services_that_it_touches_and_no_other() {
    let edit = |change: fn(&mut ModelConfig)| {
        let mut model = ModelConfig::small();
        let mut serving = ModelCharts::new(&model);
        change(&mut model);
        let count = serving.load(&model);
        assert_eq!(serving.described(), serving.compiled_afresh());
        count
    };
    for (change, wanted, why) in [
        ((|_| {}) as fn(&mut ModelConfig), 0, "a comment"),
        (|model| model.services.get_mut(&1).unwrap().1 = 60, 1, "a service's TTL"),
        (
            |model| model.pools.get_mut(&1).unwrap().3[0].1 = 9,
            2,
            "a weight: the pool's service, and that of the pool above",
        ),
        (
            |model| model.pools.get_mut(&2).unwrap().3[0].0 = ModelMember::Endpoint(9, None),
            2,
            "an address",
        ),
        (
            |model| model.pools.get_mut(&1).unwrap().3.push((ModelMember::Endpoint(9, None), 1)),
            2,
            "a member more",
        ),
        (|model| model.pools.get_mut(&2).unwrap().3.truncate(1), 2, "a member less"),
        (
            |model| model.pools.get_mut(&1).unwrap().3.truncate(1),
            3,
            "a member less, whose number the last endpoint gets: the service of that one, too",
        ),
        (
            |model| {
                model.pools.insert(7, (0, 0, 1, vec![(ModelMember::Endpoint(7, None), 1)]));
                model.services.insert(1000, (7, 30, None));
            },
            1,
            "another service with a pool before all others",
        ),
        (|model| _ = model.services.remove(&1), 0, "a service less"),
        (
            |model| model.states[1] = ServingState::Draining,
            2,
            "a drain: the services with a member there",
        ),
    ] {
        assert_eq!(edit(change), wanted, "{why}");
    }
}

#[test]
fn a_status_compiles_the_services_that_reach_the_target() {
    let mut model = ModelConfig::small();
    let mut serving = ModelCharts::new(&model);
    for (down, wanted) in
        [(vec![], 0), (vec![1], 2), (vec![1, 3], 2), (vec![3], 2), (vec![200], 2), (vec![], 0)]
    {
        model.down = down;
        assert_eq!(serving.follow(&model), wanted, "{:?}", model.down);
        assert_eq!(serving.described(), serving.compiled_afresh());
    }
}

#[test]
fn plans_that_a_newer_change_touches_are_compiled_before_the_rest() {
    let mut model = ModelConfig::small();
    let mut serving = ModelCharts::new(&model);
    let compiler = Arc::clone(serving.compiled.compiler());
    let before = serving.compiled.charts();
    model.states[0] = ServingState::Disabled;
    let drained = Arc::new(Conditions {
        datacenters: model.states.clone(),
        ..model.conditions(compiler.topology())
    });
    let mut compilation = Compilation::after(&serving.compiled, Arc::clone(&compiler), drained);
    assert_eq!(compilation.remaining(), 2, "services 0 and 1 have members in the datacenter");
    model.down = vec![3];
    let newer = Arc::new(Conditions {
        datacenters: model.states.clone(),
        ..model.conditions(compiler.topology())
    });
    assert!(compilation.overtake(&newer));
    compilation.run(&mut serving.surveys, &mut serving.wheels, &mut || false);
    let charts = compilation.compiled(&serving.wheels).unwrap().charts();
    let is_new = |at: usize| !Arc::ptr_eq(&charts[at], &before[at]);
    assert_eq!(
        [is_new(0), is_new(1), is_new(2)],
        [true, false, true],
        "services 0 and 2 reach the target"
    );
    assert_eq!(compilation.remaining(), 1);
    compilation.run(&mut serving.surveys, &mut serving.wheels, &mut || false);
    serving.compiled = compilation.compiled(&serving.wheels).unwrap();
    assert_eq!((compilation.remaining(), compilation.compiled_count()), (0, 3));
    assert_eq!(serving.described(), serving.compiled_afresh());
}

/// One change of a model. The numbers are reduced to the range of the model.
fn change(model: &mut ModelConfig, (kind, first, second, third): (u8, usize, usize, u16)) {
    let pool_count = model.pools.len().max(1);
    let number = |model: &ModelConfig| model.pools.keys().nth(first % pool_count).copied();
    match kind % 10 {
        0 => {
            model.states[first % 2] = [
                ServingState::Active,
                ServingState::Standby,
                ServingState::Draining,
                ServingState::Disabled,
            ][second % 4]
        }
        1 => model.down = (0..8).filter(|octet| third >> octet & 1 == 1).collect(),
        2 => {
            let members =
                vec![(ModelMember::Endpoint((third % 8) as u8, Some(second % 2)), 1 + third % 5)];
            model.pools.insert(
                first % 12,
                ((second % 3) as u8, (third % 2) as u8, 1 + u32::from(third % 3), members),
            );
        }
        3 if model.pools.len() > 1 => {
            if let Some(number) = number(model) {
                model.pools.remove(&number);
                let is_left = |member: &(ModelMember, u16)| member.0 != ModelMember::Pool(number);
                model.pools.values_mut().for_each(|pool| pool.3.retain(is_left));
                model.pools.retain(|_, pool| !pool.3.is_empty());
                let ModelConfig { pools, services, .. } = model;
                services.retain(|_, service| pools.contains_key(&service.0));
            }
        }
        4 => {
            _ = model.services.insert(
                first % 9,
                (second % 12, 10 + u32::from(third % 3), Some(usize::from(third % 12))),
            )
        }
        5 => _ = model.services.remove(&(first % 9)),
        6 => model.steering = vec![(second % 12, 1 + third % 100)],
        _ => {
            let Some(number) = number(model) else { return };
            let member = match kind % 10 {
                7 => ModelMember::Endpoint((third % 8) as u8, None),
                _ => ModelMember::Pool(number + 1 + second % 3),
            };
            let is_there =
                !matches!(member, ModelMember::Pool(inner) if !model.pools.contains_key(&inner));
            let members = &mut model.pools.get_mut(&number).unwrap().3;
            match members.iter().position(|(known, _)| *known == member) {
                Some(at) => members[at].1 = 1 + third % 7,
                None if is_there => {
                    members.insert(second % (members.len() + 1), (member, third % 3))
                }
                None => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn charts_after_any_changes_are_those_of_a_compilation_from_nothing(
        changes in prop::collection::vec((any::<u8>(), 0_usize..100, 0_usize..100, any::<u16>()), 1..14),
    ) {
        let mut model = ModelConfig::small();
        let mut serving = ModelCharts::new(&model);
        for step in changes {
            change(&mut model, step);
            if step.0 % 10 == 1 || step.0 % 10 == 6 {
                serving.follow(&model);
            } else {
                serving.load(&model);
            }
            prop_assert_eq!(serving.described(), serving.compiled_afresh());
        }
    }
}
