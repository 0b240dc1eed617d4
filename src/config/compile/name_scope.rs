//! The names that tables refer to, by kind.

use super::{datacenters::DatacenterNames, symbols::SymbolTable};
use crate::config::spec::RampSpec;

/// The names of datacenters, monitors, load sources and pools, each with its position.
pub(super) struct NameScope<'s> {
    pub(super) datacenters: DatacenterNames<'s>,
    pub(super) monitors: SymbolTable<'s>,
    pub(super) loads: SymbolTable<'s>,
    pub(super) pools: SymbolTable<'s>,
    /// The durations of ramps, by datacenter.
    pub(super) datacenter_ramps: Vec<RampSpec>,
}
