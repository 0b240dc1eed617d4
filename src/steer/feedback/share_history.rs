//! Transit: the shares by which the clients of a moment were answered.
//!
//! A resolver keeps an answer for its TTL, so the clients that come at any moment were answered by
//! the shares of the last TTL, equally from each moment of it. A reported load is the load of those
//! shares. If it were read as the load of the newest shares, clients that were steered away already
//! would count as excess, and too many would be steered away.

use std::{collections::VecDeque, time::Duration};

/// Shares over the last TTL and some time before.
#[derive(Debug, Clone)]
pub(super) struct ShareHistory {
    /// In ascending order of the time since when they were answered; the first also stands for all
    /// time before. Never empty.
    steps: VecDeque<ShareChange>,
}

/// Shares, and since when they are answered.
#[derive(Debug, Clone, PartialEq)]
struct ShareChange {
    since: Duration,
    shares: Vec<f64>,
}

impl ShareHistory {
    /// Shares that have been answered for long.
    pub(super) fn new(shares: Vec<f64>) -> Self {
        Self { steps: [ShareChange { since: Duration::ZERO, shares }].into() }
    }

    /// Takes note that these shares are answered from `now` on, and forgets what ended before
    /// `oldest`.
    pub(super) fn record(&mut self, shares: &[f64], now: Duration, oldest: Duration) {
        while self.steps.get(1).is_some_and(|next| next.since <= oldest) {
            self.steps.pop_front();
        }
        if self.steps.back().is_none_or(|last| last.shares != shares) {
            self.steps.push_back(ShareChange { since: now, shares: shares.to_vec() });
        }
    }

    /// The part of the clients at a moment that was answered with the member, from 0 to 1, where
    /// answers are kept for `ttl`.
    pub(super) fn answered_share(&self, member: usize, ttl: Duration, at: Duration) -> f64 {
        let begin = at.saturating_sub(ttl);
        let of = |step: &ShareChange| step.shares.get(member).copied().unwrap_or_default();
        let Some(first) = self.steps.front() else { return 0.0 };
        let (mut sum, mut share, mut since) = (0.0, of(first), begin);
        for step in self.steps.iter().skip(1).filter(|step| step.since <= at) {
            let until = step.since.max(begin);
            sum += share * (until - since).as_secs_f64();
            (share, since) = (of(step), until);
        }
        match (at - begin).as_secs_f64() {
            // Nothing is kept.
            0.0 => share,
            secs => (sum + share * (at - since).as_secs_f64()) / secs,
        }
    }

    /// The same for the members after a reload; `was_at` is the former position of each. A new
    /// member counts as having always had its share of `shares`, since it has no load from before.
    pub(super) fn remapped(&self, shares: &[f64], was_at: impl Fn(usize) -> Option<usize>) -> Self {
        let moved = |step: &ShareChange| {
            let share = |(at, new): (usize, &f64)| {
                was_at(at).and_then(|at| step.shares.get(at)).unwrap_or(new).to_owned()
            };
            ShareChange {
                since: step.since,
                shares: shares.iter().enumerate().map(share).collect(),
            }
        };
        Self { steps: self.steps.iter().map(moved).collect() }
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
        let mut transit = ShareHistory::new(vec![0.6, 0.4]);
        transit.record(&[0.3, 0.7], secs(100), secs(0));
        transit.record(&[0.1, 0.9], secs(115), secs(0));
        for (at, wanted, why) in [
            (100, 0.6, "no client has come yet"),
            (110, 0.5, "a third of the answers is new"),
            (115, 0.45, "half of them"),
            (130, 0.2, "none of the first, half of the second"),
            (145, 0.1, "the last alone"),
            (900, 0.1, "and so on"),
        ] {
            let share = transit.answered_share(0, secs(30), secs(at));
            assert!((share - wanted).abs() < 1e-9, "at {at}: {share}, not {wanted}: {why}");
        }
        assert_eq!(
            transit.answered_share(0, secs(0), secs(114)),
            0.3,
            "without a TTL all clients follow at once"
        );
    }

    #[test]
    fn what_ended_long_ago_is_forgotten_and_changes_nothing() {
        let mut transit = ShareHistory::new(vec![0.5, 0.5]);
        for at in 1..1000 {
            let share = if at % 2 == 0 { 0.2 } else { 0.4 };
            transit.record(
                &[share, 1.0 - share],
                secs(at * 10),
                secs((at * 10).saturating_sub(60)),
            );
        }
        assert!(transit.steps.len() <= 8, "{}", transit.steps.len());
        assert!((transit.answered_share(1, secs(60), secs(9990)) - 0.7).abs() < 1e-9);
    }

    #[test]
    fn members_keep_what_was_answered_wherever_they_are_written() {
        let mut transit = ShareHistory::new(vec![0.8, 0.2]);
        transit.record(&[0.5, 0.5], secs(10), secs(0));
        let moved = transit.remapped(&[0.4, 0.3, 0.3], |at| [None, Some(0), Some(1)][at]);
        assert_eq!(
            [0, 1, 2].map(|at| moved.answered_share(at, secs(20), secs(10))),
            [0.4, 0.8, 0.2]
        );
    }
}
