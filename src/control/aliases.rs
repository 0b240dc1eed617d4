//! What aliases stand for: the last good answer of each, and what is wrong where resolving fails.
//!
//! A failure changes no address. A family that alone fails keeps what it had; a name that is gone,
//! or has no address at all, keeps everything: a resolver's mishap must not become an outage.

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

/// How long answers may be cached that hold what may be out of date, in seconds (RFC 8767 section
/// 5.11); it is as long as the longest pause between two attempts.
const STALE_TTL_SECS: u32 = 30;

/// That an alias is still resolved is saved so often, in seconds: what was saved long ago is not
/// used.
const RESAVE_INTERVAL_SECS: i64 = 3600;

/// What is known of every alias.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    states: HashMap<Name, AliasState>,
    /// Not reported yet, and of no earlier life.
    unreported: HashSet<Name>,
}

/// What is known of one.
#[derive(Debug, Default)]
struct AliasState {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    ttl_secs: u32,
    /// When it was last resolved, in seconds since 1970.
    last_resolved: Option<i64>,
    /// The same as the state directory has it, about.
    last_saved: i64,
    failure: Option<String>,
}

impl Aliases {
    /// Makes these what is known of, and forgets the others.
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

    /// Gives aliases what they stood for in an earlier life.
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

    /// Whether every alias was reported once or is of an earlier life.
    pub(super) fn is_complete(&self) -> bool {
        self.unreported.is_empty()
    }

    /// How many aliases [`Self::is_complete`] still waits for.
    pub(super) fn unreported_count(&self) -> usize {
        self.unreported.len()
    }

    /// Takes up what resolving came to. Whether anything is to be saved.
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

    /// What each stands for, in the topology's order. TTLs above `longest_secs` have no effect and
    /// count as that, so that resolvers' ageing caches are no change.
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

    /// In order of name.
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

    /// What an alias stands for.
    pub(super) fn addresses_of(&self, alias: &Name) -> Vec<IpAddr> {
        self.states.get(alias).map(AliasState::addresses).unwrap_or_default()
    }

    /// What each stands for.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&Name, Vec<IpAddr>)> {
        self.states.iter().map(|(alias, known)| (alias, known.addresses()))
    }

    /// What is worth keeping for the next life, in order of name.
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

    /// Applies what was found. Whether the alias is resolved by it.
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
            .filter(|answered| !answered.addresses.is_empty())
            .map(|answered| answered.ttl_secs)
            .min();
        let kept = |found: Result<FamilyAddresses, ResolveFailure>, old: &Vec<IpAddr>| {
            found.map_or_else(|_| old.clone(), |answered| answered.addresses)
        };
        let (v4, v6) = (kept(v4, &self.v4), kept(v6, &self.v6));
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

/// Tells the log what changed.
fn log_changes(
    alias: &Name,
    known: &AliasState,
    failure: &Option<String>,
    before: &(Vec<IpAddr>, Vec<IpAddr>),
) {
    match (&known.failure, failure) {
        (None, Some(why)) => {
            let kept = known.v4.len() + known.v6.len();
            if kept == 0 {
                tracing::warn!(%alias, reason = %why, "alias not resolved: it has no addresses yet");
            } else {
                tracing::warn!(%alias, reason = %why, kept_addresses = kept, "alias not resolved: its last addresses stay in use");
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
    fn a_failure_keeps_the_last_good_addresses_of_what_failed() {
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
        for (v4, v6, addresses, ttl, error, why) in [
            (failed(), failed(), &[][..], None, true, "never resolved"),
            (found(&[], 0), found(&[], 0), &[], None, true, "a name without any address"),
            (
                found(&["192.0.2.1"], 60),
                found(&[], 0),
                &["192.0.2.1"],
                Some(60),
                false,
                "one family",
            ),
            (failed(), failed(), &["192.0.2.1"], Some(30), true, "the resolver is gone"),
            (
                found(&["192.0.2.2"], 20),
                found(&["2001:db8::2"], 90),
                &["192.0.2.2", "2001:db8::2"],
                Some(20),
                false,
                "both",
            ),
            (
                found(&["192.0.2.3"], 60),
                failed(),
                &["192.0.2.3", "2001:db8::2"],
                Some(30),
                true,
                "one of them fails",
            ),
            (
                Err(ResolveFailure::NoSuchName(resolver)),
                found(&[], 0),
                &["192.0.2.3", "2001:db8::2"],
                Some(30),
                true,
                "the name is gone",
            ),
            (
                found(&[], 0),
                found(&[], 0),
                &["192.0.2.3", "2001:db8::2"],
                Some(30),
                true,
                "all addresses are gone",
            ),
            (
                found(&[], 0),
                found(&["2001:db8::4"], 7),
                &["2001:db8::4"],
                Some(7),
                false,
                "one family is gone",
            ),
        ] {
            aliases.apply_report(AliasReport { alias: alias.clone(), v4, v6 }, NOW);
            assert!(aliases.is_complete());
            let [status] = &aliases.status()[..] else { panic!("one alias") };
            assert_eq!(
                (&status.addresses[..], status.ttl),
                (&addresses.iter().map(ToString::to_string).collect::<Vec<_>>()[..], ttl),
                "{why}"
            );
            assert_eq!(status.error.is_some(), error, "{why}");
        }
    }

    #[test]
    fn an_earlier_life_is_taken_up_without_what_is_unfit() {
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
        assert!(!aliases.is_complete(), "nothing of it is fit");
        aliases.restore(vec![saved("LB.example.net", &["127.0.0.1", "192.0.2.1"])]);
        assert!(aliases.is_complete());
        assert_eq!(aliases.status()[0].addresses, ["192.0.2.1"]);
        assert_eq!(aliases.saved()[0], saved("lb.example.net", &["192.0.2.1"]));
    }
}
