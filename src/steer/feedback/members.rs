//! Members of pools: their positions in two topologies, and the probes below them.

use crate::steer::{MemberKind, PoolId, ProbeId, Topology};

/// The probes of every endpoint of a member, each once.
pub(super) fn probes_below(topology: &Topology, kind: MemberKind) -> Vec<ProbeId> {
    let mut probes = Vec::new();
    let mut open = vec![kind];
    while let Some(kind) = open.pop() {
        match kind {
            MemberKind::Pool(id) => {
                open.extend(topology.pools[id.index()].members.iter().map(|member| member.kind))
            }
            MemberKind::Endpoint(id) => {
                probes.extend(topology.endpoint_probes[id.index()].iter().flatten())
            }
        }
    }
    probes.sort_unstable();
    probes.dedup();
    probes
}

/// The position of the member of this name in a pool.
pub(super) fn member_position(topology: &Topology, pool: PoolId, name: &str) -> Option<usize> {
    let members = &topology.pools[pool.index()].members;
    members.iter().position(|member| topology.member_name(member.kind) == name)
}

/// The position in pool `id` of `new` of the member that has position `position` in pool `old_id`
/// of `old`. Members are identified by name.
pub(super) fn new_position(
    new: &Topology,
    id: PoolId,
    old: &Topology,
    old_id: PoolId,
    position: usize,
) -> Option<usize> {
    let member = old.pools[old_id.index()].members.get(position)?;
    member_position(new, id, old.member_name(member.kind))
}
