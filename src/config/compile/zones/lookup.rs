//! Looks up how a name is answered: by its own records, by a wildcard, by a service, or by servers
//! elsewhere.

use super::{
    compiled_zones::CompiledZones,
    finding::{MissingAddress, repeats_apex, written_once},
    service_names::ServiceNames,
};
use crate::{
    dns::{Name, Rtype},
    zone::{BuilderNode, ZoneBuilder},
};

pub(super) enum NameLookup<'z> {
    Elsewhere,
    Redirected,
    Missing,
    AnsweredBy { source: Name, node: Option<BuilderNode<'z>> },
}

/// Whether a name has an address.
pub(super) enum AddressStatus {
    /// The name has an address, or other servers answer it.
    Answered,
    NoAddress(MissingAddress),
}

/// The topmost cut or DNAME above a name of the zone; names are in wire form.
pub(super) fn occluding_above<'n>(
    builder: &ZoneBuilder,
    name: &'n [u8],
) -> Option<(&'n [u8], Rtype)> {
    let apex = builder.apex().as_wire();
    let (mut found, mut ancestor) = (None, name);
    while ancestor.len() > apex.len() {
        ancestor = &ancestor[1 + usize::from(ancestor[0])..];
        let Some(node) = builder.node(ancestor) else { continue };
        let is_cut = ancestor.len() > apex.len() && node.has(Rtype::NS);
        let rtype =
            if is_cut { Some(Rtype::NS) } else { node.has(Rtype::DNAME).then_some(Rtype::DNAME) };
        found = rtype.map(|rtype| (ancestor, rtype)).or(found);
    }
    found
}

impl CompiledZones {
    /// Looks up the records that answer a name: its own, or those of the wildcard that covers it.
    pub(super) fn lookup(&self, service_names: &ServiceNames, name: &Name) -> NameLookup<'_> {
        let Some(zone) = self.innermost(name) else { return NameLookup::Elsewhere };
        let builder = &self.list[zone.index()].builder;
        if let Some((_, rtype)) = occluding_above(builder, name.as_wire()) {
            return if rtype == Rtype::DNAME {
                NameLookup::Redirected
            } else {
                NameLookup::Elsewhere
            };
        }
        let node = builder.node(name.as_wire());
        let is_cut = node.is_some_and(|node| node.has(Rtype::NS)) && name != builder.apex();
        if is_cut {
            return NameLookup::Elsewhere;
        }
        if node.is_some() || service_names.existing.contains(name) {
            return NameLookup::AnsweredBy { source: name.clone(), node };
        }
        let mut next = name.parent();
        while let Some(encloser) = next {
            if builder.node(encloser.as_wire()).is_some()
                || service_names.existing.contains(&encloser)
            {
                let Ok(source) = encloser.child(b"*") else { return NameLookup::Missing };
                let node = builder.node(source.as_wire());
                let is_there = node.is_some() || service_names.existing.contains(&source);
                return if is_there {
                    NameLookup::AnsweredBy { source, node }
                } else {
                    NameLookup::Missing
                };
            }
            next = encloser.parent();
        }
        NameLookup::Missing
    }

    pub(super) fn address_status(
        &self,
        service_names: &ServiceNames,
        name: &Name,
    ) -> AddressStatus {
        match self.lookup(service_names, name) {
            NameLookup::Elsewhere => AddressStatus::Answered,
            NameLookup::Redirected => AddressStatus::NoAddress(MissingAddress::Redirected),
            NameLookup::Missing => AddressStatus::NoAddress(MissingAddress::Missing),
            NameLookup::AnsweredBy { source, node } => {
                let has = |rtype| node.is_some_and(|node| node.has(rtype));
                if service_names.with_cname.contains(&source) {
                    AddressStatus::NoAddress(MissingAddress::ServiceAlias)
                } else if has(Rtype::A)
                    || has(Rtype::AAAA)
                    || service_names.with_addresses.contains(&source)
                {
                    AddressStatus::Answered
                } else if has(Rtype::CNAME) {
                    AddressStatus::NoAddress(MissingAddress::Alias)
                } else {
                    AddressStatus::NoAddress(MissingAddress::Empty)
                }
            }
        }
    }

    /// The name that was meant by a name that ends in its zone's name twice and does not exist
    /// itself.
    pub(in crate::config::compile) fn name_written_once(
        &self,
        service_names: &ServiceNames,
        name: &Name,
    ) -> Option<Name> {
        let apex = &self.list[self.innermost(name)?.index()].apex;
        let is_meant = match self.lookup(service_names, name) {
            NameLookup::AnsweredBy { source, .. } => source == *name,
            NameLookup::Elsewhere | NameLookup::Redirected => true,
            NameLookup::Missing => false,
        };
        (repeats_apex(name.as_wire(), apex) && !is_meant).then(|| written_once(name, apex))
    }

    /// The static CNAME with which a name is answered: its owner and its target.
    pub(in crate::config::compile) fn cname_of(
        &self,
        service_names: &ServiceNames,
        name: &Name,
    ) -> Option<(Name, Name)> {
        let NameLookup::AnsweredBy { source, node: Some(node) } = self.lookup(service_names, name)
        else {
            return None;
        };
        let target = node.targets(Rtype::CNAME).next()?;
        Some((source, Name::from_wire(&target).ok()?))
    }

    /// The name whose records or service answer `name`.
    pub(in crate::config::compile) fn answering_owner(
        &self,
        service_names: &ServiceNames,
        name: &Name,
    ) -> Option<Name> {
        match self.lookup(service_names, name) {
            NameLookup::AnsweredBy { source, .. } => Some(source),
            NameLookup::Elsewhere | NameLookup::Redirected | NameLookup::Missing => None,
        }
    }
}
