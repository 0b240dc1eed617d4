//! Why a member has more or less than its rank and its weight give it, in an operator's words.

use std::time::Duration;

use super::phrase::{PhraseContext, picked};
use crate::{
    number_format::percent,
    steer::{
        Failback, Fraction, InspectedMember, InspectedNode, InspectedPool, Policy, Pool,
        RampEffect, RampOwner, RetainedShare, ServingState,
    },
};

impl PhraseContext<'_> {
    /// Drains, slow starts, sheds and spills that a member is amid, a phrase each.
    pub(super) fn modifier_phrases(
        &self,
        of: &InspectedPool,
        member: &InspectedMember,
    ) -> Vec<String> {
        // Who is alone takes all that comes, and those above have said why little does.
        if picked(of).count() == 1 && self.pool(of).members.len() == 1 {
            return Vec::new();
        }
        let terms = &member.modifiers;
        let ramp = terms.ramp.map(|ramped| self.ramped(ramped));
        let kept = terms.retained.map(|kept| self.kept(of, member, kept));
        let against =
            (ramp.is_some() || kept.is_some()).then(|| self.unclaimed_phrase(of)).flatten();
        ramp.into_iter().chain(kept).chain(against).collect()
    }

    /// Where the clients go that no member takes, if there are any.
    fn unclaimed_phrase(&self, of: &InspectedPool) -> Option<String> {
        let taken = |member: &InspectedMember| {
            let ramp = member.modifiers.ramp.map_or(Fraction::FULL, |ramped| ramped.fraction);
            ramp.times(
                member.modifiers.retained.map_or(Fraction::FULL, |kept| kept.fraction_in_area),
            )
        };
        picked(of)
            .map(taken)
            .max()
            .filter(|greatest| !greatest.is_full() && !greatest.is_zero())?;
        let answers_all = matches!(self.pool(of).policy, Policy::All);
        (!answers_all).then(|| "no member takes all: the rest is shared in proportion".to_owned())
    }

    /// `drain of fra: takes 40% of its share`.
    fn ramped(&self, ramped: RampEffect) -> String {
        let (whose, state, hold) = match ramped.owner {
            RampOwner::Datacenter(id) => {
                let datacenter = &self.topology.datacenters[id.index()];
                let state = self
                    .conditions
                    .datacenters
                    .get(id.index())
                    .copied()
                    .unwrap_or(datacenter.state);
                (&datacenter.name, state, datacenter.drain_hold_fraction)
            }
            RampOwner::Endpoint(id) => {
                let endpoint = &self.topology.endpoints[id.index()];
                (&endpoint.name, endpoint.state, None)
            }
            RampOwner::Failback(id) => {
                let pool = &self.topology.pools[id.index()].name;
                let share = percent(ramped.fraction.share());
                return format!(
                    "clients of {pool} return after failback: takes {share} of its share"
                );
            }
        };
        let what = match state {
            ServingState::Draining if hold == Some(ramped.fraction) => "held drain",
            ServingState::Draining => "drain",
            _ => "slow start",
        };
        format!("{what} of {whose}: takes {} of its share", percent(ramped.fraction.share()))
    }

    fn kept(&self, of: &InspectedPool, member: &InspectedMember, kept: RetainedShare) -> String {
        let given = percent(1.0 - kept.fraction.share());
        let verb = if kept.is_spilling { "loaded above its target: spills" } else { "sheds" };
        let Some((from, to)) = kept.loss_range else {
            let is_unplaced = matches!(self.pool(of).policy, Policy::Nearest { .. })
                && member.distance_km.is_none();
            let evenly = if is_unplaced { ", evenly among clients of no known place" } else { "" };
            return format!("{verb} {given} of its clients{evenly}");
        };
        let here = match kept.fraction_in_area {
            Fraction::FULL => "all of it stays".to_owned(),
            Fraction::ZERO => "all of it goes".to_owned(),
            part => format!("{} of it goes", percent(1.0 - part.share())),
        };
        let (from, to) = (percent(from), percent(to));
        format!(
            "{verb} {given} of its clients, those first who lose least distance by it: \
             this client's area is from {from} to {to} in that order, and {here}"
        )
    }

    /// Of a pool that shares by weight: `weight 3 of 4`, and what load reports make of it.
    pub(super) fn weight(
        &self,
        of: &InspectedPool,
        member: &InspectedMember,
        picked: u32,
    ) -> String {
        let pool = self.pool(of);
        let weight = pool.members[member.position].weight;
        match (&pool.policy, member.modifiers.load_weight) {
            (Policy::Load(policy), Some((by_load, all))) => {
                format!("weight {weight}, by load ({}) {by_load} of {all}", policy.measure.word())
            }
            (Policy::Load(_), None) => {
                format!("weight {weight} of {picked}, as configured: no load report changes it")
            }
            _ => format!("weight {weight} of {picked}"),
        }
    }

    /// Why clients stay with a member although one before it is usable.
    pub(super) fn holder(&self, of: &InspectedPool) -> String {
        format!("clients stay with it until failback{}", failback_condition(self.pool(of)))
    }

    /// Why a member that is usable again waits for its clients.
    pub(super) fn waiting(&self, of: &InspectedPool, holder: usize) -> String {
        let pool = self.pool(of);
        format!(
            "usable, but clients stay with {} until failback{}",
            self.member_name(&pool.members[holder]),
            failback_condition(pool)
        )
    }

    /// Of a member of a `failover` pool that stands behind others and gets clients all the same.
    pub(super) fn trickle(&self, of: &InspectedPool) -> String {
        let share = self.pool(of).regulation.trickle.map_or(0.0, |share| share);
        format!("kept proven by a trickle of {}", percent(share))
    }

    /// Whose rest a member takes: of those before it that do not take all.
    pub(super) fn rest(&self, of: &InspectedPool, member: &InspectedMember) -> String {
        let shown = of
            .members
            .iter()
            .position(|other| other.position == member.position)
            .unwrap_or_default();
        let gives = |other: &&InspectedMember| {
            other.modifiers.ramp.is_some() || other.modifiers.retained.is_some()
        };
        let names: Vec<&str> = of.members[..shown]
            .iter()
            .filter(gives)
            .map(|other| self.member_name(&self.pool(of).members[other.position]))
            .collect();
        match &names[..] {
            [] => "takes what those before it leave".to_owned(),
            names => format!("takes what {} leaves", names.join(", then ")),
        }
    }

    /// What an endpoint or a pool gives away all of.
    pub(super) fn yielding(&self, of: &InspectedPool, member: &InspectedMember) -> String {
        let words = member.modifiers.retained.map(|kept| self.kept(of, member, kept));
        let is_pool = matches!(member.content, InspectedNode::Pool(_));
        words.unwrap_or_else(|| {
            format!("{} gives its clients away", if is_pool { "the pool" } else { "it" })
        })
    }
}

/// What has to happen before clients go back.
fn failback_condition(pool: &Pool) -> String {
    match pool.regulation.failback {
        Failback::Auto => String::new(),
        Failback::After(time) => format!(" (after {})", format_duration(time)),
        Failback::Manual => format!(" (portolan failback {})", pool.name),
    }
}

/// `10m`, `90s`.
pub(in crate::engine) fn format_duration(time: Duration) -> String {
    match time.as_secs() {
        secs if secs > 0 && secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        secs if secs > 0 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        secs => format!("{secs}s"),
    }
}
