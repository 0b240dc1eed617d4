//! Aliases: resolved, remembered, and probed at the addresses that they stand for.
//!
//! Invariant: the resolver and the prober have the aliases of one topology, and the prober has the
//! last good addresses of each.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant as TokioInstant, sleep_until},
};

use crate::{
    control::{
        aliases::Aliases,
        clock::unix_now,
        state::{SavedAlias, StateDirectory},
    },
    dns::Name,
    probe::Prober,
    resolve::{AliasReport, AliasResolver},
};

/// How long a reload waits for new aliases to be resolved. It is short because no change of health
/// is published meanwhile, and a working resolver takes less.
const FIRST_RESOLUTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Owns the resolver and what it found.
#[derive(Debug)]
pub(super) struct AliasResolution {
    aliases: Aliases,
    resolver: AliasResolver,
    prober: Arc<Prober>,
}

impl AliasResolution {
    /// Resolves nothing until [`AliasResolution::set_aliases`]. Reports of the resolver go to
    /// `reports` and come back by [`AliasResolution::apply`].
    pub(super) fn new(prober: Arc<Prober>, reports: mpsc::Sender<AliasReport>) -> Self {
        Self { aliases: Aliases::default(), resolver: AliasResolver::new(reports), prober }
    }

    /// What the aliases stand for.
    pub(super) fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Resolves these aliases, and no others.
    pub(super) fn set_aliases(&mut self, aliases: &[Name], resolvers: &[SocketAddr]) {
        self.aliases.track(aliases);
        self.prober.set_aliases(aliases);
        self.resolver.set_aliases(aliases, resolvers);
    }

    /// Gives aliases the addresses of a previous run.
    pub(super) fn restore(&mut self, state: &StateDirectory, now: i64) {
        self.aliases.restore(state.aliases(now));
        for (alias, addresses) in self.aliases.addresses() {
            self.prober.set_alias_addresses(alias, addresses);
        }
    }

    /// The addresses for the next run.
    pub(super) fn saved(&self) -> Vec<SavedAlias> {
        self.aliases.saved()
    }

    /// Waits until each alias was resolved, or failed to resolve, once; for at most two seconds.
    /// Aliases with addresses of a previous run are not waited for. Probes continue meanwhile.
    /// Returns whether anything is to be saved.
    pub(super) async fn wait_for_first_reports(
        &mut self,
        reports: &mut mpsc::Receiver<AliasReport>,
    ) -> bool {
        let end = TokioInstant::now() + FIRST_RESOLUTION_TIMEOUT;
        let mut needs_saving = false;
        while !self.aliases.is_complete() {
            tokio::select! {
                Some(report) = reports.recv() => needs_saving |= self.apply(report),
                () = sleep_until(end) => {
                    tracing::warn!(aliases = self.aliases.unreported_count(), "new aliases not resolved in time: applying the files without them");
                    break;
                }
            }
        }
        needs_saving
    }

    /// Records what the resolver found. Returns whether anything is to be saved.
    pub(super) fn apply(&mut self, report: AliasReport) -> bool {
        let alias = report.alias.clone();
        let needs_saving = self.aliases.apply_report(report, unix_now());
        self.prober.set_alias_addresses(&alias, self.aliases.addresses_of(&alias));
        needs_saving
    }
}
