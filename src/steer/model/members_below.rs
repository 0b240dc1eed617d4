//! Traversal of the pool tree: every member below one or several members.

use std::collections::HashSet;

use super::{
    ids::{EndpointId, PoolId},
    pool::MemberKind,
    topology::Topology,
};

impl Topology {
    /// The given members and every member below them, in the order written, a pool before its
    /// members.
    /// Each pool is visited once, however often it is a member.
    pub(in crate::steer) fn members_below(
        &self,
        members: impl IntoIterator<Item = MemberKind>,
    ) -> MembersBelow<'_> {
        let mut open: Vec<MemberKind> = members.into_iter().collect();
        open.reverse();
        MembersBelow { topology: self, open, visited: HashSet::new() }
    }

    /// The given pools and every pool below them, each once, a pool before those below it.
    pub fn pools_below(&self, roots: impl IntoIterator<Item = PoolId>) -> Vec<PoolId> {
        let pool = |member| match member {
            MemberKind::Pool(id) => Some(id),
            MemberKind::Endpoint(_) => None,
        };
        self.members_below(roots.into_iter().map(MemberKind::Pool)).filter_map(pool).collect()
    }

    /// The endpoints among these members and below them, in the order written.
    pub(in crate::steer) fn endpoints_of(
        &self,
        members: impl IntoIterator<Item = MemberKind>,
    ) -> impl Iterator<Item = EndpointId> {
        self.members_below(members).filter_map(|member| match member {
            MemberKind::Endpoint(id) => Some(id),
            MemberKind::Pool(_) => None,
        })
    }

    /// Every endpoint below these pools, each once, in ascending order.
    pub fn endpoints_below(&self, roots: impl IntoIterator<Item = PoolId>) -> Vec<EndpointId> {
        let roots = roots.into_iter().map(MemberKind::Pool);
        let mut endpoints: Vec<EndpointId> = self.endpoints_of(roots).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }
}

/// An iterator over members; see [`Topology::members_below`].
pub(in crate::steer) struct MembersBelow<'a> {
    topology: &'a Topology,
    /// The members still to be visited, the next one last.
    open: Vec<MemberKind>,
    visited: HashSet<PoolId>,
}

impl Iterator for MembersBelow<'_> {
    type Item = MemberKind;

    fn next(&mut self) -> Option<MemberKind> {
        loop {
            let member = self.open.pop()?;
            match member {
                MemberKind::Endpoint(_) => return Some(member),
                MemberKind::Pool(id) if self.visited.insert(id) => {
                    let members = &self.topology.pools[id.index()].members;
                    self.open.extend(members.iter().rev().map(|member| member.kind));
                    return Some(member);
                }
                MemberKind::Pool(_) => {}
            }
        }
    }
}
