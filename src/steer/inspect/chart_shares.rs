//! Shares: what part of its answers a chart gives to each endpoint, for reports.

use crate::{
    geo::Area,
    steer::{
        chart::{Chart, EndpointAnswer, WheelChoice},
        model::Family,
    },
};

impl Chart {
    /// How many areas the answers of one family divide clients into; 0 where the family is not
    /// published.
    pub fn area_count(&self, family: Family) -> usize {
        self.family(family).areas.len()
    }

    /// What an area's clients are answered, each endpoint with its share of the places in answers;
    /// the shares add up to 1, or there are none, which is NODATA.
    pub fn shares(&self, family: Family, area: Area) -> Vec<(f64, &EndpointAnswer)> {
        let mut shares = Vec::new();
        let reach = self.family(family).areas.get(area.0 as usize);
        if let Some(choice) = reach.and_then(|reach| reach.choice.as_ref()) {
            add_shares(choice, 1.0, &mut shares);
        }
        shares
    }
}

fn add_shares<'a>(
    choice: &'a WheelChoice,
    share: f64,
    shares: &mut Vec<(f64, &'a EndpointAnswer)>,
) {
    match choice {
        WheelChoice::Answer(answer) => shares.push((share, answer)),
        WheelChoice::Wheel(wheel) => {
            let picks = wheel.slots.picks() as f64;
            let held = wheel.choices.iter().zip(wheel.slots.shares(wheel.choices.len()));
            for (choice, held) in held.filter(|(_, held)| *held > 0.0) {
                add_shares(choice, share * held / picks, shares);
            }
        }
    }
}
