//! Follows CNAMEs and DNAMEs, and finds chains of them that do not end (RFC 6672).

use super::{compiled_zones::CompiledZones, lookup::occluding_above, service_names::ServiceNames};
use crate::{
    dns::{Name, Rtype},
    zone::BuilderNode,
};

/// The maximum number of CNAMEs that are followed; resolvers follow about as many.
const MAX_CNAME_CHAIN: usize = 32;

/// One link of a chain of names.
struct ChainLink {
    /// The owner of the CNAME; below a DNAME the redirected name itself.
    source: Name,
    next: Name,
    is_cname: bool,
}

impl CompiledZones {
    /// The owner of the DNAME that redirects a name, and the name to which it leads.
    pub(in crate::config::compile) fn redirect_of(&self, name: &Name) -> Option<(Name, Name)> {
        let builder = &self.list[self.innermost(name)?.index()].builder;
        let (owner, rtype) = occluding_above(builder, name.as_wire())?;
        if rtype != Rtype::DNAME {
            return None;
        }
        let target = builder.node(owner)?.targets(Rtype::DNAME).next()?;
        let front = &name.as_wire()[..name.as_wire().len() - owner.len()];
        // A name that becomes too long is answered with YXDOMAIN, so that the chain ends.
        Some((Name::from_wire(owner).ok()?, Name::from_wire(&[front, &target].concat()).ok()?))
    }

    fn next_link(&self, service_names: &ServiceNames, name: &Name) -> Option<ChainLink> {
        if let Some((source, next)) = self.cname_of(service_names, name) {
            return Some(ChainLink { source, next, is_cname: true });
        }
        let (_, next) = self.redirect_of(name)?;
        Some(ChainLink { source: name.clone(), next, is_cname: false })
    }

    /// The names of a loop of static records that starts with a CNAME. Each loop is reported once,
    /// at its first CNAME in wire order.
    pub(super) fn cname_loop(
        &self,
        service_names: &ServiceNames,
        node: BuilderNode<'_>,
        target: &Name,
    ) -> Option<Vec<Name>> {
        let start = Name::from_wire(node.wire()).ok()?;
        let (mut path, mut name) = (vec![start.clone()], target.clone());
        for _ in 0..MAX_CNAME_CHAIN {
            let ChainLink { source, next, is_cname } = self.next_link(service_names, &name)?;
            if source == start {
                path.push(source);
                return Some(path);
            }
            if path.contains(&source) || is_cname && source < start {
                return None;
            }
            path.push(source);
            name = next;
        }
        None
    }

    /// The owners of DNAMEs that lead names back below the first of them, unchanged or longer.
    /// Reported once, at the first owner in wire order.
    pub(super) fn dname_loop(&self, node: BuilderNode<'_>) -> Option<Vec<Name>> {
        let start = Name::from_wire(node.wire()).ok()?;
        let mut path = vec![start.clone()];
        // Any name below the owner shows where it leads.
        let (_, mut name) = self.redirect_of(&start.child(b"x").ok()?)?;
        for _ in 0..MAX_CNAME_CHAIN {
            if name != start && name.is_at_or_below(&start) {
                path.push(start);
                return Some(path);
            }
            let (owner, next) = self.redirect_of(&name)?;
            if owner < start || path.contains(&owner) {
                return None;
            }
            path.push(owner);
            name = next;
        }
        None
    }

    /// Whether resolvers find an address of a delegation's server without the delegations in
    /// `asked`.
    pub(super) fn is_reachable(&self, zone: usize, cut: &Name, asked: &mut Vec<Name>) -> bool {
        const MAX_DEPTH: usize = 8;
        if asked.contains(cut) {
            return false;
        }
        let builder = &self.list[zone].builder;
        let Some(node) = builder.node(cut.as_wire()).filter(|_| asked.len() < MAX_DEPTH) else {
            return true;
        };
        asked.push(cut.clone());
        let is_reachable = node.targets(Rtype::NS).any(|server| {
            let Ok(name) = Name::from_wire(&server) else { return true };
            let is_ours = self.innermost(&name).is_some_and(|found| found.index() == zone);
            match self.sibling_cut(zone, &name).filter(|_| is_ours) {
                Some(other) => self.is_reachable(zone, &other, asked),
                None => true,
            }
        });
        asked.pop();
        is_reachable
    }

    /// The delegation at or below which a name server without an address in the zone is.
    pub(super) fn sibling_cut(&self, zone: usize, server: &Name) -> Option<Name> {
        let builder = &self.list[zone].builder;
        let node = builder.node(server.as_wire());
        if node.is_some_and(|node| node.has(Rtype::A) || node.has(Rtype::AAAA)) {
            return None;
        }
        let is_cut = server != builder.apex() && node.is_some_and(|node| node.has(Rtype::NS));
        match occluding_above(builder, server.as_wire()) {
            Some((cut, Rtype::NS)) => Name::from_wire(cut).ok(),
            Some(_) => None,
            None => is_cut.then(|| server.clone()),
        }
    }
}
