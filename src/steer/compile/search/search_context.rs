//! The search context: for which family, stage and area a pool is searched.

use crate::steer::{
    chart::FallbackStage,
    compile::preference::{LossRange, Ranking},
    model::{Family, Pool, PoolId, Spread},
};

/// What a pool is searched for.
#[derive(Debug, Clone, Copy)]
pub(in crate::steer) struct SearchContext<'a> {
    pub family: Family,
    pub stage: FallbackStage,
    /// The pools whose policy depends on the client's place.
    pub pools: &'a [PoolId],
    /// By position in `pools`: how the area ranks the members.
    pub rankings: &'a [Ranking],
    /// By position in `pools`: the range of the area among those with the same nearest member. May
    /// be empty.
    pub loss_ranges: &'a [Option<LossRange>],
    /// Members without an address of the family count too, and are answered with NODATA. It is set
    /// where a CNAME may be answered.
    pub counts_other_family: bool,
    /// Every wheel picks by the client's prefix, whatever its pool's spread.
    pub is_by_client: bool,
}

impl<'a> SearchContext<'a> {
    /// The context of clients that geography does not tell apart, at the first stage.
    pub(in crate::steer) fn without_geography(family: Family) -> Self {
        SearchContext {
            family,
            stage: FallbackStage::Normal,
            pools: &[],
            rankings: &[],
            loss_ranges: &[],
            counts_other_family: false,
            is_by_client: false,
        }
    }

    /// How a client picks from a pool's wheel.
    pub(in crate::steer) fn spread(&self, pool: &Pool) -> Spread {
        if self.is_by_client { Spread::Client } else { pool.spread }
    }

    /// How the area ranks the members of a pool; `None` for a pool without geography.
    pub(in crate::steer) fn ranking(&self, pool: PoolId) -> Option<&'a Ranking> {
        self.rankings.get(self.position(pool)?)
    }

    /// The range of the area among those with the same nearest member of a pool.
    pub(in crate::steer) fn loss_range(&self, pool: PoolId) -> Option<LossRange> {
        self.loss_ranges.get(self.position(pool)?).copied().flatten()
    }

    fn position(&self, pool: PoolId) -> Option<usize> {
        self.pools.iter().position(|&id| id == pool)
    }
}
