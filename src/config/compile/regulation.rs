//! What regulates pools: whether the reports that it goes by exist, and whether they can.

use super::name_scope::NameScope;
use crate::{
    config::{place::Placed, problems::Problems, spec::PoolSpec},
    steer::{LoadSourceId, Regulation},
};

/// The load source that a table names.
pub(super) fn resolve_load(
    scope: &mut NameScope<'_>,
    name: Option<&Placed<Box<str>>>,
    problems: &mut Problems,
) -> Option<LoadSourceId> {
    scope.loads.resolve(name?, problems).map(|index| LoadSourceId(index as u32))
}

/// What a pool's table says, with names as positions.
pub(super) fn pool_regulation(
    spec: &PoolSpec,
    scope: &mut NameScope<'_>,
    problems: &mut Problems,
) -> Regulation {
    let spec = &spec.regulation;
    Regulation {
        load: resolve_load(scope, spec.load.as_ref(), problems),
        capacity: spec.capacity.as_ref().map(|at| at.value.clone()),
        keep: spec.keep,
        trickle: spec.trickle,
        failback: spec.failback,
    }
}
