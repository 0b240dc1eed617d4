//! Chart shares: the share of the answers of a chart that each endpoint has, for reports.

use crate::{
    geo::Area,
    steer::{
        chart::{Chart, EndpointAnswer, WheelChoice},
        model::Family,
    },
};

impl Chart {
    /// The number of areas with different answers in one family; 0 where the family is not
    /// published.
    pub fn area_count(&self, family: Family) -> usize {
        self.family(family).areas.len()
    }

    /// The endpoints in the answers to the clients of an area, each with its share of all endpoints
    /// answered. The shares add up to 1; there are none where the answer is NODATA.
    pub fn shares(&self, family: Family, area: Area) -> Vec<(f64, &EndpointAnswer)> {
        let answer = self.family(family).areas.get(area.0 as usize);
        answer.and_then(|answer| answer.choice.as_ref()).map(choice_shares).unwrap_or_default()
    }
}

/// The endpoints that a choice answers, each with its share of all endpoints answered.
pub(in crate::steer) fn choice_shares(choice: &WheelChoice) -> Vec<(f64, &EndpointAnswer)> {
    let mut shares = Vec::new();
    add_shares(choice, 1.0, &mut shares);
    shares
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
            let choices = wheel.choices.iter().zip(wheel.slots.shares(wheel.choices.len()));
            for (choice, choice_share) in choices.filter(|(_, share)| *share > 0.0) {
                add_shares(choice, share * choice_share / picks, shares);
            }
        }
    }
}
