//! Compiles the keys that regulate pools.

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

/// The regulation of a pool, with names as positions.
pub(super) fn pool_regulation(
    spec: &PoolSpec,
    scope: &mut NameScope<'_>,
    problems: &mut Problems,
) -> Regulation {
    let spec = &spec.regulation;
    Regulation {
        load: resolve_load(scope, spec.load.as_ref(), problems),
        capacity: spec.capacity.as_ref().map(|capacity| capacity.value.clone()),
        keep: spec.keep,
        trickle: spec.trickle,
        failback: spec.failback,
    }
}
