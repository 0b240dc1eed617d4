//! The addresses of aliases: the last good answer for each, and the error if resolving fails now.
//!
//! A failure changes no address, so that a resolver's error does not become an outage. A family
//! that fails alone keeps its addresses; a name that no longer exists, or has no address in either
//! family, keeps all of them.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{state::SavedAlias, status::AliasStatus};
use crate::{
    dns::Name,
    resolve::{AliasReport, FamilyAddresses, ResolveFailure, is_usable_address},
    steer::{ResolvedAlias, Topology},
};

/// The TTL of answers with addresses that may be outdated, in seconds (RFC 8767 section 5.11). It
/// is the longest pause between two attempts to resolve an alias.
const STALE_TTL_SECS: u32 = 30;

/// The interval at which an alias is saved although its addresses did not change, in seconds: a
/// start does not use what was saved long ago.
const RESAVE_INTERVAL_SECS: i64 = 3600;

/// The state of every alias of the topology.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    states: HashMap<Name, AliasState>,
    /// Aliases without a report yet, and without addresses of a previous run.
    unreported: HashSet<Name>,
}

/// The state of an alias.
#[derive(Debug, Default)]
struct AliasState {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    ttl_secs: u32,
    /// The time at which the alias was last resolved, in seconds since 1970.
    last_resolved: Option<i64>,
    /// `last_resolved` as it was last saved.
    last_saved: i64,
    failure: Option<String>,
}

impl Aliases {
    /// Follows these aliases, and forgets the others.
    pub(super) fn track(&mut self, aliases: &[Name]) {
        let wanted: HashSet<&Name> = aliases.iter().collect();
        self.states.retain(|alias, _| wanted.contains(alias));
        self.unreported.retain(|alias| wanted.contains(alias));
        for alias in aliases {
            if !self.states.contains_key(alias) {
                self.unreported.insert(alias.clone());
                self.states.insert(alias.clone(), AliasState::default());
            }
        }
    }

    /// Gives aliases the addresses of a previous run.
    pub(super) fn restore(&mut self, saved: Vec<SavedAlias>) {
        for SavedAlias { name, addresses, resolved } in saved {
            let Ok(name) = name.parse::<Name>() else { continue };
            let Some(known) = self.states.get_mut(&name) else { continue };
            let (v4, v6) = addresses
                .into_iter()
                .filter(|&address| is_usable_address(address))
                .partition(IpAddr::is_ipv4);
            *known = AliasState {
                v4,
                v6,
                ttl_secs: STALE_TTL_SECS,
                last_resolved: Some(resolved),
                last_saved: resolved,
                failure: None,
            };
            if !known.is_empty() {
                self.unreported.remove(&name);
            }
        }
    }

    /// Whether every alias had a report, or has addresses of a previous run.
    pub(super) fn is_complete(&self) -> bool {
        self.unreported.is_empty()
    }

    /// The number of aliases that [`Self::is_complete`] waits for.
    pub(super) fn unreported_count(&self) -> usize {
        self.unreported.len()
    }

    /// Applies a report of the resolver. Returns whether anything is to be saved.
    pub(super) fn apply_report(&mut self, report: AliasReport, now: i64) -> bool {
        let Some(known) = self.states.get_mut(&report.alias) else { return false };
        self.unreported.remove(&report.alias);
        let before = (known.v4.clone(), known.v6.clone());
        let reason = report.reason();
        let failure = (!known.apply(report.v4, report.v6, now)).then_some(reason);
        log_changes(&report.alias, known, &failure, &before);
        known.failure = failure;
        let is_old = known
            .last_resolved
            .is_some_and(|resolved| resolved - known.last_saved > RESAVE_INTERVAL_SECS);
        let is_due = is_old || before != (known.v4.clone(), known.v6.clone());
        if is_due {
            known.last_saved = now;
        }
        is_due
    }

    /// The addresses of each alias, in the topology's order. TTLs are capped at the longest TTL of
    /// any service. A longer one has no effect on answers, and would look like a change each time
    /// that the cache of a resolver ages.
    pub(super) fn resolved(&self, topology: &Topology) -> Vec<Arc<ResolvedAlias>> {
        let longest_secs =
            topology.services.iter().map(|service| service.ttl_secs).max().unwrap_or_default();
        let resolved = |alias| {
            self.states.get(alias).map_or_else(Arc::default, |known| {
                let addresses = known.v4.iter().chain(&known.v6).copied().collect();
                Arc::new(ResolvedAlias::new(addresses, known.ttl_secs.min(longest_secs)))
            })
        };
        topology.aliases.iter().map(resolved).collect()
    }

    /// The aliases in the status document, in order of name.
    pub(super) fn status(&self) -> Vec<AliasStatus> {
        let status = |(name, known): (&Name, &AliasState)| AliasStatus {
            name: name.to_string(),
            addresses: known.v4.iter().chain(&known.v6).map(IpAddr::to_string).collect(),
            ttl: (!known.is_empty()).then_some(known.ttl_secs),
            resolved: known.last_resolved,
            error: known.failure.clone(),
        };
        let mut list: Vec<AliasStatus> = self.states.iter().map(status).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// The addresses of an alias.
    pub(super) fn addresses_of(&self, alias: &Name) -> Vec<IpAddr> {
        self.states.get(alias).map(AliasState::addresses).unwrap_or_default()
    }

    /// The addresses of each alias.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&Name, Vec<IpAddr>)> {
        self.states.iter().map(|(alias, known)| (alias, known.addresses()))
    }

    /// The aliases that were resolved, for the next run, in order of name.
    pub(super) fn saved(&self) -> Vec<SavedAlias> {
        let saved = |(name, known): (&Name, &AliasState)| {
            let addresses = known.v4.iter().chain(&known.v6).copied().collect();
            Some(SavedAlias { name: name.to_string(), addresses, resolved: known.last_resolved? })
        };
        let mut list: Vec<SavedAlias> = self.states.iter().filter_map(saved).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}

impl AliasState {
    fn addresses(&self) -> Vec<IpAddr> {
        self.v4.iter().chain(&self.v6).copied().collect()
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Applies the answers for both families. Returns whether they resolve the alias.
    fn apply(
        &mut self,
        v4: Result<FamilyAddresses, ResolveFailure>,
        v6: Result<FamilyAddresses, ResolveFailure>,
        now: i64,
    ) -> bool {
        let failure = [&v4, &v6].into_iter().find_map(|family| family.as_ref().err().cloned());
        if let Some(ResolveFailure::NoSuchName(_)) = failure {
            self.ttl_secs = self.ttl_secs.min(STALE_TTL_SECS);
            return false;
        }
        let ttl_secs = [&v4, &v6]
            .into_iter()
            .flatten()
            .filter(|answer| !answer.addresses.is_empty())
            .map(|answer| answer.ttl_secs)
            .min();
        let applied = |answer: Result<FamilyAddresses, ResolveFailure>, old: &Vec<IpAddr>| {
            answer.map_or_else(|_| old.clone(), |answer| answer.addresses)
        };
        let (v4, v6) = (applied(v4, &self.v4), applied(v6, &self.v6));
        if v4.is_empty() && v6.is_empty() {
            self.ttl_secs = self.ttl_secs.min(STALE_TTL_SECS);
            return false;
        }
        let ttl_secs = ttl_secs.unwrap_or(self.ttl_secs);
        self.ttl_secs = if failure.is_some() { ttl_secs.min(STALE_TTL_SECS) } else { ttl_secs };
        (self.v4, self.v6) = (v4, v6);
        if failure.is_none() {
            self.last_resolved = Some(now);
        }
        failure.is_none()
    }
}

/// Logs new addresses, and the beginning and the end of failures.
fn log_changes(
    alias: &Name,
    known: &AliasState,
    failure: &Option<String>,
    before: &(Vec<IpAddr>, Vec<IpAddr>),
) {
    match (&known.failure, failure) {
        (None, Some(reason)) => {
            let kept_addresses = known.v4.len() + known.v6.len();
            if kept_addresses == 0 {
                tracing::warn!(%alias, %reason, "alias not resolved: it has no addresses yet");
            } else {
                tracing::warn!(%alias, %reason, kept_addresses, "alias not resolved: its last addresses stay in use");
            }
        }
        (Some(_), None) => tracing::info!(%alias, "alias resolved again"),
        _ => {}
    }
    if (&known.v4, &known.v6) != (&before.0, &before.1) {
        let addresses: Vec<String> =
            known.v4.iter().chain(&known.v6).map(ToString::to_string).collect();
        tracing::info!(%alias, addresses = addresses.join(","), "alias addresses changed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::{FailedReply, ReplyFault};

    const NOW: i64 = 1_800_000_000;

    fn found(addresses: &[&str], ttl_secs: u32) -> Result<FamilyAddresses, ResolveFailure> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Ok(FamilyAddresses { addresses, ttl_secs, empty_reason: None })
    }

    #[test]
    fn a_family_or_alias_that_fails_keeps_its_last_good_addresses() {
        let alias: Name = "lb.example.net".parse().unwrap();
        let mut aliases = Aliases::default();
        aliases.track(std::slice::from_ref(&alias));
        assert!(!aliases.is_complete());
        let resolver: std::net::SocketAddr = "192.0.2.53:53".parse().unwrap();
        let failed = || {
            Err(ResolveFailure::Resolvers(
                [FailedReply { server: resolver, fault: ReplyFault::TimedOut }].into(),
            ))
        };
        let mut report = |v4, v6| {
            aliases.apply_report(AliasReport { alias: alias.clone(), v4, v6 }, NOW);
            assert!(aliases.is_complete());
            let [status] = &aliases.status()[..] else { panic!("one alias") };
            (status.addresses.join(" "), status.ttl, status.error.is_some())
        };
        let with_error = |addresses: &str, ttl| (addresses.to_owned(), ttl, true);
        let without_error = |addresses: &str, ttl| (addresses.to_owned(), Some(ttl), false);
        assert_eq!(report(failed(), failed()), with_error("", None), "never resolved");
        let empty = report(found(&[], 0), found(&[], 0));
        assert_eq!(empty, with_error("", None), "a name without any address");
        let one_family = report(found(&["192.0.2.1"], 60), found(&[], 0));
        assert_eq!(one_family, without_error("192.0.2.1", 60));
        let kept = report(failed(), failed());
        assert_eq!(kept, with_error("192.0.2.1", Some(30)), "no resolver answers");
        let both = report(found(&["192.0.2.2"], 20), found(&["2001:db8::2"], 90));
        assert_eq!(both, without_error("192.0.2.2 2001:db8::2", 20));
        let half = report(found(&["192.0.2.3"], 60), failed());
        let last_good = with_error("192.0.2.3 2001:db8::2", Some(30));
        assert_eq!(half, last_good, "one of them fails");
        let no_name = report(Err(ResolveFailure::NoSuchName(resolver)), found(&[], 0));
        assert_eq!(no_name, last_good, "the name no longer exists");
        let none = report(found(&[], 0), found(&[], 0));
        assert_eq!(none, last_good, "the name has no addresses any more");
        let other_family = report(found(&[], 0), found(&["2001:db8::4"], 7));
        assert_eq!(other_family, without_error("2001:db8::4", 7), "one family has no addresses");
    }

    #[test]
    fn usable_addresses_of_a_previous_run_are_restored() {
        let alias: Name = "lb.example.net".parse().unwrap();
        let mut aliases = Aliases::default();
        aliases.track(std::slice::from_ref(&alias));
        let saved = |name: &str, addresses: &[&str]| SavedAlias {
            name: name.to_owned(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            resolved: NOW,
        };
        aliases.restore(vec![
            saved("other.example.net", &["192.0.2.9"]),
            saved("lb.example.net", &["127.0.0.1"]),
        ]);
        assert!(!aliases.is_complete(), "no usable address");
        aliases.restore(vec![saved("LB.example.net", &["127.0.0.1", "192.0.2.1"])]);
        assert!(aliases.is_complete());
        assert_eq!(aliases.status()[0].addresses, ["192.0.2.1"]);
        assert_eq!(aliases.saved()[0], saved("lb.example.net", &["192.0.2.1"]));
    }
}
