//! Layers: the wheels of pools by client whose answers have several members, while some members
//! take only a fraction of the clients.
//!
//! Each client has a layer, which decides which members take part for it: a member takes part for
//! every client for which a member with a lesser fraction takes part. A layer draws as the pool
//! would if the other members were gone. So when a member stops taking part for a client, one other
//! member replaces it in the client's answer, and no other client is affected.

use std::sync::Arc;

use crate::steer::{
    chart::{Slots, Wheel, WheelChoice},
    compile::slots::{
        FillMethod, Picks, SlotTableCache, TableSpec, WeightedMember, distinct_fractions, normalise,
    },
    model::{Fraction, Spread},
};

/// The maximum number of layers of a wheel. Where members have more different fractions, these are
/// rounded.
const MAX_LAYERS: usize = 16;
/// Makes a client's layer independent of its draws.
const LAYER_SALT: u64 = 0x6c61_7965_7273;

/// How answers are drawn from each layer.
pub(super) struct LayerDraw {
    pub picks: Picks,
    /// The number of slots of each layer.
    pub slots: usize,
    /// The key of the hash of clients, so that each pool hashes them differently.
    pub salt: u64,
}

/// The layered wheel of a pool by client; `None` where the pool needs no layers.
pub(super) fn layered_wheel(
    groups: &[Vec<WeightedMember>],
    choices: &[WheelChoice],
    draw: &LayerDraw,
    tables: &mut SlotTableCache,
) -> Option<Wheel> {
    let [group] = groups else { return None };
    let is_drawn = matches!(draw.picks, Picks::Count(count) if count > 1);
    if !is_drawn || group.iter().all(|member| member.fraction.is_full()) {
        return None;
    }
    let mut groups = [group.clone()];
    normalise(&mut groups);
    let [mut group] = groups;
    if distinct_fractions(&group).len() > MAX_LAYERS {
        group.iter_mut().for_each(|member| member.fraction = rounded(member.fraction));
    }
    if group.iter().all(|member| member.fraction.is_full()) {
        return None;
    }
    let cuts = distinct_fractions(&group);
    let layer = |cut: &Fraction| {
        let (taking, others): (Vec<usize>, Vec<usize>) =
            (0..group.len()).partition(|&member| group[member].fraction >= *cut);
        let whole = |members: &[usize]| -> Vec<WeightedMember> {
            members
                .iter()
                .map(|&member| WeightedMember { fraction: Fraction::FULL, ..group[member] })
                .collect()
        };
        // The members that take no part fill an answer that would be too short without them.
        let mut groups = vec![whole(&taking), whole(&others)];
        groups.retain(|group| !group.is_empty());
        let fill_method = FillMethod::Steady { slots: draw.slots };
        let slots = tables.table(TableSpec::new(groups, draw.picks, fill_method));
        let choices = taking.iter().chain(&others).map(|&member| choices[member].clone()).collect();
        WheelChoice::Wheel(Arc::new(by_client(slots, choices, draw.salt)))
    };
    let layers: Box<[WheelChoice]> = cuts.iter().map(layer).collect();
    let slots = tables.table(TableSpec::layers(&cuts, draw.slots));
    Some(Wheel { is_layered: true, ..by_client(slots, layers, draw.salt ^ LAYER_SALT) })
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

/// Rounds to one of [`MAX_LAYERS`] steps, but never to 0.
fn rounded(fraction: Fraction) -> Fraction {
    let steps = MAX_LAYERS as f64;
    if fraction.is_zero() {
        fraction
    } else {
        Fraction::from_share((fraction.share() * steps).round().max(1.0) / steps)
    }
}
