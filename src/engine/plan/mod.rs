//! The plan: which clients a change would move, how many, and where to.
//!
//! Two sides are compared service by service, by name. The answers of each area are read from the
//! charts; the census says how much demand comes from each pair of areas. Pure, like the engine.
//!
//! | file | step |
//! |---|---|
//! | `side`, `options` | what is compared, and with which knowledge |
//! | `census`, `network_weights`, `address_runs`, `client_family` | how much demand comes from which clients |
//! | `area_change`, `datacenter_index` | the answers of an area, and how they change |
//! | `shift`, `moved_clients` | the change of one service |
//! | `movement` | the change of all services together |
//! | `moved_share` | how much of all demand a change moves, without the rest of a plan |
//! | `datacenter_shares`, `loads` | the share of each datacenter, and its capacity |
//! | `losses`, `outages` | clients left with nothing; each datacenter down |
//! | `compared_side`, `service_changes` | the services of both sides, and the change of each |
//! | `comparison`, `assumptions` | all of it together, and what it assumes |
//! | `view`, `text`, `service_text`, `map_places`, `map_labels`, `map` | the plan as a document, as text and as a picture |
//!
//! Both sides are compared in their steady state: a gradual drain counts as ended, and load reports
//! have no further effect.

mod address_runs;
mod area_change;
mod assumptions;
mod census;
mod client_family;
mod compared_side;
mod comparison;
mod datacenter_index;
mod datacenter_shares;
mod loads;
mod losses;
mod map;
mod map_labels;
mod map_places;
mod moved_clients;
mod moved_share;
mod movement;
mod network_weights;
mod options;
mod outages;
mod service_changes;
mod service_text;
mod shift;
mod side;
mod text;
mod view;

pub use comparison::plan;
pub use map::render_map;
pub use moved_share::{MovedShare, moved_share};
pub use options::{PlanLimits, PlanOptions, PoolLoadLevel};
pub use side::PlanSide;
pub use text::render_plan;
pub use view::{
    AsnView, BasisView, CacheView, CountryView, DatacenterChange, ExceededCapacity, FlowView,
    LoadView, LossView, MapDatacenter, MapPlace, MapView, MovementView, NetworkView,
    ObservedDemandView, OutageView, Plan, SampleTotalsView, ServiceChange, ServiceLossView,
    ShareView, ShiftView,
};

use self::datacenter_index::NO_RECORDS;
use crate::number_format::percent_in_column;

impl ServiceChange {
    /// The largest share of clients of one family that get another answer of one type, in percent.
    pub fn moved_percent(&self) -> f64 {
        self.shifts.iter().map(|shift| shift.moved_percent).fold(0.0, f64::max)
    }
}

impl Plan {
    /// The share of all demand that moves, of the family of clients of which more does.
    pub fn moved_share(&self) -> MovedShare {
        let larger =
            |a: &&MovementView, b: &&MovementView| a.moved_percent.total_cmp(&b.moved_percent);
        let largest = self.movements.iter().max_by(larger);
        largest.map_or_else(MovedShare::default, |movement| MovedShare {
            share: movement.moved_percent / 100.0,
            flows: Vec::new(),
            countries: movement.countries.clone(),
        })
    }

    /// The limits that the plan exceeds, one sentence each; empty for a change within all limits.
    pub fn violations(&self, limits: &PlanLimits) -> Vec<String> {
        let mut violations = Vec::new();
        for change in &self.changed {
            let name = &change.name;
            let exceeds = |shift: &&ShiftView| {
                limits.max_moved_percent.is_some_and(|limit| shift.moved_percent > limit)
            };
            let worst = change
                .shifts
                .iter()
                .filter(exceeds)
                .max_by(|a, b| a.moved_percent.total_cmp(&b.moved_percent));
            if let (Some(shift), Some(limit)) = (worst, limits.max_moved_percent) {
                violations.push(format!(
                    "{name}: {} of its {} clients would get another {} answer; at most {limit} % may",
                    percent_in_column(shift.moved_percent),
                    shift.clients,
                    shift.records
                ));
            }
            if !limits.never_empty {
                continue;
            }
            for records in &change.loses_all {
                violations.push(format!(
                    "{name}: nothing usable would be left for some clients' {records} records"
                ));
            }
            for shift in &change.shifts {
                if let Some(flow) = shift.flows.iter().find(|flow| flow.to == NO_RECORDS) {
                    violations.push(format!(
                        "{name}: {:.1} % of its {} clients would get no {} record any more",
                        flow.percent, shift.clients, shift.records
                    ));
                }
            }
        }
        violations
    }
}

#[cfg(test)]
mod tests;
