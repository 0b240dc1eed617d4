//! Layers: wheels of pools by client whose answers have several members, while some members take
//! part for a share of the clients only.
//!
//! Each client has a layer, which says who takes part for it: a greater part has all clients of a
//! lesser one. A layer draws as the pool does when the other members are gone. So a client whose
//! answer holds a member that stops taking part gets one other in its place, and no other client
//! notices.

use std::sync::Arc;

use super::{PoolSearch, Wheel, WheelChoice};
use crate::steer::{
    fraction::Fraction,
    pool::Spread,
    slots::{FillMethod, Picks, Slots, TableSpec, WeightedMember, distinct_fractions, normalise},
};

/// The most layers of a wheel. Where members have more different parts, parts are rounded.
const MAX_LAYERS: usize = 16;
/// Makes a client's layer independent of its draws.
const LAYER_SALT: u64 = 0x6c61_7965_7273;

/// A pool's only group, and how it is drawn from.
pub(super) struct LayerDraw {
    pub picks: Picks,
    /// The number of slots of each layer.
    pub slots: usize,
    pub salt: u64,
}

impl PoolSearch<'_> {
    /// The layered wheel of one group by client; `None` where it needs no layers.
    pub(super) fn layered(
        &mut self,
        stakes: &[Vec<WeightedMember>],
        choices: &[WheelChoice],
        drawn: &LayerDraw,
    ) -> Option<Wheel> {
        let [group] = stakes else { return None };
        let is_drawn = matches!(drawn.picks, Picks::Count(count) if count > 1);
        if !is_drawn || group.iter().all(|stake| stake.fraction.is_full()) {
            return None;
        }
        let mut groups = [group.clone()];
        normalise(&mut groups);
        let [mut group] = groups;
        if distinct_fractions(&group).len() > MAX_LAYERS {
            group.iter_mut().for_each(|stake| stake.fraction = rounded(stake.fraction));
        }
        if group.iter().all(|stake| stake.fraction.is_full()) {
            return None;
        }
        let cuts = distinct_fractions(&group);
        let tables = &mut self.wheel_cache.as_deref_mut()?.slot_tables;
        let layer = |cut: &Fraction| {
            let (taking, resting): (Vec<usize>, Vec<usize>) =
                (0..group.len()).partition(|&member| group[member].fraction >= *cut);
            let stakes = |members: &[usize]| -> Vec<WeightedMember> {
                members
                    .iter()
                    .map(|&member| WeightedMember { fraction: Fraction::FULL, ..group[member] })
                    .collect()
            };
            // Members that take no part fill up an answer that would be too short.
            let mut groups = vec![stakes(&taking), stakes(&resting)];
            groups.retain(|group| !group.is_empty());
            let filling = FillMethod::Steady { slots: drawn.slots };
            let slots = tables.table(TableSpec::new(groups, drawn.picks, filling));
            let choices =
                taking.iter().chain(&resting).map(|&member| choices[member].clone()).collect();
            WheelChoice::Wheel(Arc::new(by_client(slots, choices, drawn.salt)))
        };
        let layers: Box<[WheelChoice]> = cuts.iter().map(layer).collect();
        let slots = tables.table(TableSpec::layers(&cuts, drawn.slots));
        Some(Wheel { is_layered: true, ..by_client(slots, layers, drawn.salt ^ LAYER_SALT) })
    }
}

fn by_client(slots: Arc<Slots>, choices: Box<[WheelChoice]>, salt: u64) -> Wheel {
    Wheel {
        spread: Spread::Client,
        slots,
        choices,
        salt,
        turn_counter: None,
        cycle: 0,
        is_ranked: false,
        is_layered: false,
    }
}

/// To one of [`MAX_LAYERS`] steps; never to nothing.
fn rounded(part: Fraction) -> Fraction {
    let steps = MAX_LAYERS as f64;
    if part.is_zero() {
        part
    } else {
        Fraction::from_share((part.share() * steps).round().max(1.0) / steps)
    }
}
