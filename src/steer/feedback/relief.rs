//! Relief: the share that a full member loses without waiting for caches.
//!
//! A member is full at its limit, or at the `hard` level of its gauge. Usually a step waits until
//! caches have followed the previous one. A full member need not wait: each report is read as the
//! load of the share that answered its clients ([`super::share_history`]), so that every report
//! shows where the member would settle.
//!
//! Two uncertainties take more from a member than its reports suggest:
//!
//! - At a limit, or with a processor at 100 %, a report shows only the least that the load can be.
//!   So the member gets a small margin less than its reports suggest.
//! - The load may not follow the share at all. Then its level stays while the share falls.
//!
//! Noise starts no relief: a relief begins only if a loss is large or lasts. Once it has begun,
//! small losses continue it.

use std::time::Duration;

use super::equilibrium::{LoadMember, LoadSignal, equilibrium_shares};

/// No relief begins for a loss below this fraction of the member's share.
const MIN_RELATIVE_LOSS: f64 = 0.15;
/// The share of all clients whose loss begins a relief at once.
const IMMEDIATE_LOSS: f64 = 0.05;
/// The fraction of the member's share whose loss begins a relief at once.
const IMMEDIATE_RELATIVE_LOSS: f64 = 0.25;
/// A smaller loss must last for a TTL, and at least for this time.
const MIN_LOSS_DURATION: Duration = Duration::from_secs(10);
/// A relief that has begun continues while a full member must lose this fraction of its share.
const MIN_RELATIVE_STEP: f64 = 0.05;
/// The share of all clients that a full member loses in addition if its reports do not show its
/// excess. At most this share is steered away without need.
const SAFETY_MARGIN: f64 = 0.03;
/// The maximum reduction in one step because of an uncertain report, as a fraction of the share.
const MAX_UNCERTAIN_REDUCTION: f64 = 0.4;
/// Load is compared with the share only after the share has fallen by this fraction.
const MIN_SHARE_REDUCTION: f64 = 0.2;
/// Load counts as following the share if at least this fraction of it does.
const MIN_FOLLOWING_FRACTION: f64 = 0.5;

/// The relief of a pool's full members.
#[derive(Debug, Clone, Default)]
pub(super) struct Relief {
    /// A relief has begun, and some member has been full since.
    is_active: bool,
    /// The time since which every update has required a loss of at least `MIN_RELATIVE_LOSS`.
    large_loss_since: Option<Duration>,
    history_by_member: Vec<FullnessHistory>,
}

/// The reports of a member since it became full.
#[derive(Debug, Clone, Default)]
struct FullnessHistory {
    /// The first report that was not capped at the limit.
    first: Option<ShareAndLoad>,
    /// The latest report did not show a full member.
    was_below_limit: bool,
    /// A report has shown a load above the limit, so reports are not capped there.
    reports_excess: bool,
}

#[derive(Debug, Clone, Copy)]
struct ShareAndLoad {
    share: f64,
    load: f64,
}

/// What the reports of a full member say about its true load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LoadEstimate {
    /// The fraction of the load that follows the share, from 0 to 1.
    pub following_fraction: f64,
    /// Whether the true load may be greater than the reported one.
    pub may_exceed_report: bool,
}

/// The share that a full member has to lose.
struct ShareLoss {
    /// The share of all clients that it loses.
    lost: f64,
    /// The share that it has at present.
    present: f64,
}

impl Relief {
    /// The shares that the members should have at once, which add up to 1; `present` are their
    /// shares now. `None` if no member is full, if all are, or if the losses are too small to be
    /// urgent.
    pub(super) fn shares(
        &mut self,
        members: &[LoadMember],
        present: &[f64],
        now: Duration,
        ttl: Duration,
    ) -> Option<Vec<f64>> {
        let is_full: Vec<bool> = members.iter().map(|member| member.signal.is_full()).collect();
        if !(is_full.contains(&true) && is_full.contains(&false)) {
            (self.is_active, self.large_loss_since) = (false, None);
            return None;
        }
        let full = || (0..members.len()).filter(|&member| is_full[member]);
        let mut target = equilibrium_shares(members);
        let losses = full().map(|member| ShareLoss {
            lost: present[member] - target[member],
            present: present[member],
        });
        self.is_active |= self.must_begin(losses, now, ttl);
        for member in full() {
            let LoadMember { share, following_fraction, may_exceed_report, .. } = members[member];
            let target = &mut target[member];
            if may_exceed_report {
                *target -= SAFETY_MARGIN.min(MAX_UNCERTAIN_REDUCTION * *target);
            }
            if following_fraction < 1.0 {
                *target = target.max((1.0 - MAX_UNCERTAIN_REDUCTION) * share);
            }
            *target = target.min(present[member]);
        }
        distribute_rest(&mut target, &is_full);
        let loses_enough =
            |member: usize| present[member] - target[member] >= MIN_RELATIVE_STEP * present[member];
        (self.is_active && full().any(loses_enough)).then_some(target)
    }

    /// Whether a relief must begin because of these losses. A large loss begins one at once. A
    /// smaller loss must last for a TTL, since it may be due to which resolvers happened to ask.
    fn must_begin(
        &mut self,
        losses: impl Iterator<Item = ShareLoss>,
        now: Duration,
        ttl: Duration,
    ) -> bool {
        let losses: Vec<ShareLoss> =
            losses.filter(|loss| loss.lost >= MIN_RELATIVE_LOSS * loss.present).collect();
        if losses.is_empty() {
            self.large_loss_since = None;
            return false;
        }
        let since = *self.large_loss_since.get_or_insert(now);
        let is_immediate = |loss: &ShareLoss| {
            loss.lost >= IMMEDIATE_LOSS.min(IMMEDIATE_RELATIVE_LOSS * loss.present)
        };
        losses.iter().any(is_immediate) || now - since >= ttl.max(MIN_LOSS_DURATION)
    }

    /// Records a report of a member whose load was caused by `share`. Returns what its reports say
    /// about its true load.
    pub(super) fn record_report(
        &mut self,
        member: usize,
        share: f64,
        signal: LoadSignal,
    ) -> LoadEstimate {
        if self.history_by_member.len() <= member {
            self.history_by_member.resize(member + 1, FullnessHistory::default());
        }
        self.history_by_member[member].record_report(share, signal)
    }
}

impl FullnessHistory {
    fn record_report(&mut self, share: f64, signal: LoadSignal) -> LoadEstimate {
        let certain = LoadEstimate { following_fraction: 1.0, may_exceed_report: false };
        if !signal.is_full() {
            // A single report below the limit does not end the history: reports may hover around
            // it.
            if std::mem::replace(&mut self.was_below_limit, true) {
                *self = Self { was_below_limit: true, ..Self::default() };
            }
            return certain;
        }
        self.was_below_limit = false;
        self.reports_excess |= signal.is_above_limit();
        if signal.is_at_limit() && !self.reports_excess {
            self.first = None;
            return LoadEstimate { may_exceed_report: true, ..certain };
        }
        let first = *self.first.get_or_insert(ShareAndLoad { share, load: signal.load() });
        let reduction = if first.share > 0.0 { 1.0 - share / first.share } else { 0.0 };
        if reduction < MIN_SHARE_REDUCTION {
            return certain;
        }
        let following = ((1.0 - signal.load() / first.load) / reduction).max(0.0);
        LoadEstimate {
            following_fraction: if following < MIN_FOLLOWING_FRACTION { following } else { 1.0 },
            ..certain
        }
    }
}

/// Scales the shares of members that are not full, so that all shares add up to 1.
fn distribute_rest(shares: &mut [f64], is_full: &[bool]) {
    let (mut full_sum, mut other_sum) = (0.0, 0.0);
    for (share, is_full) in shares.iter().zip(is_full) {
        *(if *is_full { &mut full_sum } else { &mut other_sum }) += share;
    }
    let factor = (1.0 - full_sum) / other_sum.max(f64::MIN_POSITIVE);
    let others = shares.iter_mut().zip(is_full).filter(|(_, is_full)| !**is_full);
    others.for_each(|(share, _)| *share *= factor);
}
