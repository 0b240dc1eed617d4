//! Relief: how much share a full member loses without waiting for caches.
//!
//! A member is full at its limit, or at the hard mark of its gauge. Usually a step waits until
//! caches have followed the step before. A full member need not wait: each report is read as the
//! load of the share that its clients were answered by ([`super::transit`]), so that every report
//! shows where the member would rest.
//!
//! Two things are uncertain, and take more from a member than its reports suggest:
//!
//! - At a limit, or with a processor at 100 %, a report shows only the least that the load can be.
//!   So the member gets a small margin less than the reports suggest.
//! - Load may not follow the share at all. Then the level stays while the share falls.
//!
//! Noise starts no relief: one begins only if a loss is large or lasts. Once begun, small losses
//! continue it.

use std::time::Duration;

use super::equilibrium::{LoadMember, LoadSignal, equilibrium_shares};

/// No relief begins for a loss below this part of the member's share.
const MIN_RELATIVE_LOSS: f64 = 0.15;
/// A relief begins at once for a loss of this share of all clients,
const IMMEDIATE_LOSS: f64 = 0.05;
/// or of this part of the member's share.
const IMMEDIATE_RELATIVE_LOSS: f64 = 0.25;
/// A smaller loss must last for a TTL, and at least for this time.
const MIN_LOSS_DURATION: Duration = Duration::from_secs(10);
/// A relief that has begun continues while a full member is to lose this part of its share.
const MIN_RELATIVE_STEP: f64 = 0.05;
/// What a full member gets less, as a share of all clients, if its reports do not show its excess.
/// No more than this is steered away without need.
const SAFETY_MARGIN: f64 = 0.03;
/// The most that an uncertain report takes from a member in one step, as a part of its share.
const MAX_UNCERTAIN_REDUCTION: f64 = 0.4;
/// Whether load follows the share is judged only after the share has fallen by this part.
const MIN_SHARE_REDUCTION: f64 = 0.2;
/// Load counts as following the share if at least this part of it does.
const MIN_FOLLOWING_FRACTION: f64 = 0.5;

/// The relief of a pool's full members.
#[derive(Debug, Clone, Default)]
pub(super) struct Relief {
    /// It has begun, and some member has been full since.
    is_active: bool,
    /// Since when some full member is to lose `MIN_RELATIVE_LOSS` at each look.
    large_loss_since: Option<Duration>,
    /// By member.
    history_by_member: Vec<FullnessHistory>,
}

/// What was seen of a member since it is full.
#[derive(Debug, Clone, Default)]
struct FullnessHistory {
    /// Its share and its load at first.
    first_share_and_load: Option<(f64, f64)>,
    /// At the latest look it was not full.
    was_below_limit: bool,
    /// It reports what is above its limit, too.
    reports_excess: bool,
}

/// What the reports of a full member come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LoadEstimate {
    /// The part of its load that follows its share, from 0 to 1.
    pub following_fraction: f64,
    /// Its load may be greater than what it reports.
    pub may_exceed_report: bool,
}

impl Relief {
    /// The shares that the members are to have at once, which add up to 1; `present` are theirs
    /// now. `None` where no member is full, none is left to take anything, or it is too little to
    /// be urgent.
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
        let full = || (0..members.len()).filter(|&at| is_full[at]);
        let mut wanted = equilibrium_shares(members);
        let loses =
            |wanted: &[f64], at: usize, part: f64| present[at] - wanted[at] >= part * present[at];
        self.is_active |=
            self.begins(full().map(|at| (present[at] - wanted[at], present[at])), now, ttl);
        for at in full() {
            let LoadMember {
                share,
                following_fraction: follows,
                may_exceed_report: may_exceed,
                ..
            } = members[at];
            if may_exceed {
                wanted[at] -= SAFETY_MARGIN.min(MAX_UNCERTAIN_REDUCTION * wanted[at]);
            }
            if follows < 1.0 {
                wanted[at] = wanted[at].max((1.0 - MAX_UNCERTAIN_REDUCTION) * share);
            }
            wanted[at] = wanted[at].min(present[at]);
        }
        distribute_rest(&mut wanted, &is_full);
        (self.is_active && full().any(|at| loses(&wanted, at, MIN_RELATIVE_STEP))).then_some(wanted)
    }

    /// Whether a relief begins for one of these losses, each with the share that it is taken from.
    /// A large loss begins one at once; a smaller one must last for a TTL, since it may depend on
    /// which resolvers asked.
    fn begins(
        &mut self,
        losses: impl Iterator<Item = (f64, f64)>,
        now: Duration,
        ttl: Duration,
    ) -> bool {
        let losses: Vec<(f64, f64)> =
            losses.filter(|(lost, of)| *lost >= MIN_RELATIVE_LOSS * of).collect();
        if losses.is_empty() {
            self.large_loss_since = None;
            return false;
        }
        let since = *self.large_loss_since.get_or_insert(now);
        let is_much =
            |(lost, of): &(f64, f64)| *lost >= IMMEDIATE_LOSS.min(IMMEDIATE_RELATIVE_LOSS * of);
        losses.iter().any(is_much) || now - since >= ttl.max(MIN_LOSS_DURATION)
    }

    /// Learns from a report of the member at this place, whose load comes from this share.
    pub(super) fn record_report(
        &mut self,
        at: usize,
        share: f64,
        demand: LoadSignal,
    ) -> LoadEstimate {
        if self.history_by_member.len() <= at {
            self.history_by_member.resize(at + 1, FullnessHistory::default());
        }
        self.history_by_member[at].record_report(share, demand)
    }
}

impl FullnessHistory {
    fn record_report(&mut self, share: f64, demand: LoadSignal) -> LoadEstimate {
        let certain = LoadEstimate { following_fraction: 1.0, may_exceed_report: false };
        if !demand.is_full() {
            // One report below the mark forgets nothing: reports may hover about it.
            if std::mem::replace(&mut self.was_below_limit, true) {
                *self = Self { was_below_limit: true, ..Self::default() };
            }
            return certain;
        }
        self.was_below_limit = false;
        self.reports_excess |= demand.is_above_limit();
        if demand.is_at_limit() && !self.reports_excess {
            self.first_share_and_load = None;
            return LoadEstimate { may_exceed_report: true, ..certain };
        }
        let (first_share, first_load) =
            *self.first_share_and_load.get_or_insert((share, demand.load()));
        let fall = if first_share > 0.0 { 1.0 - share / first_share } else { 0.0 };
        if fall < MIN_SHARE_REDUCTION {
            return certain;
        }
        let follows = ((1.0 - demand.load() / first_load) / fall).max(0.0);
        LoadEstimate {
            following_fraction: if follows < MIN_FOLLOWING_FRACTION { follows } else { 1.0 },
            ..certain
        }
    }
}

/// Gives those that are not full all that is left, in proportion to what they are to have.
fn distribute_rest(wanted: &mut [f64], is_full: &[bool]) {
    let sum = |wanted: &[f64], of_full: bool| -> f64 {
        wanted
            .iter()
            .zip(is_full)
            .filter(|(_, is_full)| **is_full == of_full)
            .map(|(share, _)| share)
            .sum()
    };
    let times = (1.0 - sum(wanted, true)) / sum(wanted, false).max(f64::MIN_POSITIVE);
    wanted
        .iter_mut()
        .zip(is_full)
        .filter(|(_, is_full)| !**is_full)
        .for_each(|(share, _)| *share *= times);
}
