//! Prior status: the health status that targets keep over a reload, so that no edit of a monitor
//! loses it.
//!
//! A target that was probed before with an equal monitor keeps everything: the ledger does that.
//! For any other target, the first of these rules that finds a predecessor decides:
//!
//! 1. The same check of the same target, under another name or with other times: verdict, counts
//!    and outcome are kept.
//! 2. The same target under the monitor's name: the verdict stays until the first outcome of the
//!    new check.
//! 3. The same target of the same endpoint (pool and endpoint by name), whose `monitor` was
//!    changed: as in rule 2. The same holds for the parts of a combined monitor.
//! 4. Otherwise the target has no verdict: no health check of it has had an outcome.

use std::collections::HashMap;

use crate::{
    health::{Check, HealthStatus, InitialVerdict, Verdict},
    probe::ProbeKey,
    steer::{EndpointId, MemberKind, ProbeId, ProbeTarget, Topology},
};

/// The names of a pool and of an endpoint in it.
type EndpointName<'a> = (&'a str, &'a str);

/// The probes before a reload, and their health status.
pub(super) struct PriorStatus<'a> {
    topology: &'a Topology,
    keys: &'a [ProbeKey],
    health_statuses: &'a [HealthStatus],
    same_check: HashMap<(&'a Check, &'a ProbeTarget), ProbeId>,
    same_name: HashMap<(&'a str, &'a ProbeTarget), ProbeId>,
}

impl<'a> PriorStatus<'a> {
    /// The probes of `topology`, with their keys and health status in the order of the topology's
    /// list.
    pub(super) fn new(
        topology: &'a Topology,
        keys: &'a [ProbeKey],
        health_statuses: &'a [HealthStatus],
    ) -> Self {
        let ids = || keys.iter().zip((0..).map(ProbeId));
        Self {
            topology,
            keys,
            health_statuses,
            same_check: ids().map(|(key, id)| ((&key.monitor.check, &key.target), id)).collect(),
            same_name: ids().map(|(key, id)| ((&*key.monitor.name, &key.target), id)).collect(),
        }
    }

    /// The initial verdict of each of `keys`, which are the probes of the `new` topology.
    pub(super) fn starts(
        &self,
        new: &Topology,
        keys: &[ProbeKey],
    ) -> Vec<InitialVerdict<ProbeKey>> {
        let mut starts: Vec<_> = keys.iter().map(|key| self.by_monitor(key)).collect();
        if starts.contains(&InitialVerdict::Unknown) {
            self.by_endpoint(new, &mut starts);
        }
        starts
    }

    /// Applies rules 1 and 2 of the module: the same monitor checked the target before.
    fn by_monitor(&self, key: &ProbeKey) -> InitialVerdict<ProbeKey> {
        if let Some(id) = self.same_check.get(&(&key.monitor.check, &key.target)) {
            return InitialVerdict::Continued(self.keys[id.index()].clone());
        }
        let same_name = self.same_name.get(&(&*key.monitor.name, &key.target));
        same_name.map_or(InitialVerdict::Unknown, |id| self.inherited(*id))
    }

    /// Applies rule 3 to the targets without an initial verdict.
    fn by_endpoint(&self, new: &Topology, starts: &mut [InitialVerdict<ProbeKey>]) {
        let old = endpoints(self.topology);
        for (name, id) in endpoints(new) {
            let Some(old_id) = old.get(&name) else { continue };
            for probe in new.endpoint_probes[id.index()].iter().flatten() {
                let target = &new.probes[probe.index()].target;
                let has_same_target =
                    |old: &&ProbeId| self.topology.probes[old.index()].target == *target;
                if let Some(old) = self.topology.endpoint_probes[old_id.index()]
                    .iter()
                    .flatten()
                    .find(has_same_target)
                {
                    inherit(new, *probe, &self.inherited(*old), starts);
                }
            }
        }
    }

    fn inherited(&self, id: ProbeId) -> InitialVerdict<ProbeKey> {
        match self.health_statuses.get(id.index()).map_or(Verdict::Unknown, |status| status.verdict)
        {
            Verdict::Unknown => InitialVerdict::Unknown,
            verdict => InitialVerdict::Inherited(verdict),
        }
    }
}

/// Gives `start` to a probe without an initial verdict, and to its parts if it is a combined one.
fn inherit(
    topology: &Topology,
    probe: ProbeId,
    start: &InitialVerdict<ProbeKey>,
    starts: &mut [InitialVerdict<ProbeKey>],
) {
    if starts[probe.index()] == InitialVerdict::Unknown {
        starts[probe.index()] = start.clone();
    }
    if let Some(combination) = &topology.combined_probes[probe.index()] {
        combination.probes.iter().for_each(|part| inherit(topology, *part, start, starts));
    }
}

/// All endpoints by name.
fn endpoints(topology: &Topology) -> HashMap<EndpointName<'_>, EndpointId> {
    let in_pool = |pool: &'_ crate::steer::Pool| {
        pool.members
            .iter()
            .filter_map(|member| match member.kind {
                MemberKind::Endpoint(id) => Some(id),
                MemberKind::Pool(_) => None,
            })
            .collect::<Vec<_>>()
    };
    topology
        .pools
        .iter()
        .flat_map(|pool| in_pool(pool).into_iter().map(move |id| (pool, id)))
        .map(|(pool, id)| ((&*pool.name, &*topology.endpoints[id.index()].name), id))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, SourceOptions, Sources};

    /// The probes of a service with one member `192.0.2.1`, with the tables `monitors`.
    fn probes(monitors: &str, monitor: &str) -> (Arc<Topology>, Vec<ProbeKey>) {
        let text = format!(
            r#"
            [zone."x.test"]
            nameservers = ["ns.example.net"]
            hostmaster = "h@example.net"
            {monitors}
            [service."w.x.test"]
            members = [{{ addresses = ["192.0.2.1"], monitor = "{monitor}" }}]
            "#
        );
        let sources =
            Sources::from_texts(&SourceOptions::default(), [("zones/x.toml", text.as_str())]);
        let topology = Config::load(&sources)
            .map_err(|found| found.lines().collect::<Vec<_>>())
            .unwrap()
            .0
            .topology;
        let monitors: Vec<_> = topology.monitors.iter().cloned().map(Arc::new).collect();
        let key = |probe: &crate::steer::Probe| ProbeKey {
            monitor: Arc::clone(&monitors[probe.monitor.index()]),
            target: probe.target.clone(),
        };
        let keys = topology.probes.iter().map(key).collect();
        (topology, keys)
    }

    #[test]
    fn every_edit_of_a_monitor_keeps_the_status_of_its_targets() {
        let (old, old_keys) = probes("[monitor.a]\nhttp = { port = 80 }", "a");
        let down = HealthStatus { verdict: Verdict::Down, ..HealthStatus::default() };
        let health_statuses = [down];
        let prior = PriorStatus::new(&old, &old_keys, &health_statuses);
        let (continued, inherited) = (
            InitialVerdict::Continued(old_keys[0].clone()),
            InitialVerdict::Inherited(Verdict::Down),
        );
        for (monitors, monitor, start, why) in [
            ("[monitor.a]\nhttp = { port = 80 }", "a", &continued, "no edit"),
            (
                "[monitor.a]\nhttp = { port = 80 }\ninterval = \"9s\"",
                "a",
                &continued,
                "an interval",
            ),
            ("[monitor.b]\nhttp = { port = 80 }", "b", &continued, "a name"),
            ("[monitor.b]\nhttp = { port = 80 }\nfall = 7", "b", &continued, "a name and a number"),
            ("[monitor.a]\nhttp = { port = 81 }", "a", &inherited, "a port"),
            ("[monitor.a]\nhttp = { path = \"/x\" }", "a", &inherited, "a path"),
            ("[monitor.a]\ntcp = { port = 80 }", "a", &inherited, "a kind"),
            (
                "[monitor.b]\nhttp = { port = 81 }",
                "b",
                &inherited,
                "a name and a port: it is the same endpoint",
            ),
        ] {
            let (new, keys) = probes(monitors, monitor);
            assert_eq!(prior.starts(&new, &keys), std::slice::from_ref(start), "{why}");
        }
    }

    #[test]
    fn parts_of_a_combined_monitor_inherit_the_verdict_of_its_target() {
        let (old, old_keys) = probes("[monitor.a]\nhttp = { port = 80 }", "a");
        let up = HealthStatus { verdict: Verdict::Up, ..HealthStatus::default() };
        let combined = "[monitor.a]\nhttp = { port = 80 }\n[monitor.b]\ntcp = { port = 22 }\n[monitor.c]\ncombine = { all = [\"a\", \"b\"] }";
        let (new, keys) = probes(combined, "c");
        let starts = PriorStatus::new(&old, &old_keys, &[up]).starts(&new, &keys);
        let start =
            |name: &str| &starts[keys.iter().position(|key| &*key.monitor.name == name).unwrap()];
        assert_eq!(start("a"), &InitialVerdict::Continued(old_keys[0].clone()));
        assert_eq!(start("b"), &InitialVerdict::Inherited(Verdict::Up));
    }

    #[test]
    fn targets_that_are_new_or_were_never_checked_are_unknown() {
        let (old, old_keys) = probes("[monitor.a]\nhttp = { port = 80 }", "a");
        let (new, keys) = probes("[monitor.a]\nhttp = { port = 81 }", "a");
        assert_eq!(
            PriorStatus::new(&old, &old_keys, &[HealthStatus::default()]).starts(&new, &keys),
            [InitialVerdict::Unknown]
        );
        assert_eq!(
            PriorStatus::new(&Topology::default(), &[], &[]).starts(&new, &keys),
            [InitialVerdict::Unknown]
        );
    }
}
