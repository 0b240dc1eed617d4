//! The wheel builder: from a pool's selection to the wheel that clients draw from. Equal selections
//! of one search share a wheel.

use std::{collections::HashMap, sync::Arc};

use super::{
    layers::{LayerDraw, layered_wheel},
    pool_selection::{PoolSelection, picks},
    wheel_cache::{TurnKey, WheelCache},
};
use crate::steer::{
    chart::{Slots, Wheel, WheelChoice},
    compile::{
        policy::MemberGroups,
        slots::{FillMethod, Picks, TableSpec, WeightedMember, steady_slots},
        stable_hash::stable_hash,
    },
    model::{Conditions, Family, Fraction, Policy, Pool, PoolId, Spread, Topology},
};

/// A pool, how a client picks from it, and the members selected.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WheelKey {
    pool: PoolId,
    spread: Spread,
    members: Vec<SelectedMember>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SelectedMember {
    group: u16,
    /// The position in the pool.
    member: u16,
    fraction: Fraction,
    /// The [`WheelChoice::identity`] of its result.
    identity: usize,
}

/// Builds the wheels of one search.
pub(super) struct WheelBuilder<'a> {
    topology: &'a Topology,
    conditions: &'a Conditions,
    /// `None` in a search that only finds what is usable: nothing can be drawn from its wheels.
    cache: Option<&'a mut WheelCache>,
    wheels: HashMap<WheelKey, Arc<Wheel>>,
}

impl<'a> WheelBuilder<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        conditions: &'a Conditions,
        cache: Option<&'a mut WheelCache>,
    ) -> Self {
        Self { topology, conditions, cache, wheels: HashMap::new() }
    }

    /// A wheel of the selected members. If only one is selected, its own result, without a wheel.
    pub(super) fn choice(
        &mut self,
        id: PoolId,
        family: Family,
        spread: Spread,
        selected: &PoolSelection,
    ) -> Option<WheelChoice> {
        let groups = &selected.selection.groups;
        let choice_of = |member: u16| selected.result(member)?.choice.as_ref();
        if let [group] = &groups[..]
            && let [member] = group[..]
        {
            return choice_of(member).cloned();
        }
        let members = (0..).zip(groups).flat_map(|(group, members)| {
            members.iter().map(move |&member| SelectedMember {
                group,
                member,
                fraction: selected.fractions[usize::from(member)],
                identity: choice_of(member).map_or(0, WheelChoice::identity),
            })
        });
        let key = WheelKey { pool: id, spread, members: members.collect() };
        if let Some(wheel) = self.wheels.get(&key) {
            return Some(WheelChoice::Wheel(Arc::clone(wheel)));
        }
        let choices: Option<Box<[WheelChoice]>> =
            groups.iter().flatten().map(|&member| choice_of(member).cloned()).collect();
        let wheel = Arc::new(self.wheel(id, family, spread, selected, choices?));
        self.wheels.insert(key, Arc::clone(&wheel));
        Some(WheelChoice::Wheel(wheel))
    }

    fn wheel(
        &mut self,
        id: PoolId,
        family: Family,
        spread: Spread,
        selected: &PoolSelection,
        choices: Box<[WheelChoice]>,
    ) -> Wheel {
        let pool = &self.topology.pools[id.index()];
        let groups = weighted_members(
            self.topology,
            self.conditions,
            id,
            &selected.selection,
            &selected.fractions,
        );
        let salt = stable_hash(pool.name.as_bytes());
        let fill_method = match spread {
            Spread::Client => FillMethod::Steady { slots: steady_slots(pool.members.len()) },
            Spread::Query => FillMethod::Exact,
            Spread::Turn => FillMethod::Cycle,
        };
        let wheel_of = |slots, choices| Wheel {
            spread,
            slots,
            choices,
            salt,
            turn_counter: None,
            cycle: 0,
            is_ranked: false,
            is_layered: false,
        };
        let Some(cache) = self.cache.as_deref_mut() else {
            let reached = reached_members(&groups, picks(pool));
            let choices = choices.into_iter().take(reached).collect();
            return wheel_of(Arc::new(Slots::undrawn()), choices);
        };
        if let FillMethod::Steady { slots } = fill_method {
            let draw = LayerDraw { picks: picks(pool), slots, salt };
            let layered = layered_wheel(&groups, &choices, &draw, &mut cache.slot_tables);
            if let Some(wheel) = layered {
                return wheel;
            }
        }
        let turn_counter = (spread == Spread::Turn).then(|| {
            let members = groups.iter().flatten().map(|member| member.id).collect();
            cache.turns.counter(TurnKey { pool: salt, family, members })
        });
        let slots = cache.slot_tables.table(TableSpec::new(groups, picks(pool), fill_method));
        let is_ranked = selected.selection.is_ranked && slots.picks() > 1;
        let cycle = slots.cycle();
        Wheel { turn_counter, cycle, is_ranked, ..wheel_of(slots, choices) }
    }
}

/// How many of the members selected, group by group, an answer may hold. While members take only a
/// fraction of their clients, every group may be reached.
fn reached_members(groups: &[Vec<WeightedMember>], picks: Picks) -> usize {
    let all = groups.iter().map(Vec::len).sum();
    if groups.iter().flatten().any(|member| !member.fraction.is_full()) {
        return all;
    }
    let wanted = picks.of(all);
    groups.iter().fold(
        0,
        |reached, group| {
            if reached < wanted { reached + group.len() } else { reached }
        },
    )
}

/// The members selected, group by group, each with its weight and the fraction that it takes.
/// `all` answers every member whole.
pub(super) fn weighted_members(
    topology: &Topology,
    conditions: &Conditions,
    id: PoolId,
    selection: &MemberGroups,
    fractions: &[Fraction],
) -> Vec<Vec<WeightedMember>> {
    let pool = &topology.pools[id.index()];
    let weights_by_load = conditions.adjustments.weights.get(&id);
    let weighted = |&member: &u16| {
        let configured = configured_member(topology, pool, member);
        let by_load = weights_by_load.and_then(|weights| weights.get(usize::from(member)).copied());
        let fraction = if pool.policy == Policy::All {
            Fraction::FULL
        } else {
            fractions[usize::from(member)]
        };
        let weight = by_load.unwrap_or(configured.weight).max(1);
        WeightedMember { weight, fraction, ..configured }
    };
    selection.groups.iter().map(|group| group.iter().map(weighted).collect()).collect()
}

/// A member with its configured weight.
fn configured_member(topology: &Topology, pool: &Pool, member: u16) -> WeightedMember {
    let member = &pool.members[usize::from(member)];
    let name = topology.member_name(member.kind);
    // Standbys have equal shares, whether by weight 0 or by state.
    WeightedMember {
        id: stable_hash(name.as_bytes()),
        weight: u32::from(member.weight).max(1),
        fraction: Fraction::FULL,
    }
}
