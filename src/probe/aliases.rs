//! What aliases stand for, for probes of them: the addresses that clients are given, and no others.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use crate::dns::Name;

/// The addresses of every alias; none where it is not resolved yet. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct AliasAddresses(watch::Sender<HashMap<Name, Arc<[IpAddr]>>>);

/// What is known of a name that is to be probed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AliasResolution {
    /// It is no alias.
    NotAnAlias,
    /// It is an alias that is not resolved.
    Unresolved,
    /// It is an alias for these addresses.
    Resolved(Arc<[IpAddr]>),
}

impl AliasAddresses {
    /// Makes `aliases` the names that are aliases; what is known of them stays.
    pub(super) fn set_aliases(&self, aliases: &[Name]) {
        self.0.send_modify(|known| {
            let wanted: HashSet<&Name> = aliases.iter().collect();
            known.retain(|alias, _| wanted.contains(alias));
            for alias in aliases {
                known.entry(alias.clone()).or_default();
            }
        });
    }

    /// Notes what an alias stands for.
    pub(super) fn set_addresses(&self, alias: &Name, addresses: Vec<IpAddr>) {
        self.0.send_if_modified(|known| match known.get_mut(alias) {
            Some(old) if **old != *addresses => {
                *old = addresses.into();
                true
            }
            _ => false,
        });
    }

    /// What a name stands for. An alias that is not resolved is waited for, but no longer than
    /// `longest`.
    pub(super) async fn wait_for(&self, name: &Name, longest: Duration) -> AliasResolution {
        let mut changes = self.0.subscribe();
        let is_known = |known: &HashMap<Name, Arc<[IpAddr]>>| {
            known.get(name).is_none_or(|found| !found.is_empty())
        };
        match timeout(longest, changes.wait_for(is_known)).await {
            Ok(Ok(known)) => known
                .get(name)
                .cloned()
                .map_or(AliasResolution::NotAnAlias, AliasResolution::Resolved),
            Ok(Err(_)) | Err(_) => AliasResolution::Unresolved,
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
        assert_eq!(
            aliases.wait_for(&lb, Duration::from_millis(1)).await,
            AliasResolution::Unresolved
        );
        assert_eq!(
            aliases.wait_for(&"www.example.net".parse().unwrap(), Duration::MAX).await,
            AliasResolution::NotAnAlias
        );
        let (waiting, addresses) = (aliases.clone(), vec![IpAddr::from([192, 0, 2, 1])]);
        let of_lb = lb.clone();
        let found =
            tokio::spawn(async move { waiting.wait_for(&of_lb, Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        aliases.set_addresses(&lb, addresses.clone());
        assert_eq!(found.await.unwrap(), AliasResolution::Resolved(addresses.into()));
        aliases.set_aliases(&[]);
        assert_eq!(aliases.wait_for(&lb, Duration::MAX).await, AliasResolution::NotAnAlias);
    }
}
