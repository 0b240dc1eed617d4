//! The search result of a member or a pool, for one family and one area.

use super::tier::Tier;
use crate::steer::{chart::WheelChoice, model::Fraction};

/// What a member or a pool answers, and how it ranks.
#[derive(Debug, Clone)]
pub(in crate::steer) struct SearchResult {
    /// What to answer; `None` where nothing is usable.
    pub choice: Option<WheelChoice>,
    /// Which members it is picked before.
    pub tier: Tier,
    /// The fraction of its normal traffic that it accepts: less than all during a drain or a slow
    /// start.
    pub fraction: Fraction,
    /// The fraction of its clients that it keeps: less than all while it sheds or spills.
    pub kept_fraction: Fraction,
    /// The least time until a verdict that the result depends on could flip, in seconds.
    pub flips_in_secs: u32,
    /// Nothing is answered because the configuration says so (`default = []`), not because of a
    /// failure.
    pub is_empty_by_config: bool,
}

impl SearchResult {
    /// A result without any usable member.
    pub(in crate::steer) fn nothing(flips_in_secs: u32) -> Self {
        Self {
            choice: None,
            tier: Tier::Primary,
            fraction: Fraction::FULL,
            kept_fraction: Fraction::FULL,
            flips_in_secs,
            is_empty_by_config: false,
        }
    }
}
