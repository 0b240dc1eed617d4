//! The names that tables refer to, by kind.

use super::{datacenters::DatacenterNames, symbols::SymbolTable};
use crate::config::spec::RampSpec;

/// Everything that later steps refer to by name.
pub(super) struct NameScope<'s> {
    pub(super) datacenters: DatacenterNames<'s>,
    pub(super) monitors: SymbolTable<'s>,
    pub(super) loads: SymbolTable<'s>,
    pub(super) pools: SymbolTable<'s>,
    /// By datacenter.
    pub(super) datacenter_ramps: Vec<RampSpec>,
}
