//! The pools with a capacity at and below one member of a pool.

use crate::steer::{
    model::MemberKind,
    model::{PoolId, Topology},
};

/// The pools with a capacity at and below one member, by position in the group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct CappedSubtree {
    /// The member itself, if it is a pool with a capacity.
    pub(super) itself: Option<usize>,
    /// All pools with a capacity in the subtree: any may spill to another member.
    pub(super) all: Vec<usize>,
    /// Those of `all` that are below no other: their loads stand for the load of the member. If
    /// there are none, the load of the member is unknown.
    pub(super) outermost: Vec<usize>,
}

impl CappedSubtree {
    /// The subtree of a member; positions are those in `capped`.
    pub(super) fn new(topology: &Topology, capped: &[PoolId], member: MemberKind) -> Self {
        let position = |kind| match kind {
            MemberKind::Pool(id) => capped.iter().position(|capped| *capped == id),
            MemberKind::Endpoint(_) => None,
        };
        let mut subtree = Self { itself: position(member), ..Self::default() };
        let mut open = vec![(member, true)];
        while let Some((kind, is_outermost)) = open.pop() {
            let MemberKind::Pool(id) = kind else { continue };
            let position = position(kind);
            if let Some(position) = position.filter(|position| !subtree.all.contains(position)) {
                subtree.all.push(position);
                subtree.outermost.extend(is_outermost.then_some(position));
            }
            let is_outermost = is_outermost && position.is_none();
            let members = topology.pools[id.index()].members.iter();
            open.extend(members.map(|member| (member.kind, is_outermost)));
        }
        subtree
    }

    /// The same subtree with other positions; pools for which `new_position` returns `None` are
    /// left out.
    pub(super) fn renumbered(&self, new_position: &impl Fn(usize) -> Option<usize>) -> Self {
        let renumber =
            |pools: &[usize]| pools.iter().filter_map(|&pool| new_position(pool)).collect();
        Self {
            itself: self.itself.and_then(new_position),
            all: renumber(&self.all),
            outermost: renumber(&self.outermost),
        }
    }
}
