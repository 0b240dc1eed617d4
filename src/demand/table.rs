//! The table of samples by network group, in bounded memory.
//!
//! Invariants: at most [`MAX_GROUPS`] groups, which take at most 4 MiB, whatever clients send. No
//! sample is lost when groups are removed: narrow groups with few samples are joined into wide
//! ones, and wide ones with few samples into a rest of their family. A sample fades: it counts half
//! after a day.

use std::collections::HashMap;

use super::{
    network_group::NetworkGroup,
    observed::{FamilyDemand, ObservedDemand},
};

/// The maximum number of groups. All /16 networks of IPv4 are as many.
const MAX_GROUPS: usize = 65_536;
/// The time after which a sample counts half, in seconds: a day, so that each hour of the day has
/// about its part.
const HALF_LIFE_SECS: f64 = 86_400.0;
/// The interval at which samples lose weight, in seconds.
const FADE_INTERVAL_SECS: i64 = 60;
/// Groups with fewer samples than this are joined into others when samples lose weight.
const MIN_SAMPLES: f64 = 0.02;

/// How many samples each network group has.
#[derive(Debug, Clone, Default)]
pub struct DemandTable {
    /// Hashed with a secret key: clients choose the groups.
    groups: HashMap<NetworkGroup, f64>,
    /// The samples of IPv4 and of IPv6 that belong to no group of the table.
    other: [f64; 2],
    /// The time of the first sample, in seconds since 1970; `None` without any.
    since: Option<i64>,
    /// The time up to which samples have lost weight, in seconds since 1970.
    faded_at: i64,
}

impl DemandTable {
    /// The table of a document, at `now` in seconds since 1970.
    pub fn restore(saved: ObservedDemand, now: i64) -> Self {
        let ObservedDemand { since, faded_at, ipv4, ipv6 } = saved;
        let other = [ipv4.other, ipv6.other].map(|samples| samples.max(0.0));
        let mut table = Self { other, since: Some(since), faded_at, ..Self::default() };
        for (group, samples) in ipv4.networks.into_iter().chain(ipv6.networks) {
            table.insert(group, samples.max(0.0));
        }
        table.fade(now);
        table
    }

    /// Adds samples of a group at `now`, in seconds since 1970.
    pub fn add(&mut self, group: NetworkGroup, samples: f64, now: i64) {
        if self.since.is_none() {
            (self.since, self.faded_at) = (Some(now), now);
        }
        self.insert(group, samples);
    }

    fn insert(&mut self, group: NetworkGroup, samples: f64) {
        *self.groups.entry(group).or_default() += samples;
        if self.groups.len() > MAX_GROUPS {
            self.prune();
        }
    }

    /// Lets samples lose weight by their age, at most once a minute. Does nothing while the clock
    /// goes back.
    pub fn fade(&mut self, now: i64) {
        let age_secs = now.saturating_sub(self.faded_at);
        if age_secs < 0 {
            self.faded_at = now;
        }
        if age_secs < FADE_INTERVAL_SECS {
            return;
        }
        self.faded_at = now;
        let factor = (-(age_secs as f64) / HALF_LIFE_SECS).exp2();
        self.groups.values_mut().chain(&mut self.other).for_each(|samples| *samples *= factor);
        let faded: Vec<_> = self.groups.extract_if(|_, samples| *samples < MIN_SAMPLES).collect();
        faded.into_iter().for_each(|(group, samples)| self.join(group, samples));
        if self.groups.is_empty() && self.other.iter().sum::<f64>() < MIN_SAMPLES {
            *self = Self::default();
        }
    }

    /// Adds the samples of a removed group to the wide group around it, if the table has that, or
    /// to the rest of its family.
    fn join(&mut self, group: NetworkGroup, samples: f64) {
        match group.wide().and_then(|wide| self.groups.get_mut(&wide)) {
            Some(wide) => *wide += samples,
            None => self.other[family_index(group)] += samples,
        }
    }

    /// Joins the narrow groups with the fewest samples into wide ones, half of them; then, if there
    /// are still too many groups, the ones with the fewest samples into the rest.
    fn prune(&mut self) {
        let narrow = self.groups.keys().filter(|group| group.wide().is_some()).count();
        for group in self.smallest(narrow / 2, |group| group.wide().is_some()) {
            if let (Some(samples), Some(wide)) = (self.groups.remove(&group), group.wide()) {
                *self.groups.entry(wide).or_default() += samples;
            }
        }
        let excess = self.groups.len().saturating_sub(MAX_GROUPS / 4 * 3);
        for group in self.smallest(excess, |_| true) {
            if let Some(samples) = self.groups.remove(&group) {
                self.join(group, samples);
            }
        }
    }

    /// The `count` groups with the fewest samples among those that `is_meant` holds for.
    fn smallest(
        &self,
        count: usize,
        is_meant: impl Fn(&NetworkGroup) -> bool,
    ) -> Vec<NetworkGroup> {
        let mut groups: Vec<(NetworkGroup, f64)> = self
            .groups
            .iter()
            .filter(|(group, _)| is_meant(group))
            .map(|(group, samples)| (*group, *samples))
            .collect();
        if count < groups.len() {
            groups.select_nth_unstable_by(count, |a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            groups.truncate(count);
        }
        groups.into_iter().map(|(group, _)| group).collect()
    }

    /// The document of all groups; `None` without any sample.
    pub fn document(&self) -> Option<ObservedDemand> {
        self.largest(usize::MAX)
    }

    /// The document of the groups with the most samples, at most `limit` of each family; `None`
    /// without any sample.
    pub fn largest(&self, limit: usize) -> Option<ObservedDemand> {
        let mut families = self.other.map(|other| FamilyDemand { networks: Vec::new(), other });
        for (group, samples) in &self.groups {
            families[family_index(*group)].networks.push((*group, *samples));
        }
        for FamilyDemand { networks, other } in &mut families {
            networks.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let rest = networks.drain(networks.len().min(limit)..);
            *other = rounded(*other + rest.map(|(_, samples)| samples).sum::<f64>());
            networks.iter_mut().for_each(|(_, samples)| *samples = rounded(*samples));
        }
        let [ipv4, ipv6] = families;
        Some(ObservedDemand { since: self.since?, faded_at: self.faded_at, ipv4, ipv6 })
    }
}

fn family_index(group: NetworkGroup) -> usize {
    usize::from(!group.is_ipv4())
}

/// A number of samples, short in JSON.
fn rounded(samples: f64) -> f64 {
    (samples * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const DAY: i64 = 86_400;

    fn group(text: &str) -> NetworkGroup {
        NetworkGroup::containing(text.parse().unwrap())
    }

    fn samples_of(table: &DemandTable, network: &str) -> f64 {
        let document = table.document().unwrap();
        let mut networks = document.ipv4.networks.iter().chain(&document.ipv6.networks);
        networks
            .find(|(group, _)| group.to_string() == network)
            .map_or(0.0, |(_, samples)| *samples)
    }

    /// A table in which `203.0.113.0/24` has 1,000 samples, and 300,000 others have one each.
    fn full_table() -> DemandTable {
        let mut table = DemandTable::default();
        table.add(group("203.0.113.9"), 1000.0, 0);
        for number in 0..300_000_u32 {
            let address = Ipv4Addr::from_bits((1 << 24) + (number << 8));
            table.add(NetworkGroup::containing(address.into()), 1.0, 0);
        }
        table
    }

    #[test]
    fn the_table_stays_bounded_keeps_the_largest_group_and_loses_no_sample() {
        let table = full_table();
        assert!(table.groups.len() <= MAX_GROUPS, "{}", table.groups.len());
        assert_eq!(samples_of(&table, "203.0.113.0/24"), 1000.0);
        let document = table.document().unwrap();
        assert_eq!(document.samples(), 301_000.0);
        assert_eq!(document.ipv4.other, 0.0, "all joined groups are in a wide one");
    }

    #[test]
    fn wide_groups_of_ipv6_beyond_the_bound_are_joined_into_the_rest() {
        let mut table = DemandTable::default();
        table.add(group("2001:db8:1::"), 50.0, 0);
        for number in 0..200_000_u128 {
            let address = std::net::Ipv6Addr::from_bits(0x2400 << 112 | number << 96);
            table.add(NetworkGroup::containing(address.into()), 1.0, 0);
        }
        let document = table.document().unwrap();
        assert!(table.groups.len() <= MAX_GROUPS && document.ipv6.other > 0.0);
        assert_eq!(samples_of(&table, "2001:db8:1::/48"), 50.0);
        assert!((document.samples() - 200_050.0).abs() < 0.1, "{}", document.samples());
    }

    #[test]
    fn a_sample_counts_half_after_a_day_and_nothing_is_left_in_the_end() {
        let mut table = DemandTable::default();
        table.add(group("203.0.113.9"), 8.0, 1000);
        table.fade(1000 + DAY);
        table.add(group("203.0.113.9"), 2.0, 1000 + DAY);
        assert_eq!(samples_of(&table, "203.0.113.0/24"), 6.0);
        table.fade(1000 + DAY - 500);
        assert_eq!(samples_of(&table, "203.0.113.0/24"), 6.0, "the clock was set back");
        table.fade(1000 + 90 * DAY);
        assert_eq!(table.document(), None);
    }

    #[test]
    fn a_restored_table_has_the_samples_of_the_saved_one_less_their_age() {
        let table = full_table();
        let saved = table.document().unwrap();
        let same = DemandTable::restore(saved.clone(), 30).document().unwrap();
        assert_eq!((same.since, same.samples()), (0, saved.samples()));
        let later = DemandTable::restore(saved, DAY);
        assert_eq!(samples_of(&later, "203.0.113.0/24"), 500.0);
    }

    #[test]
    fn a_document_has_the_largest_groups_of_each_family_and_the_rest_as_one_number() {
        let mut table = DemandTable::default();
        for (address, samples) in
            [("192.0.2.1", 5.0), ("198.51.100.1", 3.0), ("203.0.113.1", 9.0), ("2001:db8::", 1.0)]
        {
            table.add(group(address), samples, 7);
        }
        let ObservedDemand { since, ipv4, ipv6, .. } = table.largest(2).unwrap();
        let names: Vec<_> = ipv4.networks.iter().map(|(group, _)| group.to_string()).collect();
        assert_eq!((since, names), (7, vec!["203.0.113.0/24".into(), "192.0.2.0/24".into()]));
        assert_eq!((ipv4.other, ipv4.samples(), ipv6.samples()), (3.0, 17.0, 1.0));
    }
}
