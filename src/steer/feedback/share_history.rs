//! Share history: the shares that answered the clients of an earlier moment.
//!
//! A resolver keeps an answer for its TTL. So the clients at any moment were answered by the shares
//! of the TTL before it, each moment of which counts equally. A reported load is the load of those
//! shares. If it were read as the load of the newest shares, clients that are already being steered
//! away would count as excess, and too many would be steered away.

use std::{collections::VecDeque, time::Duration};

/// The shares over the last TTL and some time before.
#[derive(Debug, Clone)]
pub(super) struct ShareHistory {
    /// Changes in ascending order of `since`; the first change also stands for all time before it.
    /// Never empty.
    changes: VecDeque<ShareChange>,
}

/// Shares by member, and since when they have been answered.
#[derive(Debug, Clone, PartialEq)]
struct ShareChange {
    since: Duration,
    shares: Vec<f64>,
}

impl ShareHistory {
    /// A history in which these shares have always been answered.
    pub(super) fn new(shares: Vec<f64>) -> Self {
        Self { changes: [ShareChange { since: Duration::ZERO, shares }].into() }
    }

    /// Records that these shares are answered from `now` on, and forgets shares that were replaced
    /// before `oldest`.
    pub(super) fn record(&mut self, shares: &[f64], now: Duration, oldest: Duration) {
        while self.changes.get(1).is_some_and(|next| next.since <= oldest) {
            self.changes.pop_front();
        }
        if self.changes.back().is_none_or(|last| last.shares != shares) {
            self.changes.push_back(ShareChange { since: now, shares: shares.to_vec() });
        }
    }

    /// The fraction of clients, from 0 to 1, that use the member at the time `at`: those whose
    /// resolver holds an answer that names it and is at most `ttl` old.
    pub(super) fn answered_share(&self, member: usize, ttl: Duration, at: Duration) -> f64 {
        let begin = at.saturating_sub(ttl);
        let member_share =
            |change: &ShareChange| change.shares.get(member).copied().unwrap_or_default();
        let Some(first) = self.changes.front() else { return 0.0 };
        let (mut sum, mut share, mut since) = (0.0, member_share(first), begin);
        for change in self.changes.iter().skip(1).filter(|change| change.since <= at) {
            let until = change.since.max(begin);
            sum += share * (until - since).as_secs_f64();
            (share, since) = (member_share(change), until);
        }
        match (at - begin).as_secs_f64() {
            // With a TTL of 0 every client has the newest answer.
            0.0 => share,
            secs => (sum + share * (at - since).as_secs_f64()) / secs,
        }
    }

    /// The same history for the members after a reload; `old_position` maps the new position of a
    /// member to its old one. A new member counts as having always had its share of `shares`, since
    /// it has no load from before.
    pub(super) fn remapped(
        &self,
        shares: &[f64],
        old_position: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let remapped = |change: &ShareChange| {
            let share = |(member, new_share): (usize, &f64)| {
                let old_share = old_position(member).and_then(|old| change.shares.get(old));
                *old_share.unwrap_or(new_share)
            };
            ShareChange {
                since: change.since,
                shares: shares.iter().enumerate().map(share).collect(),
            }
        };
        Self { changes: self.changes.iter().map(remapped).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn clients_follow_new_shares_over_one_ttl() {
        let mut history = ShareHistory::new(vec![0.6, 0.4]);
        history.record(&[0.3, 0.7], secs(100), secs(0));
        history.record(&[0.1, 0.9], secs(115), secs(0));
        for (moment, expected, why) in [
            (100, 0.6, "no resolver has asked again"),
            (110, 0.5, "a third of the answers are new"),
            (115, 0.45, "half of them"),
            (130, 0.2, "none of the first, half of the second"),
            (145, 0.1, "the last alone"),
            (900, 0.1, "still the last alone"),
        ] {
            let share = history.answered_share(0, secs(30), secs(moment));
            assert!((share - expected).abs() < 1e-9, "at {moment}: {share}, not {expected}: {why}");
        }
        assert_eq!(
            history.answered_share(0, secs(0), secs(114)),
            0.3,
            "without a TTL all clients follow at once"
        );
    }

    #[test]
    fn old_shares_are_forgotten_without_effect() {
        let mut history = ShareHistory::new(vec![0.5, 0.5]);
        for step in 1..1000 {
            let share = if step % 2 == 0 { 0.2 } else { 0.4 };
            history.record(
                &[share, 1.0 - share],
                secs(step * 10),
                secs((step * 10).saturating_sub(60)),
            );
        }
        assert!(history.changes.len() <= 8, "{}", history.changes.len());
        assert!((history.answered_share(1, secs(60), secs(9990)) - 0.7).abs() < 1e-9);
    }

    #[test]
    fn members_keep_their_history_when_they_are_reordered() {
        let mut history = ShareHistory::new(vec![0.8, 0.2]);
        history.record(&[0.5, 0.5], secs(10), secs(0));
        let remapped =
            history.remapped(&[0.4, 0.3, 0.3], |member| [None, Some(0), Some(1)][member]);
        assert_eq!(
            [0, 1, 2].map(|member| remapped.answered_share(member, secs(20), secs(10))),
            [0.4, 0.8, 0.2]
        );
    }
}
