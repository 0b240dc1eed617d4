//! Finds the names that a delegation or a DNAME occludes (RFC 2136 section 7.18): the records at
//! such names are not answered with authority.

use super::{
    content::{NO_NODE, Zone},
    hash::hash_name,
    rrset,
};
use crate::dns::Rtype;

/// Sets for each node whether it is a cut, whether it has a DNAME, and which node occludes it.
pub(super) fn set_occluders(zone: &mut Zone) {
    mark_cuts_and_dnames(zone);
    if !zone.nodes.iter().any(|node| node.is_cut || node.has_dname) {
        return;
    }
    // A node inherits the occluder of its parent: parents come before their children.
    for labels in zone.apex_labels + 1..128 {
        if zone.label_counts >> labels & 1 == 0 {
            continue;
        }
        for number in 0..zone.nodes.len() {
            if usize::from(zone.nodes[number].labels) == labels {
                zone.nodes[number].occluder = occluder_of(zone, number);
            }
        }
    }
}

fn mark_cuts_and_dnames(zone: &mut Zone) {
    for number in 0..zone.nodes.len() {
        let (mut has_ns, mut has_dname) = (false, false);
        rrset::stored_rrsets(zone.nodes[number].rrsets(&zone.arena)).for_each(|rrset| {
            has_ns |= rrset.rtype == Rtype::NS;
            has_dname |= rrset.rtype == Rtype::DNAME;
        });
        let node = &mut zone.nodes[number];
        (node.is_cut, node.has_dname) = (has_ns && number != 0, has_dname);
    }
}

/// The occluder of a node below the apex, whose parent has its own already.
fn occluder_of(zone: &Zone, number: usize) -> u32 {
    let name = zone.name_of(number as u32);
    let parent_name = &name[1 + usize::from(name[0])..];
    let parent =
        zone.node_of_wire(parent_name, hash_name(parent_name)).map_or(0, |node| node.number);
    let parent_node = &zone.nodes[parent as usize];
    match parent_node.occluder {
        NO_NODE if parent_node.has_dname => parent,
        NO_NODE if zone.nodes[number].is_cut => number as u32,
        occluder => occluder,
    }
}
