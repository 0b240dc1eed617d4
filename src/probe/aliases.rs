//! The addresses of aliases, for probes of them: those that clients receive in answers, and no
//! others.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use crate::dns::Name;

/// The addresses of every alias; empty for one that is not resolved yet. Clones share the map.
#[derive(Debug, Clone, Default)]
pub(super) struct AliasAddresses(watch::Sender<HashMap<Name, Arc<[IpAddr]>>>);

/// Whether a name to be probed is an alias, and its addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AliasLookup {
    /// The name is no alias.
    NotAnAlias,
    /// An alias that is not resolved.
    Unresolved,
    /// An alias with these addresses.
    Resolved(Arc<[IpAddr]>),
}

impl AliasAddresses {
    /// Replaces the set of aliases. An alias of the previous set keeps its addresses.
    pub(super) fn set_aliases(&self, aliases: &[Name]) {
        self.0.send_modify(|map| {
            let wanted: HashSet<&Name> = aliases.iter().collect();
            map.retain(|alias, _| wanted.contains(alias));
            for alias in aliases {
                map.entry(alias.clone()).or_default();
            }
        });
    }

    /// Sets the addresses of an alias.
    pub(super) fn set_addresses(&self, alias: &Name, addresses: Vec<IpAddr>) {
        self.0.send_if_modified(|map| match map.get_mut(alias) {
            Some(old) if **old != *addresses => {
                *old = addresses.into();
                true
            }
            _ => false,
        });
    }

    /// Whether `name` is an alias, and its addresses. Waits at most `max_wait` for an alias that is
    /// not resolved.
    pub(super) async fn wait_for(&self, name: &Name, max_wait: Duration) -> AliasLookup {
        let mut changes = self.0.subscribe();
        let is_known = |map: &HashMap<Name, Arc<[IpAddr]>>| {
            map.get(name).is_none_or(|addresses| !addresses.is_empty())
        };
        match timeout(max_wait, changes.wait_for(is_known)).await {
            Ok(Ok(map)) => {
                map.get(name).cloned().map_or(AliasLookup::NotAnAlias, AliasLookup::Resolved)
            }
            Ok(Err(_)) | Err(_) => AliasLookup::Unresolved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alias_is_waited_for_until_it_is_resolved_and_other_names_are_not() {
        let (aliases, lb): (_, Name) =
            (AliasAddresses::default(), "lb.example.net".parse().unwrap());
        aliases.set_aliases(std::slice::from_ref(&lb));
        assert_eq!(aliases.wait_for(&lb, Duration::from_millis(1)).await, AliasLookup::Unresolved);
        assert_eq!(
            aliases.wait_for(&"www.example.net".parse().unwrap(), Duration::MAX).await,
            AliasLookup::NotAnAlias
        );
        let (aliases_of_task, addresses) = (aliases.clone(), vec![IpAddr::from([192, 0, 2, 1])]);
        let name = lb.clone();
        let found =
            tokio::spawn(
                async move { aliases_of_task.wait_for(&name, Duration::from_secs(60)).await },
            );
        tokio::task::yield_now().await;
        aliases.set_addresses(&lb, addresses.clone());
        assert_eq!(found.await.unwrap(), AliasLookup::Resolved(addresses.into()));
        aliases.set_aliases(&[]);
        assert_eq!(aliases.wait_for(&lb, Duration::MAX).await, AliasLookup::NotAnAlias);
    }
}
