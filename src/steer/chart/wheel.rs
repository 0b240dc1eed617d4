//! The wheel: one structure for every balancing method. Its slots name choices, each of which is a
//! ready answer or another wheel.

use std::{hash::Hasher, sync::Arc};

use siphasher::sip::SipHasher13;

use super::{
    draw_state::DrawState,
    endpoint_answer::{EndpointAnswer, Rdata},
    slots::{DrawSeed, Slots},
};
use crate::steer::model::Spread;

/// A pool compiled: slots that name choices. A choice may be another pool's wheel, which then draws
/// by its own spread.
#[derive(Debug)]
pub(in crate::steer) struct Wheel {
    /// How a query picks its slot.
    pub(in crate::steer) spread: Spread,
    /// The slot table, shared by all wheels with equal tables.
    pub(in crate::steer) slots: Arc<Slots>,
    /// The choices that the slots name by position.
    pub(in crate::steer) choices: Box<[WheelChoice]>,
    /// The key of the hash of clients, derived from the pool, so that draws from pools above and
    /// below it, or from pools that share its table, are independent.
    pub(in crate::steer) salt: u64,
    /// The number of the shard's counter, for `turn_counter`.
    pub(in crate::steer) turn_counter: Option<Arc<u32>>,
    /// The number of turns of one cycle; 0 if turns wrap only at 2^32.
    pub(in crate::steer) cycle: u32,
    /// Whether a slot names several choices, the better first.
    pub(in crate::steer) is_ranked: bool,
    /// Whether the choices are layers: wheels over the members of the pool, each for some of the
    /// clients. Otherwise the choices are the members themselves.
    pub(in crate::steer) is_layered: bool,
}

/// A choice that a slot names.
#[derive(Debug, Clone)]
pub(in crate::steer) enum WheelChoice {
    /// The answer of an endpoint.
    Answer(Arc<EndpointAnswer>),
    /// The wheel of another pool.
    Wheel(Arc<Wheel>),
}

impl WheelChoice {
    /// A number that is equal for the same answer or wheel of one compilation, and different for
    /// any other.
    pub(in crate::steer) fn identity(&self) -> usize {
        match self {
            Self::Answer(answer) => Arc::as_ptr(answer).addr(),
            Self::Wheel(wheel) => Arc::as_ptr(wheel).addr(),
        }
    }

    /// Whether any draw from here depends on the client's prefix.
    pub(in crate::steer) fn spreads_by_client(&self) -> bool {
        match self {
            Self::Answer(_) => false,
            Self::Wheel(wheel) => {
                wheel.spread == Spread::Client || wheel.choices.iter().any(Self::spreads_by_client)
            }
        }
    }

    /// Whether any draw from here may be a CNAME.
    pub(in crate::steer) fn may_be_cname(&self) -> bool {
        match self {
            Self::Answer(answer) => matches!(answer.rdata, Rdata::Cname(_)),
            Self::Wheel(wheel) => wheel.choices.iter().any(Self::may_be_cname),
        }
    }

    /// Whether the order of a draw from here is one of preference.
    pub(in crate::steer) fn keeps_order(&self) -> bool {
        match self {
            Self::Answer(_) => false,
            Self::Wheel(wheel) => wheel.is_ranked || wheel.choices.iter().any(Self::keeps_order),
        }
    }

    /// Draws endpoints for the client whose masked prefix is `client`, and calls `each` with each
    /// of them in the order drawn.
    pub(in crate::steer) fn draw<'a, F: FnMut(&'a EndpointAnswer)>(
        &'a self,
        client: u64,
        draws: &mut DrawState,
        each: &mut F,
    ) {
        match self {
            Self::Answer(answer) => each(answer),
            Self::Wheel(wheel) => wheel.draw(client, draws, each),
        }
    }
}

impl Wheel {
    #[inline]
    fn draw<'a, F: FnMut(&'a EndpointAnswer)>(
        &'a self,
        client: u64,
        draws: &mut DrawState,
        each: &mut F,
    ) {
        let Slots::Lookup(lookup) = &*self.slots else {
            let seed = match self.spread {
                Spread::Query => DrawSeed::Random,
                Spread::Client => DrawSeed::Client(self.hash(client)),
                Spread::Turn => DrawSeed::Turn(self.take_turn(draws)),
            };
            let each = &mut |choice, draws: &mut DrawState| {
                self.choices[usize::from(choice)].draw(client, draws, each)
            };
            return self.slots.draw(seed, draws, each);
        };
        let number = match self.spread {
            _ if lookup.has_one_slot() => 0,
            Spread::Query => draws.random() as usize,
            Spread::Client => self.hash(client) as usize,
            Spread::Turn => self.take_turn(draws) as usize,
        };
        for &choice in lookup.slot(number) {
            self.choices[usize::from(choice)].draw(client, draws, each);
        }
    }

    fn take_turn(&self, draws: &mut DrawState) -> u32 {
        self.turn_counter.as_deref().map_or(0, |&number| draws.turn(number, self.cycle))
    }

    /// For each choice, whether any answer can hold it.
    pub(in crate::steer) fn used_choices(&self) -> Vec<bool> {
        self.slots.used_members(self.choices.len())
    }

    /// A hash that is equal on every machine and in every run, so that nodes with equal files give
    /// a client equal answers.
    fn hash(&self, client: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.salt, 0x706f_7274_6f6c_616e);
        hasher.write_u64(client);
        hasher.finish()
    }
}
