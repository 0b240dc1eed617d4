//! Removals: files that disappear, and zones and services that no file defines any more.
//!
//! A file that disappears keeps its last good content for [`REMOVAL_GRACE`], because many tools
//! replace a file by removing it and writing it again. A load that removes too much at once is held
//! until an operator accepts it: an empty directory is more often a volume that is not mounted than
//! a decision.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::last_good::{Inventory, LastGood};
use crate::{
    config::{Definition, FileRole, SourceFile, Sources, definitions},
    dns::Name,
    listing,
};

/// The time for which a file that disappeared keeps its last good content.
pub(super) const REMOVAL_GRACE: Duration = Duration::from_secs(3);
/// The maximum number of names that a message has.
const MAX_LISTED_NAMES: usize = 10;

/// Files of the last good set that have disappeared, and the end of the grace of each. Held files
/// stay in the list after that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MissingFiles(BTreeMap<PathBuf, Instant>);

impl MissingFiles {
    /// The files of the last good set that are missing at `now`. A file was renamed, and is not
    /// missing, if a changed file defines one of its names. If that changed file cannot be used,
    /// `file_selection::kept_names` keeps the names.
    pub(super) fn find(now: Instant, before: &Self, good: &LastGood, sources: &Sources) -> Self {
        let found: BTreeSet<&Path> = sources.files().iter().map(|file| &*file.path).collect();
        let gone: Vec<&SourceFile> = good
            .files
            .iter()
            .filter(|(path, _)| !found.contains(&***path))
            .map(|(_, good)| &**good)
            .collect();
        if gone.is_empty() {
            return Self::default();
        }
        let is_changed = |file: &&SourceFile| {
            matches!(file.role, FileRole::Tables | FileRole::Master) && !good.contains(file)
        };
        let moved: BTreeSet<Definition> =
            sources.files().iter().filter(is_changed).flat_map(definitions).collect();
        let is_renamed =
            |file: &&SourceFile| definitions(file).iter().any(|name| moved.contains(name));
        let end = |file: &SourceFile| {
            (file.path.clone(), before.0.get(&file.path).copied().unwrap_or(now + REMOVAL_GRACE))
        };
        Self(gone.into_iter().filter(|file| !is_renamed(file)).map(end).collect())
    }

    /// The same files, with their grace ended. A file that is still held then stays held until an
    /// operator accepts its removal.
    pub(super) fn without_grace(self, now: Instant) -> Self {
        Self(self.0.into_iter().map(|(path, end)| (path, end.min(now))).collect())
    }

    /// Whether a file keeps its content at `now` because it may come back.
    pub(super) fn has_grace(&self, path: &Path, now: Instant) -> bool {
        self.0.get(path).is_some_and(|end| now < *end)
    }

    /// The end of the next grace after `now`.
    pub(super) fn next_grace_end(&self, now: Instant) -> Option<Instant> {
        self.0.values().copied().filter(|end| now < *end).min()
    }
}

/// What a load may remove without an operator's consent.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemovalLimits {
    /// Fewer zones, or services, than this may always be removed, unless no zone is left.
    pub min_count: usize,
    /// Up to this percentage of the zones, or services, may be removed, too.
    pub max_percent: f64,
}

impl Default for RemovalLimits {
    fn default() -> Self {
        Self { min_count: 10, max_percent: 50.0 }
    }
}

/// The zones and services that a load removes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RemovedNames {
    pub zones: Vec<Name>,
    pub services: Vec<Name>,
}

impl RemovedNames {
    /// The names in `before` that are not in `after`.
    pub(super) fn between(before: &Inventory, after: &Inventory) -> Self {
        Self {
            zones: names_missing_from(&before.zones, &after.zones),
            services: names_missing_from(&before.services, &after.services),
        }
    }

    /// Why the removal needs an operator's consent, in words; `None` if it does not.
    pub(super) fn excess(
        &self,
        before: &Inventory,
        after: &Inventory,
        limits: RemovalLimits,
    ) -> Option<String> {
        if !before.zones.is_empty() && after.zones.is_empty() {
            return Some(format!(
                "no zone would be left of {}: {}",
                before.zones.len(),
                name_list(&self.zones)
            ));
        }
        let is_excessive = |removed: usize, total: usize| {
            removed >= limits.min_count
                && removed as f64 * 100.0 > total as f64 * limits.max_percent
        };
        let text = |kind: &str, removed: &[Name], total: usize| {
            is_excessive(removed.len(), total).then(|| {
                format!(
                    "{} of {total} {kind} would be removed: {}",
                    removed.len(),
                    name_list(removed)
                )
            })
        };
        text("zones", &self.zones, before.zones.len())
            .or_else(|| text("services", &self.services, before.services.len()))
    }

    /// The names as definitions of files.
    pub(super) fn definitions(&self) -> BTreeSet<Definition> {
        let zones = self.zones.iter().map(|name| Definition::new("zone", &name.to_string()));
        let services =
            self.services.iter().map(|name| Definition::new("service", &name.to_string()));
        zones.chain(services).collect()
    }
}

/// The names in `before` that are not in `after`. Both lists must be sorted.
fn names_missing_from(before: &[Name], after: &[Name]) -> Vec<Name> {
    if std::ptr::eq(before, after) {
        return Vec::new();
    }
    let mut after = after.iter().peekable();
    let mut is_missing = |name: &&Name| {
        while after.next_if(|other| other < name).is_some() {}
        after.peek() != Some(name)
    };
    before.iter().filter(|name| is_missing(name)).cloned().collect()
}

/// The first names, and the number of the others.
pub(super) fn name_list(names: &[Name]) -> String {
    listing::join_first(names, MAX_LISTED_NAMES, names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(zones: usize, services: usize) -> Inventory {
        let name = |kind: &str, number: usize| format!("{kind}{number:05}.test").parse().unwrap();
        Inventory {
            zones: (0..zones).map(|number| name("z", number)).collect(),
            services: (0..services).map(|number| name("s", number)).collect(),
            ..Inventory::default()
        }
    }

    #[test]
    fn removing_ten_names_and_more_than_half_or_the_last_zone_needs_consent() {
        for ((zones, services), (zones_left, services_left), is_held, why) in [
            ((1, 0), (0, 0), true, "no zone is left"),
            ((0, 0), (0, 0), false, "there was none"),
            ((3, 3), (1, 1), false, "two of three"),
            ((18, 0), (9, 0), false, "nine"),
            ((20, 0), (10, 0), false, "ten, and no more than half"),
            ((20, 0), (9, 0), true, "eleven of twenty"),
            ((1, 20), (1, 9), true, "services count by themselves"),
            ((1, 1000), (1, 501), false, "less than half of many"),
        ] {
            let (before, after) =
                (inventory(zones, services), inventory(zones_left, services_left));
            let removed = RemovedNames::between(&before, &after);
            let excess = removed.excess(&before, &after, RemovalLimits::default());
            assert_eq!(excess.is_some(), is_held, "{why}: {excess:?}");
        }
    }

    fn tables(texts: &[(&str, &str)]) -> Sources {
        Sources::from_texts(&crate::config::SourceOptions::default(), texts.iter().copied())
    }

    #[test]
    fn a_file_that_disappeared_has_grace_for_three_seconds_and_no_longer() {
        let good = LastGood::of(
            tables(&[("zones/a.toml", "[pool.a]"), ("zones/b.toml", "[pool.b]")]),
            &[],
            Inventory::default(),
            &LastGood::default(),
        );
        let start = Instant::now();
        let now = tables(&[("zones/b.toml", "[pool.b]")]);
        let (path, end) = (Path::new("zones/a.toml"), start + REMOVAL_GRACE);
        let first = MissingFiles::find(start, &MissingFiles::default(), &good, &now);
        assert!(first.has_grace(path, start) && !first.has_grace(path, end));
        assert_eq!(first.next_grace_end(start), Some(end));
        let later = MissingFiles::find(
            end,
            &MissingFiles::find(start + REMOVAL_GRACE / 2, &first, &good, &now),
            &good,
            &now,
        );
        assert!(!later.has_grace(path, end), "it is counted from the first time");
        assert_eq!(later.next_grace_end(end), None);
        let ended = MissingFiles::find(start, &first.without_grace(start), &good, &now);
        assert!(!ended.has_grace(path, start), "an operator's reload ends it for good");
    }

    #[test]
    fn a_renamed_file_is_not_missing() {
        let good = LastGood::of(
            tables(&[("zones/a.toml", "[pool.a]")]),
            &[],
            Inventory::default(),
            &LastGood::default(),
        );
        let renamed = tables(&[("zones/b.toml", "[pool.a]")]);
        assert_eq!(
            MissingFiles::find(Instant::now(), &MissingFiles::default(), &good, &renamed),
            MissingFiles::default()
        );
    }
}
