//! Phrases for what changes the share of a member beyond its rank and weight: ramps, sheds, spills,
//! load reports and failback.

use std::time::Duration;

use super::phrase::{PhraseContext, by_override, picked};
use crate::{
    number_format::percent,
    steer::{
        Failback, Fraction, InspectedMember, InspectedNode, InspectedPool, Policy, Pool,
        RampEffect, RampOwner, RetainedShare, ServingState,
    },
};

impl PhraseContext<'_> {
    /// One phrase for each drain, slow start, shed or spill in progress at a member.
    pub(super) fn modifier_phrases(
        &self,
        parent: &InspectedPool,
        member: &InspectedMember,
    ) -> Vec<String> {
        // An only member receives all clients of its pool, and the pools above show the reason.
        if picked(parent).count() == 1 && self.pool(parent).members.len() == 1 {
            return Vec::new();
        }
        let modifiers = &member.modifiers;
        let ramp = modifiers.ramp.map(|ramped| self.ramped(ramped));
        let kept = modifiers.retained.map(|kept| self.kept(parent, member, kept));
        let unclaimed =
            (ramp.is_some() || kept.is_some()).then(|| self.unclaimed_phrase(parent)).flatten();
        ramp.into_iter().chain(kept).chain(unclaimed).collect()
    }

    /// How the share that no member receives is divided, if there is such a share.
    fn unclaimed_phrase(&self, parent: &InspectedPool) -> Option<String> {
        let received = |member: &InspectedMember| {
            let ramp = member.modifiers.ramp.map_or(Fraction::FULL, |ramped| ramped.fraction);
            ramp.times(
                member.modifiers.retained.map_or(Fraction::FULL, |kept| kept.fraction_in_area),
            )
        };
        picked(parent)
            .map(received)
            .max()
            .filter(|greatest| !greatest.is_full() && !greatest.is_zero())?;
        let answers_all = matches!(self.pool(parent).policy, Policy::All);
        (!answers_all).then(|| {
            "no member accepts its full share: they divide all clients in proportion".to_owned()
        })
    }

    /// The effect of a ramp: `drain of fra: receives 40% of its normal traffic`.
    fn ramped(&self, ramped: RampEffect) -> String {
        let (owner, state, paused_at) = match ramped.owner {
            RampOwner::Datacenter(id) => {
                let datacenter = &self.topology.datacenters[id.index()];
                let state = self
                    .conditions
                    .datacenters
                    .get(id.index())
                    .copied()
                    .unwrap_or(datacenter.state);
                (&datacenter.name, state, datacenter.paused_drain_fraction)
            }
            RampOwner::Endpoint(id) => {
                let endpoint = &self.topology.endpoints[id.index()];
                let paused_at = self.topology.overrides.paused_drain_fraction(id);
                (&endpoint.name, endpoint.state, paused_at)
            }
            RampOwner::Failback(id) => {
                let pool = &self.topology.pools[id.index()].name;
                let share = percent(ramped.fraction.share());
                return format!(
                    "clients of {pool} return after failback: receives {share} of its normal traffic"
                );
            }
        };
        let what = match state {
            ServingState::Draining if paused_at == Some(ramped.fraction) => "paused drain",
            ServingState::Draining => "drain",
            _ => "slow start",
        };
        let share = percent(ramped.fraction.share());
        format!("{what} of {owner}: receives {share} of its normal traffic")
    }

    fn kept(
        &self,
        parent: &InspectedPool,
        member: &InspectedMember,
        kept: RetainedShare,
    ) -> String {
        let given = percent(1.0 - kept.fraction.share());
        let verb =
            if kept.is_spilling { "loaded above its capacity target: spills" } else { "sheds" };
        let Some((from, to)) = kept.loss_range else {
            let is_unplaced = matches!(self.pool(parent).policy, Policy::Nearest { .. })
                && member.distance_km.is_none();
            let evenly = if is_unplaced {
                ", evenly, because the distance to this client is not known"
            } else {
                ""
            };
            return format!("{verb} {given} of its clients{evenly}");
        };
        let in_area = match kept.fraction_in_area {
            Fraction::FULL => "none of it moves".to_owned(),
            Fraction::ZERO => "all of it moves".to_owned(),
            kept => format!("{} of it moves", percent(1.0 - kept.share())),
        };
        let (from, to) = (percent(from), percent(to));
        format!(
            "{verb} {given} of its clients, first those whose next choice is the least farther: \
             in that order this client's area is from {from} to {to}, and {in_area}"
        )
    }

    /// The weight of a member among the picked ones, `weight 3 of 4`, and its weight by load
    /// reports.
    pub(super) fn weight(
        &self,
        parent: &InspectedPool,
        member: &InspectedMember,
        picked: u32,
    ) -> String {
        let pool = self.pool(parent);
        let by = self.topology.overrides.weights.get(&(parent.id, member.position));
        let weight = format!("{}{}", pool.members[member.position].weight, by_override(by));
        match (&pool.policy, member.modifiers.load_weight) {
            (Policy::Load(policy), Some((by_load, all))) => {
                format!("weight {weight}, by load ({}) {by_load} of {all}", policy.measure.as_str())
            }
            (Policy::Load(_), None) => {
                format!("weight {weight} of {picked}, as configured: no load report changes it")
            }
            _ => format!("weight {weight} of {picked}"),
        }
    }

    /// Why clients stay with a member although an earlier one is usable.
    pub(super) fn holder(&self, parent: &InspectedPool) -> String {
        format!("clients stay with it until failback{}", failback_condition(self.pool(parent)))
    }

    /// Why a member that is usable again has no clients yet.
    pub(super) fn waiting(&self, parent: &InspectedPool, holder: usize) -> String {
        let pool = self.pool(parent);
        format!(
            "usable, but clients stay with {} until failback{}",
            self.member_name(&pool.members[holder]),
            failback_condition(pool)
        )
    }

    /// Why a later member of a `failover` pool receives some clients.
    pub(super) fn trickle(&self, parent: &InspectedPool) -> String {
        let share = self.pool(parent).regulation.trickle.map_or(0.0, |share| share);
        let share = percent(share);
        format!("trickle: receives {share} of all clients, so that a fault shows before a failover")
    }

    /// The earlier members whose remaining clients a member receives.
    pub(super) fn rest(&self, parent: &InspectedPool, member: &InspectedMember) -> String {
        let rank = parent
            .members
            .iter()
            .position(|other| other.position == member.position)
            .unwrap_or_default();
        let gives = |other: &&InspectedMember| {
            other.modifiers.ramp.is_some() || other.modifiers.retained.is_some()
        };
        let names: Vec<&str> = parent.members[..rank]
            .iter()
            .filter(gives)
            .map(|other| self.member_name(&self.pool(parent).members[other.position]))
            .collect();
        match &names[..] {
            [] => "receives the clients that the members before it do not accept".to_owned(),
            [name] => format!("receives the clients that {name} does not accept"),
            names => format!("receives the clients that {} do not accept", names.join(" and ")),
        }
    }

    /// Why an endpoint or a pool keeps none of its clients.
    pub(super) fn yielding(&self, parent: &InspectedPool, member: &InspectedMember) -> String {
        let phrase = member.modifiers.retained.map(|kept| self.kept(parent, member, kept));
        let is_pool = matches!(member.content, InspectedNode::Pool(_));
        phrase.unwrap_or_else(|| {
            format!("{} gives its clients away", if is_pool { "the pool" } else { "it" })
        })
    }
}

/// The condition for the return of the clients, in parentheses.
fn failback_condition(pool: &Pool) -> String {
    match pool.regulation.failback {
        Failback::Auto => String::new(),
        Failback::After(time) => format!(" (after {})", format_duration(time)),
        Failback::Manual => format!(" (portolan failback {})", pool.name),
    }
}

/// A duration in the largest unit that divides it: `2h`, `10m`, `90s`.
pub(in crate::engine) fn format_duration(time: Duration) -> String {
    match time.as_secs() {
        secs if secs > 0 && secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        secs if secs > 0 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        secs => format!("{secs}s"),
    }
}
