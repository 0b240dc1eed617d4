//! Phrases of reports: what a service without usable members is answered with, percentages, shares.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    dns::Name,
    snapshot::Snapshot,
    steer::{Chart, Conditions, Family, OnAllDown, Plight, PoolId, Service, Topology, answered},
};

/// What a service answers that recovers from an outage of all its members.
const RECOVERING: &str = "all members as if they were up: recovering, until half of them by weight are usable again or \
                          `rise` x interval has passed";

/// What services without usable members are answered with.
pub(super) struct Instead<'a> {
    snapshot: &'a Snapshot,
    /// Pools of services that recover from an outage of all their members.
    recovering: &'a BTreeMap<PoolId, u32>,
    by_name: HashMap<&'a Name, usize>,
}

impl<'a> Instead<'a> {
    /// For the services of these names.
    pub(super) fn new(snapshot: &'a Snapshot, conditions: &'a Conditions, wanted: &HashSet<&Name>) -> Self {
        let names = snapshot.topology.services.iter().map(|service| &service.name).zip(0..);
        let is_wanted = |(name, _): &(&Name, usize)| wanted.contains(name);
        let by_name = if wanted.is_empty() { HashMap::new() } else { names.filter(is_wanted).collect() };
        Self { snapshot, recovering: &conditions.recovering, by_name }
    }

    /// Whether a service has usable members again, but too few to answer those alone.
    pub(super) fn is_recovering(&self, name: &Name) -> bool {
        let pool = self.by_name.get(name).map(|&at| self.snapshot.topology.services[at].pool);
        pool.is_some_and(|pool| self.recovering.contains_key(&pool))
    }

    /// What one service is answered with to a question of this type.
    pub(super) fn text(&self, name: &Name, rtype: &str, plight: Plight) -> String {
        let topology = &self.snapshot.topology;
        let found = self.by_name.get(name).map(|&at| (&topology.services[at], &self.snapshot.charts[at]));
        let family = if rtype == "AAAA" { Family::V6 } else { Family::V4 };
        match (found, plight) {
            (Some(_), Plight::AllDown) if self.is_recovering(name) => RECOVERING.to_owned(),
            (Some((service, chart)), Plight::AllDown) => failing_open(topology, service, chart, family),
            _ => plight_text(plight).to_owned(),
        }
    }
}

/// What is answered in this plight, as far as the plight alone says.
pub(in crate::control) fn plight_text(plight: Plight) -> &'static str {
    match plight {
        Plight::None => "usable members",
        Plight::OtherFamily => "NODATA: the other address family has usable members",
        Plight::AllDown => "what on-all-down says: no member is usable",
        Plight::Drained => "members that are draining or forced down: no other is left",
        Plight::Disabled => "disabled members: no other is left",
    }
}

/// What `on-all-down` comes to.
fn failing_open(topology: &Topology, service: &Service, chart: &Chart, family: Family) -> String {
    let endpoints = answered(chart, family);
    match service.on_all_down {
        _ if endpoints.is_empty() => "NODATA".to_owned(),
        OnAllDown::Pool(other) if endpoints.is_subset(&topology.endpoints_below(other)) => {
            format!("pool {} (on-all-down)", pool_name(topology, other))
        }
        OnAllDown::Pool(other) => {
            format!("all members as if they were up: pool {} has no usable member either", pool_name(topology, other))
        }
        OnAllDown::All | OnAllDown::Empty => "all members as if they were up (on-all-down = \"all\")".to_owned(),
    }
}

fn pool_name(topology: &Topology, id: PoolId) -> &str {
    &topology.pools[id.index()].name
}

/// Shares of a `load` pool as the usable members divide them among themselves; as they stand where no member is usable, for
/// all of them are answered then.
pub(super) fn shares_in_use(shares: &[f64], usable: &[bool]) -> Vec<f64> {
    let is_usable = |at: usize| usable.get(at).is_some_and(|is_usable| *is_usable);
    let in_use: f64 = shares.iter().enumerate().filter(|(at, _)| is_usable(*at)).map(|(_, share)| share).sum();
    if in_use <= 0.0 {
        return shares.to_vec();
    }
    shares.iter().enumerate().map(|(at, share)| if is_usable(at) { share / in_use } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_member_has_no_share_and_the_others_have_all() {
        assert_eq!(shares_in_use(&[0.5, 0.25, 0.25], &[false, true, true]), [0.0, 0.5, 0.5]);
        assert_eq!(shares_in_use(&[0.5, 0.5], &[false, false]), [0.5, 0.5], "all are answered when none is usable");
    }
}
